"""A host of NetQASM for tests: subroutines as text, through the package's own assembler, and their answers decoded."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from in_process import InProcess
from netqasm.backend import messages
from netqasm.lang.instr.flavour import NVFlavour, VanillaFlavour
from netqasm.lang.parsing.text import parse_text_subroutine

from orchestrator.scenario import Limits, Link, Network, Node, Scenario, Source, Time
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.config import ApplicationLimits
from qnode.wire.application import Failed, NetqasmMessage, NetqasmReturned

FLAVOURS = {"vanilla": VanillaFlavour(), "nv": NVFlavour()}
BANKS = "RCQM"


@dataclass
class Returned:
    """What a message was answered with."""

    registers: dict[str, int] = field(default_factory=dict)
    arrays: dict[int, list[int | None]] = field(default_factory=dict)
    done: bool = False
    error: str = ""
    reason: str = ""
    qubits: tuple[str, ...] = ()
    now_ps: int = 0


def decoded(answer: NetqasmReturned) -> Returned:
    """An answer; arrays are read here, for the package's reader takes what is undefined for 0."""
    returned = Returned(reason=answer.reason, qubits=answer.qubits, now_ps=answer.now_ps)
    for raw in answer.messages:
        kind = messages.ReturnMessageType(raw[0])
        if kind is messages.ReturnMessageType.RET_ARR:
            address, length = struct.unpack_from("<ii", raw, 1)
            entries = [struct.unpack_from("<B3xi", raw, 9 + 8 * index) for index in range(length)]
            assert len(raw) == 9 + 8 * length
            returned.arrays[address] = [value if defined else None for defined, value in entries]
        elif kind is messages.ReturnMessageType.RET_REG:
            message = messages.deserialize_return_msg(raw)
            name = f"{BANKS[message.register.register_name]}{message.register.register_index}"
            returned.registers[name] = message.value
        elif kind is messages.ReturnMessageType.DONE:
            returned.done = True
        else:
            returned.error = messages.ErrorCode(messages.deserialize_return_msg(raw).err_code).name
    return returned


def subroutine(text: str, *, app: int = 0, flavour: str = "vanilla") -> bytes:
    """The message that carries a subroutine."""
    parsed = parse_text_subroutine(f"# NETQASM 1.0\n# APPID {app}\n{text}", flavour=FLAVOURS[flavour])
    return bytes(messages.SubroutineMessage(parsed))


def say(message: Any, flavour: str = "vanilla") -> Generator[Any, Any, Returned]:
    """Send a message to the node, in a program."""
    raw = message if isinstance(message, bytes) else bytes(message)
    answer = yield NetqasmMessage(call=0, message=raw, flavour=flavour)
    assert isinstance(answer, NetqasmReturned | Failed), answer
    assert isinstance(answer, NetqasmReturned), answer.reason
    return decoded(answer)


def program(
    texts: Sequence[str | bytes],
    seen: list[Returned],
    *,
    app: int = 0,
    max_qubits: int = 5,
    sockets: Sequence[tuple[int, int, int, int]] = (),
    flavour: str = "vanilla",
    stop: bool = True,
) -> Generator[Any, Any, None]:
    """A host: sockets are (number, remote node, remote socket, minimum fidelity)."""
    begun = yield from say(messages.InitNewAppMessage(app_id=app, max_qubits=max_qubits))
    assert begun.done, begun
    for number, node, remote, fidelity in sockets:
        opened = yield from say(messages.OpenEPRSocketMessage(app, number, node, remote, fidelity))
        assert opened.done, opened
    for text in texts:
        raw = subroutine(text, app=app, flavour=flavour) if isinstance(text, str) else text
        seen.append((yield from say(raw, flavour)))
    if stop:
        yield from say(messages.StopAppMessage(app))


def nodes(
    *names: str,
    links: Sequence[tuple[str, str]] | None = None,
    seed: int = 1,
    slots: int = 16,
    storage: int | None = None,
    network: Network | None = None,
    link_fidelity: float = 1.0,
    length_km: float = 1.0,
    success: float = 0.5,
    instructions: int = 1_000_000,
    steps: int = 100_000,
    memory_slots: int | None = None,
    register_bytes: int = 1 << 24,
    faults: tuple[Any, ...] = (),
    **hardware: Any,
) -> Scenario:
    """A scenario; links default to a chain."""
    device = Hardware(
        communication=hardware.pop("communication", Memory(slots=slots)),
        storage=hardware.pop("storage_memory", Memory(slots=slots if storage is None else storage)),
        **hardware,
    )
    joined = list(itertools.pairwise(names)) if links is None else links
    source = Source(success_probability=success, fidelity=link_fidelity)
    return Scenario(
        version=1,
        name="netqasm",
        seed=seed,
        network=network,
        faults=faults,
        time=Time(steps_per_instant=steps),
        limits=Limits(
            register_bytes=register_bytes,
            applications=ApplicationLimits(instructions=instructions, memory_slots=memory_slots),
        ),
        nodes={name: Node(hardware=device) for name in names},
        links={f"{a}-{b}": Link(ends=(a, b), length_km=length_km, heralding=source) for a, b in joined},
    )


def execute(*texts: str | bytes, scenario: Scenario | None = None, **options: Any) -> list[Returned]:
    """Subroutines of one host on one node."""
    testbed = InProcess(scenario or nodes("alice", "bob"))
    seen: list[Returned] = []
    testbed.start("alice", program(texts, seen, **options))
    testbed.run(lambda: testbed.running == 0)
    return seen


CREATE = """
array 10 @0
array 1 @1
array 22 @2
"""


def create_text(
    node: int, number: int, *, kind: int = 0, socket: int = 0, arguments: dict[int, int] | None = None, base: int = 0
) -> str:
    """``create_epr`` and its wait: results in array ``base``, virtual addresses 0, 1, ... in array ``base + 1``."""
    lines = [f"array {10 * number} @{base}", f"array {number} @{base + 1}", f"array 22 @{base + 2}"]
    lines += [f"store {index} @{base + 1}[{index}]" for index in range(number)]
    lines += [
        f"store {value} @{base + 2}[{index}]" for index, value in {0: kind, 1: number, **(arguments or {})}.items()
    ]
    lines += [f"create_epr({node},{socket}) {base + 1} {base + 2} {base}", f"wait_all @{base}[0:{10 * number}]"]
    return "\n".join(lines) + "\n"


def receive_text(node: int, number: int, *, socket: int = 0, base: int = 0) -> str:
    """``recv_epr`` and its wait, likewise."""
    lines = [f"array {10 * number} @{base}", f"array {number} @{base + 1}"]
    lines += [f"store {index} @{base + 1}[{index}]" for index in range(number)]
    lines += [f"recv_epr({node},{socket}) {base + 1} {base}", f"wait_all @{base}[0:{10 * number}]"]
    return "\n".join(lines) + "\n"
