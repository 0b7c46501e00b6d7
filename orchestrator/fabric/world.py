"""The network of a run as it is: seats of nodes, links, qubits and what is under way; and what can befall it.

The engine makes time pass in it, faults break it. Neither the one nor the others are known here.
"""

from __future__ import annotations

import msgspec

from orchestrator import control
from orchestrator.fabric.clock import PICOSECONDS, Agenda, EventClass
from orchestrator.fabric.event_log import EventLog
from orchestrator.fabric.generation import LinkGeneration, Series
from orchestrator.fabric.happenings import Delivery, HeraldArrival, NodeSeat, Wake, What
from orchestrator.fabric.heralding import light_delay_ps
from orchestrator.fabric.laboratory import Laboratory, OperationRefused
from orchestrator.fabric.operating_points import operating_models
from orchestrator.fabric.streams import Streams
from orchestrator.fabric.truth import Truth
from orchestrator.scenario import Scenario, Transmission
from orchestrator.topology import Topology
from qnode.wire import fabric


class World:
    """Nodes, links and quantum state of one testbed, and the agenda of what is to happen to them."""

    def __init__(self, scenario: Scenario, log: EventLog) -> None:
        self.scenario = scenario
        self.log = log
        self.topology = Topology(scenario)
        self.seats = {name: NodeSeat(name, number) for number, name in enumerate(scenario.nodes)}
        hardware = {name: node.hardware for name, node in scenario.nodes.items()}
        self.streams = Streams(scenario.seed)
        self.laboratory = Laboratory(hardware, streams=self.streams, register_bytes=scenario.limits.register_bytes)
        self.links = {
            name: LinkGeneration(name, link, operating_models(link), self.streams.of("link", name))
            for name, link in scenario.links.items()
        }
        self.truth = Truth(scenario.links, self.laboratory)
        self.agenda: Agenda[What] = Agenda(lookahead_ps=self._lookahead_ps())
        self.orders: list[control.Order] = []
        """What faults want done to processes before the next grant, for the server to take."""
        self._operations: dict[tuple[int, int], str] = {}
        """The link of each generation that has not ended, by node and operation."""

    def _lookahead_ps(self) -> int:
        """The least time in which anything a participant does can reach another: latency, operation or attempt."""
        times = [self.topology.min_classical_latency_ps()]
        for generation in self.links.values():
            for model in generation.models:
                times += [model.attempt_cycle_ps, *model.herald_delay_ps]
            times.append(light_delay_ps(generation.link.length_km, generation.link.refractive_index))
        for node in self.scenario.nodes.values():
            hardware = node.hardware
            times += [
                round(duration * PICOSECONDS)
                for duration in (
                    hardware.initialise_duration_s,
                    hardware.single_qubit_gate_duration_s,
                    hardware.two_qubit_gate_duration_s,
                    hardware.measure_duration_s,
                    hardware.move_duration_s,
                )
            ]
        return min([time for time in times if time is not None], default=0)

    def wake(self, seat: NodeSeat, at: int) -> None:
        """Let a node have a grant at ``at`` (ps), and no later wish of its own."""
        seat.wake_at = at
        if at not in seat.queued_wakes:
            seat.queued_wakes.add(at)
            self.agenda.add(at, EventClass.WAKE, seat.number, Wake(seat))

    def _link(self, seat: NodeSeat, name: str) -> tuple[LinkGeneration, int]:
        generation = self.links.get(name)
        if generation is None or seat.name not in generation.link.ends:
            raise OperationRefused("bad_request", f"{seat.name} is not an end of a link named {name!r}")
        return generation, generation.link.ends.index(seat.name)

    def started(self, generation: LinkGeneration, series: Series | None) -> None:
        """A series of attempts has begun: both heralds have their moments."""
        if series is not None:
            for end in (0, 1):
                seat = self.seats[generation.link.ends[end]]
                herald = HeraldArrival(generation, series, end, seat)
                self.agenda.add(series.heralded_at[end], EventClass.HERALD, seat.number, herald)

    def forget_asks(self, seat: NodeSeat, at: int) -> None:
        """Whatever pairs a node asks for, it no longer does."""
        for key, link in [item for item in self._operations.items() if item[0][0] == seat.number]:
            generation, end = self._link(seat, link)
            qubit, _ = generation.cancel(end, key[1], at)
            if qubit is not None:
                self.laboratory.vacate(seat.name, "communication", at)
            del self._operations[key]

    def end_asks(self, seat: NodeSeat, most: int, reason: str, at: int) -> int:
        """End up to ``most`` of a node's attempts, the latest first, and tell it; returns how many there were."""
        ended = 0
        for key, link in reversed([item for item in self._operations.items() if item[0][0] == seat.number]):
            generation, end = self._link(seat, link)
            qubit, series = generation.cancel(end, key[1], at) if ended < most else (None, None)
            if qubit is not None:
                self.started(generation, series)
                self.laboratory.vacate(seat.name, "communication", at)
                del self._operations[key]
                ended += 1
                event = fabric.Refused(at=at, operation=key[1], code="no_slot", reason=reason)
                self.agenda.add(at, EventClass.OPERATION, seat.number, Delivery(seat, event))
        return ended

    def sit_down_again(self, node: str) -> NodeSeat:
        """A fresh seat for a node whose process is started again; what is under way to the old one finds nobody."""
        old = self.seats[node]
        seat = NodeSeat(node, old.number, incarnation=old.incarnation + 1, started=True)
        seat.clock, seat.pauses, seat.late_ps = old.clock, old.pauses, old.late_ps
        self.seats[node] = seat
        return seat

    def resume(self, seat: NodeSeat, at: int) -> None:
        """A node notices now what happened to it while it was stopped."""
        for event, housekeeping in seat.deferred:
            delivery = Delivery(seat, msgspec.structs.replace(event, at=at), housekeeping)
            self.agenda.add(at, EventClass.MESSAGE, seat.number, delivery)
        seat.deferred = []
        if seat.wake_at is not None:
            self.wake(seat, max(at, seat.wake_at))

    def lose_in_fibre(self, qubit: str, transmission: Transmission, at: int) -> None:
        """A qubit that was sent never arrives; if nobody is told, |0> arrives in its place."""
        if transmission.heralded_arrival:
            self.laboratory.lose(qubit, at)
        else:
            self.laboratory.replace_by_ground_state(qubit)

    def lose_unheard(self, generation: LinkGeneration, series: Series, at: int) -> None:
        """Of a pair, the half at the end whose herald was lost is lost, too: that end uses the qubit to try on."""
        assert series.unheard is not None
        qubit, node = series.asks[series.unheard].qubit, generation.link.ends[series.unheard]
        if qubit in self.laboratory.qubits:
            self.laboratory.lose(qubit, at)
        self.truth.unheard(series.pair_id)
        because = series.unheard_because
        self.log.write(
            at, "herald_lost", link=generation.name, pair=series.pair_id, node=node, qubit=qubit, fault=because
        )
