"""What the types of a scenario cannot say: rules between the fields of a section, and between sections."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping

import msgspec

from orchestrator.scenario import faults, invariants, random_faults, sockets, types
from orchestrator.scenario.hardware import Memory
from qnode.wire.peer import MESSAGE_TYPES

Broken = Iterator[tuple[str, str]]
"""Pairs of the field to blame (empty: the section) and what was expected and found."""

_ROUNDING = 1e-9


def broken_rules(section: type[msgspec.Struct], fields: Mapping[str, object]) -> Broken:
    """The rules of a section that its fields break.

    ``fields`` holds those that are sound by themselves; a rule about any other is passed over, so that one
    mistake is reported once.
    """
    for kind, rule in _RULES.items():
        if issubclass(section, kind):
            yield from rule(fields)


def _memory(fields: Mapping[str, object]) -> Broken:
    t1_s, t2_s = _number(fields, "t1_s"), _number(fields, "t2_s")
    if t1_s is not None and t2_s is not None and t2_s > 2 * t1_s * (1 + _ROUNDING):
        yield "t2_s", f"expected at most twice t1_s ({2 * t1_s}), found {t2_s}"


def _link(fields: Mapping[str, object]) -> Broken:
    yield from _two_ends(fields)
    length_km, midpoint_km = _number(fields, "length_km"), _number(fields, "midpoint_km")
    if length_km is not None and midpoint_km is not None and midpoint_km > length_km:
        yield "midpoint_km", f"expected at most length_km ({length_km}), found {midpoint_km}"
    heralding = fields.get("heralding")
    if length_km == 0 and "heralding" in fields:
        given = heralding if isinstance(heralding, dict) else {"scheme": "source"}
        takes_time = "attempt_cycle_s" if given["scheme"] == "source" else "attempt_overhead_s"
        if not given.get(takes_time):
            message = f"expected {takes_time} above 0 on a link of length 0, where an attempt would take no time"
            yield "heralding", message


def _transmission(fields: Mapping[str, object]) -> Broken:
    probabilities = fields.get("pauli_probabilities")
    if isinstance(probabilities, (list, tuple)) and math.fsum(probabilities) > 1 + _ROUNDING:
        yield "pauli_probabilities", f"expected a sum of at most 1, found {math.fsum(probabilities)}"


def _classical_link(fields: Mapping[str, object]) -> Broken:
    yield from _two_ends(fields)
    if "length_km" in fields and "latency_s" in fields:
        given = [name for name in ("length_km", "latency_s") if fields[name] is not None]
        if len(given) != 1:
            yield "", f"expected exactly one of length_km and latency_s, found {'both' if given else 'neither'}"


def _two_ends(fields: Mapping[str, object]) -> Broken:
    ends = fields.get("ends")
    if isinstance(ends, (list, tuple)) and ends[0] == ends[1]:
        yield "ends", f"expected two different nodes, found {ends[0]!r} twice"


def _application(fields: Mapping[str, object]) -> Broken:
    command, environment = fields.get("command"), fields.get("environment")
    if "command" in fields and "netqasm" in fields and bool(command) == (fields["netqasm"] is not None):
        found = "both" if command else "neither"
        yield "command", f"expected exactly one of command (a list of at least 1) and netqasm, found {found}"
    if isinstance(command, list) and command:
        if not command[0].strip():
            yield "command", "expected the name of a program first, found empty text"
        if any("\0" in argument for argument in command):
            yield "command", "expected text that a command line can hold, found a NUL character"
    for name, value in environment.items() if isinstance(environment, dict) else ():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            yield "environment", f"expected the name of a variable (A-Z a-z 0-9 _), found {name!r}"
        if "\0" in value:
            yield "environment", f"expected text that a variable can hold, found a NUL character in {name!r}"


def _expectation(fields: Mapping[str, object]) -> Broken:
    bounds = ("at_least", "at_most", "agrees_with")
    if all(name in fields and fields[name] is None for name in bounds):
        yield "", f"expected at least one of {', '.join(bounds)}, found none"
    low, high = _number(fields, "at_least"), _number(fields, "at_most")
    if low is not None and high is not None and low > high:
        yield "at_most", f"expected at least at_least ({low}), found {high}"
    for name in ("value", "agrees_with"):
        path = fields.get(name)
        if isinstance(path, str) and not re.fullmatch(r"[^\s.]+(\.[^\s.]+)+", path):
            yield name, f"expected a path in the report such as 'links.alice-bob.pairs', found {path!r}"


def _network(fields: Mapping[str, object]) -> Broken:
    routing, controller = fields.get("routing"), fields.get("controller")
    if routing == "controller" and controller == "":
        yield "controller", "expected the name of the node that computes all paths, which controller routing needs"
    if routing == "link_state" and controller:
        yield "controller", f"expected routing: controller beside it, found routing: link_state and {controller!r}"


def _timed(fields: Mapping[str, object]) -> Broken:
    for_s, every_s, times = _number(fields, "for_s"), _number(fields, "every_s"), _number(fields, "times")
    if every_s is None and times is not None:
        yield "times", f"expected every_s beside it, found {times} without"
    if for_s is not None and every_s is not None and every_s <= for_s:
        yield (
            "every_s",
            f"expected more than for_s ({for_s}), so that it is healed before it strikes again, found {every_s}",
        )


def _lasting(fields: Mapping[str, object]) -> Broken:
    if _number(fields, "every_s") is not None and fields.get("for_s", 0) is None:
        yield "every_s", "expected for_s beside it, so that it is healed before it strikes again, found none"


def _over_at_once(fields: Mapping[str, object]) -> Broken:
    if _number(fields, "for_s") is not None:
        yield "for_s", "expected none: this fault is over at once, and there is nothing to heal"


def _pauli_noise(fields: Mapping[str, object]) -> Broken:
    yield from _transmission(fields)
    probabilities = fields.get("pauli_probabilities")
    if isinstance(probabilities, (list, tuple)) and not any(probabilities):
        yield "pauli_probabilities", "expected one above 0, found none"


def _burst(fields: Mapping[str, object]) -> Broken:
    names = ("amplitude_damping", "dephasing_probability", "depolarising_probability")
    if all(fields.get(name, 1.0) == 0.0 for name in names):
        yield "", f"expected one of {', '.join(names)} above 0, found none"


def _on_link(fields: Mapping[str, object]) -> Broken:
    if not fields.get("between"):
        yield from _target(fields, "link")


def _on_node(fields: Mapping[str, object]) -> Broken:
    yield from _target(fields, "node")


def _on_nodes(fields: Mapping[str, object]) -> Broken:
    yield from _target(fields, "nodes")


def _hold(fields: Mapping[str, object]) -> Broken:
    between = fields.get("between")
    if not isinstance(between, (list, tuple)) or not between:
        return
    if len(set(between)) != 2 or len(between) != 2:
        yield "between", f"expected two different nodes, found {', '.join(map(str, between))}"
    for other in ("link", "select", "among"):
        if fields.get(other):
            yield other, "expected none beside between, which says which messages are held"


def _message_latency(fields: Mapping[str, object]) -> Broken:
    if fields.get("added_s") == 0.0 and fields.get("jitter_s") == 0.0:
        yield "added_s", "expected added_s or jitter_s above 0, found neither"


def _man_in_the_middle(fields: Mapping[str, object]) -> Broken:
    action, messages = fields.get("action"), fields.get("messages")
    payload = fields.get("payload")
    if isinstance(messages, (list, tuple)):
        for name in messages:
            if name not in (*MESSAGE_TYPES, "all"):
                close = difflib.get_close_matches(str(name), MESSAGE_TYPES, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"there is all, {', '.join(MESSAGE_TYPES)}"
                yield "messages", f"expected types of messages, found {name!r}; {hint}"
        if payload is not None and tuple(messages) != ("application_message",):
            yield "payload", "expected messages: [application_message] beside it, found others, which have none"
    given = [name for name in ("payload", "flip_bits") if fields.get(name) is not None]
    if action == "change" and "payload" in fields and "flip_bits" in fields and len(given) != 1:
        yield (
            "action",
            f"expected exactly one of payload and flip_bits beside it, found {'both' if given else 'neither'}",
        )
    if action in ("read", "drop") and given:
        yield given[0], f"expected action: change beside it, found {action!r}"


def _target(fields: Mapping[str, object], kind: str) -> Broken:
    target, select = fields.get(kind), fields.get("select")
    if target is not None and not target and select is None and "select" in fields:
        what = "names of nodes" if kind == "nodes" else f"the name of a {kind}"
        yield kind, f"expected {what}, or select: one, minority, majority or all; found neither"
    if target and select is not None:
        yield kind, f"expected either {kind} or select, found both"
    if fields.get("among") and select is None and "select" in fields:
        yield "among", "expected select beside it, which says how many of them to strike; found none"


def _random_faults(fields: Mapping[str, object]) -> Broken:
    from_s, until_s, kinds = _number(fields, "from_s"), _number(fields, "until_s"), fields.get("kinds")
    if from_s is not None and until_s is not None and until_s <= from_s:
        yield "until_s", f"expected more than from_s ({from_s}), found {until_s}"
    for kind in kinds if isinstance(kinds, list) else ():
        if kind not in random_faults.DRAWN:
            known = ", ".join(random_faults.DRAWN)
            yield "kinds", f"expected kinds of faults that can be drawn ({known}), found {kind!r}"


def _check(fields: Mapping[str, object]) -> Broken:
    hook = fields.get("hook")
    if isinstance(hook, str) and hook and not re.fullmatch(r".+\.py:[A-Za-z_]\w*", hook):
        yield "hook", f"expected a Python file and a function such as 'checks.py:holds', found {hook!r}"


def _number(fields: Mapping[str, object], name: str) -> float | None:
    value = fields.get(name)
    return value if isinstance(value, (int, float)) else None


_RULES = {
    Memory: _memory,
    types.Link: _link,
    types.Transmission: _transmission,
    types.ClassicalLink: _classical_link,
    types.Application: _application,
    types.Expectation: _expectation,
    types.Network: _network,
    random_faults.RandomFaults: _random_faults,
    invariants.Check: _check,
    sockets.Sockets: sockets.broken_rules,
    faults.Timed: _timed,
    faults.Lasting: _lasting,
    faults.OverAtOnce: _over_at_once,
    faults.OnLink: _on_link,
    faults.PauliNoise: _pauli_noise,
    faults.BurstDecoherence: _burst,
    faults.OnNode: _on_node,
    faults.OnNodes: _on_nodes,
    faults.Hold: _hold,
    faults.MessageLatency: _message_latency,
    faults.ManInTheMiddle: _man_in_the_middle,
}
