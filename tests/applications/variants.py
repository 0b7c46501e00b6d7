"""The scenarios of `topologies/applications` as they are, ideal, over repeaters, with faults, and of other lengths."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from orchestrator.scenario import Scenario
from orchestrator.scenario.file import parse

DIRECTORY = Path(__file__).resolve().parents[2] / "topologies" / "applications"
NAMES = sorted(path.stem for path in DIRECTORY.glob("*.yaml"))
Document = dict[str, Any]


@dataclass(frozen=True)
class Noise:
    """What a scenario does to pairs and operations; the applications' scenarios have no other noise than this."""

    fidelity: float
    """Of each link's pairs, Werner states; of a link that carries qubits itself, what one half of a pair has at its end."""
    gate: float
    """Depolarising probability of gates on two and three qubits."""
    readout: float
    """Probability to read a bit wrong, the same for 0 and 1."""
    hops: int = 1
    """Links in a row between neighbours of the file."""
    transmission: float = 1.0
    """Share of the qubits that come through a fibre."""

    @property
    def w(self) -> float:
        """Weight of Phi+ in a delivered Werner pair: perfect swaps multiply those of the links."""
        return float(((4 * self.fidelity - 1) / 3) ** self.hops)

    @property
    def k(self) -> float:
        """What a readout leaves of an expectation value."""
        return 1 - 2 * self.readout


@dataclass(frozen=True)
class Variant:
    """A scenario, and the noise that its theory needs to know."""

    document: Document
    noise: Noise

    @property
    def scenario(self) -> Scenario:
        """Checked."""
        return parse(json.dumps(self.document), source="variant")

    @property
    def can_have_repeaters(self) -> bool:
        """Whether anything but single qubits goes over its links."""
        return any("transmission" not in link for link in self.document["links"].values())

    def ideal(self) -> Variant:
        """Without noise."""
        noise = replace(self.noise, fidelity=1.0, gate=0.0, readout=0.0)
        return self.with_noise(noise)

    def with_noise(self, noise: Noise) -> Variant:
        """With as much as this."""
        document = deepcopy(self.document)
        for profile in document["hardware_profiles"].values():
            profile["two_qubit_gate_depolarising_probability"] = noise.gate
            profile["readout_error_0"] = profile["readout_error_1"] = noise.readout
        for link in document["links"].values():
            if "heralding" in link:
                link["heralding"]["fidelity"] = noise.fidelity
            elif "depolarising_probability" in link["transmission"]:
                link["transmission"]["depolarising_probability"] = 4 * (1 - noise.fidelity) / 3
        return Variant(document, noise)

    def over_repeaters(self) -> Variant:
        """A perfect router in the middle of every link but those that carry qubits themselves; the pairs as noisy."""
        if not self.can_have_repeaters:
            return self
        document, links = deepcopy(self.document), {}
        for name, link in document["links"].items():
            if "transmission" in link:
                links[name] = link
                continue
            middle = f"{name}-repeater"
            document["nodes"][middle] = {"role": "router", "hardware": {"profile": "ideal"}}
            first, last = link["ends"]
            half = {**link, "length_km": link["length_km"] / 2}
            links[f"{name}-1"] = {**half, "ends": [first, middle]}
            links[f"{name}-2"] = {**half, "ends": [middle, last]}
        document["links"] = links
        return Variant(document, replace(self.noise, hops=2 * self.noise.hops))

    def with_faults(self, faults: Sequence[Document]) -> Variant:
        """Broken in these ways."""
        return Variant({**self.document, "faults": list(faults)}, self.noise)

    def with_seed(self, seed: int) -> Variant:
        """The same with other luck."""
        return Variant({**self.document, "seed": seed}, self.noise)

    def of_length(self, number: int) -> Variant:
        """Of so many rounds: the argument after the role."""
        document = deepcopy(self.document)
        for each in document["applications"]:
            each["command"][3] = str(number)
        document["expectations"] = []
        return Variant(document, self.noise)

    def with_argument(self, value: str) -> Variant:
        """With a further argument for every program."""
        document = deepcopy(self.document)
        for each in document["applications"]:
            each["command"].append(value)
        return Variant(document, self.noise)


def read(name: str) -> Variant:
    """An application's scenario as it comes."""
    document = yaml.safe_load((DIRECTORY / f"{name}.yaml").read_text())
    profile = next(iter(document["hardware_profiles"].values()))
    heralded = [link for link in document["links"].values() if "heralding" in link]
    carrying = [link for link in document["links"].values() if "transmission" in link]
    fidelity = (
        heralded[0]["heralding"]["fidelity"]
        if heralded
        else 1 - 3 / 4 * carrying[0]["transmission"]["depolarising_probability"]
    )
    fibre = (carrying or heralded)[0]
    noise = Noise(
        fidelity=fidelity,
        gate=profile.get("two_qubit_gate_depolarising_probability", 0.0),
        readout=profile.get("readout_error_0", 0.0),
        transmission=10 ** (-fibre.get("attenuation_db_per_km", 0.2) * fibre["length_km"] / 10),
    )
    return Variant(document, noise)
