"""What tests share: ideal scenarios, testbeds of real processes, an observer, a client of bare bytes, a driven node."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgpack
import pytest
import zmq

from orchestrator import control, scenario
from orchestrator.scenario.hardware import Hardware, Memory
from orchestrator.testbed import Testbed
from qnode.config import LinkConfiguration, NodeConfiguration
from qnode.stack.events import Action, Answer, Asked, Event, Operate, SendTo
from qnode.stack.node import Node
from qnode.wire import application, fabric
from qnode.wire.peer import PeerMessage, sealed
from qnode.wire.quantum import Prepare

T = TypeVar("T")
signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell's background jobs ignore it, and so would all that tests start and interrupt."""
DEADLINE_S = 60.0
"""Longest that a test waits for one answer."""
UP_DEADLINE_S = 120.0


def _ideal(
    *nodes: str, length_km: float = 1.0, slots: int = 4, name: str = "ideal", seed: int = 7, **durations_s: float
) -> scenario.Scenario:
    """A chain of nodes (default: alice, bob) with perfect devices and certain sources, ``slots`` of each role."""
    nodes = nodes or ("alice", "bob")
    memory = Memory(slots=slots)
    hardware = Hardware(communication=memory, storage=memory, **durations_s)
    return scenario.Scenario(
        version=1,
        name=name,
        seed=seed,
        nodes={node: scenario.Node(hardware=hardware) for node in nodes},
        links={
            f"{left}-{right}": scenario.Link(ends=(left, right), length_km=length_km)
            for left, right in itertools.pairwise(nodes)
        },
    )


@dataclass(slots=True)
class LiveTestbed:
    """A testbed whose event loop runs in a thread, for tests that are not asynchronous."""

    testbed: Testbed
    loop: asyncio.AbstractEventLoop

    def do(self, work: Coroutine[Any, Any, T], *, deadline_s: float = DEADLINE_S) -> T:
        """Await ``work`` in the testbed's loop, but not for ever."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(deadline_s)

    def endpoint(self, node: str) -> str:
        """Where applications attach to ``node``."""
        return self.testbed.endpoint(node)

    @property
    def observer_endpoint(self) -> str:
        """Where the oracle answers."""
        return self.testbed.observer_endpoint

    @property
    def fabric_endpoint(self) -> str:
        """Where nodes say hello."""
        return self.testbed.endpoint_of("fabric")

    def running(self) -> dict[str, int]:
        """The process ids of what is still running, by name."""
        return {name: each.process_id for name, each in self.testbed.processes.items() if each.code is None}


@contextlib.contextmanager
def _testbed_of(
    wanted: scenario.Scenario,
    directory: Path,
    *,
    serves_until_stopped: bool = True,
    starts: bool = True,
    held: bool = False,
) -> Iterator[LiveTestbed]:
    """``wanted`` up as real processes; ``starts``: virtual time has begun when this gives it over."""
    (directory / "logs").mkdir(parents=True, exist_ok=True)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="testbed")
    thread.start()
    testbed = Testbed(wanted, directory, directory, serves_until_stopped=serves_until_stopped, held=held)
    live = LiveTestbed(testbed, loop)
    try:
        live.do(testbed.__aenter__(), deadline_s=UP_DEADLINE_S)
        try:
            if starts:
                live.do(testbed.start_virtual_time())
            yield live
        finally:
            live.do(testbed.__aexit__(None, None, None), deadline_s=UP_DEADLINE_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(DEADLINE_S)
        loop.close()


@dataclass(slots=True)
class BareClient:
    """A DEALER that speaks in maps and bytes: only ZeroMQ and the ``msgpack`` package, none of the product."""

    endpoint: str
    identity: bytes | None = None
    keys: tuple[str, str, str] | None = None
    """Public and secret of its own, and public of whom it speaks to."""
    calls: int = 0
    answered: int = 0
    context: Any = field(default_factory=zmq.Context)
    socket: Any = None

    def __post_init__(self) -> None:
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        if self.identity is not None:
            self.socket.setsockopt(zmq.ROUTING_ID, self.identity)
        if self.keys is not None:
            public, secret, server = (key.encode() for key in self.keys)
            self.socket.curve_publickey, self.socket.curve_secretkey, self.socket.curve_serverkey = (
                public,
                secret,
                server,
            )
        self.socket.connect(self.endpoint)

    def send(self, **message: Any) -> None:
        """One map, packed by ``msgpack``."""
        self.send_frames(msgpack.packb(message))

    def send_frames(self, *frames: bytes) -> None:
        """These very bytes."""
        self.socket.send_multipart(frames)

    def receive(self, *, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """The next answer; none within the deadline is a failure."""
        assert self.socket.poll(deadline_s * 1000), f"no answer from {self.endpoint} within {deadline_s:g} s"
        while not (frame := self.socket.recv()):
            pass  # the node looks whether this client is still connected
        answer = msgpack.unpackb(frame)
        assert isinstance(answer, dict)
        self.answered += 1
        return answer

    def silent(self) -> bool:
        """Whether nothing has come that was not read."""
        return not self.socket.poll(0)

    def ask(self, request: str, /, **fields: Any) -> dict[str, Any]:
        """A request with a fresh call number, and its answer."""
        self.calls += 1
        self.send(type=request, call=self.calls, **fields)
        answer = self.receive()
        assert answer["call"] == self.calls, answer
        return answer

    def attach(self, application: str, **fields: Any) -> dict[str, Any]:
        """Open a session."""
        return self.ask("attach", version=3, application=application, **fields)

    def rest(self) -> None:
        """Let virtual time go on although no call is open."""
        self.send(type="wait", seen=self.answered)

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()
        self.context.term()


@contextlib.contextmanager
def _bare_client(
    endpoint: str, identity: bytes | None = None, *, keys: tuple[str, str, str] | None = None
) -> Iterator[BareClient]:
    client = BareClient(endpoint, identity, keys)
    try:
        yield client
    finally:
        client.close()


def _observe(endpoint: str, question: control.Observation) -> control.OracleView:
    """What the oracle says, as a typed message."""
    with _bare_client(endpoint) as client:
        client.send_frames(control.observations.encode(question))
        assert client.socket.poll(DEADLINE_S * 1000), f"the observer's port {endpoint} is silent"
        return control.oracle_views.decode(client.socket.recv())


class DrivenNode:
    """A pure node in a test's hands: events in, actions out, its memory's invariants checked after each."""

    def __init__(self, name: str = "alice", *remotes: str, **configuration: Any) -> None:
        remotes = remotes or ("bob",)
        links = tuple(
            LinkConfiguration(name="-".join(sorted((name, remote))), remote=remote, goodness=0.9, corrects=True)
            for remote in remotes
        )
        defaults: dict[str, Any] = {
            "communication_slots": 2,
            "storage_slots": 2,
            "links": links,
            "peers": (name, *remotes),
        }
        self.node = Node(NodeConfiguration(name=name, **{**defaults, **configuration}))
        self.now = 0
        self.actions: list[Action] = []
        self.calls = 0

    def handle(self, event: Event) -> list[Action]:
        """What the node does about ``event`` now."""
        self.actions = self.node.handle(self.now, event)
        memory = self.node.core.memory
        memory.check()
        free = [id(slot) for slots in memory._free.values() for slot in slots]
        assert len(set(free)) == len(free), "a slot is free twice"
        return self.actions

    def attach(self, session: int = 0, name: str = "app") -> list[Action]:
        """Open a session."""
        return self.handle(Asked(session, application.Attach(call=0, version=3, application=name)))

    def ask(self, kind: type, /, *, session: int = 0, **fields: Any) -> list[Action]:
        """A request with a fresh call number (``self.calls``), unless ``call`` is given."""
        self.calls = fields.pop("call", self.calls + 1)
        return self.handle(Asked(session, kind(call=self.calls, **fields)))

    def hear(self, sender: str, message: PeerMessage) -> list[Action]:
        """A message of another node arrives."""
        return self.handle(fabric.Delivered(at=self.now, sender=sender, payload=sealed(message)))

    def complete(self, *bits: int, operation: int | None = None) -> list[Action]:
        """The operation (default: the one that the last actions ask for) is done."""
        operation = self.operation if operation is None else operation
        return self.handle(fabric.Completed(at=self.now, operation=operation, bits=bits))

    def refuse(
        self, code: str, reason: str = "because", *, operation: int | None = None, done: int = 0
    ) -> list[Action]:
        """The operation is refused by the fabric, after ``done`` steps of it."""
        operation = self.operation if operation is None else operation
        return self.handle(fabric.Refused(at=self.now, operation=operation, code=code, reason=reason, done=done))

    def herald(self, pair_id: str, *, operation: int, bell_index: int = 0, emitted_at: int = 0) -> list[Action]:
        """A pair is announced to the attempts that ``operation`` started."""
        link = pair_id.rpartition("/")[0]
        return self.handle(
            fabric.Heralded(
                at=self.now,
                operation=operation,
                link=link,
                pair_id=pair_id,
                bell_index=bell_index,
                emitted_at=emitted_at,
            )
        )

    def prepare(self, *, session: int = 0, role: Any = "storage") -> str:
        """A qubit of the session, prepared and done."""
        self.ask(application.Run, session=session, steps=(Prepare(role=role),))
        self.complete()
        (answer,) = self.answers
        assert isinstance(answer, application.Outcomes)
        return answer.qubits[0]

    def pair(self, pair_id: str = "alice-bob/0", *, session: int = 0, **fields: Any) -> application.BellPair:
        """A pair of the session, asked for, heralded as Phi+ and delivered."""
        self.ask(application.RequestPairs, session=session, remote="bob", **fields)
        self.herald(pair_id, operation=self.operation)
        (answer,) = self.answers
        assert isinstance(answer, application.Pair)
        return answer.pair

    @property
    def operation(self) -> int:
        """The number of the one operation that the last actions ask for."""
        (operation,) = self.operations
        return operation.operation

    @property
    def operations(self) -> list[Operate]:
        """What the last actions ask of the fabric."""
        return [action for action in self.actions if isinstance(action, Operate)]

    @property
    def answers(self) -> list[application.Answer]:
        """What the last actions answer."""
        return [action.message for action in self.actions if isinstance(action, Answer)]

    @property
    def sent(self) -> list[SendTo]:
        """What the last actions send to other nodes."""
        return [action for action in self.actions if isinstance(action, SendTo)]

    def failure(self) -> tuple[int | None, str]:
        """Call and code of the one failure that the last actions answer."""
        (answer,) = self.answers
        assert isinstance(answer, application.Failed), answer
        return answer.call, answer.code

    def free(self) -> tuple[int, int]:
        """Free communication and storage slots."""
        memory = self.node.core.memory
        return memory.free("communication"), memory.free("storage")


@pytest.fixture(scope="session")
def driven() -> type[DrivenNode]:
    """``driven("alice", "bob", communication_slots=1)``: a pure node with links to the named neighbours."""
    return DrivenNode


@pytest.fixture
def alice() -> DrivenNode:
    """A node with two slots of each role, a link to bob, and one application as session 0."""
    node = DrivenNode()
    node.attach()
    return node


@pytest.fixture(scope="session")
def ideal() -> Callable[..., scenario.Scenario]:
    """``ideal("alice", "bob", length_km=1, slots=4, measure_duration_s=1e-6)``: a scenario of perfect devices."""
    return _ideal


@pytest.fixture(scope="session")
def testbed_of(qloom_nursery: None) -> Callable[..., contextlib.AbstractContextManager[LiveTestbed]]:
    """``with testbed_of(scenario, directory) as live``: real processes, taken down whatever happens."""
    return _testbed_of


@pytest.fixture(scope="session")
def bare_client() -> Callable[..., contextlib.AbstractContextManager[BareClient]]:
    """``with bare_client(endpoint) as client``: a client that shares no code with the product."""
    return _bare_client


@pytest.fixture(scope="session")
def observe() -> Callable[[str, control.Observation], control.OracleView]:
    """``observe(live.observer_endpoint, AskCensus())``: the truth."""
    return _observe
