"""What the client refuses before it asks, and what it makes of its arguments."""

from __future__ import annotations

import pytest

from qnode.sdk import BadRequest
from qnode.sdk.calls import expect_kind, report
from qnode.wire.application import CircuitOpened, Report, RequestKind, requests


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


def test_what_is_reported_is_numbers_on_the_wire_whatever_it_is_in_the_program() -> None:
    asked = requests.decode(requests.encode(report(safe=True, pairs=3, rate=(1, 0)).request))
    assert isinstance(asked, Report)
    assert asked.values == {"safe": 1.0, "pairs": 3.0, "rate": (1.0, 0.0)}
