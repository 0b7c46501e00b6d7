"""A link counts its pairs, so its ends find out if a herald was lost on its way to one of them.

Where the next herald skips a number, the one between was lost here; where the other end's hellos go on to tell of an
older pair, it was lost there. Either way one end has half of a pair, which has to be thrown away: else it would
hold its slot for ever, and the other end would try on in vain (Dahlberg et al., SIGCOMM 2019, section 5.2).
"""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_UNHEARD = 16
"""Of how many pairs at most one herald, or hello, shows that theirs never came."""
NONE = -1


@dataclass(slots=True)
class PairNumbers:
    """The numbers of the last pairs of each link."""

    started_again: bool
    """Whether this node's process is not the first: what it had heard before it does not know."""
    _last: dict[str, int] = field(default_factory=dict)
    _when_told: dict[str, int] = field(default_factory=dict)
    """The last here, when the other end last told of its own."""
    _judged: dict[str, int] = field(default_factory=dict)
    """The last of which it was found out whether the other end has heard of it."""

    def last(self, link: str) -> int:
        """The last pair of a link that was heralded here; -1: none."""
        return self._last.get(link, NONE)

    def heralded(self, link: str, number: int) -> range:
        """A herald has come; returns the numbers before it that never did."""
        first = self.last(link) + 1
        if first == 0 and self.started_again:
            first = number
        self._last[link] = number
        return range(max(first, number - MOST_UNHEARD), number)

    def told(self, link: str, last_there: int) -> range:
        """The other end has told of its last pair; returns those that it should have heard of long ago.

        Those are the ones that were here when it last told: a hello interval is long for a herald.
        """
        before = self._when_told.get(link, NONE)
        self._when_told[link] = self.last(link)
        first = max(last_there, self._judged.get(link, NONE), before - MOST_UNHEARD) + 1
        self._judged[link] = max(before, self._judged.get(link, NONE))
        return range(first, before + 1)
