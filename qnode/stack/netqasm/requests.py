"""What hosts ask of EPR sockets, and how its results are written down (Dahlberg et al. 2019; netqasm.qlink_compat)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from qnode.stack.netqasm.bases import AXES, random_axes, turned_back
from qnode.stack.netqasm.language import MOST_INTEGER, Fault
from qnode.stack.netqasm.memory import Value, resolved
from qnode.wire.application import CircuitPair, RequestKind
from qnode.wire.quantum import Axis

KINDS: tuple[RequestKind, ...] = ("K", "M", "R")
ARGUMENTS = 22
FIELDS = 10
"""Of one pair in an array of results."""
TIME_UNITS_PS = (10**6, 10**9, 10**12)
MOST_PAIRS = 10_000
PHI_PLUS = 0
MICROSECOND_PS = 10**6
FIDELITY_PARTS = 10_000


@dataclass(slots=True, frozen=True)
class Side:
    """How one end measures."""

    axis: Axis
    axes: tuple[Axis, ...]
    shares: tuple[float, ...]


@dataclass(slots=True, frozen=True)
class Arguments:
    """The arguments of ``create_epr``."""

    kind: RequestKind
    number: int
    minimum_fidelity: float
    timeout_ps: int | None
    priority: int
    local: Side
    remote: Side


def arguments(array: list[Value]) -> Arguments:
    """The arguments, from their array; what is undefined is 0, and one pair of kind K is asked for.

    Raises:
        Fault: they make no sense.
    """
    if len(array) != ARGUMENTS:
        raise Fault(f"an array of {len(array)} arguments, expected {ARGUMENTS}")
    kind, number, *rest = [
        default if value is None else resolved(value, f"argument {position}")
        for position, (value, default) in enumerate(zip(array, (0, 1, *[0] * (ARGUMENTS - 2)), strict=True))
    ]
    basis_local, basis_remote, fidelity, unit, longest, priority, _, _, *more = rest
    share_local = (more[0], more[1])
    share_remote = (more[2], more[3])
    turns_local, turns_remote = (more[4], more[5], more[6]), (more[7], more[8], more[9])
    axes_local, axes_remote = more[10], more[11]
    if not 0 <= kind < len(KINDS):
        raise Fault(f"a request of type {kind}, expected 0 (K), 1 (M) or 2 (R)")
    if not 1 <= number <= MOST_PAIRS:
        raise Fault(f"{number} pairs, expected 1 to {MOST_PAIRS}")
    if not 0 <= fidelity <= 100:
        raise Fault(f"a minimum fidelity of {fidelity}, expected 0 to 100 percent")
    if longest < 0 or not 0 <= unit < len(TIME_UNITS_PS):
        raise Fault(f"a time of {longest} in unit {unit}, expected 0 or more in unit 0 (us), 1 (ms) or 2 (s)")
    for axes in (axes_local, axes_remote):
        if not 0 <= axes < len(AXES):
            raise Fault(f"rotation axes {axes}, expected 0 (XYX), 1 (YZY) or 2 (ZXZ)")
    return Arguments(
        kind=KINDS[kind],
        number=number,
        minimum_fidelity=fidelity / 100,
        timeout_ps=longest * TIME_UNITS_PS[unit] or None,
        priority=priority,
        local=Side(turned_back(AXES[axes_local], turns_local), *random_axes(basis_local, *share_local)),
        remote=Side(turned_back(AXES[axes_remote], turns_remote), *random_axes(basis_remote, *share_remote)),
    )


@dataclass(slots=True, eq=False)
class Wanted:
    """Pairs that a subroutine wants, at either end."""

    results: int
    """The address of the array that is filled."""
    qubits: int | None
    """The address of the array with their virtual addresses."""
    number: int
    since_ps: int
    arguments: Arguments | None = None
    """At the end that asks."""
    request: str = ""
    done: int = 0
    ended: str = ""
    """Why there will be no more."""


@dataclass(slots=True, eq=False)
class Asked:
    """What the other end has asked for."""

    request: str
    kind: RequestKind
    number: int
    minimum_fidelity: float
    priority: int
    side: Side
    done: int = 0
    taken: list[tuple[str, int]] = field(default_factory=list)
    """Which pair of which circuit each further pair is."""
    ended: str = ""


@dataclass(slots=True, frozen=True)
class Delivered:
    """One pair, as its end tells of it."""

    creates: bool
    request: int
    """Counts those of the socket."""
    sequence: int
    socket: int
    remote_node: int
    generation_ps: int
    fidelity: float

    def kept(self, address: int) -> list[Value]:
        """Of type K, at virtual ``address``."""
        head: list[Value] = [0, self.request, address, *self._middle()]
        return [*head, round(self.fidelity * FIDELITY_PARTS), PHI_PLUS]

    def measured(self, bit: int, basis: int) -> list[Value]:
        """Of type M."""
        return [1, self.request, bit, basis, *self._middle(), PHI_PLUS]

    def _middle(self) -> list[int]:
        duration = min(self.generation_ps // MICROSECOND_PS, MOST_INTEGER)
        return [int(not self.creates), self.sequence & MOST_INTEGER, self.socket, self.remote_node, duration]


@dataclass(slots=True, frozen=True)
class Half:
    """This end of a pair, or what was read of it."""

    qubit: str
    fidelity: float
    """As estimated, of one that is kept."""
    bit: int | None = None


@dataclass(slots=True, eq=False)
class EprSocket:
    """One socket of one application."""

    number: int
    remote: str
    remote_node: int
    remote_socket: int
    minimum_fidelity: float
    creations: deque[Wanted] = field(default_factory=deque)
    receipts: deque[Wanted] = field(default_factory=deque)
    asked: deque[Asked] = field(default_factory=deque)
    circuit: str = ""
    """That this end has opened."""
    slots: int = 0
    """That it was opened with."""
    fidelity: float = 0.0
    skipped: dict[str, CircuitPair] = field(default_factory=dict)
    """By circuit: a pair later than the one that was looked for."""
    created: int = 0
    received: int = 0
    pairs_created: int = 0
    pairs_received: int = 0
    closed_there: bool = False
    creating: object = None
    """The task that creates."""
    receiving: object = None

    @property
    def purpose(self) -> str:
        """Of circuits that this end opens."""
        return f"netqasm {self.number} {self.remote_socket}"

    @property
    def their_purpose(self) -> str:
        """Of those that the other end opens."""
        return f"netqasm {self.remote_socket} {self.number}"
