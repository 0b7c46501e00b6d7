"""What programs import as ``netqasm.sdk.external``."""

from qnode.netqasm_sdk.connection import NetQASMConnection, get_qubit_state, simulate_application
from qnode.netqasm_sdk.sockets import BroadcastChannel, Socket

__all__ = ["BroadcastChannel", "NetQASMConnection", "Socket", "get_qubit_state", "simulate_application"]
