"""What reaches a node from outside virtual time, on file before its next BLOCK leaves: enough to replay the node alone.

Grants are not in it, since the fabric's journal brings them about again. Nor is it that nothing came: a look that found
nothing changes nothing. So a node without applications writes down no more than what it was told at its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import msgspec

from qnode.config import NodeConfiguration
from qnode.outside import FABRIC
from qnode.record_file import RecordFile, RecordFileError, bodies
from qnode.transport import Transport
from qnode.wire import application, fabric
from qnode.wire.version import VERSION

MAGIC = b"qloom node journal 1\n"
QLOOM_VERSION = version("qloom")
"""Looked up once, by who forks the nodes: the modules that this takes would be 2 MB of each."""
LARGEST_BUFFER = 1 << 20
"""Bytes of records that are gathered at most before they are written."""


class RecordingFailed(Exception):
    """A node's journal cannot be written; says which and what to do."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """Base of what a node's journal holds."""


class Head(Record, tag=0, frozen=True):
    """Whose it is: the first record."""

    qloom_version: str
    wire_version: int
    configuration: NodeConfiguration
    """Without keys."""


class Polled(Record, tag=1, frozen=True):
    """Several sources had something at a time, or one that was not the fabric with a grant."""

    moment: int
    """How many grants, blocks and answers had passed before."""
    sources: tuple[tuple[str, bytes], ...]


class Granted(Record, tag=2, frozen=True):
    """Of what was polled: the fabric's next grant."""


class Told(Record, tag=3, frozen=True):
    """Of what was polled: another frame of the fabric."""

    frame: bytes


class Heard(Record, tag=4, frozen=True):
    """A client's message."""

    identity: bytes
    user: str
    frames: list[bytes]


class Silent(Record, tag=5, frozen=True):
    """Of what was polled: no client's message came after all, or none any more."""


class Late(Record, tag=6, frozen=True):
    """The wall clock ended a client's time."""

    moment: int
    identity: bytes


class Gone(Record, tag=7, frozen=True):
    """Clients are no longer connected."""

    moment: int
    identities: tuple[bytes, ...]


class NotTaken(Record, tag=8, frozen=True):
    """A client did not take its answer."""

    moment: int


class NotWatched(Record, tag=9, frozen=True):
    """A client's process could not be watched."""

    story: str


AnyRecord = Head | Polled | Granted | Told | Heard | Silent | Late | Gone | NotTaken | NotWatched

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AnyRecord).decode


def records(path: Path) -> Iterator[tuple[AnyRecord, int]]:
    """The whole records of a node's journal, each with the offset of its end; a torn one ends it.

    Raises:
        RecordFileError: there is none, or it was written by another version.
    """
    for number, (body, end) in enumerate(bodies(path, MAGIC)):
        if number == 0:
            _check_version(path, body)
        yield _decode(body), end


def _check_version(path: Path, head: bytes) -> None:
    """See that a journal is this version's, before anything of it is taken for what it may not be."""
    _, *found = msgspec.msgpack.decode(head)[:3]
    if found != [QLOOM_VERSION, VERSION]:
        raise RecordFileError(
            f"{path} was written by qloom {found[0]} with version {found[1]} of the wire; this is {version('qloom')} "
            f"with {VERSION}: replay it with the version that wrote it"
        )


class RecordingTransport(Transport):
    """The sockets of a node, whose every word is written down."""

    def __init__(self, configuration: NodeConfiguration, *, listener: int | None = None) -> None:
        """``listener``: see ``Transport``.

        Raises:
            RecordingFailed: the journal cannot be written.
        """
        super().__init__(configuration, listener=listener)
        path = Path(configuration.inputs_directory) / f"{configuration.label}.journal"
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._file = RecordFile(path, MAGIC)
        except OSError as error:
            raise _cannot_write(path, error) from error
        self._gathered_bytes = 0
        self._moment = 0
        self._polled = False
        """Whether what was polled is being taken in."""
        self._lone: Polled | None = None
        """What is to be written down unless it is but a grant."""
        bare = msgspec.structs.replace(configuration, security=None, fabric_key="", shake_s=0.0)
        self._note(Head(QLOOM_VERSION, VERSION, bare))
        self._write()

    def wait(self, timeout_ms: int | None = None, *, flooded: bool = False) -> Iterator[tuple[str, bytes]]:
        sources = tuple(super().wait(timeout_ms, flooded=flooded))
        if not sources:
            return
        polled = Polled(self._moment, sources)
        if len(sources) == 1 and sources[0][0] == FABRIC:
            self._lone = polled
        else:
            self._note(polled)
        self._polled = True
        yield from sources
        self._polled = False

    def from_fabric(self) -> fabric.ToNode:
        message = super().from_fabric()
        granted = isinstance(message, fabric.Grant)
        if self._lone is None or not granted:
            if self._lone is not None:
                self._note(self._lone)
            self._note(Granted() if granted else Told(fabric.to_node.encode(message)))
        self._lone = None
        self._moment += granted
        return message

    def to_fabric(self, message: fabric.ToFabric) -> None:
        if isinstance(message, fabric.Block):
            self._moment += 1
            self._write()
        super().to_fabric(message)

    def from_client(self) -> tuple[bytes, str, list[bytes]] | None:
        received = super().from_client()
        if received is not None:
            self._note(Heard(*received))
        elif self._polled:
            self._note(Silent())
        return received

    def to_client(self, identity: bytes, message: application.Answer, *, most_unread: int | None = None) -> bool:
        taken = super().to_client(identity, message, most_unread=most_unread)
        self._moment += 1
        if not taken:
            self._note(NotTaken(self._moment))
        return taken

    def watch(self, process_id: int, identity: bytes) -> int:
        try:
            return super().watch(process_id, identity)
        except (OSError, OverflowError) as error:
            self._note(NotWatched(str(error)))
            raise

    def gone(self, identities: Iterable[bytes]) -> tuple[bytes, ...]:
        gone = super().gone(identities)
        if gone:
            self._note(Gone(self._moment, gone))
        return gone

    def is_late(self, identity: bytes, since_s: float, limit_s: float) -> bool:
        late = super().is_late(identity, since_s, limit_s)
        if late:
            self._note(Late(self._moment, identity))
        return late

    def close(self) -> None:
        super().close()
        self._write()
        self._file.close()

    def _note(self, record: AnyRecord) -> None:
        body = _encode(record)
        self._file.gather(body)
        self._gathered_bytes += len(body)
        if self._gathered_bytes > LARGEST_BUFFER:
            self._write()

    def _write(self) -> None:
        if self._gathered_bytes == 0:
            return
        try:
            self._file.write()
        except OSError as error:
            raise _cannot_write(self._file.path, error) from error
        self._gathered_bytes = 0


def _cannot_write(path: Path, error: OSError) -> RecordingFailed:
    return RecordingFailed(
        f"the journal {path} cannot be written: {error.strerror}; without it the node cannot be replayed; make room "
        "there, or choose another run directory with --out"
    )
