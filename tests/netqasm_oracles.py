"""What theory says of the applications bundled with the package netqasm: states to compare, correlations to count.

Every pair is a Werner state w |Phi+><Phi+| + (1 - w) I/4 (w = 1 on an ideal network), gates and memories are ideal. Then
every check is exact, or a count that is binomial with a known probability. Each oracle gets the results of many runs, what
the programs printed, and ``w(role, role)``; it gives checks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

Werner = Callable[[str, str], float]
ANGLE = 2e-3
"""How exact a prepared state is: NetQASM's angles are rounded to 1e-4 of pi, several times."""
PAULIS = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]),
}
HADAMARD = np.array([[1, 1], [1, -1]]) / math.sqrt(2)
CNOT = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])


@dataclass(frozen=True)
class Checked:
    """A number that was held against theory."""

    what: str
    n: int
    found: float
    expected: float
    sigma: float
    """Of ``found``; 0 where it must be as expected to within ``tolerance``."""
    tolerance: float = 0.0

    @property
    def sigmas(self) -> float:
        """How far it is away."""
        return abs(self.found - self.expected) / self.sigma if self.sigma else 0.0

    @property
    def holds(self) -> bool:
        """Whether theory stands."""
        if self.sigma:
            return self.sigmas <= 4.5
        return abs(self.found - self.expected) <= self.tolerance


def share(what: str, hits: list[bool], probability: float) -> Checked:
    """How often something happened that has this probability."""
    n = len(hits)
    assert n, what
    sigma = math.sqrt(probability * (1 - probability) / n)
    return Checked(what, n, sum(hits) / n, probability, sigma if sigma > 1e-9 else 0.0, 1e-9)


def equal_states(what: str, found: list[np.ndarray], expected: list[np.ndarray]) -> Checked:
    """The largest trace distance between states and what they should be."""
    distances = [np.abs(np.linalg.eigvalsh(one - other)).sum() / 2 for one, other in zip(found, expected, strict=True)]
    return Checked(what, len(found), float(max(distances)), 0.0, 0.0, ANGLE)


@dataclass(frozen=True)
class Seen:
    """What runs of one application gave."""

    runs: list[dict[str, Any]]
    """The results of each."""
    logs: dict[str, str]
    """What each role's program printed, all runs one after the other."""
    directory: Path
    """NetQASM's log files."""

    def of(self, role: str) -> list[dict[str, Any]]:
        """A role's results."""
        return [run[f"app_{role}"] for run in self.runs]


def matrix(rows: list[list[Any]]) -> np.ndarray:
    """A density matrix as the results have it."""
    return np.array([[complex(each["real"], each["imag"]) for each in row] for row in rows])


def ket(phi: float, theta: float) -> np.ndarray:
    """As ``set_qubit_state`` makes it."""
    return np.array([math.cos(theta / 2), np.exp(1j * phi) * math.sin(theta / 2)])


def density(state: np.ndarray) -> np.ndarray:
    return np.outer(state, state.conj())


def depolarised(state: np.ndarray, w: float) -> np.ndarray:
    return w * state + (1 - w) * np.eye(len(state)) / len(state)


def z_rotation(angle: float) -> np.ndarray:
    return np.diag([np.exp(-0.5j * angle), np.exp(0.5j * angle)])


# The applications


def single_node(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """A Bell measurement's circuit on a product: m1 is even, m2 is the first qubit along Z."""
    (theta,) = (inputs["alice"]["theta"],)
    yield share("m1 = 1", [each["m1"] == 1 for each in seen.of("alice")], 0.5)
    yield share("m2 = 1", [each["m2"] == 1 for each in seen.of("alice")], math.sin(theta / 2) ** 2)


def teleport(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """The received state is the sent one, depolarised as the pair is."""
    sent = density(ket(**inputs["sender"]))
    visibility = w("sender", "receiver")
    received = seen.of("receiver")
    yield equal_states(
        "received state",
        [matrix(each["received_state"]) for each in received],
        [depolarised(sent, visibility)] * len(received),
    )
    roots = [each["fidelity"] for each in received]
    expected = math.sqrt((1 + visibility) / 2)
    yield Checked("root fidelity by the program", len(roots), min(roots), expected, 0.0, ANGLE)
    corrections = [(int(each["correction1"] != "None"), int(each["correction2"] != "None")) for each in received]
    measured = [(each["m1"], each["m2"]) for each in seen.of("sender")]
    yield share(
        "corrections as measured", [one == other for one, other in zip(corrections, measured, strict=True)], 1.0
    )


def chsh(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """The game is won with probability 1/2 + v sqrt(2)/4 (Tsirelson 1980), v that of the two pairs in a row."""
    x, y = inputs["alice"]["x"], inputs["bob"]["y"]
    visibility = w("alice", "repeater") * w("repeater", "bob")
    won = [one["a"] ^ other["b"] == x * y for one, other in zip(seen.of("alice"), seen.of("bob"), strict=True)]
    yield share(f"won with x={x}, y={y}", won, 0.5 + visibility * math.sqrt(2) / 4)


def dist_cnot(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """CNOT of the two states; an X error of the pair is one of the target, a Z error one of the control."""
    control, target = ket(**inputs["controller"]), ket(**inputs["target"])
    ideal = density(CNOT @ np.kron(control, target))
    visibility = w("controller", "target")
    expected = visibility * ideal
    for z, x in product("IZ", "IX"):
        error = np.kron(PAULIS[z], PAULIS[x])
        expected = expected + (1 - visibility) / 4 * error @ ideal @ error
    found = [matrix(each["final_state"]) for each in seen.of("controller")]
    yield equal_states("final state", found, [expected] * len(found))


def link_layer_ck(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """Both print the same bits, which are even."""
    bits = {role: "".join(re.findall(r"^[01]{10}$", text, re.MULTILINE)) for role, text in seen.logs.items()}
    assert len(bits["client"]) == len(bits["server"]) == 10 * len(seen.runs)
    equal = [one == other for one, other in zip(bits["client"], bits["server"], strict=True)]
    yield share("equal bits", equal, (1 + w("client", "server")) / 2)
    yield share("bits that are 1", [bit == "1" for bit in bits["client"]], 0.5)


def link_layer_md(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """Measured along Y on arrival, the bits of Phi+ differ."""
    bits = {role: re.findall(rf"^{role.title()}: ([01])$", text, re.MULTILINE) for role, text in seen.logs.items()}
    assert len(bits["client"]) == len(bits["server"]) == 10 * len(seen.runs)
    differ = [one != other for one, other in zip(bits["client"], bits["server"], strict=True)]
    yield share("bits along Y that differ", differ, (1 + w("client", "server")) / 2)
    yield share("bits that are 1", [bit == "1" for bit in bits["client"]], 0.5)


SQUARE = (("XI", "XX", "IX"), ("XZ", "YY", "ZX"), ("IZ", "ZZ", "ZI"))


def magic_square(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """Rows are even and columns odd whatever the state is; the shared cell agrees (Mermin 1990, Peres 1990)."""
    row, column = inputs["player1"]["row"], inputs["player2"]["col"]
    rows = [each["row"] for each in seen.of("player1")]
    columns = [each["col"] for each in seen.of("player2")]
    yield share("rows that are even", [sum(each) % 2 == 0 for each in rows], 1.0)
    yield share("columns that are odd", [sum(each) % 2 == 1 for each in columns], 1.0)
    pairs = 2 - SQUARE[row][column].count("I")
    agree = [one[column] == other[row] for one, other in zip(rows, columns, strict=True)]
    yield share(f"cell {row}, {column} agrees", agree, (1 + w("player1", "player2") ** pairs) / 2)


def bb84(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """In equal bases the bits are equal but for errors of probability (1 - w)/2, and as many does the program find."""
    error = (1 - w("alice", "bob")) / 2
    alice, bob = seen.of("alice"), seen.of("bob")
    same, kept, compared = [], [], 0
    for one, other in zip(alice, bob, strict=True):
        assert one["qber"] == other["qber"]
        compared += one["outcome_comparison_count"]
        for (_, basis, agreed, bit, _), (_, their_basis, they_agreed, their_bit, _) in zip(
            one["table"], other["table"], strict=True
        ):
            assert agreed == they_agreed == (basis == their_basis)
            same.append(agreed)
            if agreed:
                kept.append(bit != their_bit)
    yield share("equal bases", same, 0.5)
    yield share("errors in equal bases", kept, error)
    wrong = sum(each["diff_outcome_count"] for each in alice)
    yield share("QBER by the programs", [True] * wrong + [False] * (compared - wrong), error)


def blind_server(client: dict[str, Any], theta: list[float], w: float) -> list[np.ndarray]:
    """The server's qubits, as the client's measurements of her halves have prepared them."""
    plus = np.array([1, 1]) / math.sqrt(2)
    return [
        depolarised(density(z_rotation(angle + bit * math.pi) @ plus), w)
        for angle, bit in zip(theta, client["m"], strict=True)
    ]


def cluster(qubits: list[np.ndarray], edges: list[tuple[int, int]]) -> np.ndarray:
    """Qubits entangled by controlled Z."""
    n = len(qubits)
    state = np.array([[1.0 + 0j]])
    for each in qubits:
        state = np.kron(state, each)
    for one, other in edges:
        signs = [-1 if index >> (n - 1 - one) & index >> (n - 1 - other) & 1 else 1 for index in range(1 << n)]
        state = state * np.outer(signs, signs)
    return state


def measured(state: np.ndarray, n: int, qubit: int, angle: float, bit: int) -> np.ndarray:
    """After RZ(angle), H and the outcome ``bit`` along Z, which stays in place; not normalised."""
    effect = np.eye(1)
    for each in range(n):
        projector = HADAMARD @ z_rotation(angle)
        mine = density(PAULIS["I"][bit]) @ projector if each == qubit else np.eye(2)
        effect = np.kron(effect, mine)
    return effect @ state @ effect.conj().T


def reduced(state: np.ndarray, n: int, qubit: int) -> np.ndarray:
    before, after = 1 << qubit, 1 << (n - 1 - qubit)
    return np.einsum("aibajb->ij", state.reshape(before, 2, after, before, 2, after))


def blind_grover(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """The result is the tagged element, with the probability of the cluster state of depolarised qubits: with
    ideal ones always (Barz et al., Science 335, 303, 2012)."""
    tagged = (inputs["client"]["b0"], inputs["client"]["b1"])
    visibility = w("client", "server")
    found, right = [], []
    for client in seen.of("client"):
        found.append((client["result0"], client["result1"]) == tagged)
        theta = [0.0, client["theta1"], client["theta2"], 0.0]
        start = cluster(blind_server(client, theta, visibility), [(0, 1), (1, 2), (2, 3), (0, 2)])
        first, second = client["s1"], client["s2"]
        state = measured(measured(start, 4, 1, client["delta1"], first), 4, 2, client["delta2"], second)
        wanted = (
            tagged[0] ^ first ^ client["r1"] ^ client["m"][0],
            tagged[1] ^ second ^ client["r2"] ^ client["m"][3],
        )
        ends = measured(measured(state, 4, 0, math.pi / 2, wanted[0]), 4, 3, math.pi / 2, wanted[1])
        right.append(float((np.trace(ends) / np.trace(state)).real))
    n, expected = len(found), sum(right) / len(right)
    sigma = math.sqrt(sum(each * (1 - each) for each in right)) / n
    yield Checked("tagged element found", n, sum(found) / n, expected, sigma if visibility < 1 else 0.0, ANGLE)
    if visibility == 1.0:
        yield Checked("probability of the tagged element", n, expected, 1.0, 0.0, ANGLE)


def blind_rotation(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """The server's last qubit is as the cluster of its depolarised qubits leaves it after its outcomes; with ideal
    ones it is H RZ(phi2) H RZ(phi1) H RZ(phi0) |+> up to the Paulis that only the client knows."""
    visibility = w("client", "server")
    found, expected, computed = [], [], []
    for client, server in zip(seen.of("client"), seen.of("server"), strict=True):
        steps = len(client["phi"])
        n = steps + 1
        state = cluster(blind_server(client, client["theta"], visibility), [(i, i + 1) for i in range(steps)])
        for step, (angle, bit) in enumerate(zip(client["delta"], client["s"], strict=True)):
            state = measured(state, n, step, angle, bit)
        found.append(matrix(server["output_state"]))
        expected.append(reduced(state, n, steps) / np.trace(state))
        rotated = np.array([1, 1]) / math.sqrt(2)
        for angle in client["phi"]:
            rotated = HADAMARD @ z_rotation(angle) @ rotated
        secret = [bit ^ key for bit, key in zip(client["s"], client["r"], strict=True)]
        if secret[-1]:
            rotated = PAULIS["X"] @ rotated
        if secret[-2] ^ client["m"][-1]:
            rotated = PAULIS["Z"] @ rotated
        if client["theta"][-1] == 0:
            computed.append(density(rotated))
    yield equal_states("output state, by its cluster", found, expected)
    if visibility == 1.0 and computed:
        yield equal_states("output state, by the rotations", found, computed)


def anonymous_transmission(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """Christandl and Wehner 2005. A GHZ state along the line has visibility W, the product of its pairs': the state is
    depolarised by W, and each of the two bits that are told with a GHZ state is wrong with probability (1 - W)/2."""
    (sender,) = (role for role, each in inputs.items() if each.get("sender"))
    (receiver,) = (role for role, each in inputs.items() if each.get("receiver"))
    sent = density(ket(inputs[sender]["phi"], inputs[sender]["theta"]))
    visibility = w("alice", "bob") * w("bob", "charlie") * w("charlie", "david")
    wrong_x, wrong_z, distances = [], [], []
    for each in seen.of(receiver):
        found = matrix(each["qubit_state"])
        possible = {}
        for x, z in product((0, 1), repeat=2):
            error = np.linalg.matrix_power(PAULIS["X"], x) @ np.linalg.matrix_power(PAULIS["Z"], z)
            rest = found - depolarised(error @ sent @ error.conj().T, visibility)
            possible[x, z] = float(np.abs(np.linalg.eigvalsh(rest)).sum() / 2)
        (x, z), distance = min(possible.items(), key=lambda item: item[1])
        wrong_x.append(bool(x))
        wrong_z.append(bool(z))
        distances.append(distance)
    n = len(distances)
    yield Checked("received state up to what was told", n, max(distances), 0.0, 0.0, ANGLE)
    yield share("bits for X that were told wrong", wrong_x, (1 - visibility) / 2)
    yield share("bits for Z that were told wrong", wrong_z, (1 - visibility) / 2)


def three_nodes(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """Each two measure equal bits."""

    def bits(role: str, other: str) -> list[str]:
        found = re.findall(rf"{role}:\s+m_{other}:\s*([01])", seen.logs[role])
        assert len(found) == len(seen.runs)
        return found

    for one, other in (("alice", "bob"), ("alice", "charlie"), ("bob", "charlie")):
        equal = [mine == theirs for mine, theirs in zip(bits(one, other), bits(other, one), strict=True)]
        yield share(f"equal bits of {one} and {other}", equal, (1 + w(one, other)) / 2)


def multiple_files(seen: Seen, w: Werner, inputs: dict[str, Any]) -> Iterator[Checked]:
    """Modules beside the program are found, and what they send arrives: the programs give nothing, their logs tell."""
    logs = sorted(seen.directory.rglob("bob_class_comm.yaml"))
    said = [re.findall(r"LOG: 'Message received from alice: (.*?)'", path.read_text(), re.DOTALL) for path in logs]
    expected = ["hello from main()", "message from mod.myfunc()"]
    yield share("both messages arrive", [[" ".join(one.split()) for one in each] == expected for each in said], 1.0)
    assert len(logs) == len(seen.runs)


Oracle = Callable[[Seen, Werner, dict[str, Any]], Iterator[Checked]]


@dataclass(frozen=True)
class Application:
    """One bundled application, and how it is checked."""

    oracle: Oracle
    roles: tuple[str, ...]
    """In the order in which they take the nodes a, c, b, d of the noisy network."""
    inputs: tuple[dict[str, dict[str, Any]], ...] = ({},)
    """Each of them is a run of the testbed."""
    log_level: str = "WARNING"


PHI, THETA = 0.7, 1.1
APPLICATIONS = {
    "anonymous_transmission": Application(
        anonymous_transmission,
        ("alice", "charlie", "bob", "david"),
        ({"alice": {"sender": True, "phi": PHI, "theta": THETA}, "david": {"receiver": True}},),
    ),
    "bb84": Application(bb84, ("alice", "bob"), ({"alice": {"num_bits": 20}, "bob": {"num_bits": 20}},)),
    "blind_grover": Application(
        blind_grover,
        ("client", "server"),
        tuple(
            {"client": {"b0": b0, "b1": b1, "r1": 1, "r2": b0, "theta1": 0.6, "theta2": 2.0}}
            for b0, b1 in ((1, 0), (0, 0), (0, 1), (1, 1))
        ),
    ),
    "blind_rotation": Application(
        blind_rotation,
        ("client", "server"),
        ({"client": {"theta": [0.4, 1.3, 2.2, 0], "r": [1, 0, 1]}},),
    ),
    "chsh": Application(
        chsh,
        ("alice", "bob", "repeater"),
        tuple({"alice": {"x": x}, "bob": {"y": y}} for x, y in ((1, 1), (0, 0), (0, 1), (1, 0))),
    ),
    "dist_cnot": Application(
        dist_cnot,
        ("controller", "target"),
        ({"controller": {"phi": PHI, "theta": THETA}, "target": {"phi": 2.0, "theta": 0.5}},),
    ),
    "link_layer_ck": Application(link_layer_ck, ("client", "server")),
    "link_layer_md": Application(link_layer_md, ("client", "server")),
    "magic_square": Application(
        magic_square,
        ("player1", "player2"),
        tuple(
            {"player1": {"row": row}, "player2": {"col": column}}
            for row, column in ((1, 1), (0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2))
        ),
    ),
    "multiple_files": Application(multiple_files, ("alice", "bob")),
    "single_node": Application(single_node, ("alice",), ({"alice": {"theta": THETA, "phi": PHI}},)),
    "teleport": Application(teleport, ("sender", "receiver"), ({"sender": {"phi": PHI, "theta": THETA}},)),
    "three_nodes": Application(three_nodes, ("alice", "charlie", "bob"), log_level="INFO"),
}
