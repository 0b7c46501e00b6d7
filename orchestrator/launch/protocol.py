"""Supervisor and agent: what to start on a host, and what became of it. One message a packet."""

from __future__ import annotations

from qnode.config import NodeConfiguration
from qnode.wire.codec import Codec, Message

LARGEST_PACKET_BYTES = 192 * 1024


class StartNode(Message, frozen=True, kw_only=True, tag="start_node"):
    """Fork a node, whose peers are those of an earlier ``Peers`` group."""

    peer_group: int
    configuration: NodeConfiguration
    log: str


class Peers(Message, frozen=True, kw_only=True, tag="peers"):
    """More names of a group of nodes that classical messages can pass between (sent in parts)."""

    group: int
    names: tuple[str, ...]


class ShareOneCore(Message, frozen=True, kw_only=True, tag="share_one_core"):
    """Start every further process on one and the same processor core."""


class Listen(Message, frozen=True, kw_only=True, tag="listen"):
    """Listen by TCP at an address of this host, a free port for each place; for those to be started later."""

    address: str
    places: tuple[str, ...]


class WarmUp(Message, frozen=True, kw_only=True, tag="warm_up"):
    """Import modules now, so that every process forked later has them."""

    modules: tuple[str, ...]


class StartFabric(Message, frozen=True, kw_only=True, tag="start_fabric"):
    """Fork the fabric; ``recover``: in the place of one that was killed."""

    configuration: str
    log: str
    recover: bool = False


class StartCommand(Message, frozen=True, kw_only=True, tag="start_command"):
    """Run a program in a session of its own."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    directory: str
    log: str
    module: str = ""
    """If the agent has been warmed up with the program's module, its name: then the process is forked from the agent
    and calls the module's ``main``, which finds the rest of ``command`` in ``sys.argv``."""
    output: str = ""
    """The file for its standard output, if that is not to go into the log."""


class Signal(Message, frozen=True, kw_only=True, tag="signal"):
    """Send a signal to a process and its group."""

    name: str
    number: int


class Shutdown(Message, frozen=True, kw_only=True, tag="shutdown"):
    """End everything: SIGTERM, after the grace SIGKILL, reap, remove the sockets, exit."""

    grace_s: float


class Keep(Message, frozen=True, kw_only=True, tag="keep"):
    """When the supervisor is gone, keep everything for so long, for another to adopt it."""

    seconds: float


class Orphans(Message, frozen=True, kw_only=True, tag="orphans"):
    """When the supervisor is gone and nobody adopts, the processes have this grace to end."""

    grace_s: float


ToAgent = (
    Keep | Orphans | StartNode | Peers | ShareOneCore | Listen | WarmUp | StartFabric | StartCommand | Signal | Shutdown
)


class AgentUp(Message, frozen=True, kw_only=True, tag="agent_up"):
    """The agent is ready to start processes."""

    agent: int
    """Its process id."""


class Listening(Message, frozen=True, kw_only=True, tag="listening"):
    """The ports, by place; or why there are none."""

    ports: dict[str, int]
    error: str = ""


class Started(Message, frozen=True, kw_only=True, tag="started"):
    """A process is running."""

    name: str
    process_id: int


class NotStarted(Message, frozen=True, kw_only=True, tag="not_started"):
    """A process could not be started."""

    name: str
    reason: str


class Ended(Message, frozen=True, kw_only=True, tag="ended"):
    """A process has ended, with an exit code or by a signal (then negative)."""

    name: str
    process_id: int
    code: int


class Adopted(Message, frozen=True, kw_only=True, tag="adopted"):
    """To a new supervisor: what is running, by name, and what has ended, with the code of its end."""

    agent: int
    running: dict[str, int]
    ended: dict[str, int]


FromAgent = Adopted | AgentUp | Listening | Started | NotStarted | Ended

to_agent: Codec[ToAgent] = Codec(ToAgent, maximum_bytes=LARGEST_PACKET_BYTES)
from_agent: Codec[FromAgent] = Codec(FromAgent, maximum_bytes=LARGEST_PACKET_BYTES)
