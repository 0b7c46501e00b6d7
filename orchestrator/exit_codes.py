"""Exit codes of every command."""

OK, EXPECTATION_FAILED, BAD_INPUT, TESTBED_FAILED = 0, 1, 2, 3
