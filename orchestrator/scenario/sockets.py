"""By what way the processes of a testbed speak to each other."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Literal

from orchestrator.scenario.section import Section


class Sockets(Section, frozen=True, kw_only=True):
    """How nodes, fabric, supervisor, observers and applications speak to each other."""

    transport: Literal["ipc", "tcp"] = "ipc"
    """``ipc``: Unix sockets in a directory that only this user can enter; ``tcp``: ports that are free at the start."""
    address: str = "127.0.0.1"
    """By TCP, the IPv4 address of this machine to listen at."""
    curve: bool = True
    """By TCP, whether every connection is encrypted and authenticated (CurveZMQ). Only loopback may go without."""


def broken_rules(fields: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The rules between the fields that these break."""
    address, transport, curve = fields.get("address"), fields.get("transport"), fields.get("curve")
    if not isinstance(address, str):
        return
    try:
        where = ipaddress.IPv4Address(address)
    except ValueError:
        yield "address", f"expected an IPv4 address such as 127.0.0.1, found {address!r}"
        return
    if where.is_unspecified or where.is_multicast:
        yield "address", f"expected the address of one interface, so that others can be told it, found {address!r}"
    elif transport == "ipc" and address != "127.0.0.1":
        yield "address", f"expected transport: tcp beside it, found ipc and {address!r}"
    elif transport == "tcp" and curve is False and not where.is_loopback:
        yield (
            "curve",
            f"expected true at {address}, which others can reach, found false: anybody could command the testbed; "
            "leave it out, or listen at 127.0.0.1",
        )
