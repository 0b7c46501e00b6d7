"""A man in the middle of a classical channel: he reads, changes or drops messages, and nobody can see it from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from orchestrator.fabric.faults.effects import Draws, Passing, Tell, with_flipped_bits
from orchestrator.scenario.faults import ManInTheMiddle
from orchestrator.topology import Hop
from qnode.wire.codec import WireError
from qnode.wire.peer import (
    CHECKSUM_BYTES,
    ApplicationMessage,
    PeerMessage,
    carried,
    resealed,
    sealed,
    type_of,
    unsealed,
)

MOST_SHOWN_BYTES = 256
"""What is longer stands in the event log by its hash."""


@dataclass(slots=True)
class Interception:
    """Acts on messages that it can read: one that is damaged already passes."""

    fault: ManInTheMiddle
    draws: Draws
    tell: Tell

    def act(self, passing: Passing, hop: Hop) -> list[Passing]:
        fault, stream = self.fault, self.draws.of(passing)
        chosen = stream.uniform() < fault.fraction
        message = self._wanted(passing.payload) if chosen else None
        if message is None:
            return [passing]
        if fault.action == "read":
            self._told("message_read", passing, hop, message)
        elif fault.action == "drop":
            self._told("message_lost", passing, hop, message)
            passing.lost = True
        else:
            passing.payload = self._changed(passing.payload, message, passing)
            self._told("message_changed", passing, hop, message)
        return [passing]

    def _told(self, kind: str, passing: Passing, hop: Hop, message: PeerMessage) -> None:
        if not passing.lost:
            self.tell(kind, passing, hop, described(message))

    def _wanted(self, payload: bytes) -> PeerMessage | None:
        """The message, if it is one of those that he looks for."""
        fault = self.fault
        try:
            message = unsealed(payload)
        except WireError:
            return None
        if "all" not in fault.messages and type_of(message) not in fault.messages:
            return None
        if fault.tag is not None and not (isinstance(message, ApplicationMessage) and message.tag == fault.tag):
            return None
        return message

    def _changed(self, payload: bytes, message: PeerMessage, passing: Passing) -> bytes:
        fault, stream = self.fault, self.draws.of(passing)
        if isinstance(message, ApplicationMessage):
            if fault.payload is not None:
                content = fault.payload.encode()
            else:
                content, _ = with_flipped_bits(message.payload, fault.flip_bits or 0, stream)
            return sealed(msgspec.structs.replace(message, payload=content))
        frame, _ = with_flipped_bits(payload[:-CHECKSUM_BYTES], fault.flip_bits or 0, stream)
        return resealed(frame)


def described(message: PeerMessage) -> dict[str, Any]:
    """A message as the event log shows it: its type, and its content or, if that is long, the content's hash."""
    details: dict[str, Any] = {"type": type_of(message)}
    if isinstance(message, ApplicationMessage):
        details |= {"application": message.sender_application, "tag": message.tag}
        content: bytes = message.payload
    else:
        content = msgspec.json.encode(carried(message))
    if len(content) > MOST_SHOWN_BYTES:
        return details | {"blake2b": hashlib.blake2b(content, digest_size=16).hexdigest()}
    try:
        return details | {"content": content.decode()}
    except UnicodeDecodeError:
        return details | {"content_hex": content.hex()}
