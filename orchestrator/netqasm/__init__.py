"""Programs for the NetQASM SDK: what their processes are told, directories in NetQASM's layout, results."""
