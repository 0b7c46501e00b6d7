"""What programs written for the NetQASM SDK run on, in their own process: connections, sockets, the loader.

``python -m qnode.netqasm_sdk CONFIGURATION.json`` runs one program. Needs the extra ``netqasm``.
"""
