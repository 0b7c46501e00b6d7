"""Node and node: what travels as the payload of a classical message."""

from __future__ import annotations

from typing import get_args
from zlib import crc32

from qnode.wire.circuits import CircuitMessage
from qnode.wire.codec import Codec, Message, WireError
from qnode.wire.groups import GroupMessage
from qnode.wire.netqasm import NetqasmPeerMessage
from qnode.wire.quantum import Axis, Bit
from qnode.wire.routing import Hello, RoutingMessage


class ApplicationMessage(Message, frozen=True, kw_only=True, tag="application_message"):
    """One application's bytes for another's."""

    sender_application: str
    recipient_application: str | None = None
    """None: whichever application there asks for it."""
    tag: str = ""
    payload: bytes = b""


class PairDiscarded(Message, frozen=True, kw_only=True, tag="pair_discarded"):
    """The sender's half of the pair is gone; yours is worth nothing."""

    pair_id: str
    reason: str


class TeleportOutcome(Message, frozen=True, kw_only=True, tag="teleport_outcome"):
    """The Bell measurement's bits: apply X^x, then Z^z, to your half of the pair."""

    pair_id: str
    bits: tuple[Bit, Bit]
    confirm: bool = False
    """Whether to answer with `QubitArrived`."""


class QubitArrived(Message, frozen=True, kw_only=True, tag="qubit_arrived"):
    """The answer to a teleportation that wants one: the qubit is here, or your half's partner was gone."""

    pair_id: str
    arrived: bool


class PreparedRemotely(Message, frozen=True, kw_only=True, tag="prepared_remotely"):
    """The sender measured its half along ``axis`` and read ``bit``: that prepared your half."""

    pair_id: str
    axis: Axis
    bit: Bit


PairNews = PairDiscarded | TeleportOutcome | QubitArrived | PreparedRemotely
"""From one end of a pair to the other."""

NetworkMessage = RoutingMessage | CircuitMessage | GroupMessage | NetqasmPeerMessage | PairNews
"""What has to arrive exactly once and in order. News of pairs comes as it is where there is no control plane."""


class Sequenced(Message, frozen=True, kw_only=True, tag="sequenced"):
    """One message of a sequence between two nodes, and how much of the recipient's own is here."""

    stream: int
    number: int
    their_stream: int
    heard: int
    """All of the recipient's messages of ``their_stream`` below this number are here."""
    message: NetworkMessage


class Acknowledged(Message, frozen=True, kw_only=True, tag="acknowledged"):
    """All of the recipient's messages of ``their_stream`` below ``heard`` are here."""

    stream: int
    """Which the sender's own sequence is, so that the recipient learns if it began anew."""
    their_stream: int
    heard: int
    gap: bool
    """Whether later ones are here, too, so that one between was lost."""


PeerMessage = ApplicationMessage | PairNews | Hello | Sequenced | Acknowledged

peer: Codec[PeerMessage] = Codec(PeerMessage)

MESSAGE_TYPES: tuple[str, ...] = tuple(
    dict.fromkeys(
        str(kind.__struct_config__.tag)
        for kind in (*get_args(PeerMessage), *get_args(NetworkMessage))
        if kind is not Sequenced
    )
)
"""What nodes tell each other; what a sequence carries has its own type."""


def carried(message: PeerMessage) -> PeerMessage | NetworkMessage:
    """What is told, without the envelope of its sequence."""
    return message.message if isinstance(message, Sequenced) else message


def type_of(message: PeerMessage) -> str:
    """One of ``MESSAGE_TYPES``."""
    return str(carried(message).__struct_config__.tag)


CHECKSUM_BYTES = 4


class ChecksumError(WireError):
    """What arrived is not what was sent."""


def sealed(message: PeerMessage) -> bytes:
    """The payload that carries ``message``: its frame and, big-endian, the frame's CRC-32 (IEEE 802.3)."""
    return resealed(peer.encode(message))


def resealed(frame: bytes) -> bytes:
    """The payload that carries a frame, whatever it says."""
    return frame + crc32(frame).to_bytes(CHECKSUM_BYTES, "big")


def unsealed(payload: bytes | memoryview) -> PeerMessage:
    """The message that ``payload`` carries.

    Raises:
        ChecksumError: bits have changed on the way.
        WireError: the bits are as they were sent, but no message of this protocol.
    """
    frame, checksum = memoryview(payload)[:-CHECKSUM_BYTES], bytes(payload[-CHECKSUM_BYTES:])
    if len(checksum) < CHECKSUM_BYTES or crc32(frame).to_bytes(CHECKSUM_BYTES, "big") != checksum:
        raise ChecksumError(f"the checksum of {len(payload)} bytes is wrong: they changed on the way")
    return peer.decode(frame)
