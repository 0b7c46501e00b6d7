"""Checks that the names in a scenario refer to something, and that what must be single is single."""

from __future__ import annotations

from orchestrator.scenario.check import nearest
from orchestrator.scenario.document import Problem, Tree, joined
from orchestrator.scenario.faults import KINDS, FibreCut, OnLink, Timed, cannot_strike


def check_references(tree: Tree, *, problems: list[Problem]) -> None:
    """Adds to ``problems`` what is wrong between the sections of a document whose hardware is written out.

    Parts that are malformed by themselves are passed over: they have been reported.
    """
    _References(tree, problems).run()


class _References:
    def __init__(self, tree: Tree, problems: list[Problem]) -> None:
        self._root = tree
        self._problems = problems
        self._nodes = _members(tree, "nodes")

    def run(self) -> None:
        """Every check between sections."""
        self._links()
        for name, link in _members(self._root, "classical_links").items():
            self._ends(link, path=joined(joined("classical_links", name), "ends"))
        for index, application in enumerate(_items(self._root, "applications")):
            node = _text(application, "node")
            if node is not None and node.value not in self._nodes:
                self._dangling(node, path=f"applications[{index}].node")
        self._network()
        self._faults()
        self._random_faults()
        self._checked_applications()
        self._unique("applications")
        self._unique("expectations")
        self._unique("faults")
        self._unique("random_faults")

    def _links(self) -> None:
        by_ends: dict[frozenset[str], str] = {}
        for name, link in _members(self._root, "links").items():
            path = joined(joined("links", name), "ends")
            ends = self._ends(link, path=path)
            for index, end in enumerate(ends):
                slots = _communication_slots(self._nodes[end])
                if slots == 0:
                    message = f"expected a node with a communication slot, found {end!r} with none"
                    self._report(joined(path, index), link.line, message)
            if len(set(ends)) == 2:
                first = by_ends.setdefault(frozenset(ends), name)
                if first != name:
                    message = f"expected one quantum link between two nodes, found {first!r} between the same"
                    self._report(path, link.line, message)

    def _network(self) -> None:
        network = self._root.value.get("network") if isinstance(self._root.value, dict) else None
        controller = _text(network, "controller") if network is not None else None
        if controller is not None and controller.value:
            if controller.value not in self._nodes:
                self._dangling(controller, path="network.controller")
            elif (role := _text(self._nodes[str(controller.value)], "role")) is None or role.value != "controller":
                message = f"expected a node with role: controller, found {controller.value!r} with another"
                self._report("network.controller", controller.line, message)

    def _faults(self) -> None:
        quantum, classical = _members(self._root, "links"), _members(self._root, "classical_links")
        for index, fault in enumerate(_items(self._root, "faults")):
            path, kind = f"faults[{index}]", _text(fault, "kind")
            known = KINDS.get(str(kind.value)) if kind is not None else None
            if known is None:
                continue
            for field in ("node", "link"):
                name = _text(fault, field)
                if name is not None and name.value:
                    self._target(name, known, quantum, classical, path=joined(path, field))
            if (
                quantum
                and _text(fault, "select") is not None
                and not _items(fault, "among")
                and issubclass(known, OnLink)
            ):
                reasons = [_unfit(known, link) for link in quantum.values()]
                if all(reasons):
                    self._report(joined(path, "select"), fault.line, f"expected {reasons[0]} on every link")
            for field in ("among", "nodes"):
                for number, name in enumerate(_items(fault, field)):
                    self._target(name, known, quantum, classical, path=joined(joined(path, field), number))
            for number, name in enumerate(_items(fault, "between")):
                if name.value not in self._nodes:
                    self._dangling(name, path=joined(joined(path, "between"), number))
            if known is FibreCut:
                self._cut(fault, {**quantum, **classical}, path=joined(path, "at_km"))

    def _cut(self, fault: Tree, links: dict[str, Tree], *, path: str) -> None:
        """The point of the cut lies on the fibre."""
        link, at_km = _text(fault, "link"), _members(Tree({"fault": fault}), "fault").get("at_km")
        if link is None or at_km is None or link.value not in links:
            return
        length_km = _members(Tree({"link": links[str(link.value)]}), "link").get("length_km")
        if length_km is None:
            self._report(path, at_km.line, f"expected none: {link.value} has a latency and no length_km")
            return
        length, point = length_km.value, at_km.value
        if isinstance(length, (int, float)) and isinstance(point, (int, float)) and point > length:
            self._report(path, at_km.line, f"expected at most {link.value}'s length_km ({length}), found {point}")

    def _target(
        self, name: Tree, kind: type[Timed], quantum: dict[str, Tree], classical: dict[str, Tree], *, path: str
    ) -> None:
        if not issubclass(kind, OnLink):
            if name.value not in self._nodes:
                self._dangling(name, path=path)
            return
        links = {**quantum, **classical} if kind.strikes_classical_links else quantum
        if name.value not in links:
            what = "a link" if kind.strikes_classical_links else "a quantum link"
            message = f"expected the name of {what}, found {name.value!r}{nearest(str(name.value), links)}"
            self._report(path, name.line, message)
        elif name.value in quantum and (reason := _unfit(kind, quantum[str(name.value)])):
            self._report(path, name.line, f"expected {reason}")

    def _random_faults(self) -> None:
        known = {*self._nodes, *_members(self._root, "links"), *_members(self._root, "classical_links")}
        for index, group in enumerate(_items(self._root, "random_faults")):
            for number, name in enumerate(_items(group, "spare")):
                if isinstance(name.value, str) and name.value not in known:
                    message = f"expected the name of a node or a link, found {name.value!r}{nearest(name.value, known)}"
                    self._report(f"random_faults[{index}].spare[{number}]", name.line, message)

    def _checked_applications(self) -> None:
        names = [_text(application, "name") for application in _items(self._root, "applications")]
        known = {str(name.value) for name in names if name is not None}
        check = _members(self._root, "check")
        for name, expected in _members(Tree(check), "applications").items():
            if name not in known:
                message = f"expected the name of an application, found {name!r}{nearest(name, known)}"
                self._report(joined("check.applications", name), expected.line, message)

    def _ends(self, link: Tree, *, path: str) -> list[str]:
        """The ends that are nodes; a name that is not is reported."""
        members = link.value if isinstance(link.value, dict) else {}
        ends = members["ends"].value if "ends" in members else None
        found = []
        for index, end in enumerate(ends) if isinstance(ends, list) else ():
            if isinstance(end.value, str) and end.value in self._nodes:
                found.append(end.value)
            elif isinstance(end.value, str):
                self._dangling(Tree(end.value, end.line or link.line), path=joined(path, index))
        return found

    def _unique(self, section: str) -> None:
        first: dict[object, int] = {}
        for index, item in enumerate(_items(self._root, section)):
            name = _text(item, "name")
            if name is not None and name.value and first.setdefault(name.value, index) != index:
                message = f"expected a new name, found {name.value!r} of {section}[{first[name.value]}] again"
                self._report(f"{section}[{index}].name", name.line, message)

    def _dangling(self, name: Tree, *, path: str) -> None:
        message = f"expected the name of a node, found {name.value!r}{nearest(str(name.value), self._nodes)}"
        self._report(path, name.line, message)

    def _report(self, path: str, line: int | None, message: str) -> None:
        self._problems.append(Problem(path=path, line=line, message=message))


def _members(tree: Tree, key: str) -> dict[str, Tree]:
    section = tree.value.get(key) if isinstance(tree.value, dict) else None
    return section.value if section is not None and isinstance(section.value, dict) else {}


def _items(tree: Tree, key: str) -> list[Tree]:
    section = tree.value.get(key) if isinstance(tree.value, dict) else None
    return section.value if section is not None and isinstance(section.value, list) else []


def _text(tree: Tree, key: str) -> Tree | None:
    member = tree.value.get(key) if isinstance(tree.value, dict) else None
    return member if member is not None and isinstance(member.value, str) else None


def _unfit(kind: type[Timed], link: Tree) -> str:
    """Why a fault of this kind cannot strike a link."""
    heralding = link.value.get("heralding") if isinstance(link.value, dict) else None
    scheme = _text(heralding, "scheme") if heralding is not None else None
    length = link.value.get("length_km") if isinstance(link.value, dict) else None
    length_km = length.value if length is not None and isinstance(length.value, (int, float)) else 1.0
    return cannot_strike(kind, scheme=str(scheme.value) if scheme is not None else "source", length_km=length_km)


def _communication_slots(node: Tree) -> object:
    hardware = _members(node, "hardware")
    slots = _members(Tree(hardware), "communication").get("slots")
    return None if slots is None else slots.value
