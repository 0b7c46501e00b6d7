"""The other end of what alice does."""

from netqasm.sdk import EPRSocket
from netqasm.sdk.external import NetQASMConnection, Socket

BATCH = 100


def main(app_config=None, pairs=1000, directly=2000, teleports=500):
    socket, sockets = Socket("netqasm_bob", "netqasm_alice"), EPRSocket("netqasm_alice")
    ones = 0
    with NetQASMConnection("netqasm_bob", epr_sockets=[sockets], max_qubits=4) as connection:
        for _ in range(pairs):
            sockets.recv_keep()[0].measure()
            connection.flush()
        for _ in range(directly // BATCH):
            sockets.recv_measure(number=BATCH)
            connection.flush()
        for _ in range(teleports):
            (half,) = sockets.recv_keep()
            connection.flush()
            z, x = socket.recv(maxsize=2)  # elsewhere, messages may run together
            if x == "1":
                half.X()
            if z == "1":
                half.Z()
            bit = half.measure()
            connection.flush()
            ones += int(bit)
    return {"teleported_right": ones}
