"""Faults: when each strikes, what is broken now, and what that does to links, messages, memories and nodes."""
