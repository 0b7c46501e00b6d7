"""``python -m orchestrator`` is ``qloom``."""

from orchestrator.cli import main

if __name__ == "__main__":
    main()
