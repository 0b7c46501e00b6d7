"""Every call of the SDK, once: what is asked of the node and what its answer means. The two flavours share it."""

from __future__ import annotations

import hashlib
import numbers
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from qnode.sdk.circuit import Circuit, QubitLike, gate_step, name_of
from qnode.sdk.errors import BadRequest
from qnode.wire import application
from qnode.wire.application import BellPair
from qnode.wire.quantum import Axis, Discard, Measure, MeasureBell, Move, Prepare, Role, Step, Unitary

T = TypeVar("T")
PICOSECONDS = 10**12
FINGERPRINT_BYTES = 16
"""Of a key: of its BLAKE2b."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request (its ``call`` number still to be set) and the meaning of its answer."""

    request: Any
    meaning: Callable[[Any], T]


def _nothing(_: Any) -> None:
    return None


def _ps(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * PICOSECONDS)


def _steps(*steps: Step) -> application.Run:
    return application.Run(call=0, steps=steps)


def run(circuit: Circuit) -> Call[application.Outcomes]:
    """Do all steps of ``circuit`` in one request; gives the bits and the names of prepared qubits."""
    return Call(application.Run(call=0, steps=tuple(circuit.steps)), lambda outcomes: outcomes)


def prepare(*, role: Role = "storage") -> Call[str]:
    """A fresh qubit in |0>."""
    return Call(_steps(Prepare(role=role)), lambda outcomes: str(outcomes.qubits[0]))


def gate(name: str, *qubits: QubitLike, parameters: Sequence[float] = ()) -> Call[None]:
    """A named gate; angles in radians, the control first."""
    return Call(_steps(gate_step(name, qubits, parameters)), _nothing)


def unitary(matrix: Any, *qubits: QubitLike) -> Call[None]:
    """Any unitary on one to three qubits, as bytes or a complex128 array; the first qubit is the most significant."""
    data = matrix if isinstance(matrix, bytes) else bytes(matrix.astype("<c16").tobytes(order="C"))
    return Call(_steps(Unitary(qubits=tuple(map(name_of, qubits)), matrix=data)), _nothing)


def h(qubit: QubitLike) -> Call[None]:
    """Hadamard."""
    return gate("H", qubit)


def x(qubit: QubitLike) -> Call[None]:
    """Pauli X."""
    return gate("X", qubit)


def y(qubit: QubitLike) -> Call[None]:
    """Pauli Y."""
    return gate("Y", qubit)


def z(qubit: QubitLike) -> Call[None]:
    """Pauli Z."""
    return gate("Z", qubit)


def s(qubit: QubitLike) -> Call[None]:
    """Phase gate, the square root of Z."""
    return gate("S", qubit)


def rx(qubit: QubitLike, angle_rad: float) -> Call[None]:
    """Rotation about X."""
    return gate("RX", qubit, parameters=(angle_rad,))


def ry(qubit: QubitLike, angle_rad: float) -> Call[None]:
    """Rotation about Y."""
    return gate("RY", qubit, parameters=(angle_rad,))


def rz(qubit: QubitLike, angle_rad: float) -> Call[None]:
    """Rotation about Z."""
    return gate("RZ", qubit, parameters=(angle_rad,))


def cx(control: QubitLike, target: QubitLike) -> Call[None]:
    """Controlled X."""
    return gate("CX", control, target)


def cz(first: QubitLike, second: QubitLike) -> Call[None]:
    """Controlled Z."""
    return gate("CZ", first, second)


def measure(qubit: QubitLike, *, axis: Axis = "Z") -> Call[int]:
    """Measure along ``axis``; gives the bit, and the qubit is gone."""
    return Call(_steps(Measure(qubit=name_of(qubit), axis=axis)), lambda outcomes: int(outcomes.bits[0]))


def measure_bell(first: QubitLike, second: QubitLike) -> Call[tuple[int, int]]:
    """Joint Bell measurement; gives (x, z) for the state X^x Z^z (x) I |Phi+>, and both qubits are gone."""
    step = MeasureBell(qubits=(name_of(first), name_of(second)))
    return Call(_steps(step), lambda outcomes: (int(outcomes.bits[0]), int(outcomes.bits[1])))


def move(qubit: QubitLike, role: Role) -> Call[None]:
    """To a slot of another role: ``storage`` frees the communication qubit for its links."""
    return Call(_steps(Move(qubit=name_of(qubit), role=role)), _nothing)


def discard(qubit: QubitLike) -> Call[None]:
    """Throw a qubit away."""
    return Call(_steps(Discard(qubit=name_of(qubit))), _nothing)


def _itself(answer: Any) -> Any:
    return answer


def _pair(answer: Any) -> BellPair:
    pair: BellPair = answer.pair
    return pair


def request_pair(
    remote: str,
    *,
    minimum_fidelity: float = 0.0,
    timeout_s: float | None = None,
    purpose: str = "",
    as_heralded: bool = False,
) -> Call[BellPair]:
    """One Bell pair with a neighbour, in Phi+ unless ``as_heralded``; waits until it is heralded."""
    request = application.RequestPairs(
        call=0,
        remote=remote,
        minimum_fidelity=minimum_fidelity,
        timeout_ps=_ps(timeout_s),
        purpose=purpose,
        as_heralded=as_heralded,
    )
    return Call(request, _pair)


def measure_pairs(
    remote: str,
    number: int,
    *,
    axis: Axis = "Z",
    minimum_fidelity: float = 0.0,
    timeout_s: float | None = None,
    purpose: str = "",
) -> Call[list[int]]:
    """Kind M: ``number`` pairs, each measured along ``axis`` on its herald; gives the bits in the order of pairs."""
    request = application.RequestPairs(
        call=0,
        remote=remote,
        number=number,
        kind="M",
        axis=axis,
        minimum_fidelity=minimum_fidelity,
        timeout_ps=_ps(timeout_s),
        purpose=purpose,
    )
    return Call(request, lambda answer: list(answer.bits))


def prepare_remotely(remote: str, axis: Axis, *, timeout_s: float | None = None, purpose: str = "") -> Call[int]:
    """Kind R: measure this half of a pair along ``axis``, which prepares the neighbour's; gives the bit."""
    request = application.RequestPairs(
        call=0, remote=remote, kind="R", axis=axis, timeout_ps=_ps(timeout_s), purpose=purpose
    )
    return Call(request, lambda answer: int(answer.bits[0]))


def receive_prepared(remote: str, *, timeout_s: float | None = None, purpose: str = "") -> Call[BellPair]:
    """Kind R, the end that keeps: gives the half, with ``remote_axis`` and ``remote_bit`` as the neighbour told."""
    request = application.RequestPairs(call=0, remote=remote, kind="R", timeout_ps=_ps(timeout_s), purpose=purpose)
    return Call(request, _pair)


def open_request(
    remote: str,
    number: int,
    *,
    minimum_fidelity: float = 0.0,
    timeout_s: float | None = None,
    purpose: str = "",
    as_heralded: bool = False,
) -> Call[tuple[int, BellPair]]:
    """``number`` pairs; gives the request's number and the first pair, ``next_pair`` the others."""
    request = application.RequestPairs(
        call=0,
        remote=remote,
        number=number,
        minimum_fidelity=minimum_fidelity,
        timeout_ps=_ps(timeout_s),
        purpose=purpose,
        as_heralded=as_heralded,
    )
    return Call(request, lambda answer: (int(answer.request), _pair(answer)))


def next_pair(request: int) -> Call[BellPair]:
    """A further pair of an open request."""
    return Call(application.NextPair(call=0, request=request), _pair)


def cancel_request(request: int) -> Call[None]:
    """Stop generating for an open request."""
    return Call(application.CancelRequest(call=0, request=request), _nothing)


@dataclass(frozen=True, slots=True)
class CircuitOutcome:
    """A pair of a circuit of kind M, as this end measured it."""

    number: int
    """The same at both ends."""
    axis: Axis
    bit: int
    """As if the pair had been Phi+: along equal axes the two ends' bits agree for X and Z and differ for Y."""


@dataclass(frozen=True, slots=True)
class OracleView:
    """The true state of qubits, as no real node knows it."""

    qubits: tuple[str, ...]
    """Those that were asked for, then those that they are entangled with, by name."""
    density_matrix: tuple[tuple[complex, ...], ...]
    """Of side 2^n, the first qubit most significant."""


def expect_kind(opened: application.CircuitOpened, kind: application.RequestKind) -> None:
    """Refuse to take from a circuit what it does not give.

    Raises:
        BadRequest: it is of another kind.
    """
    if opened.kind != kind:
        use = {"K": "next_pair, pairs, teleport and receive_qubit", "M": "next_outcome and outcomes"}[opened.kind]
        raise BadRequest(f"circuit {opened.circuit} is of kind {opened.kind}: use {use}")


def open_circuit(
    remote: str,
    *,
    min_fidelity: float = 0.0,
    rate_bpps: float = 1.0,
    kind: application.RequestKind = "K",
    purpose: str = "",
    priority: int = 0,
    timeout_s: float | None = None,
    slots: int = 2,
    swapping: application.Swapping = "asap",
    cutoff_s: float | None = None,
    axes: Sequence[Axis] = (),
    as_heralded: bool = False,
    distillation: bool = True,
    end_distillation_rounds: int = 0,
    distillation_protocol: application.DistillationProtocol = "dejmps",
    distillation_schedule: application.DistillationSchedule = "recurrence",
    test_fraction: float = 0.0,
) -> Call[application.CircuitOpened]:
    """A virtual circuit to any end node: ``rate_bpps`` Bell pairs a second of at least ``min_fidelity``.

    Args:
        remote: the node at the other end, where an application accepts circuits of this ``purpose``.
        min_fidelity: what the network must expect of the pairs, as its links are loaded now; 0: anything.
        rate_bpps: what it must reserve for them; more come if there is more.
        kind: ``K``: both ends keep their halves. ``M``: each measures its half on arrival, along its own axes.
        priority: a circuit may take the place of those of lower priority.
        timeout_s: to open, in virtual time; default 10 s.
        slots: memory slots at each node for each of its sides, as far as it has them. Pairs that the application
            holds count, so hold fewer than that at a time.
        swapping: ``asap``, or ``nested`` (by doubling).
        cutoff_s: pairs that wait longer on their way are discarded.
        axes: kind M: what this end measures along, one pair after the other; default Z.
        as_heralded: leave pairs in the Bell state that they are in (`BellPair.bell_state`) instead of Phi+.
        distillation: whether links may distil where ``min_fidelity`` needs it.
        end_distillation_rounds: rounds between the two ends.
        distillation_protocol, distillation_schedule: of both.
        test_fraction: share of the pairs that the ends sacrifice to estimate the fidelity; without it nobody notices
            when it is low, and no ``degraded`` event comes.
    """
    request = application.OpenCircuit(
        call=0,
        remote=remote,
        minimum_fidelity=min_fidelity,
        rate_bpps=rate_bpps,
        kind=kind,
        purpose=purpose,
        priority=priority,
        timeout_ps=_ps(timeout_s),
        slots=slots,
        swapping=swapping,
        cutoff_ps=_ps(cutoff_s),
        axes=tuple(axes),
        as_heralded=as_heralded,
        distillation=distillation,
        end_distillation_rounds=end_distillation_rounds,
        distillation_protocol=distillation_protocol,
        distillation_schedule=distillation_schedule,
        test_fraction=test_fraction,
    )
    return Call(request, _itself)


def accept_circuit(
    remote: str = "", *, purpose: str = "", axes: Sequence[Axis] = (), timeout_s: float | None = None
) -> Call[application.CircuitOpened]:
    """Wait for a circuit that ``remote`` (default: any node) opens to here for ``purpose``."""
    request = application.AcceptCircuit(
        call=0, remote=remote, purpose=purpose, axes=tuple(axes), timeout_ps=_ps(timeout_s)
    )
    return Call(request, _itself)


def next_circuit_pair(circuit: str, *, timeout_s: float | None = None) -> Call[BellPair]:
    """The next pair of a circuit of kind K."""
    return Call(application.NextCircuitPair(call=0, circuit=circuit, timeout_ps=_ps(timeout_s)), _pair)


def next_circuit_outcome(circuit: str, *, timeout_s: float | None = None) -> Call[CircuitOutcome]:
    """The next pair of a circuit of kind M."""
    request = application.NextCircuitPair(call=0, circuit=circuit, timeout_ps=_ps(timeout_s))
    return Call(request, lambda answer: CircuitOutcome(int(answer.number), answer.axis, int(answer.bit)))


def next_circuit_event(circuit: str, *, timeout_s: float | None = None) -> Call[application.CircuitEvent]:
    """The next thing that happens to a circuit."""
    return Call(application.NextCircuitEvent(call=0, circuit=circuit, timeout_ps=_ps(timeout_s)), _itself)


def close_circuit(circuit: str) -> Call[None]:
    """Free all that a circuit has reserved."""
    return Call(application.CloseCircuit(call=0, circuit=circuit), _nothing)


def open_group(
    members: Sequence[str],
    *,
    state: application.GroupState = "GHZ",
    purpose: str = "",
    rate_hz: float = 1.0,
    min_fidelity: float = 0.0,
    centre: str = "",
    slots: int = 2,
    timeout_s: float | None = None,
) -> Call[application.GroupOpened]:
    """States shared with the applications of ``members``, made of Bell pairs of at least ``min_fidelity``."""
    request = application.OpenGroup(
        call=0,
        members=tuple(members),
        state=state,
        purpose=purpose,
        rate_hz=rate_hz,
        minimum_fidelity=min_fidelity,
        centre=centre,
        slots=slots,
        timeout_ps=_ps(timeout_s),
    )
    return Call(request, _itself)


def join_group(*, purpose: str = "", timeout_s: float | None = None) -> Call[application.GroupOpened]:
    """Wait for a group that another node opens with this one."""
    return Call(application.JoinGroup(call=0, purpose=purpose, timeout_ps=_ps(timeout_s)), _itself)


def next_group_qubit(group: str, *, timeout_s: float | None = None) -> Call[str]:
    """This node's qubit of the next state of a group."""
    request = application.NextGroupQubit(call=0, group=group, timeout_ps=_ps(timeout_s))
    return Call(request, lambda answer: str(answer.qubit))


def close_group(group: str) -> Call[None]:
    """Leave a group, which ends for all."""
    return Call(application.CloseGroup(call=0, group=group), _nothing)


def teleport(qubit: QubitLike, pair: BellPair, *, confirmed: bool = False) -> Call[tuple[int, int]]:
    """Send the state of ``qubit`` over ``pair``; both are consumed, the node tells the other end its bits.

    ``confirmed``: wait until the other end has the qubit.
    """
    request = application.Teleport(call=0, qubit=name_of(qubit), pair_id=pair.pair_id, confirmed=confirmed)
    return Call(request, lambda outcomes: (int(outcomes.bits[0]), int(outcomes.bits[1])))


def receive_teleported(pair: BellPair, *, timeout_s: float | None = None) -> Call[str]:
    """Wait for a teleportation over ``pair`` and correct; gives the qubit, which has the state that was sent."""
    request = application.ReceiveTeleported(call=0, pair_id=pair.pair_id, timeout_ps=_ps(timeout_s))
    return Call(request, lambda answer: str(answer.qubit))


def send_qubit(qubit: QubitLike, remote: str) -> Call[None]:
    """Send the qubit itself to a neighbour; it may be lost."""
    return Call(application.TransmitQubit(call=0, qubit=name_of(qubit), remote=remote), _nothing)


def receive_qubit(remote: str, *, timeout_s: float | None = None) -> Call[str]:
    """The next qubit that a neighbour sends; a heralded loss raises ``QubitLost``."""
    request = application.ReceiveQubit(call=0, remote=remote, timeout_ps=_ps(timeout_s))
    return Call(request, lambda answer: str(answer.qubit))


def send(peer: str, payload: bytes, *, tag: str = "") -> Call[None]:
    """Send bytes to a node, or to ``node/application``; they arrive after the classical latency."""
    return Call(application.SendMessage(call=0, peer=peer, payload=payload, tag=tag), _nothing)


def receive(peer: str, *, tag: str = "", timeout_s: float | None = None) -> Call[bytes]:
    """The oldest unread bytes from a node under ``tag``; waits for them."""
    request = application.ReceiveMessage(call=0, peer=peer, tag=tag, timeout_ps=_ps(timeout_s))
    return Call(request, lambda answer: bytes(answer.payload))


def sleep(duration_s: float) -> Call[None]:
    """Let virtual time pass."""
    return Call(application.Sleep(call=0, duration_ps=round(duration_s * PICOSECONDS)), _nothing)


def oracle_state(*qubits: QubitLike, entangled: bool = False) -> Call[OracleView]:
    """The oracle's view: the true state of qubits of this session, which is not changed by the look.

    For checks and for teaching; no real node can do it. A scenario forbids it by ``limits.applications.oracle: false``,
    which raises ``Denied``.

    Args:
        entangled: also of all that they are entangled with, at whatever node that lies.
    """

    def view(answer: application.TrueState) -> OracleView:
        numbers = struct.unpack(f"<{len(answer.state) // 8}d", answer.state)
        values = [complex(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
        side = 1 << len(answer.qubits)
        rows = (tuple(values[start : start + side]) for start in range(0, side * side, side))
        return OracleView(answer.qubits, tuple(rows))

    return Call(application.OracleState(call=0, qubits=tuple(map(name_of, qubits)), entangled=entangled), view)


def netqasm(message: bytes, *, flavour: application.Flavour = "vanilla") -> Call[application.NetqasmReturned]:
    """Have the node obey a message of NetQASM's host protocol; gives what it returns, errors too."""
    return Call(application.NetqasmMessage(call=0, message=message, flavour=flavour), _itself)


def report(**values: float | tuple[float, float]) -> Call[None]:
    """Named numbers for the run's report, each alone or as (value, standard error); True counts as 1."""
    told = {
        name: (_plain(value[0]), _plain(value[1])) if isinstance(value, tuple) else _plain(value)
        for name, value in values.items()
    }
    return Call(application.Report(call=0, values=told), _nothing)


def _plain(value: float) -> float:
    """Whatever kind of number it is; what is none is for the node to refuse."""
    return float(value) if isinstance(value, numbers.Real) else value


def report_key(remote: str, key: bytes | Sequence[int], *, name: str = "") -> Call[None]:
    """Tell of a key shared with ``remote``: bytes or a sequence of bits. Only a fingerprint of it leaves the program.

    The check ``equal_keys`` holds it against the key that ``remote`` tells of: the first of a ``name`` with the first.
    """
    if isinstance(key, bytes):
        packed, bits = key, 8 * len(key)
    else:
        if any(bit not in (0, 1) for bit in key):
            raise ValueError("a key is bytes or a sequence of bits 0 and 1, found something else in the sequence")
        bits = len(key)
        text = "".join(str(int(bit)) for bit in key).ljust(-(-bits // 8) * 8, "0")
        packed = bytes(int(text[start : start + 8], 2) for start in range(0, len(text), 8))
    fingerprint = hashlib.blake2b(packed, digest_size=FINGERPRINT_BYTES).digest()
    return Call(application.ReportKey(call=0, remote=remote, bits=bits, fingerprint=fingerprint, name=name), _nothing)


def detach() -> Call[None]:
    """End the session."""
    return Call(application.Detach(call=0), _nothing)
