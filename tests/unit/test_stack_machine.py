"""Two nodes, a fabric that does what it likes within its promises, and a network that delays, doubles and loses.

Whatever the order: memory is sound, no qubit is at two nodes, every call is answered at most once, the two ends of a
pair agree, and when all is over nothing is left.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qnode.config import LinkConfiguration, NodeConfiguration
from qnode.stack.events import Answer, Asked, CancelTimer, Event, Operate, SendTo, SessionEnded, SetTimer, TimerFired
from qnode.stack.node import Node
from qnode.wire import application, fabric
from qnode.wire.peer import ApplicationMessage, sealed
from qnode.wire.quantum import Discard, Gate, Measure, MeasureBell, Move, Prepare

LINK = "alice-bob"
OTHER = {"alice": "bob", "bob": "alice"}
CUTOFF_PS = 60
SLOTS = 2
names = st.sampled_from(("alice", "bob"))
purposes = st.sampled_from(("", "p"))


def touched_by(step: Any) -> tuple[str, ...]:
    """The qubits of a step."""
    return getattr(step, "qubits", None) or (step.qubit,)


class TwoNodes(RuleBasedStateMachine):
    """The nodes are real, everything around them is here."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.nodes = {
            name: Node(
                NodeConfiguration(
                    name=name,
                    communication_slots=SLOTS,
                    storage_slots=SLOTS,
                    communication_cutoff_ps=CUTOFF_PS,
                    links=(LinkConfiguration(name=LINK, remote=OTHER[name], goodness=1.0, corrects=name == "bob"),),
                    peers=("alice", "bob"),
                )
            )
            for name in OTHER
        }
        self.session = {"alice": 0, "bob": 0}
        self.calls = 0
        self.open: dict[tuple[str, int], set[int]] = {}
        self.requests: dict[str, list[int]] = {"alice": [], "bob": []}
        self.held: dict[str, list[str]] = {"alice": [], "bob": []}
        """Qubits that an application was told of."""
        self.pairs: dict[str, dict[str, application.BellPair]] = {}
        # the fabric
        self.operations: list[tuple[str, Operate]] = []
        self.asks: dict[str, list[tuple[int, fabric.Generate]]] = {"alice": [], "bob": []}
        self.heralds: list[tuple[str, fabric.Heralded]] = []
        self.owner: dict[str, str] = {}
        self.role: dict[str, str] = {}
        self.true_pairs: dict[str, dict[str, str]] = {}
        # the network and the clock
        self.messages: list[tuple[str, str, bytes]] = []
        self.timers: dict[tuple[str, Any], int] = {}

    @initialize()
    def both_attach(self) -> None:
        for name in self.nodes:
            self.attach(name)

    # What happens to nodes, and what comes of it

    def handle(self, name: str, event: Event) -> None:
        for action in self.nodes[name].handle(self.now, event):
            if isinstance(action, Answer):
                self.answered(name, action)
            elif isinstance(action, Operate):
                self.operations.append((name, action))
            elif isinstance(action, SendTo):
                self.messages.append((name, action.to, sealed(action.message)))
            elif isinstance(action, SetTimer):
                assert action.at >= self.now
                self.timers[(name, action.key)] = action.at
            elif isinstance(action, CancelTimer):
                self.timers.pop((name, action.key), None)

    def answered(self, name: str, action: Answer) -> None:
        message = action.message
        assert message.now_ps == self.now
        assert message.call in self.open[(name, action.session)], f"an answer to nothing, or a second one: {message}"
        self.open[(name, action.session)].remove(message.call)
        if isinstance(message, application.Pair):
            pair = message.pair
            assert pair.remote == OTHER[name]
            assert self.true_pairs[pair.pair_id][name] == pair.qubit
            ends = self.pairs.setdefault(pair.pair_id, {})
            assert name not in ends, "a pair was handed over twice"
            ends[name] = pair
            self.held[name].append(pair.qubit)
            if len(ends) == 2:
                assert ends["alice"].bell_state == ends["bob"].bell_state
        elif isinstance(message, application.Outcomes):
            self.held[name] += message.qubits
        elif isinstance(message, application.Qubit):
            self.held[name].append(message.qubit)
        elif isinstance(message, application.Measured):
            assert len(set(message.pair_ids)) == len(message.pair_ids) == len(message.bits)

    def ask(self, name: str, request: type, /, **fields: Any) -> int:
        self.calls += 1
        session = self.session[name]
        self.open[(name, session)].add(self.calls)
        self.handle(name, Asked(session, request(call=self.calls, **fields)))
        return self.calls

    def attach(self, name: str) -> None:
        session = self.session[name]
        self.open[(name, session)] = {0}
        self.handle(name, Asked(session, application.Attach(call=0, version=3, application="app")))

    # Applications

    @rule(
        name=names,
        kind=st.sampled_from("KKM"),
        number=st.integers(1, 3),
        purpose=purposes,
        as_heralded=st.booleans(),
        timeout_ps=st.none() | st.integers(1, 40),
    )
    def ask_for_pairs(self, name: str, **fields: Any) -> None:
        self.requests[name].append(self.ask(name, application.RequestPairs, remote=OTHER[name], **fields))

    @rule(name=names, measures=st.booleans(), axis=st.sampled_from(("X", (0.0, 0.6, 0.8))))
    def prepare_remotely(self, name: str, measures: bool, axis: Any) -> None:
        for end, wanted in ((name, axis if measures else None), (OTHER[name], None if measures else axis)):
            call = self.ask(end, application.RequestPairs, remote=OTHER[end], kind="R", axis=wanted, purpose="r")
            self.requests[end].append(call)

    @rule(data=st.data(), name=names)
    def next_pair(self, data: st.DataObject, name: str) -> None:
        if self.requests[name]:
            self.ask(name, application.NextPair, request=data.draw(st.sampled_from(self.requests[name])))

    @rule(data=st.data(), name=names)
    def cancel(self, data: st.DataObject, name: str) -> None:
        if self.requests[name]:
            self.ask(name, application.CancelRequest, request=data.draw(st.sampled_from(self.requests[name])))

    @rule(name=names, role=st.sampled_from(("communication", "storage")))
    def prepare(self, name: str, role: Any) -> None:
        self.ask(name, application.Run, steps=(Prepare(role=role),))

    @rule(data=st.data(), name=names, size=st.integers(1, 4))
    def run_a_circuit(self, data: st.DataObject, name: str, size: int) -> None:
        """Steps of any kind on any qubits that the application has heard of, gone ones included, and on `$0`."""
        qubits = st.sampled_from([*self.held[name], "$0"])
        roles = st.sampled_from(("communication", "storage"))
        steps = st.one_of(
            st.builds(Prepare, role=roles),
            st.builds(Measure, qubit=qubits),
            st.builds(Discard, qubit=qubits),
            st.builds(Move, qubit=qubits, role=roles),
            st.builds(lambda qubit: Gate(name="X", qubits=(qubit,)), qubits),
        )
        self.ask(name, application.Run, steps=tuple(data.draw(st.lists(steps, min_size=size, max_size=size))))

    @rule(data=st.data(), name=names)
    def transmit(self, data: st.DataObject, name: str) -> None:
        if self.held[name]:
            qubit = data.draw(st.sampled_from(self.held[name]))
            self.ask(name, application.TransmitQubit, qubit=qubit, remote=OTHER[name])

    @rule(name=names, timeout_ps=st.none() | st.integers(1, 40))
    def receive_a_qubit(self, name: str, timeout_ps: int | None) -> None:
        self.ask(name, application.ReceiveQubit, remote=OTHER[name], timeout_ps=timeout_ps)

    @rule(data=st.data(), name=names)
    def teleport(self, data: st.DataObject, name: str) -> None:
        halves = [pair for pair, ends in self.pairs.items() if name in ends]
        if halves and self.held[name]:
            qubit, pair = data.draw(st.sampled_from(self.held[name])), data.draw(st.sampled_from(halves))
            self.ask(name, application.Teleport, qubit=qubit, pair_id=pair)

    @rule(data=st.data(), name=names, timeout_ps=st.none() | st.integers(1, 40))
    def receive_teleported(self, data: st.DataObject, name: str, timeout_ps: int | None) -> None:
        halves = [pair for pair, ends in self.pairs.items() if name in ends]
        if halves:
            pair = data.draw(st.sampled_from(halves))
            self.ask(name, application.ReceiveTeleported, pair_id=pair, timeout_ps=timeout_ps)

    @rule(name=names)
    def send(self, name: str) -> None:
        self.ask(name, application.SendMessage, peer=OTHER[name], payload=b"m")

    @rule(name=names, timeout_ps=st.none() | st.integers(1, 40))
    def receive(self, name: str, timeout_ps: int | None) -> None:
        self.ask(name, application.ReceiveMessage, peer=OTHER[name], timeout_ps=timeout_ps)

    @rule(name=names, politely=st.booleans())
    def end_session(self, name: str, politely: bool) -> None:
        if politely:
            self.ask(name, application.Detach)
        else:
            self.handle(name, SessionEnded(self.session[name], "killed"))
        self.session[name] += 1
        self.requests[name], self.held[name] = [], []
        self.attach(name)

    # The fabric

    @precondition(lambda self: self.operations)
    @rule(data=st.data(), passed_ps=st.integers(0, 5), bits=st.tuples(st.integers(0, 1), st.integers(0, 1)))
    def end_an_operation(self, data: st.DataObject, passed_ps: int, bits: tuple[int, int]) -> None:
        self.now += passed_ps
        self.end_operation(data.draw(st.integers(0, len(self.operations) - 1)), bits)

    def end_operation(self, index: int, bits: tuple[int, ...] = (0, 0)) -> None:
        name, operation = self.operations.pop(index)
        number, action = operation.operation, operation.action
        if isinstance(action, fabric.Generate):
            if self.occupied(name, "communication") >= SLOTS:
                self.handle(name, fabric.Refused(at=self.now, operation=number, code="no_slot", reason="no slot"))
            else:
                self.asks[name].append((number, action))
            return
        if isinstance(action, fabric.Cancel):
            self.cancel_attempts(name, number, action.operation)
            return
        if isinstance(action, fabric.Transmit):
            self.transmit_qubit(name, number, action.qubit)
            return
        read: tuple[int, ...] = ()
        for done, step in enumerate(action.steps):
            reason = self.hindrance(name, step)
            if reason:
                code = "no_slot" if "slot" in reason else "gone"
                refused = fabric.Refused(at=self.now, operation=number, code=code, reason=reason, done=done)
                self.handle(name, refused)
                return
            if isinstance(step, Prepare):
                self.owner[step.qubit], self.role[step.qubit] = name, step.role
            elif isinstance(step, Move):
                self.role[step.qubit] = step.role
            elif isinstance(step, Measure | MeasureBell | Discard):
                read += {Measure: bits[:1], MeasureBell: bits, Discard: ()}[type(step)]
                for qubit in touched_by(step):
                    del self.owner[qubit], self.role[qubit]
        self.handle(name, fabric.Completed(at=self.now, operation=number, bits=read))

    def occupied(self, name: str, role: str) -> int:
        """The slots that the fabric knows to be bound."""
        qubits = sum(owner == name and self.role[qubit] == role for qubit, owner in self.owner.items())
        return qubits + (len(self.asks[name]) if role == "communication" else 0)

    def hindrance(self, name: str, step: Any) -> str:
        """Why a step cannot be done now; nothing if it can."""
        if isinstance(step, Prepare):
            assert step.qubit not in self.owner, "a name was given twice"
        for qubit in touched_by(step):
            assert self.owner.get(qubit, name) == name, f"{name} touches {qubit} of {self.owner[qubit]}"
            if qubit not in self.owner and not isinstance(step, Prepare):
                return "it is gone"
        comes = isinstance(step, Prepare) or (isinstance(step, Move) and self.role[step.qubit] != step.role)
        return "no slot" if comes and self.occupied(name, step.role) >= SLOTS else ""

    def transmit_qubit(self, name: str, number: int, qubit: str) -> None:
        """Instant, so that it never meets what its receiver does at the same time but through a taken slot."""
        assert self.owner[qubit] == name
        far = OTHER[name]
        fits = self.occupied(far, "communication") < SLOTS
        if fits:
            self.owner[qubit], self.role[qubit] = far, "communication"
        else:
            del self.owner[qubit], self.role[qubit]
        self.handle(name, fabric.Completed(at=self.now, operation=number))
        if fits:
            self.handle(far, fabric.Arrived(at=self.now, link=LINK, qubit=qubit))
        else:
            self.handle(far, fabric.Lost(at=self.now, link=LINK, qubit=qubit, reason="no slot is free"))

    def cancel_attempts(self, name: str, number: int, cancelled: int) -> None:
        waiting = [(name, index) for index, (_, each) in enumerate(self.operations) if each.operation == cancelled]
        for index, (asked, _) in enumerate(self.asks[name]):
            if asked == cancelled:
                del self.asks[name][index]
                self.handle(name, fabric.Completed(at=self.now, operation=number, bits=(1,)))
                return
        for _, index in waiting:
            if self.operations[index][0] == name:  # not begun yet: the fabric takes a node's operations in their order
                del self.operations[index]
                self.handle(name, fabric.Completed(at=self.now, operation=number, bits=(1,)))
                return
        self.handle(name, fabric.Completed(at=self.now, operation=number, bits=(0,)))

    @precondition(lambda self: self.asks["alice"] and self.asks["bob"])
    @rule(bell_index=st.integers(0, 3))
    def succeed(self, bell_index: int) -> None:
        for position, (operation, mine) in enumerate(self.asks["alice"]):
            for other_position, (other_operation, theirs) in enumerate(self.asks["bob"]):
                if mine.purpose == theirs.purpose:
                    del self.asks["alice"][position], self.asks["bob"][other_position]
                    pair = f"{LINK}/{len(self.true_pairs)}"
                    self.true_pairs[pair] = {"alice": mine.qubit, "bob": theirs.qubit}
                    for name, number in (("alice", operation), ("bob", other_operation)):
                        half = self.true_pairs[pair][name]
                        self.owner[half], self.role[half] = name, "communication"
                        herald = fabric.Heralded(
                            at=self.now,
                            operation=number,
                            link=LINK,
                            pair_id=pair,
                            bell_index=bell_index,
                            emitted_at=self.now,
                        )
                        self.heralds.append((name, herald))
                    return

    @precondition(lambda self: self.heralds)
    @rule(data=st.data(), passed_ps=st.integers(0, 5))
    def herald(self, data: st.DataObject, passed_ps: int) -> None:
        self.now += passed_ps
        name = data.draw(st.sampled_from(sorted({name for name, _ in self.heralds})))
        position = next(index for index, (each, _) in enumerate(self.heralds) if each == name)
        self.handle(*self.heralds.pop(position))  # a link's heralds reach an end in their order

    # The network and the clock

    @precondition(lambda self: self.messages)
    @rule(data=st.data(), fate=st.sampled_from(("deliver", "deliver", "deliver", "double", "lose")))
    def deliver(self, data: st.DataObject, fate: str) -> None:
        index = data.draw(st.integers(0, len(self.messages) - 1))
        sender, to, payload = self.messages[index]
        if fate != "double":
            del self.messages[index]
        if fate != "lose":
            self.handle(to, fabric.Delivered(at=self.now, sender=sender, payload=payload))

    @precondition(lambda self: self.timers)
    @rule()
    def fire_the_next_timer(self) -> None:
        (name, key), at = min(self.timers.items(), key=lambda item: (item[1], repr(item[0])))
        del self.timers[(name, key)]
        self.now = max(self.now, at)
        self.handle(name, TimerFired(key))

    # What must hold

    @invariant()
    def memory_is_sound(self) -> None:
        for node in self.nodes.values():
            memory = node.core.memory
            memory.check()
            free = [id(slot) for slots in memory._free.values() for slot in slots]
            assert len(set(free)) == len(free), "a slot is free twice"
            assert not {id(held.slot) for held in memory.qubits.values()} & set(free), "a slot is free and occupied"
        assert not set(self.nodes["alice"].core.memory.qubits) & set(self.nodes["bob"].core.memory.qubits)

    @invariant()
    def open_calls_agree(self) -> None:
        for name, node in self.nodes.items():
            for number, session in node.core.sessions.items():
                assert session.open_calls == self.open[(name, number)]

    def teardown(self) -> None:
        """End the sessions and let everything come that is under way: then nothing is left."""
        for name in self.nodes:
            self.handle(name, SessionEnded(self.session[name], "over"))
        while self.operations or self.heralds or self.messages:
            while self.operations:
                self.end_operation(0)
            if self.heralds:
                self.handle(*self.heralds.pop(0))
            elif self.messages:
                sender, to, payload = self.messages.pop(0)
                self.handle(to, fabric.Delivered(at=self.now, sender=sender, payload=payload))
        for name, node in self.nodes.items():
            memory = node.core.memory
            assert all(held.session is None for held in memory.qubits.values()), memory.qubits
            assert {qubit for qubit, owner in self.owner.items() if owner == name} == set(memory.qubits)
            assert memory.free("storage") == SLOTS
            assert memory.free("communication") == SLOTS - len(memory.qubits), "but for what nobody has received"
            left = (node.core.pending, node.pair_requests.requests, node.link_layer.generating)
            assert not any((*left, node.teleportation.waiting, node.mailbox.waiting)), left
            for queue in node.mailbox.unread.values():
                assert all(isinstance(each, ApplicationMessage) for each in queue)
        assert self.asks == {"alice": [], "bob": []}


TwoNodes.TestCase.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestTwoNodes = TwoNodes.TestCase
