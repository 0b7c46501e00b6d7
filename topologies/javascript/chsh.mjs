// The CHSH game in JavaScript, over pairs of a direct link. chsh.mjs ROLE ROUNDS
//
// Questions x and y are coins; who answer a and b win if a XOR b = x AND y. Without entanglement they win at most 3/4 of
// the rounds, with Phi+ cos^2(pi/8) = 0.854 of them (Clauser, Horne, Shimony, Holt 1969).

import { createHash } from "node:crypto";

import { attach } from "./qloom.mjs";

const HALF = Math.SQRT1_2;
const AXES = { alice: ["Z", "X"], bob: [[HALF, 0, HALF], [-HALF, 0, HALF]] };

/** The coins of a role, the same for the same seed. */
function coin(role, round) {
  return createHash("sha256").update(`${role} ${process.env.QLOOM_SEED} ${round}`).digest()[0] & 1;
}

const [role, rounds] = [process.argv[2], Number(process.argv[3])];
const other = { alice: "bob", bob: "alice" }[role];
const session = await attach();
const asked = [], answered = [];
for (let round = 0; round < rounds; round++) {
  const { pair } = await session.ask("request_pairs", { remote: other });
  asked.push(coin(role, round));
  answered.push(await session.measure(pair.qubit, AXES[role][asked[round]]));
}
if (role === "bob") {
  await session.ask("send", { peer: other, tag: "bob", payload: Buffer.from([...asked, ...answered]) });
} else {
  const { payload } = await session.ask("receive", { peer: other, tag: "bob" });
  const won = asked.filter((x, round) => (answered[round] ^ payload[rounds + round]) === (x & payload[round])).length;
  await session.ask("report", { values: { rounds, won: won / rounds } });
}
await session.detach();
