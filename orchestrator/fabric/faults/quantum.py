"""What is the matter with quantum links: faults of the fibre, the station and its heralds, one upon the other.

How faults of one link compose:

- Losses add up in dB. Added latencies add up. Of dark counts the greatest counts, in place of the link's own.
- What happens to a qubit in the fibre happens in the order in which the faults struck: Pauli noise, drift, Eve. (The
  first two commute with each other.) It befalls each qubit that is sent, and of a heralded pair the second end's half.
- Any of them begins or ends: the attempts under way are drawn again from now, at every operating point. A pair that has
  its first herald stays as it is. Without a fault, a link has its own models again, to the last bit.

What nodes were told of a link at their start stays as it is: they have to find out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.faults import eavesdropping
from orchestrator.fabric.heralding import LinkModel, fibre_transmission
from orchestrator.fabric.operating_points import operating_models
from orchestrator.fabric.schedule import Occurrence
from orchestrator.fabric.world import World
from orchestrator.scenario import Link, Source
from orchestrator.scenario.faults import (
    DarkCounts,
    Eavesdropping,
    EntangleAndMeasure,
    ExtraLoss,
    FidelityDrift,
    HeraldLatency,
    InterceptResend,
    OnQuantumLink,
    PauliNoise,
)


class QuantumChannels:
    """What is at work on each quantum link."""

    KINDS = (ExtraLoss, HeraldLatency, DarkCounts, PauliNoise, FidelityDrift, InterceptResend, EntangleAndMeasure)

    def __init__(self, world: World) -> None:
        self._world = world
        self._at_work: dict[str, list[tuple[Occurrence, int]]] = {}
        """By link, in the order in which they struck, with the instant (ps)."""
        self._own = {name: generation.models for name, generation in world.links.items()}

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Something is the matter with links."""
        for link in occurrence.targets:
            self._at_work.setdefault(link, []).append((occurrence, at))
        return [self._changed(link, at) for link in occurrence.targets]

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """It no longer is."""
        for link in occurrence.targets:
            self._at_work[link] = [each for each in self._at_work[link] if each[0] is not occurrence]
        return [self._changed(link, at) for link in occurrence.targets]

    def link(self, name: str) -> Link:
        """The link as it is now."""
        return changed_link(self._world.links[name].link, self._faults(name))

    def pass_through(self, link: str, qubit: str, at: int, **what: Any) -> None:
        """A qubit enters the link's fibre at ``at`` (ps); ``what`` it is goes into the log if Eve touches it."""
        registers = self._world.laboratory.registers
        for occurrence, since in self._at_work.get(link, ()):
            fault = occurrence.fault
            if isinstance(fault, PauliNoise):
                registers.pauli(qubit, *fault.pauli_probabilities)
            elif isinstance(fault, FidelityDrift):
                registers.depolarise((qubit,), drift_probability(fault.rate_per_s, at - since))
            elif isinstance(fault, Eavesdropping):
                stream = self._world.streams.of("fault", fault.name)
                found = eavesdropping.attack(fault, registers, qubit, stream)
                if found is not None:
                    secret = {"link": link, "qubit": qubit, "eve_basis": found.basis, "eve_bit": found.bit}
                    self._world.log.write(self._world.agenda.now_ps, "intercepted", name=fault.name, **what, **secret)

    def _faults(self, link: str) -> list[OnQuantumLink]:
        return [each.fault for each, _ in self._at_work.get(link, ()) if isinstance(each.fault, OnQuantumLink)]

    def _changed(self, link: str, at: int) -> dict[str, Any]:
        generation, own = self._world.links[link], self._own[link]
        under_way = generation.series is not None
        series = generation.change(changed_models(generation.link, own, self._faults(link)), at)
        self._world.started(generation, series)
        return {"link": link, "success_probability": generation.models[0].success_probability, "drawn_again": under_way}


def changed_link(link: Link, faults: Iterable[OnQuantumLink]) -> Link:
    """The link with another attenuation and other detectors."""
    loss_db = math.fsum(fault.loss_db for fault in faults if isinstance(fault, ExtraLoss))
    dark = max((fault.dark_count_probability for fault in faults if isinstance(fault, DarkCounts)), default=None)
    heralding = link.heralding
    if loss_db:
        attenuation = link.attenuation_db_per_km + loss_db / link.length_km
        link = msgspec.structs.replace(link, attenuation_db_per_km=attenuation)
        if isinstance(heralding, Source):
            success = heralding.success_probability * fibre_transmission(1.0, loss_db)
            heralding = msgspec.structs.replace(heralding, success_probability=success)
    if dark is not None and not isinstance(heralding, Source):
        heralding = msgspec.structs.replace(heralding, dark_count_probability=dark)
    return msgspec.structs.replace(link, heralding=heralding) if heralding is not link.heralding else link


def changed_models(link: Link, own: tuple[LinkModel, ...], faults: list[OnQuantumLink]) -> tuple[LinkModel, ...]:
    """The models of a link under faults, by operating point; ``own`` are those without."""
    changed = changed_link(link, faults)
    models = own if changed is link else operating_models(changed, points=len(own))
    added_ps = sum(round(fault.added_s * PICOSECONDS) for fault in faults if isinstance(fault, HeraldLatency))
    if not added_ps:
        return models
    waits = not (isinstance(link.heralding, Source) and link.heralding.attempt_cycle_s is not None)
    return tuple(_later(model, added_ps, waits=waits) for model in models)


def drift_probability(rate_per_s: float, elapsed_ps: int) -> float:
    """Depolarising probability of a drifting link, 1 - exp(-r t): a pair's fidelity is 1/4 + (F - 1/4) exp(-r t)."""
    return -math.expm1(-rate_per_s * elapsed_ps / PICOSECONDS)


def _later(model: LinkModel, added_ps: int, *, waits: bool) -> LinkModel:
    """Heralds come later, and so do attempts that wait for the herald of the one before."""
    first, second = model.herald_delay_ps
    return LinkModel(
        success_probability=model.success_probability,
        attempt_cycle_ps=model.attempt_cycle_ps + (added_ps if waits else 0),
        outcomes=model.outcomes,
        herald_delay_ps=(first + added_ps, second + added_ps),
        emission_delay_ps=model.emission_delay_ps,
    )
