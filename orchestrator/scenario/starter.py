"""What ``qloom init`` writes: a network of two nodes and the programs that run on them."""

from __future__ import annotations

from pathlib import Path

NETWORK = """\
# A quantum network of two nodes. Run it:   qloom run network.yaml
version: 1
name: my_network
seed: 1                        # the same seed gives the same run, to the last photon

nodes:
  alice:
    hardware: ideal            # or nv-lab, trapped-ion, atomic-ensemble
  bob:
    hardware:
      profile: ideal
      communication:
        t2_s: 0.1              # bob's qubits lose coherence within 0.1 s; every field of a profile can be changed

links:
  alice-bob:
    ends: [alice, bob]
    length_km: 10              # the classical channel runs beside it
    heralding:
      scheme: source           # or single_click, double_click, midpoint_source, sender_receiver
      success_probability: 0.1 # of one attempt
      fidelity: 0.95           # of the pair that it makes

applications:                  # your programs, one process each
  - {name: alice, node: alice, command: [python, alice.py]}
  - {name: bob, node: bob, command: [python, bob.py]}

expectations:                  # what must hold for the run to succeed
  - {name: enough pairs, value: links.alice-bob.pairs, at_least: 100}
  - {name: the bits agree, value: results.alice.agreement, at_least: 0.8}
"""

ALICE = '''\
"""Measures one half of a hundred Bell pairs and compares the bits with bob's."""

from qnode.sdk import attach

ROUNDS = 100

with attach() as session:
    agreed = 0
    for _ in range(ROUNDS):
        pair = session.request_pair("bob", timeout_s=1.0)
        bit = session.measure(pair.qubit, axis="Z")
        session.send("bob", bytes([bit]), tag="bits")
        agreed += session.receive("bob", tag="bits") == bytes([bit])
    session.report(agreement=agreed / ROUNDS)
    print(f"{agreed} of {ROUNDS} bits agree after {session.now_s:.6f} s of virtual time")
'''

BOB = '''\
"""Measures the other half of alice's Bell pairs and tells her each bit."""

from qnode.sdk import attach

ROUNDS = 100

with attach() as session:
    for _ in range(ROUNDS):
        pair = session.request_pair("alice", timeout_s=1.0)
        bit = session.measure(pair.qubit, axis="Z")
        session.send("alice", bytes([bit]), tag="bits")
        session.receive("alice", tag="bits")
'''

STARTER = {"network.yaml": NETWORK, "alice.py": ALICE, "bob.py": BOB}
"""The text of each file by its name."""


def write_starter(directory: str | Path) -> list[Path]:
    """Writes the starter's files into a directory, made if need be, and returns their paths.

    Raises FileExistsError naming every file that is already there; nothing is written then.
    """
    folder = Path(directory)
    texts = {folder / name: text for name, text in STARTER.items()}
    existing = [str(path) for path in texts if path.exists() or path.is_symlink()]
    if existing:
        raise FileExistsError(f"expected to write new files, found {', '.join(existing)}; choose another directory")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return list(texts)
