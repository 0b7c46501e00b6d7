"""The asyncio flavour: many calls at a time; virtual time goes on when every task waits.

The event loop itself says when that is: it runs on a selector that is asked to sleep only when nothing is ready.
"""

from __future__ import annotations

import asyncio
import functools
import os
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec

from qnode.sdk import calls
from qnode.sdk.calls import PICOSECONDS, Call, T
from qnode.sdk.circuit import QubitLike
from qnode.sdk.connection import ATTACH_DEADLINE_S, LINGER_MS, Connection, error_of
from qnode.sdk.errors import NodeGone, QloomError, RunEnded
from qnode.wire import application
from qnode.wire.application import BellPair

P = ParamSpec("P")


class _WaitingSelector(selectors.DefaultSelector):
    """Tells its sessions when the event loop is about to sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[AsyncSession] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if (timeout is None or timeout > 0) and self._some_answered():
            timeout = 0
        return super().select(timeout)

    def _some_answered(self) -> bool:
        """Ask every session, not only up to the first that has answers."""
        answered = [session._before_sleep() for session in self.sessions]
        return any(answered)


class _WaitingLoop(asyncio.SelectorEventLoop):
    """An event loop on a ``_WaitingSelector``."""

    def __init__(self) -> None:
        self.waiting_selector = _WaitingSelector()
        super().__init__(self.waiting_selector)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` in an event loop that lets virtual time go on whenever all its tasks wait."""
    with asyncio.Runner(loop_factory=_WaitingLoop) as runner:
        return runner.run(main)


def _awaitable(call: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncSession, P], Awaitable[T]]:
    @functools.wraps(call)
    def method(self: AsyncSession, /, *arguments: P.args, **named: P.kwargs) -> Awaitable[T]:
        return self._do(call(*arguments, **named))

    return method


def attach(
    *,
    socket: str | None = None,
    application: str | None = None,
    holds_time: bool = True,
    credentials: str | os.PathLike[str] | None = None,
) -> AsyncSession:
    """A session with a node, to be used as ``async with attach() as session`` under ``run``.

    Raises:
        QloomError: the event loop is not that of ``run``.
        NodeGone: no node is there.
    """
    return AsyncSession(socket=socket, application=application, holds_time=holds_time, credentials=credentials)


class AsyncSession:
    """An application's session with its node, under ``aio.run``; an asynchronous context manager."""

    def __init__(
        self,
        *,
        socket: str | None = None,
        application: str | None = None,
        holds_time: bool = True,
        credentials: str | os.PathLike[str] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, _WaitingLoop):
            raise QloomError("an asynchronous session needs the event loop of qnode.sdk.aio.run(main())")
        self._loop = loop
        self._connection = Connection(socket, application, holds_time=holds_time, credentials=credentials)
        self._calls: dict[int, tuple[Call[Any], asyncio.Future[Any]]] = {}
        self._said_waiting_at = -1

    async def __aenter__(self) -> AsyncSession:
        connection = self._connection
        connection.send_attach()
        try:
            self.attached = connection.attached(connection.wait_for_answer(deadline_s=ATTACH_DEADLINE_S))
        except BaseException:
            connection.close()
            raise
        self._loop.waiting_selector.sessions.append(self)
        self._loop.add_reader(connection.socket.FD, self._take_answers)
        for descriptor in connection.life_descriptors():
            self._loop.add_reader(descriptor, self._look_for_trouble)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        linger_ms = LINGER_MS
        try:
            if isinstance(error, RunEnded):
                linger_ms = 0
            else:
                await self._do(calls.detach())
        except (NodeGone, RunEnded):
            linger_ms = 0  # a session ends with its node, too
        finally:
            self._loop.waiting_selector.sessions.remove(self)
            self._loop.remove_reader(self._connection.socket.FD)
            for descriptor in self._connection.life_descriptors():
                self._loop.remove_reader(descriptor)
            self._connection.close(linger_ms=linger_ms)

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

    run = _awaitable(calls.run)
    prepare = _awaitable(calls.prepare)
    gate = _awaitable(calls.gate)
    unitary = _awaitable(calls.unitary)
    h = _awaitable(calls.h)
    x = _awaitable(calls.x)
    y = _awaitable(calls.y)
    z = _awaitable(calls.z)
    s = _awaitable(calls.s)
    rx = _awaitable(calls.rx)
    ry = _awaitable(calls.ry)
    rz = _awaitable(calls.rz)
    cx = _awaitable(calls.cx)
    cz = _awaitable(calls.cz)
    measure = _awaitable(calls.measure)
    measure_bell = _awaitable(calls.measure_bell)
    move = _awaitable(calls.move)
    discard = _awaitable(calls.discard)
    request_pair = _awaitable(calls.request_pair)
    measure_pairs = _awaitable(calls.measure_pairs)
    prepare_remotely = _awaitable(calls.prepare_remotely)
    receive_prepared = _awaitable(calls.receive_prepared)
    open_request = _awaitable(calls.open_request)
    next_pair = _awaitable(calls.next_pair)
    cancel_request = _awaitable(calls.cancel_request)
    teleport = _awaitable(calls.teleport)
    receive_teleported = _awaitable(calls.receive_teleported)
    next_circuit_pair = _awaitable(calls.next_circuit_pair)
    next_circuit_outcome = _awaitable(calls.next_circuit_outcome)
    next_circuit_event = _awaitable(calls.next_circuit_event)
    close_circuit = _awaitable(calls.close_circuit)
    next_group_qubit = _awaitable(calls.next_group_qubit)
    close_group = _awaitable(calls.close_group)
    send_qubit = _awaitable(calls.send_qubit)
    receive_qubit = _awaitable(calls.receive_qubit)
    send = _awaitable(calls.send)
    receive = _awaitable(calls.receive)
    sleep = _awaitable(calls.sleep)
    oracle_state = _awaitable(calls.oracle_state)
    report = _awaitable(calls.report)
    report_key = _awaitable(calls.report_key)

    @functools.wraps(calls.open_circuit)
    async def open_circuit(self, *arguments: Any, **named: Any) -> AsyncVirtualCircuit:
        return AsyncVirtualCircuit(self, await self._do(calls.open_circuit(*arguments, **named)))

    @functools.wraps(calls.accept_circuit)
    async def accept_circuit(self, *arguments: Any, **named: Any) -> AsyncVirtualCircuit:
        return AsyncVirtualCircuit(self, await self._do(calls.accept_circuit(*arguments, **named)))

    @functools.wraps(calls.open_group)
    async def open_group(self, *arguments: Any, **named: Any) -> AsyncGroup:
        return AsyncGroup(self, await self._do(calls.open_group(*arguments, **named)))

    @functools.wraps(calls.join_group)
    async def join_group(self, *arguments: Any, **named: Any) -> AsyncGroup:
        return AsyncGroup(self, await self._do(calls.join_group(*arguments, **named)))

    async def request_pairs(
        self,
        remote: str,
        number: int,
        *,
        minimum_fidelity: float = 0.0,
        timeout_s: float | None = None,
        purpose: str = "",
        as_heralded: bool = False,
    ) -> AsyncIterator[BellPair]:
        """``number`` pairs with a neighbour, one by one; the link goes on while the application uses the last."""
        request, pair = await self.open_request(
            remote,
            number,
            minimum_fidelity=minimum_fidelity,
            timeout_s=timeout_s,
            purpose=purpose,
            as_heralded=as_heralded,
        )
        yield pair
        for _ in range(number - 1):
            yield await self.next_pair(request)

    async def _do(self, call: Call[T]) -> T:
        number = self._connection.send_call(call, waiting=False)
        future: asyncio.Future[T] = self._loop.create_future()
        self._calls[number] = (call, future)
        self._said_waiting_at = -1
        return await future

    def _take_answers(self) -> bool:
        """Hand every answer that is there to its call; returns whether there was one."""
        some = False
        while (answer := self._connection.next_answer()) is not None:
            some = True
            if answer.call is None and isinstance(answer, application.Failed):
                self._fail_all(error_of(answer))  # which frame the node could not read, it cannot say
                continue
            if answer.call is None or answer.call not in self._calls:
                continue
            call, future = self._calls.pop(answer.call)
            if future.done():
                continue
            if isinstance(answer, application.Failed):
                future.set_exception(error_of(answer))
            else:
                future.set_result(call.meaning(answer))
        return some

    def _before_sleep(self) -> bool:
        """The loop has nothing to do: take late answers, or else say so to the node, once for each state."""
        if self._take_answers():
            return True
        if self._calls and self._said_waiting_at != self._connection.answered:
            self._said_waiting_at = self._connection.answered
            self._connection.send_wait()
        return self._take_answers()

    def _look_for_trouble(self) -> None:
        error = self._connection.trouble()
        if error is not None:
            for descriptor in self._connection.life_descriptors():
                self._loop.remove_reader(descriptor)
            self._take_answers()
            self._fail_all(error)

    def _fail_all(self, error: QloomError) -> None:
        waiting, self._calls = self._calls, {}
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(error)


class AsyncVirtualCircuit:
    """One end of a quantum virtual circuit."""

    def __init__(self, session: AsyncSession, opened: application.CircuitOpened) -> None:
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

    async def next_pair(self, *, timeout_s: float | None = None) -> BellPair:
        """The next pair; both ends get it.

        Raises:
            CircuitClosed: there will be none.
            TimedOut: none came in time.
            BadRequest: the circuit is of kind M; its pairs are measured on arrival.
        """
        calls.expect_kind(self.opened, "K")
        return await self._session.next_circuit_pair(self.name, timeout_s=timeout_s)

    async def pairs(self, number: int) -> AsyncIterator[BellPair]:
        """``number`` pairs, one by one; the network goes on while the application uses the last."""
        for _ in range(number):
            yield await self.next_pair()

    async def next_outcome(self, *, timeout_s: float | None = None) -> calls.CircuitOutcome:
        """Of a circuit of kind M: what this end read of the next pair.

        Each end goes through its own axes; after losses the two are not in step, so compare bits of equal ``number``
        and equal ``axis`` only.

        Raises:
            BadRequest: the circuit is of kind K.
        """
        calls.expect_kind(self.opened, "M")
        return await self._session.next_circuit_outcome(self.name, timeout_s=timeout_s)

    async def outcomes(self, number: int) -> AsyncIterator[calls.CircuitOutcome]:
        """``number`` outcomes, one by one."""
        for _ in range(number):
            yield await self.next_outcome()

    async def next_event(self, *, timeout_s: float | None = None) -> application.CircuitEvent:
        """The next event: ``rerouted``, ``down``, ``preempted``, ``degraded`` or ``closed``, and why."""
        return await self._session.next_circuit_event(self.name, timeout_s=timeout_s)

    async def teleport(self, qubit: QubitLike, *, timeout_s: float | None = None) -> None:
        """Send a qubit's state to the other end, which calls ``receive_qubit``.

        The qubit is measured only after a pair has been confirmed at both ends; if none comes, it stays as it is. When
        this returns, the qubit lies at the other end, once.

        Raises:
            CircuitClosed, TimedOut: no pair came, and the qubit is still here.
            QubitLost: it was measured, and the other end does not have it.
            Inconclusive: it was measured, and the Bell measurement told nothing.
        """
        pair = await self.next_pair(timeout_s=timeout_s)
        await self._session.teleport(qubit, pair, confirmed=True)

    async def receive_qubit(self, *, timeout_s: float | None = None) -> str:
        """The qubit whose state the other end teleports next."""
        pair = await self.next_pair(timeout_s=timeout_s)
        return await self._session.receive_teleported(pair, timeout_s=timeout_s)

    async def close(self) -> None:
        """Free all that the circuit has reserved; pairs in hand stay. Closing twice is no error."""
        await self._session.close_circuit(self.name)

    async def __aenter__(self) -> AsyncVirtualCircuit:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, (NodeGone, RunEnded)):
            await self.close()


class AsyncGroup:
    """This node's part in states that several nodes share."""

    def __init__(self, session: AsyncSession, opened: application.GroupOpened) -> None:
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

    async def next_qubit(self, *, timeout_s: float | None = None) -> str:
        """This node's qubit of the next state; the state is there once all members have theirs.

        Raises:
            CircuitClosed: there will be none.
            TimedOut: none came in time.
        """
        return await self._session.next_group_qubit(self.name, timeout_s=timeout_s)

    async def qubits(self, number: int) -> AsyncIterator[str]:
        """``number`` qubits of as many states, one by one."""
        for _ in range(number):
            yield await self.next_qubit()

    async def close(self) -> None:
        """Leave the group, which ends for all. Closing twice is no error."""
        await self._session.close_group(self.name)

    async def __aenter__(self) -> AsyncGroup:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, (NodeGone, RunEnded)):
            await self.close()
