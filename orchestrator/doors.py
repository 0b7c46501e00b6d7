"""Where the processes of one testbed listen and with which keys they speak, as its supervisor knows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import zmq

from orchestrator.run_directory import INPUTS, REFUSED_SUFFIX, Door, SocketDirectory
from orchestrator.security import FABRIC_PLACES, SUPERVISOR, KeyRing, enrol, node_place
from qnode.config import NodeConfiguration
from qnode.security.doorkeeper import secure_client
from qnode.security.keys import read_credentials
from qnode.security.types import Security


class Doors:
    """Unix sockets in the testbed's private directory, unless ports are opened."""

    def __init__(self, sockets: SocketDirectory, *, by_place: Mapping[str, Door] = {}, credentials: str = "") -> None:
        """``by_place``, ``credentials``: what a supervisor before has left."""
        self._sockets = sockets
        self.by_place = dict(by_place)
        """Of those that listen by TCP."""
        self.credentials = credentials
        """The file with the supervisor's keys; empty without CURVE."""
        self.key_ring: KeyRing | None = None

    def opened(self, address: str, ports: Mapping[str, int]) -> None:
        """Ports are listened at, by place."""
        for place, port in ports.items():
            self.by_place[place] = Door(endpoint=f"tcp://{address}:{port}")

    def lock(self, nodes: tuple[str, ...]) -> None:
        """Make the keys, without which nobody speaks there any more."""
        self.key_ring = KeyRing(self._sockets.path)
        for place, door in self.by_place.items():
            owner = "fabric" if place in FABRIC_PLACES else place
            self.by_place[place] = msgspec.structs.replace(door, key=self.key_ring.pair(owner).public)
        self.key_ring.let_nodes_in(nodes)
        self.credentials = str(self.enrolled("control", SUPERVISOR))

    def unlock(self, control: zmq.Socket[Any]) -> None:
        """Have the supervisor's socket speak with its keys, if there are any."""
        if self.credentials:
            mine = read_credentials(Path(self.credentials))
            secure_client(control, keys=mine.keys, server_key=mine.server_key)

    def endpoint_of(self, place: str) -> str:
        """Where ``fabric``, ``control``, ``observer`` or ``node-NAME`` listens."""
        door = self.by_place.get(place)
        return self._sockets.endpoint(place) if door is None else door.endpoint

    def security(self, process: str) -> Security | None:
        """With what ``fabric`` or ``node-NAME`` guards its sockets; None without keys."""
        return None if self.key_ring is None else self.key_ring.security(process)

    def enrolled(self, place: str, name: str) -> Path | None:
        """A fresh private file with which a program of this machine may speak at ``place``; None without keys."""
        if self.key_ring is None:
            return None
        return enrol(self._sockets.path, self.by_place[place], place=place, name=name, same_machine=True)

    def shown_to(self, node: NodeConfiguration, run_directory: Path) -> NodeConfiguration:
        """What a node is told, and where and with which keys it speaks."""
        place = node_place(node.name)
        return msgspec.structs.replace(
            node,
            fabric_endpoint=self.endpoint_of("fabric"),
            application_endpoint=self.endpoint_of(place),
            security=self.security(place),
            fabric_key="" if self.key_ring is None else self.by_place["fabric"].key,
            refused_path=str(refused_path(run_directory, f"node {node.name}")),
            inputs_directory=str(run_directory / INPUTS),
        )


def refused_path(run_directory: Path, process: str) -> Path:
    """Where a process counts what it turned away, if there is anything."""
    return run_directory / "logs" / f"{process.replace(' ', '-')}{REFUSED_SUFFIX}"
