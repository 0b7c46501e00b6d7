"""Hold a qubit of the hub's GHZ state until told to measure it."""

from qnode.sdk import attach

with attach() as session:
    qubit = session.receive_qubit("hub")
    session.send("hub", b"", tag="held")
    session.receive("hub", tag="measure")
    session.send("hub", bytes([session.measure(qubit)]), tag="bit")
