"""What the client refuses before it asks."""

from __future__ import annotations

import pytest

from qnode.sdk import BadRequest
from qnode.sdk.calls import expect_kind
from qnode.wire.application import CircuitOpened, RequestKind


def opened(kind: RequestKind) -> CircuitOpened:
    return CircuitOpened(
        call=1,
        now_ps=0,
        circuit="a:0",
        remote="b",
        path=("a", "b"),
        kind=kind,
        minimum_fidelity=0.0,
        rate_bpps=1.0,
        expected_fidelity=0.9,
        expected_rate_bpps=2.0,
    )


def test_a_circuit_gives_what_its_kind_says_and_nothing_else() -> None:
    expect_kind(opened("K"), "K")
    expect_kind(opened("M"), "M")
    with pytest.raises(BadRequest, match="kind M: use next_outcome"):
        expect_kind(opened("M"), "K")
    with pytest.raises(BadRequest, match="kind K: use next_pair"):
        expect_kind(opened("K"), "M")
