"""Fixtures of the tests that start the real `qloom` program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from program import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world of this test's own, of which nothing may be left at its end."""
    made = World(tmp_path)
    try:
        yield made
        made.wait_until_clean()
    finally:
        made.destroy()


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world for tests of one module that only look at what one run did."""
    made = World(tmp_path_factory.mktemp("world"))
    try:
        yield made
        made.wait_until_clean()
    finally:
        made.destroy()
