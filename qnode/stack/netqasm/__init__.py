"""The executor of NetQASM: what a quantum node does for a host (Dahlberg et al., QST 7, 035023, 2022)."""
