"""An image of the fabric is a help, and no condition of a run."""

from __future__ import annotations

import os

import pytest

from orchestrator.fabric.images import Bedside, Images


def test_a_machine_that_forks_no_more_costs_the_image_and_not_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", full)
    bedside = Bedside()
    images = Images(bedside)
    assert images.due
    images.take(lambda: None)
    assert not images.due
    assert bedside.latest == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "no image of the fabric could be made: " in said.err
    bedside.close()
