"""NetQASM programs of our own in real processes: sockets, broadcasts, callbacks, repeated runs, and how they fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

DEADLINE_S = 60

ALICE = """
from netqasm.sdk.classical_communication.message import StructuredMessage
from netqasm.sdk.external import BroadcastChannel, Socket
import random

class Listening(Socket):
    heard = None
    def recv_callback(self, msg):
        self.heard = msg

def main(app_config=None, word="hello"):
    socket = Socket("alice", "bob", log_config=app_config.log_config)
    listening = Listening("alice", "bob", socket_id=2, use_callbacks=True)
    socket.send(word)
    socket.send_structured(StructuredMessage("pair", (1, 2)))
    socket.send("nobody reads this")
    got = socket.recv()
    BroadcastChannel("alice", remote_app_names=["bob"], socket_id=1).send("all")
    try:
        socket.recv(timeout=0.01)
    except TimeoutError as error:
        late = str(error)
    print("alice is done")
    return {"got": got, "late": late, "heard": listening.heard, "drawn": random.random(), "z": 1 + 2j}
"""
BOB = """
from netqasm.sdk.external import BroadcastChannel, Socket

def main(app_config=None):
    socket = Socket("bob", "alice", log_config=app_config.log_config)
    channel = BroadcastChannel("bob", socket_id=1)
    polls = 0
    while True:
        try:
            word = socket.recv(block=False)
            break
        except RuntimeError:
            polls += 1
    pair = socket.recv_structured()
    Socket("bob", "alice", socket_id=2).send("called back")
    socket.send(word.upper())
    return {"polled": polls > 0, "header": pair.header, "payload": pair.payload, "broadcast": channel.recv()}
"""


def application(directory: Path, **programs: str) -> Path:
    for role, text in programs.items():
        (directory / f"app_{role}.py").write_text(text)
    return directory


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "orchestrator", "netqasm", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def results(*arguments: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    done = run("--json", *arguments)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found["results"], found


def test_programs_talk_and_each_run_is_its_own(tmp_path: Path) -> None:
    directory = application(tmp_path, alice=ALICE, bob=BOB)
    arguments = (str(directory), "--runs", "3", "--input", "alice.word=hi")
    runs, found = results(*arguments, "--out", str(tmp_path / "first"))
    assert len(runs) == 3
    for each in runs:
        assert each["app_alice"]["got"] == "HI"
        assert each["app_alice"]["heard"] == "called back"
        assert each["app_alice"]["z"] == {"real": 1.0, "imag": 2.0}
        assert "no message from bob to alice" in each["app_alice"]["late"]
        bob = each["app_bob"]
        assert (bob["header"], bob["payload"], bob["broadcast"]) == ("pair", [1, 2], ["alice", "all"])
    assert runs[0]["app_bob"]["polled"]
    assert len({each["app_alice"]["drawn"] for each in runs}) == 3, "each run draws anew"
    again, second = results(*arguments, "--out", str(tmp_path / "second"))
    assert (again, second["digest"]) == (runs, found["digest"])
    third, _ = results(*arguments, "--seed", "5", "--out", str(tmp_path / "third"))
    assert third[0]["app_alice"]["drawn"] != runs[0]["app_alice"]["drawn"]
    logged = (tmp_path / "first" / "netqasm" / "run-2" / "alice_class_comm.yaml").read_text()
    assert "Send classical message to bob: hi" in logged


def test_what_programs_print_and_give_is_shown(tmp_path: Path) -> None:
    done = run(str(application(tmp_path, alice=ALICE, bob=BOB)), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "alice | alice is done" in done.stdout
    assert "z: 1+2j" in done.stdout
    written = (tmp_path / "out" / "netqasm" / "results.yaml").read_text()
    assert "app_alice:\n" in written
    assert "!!python/complex '1.0+2.0j'" in written, "as the package's own results"


def test_a_program_that_fails_is_named_and_nobody_waits_for_it(tmp_path: Path) -> None:
    failing = "def main(app_config=None):\n    raise ValueError('the dog ate it')\n"
    done = run(str(application(tmp_path, alice=failing, bob=BOB)), "--out", str(tmp_path / "out"))
    assert done.returncode != 0
    assert "ValueError: the dog ate it" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_with_nobody_to_wait_for_fails_alone(tmp_path: Path) -> None:
    script = "from netqasm.sdk.external import simulate_application\ndef main():\n    simulate_application(None)\n"
    fine = "def main():\n    return 1\n"
    done = run(str(application(tmp_path, alice=script, bob=fine)), "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    (error,) = done.stderr.splitlines()
    assert "role alice ended with exit code 1" in error
    assert "run `qloom netqasm run DIRECTORY`" in error


def test_connections_that_programs_leave_open_are_closed_after_each_run(tmp_path: Path) -> None:
    program = """
from netqasm.sdk import EPRSocket
from netqasm.sdk.external import NetQASMConnection

def main():
    sockets = EPRSocket("{other}")
    connection = NetQASMConnection("{role}", epr_sockets=[sockets])
    qubit = sockets.{verb}_keep()[0]
    bit = qubit.measure()
    called = []
    connection.flush(block=False, callback=lambda: called.append(True))
    before = list(called)
    connection.block()
    return {{"bit": bit, "called": [before, called]}}
"""
    alice = program.format(role="alice", other="bob", verb="create")
    bob = program.format(role="bob", other="alice", verb="recv")
    runs, _ = results(str(application(tmp_path, alice=alice, bob=bob)), "--runs", "20", "--out", str(tmp_path / "out"))
    assert all(each["app_alice"]["bit"] == each["app_bob"]["bit"] for each in runs)
    assert len({each["app_alice"]["bit"] for each in runs}) == 2
    assert runs[0]["app_alice"]["called"] == [[], [True]], "the callback comes with the answer"


def test_the_true_state_is_seen_with_pending_gates_done_and_can_be_forbidden(tmp_path: Path) -> None:
    program = """
from netqasm.sdk import Qubit
from netqasm.sdk.external import NetQASMConnection, get_qubit_state

def main():
    with NetQASMConnection("alice") as connection:
        one, other = Qubit(connection), Qubit(connection)
        one.X()
        one.cnot(other)
        alone = get_qubit_state(one)
        both = get_qubit_state(other, reduced_dm=False)
        one.measure()
        connection.flush()
        try:
            get_qubit_state(one)
        except ValueError as error:
            gone = str(error)
    return {"alone": alone, "both": both.diagonal().real, "gone": gone}
"""
    directory = application(tmp_path, alice=program)
    ((found,), _) = results(str(directory), "--out", str(tmp_path / "out"))
    alice = found["app_alice"]
    assert [[each["real"] for each in row] for row in alice["alone"]] == [[0.0, 0.0], [0.0, 1.0]]
    assert alice["both"] == [0.0, 0.0, 0.0, 1.0]
    assert "not in memory" in alice["gone"]
    forbidden = {"version": 1, "name": "blind", "nodes": {"alice": None}, "limits": {"applications": {"oracle": False}}}
    (tmp_path / "blind.json").write_text(json.dumps(forbidden))
    done = run(str(directory), "--topology", str(tmp_path / "blind.json"), "--out", str(tmp_path / "second"))
    assert done.returncode == 1
    assert "Denied: this scenario lets no application see true states" in done.stderr


def test_a_scenario_file_runs_programs_too(tmp_path: Path) -> None:
    application(tmp_path, alice=ALICE, bob=BOB)
    scenario = {
        "version": 1,
        "name": "talk",
        "nodes": {"delft": None, "leiden": None},
        "links": {"fibre": {"ends": ["delft", "leiden"], "length_km": 5}},
        "applications": [
            {"name": "alice", "node": "delft", "netqasm": {"file": "app_alice.py", "inputs": {"word": "ho"}}},
            {"name": "bob", "node": "leiden", "netqasm": {"file": "app_bob.py"}},
        ],
    }
    (tmp_path / "talk.json").write_text(json.dumps(scenario))
    command = [sys.executable, "-P", "-m", "orchestrator", "run", str(tmp_path / "talk.json")]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    gave = json.loads((tmp_path / "out" / "netqasm" / "alice.jsonl").read_text())
    assert gave["results"]["got"] == "HO"
