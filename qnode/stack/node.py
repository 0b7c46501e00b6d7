"""The node: ``handle(now, event) -> actions`` over all its parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

from qnode.config import NetworkConfiguration, NodeConfiguration
from qnode.stack import local_operations, oracle
from qnode.stack.channel import Channel
from qnode.stack.circuits.service import Circuits
from qnode.stack.core import Core, RequestRefused, Session
from qnode.stack.events import Action, Answer, Asked, Event, SessionEnded, Started, TimerFired
from qnode.stack.groups import Groups
from qnode.stack.link_layer import LinkLayer
from qnode.stack.memory import HeldQubit, Memory
from qnode.stack.messages import Mailbox
from qnode.stack.monitoring import Monitoring
from qnode.stack.netqasm.service import Netqasm
from qnode.stack.pair_numbers import PairNumbers
from qnode.stack.pair_requests import PairRequests
from qnode.stack.programs import Programs
from qnode.stack.routing import Routing
from qnode.stack.teleportation import Teleportation
from qnode.stack.transmission import Transmission
from qnode.wire import application
from qnode.wire.circuits import (
    DistilPairs,
    LinkReady,
    LinkTested,
    LinkWaits,
    PairComplete,
    PairDied,
    PairDistilled,
    PairKept,
    Path,
    PathRefused,
    Refresh,
    Reserved,
    SegmentGrew,
    SwapOutcome,
    Teardown,
)
from qnode.wire.codec import WireError
from qnode.wire.fabric import Arrived, Completed, Delivered, Heralded, Lost, Refused, Seen, SlotsOutOfService
from qnode.wire.groups import GroupAsked, GroupClosed, GroupInvited, GroupLost, GroupOutcome, GroupReady
from qnode.wire.netqasm import NetqasmPeerMessage
from qnode.wire.peer import (
    Acknowledged,
    ApplicationMessage,
    NetworkMessage,
    PairDiscarded,
    PreparedRemotely,
    QubitArrived,
    Sequenced,
    TeleportOutcome,
    unsealed,
)
from qnode.wire.routing import Hello, LinkState, PathAnswer, PathQuestion
from qnode.wire.version import VERSION

LONGEST_TIME_PS = 10**18
"""Eleven days: the longest sleep or timeout, so that virtual time stays within 64 bits."""
LAST_INSTANT_PS = 4 * 10**18
"""The end of virtual time."""
UNHEARD = "its herald was lost"
"""Why a pair is worth nothing whose number never came."""
MOST_EARLY_PAIRS = 4096
"""For how many pairs news is kept that overtook the herald."""
MOST_EARLY_NEWS = 8
"""Of one pair."""
MOST_REPORTED = 256
LONGEST_VALUE_NAME = 256
LONGEST_KEY_NAME = 256
MOST_KEY_BITS = 2**40
FINGERPRINT_BYTES = 16


class Node:
    """A quantum node's protocols. It knows only what heralds and messages told it."""

    def __init__(self, configuration: NodeConfiguration) -> None:
        self.configuration = configuration
        memory = Memory(configuration.label, configuration.communication_slots, configuration.storage_slots)
        self.core = Core(configuration, memory)
        network = configuration.network or NetworkConfiguration()
        self.channel = Channel(self.core, network.acknowledge_delay_ps, self._from_channel, self._lost_peer)
        if configuration.network is not None:
            self.core.channel = self.channel.send
        self.link_layer = LinkLayer(self.core, self.channel.send)
        self.pair_requests = PairRequests(self.core, self.link_layer)
        self.routing = Routing(
            self.core,
            self.channel.send,
            link_lost=lambda link, reason: self.circuits.signalling.link_lost(link, reason),
            link_found=lambda link: self.channel.repeat(self.link_layer.links[link].remote),
        )
        self.routing.queue_of = self.link_layer.queue_of
        self.circuits = Circuits(self.core, self.routing, self.link_layer, self.channel)
        self.monitoring = Monitoring(self.core, self.link_layer, self.routing, self.channel.send, network.test_fraction)
        self.programs = Programs(self.core, self._asked, self._end)
        self.groups = Groups(self.core, self.routing, self.programs, self.channel.send)
        self.netqasm = Netqasm(self.core, self.link_layer, self._ask_inside, self.channel.send, self.circuits.withdraw)
        self.mailbox = Mailbox(self.core)
        self.teleportation = Teleportation(self.core)
        self.transmission = Transmission(self.core, self.link_layer)
        self._requests: dict[type, Callable[[int, Any], None]] = {
            application.Run: lambda session, request: local_operations.run(self.core, session, request),
            application.RequestPairs: self.pair_requests.ask,
            application.NextPair: lambda session, r: self.pair_requests.next_pair(session, r.call, r.request),
            application.CancelRequest: self._cancel_request,
            application.OpenCircuit: self.circuits.open,
            application.AcceptCircuit: self.circuits.accept,
            application.NextCircuitPair: self.circuits.next_pair,
            application.NextCircuitEvent: self.circuits.next_event,
            application.CloseCircuit: self.circuits.close,
            application.OpenGroup: self.groups.open,
            application.JoinGroup: self.groups.join,
            application.NextGroupQubit: self.groups.next_qubit,
            application.CloseGroup: self.groups.close,
            application.Teleport: self.teleportation.teleport,
            application.ReceiveTeleported: self.teleportation.receive,
            application.TransmitQubit: self.transmission.transmit,
            application.ReceiveQubit: self.transmission.receive,
            application.SendMessage: self.mailbox.send,
            application.ReceiveMessage: self.mailbox.receive,
            application.Sleep: self._sleep,
            application.OracleState: lambda session, request: oracle.ask(self.core, session, request),
            application.Report: self._report,
            application.ReportKey: self._report_key,
            application.NetqasmMessage: self.netqasm.obey,
            application.Detach: self._detach,
        }
        self._numbers = PairNumbers(started_again=configuration.incarnation > 0)
        self.routing.last_pair_of = self._numbers.last
        self.routing.told_of_pairs = self._told_of_pairs
        self._early: dict[str, list[tuple[str, TeleportOutcome | PairDiscarded | PreparedRemotely]]] = {}
        signalling = self.circuits.signalling
        self._told: dict[type, Callable[[str, Any], None]] = {
            LinkWaits: self.link_layer.told,
            LinkReady: self.link_layer.told,
            LinkTested: self.monitoring.told,
            LinkState: self.routing.link_state,
            PathQuestion: self.routing.path_question,
            PathAnswer: self.routing.path_answer,
            Path: signalling.path,
            Reserved: signalling.reserved,
            PathRefused: signalling.refused,
            Teardown: signalling.teardown,
            Refresh: signalling.refresh,
            SegmentGrew: signalling.of_pair,
            PairDied: signalling.of_pair,
            DistilPairs: signalling.of_pair,
            PairDistilled: signalling.of_pair,
            SwapOutcome: lambda _, message: self.circuits.delivery.swapped(message),
            PairComplete: self.circuits.delivery.complete,
            PairKept: self.circuits.delivery.kept,
            PairDiscarded: self._of_pair,
            TeleportOutcome: self._of_pair,
            PreparedRemotely: self._of_pair,
            QubitArrived: self.teleportation.confirmed,
            GroupAsked: self.groups.told,
            GroupInvited: self.groups.told,
            GroupReady: self.groups.told,
            GroupOutcome: self.groups.told,
            GroupLost: self.groups.told,
            GroupClosed: self.groups.told,
            **dict.fromkeys(get_args(NetqasmPeerMessage), self.netqasm.told),
        }
        self._timers: dict[str, Callable[[str, int], None]] = {
            "pairs": lambda session, call: self.pair_requests.timed_out(int(session), call),
            "cutoff": lambda qubit, _: self._cutoff(qubit),
            "teleported": self.teleportation.timed_out,
            "receive": lambda session, call: self.mailbox.timed_out(int(session), call),
            "receive_qubit": lambda session, call: self.transmission.timed_out(int(session), call),
            "sleep": lambda session, call: self.core.done(int(session), call),
            "acknowledge": lambda peer, _: self.channel.owed(peer),
            "retransmit": lambda peer, _: self.channel.silent(peer),
            "hello": lambda _, __: self.routing.hello_due(),
            "hello_lost": lambda link, _: self.routing.neighbour_quiet(link),
            "link_state": lambda _, __: self.routing.link_state_due(),
            "age": lambda _, __: self.routing.age_due(),
            "path_question": lambda _, question: self.routing.question_expired(question),
            "circuit_refresh": signalling.refresh_due,
            "circuit_silent": signalling.unrefreshed,
            "circuit_open": lambda circuit, _: self.circuits.open_timed_out(circuit),
            "circuit_accept": lambda session, call: self.circuits.accept_timed_out(int(session), call),
            "circuit_pair": self.circuits.pair_timed_out,
            "circuit_event": self.circuits.event_timed_out,
            "circuit_route": lambda circuit, _: self.circuits.route_again(circuit),
            "circuit_unread": lambda circuit, _: self.circuits.unread(circuit),
            "circuit_abandoned": lambda circuit, _: self.circuits.abandoned(circuit),
            "group_open": lambda group, _: self.groups.open_timed_out(group),
            "monitor": lambda link, _: self.monitoring.due(link),
            "group_begin": lambda group, _: self.groups.begin(group),
            "group_join": lambda session, call: self.groups.join_timed_out(int(session), call),
            "group_qubit": self.groups.qubit_timed_out,
            "netqasm_probe": lambda peer, _: self.netqasm.probe(peer),
            "pair_cutoff": lambda pair, _: signalling.pair_expired(pair),
        }

    def handle(self, now: int, event: Event) -> list[Action]:
        """Everything the node does about ``event`` at the virtual time ``now`` (ps)."""
        core = self.core
        core.now = now
        core.actions = []
        if isinstance(event, Asked):
            self._asked(event.session, event.request)
        elif isinstance(event, Completed):
            pending = core.pending.pop(event.operation)
            pending.completed(event.bits)
        elif isinstance(event, Delivered):
            self._delivered(event)
        elif isinstance(event, Heralded):
            self._pair_heralded(event)
        elif isinstance(event, TimerFired):
            purpose, whose, number = event.key
            self._timers[purpose](whose, number)
        elif isinstance(event, SessionEnded):
            self._end(event.session, event.reason)
        elif isinstance(event, Refused):
            core.record("operation_refused", operation=event.operation, code=event.code, reason=event.reason)
            core.pending.pop(event.operation).refused(event.code, event.reason, event.done)
        elif isinstance(event, Arrived):
            self.transmission.arrived(event)
        elif isinstance(event, Lost):
            self.transmission.lost(event)
        elif isinstance(event, Seen):
            oracle.seen(core, event)
        elif isinstance(event, SlotsOutOfService):
            self._slots_out_of_service(event)
        elif isinstance(event, Started) and self.configuration.network is not None:
            self.routing.start()
            self.monitoring.start()
        self.programs.go()
        self.netqasm.go()
        self.transmission.place()
        self.link_layer.pump()
        return core.actions

    def _asked(self, number: int, request: application.Request) -> None:
        core = self.core
        if isinstance(request, application.Attach):
            self._attach(number, request)
            return
        if isinstance(request, application.Wait):
            return
        session = core.sessions.get(number)
        call = request.call
        if session is None:
            failed = application.Failed(call=call, now_ps=core.now, code="bad_request", reason="the session is over")
            core.actions.append(Answer(number, failed))
            return
        if call in session.open_calls or not 0 <= call < 1 << 53:
            core.fail(number, None, "bad_request", f"call {call} is open already, or out of range")
            return
        most = self.configuration.limits.open_calls
        if len(session.open_calls) >= most:
            core.fail(number, call, "limit", f"more than {most} open calls; await some")
            return
        session.open_calls.add(call)
        timeout_ps = getattr(request, "timeout_ps", None)
        if timeout_ps is not None and not 0 < timeout_ps <= self._longest_ps():
            reason = f"timeout_ps is {timeout_ps}, expected 1 to {self._longest_ps()}"
            core.fail(number, call, "bad_request", reason)
            return
        try:
            self._requests[type(request)](number, request)
        except RequestRefused as refusal:
            core.fail(number, call, refusal.code, refusal.reason)

    def _ask_inside(self, number: int, request: application.Request) -> None:
        """Serve what a node asks on an application's behalf; the call's number is below zero."""
        session = self.core.sessions.get(number)
        if session is None or isinstance(request, application.Wait):
            return
        session.open_calls.add(request.call)
        try:
            self._requests[type(request)](number, request)
        except RequestRefused as refusal:
            self.core.fail(number, request.call, refusal.code, refusal.reason)

    def _attach(self, number: int, request: application.Attach) -> None:
        core = self.core
        configuration = self.configuration
        if number in core.sessions:
            core.fail(number, request.call, "bad_request", "this session is attached already")
            return
        core.sessions[number] = Session(
            number, request.application, request.call, inside=lambda answer: self.netqasm.answered(number, answer)
        )
        core.record("application_attached", application=request.application)
        core.answer(
            number,
            application.Attached(
                call=request.call,
                now_ps=core.now,
                version=VERSION,
                node=configuration.name,
                process_id=configuration.process_id,
                neighbours=tuple(self.link_layer.by_remote),
                communication_slots=configuration.communication_slots,
                storage_slots=configuration.storage_slots,
            ),
        )

    def _cancel_request(self, session: int, request: application.CancelRequest) -> None:
        self.pair_requests.cancel(session, request.request)
        self.core.done(session, request.call)

    def _sleep(self, session: int, request: application.Sleep) -> None:
        longest_ps = self._longest_ps()
        if not 0 <= request.duration_ps <= longest_ps:
            raise RequestRefused("bad_request", f"duration_ps is {request.duration_ps}, expected 0 to {longest_ps}")
        self.core.set_timer(request.duration_ps, ("sleep", str(session), request.call))

    def _longest_ps(self) -> int:
        """How far ahead of now something may be asked for."""
        return min(LONGEST_TIME_PS, LAST_INSTANT_PS - self.core.now)

    def _report(self, session: int, request: application.Report) -> None:
        if len(request.values) > MOST_REPORTED:
            raise RequestRefused("limit", f"{len(request.values)} values, expected at most {MOST_REPORTED}")
        for name, value in request.values.items():
            if len(name) > LONGEST_VALUE_NAME:
                reason = f"a name of {len(name)} characters, expected at most {LONGEST_VALUE_NAME}"
                raise RequestRefused("limit", reason)
            if not all(map(math.isfinite, value if isinstance(value, tuple) else (value,))):
                raise RequestRefused("bad_request", f"{name} is {value}, expected finite numbers")
        self.core.record(
            "application_reported", application=self.core.sessions[session].application, values=request.values
        )
        self.core.done(session, request.call)

    def _report_key(self, session: int, request: application.ReportKey) -> None:
        configuration = self.configuration
        if request.remote == configuration.name or request.remote not in configuration.peers:
            raise RequestRefused(
                "no_route", f"no other node {request.remote!r} can be reached from {configuration.name}"
            )
        if len(request.name) > LONGEST_KEY_NAME:
            length = len(request.name)
            raise RequestRefused("limit", f"a name of {length} characters, expected at most {LONGEST_KEY_NAME}")
        if not 1 <= request.bits <= MOST_KEY_BITS or len(request.fingerprint) != FINGERPRINT_BYTES:
            raise RequestRefused(
                "bad_request",
                f"a key of {request.bits} bits and a fingerprint of {len(request.fingerprint)} bytes, expected 1 to "
                f"{MOST_KEY_BITS} bits and {FINGERPRINT_BYTES} bytes",
            )
        self.core.record(
            "key_delivered",
            application=self.core.sessions[session].application,
            remote=request.remote,
            name=request.name,
            bits=request.bits,
            fingerprint=request.fingerprint.hex(),
        )
        self.core.done(session, request.call)

    def _detach(self, session: int, request: application.Detach) -> None:
        self.core.done(session, request.call)
        self._end(session, "it detached")

    def _end(self, number: int, reason: str) -> None:
        core = self.core
        session = core.sessions.get(number)
        if session is None:
            return
        self.netqasm.forget(number)
        self.pair_requests.forget(number)
        self.groups.forget(number)
        self.circuits.forget(number)
        self.mailbox.forget(number)
        self.teleportation.forget(number)
        self.transmission.forget(number)
        for call in session.open_calls:
            core.cancel_timer(("sleep", str(number), call))
            core.cancel_timer(("receive", str(number), call))
            core.cancel_timer(("receive_qubit", str(number), call))
        for held in [held for held in core.memory.qubits.values() if held.session == number]:
            core.discard(held, why="its application is gone")
        core.record("application_detached", application=session.application, reason=reason)
        del core.sessions[number]

    def _delivered(self, event: Delivered) -> None:
        try:
            message = unsealed(event.payload)
        except WireError as error:
            self.core.record("message_dropped", sender=event.sender, reason=str(error))
            return
        if isinstance(message, Sequenced):
            self.channel.arrived(event.sender, message)
        elif isinstance(message, ApplicationMessage):
            self.mailbox.arrived(event.sender, message)
        elif isinstance(message, Acknowledged):
            self.channel.acknowledged(event.sender, message)
        elif isinstance(message, Hello):
            if self.configuration.network is not None:
                self.routing.hello(event.sender, message)
        elif isinstance(message, QubitArrived):
            self.teleportation.confirmed(event.sender, message)
        else:
            self._of_pair(event.sender, message)

    def _from_channel(self, sender: str, message: NetworkMessage) -> None:
        """A message of the channel, in its turn."""
        self._told[type(message)](sender, message)

    def _lost_peer(self, peer: str) -> None:
        """What this peer was told, or told, may be lost."""
        self.link_layer.forget_peer(peer)
        self.netqasm.silent(peer)
        self.teleportation.silent(peer)
        if self.configuration.network is not None:
            self.routing.silent(peer)
            self.circuits.signalling.silent(peer)
            self.circuits.delivery.silent(peer)

    def _pair_heralded(self, event: Heralded) -> None:
        """A herald, and the news of its pair that overtook it."""
        self._unheard_here(event.link, self._numbers.heralded(event.link, int(event.pair_id.rpartition("/")[2])))
        early = self._early.pop(event.pair_id, [])
        deaths = [f"at {sender}, {message.reason}" for sender, message in early if isinstance(message, PairDiscarded)]
        self.link_layer.heralded(event, dead_because=deaths[0] if deaths else None)
        for sender, message in early:
            self._of_pair(sender, message)

    def _unheard_here(self, link: str, numbers: range) -> None:
        """Heralds were lost on their way to this node."""
        for number in numbers:
            pair_id = f"{link}/{number}"
            self._early.pop(pair_id, None)
            self.core.record("herald_missed", pair=pair_id, unheard_by=self.configuration.name)
            self.circuits.signalling.pair_lost(pair_id, UNHEARD)
            self.core.tell_of_pair(self.link_layer.links[link].remote, PairDiscarded(pair_id=pair_id, reason=UNHEARD))

    def _told_of_pairs(self, link: str, last_there: int) -> None:
        """Heralds were lost on their way to a neighbour, or it is very slow: either way the pairs are given up."""
        remote = self.link_layer.links[link].remote
        for number in self._numbers.told(link, last_there):
            pair_id = f"{link}/{number}"
            self.core.record("herald_missed", pair=pair_id, unheard_by=remote)
            self._of_pair(remote, PairDiscarded(pair_id=pair_id, reason=UNHEARD))
            self.core.tell_of_pair(remote, PairDiscarded(pair_id=pair_id, reason=UNHEARD))

    def _cutoff(self, qubit: str) -> None:
        """A half of a pair may have grown too old for the slot that it lies in."""
        held = self.core.memory.qubits.get(qubit)
        if held is None or held.pair is None:
            return
        cutoff_ps = self.core.cutoff_ps(held)
        if cutoff_ps is not None and self.core.now >= held.pair.emitted_at + cutoff_ps:
            self.teleportation.discarded(held.pair.pair_id, "older than the cutoff")
            self.pair_requests.lose(held, "older than the cutoff")

    def _slots_out_of_service(self, event: SlotsOutOfService) -> None:
        """Slots have failed, and the qubits in them are lost; or they are back."""
        core = self.core
        core.record("slots_out_of_service", role=event.role, number=event.number, lost=event.lost)
        for name in event.lost:
            held = core.memory.qubits.get(name)
            if held is not None:
                self._lost(held, "its slot failed")
            else:
                self.transmission.slot_failed(name)
        core.memory.out_of_service(event.role, event.number)
        if self.configuration.network is not None:
            self.circuits.signalling.slots_changed()

    def _lost(self, held: HeldQubit, why: str) -> None:
        """A qubit is gone: whoever counts on it hears of it, and so does the other end if it is a half of a pair."""
        if held.pair is None:
            self.core.discard(held, why=why)
        elif self.circuits.signalling.owns(held):
            self.circuits.signalling.half_lost(held.pair.pair_id, why)
        else:
            self.teleportation.discarded(held.pair.pair_id, why)
            self.pair_requests.lose(held, why)

    def _of_pair(self, sender: str, message: TeleportOutcome | PairDiscarded | PreparedRemotely) -> None:
        """News of a pair, for its half here. News of one that is gone is late; news before the herald is kept."""
        held = self.core.memory.halves.get(message.pair_id)
        if held is None or held.pair is None:
            if self._is_to_come(message.pair_id) and len(self._early) < MOST_EARLY_PAIRS:
                news = self._early.setdefault(message.pair_id, [])
                if len(news) < MOST_EARLY_NEWS:
                    news.append((sender, message))
            elif isinstance(message, TeleportOutcome) and message.confirm:
                self.core.tell_of_pair(sender, QubitArrived(pair_id=message.pair_id, arrived=False))
            elif isinstance(message, PairDiscarded):
                self.pair_requests.lost_remotely(message.pair_id)
                if self._shares(message.pair_id, sender):
                    self.circuits.signalling.pair_lost(message.pair_id, f"at {sender}, {message.reason}")
        elif sender != held.pair.remote:
            self.core.record("message_dropped", sender=sender, reason=f"{message.pair_id} is not a pair with it")
        elif isinstance(message, TeleportOutcome):
            self.teleportation.told(held, message)
        elif self.circuits.signalling.owns(held):
            if isinstance(message, PairDiscarded):
                self.circuits.signalling.pair_lost(message.pair_id, f"at {sender}, {message.reason}")
        elif isinstance(message, PairDiscarded):
            self.teleportation.discarded(message.pair_id, f"at {sender}, {message.reason}")
            self.pair_requests.discarded_remotely(held, sender, message)
        else:
            self.pair_requests.prepared_remotely(held, message)

    def _is_to_come(self, pair_id: str) -> bool:
        """Whether a pair's herald has not been here yet; a link counts its pairs."""
        link, _, number = pair_id.rpartition("/")
        if link not in self.link_layer.links or not number.isdecimal():
            return False
        return int(number) > self._numbers.last(link)

    def _shares(self, pair_id: str, remote: str) -> bool:
        """Whether a pair is, or was, of a link with that neighbour."""
        link = self.link_layer.links.get(pair_id.rpartition("/")[0])
        return link is not None and link.remote == remote

    def waits(self) -> tuple[str, ...]:
        """What the attached applications wait for, a line each."""
        lines = []
        circuits, groups = self.circuits.waits(), self.groups.waits()
        for session in self.core.sessions.values():
            for request in self.pair_requests.requests.values():
                if request.session == session.number:
                    lines.append(
                        f"{session.application} waits for {request.to_deliver} of {request.asked.number} "
                        f"pairs with {request.link.remote}"
                    )
            lines += [f"{session.application} waits: {what}" for what in self.netqasm.waits(session.number)]
            mine = (*circuits.get(session.number, ()), *groups.get(session.number, ()))
            lines += [f"{session.application} waits for {what}" for what in mine]
            for (sender, tag), queue in self.mailbox.waiting.items():
                if any(receiving.session == session.number for receiving in queue):
                    lines.append(f"{session.application} waits for a message from {sender} under tag {tag!r}")
            for pair_id, (owner, _) in self.teleportation.waiting.items():
                if owner == session.number:
                    lines.append(f"{session.application} waits for the teleportation outcome of pair {pair_id}")
            for link, waiters in self.transmission.waiting.items():
                if any(owner == session.number for owner, _ in waiters):
                    lines.append(f"{session.application} waits for a qubit over link {link}")
        return tuple(lines)
