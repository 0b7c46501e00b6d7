"""Key pairs, and what goes with them."""

from __future__ import annotations

import msgspec


class KeyPair(msgspec.Struct, frozen=True, kw_only=True):
    """A CURVE key pair, as Z85 text of 40 characters each."""

    public: str
    secret: str

    def __repr__(self) -> str:
        """Without the secret, so that no log has it."""
        return f"KeyPair(public={self.public!r})"


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """With what a process guards its sockets."""

    keys: KeyPair
    table: str
    """The directory of the keys that are let in."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody needs to speak at one place: the content of a private file."""

    name: str
    """As whom."""
    endpoint: str
    server_key: str
    """The public key of whoever listens there."""
    keys: KeyPair
    same_machine: bool = False
    """Whether process ids mean the same to both sides, so that each can watch the other's process."""
