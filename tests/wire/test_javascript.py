"""The client in JavaScript reads and writes every message as the wire's own codecs do, and says what a node refuses."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgpack
import pytest
from test_golden import CODECS, EXAMPLES

CLIENT = Path(__file__).resolve().parents[2] / "topologies" / "javascript" / "qloom.mjs"
PATH = f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}"
DEADLINE_S = 60
ECHO = """
import {{ packed, unpacked }} from "{client}";
let text = "";
for await (const chunk of process.stdin) text += chunk;
const plain = (key, value) => typeof value === "bigint" ? {{ bigint: String(value) }}
  : value?.type === "Buffer" ? {{ bytes: Buffer.from(value.data).toString("base64") }} : value;
console.log(JSON.stringify(JSON.parse(text).map((line) => {{
  const value = unpacked(Buffer.from(line, "base64"));
  return [value, packed(value).toString("base64")];
}}), plain));
"""
FAILS = """
import {{ attach, RequestFailed }} from "{client}";
const session = await attach();
try {{
  await session.ask("request_pairs", {{ remote: "nobody" }});
}} catch (error) {{
  console.log(error instanceof RequestFailed, error.code);
}}
await session.detach();
"""


def node(program: str, *, told: str = "", **environment: str) -> str:
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", program.format(client=CLIENT.as_uri())],
        input=told,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env={**os.environ, "PATH": PATH, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def plain(value: Any) -> Any:
    """As the program above prints it."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    return {"bigint": str(value)} if isinstance(value, int) and abs(value) >= 1 << 53 else value


def test_every_message_is_read_and_written() -> None:
    numbers = [0, 127, 128, 255, 256, 65535, 65536, 2**32, 2**53, 2**64 - 2**63 - 1, -1, -32, -33, -129, -(2**40), 1.5]
    long = [b"\0" * 70_000, "é" * 70_000, [1] * 70_000, {str(key): key for key in range(20)}]
    frames = [CODECS[protocol].encode(message) for protocol, message in EXAMPLES]
    frames += [msgpack.packb(value) for value in ([None, True, False], numbers, *long)]
    told = json.dumps([base64.b64encode(frame).decode() for frame in frames])
    answers = json.loads(node(ECHO, told=told))
    assert len(answers) == len(frames)
    for frame, (value, again) in zip(frames, answers, strict=True):
        expected = msgpack.unpackb(frame, strict_map_key=False)
        assert value == plain(expected)
        assert msgpack.unpackb(base64.b64decode(again), strict_map_key=False) == expected


@pytest.fixture
def live(ideal: Any, testbed_of: Any, tmp_path: Path) -> Any:
    with testbed_of(ideal("alice", "bob"), tmp_path) as live:
        yield live


def test_a_refusal_is_an_error_with_its_code(live: Any) -> None:
    told = node(FAILS, QLOOM_SOCKET=live.endpoint("alice"), QLOOM_APPLICATION="javascript")
    assert told == "true unsupported\n"
