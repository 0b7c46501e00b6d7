"""Two nodes, a fabric that does what it likes within its promises, and a network that delays, doubles and loses.

Whatever the order: memory is sound, no qubit is at two nodes, every call is answered at most once, the two ends of a pair
agree, and when all is over nothing is left.
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
from qnode.wire.peer import ApplicationMessage
from qnode.wire.peer import peer as peer_codec
from qnode.wire.quantum import Discard, Measure, MeasureBell, Prepare

LINK = "alice-bob"
OTHER = {"alice": "bob", "bob": "alice"}
CUTOFF_PS = 60
names = st.sampled_from(("alice", "bob"))
purposes = st.sampled_from(("", "p"))


class TwoNodes(RuleBasedStateMachine):
    """The nodes are real, everything around them is here."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.nodes = {
            name: Node(
                NodeConfiguration(
                    name=name,
                    communication_slots=2,
                    storage_slots=2,
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
                self.messages.append((name, action.to, peer_codec.encode(action.message)))
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
        self.handle(name, Asked(session, application.Attach(call=0, version=1, application="app")))

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

    def usable(self, name: str) -> list[str]:
        """What its application may touch; a half whose outcome a call waits for is left alone (a known fault)."""
        halves = self.nodes[name].core.memory.halves
        awaited = {halves[pair].name for pair in self.nodes[name].teleportation.waiting if pair in halves}
        return [qubit for qubit in self.held[name] if qubit not in awaited]

    @rule(data=st.data(), name=names, discards=st.booleans())
    def consume(self, data: st.DataObject, name: str, discards: bool) -> None:
        if usable := self.usable(name):
            qubit = data.draw(st.sampled_from(usable))
            self.ask(name, application.Run, steps=(Discard(qubit=qubit) if discards else Measure(qubit=qubit),))

    @rule(data=st.data(), name=names)
    def teleport(self, data: st.DataObject, name: str) -> None:
        usable = self.usable(name)
        halves = [pair for pair, ends in self.pairs.items() if name in ends and ends[name].qubit in usable]
        if halves:
            qubit, pair = data.draw(st.sampled_from(usable)), data.draw(st.sampled_from(halves))
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
            self.asks[name].append((number, action))
            return
        if isinstance(action, fabric.Cancel):
            self.cancel_attempts(name, number, action.operation)
            return
        assert isinstance(action, fabric.Circuit)
        read: tuple[int, ...] = ()
        for step in action.steps:
            touched = getattr(step, "qubits", None) or (step.qubit,)  # type: ignore[union-attr]
            if isinstance(step, Prepare):
                assert step.qubit not in self.owner, "a name was given twice"
                self.owner[step.qubit] = name
                continue
            for qubit in touched:
                assert self.owner.get(qubit, name) == name, f"{name} touches {qubit} of {self.owner[qubit]}"
            if any(qubit not in self.owner for qubit in touched):
                self.handle(name, fabric.Refused(at=self.now, operation=number, code="gone", reason="it is gone"))
                return
            if isinstance(step, Measure | MeasureBell | Discard):
                read += {Measure: bits[:1], MeasureBell: bits, Discard: ()}[type(step)]
                for qubit in touched:
                    del self.owner[qubit]
        self.handle(name, fabric.Completed(at=self.now, operation=number, bits=read))

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
                        self.owner[self.true_pairs[pair][name]] = name
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
        name, herald = self.heralds.pop(data.draw(st.integers(0, len(self.heralds) - 1)))
        self.handle(name, herald)

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
        """In their order; a cutoff of a half whose outcome is awaited is put off (a known fault)."""
        for (name, key), at in sorted(self.timers.items(), key=lambda item: (item[1], repr(item[0]))):
            held = self.nodes[name].core.memory.qubits.get(key[1])
            if key[0] == "cutoff" and held and held.pair and held.pair.pair_id in self.nodes[name].teleportation.waiting:
                continue
            del self.timers[(name, key)]
            self.now = max(self.now, at)
            self.handle(name, TimerFired(key))
            return

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
        for node in self.nodes.values():
            memory = node.core.memory
            assert (memory.free("communication"), memory.free("storage")) == (2, 2), memory.qubits
            assert not node.core.pending and not node.link_layer.requests and not node.link_layer.generating
            assert not node.teleportation.waiting and not node.mailbox.waiting
            for queue in node.mailbox.unread.values():
                assert all(isinstance(each, ApplicationMessage) for each in queue)
        assert self.asks == {"alice": [], "bob": []}


TwoNodes.TestCase.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestTwoNodes = TwoNodes.TestCase
