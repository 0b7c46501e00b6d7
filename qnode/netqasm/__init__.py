"""NetQASM at a node's edge: where its bytes are read and written."""
