"""Quantum virtual circuits: reservations, signalling, the data plane, and what the ends do with pairs."""
