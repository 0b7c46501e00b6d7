"""The base of every part of a scenario, and the ranges that many parts share."""

from __future__ import annotations

from typing import Annotated

import msgspec

Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Length = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
"""Kilometres, to beyond the Moon."""
RefractiveIndex = Annotated[float, msgspec.Meta(ge=1, le=1000)]
Modes = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
Fidelity = Annotated[float, msgspec.Meta(ge=0.25, le=1)]
"""Of a Werner state; 1/4 is the maximally mixed state."""
Population = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Interval = Annotated[float, msgspec.Meta(ge=1e-9, le=1e6)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a scenario; an unknown key in one is an error."""
