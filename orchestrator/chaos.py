"""Random fault schedules, drawn from the seed before a run: a pure function from scenario to scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from orchestrator.scenario import Fault, Scenario
from orchestrator.scenario.faults import KINDS, OnLink, OnNodes, Timed, cannot_strike, named
from orchestrator.scenario.random_faults import DRAWN, Between, RandomFaults

if TYPE_CHECKING:
    from orchestrator.fabric.streams import Stream

DECIMALS = 6
"""Instants and durations are drawn in steps of a microsecond, so that they are short to write."""


def expanded(scenario: Scenario) -> Scenario:
    """The scenario with its random faults drawn: all of ``faults`` is concrete and named, ``random_faults`` is empty.

    Each fault has a random stream of its own, so a larger ``count`` adds faults and leaves the others as they were.

    Raises:
        ValueError: there is nothing that a group could strike.
    """
    if not scenario.random_faults:
        return scenario
    from orchestrator.fabric.streams import Streams

    streams = Streams(scenario.seed)
    faults = named(scenario.faults)
    taken = {fault.name for fault in faults}
    for group in scenario.random_faults:
        targets = _targets(scenario, group)
        for number in range(group.count):
            drawn = _drawn(group, targets, streams.of("random_faults", f"{group.name}/{number}"))
            (fault,) = named((msgspec.structs.replace(drawn, name=f"{group.name}-{number}"),), taken=tuple(taken))
            taken.add(fault.name)
            faults.append(fault)
    return msgspec.structs.replace(scenario, faults=tuple(faults), random_faults=())


def _targets(scenario: Scenario, group: RandomFaults) -> list[tuple[str, list[str]]]:
    """The kinds to draw from, each with what it can strike; those that can strike nothing are left out."""
    found = []
    for kind in group.kinds:
        names = [name for name in _candidates(scenario, KINDS[kind]) if name not in group.spare]
        if names:
            found.append((kind, names))
    if not found:
        raise ValueError(f"random_faults {group.name}: expected something to strike, found none that is not spared")
    return found


def _candidates(scenario: Scenario, kind: type[Timed]) -> list[str]:
    """All that faults of a kind can strike."""
    if not issubclass(kind, OnLink):
        return list(scenario.nodes)
    links = [
        name
        for name, link in scenario.links.items()
        if not cannot_strike(kind, scheme=str(link.heralding.__struct_config__.tag), length_km=link.length_km)
    ]
    return [*links, *(scenario.classical_links if kind.strikes_classical_links else ())]


def _drawn(group: RandomFaults, targets: list[tuple[str, list[str]]], stream: Stream) -> Fault:
    kind, names = targets[_index(stream, len(targets))]
    row = DRAWN[kind]
    fields: dict[str, object] = {
        "kind": kind,
        "at_s": _rounded(group.from_s + stream.uniform() * (group.until_s - group.from_s)),
        **_struck(KINDS[kind], names, stream),
        **row.given,
    }
    if row.lasts:
        fields["for_s"] = max(10.0**-DECIMALS, _rounded(stream.uniform() * group.longest_s))
    for name, between in row.fields.items():
        numbers = [_between(stream, between) for _ in range(between.numbers or 1)]
        fields[name] = numbers[0] if between.numbers is None else numbers
    fault: Fault = msgspec.convert(fields, Fault)
    return fault


def _struck(kind: type[Timed], names: list[str], stream: Stream) -> dict[str, object]:
    """What one fault of a kind strikes, as a field of it: a link, a node, or a group of at most half of the nodes."""
    if issubclass(kind, OnNodes):
        size = 1 + _index(stream, max(1, len(names) // 2))
        chosen = {name for _, name in sorted((stream.uniform(), name) for name in names)[:size]}
        return {"nodes": tuple(name for name in names if name in chosen)}
    return {"link" if issubclass(kind, OnLink) else "node": names[_index(stream, len(names))]}


def _between(stream: Stream, between: Between) -> float:
    return float(f"{between.low + stream.uniform() * (between.high - between.low):.4g}")


def _index(stream: Stream, count: int) -> int:
    return int(stream.uniform() * count)


def _rounded(seconds: float) -> float:
    return round(seconds, DECIMALS)
