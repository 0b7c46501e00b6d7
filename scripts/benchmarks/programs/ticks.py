"""Sleep in small steps of virtual time."""

import sys

from qnode.sdk import attach

with attach() as session:
    for _ in range(int(sys.argv[1])):
        session.sleep(float(sys.argv[2]))
