"""MessagePack frames to and from the frozen types of this package: here bytes are believed or refused."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

MAXIMUM_PAYLOAD_BYTES = 16 * 1024 * 1024
"""Largest payload of one classical message."""
MAXIMUM_FRAME_BYTES = MAXIMUM_PAYLOAD_BYTES + 4096
"""Largest frame an application may send: a full payload and its envelope."""

T = TypeVar("T")


class WireError(ValueError):
    """A frame that is not a message of the protocol: the peer's fault."""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    """Base of every message: a map with its name under ``type``; unknown fields are refused."""


class Codec(Generic[T]):
    """Encodes any message and decodes those of one protocol (a union of message types)."""

    def __init__(self, protocol: Any, *, maximum_bytes: int = MAXIMUM_FRAME_BYTES) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(protocol).decode
        self._maximum_bytes = maximum_bytes

    def encode(self, message: T) -> bytes:
        """The frame of ``message``."""
        return self._encode(message)

    def decode(self, frame: bytes | memoryview) -> T:
        """The message in ``frame``.

        Raises:
            WireError: the frame is too large, not MessagePack, or no message of this protocol.
        """
        size = len(frame)
        if size > self._maximum_bytes:
            raise WireError(f"a frame of {size} bytes, expected at most {self._maximum_bytes}; split the payload")
        try:
            message: T = self._decode(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, MemoryError) as error:
            raise WireError(f"not a message of this protocol: {error}") from error
        return message
