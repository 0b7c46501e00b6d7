"""The blocking flavour: one call at a time; virtual time stands still between an answer and the next call."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec

from qnode.sdk import calls
from qnode.sdk.calls import PICOSECONDS, Call, T
from qnode.sdk.circuit import QubitLike
from qnode.sdk.connection import ATTACH_DEADLINE_S, Connection, error_of
from qnode.sdk.errors import NodeGone, RunEnded
from qnode.wire import application
from qnode.wire.application import BellPair

P = ParamSpec("P")


def _blocking(call: Callable[P, Call[T]]) -> Callable[Concatenate[Session, P], T]:
    @functools.wraps(call)
    def method(self: Session, /, *arguments: P.args, **named: P.kwargs) -> T:
        return self._do(call(*arguments, **named))

    return method


def attach(
    *,
    socket: str | None = None,
    application: str | None = None,
    holds_time: bool = True,
    credentials: str | os.PathLike[str] | None = None,
) -> Session:
    """Attach to a node; by default to the one that the environment names.

    Args:
        credentials: a private file that `qloom keys add` wrote, which names the node and has the keys.

    Raises:
        NodeGone: no node is there.
        RequestFailed: it does not want this application.
    """
    return Session(Connection(socket, application, holds_time=holds_time, credentials=credentials))


class Session:
    """An application's session with its node. Methods raise a ``RequestFailed`` when the node says no."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._open = True
        self._asked: dict[int, Pending[Any]] = {}
        """Calls without an answer yet."""
        self._stopped = ""
        """Why the run has ended."""
        connection.send_attach()
        try:
            self.attached: application.Attached = connection.attached(
                connection.wait_for_answer(deadline_s=ATTACH_DEADLINE_S)
            )
        except BaseException:
            connection.close()
            raise

    @property
    def node(self) -> str:
        """The node's name."""
        return self._connection.node

    @property
    def now_ps(self) -> int:
        """Virtual time as of the last answer."""
        return self._connection.now_ps

    @property
    def now_s(self) -> float:
        """Virtual time as of the last answer."""
        return self._connection.now_ps / PICOSECONDS

    run = _blocking(calls.run)
    prepare = _blocking(calls.prepare)
    gate = _blocking(calls.gate)
    unitary = _blocking(calls.unitary)
    h = _blocking(calls.h)
    x = _blocking(calls.x)
    y = _blocking(calls.y)
    z = _blocking(calls.z)
    s = _blocking(calls.s)
    rx = _blocking(calls.rx)
    ry = _blocking(calls.ry)
    rz = _blocking(calls.rz)
    cx = _blocking(calls.cx)
    cz = _blocking(calls.cz)
    measure = _blocking(calls.measure)
    measure_bell = _blocking(calls.measure_bell)
    move = _blocking(calls.move)
    discard = _blocking(calls.discard)
    request_pair = _blocking(calls.request_pair)
    measure_pairs = _blocking(calls.measure_pairs)
    prepare_remotely = _blocking(calls.prepare_remotely)
    receive_prepared = _blocking(calls.receive_prepared)
    open_request = _blocking(calls.open_request)
    next_pair = _blocking(calls.next_pair)
    cancel_request = _blocking(calls.cancel_request)
    teleport = _blocking(calls.teleport)
    receive_teleported = _blocking(calls.receive_teleported)
    next_circuit_pair = _blocking(calls.next_circuit_pair)
    next_circuit_outcome = _blocking(calls.next_circuit_outcome)
    next_circuit_event = _blocking(calls.next_circuit_event)
    close_circuit = _blocking(calls.close_circuit)
    next_group_qubit = _blocking(calls.next_group_qubit)
    close_group = _blocking(calls.close_group)
    send_qubit = _blocking(calls.send_qubit)
    receive_qubit = _blocking(calls.receive_qubit)
    send = _blocking(calls.send)
    receive = _blocking(calls.receive)
    sleep = _blocking(calls.sleep)
    oracle_state = _blocking(calls.oracle_state)
    report = _blocking(calls.report)
    report_key = _blocking(calls.report_key)

    @functools.wraps(calls.open_circuit)
    def open_circuit(self, *arguments: Any, **named: Any) -> VirtualCircuit:
        return VirtualCircuit(self, self._do(calls.open_circuit(*arguments, **named)))

    @functools.wraps(calls.accept_circuit)
    def accept_circuit(self, *arguments: Any, **named: Any) -> VirtualCircuit:
        return VirtualCircuit(self, self._do(calls.accept_circuit(*arguments, **named)))

    @functools.wraps(calls.open_group)
    def open_group(self, *arguments: Any, **named: Any) -> Group:
        return Group(self, self._do(calls.open_group(*arguments, **named)))

    @functools.wraps(calls.join_group)
    def join_group(self, *arguments: Any, **named: Any) -> Group:
        return Group(self, self._do(calls.join_group(*arguments, **named)))

    def request_pairs(
        self,
        remote: str,
        number: int,
        *,
        minimum_fidelity: float = 0.0,
        timeout_s: float | None = None,
        purpose: str = "",
        as_heralded: bool = False,
    ) -> Iterator[BellPair]:
        """``number`` pairs with a neighbour, one by one; the link goes on while the application uses the last."""
        request, pair = self._do(
            calls.open_request(
                remote,
                number,
                minimum_fidelity=minimum_fidelity,
                timeout_s=timeout_s,
                purpose=purpose,
                as_heralded=as_heralded,
            )
        )
        yield pair
        for _ in range(number - 1):
            yield self.next_pair(request)

    def begin(self, call: Call[T]) -> Pending[T]:
        """Ask for something and do not wait: the node acts on it when this program next waits for anything.

        ``call``: of ``qnode.sdk.calls``.
        """
        return self._send(call, waiting=False)

    def wait_any(self, *pending: Pending[Any]) -> None:
        """Let virtual time go on until one of these has its answer."""
        while not any(each.answered for each in pending):
            self._expect_open()
            self._connection.send_wait()
            self._take()

    def close(self) -> None:
        """Detach; closing twice is no error."""
        if not self._open:
            return
        try:
            self._do(calls.detach())
        except (NodeGone, RunEnded):
            pass  # a session ends with its node, too
        finally:
            self._open = False
            self._connection.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _do(self, call: Call[T]) -> T:
        pending = self._send(call, waiting=True)
        self._take()
        return pending.result()

    def _send(self, call: Call[T], *, waiting: bool) -> Pending[T]:
        self._expect_open()
        pending = Pending(self, call)
        self._asked[self._connection.send_call(call, waiting=waiting)] = pending
        return pending

    def _take(self) -> None:
        """The next answer goes to its call."""
        answer = self._connection.wait_for_answer()
        pending = self._asked.pop(answer.call, None) if answer.call is not None else None
        if isinstance(answer, application.Failed) and answer.code == "stopped" and self._open:
            self._open, self._stopped = False, answer.reason
            self._connection.close(linger_ms=0)
        if pending is not None:
            pending.answer(answer)
        elif answer.call is None:
            raise error_of(answer)  # to a frame that the node could not read, or about the whole session

    def _expect_open(self) -> None:
        if self._stopped:
            raise RunEnded(self._stopped)
        if not self._open:
            raise NodeGone(f"the session with node {self.node} is closed")


class Pending(Generic[T]):
    """A call that was begun, and its answer once that has come."""

    def __init__(self, session: Session, call: Call[T]) -> None:
        self._session = session
        self._call = call
        self._answer: application.Answer | None = None
        self.then: Callable[[], None] | None = None
        """Called when the answer comes, while the program waits for that or for anything else."""

    @property
    def answered(self) -> bool:
        """Whether ``result`` has no need to wait."""
        return self._answer is not None

    def result(self) -> T:
        """What the call gives; waits for it. Raises what the call raises."""
        self._session.wait_any(self)
        assert self._answer is not None
        if isinstance(self._answer, application.Failed):
            raise error_of(self._answer)
        return self._call.meaning(self._answer)

    def answer(self, answer: application.Answer) -> None:
        """For the session, when the answer comes."""
        self._answer = answer
        if self.then is not None:
            self.then()


class VirtualCircuit:
    """One end of a quantum virtual circuit."""

    def __init__(self, session: Session, opened: application.CircuitOpened) -> None:
        self._session = session
        self.opened = opened

    @property
    def name(self) -> str:
        """The same at both ends."""
        return self.opened.circuit

    @property
    def remote(self) -> str:
        """The node at the other end."""
        return self.opened.remote

    @property
    def path(self) -> tuple[str, ...]:
        """The nodes from the head to the tail, when it was opened."""
        return self.opened.path

    def next_pair(self, *, timeout_s: float | None = None) -> BellPair:
        """The next pair; both ends get it.

        Raises:
            CircuitClosed: there will be none.
            TimedOut: none came in time.
            BadRequest: the circuit is of kind M; its pairs are measured on arrival.
        """
        calls.expect_kind(self.opened, "K")
        return self._session.next_circuit_pair(self.name, timeout_s=timeout_s)

    def pairs(self, number: int) -> Iterator[BellPair]:
        """``number`` pairs, one by one; the network goes on while the application uses the last."""
        for _ in range(number):
            yield self.next_pair()

    def next_outcome(self, *, timeout_s: float | None = None) -> calls.CircuitOutcome:
        """Of a circuit of kind M: what this end read of the next pair.

        Each end goes through its own axes; after losses the two are not in step, so compare bits of equal ``number``
        and equal ``axis`` only.

        Raises:
            BadRequest: the circuit is of kind K.
        """
        calls.expect_kind(self.opened, "M")
        return self._session.next_circuit_outcome(self.name, timeout_s=timeout_s)

    def outcomes(self, number: int) -> Iterator[calls.CircuitOutcome]:
        """``number`` outcomes, one by one."""
        for _ in range(number):
            yield self.next_outcome()

    def next_event(self, *, timeout_s: float | None = None) -> application.CircuitEvent:
        """The next event: ``rerouted``, ``down``, ``preempted``, ``degraded`` or ``closed``, and why."""
        return self._session.next_circuit_event(self.name, timeout_s=timeout_s)

    def teleport(self, qubit: QubitLike, *, timeout_s: float | None = None) -> None:
        """Send a qubit's state to the other end, which calls ``receive_qubit``.

        The qubit is measured only after a pair has been confirmed at both ends; if none comes, it stays as it is. When
        this returns, the qubit lies at the other end, once.

        Raises:
            CircuitClosed, TimedOut: no pair came, and the qubit is still here.
            QubitLost: it was measured, and the other end does not have it.
            Inconclusive: it was measured, and the Bell measurement told nothing.
        """
        pair = self.next_pair(timeout_s=timeout_s)
        self._session.teleport(qubit, pair, confirmed=True)

    def receive_qubit(self, *, timeout_s: float | None = None) -> str:
        """The qubit whose state the other end teleports next."""
        pair = self.next_pair(timeout_s=timeout_s)
        return self._session.receive_teleported(pair, timeout_s=timeout_s)

    def close(self) -> None:
        """Free all that the circuit has reserved; pairs in hand stay. Closing twice is no error."""
        self._session.close_circuit(self.name)

    def __enter__(self) -> VirtualCircuit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, (NodeGone, RunEnded)):
            self.close()


class Group:
    """This node's part in states that several nodes share."""

    def __init__(self, session: Session, opened: application.GroupOpened) -> None:
        self._session = session
        self.opened = opened

    @property
    def name(self) -> str:
        """The same at all members."""
        return self.opened.group

    @property
    def members(self) -> tuple[str, ...]:
        """All nodes; the first opened the group."""
        return self.opened.members

    def next_qubit(self, *, timeout_s: float | None = None) -> str:
        """This node's qubit of the next state; the state is there once all members have theirs.

        Raises:
            CircuitClosed: there will be none.
            TimedOut: none came in time.
        """
        return self._session.next_group_qubit(self.name, timeout_s=timeout_s)

    def qubits(self, number: int) -> Iterator[str]:
        """``number`` qubits of as many states, one by one."""
        for _ in range(number):
            yield self.next_qubit()

    def close(self) -> None:
        """Leave the group, which ends for all. Closing twice is no error."""
        self._session.close_group(self.name)

    def __enter__(self) -> Group:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, (NodeGone, RunEnded)):
            self.close()
