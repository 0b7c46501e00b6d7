"""Cuts of fibres: the link is down, and what is in flight and has not passed the point never arrives.

That holds for messages, for qubits that are sent, and for the light of the attempt that would succeed: photons that do
not pass end it, and a herald that does not pass leaves its end trying on, while the other end has half of a pair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from orchestrator.fabric.faults.links import LinkStates
from orchestrator.fabric.faults.messages import MessageFaults
from orchestrator.fabric.generation import LinkGeneration, Series
from orchestrator.fabric.happenings import HeraldArrival, QubitArrival
from orchestrator.fabric.heralding import light_delay_ps
from orchestrator.fabric.schedule import Occurrence
from orchestrator.fabric.world import World
from orchestrator.scenario import DoubleClick, Link, MidpointSource, SenderReceiver, SingleClick


class FibreCuts:
    """Carries them out."""

    def __init__(
        self, world: World, links: LinkStates, messages: MessageFaults, count: Callable[[str, str], None]
    ) -> None:
        self._world = world
        self._links = links
        self._messages = messages
        self._count = count

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Fibres are cut."""
        return [self._cut(link, occurrence, at) for link in occurrence.targets]

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """They are mended: what is sent from now on passes, unless something else keeps the link down."""
        return self._links.heal(occurrence, at)

    def _cut(self, name: str, occurrence: Occurrence, at: int) -> dict[str, Any]:
        fault: Any = occurrence.fault
        length_km = self._world.topology.channels[name].length_km or 0.0
        at_km = length_km / 2.0 if fault.at_km is None else min(fault.at_km, length_km)
        fraction = at_km / length_km if length_km else 0.5
        messages = self._messages.lose_in_flight(name, fraction, occurrence.name, at)
        self._links.take_down(name, occurrence.name, breaks_off=False)
        details = {"link": name, "at_km": at_km, "messages_lost": messages}
        generation = self._world.links.get(name)
        if generation is None:
            return details
        qubits = self._lose_qubits(generation.link, name, at_km, occurrence.name, at)
        heralds, ended = self._lose_light(generation, at_km, occurrence.name, at)
        return details | {"qubits_lost": qubits, "heralds_lost": heralds, "attempts_end": ended}

    def _lose_qubits(self, link: Link, name: str, at_km: float, fault: str, at: int) -> int:
        """Qubits that have been sent and do not pass."""
        lost = 0
        for arrives, what in list(self._world.agenda.scheduled()):
            if not isinstance(what, QubitArrival) or what.link != name or what.lost_to:
                continue
            rest_km = link.length_km - at_km if what.seat.name == link.ends[1] else at_km
            if arrives - light_delay_ps(rest_km, link.refractive_index) >= at:
                what.lost_to = fault
                self._count(fault, "qubit_lost")
                lost += 1
                if what.survived:
                    what.survived = False
                    self._world.lose_in_fibre(what.qubit, link.transmission, at)
        return lost

    def _lose_light(self, generation: LinkGeneration, at_km: float, fault: str, at: int) -> tuple[int, bool]:
        """The photons and heralds of the attempts that have succeeded, or would: how many heralds are lost, and whether
        a series of attempts ends."""
        coming: dict[Series, list[int]] = defaultdict(list)
        for what in self._world.agenda.pending():
            if isinstance(what, HeraldArrival) and what.generation is generation and not what.lost:
                coming[what.series].append(what.end)
        heralds, ended = 0, False
        for series, ends in coming.items():
            photons_at, heralds_at = crossings(generation.link, series, at_km)
            is_open = series is generation.series
            lost = [end for end in ends if (passes := heralds_at[end]) is not None and passes >= at]
            if is_open and (photons_at >= at or len(lost) == len(ends)):
                ended = generation.break_off()
            elif lost:
                generation.lose_herald(series, lost[0], fault, at)
                heralds += 1
                self._count(fault, "herald_lost")
                if not is_open:
                    self._world.lose_unheard(generation, series, at)
        return heralds, ended


def crossings(link: Link, series: Series, at_km: float) -> tuple[int, tuple[int | None, int | None]]:
    """When the light of a series' last attempt passes a point (ps): the last photon that has to, and the herald to each
    end (None: it does not come that way).

    Photons of a click scheme go from the ends to the station, those of a midpoint source from there to the ends; a
    plain source counts as light from the first end to the second.
    """
    near = light_delay_ps(at_km, link.refractive_index)
    far = light_delay_ps(link.length_km - at_km, link.refractive_index)
    (emitted_first, emitted_second), (heard_first, heard_second) = series.emitted_at, series.heralded_at
    before_middle = at_km <= (link.length_km / 2.0 if link.midpoint_km is None else link.midpoint_km)
    if isinstance(link.heralding, SingleClick | DoubleClick):
        if before_middle:
            return emitted_first + near, (heard_first - near, None)
        return emitted_second + far, (None, heard_second - far)
    if isinstance(link.heralding, MidpointSource):
        photon = emitted_first - near if before_middle else emitted_second - far
        return photon, (heard_first - near, heard_second - far)
    if isinstance(link.heralding, SenderReceiver):
        return emitted_first + near, (heard_first - near, None)
    return heard_second - far, (None, None)
