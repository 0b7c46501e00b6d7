"""The check ``equal_keys``: a key that both of its ends delivered is the same at both.

Programs tell of keys by ``session.report_key(remote, key, name=...)``; the log holds a key's length and fingerprint,
never the key. Two nodes' keys of one name belong together in the order in which each end delivers them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from orchestrator.checks.log import Event, Problem, counted
from orchestrator.checks.run import Run
from orchestrator.scenario import Scenario


class EqualKeys:
    """Holds each key against its other end's."""

    def __init__(self, scenario: Scenario) -> None:
        self._delivered: Counter[tuple[str, str, str]] = Counter()
        """By node, remote node and name."""
        self._waiting: dict[tuple[str, str, str, int], Event] = {}
        """Keys of which one end has told, by that end, the other, name and number."""
        self._compared = 0

    def looked_at(self) -> str:
        """How much was compared."""
        alone = f", {len(self._waiting)} delivered at one end only" if self._waiting else ""
        return f"{counted(self._compared, 'key')} compared{alone}"

    def add(self, event: Event) -> Iterator[Problem]:
        """What a line shows to be wrong."""
        if event.kind != "key_delivered":
            return
        node, remote, name = event["node"], event["remote"], event["name"]
        number = self._delivered[(node, remote, name)]
        self._delivered[(node, remote, name)] += 1
        other = self._waiting.pop((remote, node, name, number), None)
        if other is None:
            self._waiting[(node, remote, name, number)] = event
            return
        self._compared += 1
        if (event["bits"], event["fingerprint"]) != (other["bits"], other["fingerprint"]):
            called = f"key {number} " + (f"named {name!r} " if name else "") + f"of {remote} and {node}"
            yield Problem(
                f"expected {called} to be the same at both ends, found {_shown(other)} at {remote} "
                f"(line {other.line}) and {_shown(event)} at {node}",
                event,
            )

    def end(self, run: Run) -> Iterator[Problem]:
        """A key at one end only may have lost the other end's word to a fault; it does not differ."""
        return iter(())


def _shown(event: Event) -> str:
    return f"{event['bits']} bits {event['fingerprint'][:8]}…"
