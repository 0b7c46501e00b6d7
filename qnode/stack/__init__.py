"""The protocols of a node, pure: events in, actions out; no clock, socket, thread, file or chance."""
