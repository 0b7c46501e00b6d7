"""Forwarding rules: what a node does for a circuit, as building blocks and the local state each waits for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class BuildingBlock(Enum):
    """What a forwarding rule does."""

    GENERATE = "generate"
    DISTIL = "distil"
    SWAP = "swap"
    DELIVER = "deliver"
    DISCARD = "discard"


@dataclass(slots=True, frozen=True)
class ForwardingRule:
    """One building block and when it applies."""

    block: BuildingBlock
    side: str
    """``upstream``, ``downstream`` or ``both``."""
    condition: str

    def __str__(self) -> str:
        return f"{self.block.value} {self.side}: {self.condition}"
