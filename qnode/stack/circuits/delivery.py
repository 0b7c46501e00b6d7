"""What the ends of circuits hand over to applications: pairs, events, and estimates of fidelity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qnode.stack.circuits.data_plane import MOST_REMEMBERED
from qnode.stack.circuits.endpoint import Endpoint, EndpointState, Event
from qnode.stack.circuits.finished import Finished
from qnode.stack.circuits.head import Head, settle_kept
from qnode.stack.circuits.tail import Tail
from qnode.stack.core import Core
from qnode.wire import application
from qnode.wire.application import (
    BellPair,
    CircuitEventKind,
)
from qnode.wire.circuits import PairComplete, PairKept, SwapOutcome
from qnode.wire.quantum import BELL_STATES

TESTS_PER_REPORT = 30


@dataclass(slots=True)
class Delivery:
    """The pairs and events of all circuits that end at a node."""

    core: Core
    send: Callable[[str, PairKept], None]
    """To another node, reliably."""
    endpoints: dict[str, Endpoint]

    def silent(self, peer: str) -> None:
        """Messages with the other end were lost: what was promised to it is void."""
        for endpoint in self.endpoints.values():
            if endpoint.remote == peer:
                self.void(endpoint, f"messages with {peer} were lost")

    def void(self, endpoint: Endpoint, reason: str) -> None:
        """What was promised to the other end and not confirmed is discarded."""
        for finished in endpoint.committed.values():
            if finished.held is not None:
                self.core.discard(finished.held, why=reason)
        endpoint.committed.clear()
        self.end_calls(endpoint)

    def swapped(self, message: SwapOutcome) -> None:
        """A router joined two pairs of a circuit that begins here."""
        endpoint = self.endpoints.get(message.circuit)
        if endpoint is None or not endpoint.is_head:
            return
        head = endpoint.end
        if isinstance(head, Head) and head.installed.path.generation == message.generation:
            head.swapped(message)
        elif endpoint.path is not None and endpoint.path.generation == message.generation:
            del endpoint.early_swaps[: 1 - MOST_REMEMBERED]
            endpoint.early_swaps.append(message)

    def complete(self, sender: str, message: PairComplete) -> None:
        """The head has named a pair."""
        endpoint = self.endpoints.get(message.circuit)
        tail = endpoint.end if endpoint is not None and endpoint.remote == sender else None
        if (
            isinstance(tail, Tail)
            and tail.installed.path.generation == message.generation
            and not tail.installed.closed
        ):
            tail.complete(message)
        else:
            self.send(sender, PairKept(circuit=message.circuit, number=message.number, kept=False))

    def kept(self, sender: str, message: PairKept) -> None:
        """The tail has the pair, or has it no longer."""
        endpoint = self.endpoints.get(message.circuit)
        if endpoint is not None and endpoint.remote == sender and isinstance(endpoint.end, Head):
            settle_kept(
                self.core,
                endpoint.committed,
                message,
                lambda finished: self.deliver(endpoint, finished),
                endpoint.end.judge_test,
            )
            self.end_calls(endpoint)

    def deliver(self, endpoint: Endpoint, finished: Finished) -> None:
        """A pair that both ends have."""
        core, path = self.core, endpoint.path
        assert path is not None
        core.record(
            "circuit_pair_delivered",
            circuit=endpoint.circuit,
            generation=path.generation,
            number=finished.number,
            end="head" if endpoint.is_head else "tail",
            pair=finished.pair_id,
            qubit=finished.held.name if finished.held is not None else "",
            other_qubit=finished.other_qubit,
            x=finished.frame[0],
            z=finished.frame[1],
            swaps=finished.swaps,
        )
        endpoint.delivered += 1
        if endpoint.closed_here:
            if finished.held is not None:
                core.discard(finished.held, why="its circuit is closed")
            return
        if finished.held is not None:
            finished.held.session = endpoint.session
            core.watch_cutoff(finished.held)
        endpoint.ready.append(finished)
        self.hand_over(endpoint)
        if len(endpoint.ready) == core.configuration.limits.outcomes + 1:
            core.set_timer(0, ("circuit_unread", endpoint.circuit, 0))

    def hand_over(self, endpoint: Endpoint) -> None:
        """Answer whoever waits for a pair."""
        while endpoint.pair_calls and endpoint.ready:
            finished, call = endpoint.ready.popleft(), endpoint.pair_calls.popleft()
            held = finished.held
            if held is not None and not self.core.lives(held):
                endpoint.pair_calls.appendleft(call)
                continue
            self.core.cancel_timer(("circuit_pair", endpoint.circuit, call))
            self.core.answer(
                endpoint.session,
                application.CircuitPair(
                    call=call,
                    now_ps=self.core.now,
                    circuit=endpoint.circuit,
                    number=finished.number,
                    pair=self._described(endpoint, finished),
                    axis=finished.axis,
                    bit=finished.bit,
                ),
            )

    def _described(self, endpoint: Endpoint, finished: Finished) -> BellPair | None:
        held, path = finished.held, endpoint.path
        if held is None or held.pair is None or path is None:
            return None
        return BellPair(
            pair_id=finished.pair_id,
            qubit=held.name,
            remote=endpoint.remote,
            bell_state=BELL_STATES[2 * finished.frame[0] + finished.frame[1]],
            goodness=path.expected_fidelity,
            emitted_at_ps=held.pair.emitted_at,
            heralded_at_ps=finished.heralded_at,
        )

    def tested(self, endpoint: Endpoint) -> None:
        """One more sacrificed pair is known at both ends."""
        estimate = endpoint.estimate.fidelity()
        if estimate is None or endpoint.path is None or endpoint.estimate.tests % TESTS_PER_REPORT:
            return
        self.report_estimate(endpoint)
        fidelity, error = estimate
        low = fidelity + 2.0 * error < endpoint.path.minimum_fidelity
        if low and not endpoint.degraded:
            reason = f"fidelity {fidelity:.4f} ± {error:.4f}, asked for {endpoint.path.minimum_fidelity:.4f}"
            self.tell(endpoint, "degraded", reason)
        endpoint.degraded = low

    def report_estimate(self, endpoint: Endpoint) -> None:
        """Write down what the sacrificed pairs say."""
        estimate = endpoint.estimate.fidelity()
        if estimate is not None:
            self.core.record(
                "circuit_estimate",
                circuit=endpoint.circuit,
                fidelity=estimate[0],
                standard_error=estimate[1],
                tests=endpoint.estimate.tests,
            )

    def end_calls(self, endpoint: Endpoint) -> None:
        """Tell whoever waits for a pair that there will be none, once no promised one is under way."""
        if endpoint.state is not EndpointState.CLOSED or (endpoint.committed and not endpoint.closed_here):
            return
        for call in endpoint.pair_calls:
            self.core.cancel_timer(("circuit_pair", endpoint.circuit, call))
            reason = f"circuit {endpoint.circuit} is closed: {endpoint.closed_because}"
            self.core.fail(endpoint.session, call, "closed", reason)
        endpoint.pair_calls.clear()

    def discard_ready(self, endpoint: Endpoint, reason: str) -> None:
        """Nobody will ask for what is ready."""
        for finished in endpoint.ready:
            if finished.held is not None and finished.held.name in self.core.memory.qubits:
                self.core.discard(finished.held, why=f"its circuit ended: {reason}")
        endpoint.ready.clear()

    def tell(self, endpoint: Endpoint, kind: CircuitEventKind, reason: str, path: tuple[str, ...] = ()) -> None:
        """Something happened that the application may want to hear of."""
        endpoint.events.append(Event(kind, reason, path))
        self.tell_events(endpoint)

    def tell_events(self, endpoint: Endpoint) -> None:
        """Answer whoever waits for an event."""
        while endpoint.event_calls and endpoint.events:
            event, call = endpoint.events.popleft(), endpoint.event_calls.popleft()
            self.core.cancel_timer(("circuit_event", endpoint.circuit, call))
            self.core.answer(
                endpoint.session,
                application.CircuitEvent(
                    call=call,
                    now_ps=self.core.now,
                    circuit=endpoint.circuit,
                    kind=event.kind,
                    reason=event.reason,
                    path=event.path,
                ),
            )
