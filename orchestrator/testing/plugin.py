"""The pytest plugin: a fixture ``testbed`` of real processes, and a marker that names its scenario.

    @pytest.mark.qloom("network.yaml", seed=3)
    def test_a_circuit_survives_a_cut(testbed): ...

What is imported when pytest starts is light; a testbed is, when one is asked for.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from orchestrator.scenario import Fault, Scenario
    from orchestrator.testing.steered import SteeredTestbed

MARKER = "qloom"
SECTION = "qloom"
_TESTBED: pytest.StashKey[SteeredTestbed] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the plugin."""
    group = parser.getgroup("qloom", "testbeds of real quantum nodes")
    group.addoption("--qloom-seed", type=int, metavar="N", help="Seed of every testbed, in place of the tests' own.")
    group.addoption(
        "--qloom-seeds", metavar="A..B", help="Run every test with a testbed once for each seed, both ends included."
    )
    group.addoption(
        "--qloom-shrink",
        type=int,
        nargs="?",
        const=60,
        metavar="RUNS",
        help="Reduce the faults of a failing test to few that still make it fail, in at most so many runs (60).",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marker means."""
    config.addinivalue_line(
        "markers",
        "qloom(scenario, *, seed, seeds, check, **sections): the testbed's scenario, a file beside the test or a "
        "mapping; a seed, or several to run the test with; whether all invariants are checked at the end (default); "
        "sections of the scenario to replace, such as faults=[...].",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each seed, where there are several."""
    if "testbed" not in metafunc.fixturenames or metafunc.config.getoption("--qloom-seed") is not None:
        return
    marker = metafunc.definition.get_closest_marker(MARKER)
    wanted = metafunc.config.getoption("--qloom-seeds")
    seeds = _range(wanted) if wanted else marker.kwargs.get("seeds") if marker else None
    if seeds is not None:
        metafunc.parametrize("testbed", list(seeds), indirect=True, ids=[f"seed{seed}" for seed in seeds])


@pytest.fixture(scope="session")
def qloom_nursery() -> Iterator[None]:
    """Whoever uses this has testbeds that come up fast: what all import is imported once."""
    from orchestrator.launch.local import LocalAgent
    from orchestrator.launch.nursery import Nursery

    with Nursery() as LocalAgent.nursery:
        yield
    LocalAgent.nursery = None


@pytest.fixture
def testbed(request: pytest.FixtureRequest, tmp_path: Path, qloom_nursery: None) -> Iterator[SteeredTestbed]:
    """The testbed of the test's ``qloom`` marker: real processes at virtual time 0, taken down whatever happens."""
    from orchestrator.testing.steered import SteeredTestbed

    marker = _marker(request.node)
    with SteeredTestbed(_scenario(request), request.path.parent, tmp_path / "qloom") as steered:
        request.node.stash[_TESTBED] = steered
        yield steered
        outcome = request.node.stash.get(_FAILED, False)
        if marker.kwargs.get("check", True) and not outcome:
            steered.check()


_FAILED: pytest.StashKey[bool] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell of a failure how to have it again; and reduce its faults, if that is wanted."""
    report = yield
    steered = item.stash.get(_TESTBED, None)
    if steered is None or not report.failed or call.excinfo is None:
        return report
    item.stash[_FAILED] = True
    lines = [
        f"scenario {steered.scenario.name}, seed {steered.seed}, virtual time {steered.now_s:.9g} s",
        f"events: {steered.run_directory / 'events.jsonl'}",
        f"repeat: {_command(item, steered.seed)}",
    ]
    lines += [f"fault: {each}" for each in _told(steered.scenario.faults)]
    runs = item.config.getoption("--qloom-shrink")
    if runs is not None and call.when == "call" and steered.scenario.faults:
        lines += _shrunk(item, call.excinfo.value, steered, runs)
    report.sections.append((SECTION, "\n".join(lines)))
    return report


def _range(text: str) -> range:
    first, dots, last = text.partition("..")
    if not (dots and first.isdigit() and last.isdigit() and int(first) <= int(last)):
        raise pytest.UsageError(f"--qloom-seeds: expected two numbers such as 0..9, found {text!r}")
    return range(int(first), int(last) + 1)


def _marker(node: pytest.Item) -> pytest.Mark:
    marker = node.get_closest_marker(MARKER)
    if marker is None or len(marker.args) != 1:
        raise pytest.UsageError(
            f"{node.nodeid}: the fixture testbed needs the marker qloom with a scenario, such as "
            '@pytest.mark.qloom("network.yaml")'
        )
    return marker


def _scenario(request: pytest.FixtureRequest) -> Scenario:
    """The scenario of a test: the marker's, with the sections that it replaces, and the seed."""
    import msgspec

    from orchestrator.scenario.document import read_document
    from orchestrator.scenario.file import parse

    marker = _marker(request.node)
    source = marker.args[0]
    sections = {name: value for name, value in marker.kwargs.items() if name not in ("seed", "seeds", "check")}
    if isinstance(source, dict):
        named, plain = f"the scenario of {request.node.name}", dict(source)
    else:
        path = request.path.parent / source
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise pytest.UsageError(f"{request.node.nodeid}: the scenario {path}: {error.strerror}") from error
        document = read_document(text, source=str(path)).plain()
        named, plain = str(path), document if isinstance(document, dict) else {}
    scenario = parse(json.dumps({**plain, **sections}), source=named)
    chosen = request.config.getoption("--qloom-seed")
    if chosen is None:
        chosen = getattr(request, "param", marker.kwargs.get("seed", scenario.seed))
    return msgspec.structs.replace(scenario, seed=chosen)


def _command(item: pytest.Item, seed: int) -> str:
    name = item.nodeid.replace(f"[seed{seed}]", "").replace(f"seed{seed}-", "").replace(f"-seed{seed}", "")
    return f"pytest {shlex.quote(name)} --qloom-seed {seed}"


def _told(faults: tuple[Fault, ...]) -> list[str]:
    """Each fault as one line of YAML."""
    import msgspec

    lines = []
    for fault in faults:
        fields = msgspec.to_builtins(fault)
        defaults = {field.encode_name: field.default for field in msgspec.structs.fields(fault)}
        given = {name: value for name, value in fields.items() if defaults.get(name, ...) != value}
        lines.append("{" + ", ".join(f"{name}: {json.dumps(value)}" for name, value in given.items()) + "}")
    return lines


def _shrunk(item: pytest.Item, failure: BaseException, steered: SteeredTestbed, most_runs: int) -> list[str]:
    """Run the test again and again with fewer faults; returns what is left, in words."""
    from orchestrator.trials.shrink import Shrinker

    assert isinstance(item, pytest.Function)
    wanted = _place(failure)

    async def fails(faults: tuple[Fault, ...]) -> bool:
        return _place(_again(item, steered, faults, number=shrinker.runs)) == wanted

    shrinker = Shrinker(fails=fails, jobs=1, allowed=lambda runs: runs < most_runs)
    shrunk = asyncio.run(shrinker.shrink(steered.scenario.faults))
    minimal = "none of which can be left out" if shrunk.is_minimal else f"after {most_runs} runs, maybe not the fewest"
    return [
        f"shrunk to {len(shrunk.faults)} of {len(steered.scenario.faults)} faults in {shrunk.runs} runs, {minimal}:",
        *(f"  {each}" for each in _told(shrunk.faults)),
    ]


def _place(failure: BaseException | None) -> tuple[str, str, int] | None:
    """What tells failures apart: the type, and the line of the test that it came from."""
    if failure is None:
        return None
    trace = failure.__traceback__
    places = []
    while trace is not None:
        places.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    tests = [place for place in places if "/_pytest/" not in place[0] and "/pluggy/" not in place[0]]
    mine = [place for place in tests if place[0] != __file__ and "/orchestrator/testing/" not in place[0]]
    return (type(failure).__name__, *(mine[-1] if mine else ("", 0)))


def _again(
    item: pytest.Function, steered: SteeredTestbed, faults: tuple[Fault, ...], *, number: int
) -> BaseException | None:
    """The test with other faults, in a testbed of its own; returns how it failed."""
    import msgspec

    from orchestrator.testing.steered import SteeredTestbed

    scenario = msgspec.structs.replace(steered.scenario, faults=faults)
    directory = steered.run_directory.with_name(f"{steered.run_directory.name}-{number}")
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames if name != "testbed"}
    try:
        with SteeredTestbed(scenario, steered.directory, directory) as again:
            item.obj(testbed=again, **arguments)
    except BaseException as failure:
        if isinstance(failure, KeyboardInterrupt):
            raise
        return failure
    return None
