"""The labels of a long program are the package's own, and are found without trying all of them."""

from __future__ import annotations

import random
import time

from netqasm.sdk.builder import LabelManager

from qnode.netqasm_sdk.connection import Labels


def test_labels_are_those_of_the_package() -> None:
    ours, theirs, numbers = Labels(), LabelManager(), random.Random(1)
    for _ in range(2000):
        prefix = numbers.choice(["", "IF", "IF1", "IF_EXIT", "LOOP", "LOOP1", "LOOP12", "1"])
        assert ours.new_label(prefix) == theirs.new_label(prefix)


def test_the_hundred_thousandth_label_is_as_fast_as_the_first() -> None:
    labels = Labels()
    began_s = time.perf_counter()
    for _ in range(100_000):
        labels.new_label("LOOP")
    assert time.perf_counter() - began_s < 10  # the package's take minutes
