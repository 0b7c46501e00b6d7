"""What applications ask of circuits, and what the ends of circuits at this node do about signalling."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from qnode.stack.channel import Channel
from qnode.stack.circuits.data_plane import End, Installed
from qnode.stack.circuits.delivery import Delivery
from qnode.stack.circuits.endpoint import Endpoint, EndpointCause, EndpointState
from qnode.stack.circuits.head import Head
from qnode.stack.circuits.signalling import Signalling, Transit
from qnode.stack.circuits.tail import Tail
from qnode.stack.core import Core, RequestRefused, check_purpose
from qnode.stack.link_layer import LinkLayer
from qnode.stack.paths import NoPath
from qnode.stack.routing import Routing
from qnode.wire import application
from qnode.wire.application import (
    AcceptCircuit,
    CircuitEventKind,
    CloseCircuit,
    FailureCode,
    NextCircuitEvent,
    NextCircuitPair,
    OpenCircuit,
)
from qnode.wire.circuits import Path, PathRefused, Teardown
from qnode.wire.routing import PathRequirement, RoutedPath

OPEN_TIMEOUT_PS = 10**13
"""Ten seconds: how long a circuit may take to open if its application does not say."""
MOST_REFUSALS = 3
"""Paths that are tried before an application is told no."""
MOST_SLOTS = 64
MOST_AXES = 65_536
MOST_ENDED = 4096
"""Circuits whose end here is remembered, so that none of them is offered again to whoever accepts."""
MOST_ROUNDS = 4
MOST_CLOSED = 64
"""Closed circuits of one application of which it may still ask why they were closed."""
MOST_INCOMING = 1024
"""Circuits that wait at a node to be accepted."""


@dataclass(slots=True)
class Accepting:
    """A call that waits for a circuit to come."""

    session: int
    request: AcceptCircuit


@dataclass
class Circuits:
    """The circuits of a node's applications."""

    core: Core
    routing: Routing
    link_layer: LinkLayer
    channel: Channel
    signalling: Signalling = field(init=False)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    accepting: deque[Accepting] = field(default_factory=deque)
    incoming: dict[str, Path] = field(default_factory=dict)
    """Circuits that wait for an application to accept them."""
    ended: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Circuits that an application here had accepted, and has left."""
    _opened: int = 0

    def __post_init__(self) -> None:
        self.tell = self.channel.send
        self.delivery = Delivery(self.core, self.channel.send, self.endpoints)
        self.signalling = Signalling(
            self.core,
            self.link_layer,
            self.channel.send,
            lambda to, message: self.channel.send(to, message, housekeeping=True),
            link_works=self.routing.is_up,
            changed=self._resources_changed,
            ends=self,
        )

    def _resources_changed(self, link: str) -> None:
        reservations = self.signalling.reservations
        free_share = max(0.0, reservations.free_share(link))
        self.routing.advertise(link, free_share=free_share, free_slots=reservations.free_slots)

    # Requests of applications

    def open(self, session: int, request: OpenCircuit) -> None:
        """Ask for a circuit.

        Raises:
            RequestRefused: it can never be; nothing was reserved.
        """
        self._check(request)
        self._make_room(session, slots=request.slots)
        circuit = f"{self.core.configuration.label}:{self._opened}"
        self._opened += 1
        endpoint = Endpoint(
            circuit, session, True, request.remote, EndpointState.ROUTING, request, opening_call=request.call
        )
        self.endpoints[circuit] = endpoint
        self.core.record(
            "circuit_requested",
            circuit=circuit,
            application=self.core.sessions[session].application,
            remote=request.remote,
            minimum_fidelity=request.minimum_fidelity,
            rate_bpps=request.rate_bpps,
            priority=request.priority,
            pair_kind=request.kind,
            timeout_ps=request.timeout_ps or OPEN_TIMEOUT_PS,
        )
        self.core.set_timer(request.timeout_ps or OPEN_TIMEOUT_PS, ("circuit_open", circuit, 0))
        self._route(endpoint)

    def _make_room(self, session: int, *, slots: int = 0) -> None:
        """For one more circuit of a session: of those that are closed and empty, only the latest are remembered.

        ``slots``: those that it asks for, if it is the one that opens it.

        Raises:
            RequestRefused: it has too many that are not closed, or too many slots for those that it opened.
        """
        mine = [each for each in self.endpoints.values() if each.session == session]
        most = self.core.configuration.limits.circuits
        past = [each for each in mine if each.state is EndpointState.CLOSED]
        if len(mine) - len(past) >= most:
            raise RequestRefused("limit", f"{most} circuits of this application are open; close some")
        asked = slots + sum(
            each.asked.slots
            for each in mine
            if isinstance(each.asked, OpenCircuit) and each.state is not EndpointState.CLOSED
        )
        most_slots = self.core.configuration.limits.memory_slots
        if most_slots is not None and slots and asked > most_slots:
            raise RequestRefused(
                "limit", f"its open circuits would reserve {asked} memory slots, expected at most {most_slots}"
            )
        spent = [each for each in past if not (each.ready or each.committed or each.pair_calls or each.event_calls)]
        for endpoint in spent[:-MOST_CLOSED]:
            self._forget(endpoint)

    def _forget(self, endpoint: Endpoint) -> None:
        """A circuit that nobody here will ask for again."""
        self.core.cancel_timer(("circuit_abandoned", endpoint.circuit, 0))
        del self.endpoints[endpoint.circuit]
        if not endpoint.is_head:
            self.ended[endpoint.circuit] = None
            while len(self.ended) > MOST_ENDED:
                self.ended.popitem(last=False)

    def _check(self, request: OpenCircuit) -> None:
        core = self.core
        name = core.configuration.name
        if core.configuration.network is None:
            raise RequestRefused(
                "unsupported", "this testbed has no control plane; add a section `network: {}` to its scenario"
            )
        if core.configuration.role in ("automated", "controller"):
            raise RequestRefused("unsupported", f"{name} is an {core.configuration.role} node: no circuit ends there")
        if request.remote == name:
            raise RequestRefused("bad_request", f"remote is {name}, this node itself; a circuit joins two nodes")
        if request.remote not in core.configuration.peers:
            raise RequestRefused("no_route", f"no node {request.remote!r} can be reached from {name}")
        if request.kind == "R":
            raise RequestRefused("unsupported", "circuits are of kind K or M")
        _expect_positive("rate_bpps", request.rate_bpps, at_most=1e12)
        _expect_positive("slots", request.slots, at_most=MOST_SLOTS)
        if request.cutoff_ps is not None:
            _expect_positive("cutoff_ps", request.cutoff_ps, at_most=10**18)
        _expect("minimum_fidelity", request.minimum_fidelity, at_most=1.0)
        _expect("end_distillation_rounds", request.end_distillation_rounds, at_most=MOST_ROUNDS)
        _expect("test_fraction", request.test_fraction, at_most=0.9)
        _check_axes(request.kind, request.axes)
        check_purpose(request.purpose)

    def accept(self, session: int, request: AcceptCircuit) -> None:
        """Wait for a circuit."""
        if self.core.configuration.network is None:
            raise RequestRefused(
                "unsupported", "this testbed has no control plane; add a section `network: {}` to its scenario"
            )
        configuration = self.core.configuration
        if request.remote and request.remote not in configuration.peers:
            raise RequestRefused("no_route", f"no node {request.remote!r} can be reached from {configuration.name}")
        _check_axes("M", request.axes)
        check_purpose(request.purpose)
        self._make_room(session)
        accepting = Accepting(session, request)
        for path in [path for path in self.incoming.values() if _suits(accepting, path)]:
            del self.incoming[path.circuit]
            if self._take(accepting, path):
                return
        self.accepting.append(accepting)
        if request.timeout_ps is not None:
            self.core.set_timer(request.timeout_ps, ("circuit_accept", str(session), request.call))

    def withdraw(self, session: int, call: int) -> None:
        """A call waits no more for a circuit to come."""
        self.accepting = deque(each for each in self.accepting if (each.session, each.request.call) != (session, call))
        self.core.cancel_timer(("circuit_accept", str(session), call))

    def next_pair(self, session: int, request: NextCircuitPair) -> None:
        """Wait for a pair."""
        endpoint = self._of(session, request.circuit)
        if endpoint.state is EndpointState.CLOSED and not (endpoint.ready or endpoint.committed):
            raise RequestRefused("closed", f"circuit {request.circuit} is closed: {endpoint.closed_because}")
        endpoint.pair_calls.append(request.call)
        if request.timeout_ps is not None:
            self.core.set_timer(request.timeout_ps, ("circuit_pair", request.circuit, request.call))
        self.delivery.hand_over(endpoint)
        self.delivery.end_calls(endpoint)

    def next_event(self, session: int, request: NextCircuitEvent) -> None:
        """Wait for an event."""
        endpoint = self._of(session, request.circuit)
        if endpoint.state is EndpointState.CLOSED and not endpoint.events:
            raise RequestRefused("closed", f"circuit {request.circuit} is closed: {endpoint.closed_because}")
        endpoint.event_calls.append(request.call)
        if request.timeout_ps is not None:
            self.core.set_timer(request.timeout_ps, ("circuit_event", request.circuit, request.call))
        self.delivery.tell_events(endpoint)

    def close(self, session: int, request: CloseCircuit) -> None:
        """Free everything; closing twice is no error."""
        endpoint = self._of(session, request.circuit)
        if endpoint.state is not EndpointState.CLOSED:
            self._end(endpoint, "closed", "closed by its application")
        self.delivery.discard_ready(endpoint, "closed by its application")
        self.core.done(session, request.call)

    def _of(self, session: int, circuit: str) -> Endpoint:
        endpoint = self.endpoints.get(circuit)
        if endpoint is None:
            raise RequestRefused("bad_request", f"there is no circuit {circuit!r} at this node")
        if endpoint.session != session:
            raise RequestRefused("not_yours", f"circuit {circuit} belongs to another application")
        return endpoint

    def forget(self, session: int) -> None:
        """The session is over: close its circuits."""
        for accepting in [each for each in self.accepting if each.session == session]:
            self.accepting.remove(accepting)
            self.core.cancel_timer(("circuit_accept", str(session), accepting.request.call))
        for endpoint in [each for each in self.endpoints.values() if each.session == session]:
            if endpoint.state is not EndpointState.CLOSED:
                self._end(endpoint, "closed", "its application is gone")
            self.delivery.void(endpoint, "its application is gone")
            for call in endpoint.event_calls:
                self.core.cancel_timer(("circuit_event", endpoint.circuit, call))
            self._forget(endpoint)

    # Timers

    def unread(self, circuit: str) -> None:
        """An application leaves more outcomes unread than it may."""
        endpoint = self.endpoints.get(circuit)
        if endpoint is not None and endpoint.state is not EndpointState.CLOSED:
            reason = f"limit: {len(endpoint.ready)} outcomes were not asked for at {self.core.configuration.name}"
            self._end(endpoint, "closed", reason)

    def open_timed_out(self, circuit: str) -> None:
        """The circuit did not open in time."""
        endpoint = self.endpoints.get(circuit)
        if endpoint is not None and endpoint.opening_call is not None:
            where = "the other end has not accepted it" if endpoint.state is EndpointState.SIGNALLING else "no path"
            timeout_s = (_asked(endpoint).timeout_ps or OPEN_TIMEOUT_PS) / 1e12
            self._refuse(endpoint, "timeout", endpoint.remote, f"not open within {timeout_s:.9g} s: {where}")

    def accept_timed_out(self, session: int, call: int) -> None:
        """No circuit came in time."""
        for accepting in self.accepting:
            if (accepting.session, accepting.request.call) == (session, call):
                self.accepting.remove(accepting)
                self.core.fail(session, call, "timeout", "no circuit came in time")
                return

    def pair_timed_out(self, circuit: str, call: int) -> None:
        """No pair came in time."""
        endpoint = self.endpoints.get(circuit)
        if endpoint is not None and call in endpoint.pair_calls:
            endpoint.pair_calls.remove(call)
            reason = f"no pair of circuit {circuit} came in time; {self._standing(endpoint)}"
            self.core.fail(endpoint.session, call, "timeout", reason)

    def event_timed_out(self, circuit: str, call: int) -> None:
        """Nothing happened in time."""
        endpoint = self.endpoints.get(circuit)
        if endpoint is not None and call in endpoint.event_calls:
            endpoint.event_calls.remove(call)
            self.core.fail(endpoint.session, call, "timeout", f"no event of circuit {circuit} came in time")

    def route_again(self, circuit: str) -> None:
        """Look for a path once more."""
        endpoint = self.endpoints.get(circuit)
        if endpoint is not None and endpoint.state in (EndpointState.ROUTING, EndpointState.DOWN):
            self._route(endpoint)

    # The way to an open circuit, at the head

    def _route(self, endpoint: Endpoint, *, over_others: bool = False) -> None:
        asked = _asked(endpoint)
        requirement = PathRequirement(
            minimum_fidelity=asked.minimum_fidelity,
            rate_bpps=asked.rate_bpps,
            kind=asked.kind,
            cutoff_ps=asked.cutoff_ps,
            slots=asked.slots,
            distillation=asked.distillation and asked.kind == "K",
            end_distillation_rounds=asked.end_distillation_rounds,
            over_others=over_others,
        )
        links = self.signalling.link_layer.links
        avoided = [each for each in endpoint.avoided if each != self.core.configuration.name]
        self.routing.find_path(
            endpoint.remote,
            requirement,
            lambda found: self._routed(endpoint, found, over_others=over_others),
            exclude_links=tuple(each for each in avoided if each in links or not self._is_node(each)),
            exclude_nodes=tuple(each for each in avoided if self._is_node(each) and each != endpoint.remote),
        )

    def _is_node(self, name: str) -> bool:
        return name in self.core.configuration.peers

    def _routed(self, endpoint: Endpoint, found: RoutedPath | NoPath, *, over_others: bool) -> None:
        if endpoint.state not in (EndpointState.ROUTING, EndpointState.DOWN):
            return
        asked = _asked(endpoint)
        if isinstance(found, NoPath):
            if asked.priority > 0 and not over_others:
                self._route(endpoint, over_others=True)
                return
            self._no_path(endpoint, found)
            return
        generation = endpoint.path.generation + 1 if endpoint.path is not None else 0
        path = Path(
            circuit=endpoint.circuit,
            generation=generation,
            hops=found.hops,
            kind=asked.kind,
            minimum_fidelity=asked.minimum_fidelity,
            rate_bpps=asked.rate_bpps,
            expected_fidelity=found.expected_fidelity,
            expected_rate_bpps=found.expected_rate_bpps,
            priority=asked.priority,
            purpose=asked.purpose,
            slots=asked.slots,
            swapping=asked.swapping,
            cutoff_ps=asked.cutoff_ps,
            end_distillation_rounds=asked.end_distillation_rounds,
            distillation_protocol=asked.distillation_protocol,
            distillation_schedule=asked.distillation_schedule,
        )
        endpoint.path = path
        endpoint.change(EndpointCause.ROUTE)
        shortage = self.signalling.begin(path)
        if shortage is not None:
            self._path_failed(endpoint, EndpointCause.REFUSED, "no_capacity", shortage.where, shortage.reason)

    def _no_path(self, endpoint: Endpoint, found: NoPath) -> None:
        network = self.core.configuration.network
        assert network is not None
        unsettled = not self.routing.is_settled
        if endpoint.was_open or unsettled or (endpoint.avoided and endpoint.refusals < MOST_REFUSALS):
            endpoint.refusals += 0 if endpoint.was_open or unsettled else 1
            if not unsettled:
                endpoint.avoided.clear()
            delay_ps = network.hello_interval_ps // (20 if unsettled else 1)
            self.core.set_timer(delay_ps, ("circuit_route", endpoint.circuit, 0))
        else:
            self._refuse(endpoint, found.code, found.where, found.reason)

    def _path_failed(self, endpoint: Endpoint, cause: EndpointCause, code: str, where: str, reason: str) -> None:
        """A path that was asked for does not come to stand: look for another, but not for ever."""
        endpoint.change(cause)
        endpoint.avoided.append(where)
        endpoint.refusals += 1
        final = code in ("denied", "timeout") or endpoint.refusals >= MOST_REFUSALS
        if final and not endpoint.was_open:
            self._refuse(endpoint, code, where, reason)
        elif final and code == "denied":
            self._end(endpoint, "failed", reason)
        else:
            delay_ps = 0
            if endpoint.refusals >= MOST_REFUSALS:  # of a circuit that was open, and goes on trying
                endpoint.refusals = 0
                endpoint.avoided.clear()
                network = self.core.configuration.network
                assert network is not None
                delay_ps = network.hello_interval_ps
            self.core.set_timer(delay_ps, ("circuit_route", endpoint.circuit, 0))

    def _refuse(self, endpoint: Endpoint, code: str, where: str, reason: str) -> None:
        """The application gets no circuit, and is told why."""
        self.core.record("circuit_refused", circuit=endpoint.circuit, code=code, where=where, reason=reason)
        call, endpoint.opening_call = endpoint.opening_call, None
        self._end(endpoint, "closed", reason)
        del self.endpoints[endpoint.circuit]
        self.core.fail(endpoint.session, call, _failure(code), reason)

    # What signalling tells the ends

    def asked(self, path: Path) -> None:
        """A circuit wants to end here."""
        endpoint = self.endpoints.get(path.circuit)
        if endpoint is not None and not endpoint.is_head:
            if endpoint.state is EndpointState.CLOSED:
                self.signalling.deny(path.circuit, "denied", f"{endpoint.remote}'s circuit is closed at its other end")
                return
            endpoint.path = path
            self.signalling.accept(path.circuit)
            endpoint.change(EndpointCause.RESERVED)
            self.core.cancel_timer(("circuit_abandoned", path.circuit, 0))
            self.delivery.tell(endpoint, "rerouted", "its head found another path", endpoint.nodes)
            return
        if path.circuit in self.ended:
            self.signalling.deny(path.circuit, "denied", f"{path.hops[-1].downstream}'s application has left it")
            return
        for accepting in self.accepting:
            if _suits(accepting, path):
                self.accepting.remove(accepting)
                self.core.cancel_timer(("circuit_accept", str(accepting.session), accepting.request.call))
                self._take(accepting, path)
                return
        if len(self.incoming) >= MOST_INCOMING:
            here = self.core.configuration.name
            self.signalling.deny(path.circuit, "no_capacity", f"{MOST_INCOMING} circuits wait at {here} to be accepted")
            return
        self.incoming[path.circuit] = path

    def _take(self, accepting: Accepting, path: Path) -> bool:
        """An application here accepts a circuit; False if that is gone."""
        head = path.hops[0].upstream
        endpoint = Endpoint(
            path.circuit, accepting.session, False, head, EndpointState.SIGNALLING, accepting.request, path=path
        )
        self.endpoints[path.circuit] = endpoint
        if not self.signalling.accept(path.circuit):
            del self.endpoints[path.circuit]
            return False
        endpoint.change(EndpointCause.RESERVED)
        endpoint.was_open = True
        self._tell_opened(endpoint, accepting.request.call)
        return True

    def end_of(self, installed: Installed) -> End:
        """The head or tail of a path that is being installed."""
        endpoint = self.endpoints[installed.name]
        path = installed.path
        if endpoint.is_head:
            asked = _asked(endpoint)
            head = Head(
                installed,
                endpoint.remote,
                path.kind,
                corrects=not asked.as_heralded,
                axes=asked.axes,
                test_fraction=asked.test_fraction if path.kind == "K" else 0.0,
                deliver=lambda finished: self.delivery.deliver(endpoint, finished),
                estimate=endpoint.estimate,
                numbers=endpoint.number,
                committed=endpoint.committed,
                tested=lambda: self.delivery.tested(endpoint),
            )
            endpoint.end = head
            for early in endpoint.early_swaps:
                if early.generation == path.generation:
                    head.swapped(early)
            endpoint.early_swaps.clear()
            return head
        tail = Tail(
            installed,
            endpoint.remote,
            path.kind,
            axes=endpoint.asked.axes,
            deliver=lambda finished: self.delivery.deliver(endpoint, finished),
        )
        endpoint.end = tail
        return tail

    def reserved(self, circuit: str, installed: Installed) -> None:
        """The path stands."""
        endpoint = self.endpoints[circuit]
        path = installed.path
        endpoint.change(EndpointCause.RESERVED)
        endpoint.avoided.clear()
        endpoint.refusals = 0
        details = {
            "circuit": circuit,
            "generation": path.generation,
            "path": list(endpoint.nodes),
            "links": [hop.link for hop in path.hops],
            "operating_points": [hop.operating_point for hop in path.hops],
            "distillation_rounds": [hop.distillation_rounds for hop in path.hops],
            "shares": [hop.share for hop in path.hops],
            "expected_fidelity": path.expected_fidelity,
            "expected_rate_bpps": path.expected_rate_bpps,
        }
        if endpoint.was_open:
            self.core.cancel_timer(("circuit_abandoned", circuit, 0))
            self.core.record("circuit_restored", **details)
            self.delivery.tell(endpoint, "rerouted", "its path had failed", endpoint.nodes)
            return
        endpoint.was_open = True
        self.core.record("circuit_opened", **details)
        self.core.cancel_timer(("circuit_open", circuit, 0))
        call, endpoint.opening_call = endpoint.opening_call, None
        assert call is not None
        self._tell_opened(endpoint, call)

    def _tell_opened(self, endpoint: Endpoint, call: int) -> None:
        path = endpoint.path
        assert path is not None
        self.core.answer(
            endpoint.session,
            application.CircuitOpened(
                call=call,
                now_ps=self.core.now,
                circuit=endpoint.circuit,
                remote=endpoint.remote,
                path=endpoint.nodes,
                kind=path.kind,
                minimum_fidelity=path.minimum_fidelity,
                rate_bpps=path.rate_bpps,
                expected_fidelity=path.expected_fidelity,
                expected_rate_bpps=path.expected_rate_bpps,
            ),
        )

    def refused(self, message: PathRefused) -> None:
        """A path was refused."""
        endpoint = self.endpoints.get(message.circuit)
        if endpoint is not None and endpoint.state is EndpointState.SIGNALLING:
            self._path_failed(endpoint, EndpointCause.REFUSED, message.code, message.where, message.reason)

    def torn_down(self, transit: Transit, message: Teardown) -> None:
        """A path that ends here is gone: at the head, look for another; at the tail, wait for one."""
        self.incoming.pop(message.circuit, None)
        endpoint = self.endpoints.get(message.circuit)
        if endpoint is None or endpoint.state is EndpointState.CLOSED:
            return
        if endpoint.end is not None:
            endpoint.end.stop()
        if message.code == "closed":
            self._end(endpoint, "closed", message.reason, tell=False)
        elif endpoint.state is EndpointState.SIGNALLING:
            self._path_failed(endpoint, EndpointCause.FAILED, "no_route", message.where, message.reason)
        elif endpoint.state is EndpointState.OPEN:
            endpoint.change(EndpointCause.FAILED)
            endpoint.down_since = self.core.now
            kind: CircuitEventKind = "preempted" if message.code == "preempted" else "down"
            self.delivery.tell(endpoint, kind, message.reason)
            network = self.core.configuration.network
            assert network is not None
            patience_ps = network.restore_timeout_ps
            if endpoint.is_head:
                self.core.record("circuit_down", circuit=endpoint.circuit, code=message.code, reason=message.reason)
                endpoint.avoided.append(message.where)
                self.core.set_timer(0, ("circuit_route", endpoint.circuit, 0))
            else:
                patience_ps *= 2
            self.core.set_timer(patience_ps, ("circuit_abandoned", endpoint.circuit, 0))

    def abandoned(self, circuit: str) -> None:
        """No other path stands in time; or the other end, which has closed the circuit, says nothing of pairs."""
        endpoint = self.endpoints.get(circuit)
        if endpoint is None or endpoint.state is EndpointState.OPEN:
            return
        if endpoint.state is EndpointState.CLOSED:
            self.delivery.void(endpoint, f"{endpoint.remote} has not said whether it has the pair")
        else:
            network = self.core.configuration.network
            assert network is not None
            self._end(endpoint, "failed", f"no other path within {network.restore_timeout_ps / 1e12:.9g} s")

    def closed_from_afar(self, sender: str, message: Teardown) -> None:
        """The other end has closed a circuit that has no path."""
        endpoint = self.endpoints.get(message.circuit)
        if endpoint is None or endpoint.remote != sender or message.code != "closed" or not endpoint.was_open:
            return
        if endpoint.state not in (EndpointState.OPEN, EndpointState.CLOSED):
            self._end(endpoint, "closed", message.reason, tell=False)
            self.signalling.close(endpoint.circuit, reason=message.reason)

    # The end

    def _end(self, endpoint: Endpoint, code: str, reason: str, *, tell: bool = True) -> None:
        """The circuit is over here; whoever waits is told."""
        circuit, core = endpoint.circuit, self.core
        was_down = endpoint.state is not EndpointState.OPEN
        endpoint.change(EndpointCause.CLOSE)
        endpoint.closed_because = reason
        if endpoint.end is not None:
            endpoint.end.stop()
        self.delivery.report_estimate(endpoint)
        if endpoint.was_open:
            core.record("circuit_closed", circuit=circuit, code=code, reason=reason, delivered=endpoint.delivered)
        for purpose in ("circuit_open", "circuit_route", "circuit_abandoned"):
            core.cancel_timer((purpose, circuit, 0))
        if tell:
            self.signalling.close(circuit, reason=reason)
            if was_down and endpoint.was_open:
                generation = endpoint.path.generation if endpoint.path is not None else 0
                name = core.configuration.name
                gone = Teardown(circuit=circuit, generation=generation, code="closed", where=name, reason=reason)
                self.tell(endpoint.remote, gone)
        endpoint.closed_here = tell
        if tell:
            self.delivery.discard_ready(endpoint, reason)
            self.delivery.void(endpoint, f"its circuit ended: {reason}")
        elif endpoint.committed:  # the other end has closed it, and what both ends have may still be asked for
            network = core.configuration.network
            assert network is not None
            core.set_timer(network.restore_timeout_ps, ("circuit_abandoned", circuit, 0))
        self.delivery.end_calls(endpoint)
        self.delivery.tell(endpoint, "closed", reason)
        for call in endpoint.event_calls:
            core.cancel_timer(("circuit_event", circuit, call))
            core.fail(endpoint.session, call, "closed", f"circuit {circuit} is closed: {reason}")
        endpoint.event_calls.clear()

    def _standing(self, endpoint: Endpoint) -> str:
        return f"it is {endpoint.state.value} and has delivered {endpoint.delivered}"

    def waits(self) -> dict[int, list[str]]:
        """What each session waits for, a line each."""
        lines: dict[int, list[str]] = {}
        for accepting in self.accepting:
            lines.setdefault(accepting.session, []).append("a circuit to accept")
        for endpoint in self.endpoints.values():
            mine = lines.setdefault(endpoint.session, [])
            if endpoint.opening_call is not None:
                mine.append(f"circuit {endpoint.circuit} to {endpoint.remote} to open; {self._standing(endpoint)}")
            if endpoint.pair_calls:
                mine.append(f"a pair of circuit {endpoint.circuit}; {self._standing(endpoint)}")
            if endpoint.event_calls:
                mine.append(f"an event of circuit {endpoint.circuit}")
        return lines


def _asked(endpoint: Endpoint) -> OpenCircuit:
    assert isinstance(endpoint.asked, OpenCircuit)
    return endpoint.asked


def _suits(accepting: Accepting, path: Path) -> bool:
    request = accepting.request
    return request.purpose == path.purpose and request.remote in ("", path.hops[0].upstream)


def _expect(name: str, value: float, *, at_most: float) -> None:
    if not 0 <= value <= at_most:
        raise RequestRefused("bad_request", f"{name} is {value:g}, expected 0 to {at_most:g}")


def _expect_positive(name: str, value: float, *, at_most: float) -> None:
    if not 0 < value <= at_most:
        raise RequestRefused("bad_request", f"{name} is {value:g}, expected more than 0 and at most {at_most:g}")


def _check_axes(kind: str, axes: tuple[object, ...]) -> None:
    if axes and kind != "M":
        raise RequestRefused("bad_request", "a circuit of kind K keeps its pairs: give no axes")
    if len(axes) > MOST_AXES:
        raise RequestRefused("limit", f"{len(axes)} axes, expected at most {MOST_AXES}")
    for axis in axes:
        if axis not in ("X", "Y", "Z"):
            raise RequestRefused("bad_request", f"axis {axis}: a circuit measures along X, Y or Z")


def _failure(code: str) -> FailureCode:
    known: dict[str, FailureCode] = {"no_capacity": "no_capacity", "denied": "denied", "timeout": "timeout"}
    return known.get(code, "no_route")
