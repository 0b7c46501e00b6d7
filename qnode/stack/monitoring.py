"""What a link's fidelity really is, as its two ends can know: some of its pairs are sacrificed and measured.

Both ends take the same share of the link's time and measure each such pair along X, Y or Z by its number. The end whose
name comes first in the alphabet collects the bits, and publishes the estimate in its link state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from qnode.config import LinkConfiguration
from qnode.stack.circuits.estimate import Estimate
from qnode.stack.circuits.finished import TEST_AXES, flips, measure
from qnode.stack.circuits.link_pair import Frame, number_of
from qnode.stack.core import Core
from qnode.stack.link_layer import LinkLayer
from qnode.stack.memory import HeldQubit
from qnode.stack.routing import Routing
from qnode.wire.circuits import LinkTested
from qnode.wire.fabric import Heralded

TESTS_PER_REPORT = 30
MOST_UNMATCHED = 256
"""Bits of one end that wait for the other's."""


@dataclass(slots=True, eq=False)
class LinkMonitor:
    """The sacrificed pairs of one link: a consumer of the link layer."""

    monitoring: Monitoring
    link: LinkConfiguration
    to_herald: int = 0
    operating_point: int = 0
    purpose: str = "monitor"
    at_once: int = 1
    reserved: bool = False
    is_full: bool = False
    priority: int = -1
    estimate: Estimate = field(default_factory=Estimate)
    bits: OrderedDict[int, int] = field(default_factory=OrderedDict)
    """By the pair's number: this end's bit, as if the pair had been Phi+, or the other's; whichever is here first."""

    def heralded(self, held: HeldQubit, herald: Heralded) -> None:
        """Measure it."""
        self.monitoring.sacrifice(self, held, herald)

    def died(self, held: HeldQubit, why: str, *, tell: bool) -> None:
        """It is worth nothing."""
        self.to_herald -= 1
        self.monitoring.core.discard(held, why=why, tell=tell)

    def refused(self, reason: str) -> None:
        """The fabric will never make such pairs."""


@dataclass(slots=True)
class Monitoring:
    """All link monitors of a node."""

    core: Core
    link_layer: LinkLayer
    routing: Routing
    tell: Callable[[str, LinkTested], None]
    fraction: float
    monitors: dict[str, LinkMonitor] = field(default_factory=dict)

    def start(self) -> None:
        """Virtual time begins: take pairs of every link from time to time."""
        for link in self.core.configuration.links:
            if self.fraction > 0.0 and link.operating_points and link.operating_points[0].rate_hz > 0.0:
                monitor = self.monitors[link.name] = LinkMonitor(self, link)
                self.link_layer.add(monitor)
                self.due(link.name)

    def due(self, link: str) -> None:
        """One more pair is wanted; so many that they take ``fraction`` of the link's time."""
        monitor = self.monitors[link]
        monitor.to_herald = max(1, monitor.to_herald)
        interval_ps = round(1e12 / (monitor.link.operating_points[0].rate_hz * self.fraction))
        self.core.set_timer(max(1, interval_ps), ("monitor", link, 0), housekeeping=True)

    def sacrifice(self, monitor: LinkMonitor, held: HeldQubit, herald: Heralded) -> None:
        """Measure this end's half, by the pair's number."""
        number = number_of(herald.pair_id)
        axis = TEST_AXES[number % 3]
        frame: Frame = (herald.bell_index >> 1, herald.bell_index & 1)
        leads = self.core.configuration.name < monitor.link.remote

        def measured(bit: int) -> None:
            if leads:
                self._compare(monitor, number, bit ^ flips(axis, frame))
            else:
                self.tell(monitor.link.remote, LinkTested(link=monitor.link.name, number=number, bit=bit))

        measure(self.core, held, axis, measured)

    def told(self, sender: str, message: LinkTested) -> None:
        """The other end's bit."""
        monitor = self.monitors.get(message.link)
        if monitor is not None and monitor.link.remote == sender:
            self._compare(monitor, message.number, message.bit)

    def _compare(self, monitor: LinkMonitor, number: int, bit: int) -> None:
        other = monitor.bits.pop(number, None)
        if other is None:
            monitor.bits[number] = bit
            while len(monitor.bits) > MOST_UNMATCHED:
                monitor.bits.popitem(last=False)
            return
        monitor.estimate.add(str(TEST_AXES[number % 3]), bit ^ other)
        found = monitor.estimate.fidelity()
        if found is not None and monitor.estimate.tests % TESTS_PER_REPORT == 0:
            link, tests = monitor.link.name, monitor.estimate.tests
            self.core.record("link_estimate", link=link, fidelity=found[0], standard_error=found[1], tests=tests)
            self.routing.advertise(link, estimated_fidelity=found)
