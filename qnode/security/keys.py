"""Files of keys: those that hand key pairs over, and the table of those that a testbed lets in.

A place is where a process listens: ``fabric``, ``control``, ``observer``, or ``node-NAME``. The table is a private
directory with a file for each key, so whoever can write there can let somebody in while the testbed is up.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from qnode.security.types import Credentials


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the table."""

    name: str
    place: str


class CredentialsError(Exception):
    """A file of credentials cannot be used; says which and why."""


def write_private(path: Path, content: bytes) -> None:
    """A file that only this user can read, there at once and whole."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # of mode 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)


def read_credentials(path: Path) -> Credentials:
    """The credentials in a file.

    Raises:
        CredentialsError: it is not there, others can read it, or it holds none.
    """
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            raise CredentialsError(f"{path} can be read by others (mode {mode & 0o777:o}): chmod 600 {path}")
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except OSError as error:
        raise CredentialsError(f"cannot read credentials from {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise CredentialsError(f"{path} holds no credentials: {error}") from error


class KeyTable:
    """The keys that a testbed lets in, and whose they are."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, public_key: bytes, *, name: str, place: str) -> None:
        """Let the owner of a key speak at ``place`` as ``name``."""
        write_private(self._directory / public_key.hex(), msgspec.json.encode(_Entry(name=name, place=place)))

    def name_of(self, public_key: bytes, *, place: str) -> str | None:
        """Whose key it is; None if it is not known, or not at this place."""
        try:
            entry = msgspec.json.decode((self._directory / public_key.hex()).read_bytes(), type=_Entry)
        except FileNotFoundError:
            return None
        return entry.name if entry.place == place else None
