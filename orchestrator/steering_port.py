"""The port of a testbed at which it is broken and mended by hand: a Unix socket of this user, one JSON object a line.

    {"type": "add_fault", "fault": {"kind": "link_down", "link": "alice-bob", "for_s": 2}}
    {"type": "remove_fault", "name": "link_down alice-bob"}    {"type": "reset_faults"}    {"type": "list_faults"}
    {"type": "hold"}    {"type": "go"}    {"type": "go", "until_ps": 2000000000000}

Each line is answered by one: the fields of ``orchestrator.control.Steered``, with ``error`` where it was not done.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from orchestrator import control

NAME = "steering"
LONGEST_LINE_BYTES = 1 << 16
ANSWER_DEADLINE_S = 20.0

Steer = Callable[[control.Steering], Awaitable[control.Steered]]

_requests: msgspec.json.Decoder[control.Steering] = msgspec.json.Decoder(control.Steering)
_answers = msgspec.json.Decoder(control.Steered)
_encode = msgspec.json.Encoder().encode


class SteeringRefused(Exception):
    """What was asked of a running testbed cannot be done; says why."""


async def serve(path: Path, steer: Steer) -> asyncio.Server:
    """Listen at ``path``, whose directory is private, and have ``steer`` do what is asked."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await _line(reader):
                writer.write(_encode(await _answer(line, steer)) + b"\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(talk, path, limit=LONGEST_LINE_BYTES)
    path.chmod(0o600)
    return server


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next line; empty at the end, and for one that is too long."""
    try:
        return await reader.readline()
    except ValueError:
        return b""


async def _answer(line: bytes, steer: Steer) -> control.Steered:
    try:
        return await steer(_requests.decode(line))
    except (msgspec.MsgspecError, SteeringRefused) as error:
        return control.Steered(call=0, now_ps=0, error=str(error))


def ask(socket_directory: Path, request: control.Steering) -> control.Steered:
    """Ask a testbed from another process.

    Raises:
        SteeringRefused: it was not done, or the testbed does not answer; says why.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as port:
            port.settimeout(ANSWER_DEADLINE_S)
            port.connect(str(socket_directory / NAME))
            with port.makefile("rwb") as stream:
                stream.write(_encode(request) + b"\n")
                stream.flush()
                line = stream.readline()
    except TimeoutError:
        raise SteeringRefused(f"the testbed did not answer within {ANSWER_DEADLINE_S:g} s") from None
    except OSError as error:
        raise SteeringRefused(f"the testbed's steering port cannot be reached: {error.strerror}") from error
    if not line:
        raise SteeringRefused("the testbed ended before it answered")
    answer = _answers.decode(line)
    if answer.error:
        raise SteeringRefused(answer.error)
    return answer
