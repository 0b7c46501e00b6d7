"""EPR sockets: pairs for create_epr and recv_epr, over a link or, where there is a control plane, over a circuit.

The end that asks (the creator) tells the other what it has asked for. Both take the pairs one after the other. Over a
link each pair is a request of its own at both ends, under a purpose that nobody else uses. Over a circuit, which the
creator opens and the other end accepts for the life of the socket, the creator takes a pair that was made since it was
asked for one, and tells its number; so both ends mean the same pair, whatever was lost on the way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from qnode.stack.netqasm.bases import basis_number, drawn
from qnode.stack.netqasm.language import ErrorCode, Fault
from qnode.stack.netqasm.memory import ApplicationMemory, Value, VirtualQubit
from qnode.stack.netqasm.requests import FIELDS, MOST_PAIRS, Asked, Delivered, EprSocket, Half, Side, Wanted, arguments
from qnode.stack.netqasm.station import Station
from qnode.stack.netqasm.tasks import WAIT, Task
from qnode.wire.application import (
    AcceptCircuit,
    BellPair,
    CircuitOpened,
    CircuitPair,
    CloseCircuit,
    Failed,
    Measured,
    NextCircuitPair,
    OpenCircuit,
    Outcomes,
    Pair,
    RequestPairs,
    Run,
)
from qnode.wire.netqasm import (
    NetqasmPairsAsked,
    NetqasmPairsEnded,
    NetqasmPairTaken,
    NetqasmPeerMessage,
    NetqasmSocketClosed,
)
from qnode.wire.quantum import Axis, Measure

MOST_REQUESTS = 1024
"""Of one socket that wait, either way."""
LEAST_SLOTS, MOST_SLOTS = 2, 8
"""That a circuit is opened with."""
LEAST_RATE_BPPS = 0.01
"""That the network is to reserve for a circuit; what more it has, it gives."""
TOO_EARLY = "it was made before it was asked for"
NO_DEMAND = 100
"""A minimum fidelity, in percent, that the SDK asks for where its user asks for nothing."""


@dataclass(slots=True, eq=False)
class Sockets:
    """The sockets of one application."""

    station: Station
    session: int
    memory: ApplicationMemory
    begin: Callable[[Task], object]
    """Starts a task."""
    interrupt: Callable[[object, str], None]
    """Ends a task's waiting for a pair, and why."""
    changed: Callable[[], None]
    """Lets all tasks that wait look again."""
    sockets: dict[tuple[int, int], EprSocket] = field(default_factory=dict)
    """By the number of the remote node, and their own: those to different nodes may have the same."""
    failures: dict[int, Fault] = field(default_factory=dict)
    """What was to fill arrays and will not, by the array's address."""

    # What the host and its subroutines want

    def open(self, number: int, remote_node: int, remote_socket: int, minimum_fidelity: int) -> EprSocket:
        """A new socket.

        Raises:
            Fault: there is one of the same number to the same node, there is no such node, or the fidelity is none.
        """
        if not 0 <= minimum_fidelity <= 100:
            raise Fault(f"a minimum fidelity of {minimum_fidelity}, expected 0 to 100 percent")
        if (remote_node, number) in self.sockets:
            raise Fault(f"EPR socket {number} to node {remote_node} is open already")
        remote = self.station.name_of(remote_node)
        fidelity = 0.0 if minimum_fidelity == NO_DEMAND else minimum_fidelity / 100
        socket = self.sockets[remote_node, number] = EprSocket(number, remote, remote_node, remote_socket, fidelity)
        if self.station.over_circuits:
            self.begin(self._accept(socket))
        socket.creating = self.begin(self._create_all(socket))
        socket.receiving = self.begin(self._receive_all(socket))
        return socket

    def create(self, node: int, socket: int, qubits: int | None, arguments_at: int, results: int) -> None:
        """Ask for pairs."""
        mine = self._socket(node, socket)
        self._check_queue(mine.creations)
        asked = arguments(self.memory.array(arguments_at))
        wanted = Wanted(results, qubits if asked.kind == "K" else None, asked.number, self.station.now, asked)
        self._check(wanted, keeps=asked.kind == "K")
        wanted.request = self.station.new_request()
        mine.creations.append(wanted)
        self.station.watch(mine.remote)
        self.station.tell(
            mine.remote,
            NetqasmPairsAsked(
                request=wanted.request,
                socket=mine.remote_socket,
                remote_socket=mine.number,
                kind=asked.kind,
                number=asked.number,
                minimum_fidelity=max(asked.minimum_fidelity, mine.minimum_fidelity),
                priority=asked.priority,
                axis=asked.remote.axis,
                axes=asked.remote.axes,
                shares=asked.remote.shares,
            ),
        )
        self.changed()

    def receive(self, node: int, socket: int, qubits: int | None, results: int) -> None:
        """Take pairs that the other end asks for; as many as the array of results has room for."""
        mine = self._socket(node, socket)
        self._check_queue(mine.receipts)
        number = len(self.memory.array(results)) // FIELDS
        wanted = Wanted(results, qubits, number, self.station.now)
        self._check(wanted, keeps=False)
        if mine.closed_there and not mine.asked:
            raise Fault(f"the application at {mine.remote} has ended: nobody will ask for pairs")
        mine.receipts.append(wanted)
        self.station.watch(mine.remote)
        self.changed()

    def check(self, address: int) -> None:
        """Raise what keeps an array from being filled; so much as nothing under way is a fault, too."""
        failure = self.failures.pop(address, None)
        if failure is not None:
            raise failure
        wanted = [each for socket in self.sockets.values() for each in (*socket.creations, *socket.receipts)]
        if not any(each.results == address for each in wanted):
            raise Fault(f"nothing is under way that could fill array {address}: it would wait for ever")
        mine = self._mine()
        if self.station.crowded(mine):
            reason = f"the application's qubits occupy every slot that a further pair could come to: {', '.join(mine)}"
            raise Fault(reason, ErrorCode.NO_QUBIT)

    def stranded(self) -> str:
        """A qubit of the application that lies where a further pair is to come."""
        if not any(socket.creations or socket.receipts for socket in self.sockets.values()):
            return ""
        return self.station.stranded(self._mine())

    def _mine(self) -> list[str]:
        return [qubit.name for qubit in self.memory.qubits if qubit is not None and qubit.name]

    def _socket(self, node: int, number: int) -> EprSocket:
        mine = self.sockets.get((node, number))
        if mine is None:
            raise Fault(f"EPR socket {number} to node {node} is not open")
        return mine

    def _check_queue(self, queue: deque[Wanted]) -> None:
        if len(queue) >= MOST_REQUESTS:
            raise Fault(f"{MOST_REQUESTS} requests of this socket wait, and no more may")

    def _check(self, wanted: Wanted, *, keeps: bool) -> None:
        results = self.memory.array(wanted.results)
        if wanted.number < 1 or len(results) < FIELDS * wanted.number:
            raise Fault(f"an array of {len(results)} entries for the results of {max(1, wanted.number)} pairs")
        if keeps and wanted.qubits is None:
            raise Fault("no array of virtual addresses is given for pairs that are kept")
        if keeps and wanted.qubits is not None and len(self.memory.array(wanted.qubits)) < wanted.number:
            raise Fault(f"array {wanted.qubits} has too few virtual addresses for {wanted.number} pairs")

    # What the other end says

    def hears(self, socket: EprSocket, message: NetqasmPeerMessage) -> None:
        """Take in news for a socket of this application."""
        if isinstance(message, NetqasmPairsAsked):
            if not 1 <= message.number <= MOST_PAIRS or len(message.axes) != len(message.shares):
                self.station.record("message_dropped", sender=socket.remote, reason="a request that makes no sense")
                return
            if len(socket.asked) >= MOST_REQUESTS:
                reason = f"{MOST_REQUESTS} requests wait there to be received, and no more may"
                self.station.tell(socket.remote, NetqasmPairsEnded(request=message.request, reason=reason))
                return
            side = Side(message.axis, message.axes, message.shares)
            socket.asked.append(
                Asked(message.request, message.kind, message.number, message.minimum_fidelity, message.priority, side)
            )
        elif isinstance(message, NetqasmPairTaken):
            for asked in socket.asked:
                if asked.request == message.request:
                    asked.taken.append((message.circuit, message.number))
        elif isinstance(message, NetqasmPairsEnded):
            both: tuple[Wanted | Asked, ...] = (*socket.asked, *socket.creations)
            for each in both:
                if each.request == message.request:
                    self._end(socket, each, message.reason)
        elif isinstance(message, NetqasmSocketClosed):
            over = self.station.over_circuits
            self.other_end_is_gone(socket, f"the application at {socket.remote} has ended", drains=over)
        self.changed()

    def other_end_is_gone(self, socket: EprSocket, reason: str, *, drains: bool = False) -> None:
        """Nothing more will come from it; ``drains``: but what it has asked for and taken."""
        socket.closed_there = True
        for wanted in tuple(socket.creations):
            self._end(socket, wanted, reason)
        if not (socket.asked and drains):
            waiting: tuple[Wanted | Asked, ...] = (*socket.asked, *socket.receipts)
            for each in waiting:
                self._end(socket, each, reason)
        self.changed()

    def _end(self, socket: EprSocket, what: Wanted | Asked, reason: str) -> None:
        """There will be no more pairs for it."""
        if what.ended:
            return
        what.ended = reason
        if socket.creations and what is socket.creations[0]:
            self.interrupt(socket.creating, reason)
        elif (socket.asked and what is socket.asked[0]) or (socket.receipts and what is socket.receipts[0]):
            self.interrupt(socket.receiving, reason)

    def close(self) -> None:
        """The application ends: tell the other ends."""
        for socket in self.sockets.values():
            for wanted in socket.creations:
                ended = NetqasmPairsEnded(request=wanted.request, reason="the application that asked has ended")
                self.station.tell(socket.remote, ended)
            if not socket.closed_there:
                news = NetqasmSocketClosed(socket=socket.remote_socket, remote_socket=socket.number)
                self.station.tell(socket.remote, news)
        self.sockets.clear()

    # Tasks

    def _accept(self, socket: EprSocket) -> Task:
        """Accept every circuit that the other end opens."""
        while True:
            opened = yield AcceptCircuit(call=0, remote=socket.remote, purpose=socket.their_purpose)
            if isinstance(opened, Failed):
                return

    def _create_all(self, socket: EprSocket) -> Task:
        while True:
            while not socket.creations:
                yield WAIT
            wanted = socket.creations[0]
            assert wanted.arguments is not None
            try:
                while wanted.done < wanted.number:
                    yield from self._create(socket, wanted)
                    wanted.done += 1
                    socket.pairs_created += 1
                    self.changed()
            except Fault as fault:
                self.failures[wanted.results] = fault
                self.station.tell(socket.remote, NetqasmPairsEnded(request=wanted.request, reason=fault.reason))
            socket.created += 1
            socket.creations.popleft()
            self.changed()

    def _create(self, socket: EprSocket, wanted: Wanted) -> Task:
        """One pair, at the end that asks."""
        asked, station = wanted.arguments, self.station
        assert asked is not None
        keeps = asked.kind == "K"
        address = (yield from self._address(wanted)) if keeps else -1
        if wanted.ended:
            raise Fault(wanted.ended)
        axis = None if keeps else self._axis(asked.local)
        timeout_ps = None
        if asked.timeout_ps is not None:
            timeout_ps = wanted.since_ps + asked.timeout_ps - station.now
            if timeout_ps <= 0:
                raise Fault(f"{wanted.done} of {wanted.number} pairs came in time")
        fidelity = max(asked.minimum_fidelity, socket.minimum_fidelity)
        if station.over_circuits:
            half = yield from self._fresh_pair(socket, wanted, axis, fidelity, timeout_ps)
        else:
            answer = yield RequestPairs(
                call=0,
                remote=socket.remote,
                kind=asked.kind,
                axis=axis,
                purpose=f"netqasm {wanted.request} {wanted.done}",
                minimum_fidelity=fidelity,
                priority=asked.priority,
                timeout_ps=timeout_ps,
            )
            half = _half(answer, wanted.ended)
        counts = (socket.created, socket.pairs_created)
        yield from self._deliver(socket, wanted, half, address, axis, True, *counts)

    def _receive_all(self, socket: EprSocket) -> Task:
        while True:
            while not socket.receipts or not (socket.asked or socket.receipts[0].ended):
                yield WAIT
            wanted = socket.receipts[0]
            asked = socket.asked[0] if socket.asked else None
            try:
                if asked is None:
                    raise Fault(wanted.ended)
                yield from self._receive(socket, wanted, asked)
            except Fault as fault:
                self.failures[wanted.results] = fault
                if asked is not None:
                    socket.asked.popleft()
                    if not asked.ended:
                        self.station.tell(socket.remote, NetqasmPairsEnded(request=asked.request, reason=fault.reason))
                socket.receipts.popleft()
                socket.received += 1
                self.changed()
                continue
            wanted.done += 1
            asked.done += 1
            socket.pairs_received += 1
            if wanted.done == wanted.number:
                socket.receipts.popleft()
                socket.received += 1
            if asked.done == asked.number:
                socket.asked.popleft()
                if socket.closed_there and not socket.asked:
                    self.other_end_is_gone(socket, f"the application at {socket.remote} has ended")
            self.changed()

    def _receive(self, socket: EprSocket, wanted: Wanted, asked: Asked) -> Task:
        """One pair, at the end that receives."""
        keeps = asked.kind != "M"
        if keeps:
            self._check(wanted, keeps=True)
        address = (yield from self._address(wanted)) if keeps else -1
        axis = None if keeps else self._axis(asked.side)
        if self.station.over_circuits:
            half = yield from self._same_pair(socket, wanted, asked, axis)
        elif asked.ended or wanted.ended:
            raise Fault(asked.ended or wanted.ended)
        else:
            answer = yield RequestPairs(
                call=0,
                remote=socket.remote,
                kind=asked.kind,
                axis=axis,
                purpose=f"netqasm {asked.request} {asked.done}",
                minimum_fidelity=asked.minimum_fidelity,
                priority=asked.priority,
            )
            half = _half(answer, asked.ended or wanted.ended)
        counts = (socket.received, socket.pairs_received)
        yield from self._deliver(socket, wanted, half, address, axis, False, *counts)

    # Steps of both

    def _axis(self, side: Side) -> Axis:
        """What to measure the next half along."""
        return drawn(side.axes, side.shares, self.station.uniform()) if side.axes else side.axis

    def _address(self, wanted: Wanted) -> Task:
        """The virtual address that the next pair goes to, once it is free."""
        assert wanted.qubits is not None
        value = self.memory.entry(wanted.qubits, wanted.done)
        if not isinstance(value, int):
            raise Fault(f"entry {wanted.done} of array {wanted.qubits} is no virtual address")
        address = self.memory.address(value)
        while self.memory.is_taken(address) and not wanted.ended:
            yield WAIT
        return address

    def _deliver(
        self,
        socket: EprSocket,
        wanted: Wanted,
        half: Half,
        address: int,
        axis: Axis | None,
        creates: bool,
        request: int,
        sequence: int,
    ) -> Task:
        """A half comes to its virtual address, or was measured; the results say so."""
        duration_ps = self.station.now - wanted.since_ps
        told = Delivered(creates, request, sequence, socket.number, socket.remote_node, duration_ps, half.fidelity)
        if axis is not None and half.bit is not None:
            self._write(wanted, told.measured(half.bit, basis_number(axis)))
            return
        while self.memory.is_taken(address):  # since
            yield WAIT
        self.memory.qubits[address] = VirtualQubit(half.qubit)
        self._write(wanted, told.kept(address))

    def _write(self, wanted: Wanted, fields: list[Value]) -> None:
        array = self.memory.array(wanted.results)
        start = FIELDS * wanted.done
        if len(array) < start + FIELDS:
            raise Fault(f"array {wanted.results} was replaced by one of {len(array)} entries: too few")
        array[start : start + FIELDS] = fields

    def _of_circuit(self, pair: BellPair, axis: Axis | None) -> Task:
        """The half of a circuit's pair, measured if an axis is given."""
        if axis is None:
            return Half(pair.qubit, pair.goodness)
        answer = yield Run(call=0, steps=(Measure(qubit=pair.qubit, axis=axis),))
        if not isinstance(answer, Outcomes):
            raise Fault(answer.reason)
        return Half("", pair.goodness, answer.bits[0])

    def _fresh_pair(
        self, socket: EprSocket, wanted: Wanted, axis: Axis | None, fidelity: float, timeout_ps: int | None
    ) -> Task:
        """A pair of the socket's circuit that was made since it was asked for; the other end is told which."""
        begun = self.station.now
        yield from self._open_circuit(socket, wanted, fidelity, timeout_ps)
        while True:
            left_ps = None if timeout_ps is None else max(1, timeout_ps - (self.station.now - begun))
            answer = yield NextCircuitPair(call=0, circuit=socket.circuit, timeout_ps=left_ps)
            if not isinstance(answer, CircuitPair):
                if answer.code == "closed":
                    socket.circuit = ""
                raise Fault(wanted.ended or answer.reason)
            assert answer.pair is not None
            if answer.pair.emitted_at_ps >= wanted.since_ps:
                break
            self.station.discard(self.session, answer.pair.qubit, TOO_EARLY, tell=True)
        news = NetqasmPairTaken(request=wanted.request, circuit=socket.circuit, number=answer.number)
        self.station.tell(socket.remote, news)
        return (yield from self._of_circuit(answer.pair, axis))

    def _open_circuit(self, socket: EprSocket, wanted: Wanted, fidelity: float, timeout_ps: int | None) -> Task:
        """Have a circuit that is good and wide enough; where there is no deadline, the other end may take its time."""
        assert wanted.arguments is not None
        slots = LEAST_SLOTS if wanted.arguments.kind == "M" else max(LEAST_SLOTS, min(wanted.number, MOST_SLOTS))
        if socket.circuit and (socket.slots < slots or socket.fidelity < fidelity):
            circuit, socket.circuit = socket.circuit, ""
            yield CloseCircuit(call=0, circuit=circuit)
        while not socket.circuit:
            opened = yield OpenCircuit(
                call=0,
                remote=socket.remote,
                purpose=socket.purpose,
                minimum_fidelity=fidelity,
                rate_bpps=LEAST_RATE_BPPS,
                priority=max(0, wanted.arguments.priority),
                slots=slots,
                timeout_ps=timeout_ps,
            )
            if isinstance(opened, CircuitOpened):
                socket.circuit, socket.slots, socket.fidelity = opened.circuit, slots, fidelity
            elif wanted.ended or opened.code != "timeout" or timeout_ps is not None:
                raise Fault(wanted.ended or opened.reason)

    def _same_pair(self, socket: EprSocket, wanted: Wanted, asked: Asked, axis: Axis | None) -> Task:
        """The pair that the other end has taken."""
        while len(asked.taken) <= asked.done:
            if asked.ended or wanted.ended:
                raise Fault(asked.ended or wanted.ended)
            yield WAIT
        circuit, number = asked.taken[asked.done]
        while True:
            answer = socket.skipped.pop(circuit, None)
            if answer is None:
                answer = yield NextCircuitPair(call=0, circuit=circuit)
            if not isinstance(answer, CircuitPair):
                raise Fault(asked.ended or answer.reason)
            assert answer.pair is not None
            if answer.number == number:
                return (yield from self._of_circuit(answer.pair, axis))
            if answer.number > number:
                socket.skipped[circuit] = answer
                raise Fault(f"pair {number} of circuit {circuit} was lost")
            self.station.discard(self.session, answer.pair.qubit, TOO_EARLY, tell=True)


def _half(answer: object, ended: str) -> Half:
    """What became of a request for one pair."""
    if isinstance(answer, Measured):
        return Half("", 0.0, answer.bits[0])
    if isinstance(answer, Pair):
        return Half(answer.pair.qubit, answer.pair.goodness)
    assert isinstance(answer, Failed)
    raise Fault(ended or answer.reason)
