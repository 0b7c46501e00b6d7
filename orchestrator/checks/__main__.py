"""The process in which a hook is called."""

import sys

from orchestrator.checks.hook import main

if __name__ == "__main__":
    main(sys.argv[1:])
