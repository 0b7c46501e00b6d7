"""Scenario files: what is read, and that everything wrong with one is said at once, in its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.scenario import MidpointSource, Scenario, SingleClick, Source
from orchestrator.scenario.file import ScenarioError, load, parse
from orchestrator.scenario.schema import schema
from orchestrator.scenario.starter import STARTER, write_starter

TOPOLOGIES = Path(__file__).parents[2] / "topologies"

HEAD = "version: 1\nname: x\n"
NODES = "nodes:\n  alice:\n  bob:\n  carol:\n"
GOOD = HEAD + NODES


def link(text: str) -> str:
    return GOOD + "links:\n  ab: {ends: [alice, bob], length_km: 10, " + text + "}\n"


def heralding(text: str) -> str:
    return link("heralding: {" + text + "}")


def node(text: str) -> str:
    return HEAD + "nodes:\n  alice: {hardware: {profile: ideal, " + text + "}}\n"


def application(text: str) -> str:
    return GOOD + "applications:\n  - {name: a, node: alice, command: [python]" + text + "}\n"


def expectation(text: str) -> str:
    return GOOD + "expectations:\n  - {name: e, " + text + "}\n"


def problems_of(text: str, *, source: str = "test.yaml") -> list[tuple[str, str]]:
    with pytest.raises(ScenarioError) as caught:
        parse(text, source=source)
    assert str(caught.value).startswith(source)
    return [(problem.path, problem.message) for problem in caught.value.problems]


# --- one mistake, one problem, in its place -------------------------------------------------------------------

AB = "links.ab"
ALICE = "nodes.alice.hardware"
MALFORMED = {
    # the text
    "empty": ("", "", "expected a mapping, found null"),
    "a list": ("[1, 2]", "", "expected a mapping, found a list of 2"),
    "a sentence": ("once upon a time", "", "expected a mapping, found 'once upon a time'"),
    "broken yaml": ("nodes: [alice", "", "expected YAML or JSON"),
    "broken json": ('{"version": 1,}', "", "expected JSON"),
    "a tab": ("nodes:\n\talice:\n", "", "cannot start any token"),
    "two documents": (GOOD + "---\n" + GOOD, "", "expected one YAML document"),
    "a tag": (GOOD + "description: !!python/name:os.system x\n", "description", "found the tag"),
    "unknown alias": (GOOD + "stop: *later\n", "", "later"),
    "endless alias": (GOOD + "stop: &a {at_s: *a}\n", "", "found *a"),
    "duplicate key": (HEAD + "nodes:\n  alice:\n  alice:\n", "nodes.alice", "expected each key once"),
    "duplicate section": (GOOD + "name: y\n", "name", "first on line 2"),
    "a list as a key": (GOOD + "? [a]\n: 1\n", "", "expected text as a key"),
    "merge of text": (GOOD + "stop: {<<: text}\n", "stop.'<<'", "expected a mapping"),
    # the top
    "no version": ("name: x\n" + NODES, "version", "expected 1, but the key is missing"),
    "future version": ("version: 2\nname: x\n" + NODES, "version", "expected 1, found 2"),
    "version as text": ('version: "1"\nname: x\n' + NODES, "version", "expected 1, found '1'"),
    "no name": ("version: 1\n" + NODES, "name", "missing"),
    "a name with a path in it": ("version: 1\nname: ../x\n" + NODES, "name", "expected a name"),
    "no nodes": (HEAD, "nodes", "expected a mapping of at least 1, but the key is missing"),
    "empty nodes": (HEAD + "nodes: {}\n", "nodes", "expected a mapping of at least 1, found none"),
    "unknown section": (GOOD + "seeds: 1\n", "seeds", "unknown key; did you mean 'seed'?"),
    "negative seed": (GOOD + "seed: -1\n", "seed", "expected a whole number from 0"),
    "huge seed": (GOOD + "seed: 9223372036854775808\n", "seed", "found 9223372036854775808"),
    "fractional seed": (GOOD + "seed: 1.5\n", "seed", "found 1.5"),
    "number of a mile": (GOOD + "seed: " + "9" * 200 + "\n", "", "at most 100 digits"),
    "empty section": (GOOD + "links:\n", "links", "expected a mapping, found null"),
    "pace of zero": (GOOD + "time: {pace: 0}\n", "time.pace", "expected 'max' or a finite number above 0, found 0"),
    "pace in words": (GOOD + "time: {pace: maxx}\n", "time.pace", "did you mean 'max'?"),
    "strict as a number": (GOOD + "time: {strict: 1}\n", "time.strict", "expected true or false, found 1"),
    "yes is no boolean": (GOOD + "time: {strict: yes}\n", "time.strict", "expected true or false, found 'yes'"),
    "stop at once": (GOOD + "stop: {at_s: 0}\n", "stop.at_s", "above 0"),
    "stop at infinity": (GOOD + "stop: {at_s: .inf}\n", "stop.at_s", "expected a finite number"),
    # nodes and hardware
    "a hash in a name": (HEAD + "nodes:\n  'a#b': {}\n", "nodes.'a#b'", "expected a name"),
    "a slash in a name": (HEAD + "nodes:\n  a/b: {}\n", "nodes.'a/b'", "expected a name"),
    "a space in a name": (HEAD + "nodes:\n  a b: {}\n", "nodes.'a b'", "expected a name"),
    "a line end after a name": (HEAD + 'nodes:\n  "a\\n": {}\n', "nodes.'a\\n'", "expected a name"),
    "an empty name": (HEAD + 'nodes:\n  "": {}\n', "nodes.''", "expected a name"),
    "a name of 64": (HEAD + f"nodes:\n  {'a' * 64}: {{}}\n", f"nodes.{'a' * 64}", "at most 63"),
    "a dot first": (HEAD + "nodes:\n  .a: {}\n", "nodes..a", "expected a name"),
    "unknown key of a node": (HEAD + "nodes: {a: {hardwear: ideal}}\n", "nodes.a.hardwear", "'hardware'"),
    "unknown profile": (HEAD + "nodes: {a: {hardware: nv-lap}}\n", "nodes.a.hardware", "did you mean 'nv-lab'?"),
    "unknown base": (node("profile: x").replace("profile: ideal, ", ""), f"{ALICE}.profile", "'atomic-ensemble'"),
    "base of null": (node("profile: null").replace("profile: ideal, ", ""), f"{ALICE}.profile", "the name of a"),
    "hardware as a list": (HEAD + "nodes: {a: {hardware: []}}\n", "nodes.a.hardware", "expected a mapping"),
    "negative slots": (node("communication: {slots: -1}"), f"{ALICE}.communication.slots", "found -1"),
    "half a slot": (node("storage: {slots: 2.5}"), f"{ALICE}.storage.slots", "expected a whole number"),
    "true slots": (node("storage: {slots: true}"), f"{ALICE}.storage.slots", "found true"),
    "T1 of zero": (node("storage: {t1_s: 0}"), f"{ALICE}.storage.t1_s", "above 0"),
    "infinity in digits": (node("storage: {t1_s: 1e999}"), f"{ALICE}.storage.t1_s", "a finite number"),
    "T2 beyond 2 T1": (node("storage: {t1_s: 1, t2_s: 2.1}"), f"{ALICE}.storage.t2_s", "expected at most twice t1_s"),
    "T1 target": (node("storage: {relaxes_to: grund}"), f"{ALICE}.storage.relaxes_to", "did you mean 'ground'?"),
    "negative duration": (node("move_duration_s: -1e-9"), f"{ALICE}.move_duration_s", "from 0"),
    "a duration in words": (node("move_duration_s: 1 ms"), f"{ALICE}.move_duration_s", "found '1 ms'"),
    "error above one": (node("readout_error_1: 1.01"), f"{ALICE}.readout_error_1", "from 0 to 1, found 1.01"),
    "nan": (node("readout_error_1: .nan"), f"{ALICE}.readout_error_1", "expected a finite number"),
    "own profile like a built-in": (
        GOOD + "hardware_profiles: {ideal: {profile: nv-lab}}\n",
        "hardware_profiles.ideal",
        "found the built-in profile",
    ),
    "profile of itself": (
        GOOD + "hardware_profiles: {p: {profile: p}}\n",
        "hardware_profiles.p.profile",
        "found p -> p",
    ),
    "profiles in a ring": (
        GOOD + "hardware_profiles: {p: {profile: q}, q: {profile: r}, r: {profile: q}}\n",
        "hardware_profiles.q.profile",
        "q -> r -> q",
    ),
    "profiles as a list": (GOOD + "hardware_profiles: []\n", "hardware_profiles", "expected a mapping"),
    "sources as text": (
        GOOD + "hardware_profiles: {p: {profile: ideal, sources: Nature}}\n",
        "hardware_profiles.p.sources",
        "expected a list",
    ),
    # links
    "no length": (GOOD + "links: {ab: {ends: [alice, bob]}}\n", f"{AB}.length_km", "missing"),
    "one end": (GOOD + "links: {ab: {ends: [alice], length_km: 1}}\n", f"{AB}.ends", "expected a list of 2"),
    "three ends": (GOOD + "links: {ab: {ends: [alice, bob, carol], length_km: 1}}\n", f"{AB}.ends", "a list of 3"),
    "end that is no node": (
        GOOD + "links: {ab: {ends: [alice, bobb], length_km: 1}}\n",
        f"{AB}.ends[1]",
        "did you mean 'bob'?",
    ),
    "end that is a number": (GOOD + "links: {ab: {ends: [alice, 7], length_km: 1}}\n", f"{AB}.ends[1]", "quotes"),
    "link to oneself": (GOOD + "links: {ab: {ends: [bob, bob], length_km: 1}}\n", f"{AB}.ends", "'bob' twice"),
    "two links of a pair": (
        GOOD + "links: {ab: {ends: [alice, bob], length_km: 1}, ba: {ends: [bob, alice], length_km: 2}}\n",
        "links.ba.ends",
        "found 'ab' between the same",
    ),
    "no slot for a link": (
        HEAD + "nodes: {alice: {hardware: {profile: ideal, communication: {slots: 0}}}, bob: }\n"
        "links: {ab: {ends: [bob, alice], length_km: 1}}\n",
        f"{AB}.ends[1]",
        "expected a node with a communication slot",
    ),
    "negative length": (link("length_km: -1").replace("length_km: 10, ", ""), f"{AB}.length_km", "found -1"),
    "midpoint beyond the end": (link("midpoint_km: 11"), f"{AB}.midpoint_km", "expected at most length_km (10)"),
    "gain": (link("attenuation_db_per_km: -0.2"), f"{AB}.attenuation_db_per_km", "of at least 0"),
    "faster than light": (link("refractive_index: 0.9"), f"{AB}.refractive_index", "from 1"),
    "no scheme": (heralding("fidelity: 1"), f"{AB}.heralding.scheme", "expected one of single_click, double_click"),
    "unknown scheme": (heralding("scheme: one_click"), f"{AB}.heralding.scheme", "did you mean"),
    "scheme as a number": (heralding("scheme: 2"), f"{AB}.heralding.scheme", "found 2"),
    "heralding in a word": (link("heralding: source"), f"{AB}.heralding", "expected a mapping with 'scheme'"),
    "key of another scheme": (
        heralding("scheme: double_click, bright_state_population: 0.1"),
        f"{AB}.heralding.bright_state_population",
        "unknown key",
    ),
    "population of one": (
        heralding("scheme: single_click, bright_state_population: 1"),
        f"{AB}.heralding.bright_state_population",
        "expected a finite number above 0 and below 1 or a list of 2, found 1",
    ),
    "population of one end": (
        heralding("scheme: single_click, bright_state_population: [0.1, 0]"),
        f"{AB}.heralding.bright_state_population[1]",
        "above 0 and below 1, found 0",
    ),
    "efficiencies of three ends": (
        heralding("scheme: double_click, coupling_efficiency: [1, 1, 1]"),
        f"{AB}.heralding.coupling_efficiency",
        "expected a list of 2, found a list of 3",
    ),
    "visibility": (heralding("scheme: single_click, visibility: 2"), f"{AB}.heralding.visibility", "from 0 to 1"),
    "detector": (heralding("scheme: single_click, detector: pnr"), f"{AB}.heralding.detector", "'threshold'"),
    "no modes": (heralding("scheme: single_click, modes: 0"), f"{AB}.heralding.modes", "from 1"),
    "never succeeds": (
        heralding("scheme: source, success_probability: 0"),
        f"{AB}.heralding.success_probability",
        "expected a finite number above 0 and up to 1, found 0",
    ),
    "worse than noise": (heralding("scheme: source, fidelity: 0.2"), f"{AB}.heralding.fidelity", "from 0.25 to 1"),
    "attempts without time": (
        GOOD + "links: {ab: {ends: [alice, bob], length_km: 0}}\n",
        f"{AB}.heralding",
        "expected attempt_cycle_s above 0",
    ),
    "clicks without time": (
        heralding("scheme: single_click").replace("length_km: 10", "length_km: 0"),
        f"{AB}.heralding",
        "expected attempt_overhead_s above 0",
    ),
    "Paulis beyond one": (
        link("transmission: {pauli_probabilities: [0.5, 0.5, 0.1]}"),
        f"{AB}.transmission.pauli_probabilities",
        "expected a sum of at most 1",
    ),
    "two Paulis": (
        link("transmission: {pauli_probabilities: [0.5, 0.5]}"),
        f"{AB}.transmission.pauli_probabilities",
        "expected a list of 3",
    ),
    # classical links
    "neither length nor latency": (
        GOOD + "classical_links: {c: {ends: [alice, bob]}}\n",
        "classical_links.c",
        "exactly one of length_km and latency_s, found neither",
    ),
    "both length and latency": (
        GOOD + "classical_links: {c: {ends: [alice, bob], length_km: 1, latency_s: 1}}\n",
        "classical_links.c",
        "found both",
    ),
    "classical end that is no node": (
        GOOD + "classical_links: {c: {ends: [dave, bob], length_km: 1}}\n",
        "classical_links.c.ends[0]",
        "there is 'alice', 'bob', 'carol'",
    ),
    "classical link to oneself": (
        GOOD + "classical_links: {c: {ends: [bob, bob], length_km: 1}}\n",
        "classical_links.c.ends",
        "'bob' twice",
    ),
    # applications
    "application without a node": (
        GOOD + "applications: [{name: a, node: alicee, command: [x]}]\n",
        "applications[0].node",
        "did you mean 'alice'?",
    ),
    "same name twice": (
        application("}\n  - {name: a, node: bob, command: [x]"),
        "applications[1].name",
        "found 'a' of applications[0] again",
    ),
    "no command": (
        GOOD + "applications: [{name: a, node: alice, command: []}]\n",
        "applications[0].command",
        "expected exactly one of command (a list of at least 1) and netqasm, found neither",
    ),
    "command as text": (
        GOOD + "applications: [{name: a, node: alice, command: python x.py}]\n",
        "applications[0].command",
        "expected a list",
    ),
    "empty program": (
        GOOD + "applications: [{name: a, node: alice, command: ['']}]\n",
        "applications[0].command",
        "expected the name of a program",
    ),
    "nul in a command": (
        GOOD + 'applications: [{name: a, node: alice, command: [x, "a\\0b"]}]\n',
        "applications[0].command",
        "NUL",
    ),
    "variable of a number": (application(", environment: {X: 1}"), "applications[0].environment.X", "quotes"),
    "variable with a dash": (application(", environment: {a-b: x}"), "applications[0].environment", "'a-b'"),
    # expectations
    "infinite bound": (expectation("value: a.b, at_least: .inf"), "expectations[0].at_least", "a finite number"),
    "no bound": (expectation("value: a.b"), "expectations[0]", "at least one of at_least, at_most, agrees_with"),
    "no path": (expectation("value: pairs, at_least: 1"), "expectations[0].value", "expected a path in the report"),
    "bounds crossed": (expectation("value: a.b, at_least: 2, at_most: 1"), "expectations[0].at_most", "found 1"),
    "bound as text": (expectation("value: a.b, at_least: many"), "expectations[0].at_least", "found 'many'"),
    "no sigmas": (expectation("value: a.b, agrees_with: c.d, within_sigmas: 0"), "expectations[0].within_sigmas", "0"),
    "expectation twice": (
        expectation("value: a.b, at_least: 1}\n  - {name: e, value: a.c, at_least: 1"),
        "expectations[1].name",
        "found 'e' of expectations[0] again",
    ),
}


@pytest.mark.parametrize(("text", "path", "fragment"), MALFORMED.values(), ids=MALFORMED)
def test_a_mistake_is_reported_once_in_its_place(text: str, path: str, fragment: str) -> None:
    ((found_path, message),) = problems_of(text, source="t.json" if text.endswith(",}") else "t.yaml")
    assert found_path == path
    assert fragment in message


# --- many mistakes, all reported ------------------------------------------------------------------------------


def test_every_problem_is_reported_with_its_line() -> None:
    text = """\
version: 3
name: x
nodes:
  alice: {hardware: ideel}
  bob:
    hardware:
      profile: nv-lab
      readout_error_0: 2
      comunication: {slots: 3}
links:
  alice-bob:
    ends: [alice, bobby]
    length_km: 25
    midpoint_km: 30
    heralding:
      scheme: single_click
      bright_state_population: 1.5
      visibilty: 0.9
applications:
  - {name: a, node: carol, command: []}
expectations:
  - {name: e, value: links.alice-bob.pairs}
"""
    with pytest.raises(ScenarioError) as caught:
        parse(text, source="metro.yaml")
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (1, "version"),
        (4, "nodes.alice.hardware"),
        (8, "nodes.bob.hardware.readout_error_0"),
        (9, "nodes.bob.hardware.comunication"),
        (12, "links.alice-bob.ends[1]"),
        (14, "links.alice-bob.midpoint_km"),
        (17, "links.alice-bob.heralding.bright_state_population"),
        (18, "links.alice-bob.heralding.visibilty"),
        (20, "applications[0].command"),
        (20, "applications[0].node"),
        (22, "expectations[0]"),
    ]
    lines = str(caught.value).splitlines()
    assert lines[0] == "metro.yaml: 11 problems"
    assert lines[8].strip() == ("line 18: links.alice-bob.heralding.visibilty: unknown key; did you mean 'visibility'?")


def test_every_duplicate_key_is_reported_beside_other_problems() -> None:
    paths = [path for path, _ in problems_of(HEAD + "name: y\nnodes:\n  a:\n  a:\nseed: -1\nseed: -2\n")]
    assert paths == ["name", "nodes.a", "seed", "seed"]


def test_json_has_the_same_problems_without_lines() -> None:
    text = '{"version": 1, "name": "x", "nodes": {"a": {}, "a": {"hardware": "ideel"}}, "seed": -1}'
    with pytest.raises(ScenarioError) as caught:
        parse(text, source="x.json")
    assert [(problem.path, problem.line) for problem in caught.value.problems] == [
        ("nodes.a", None),
        ("nodes.a.hardware", None),
        ("seed", None),
    ]


# --- what is read ---------------------------------------------------------------------------------------------


def test_yaml_and_json_say_the_same() -> None:
    for path in sorted(TOPOLOGIES.glob("*.yaml")):
        as_json = json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")))
        assert parse(as_json, source="x.json") == load(path)


@pytest.mark.parametrize("path", sorted(TOPOLOGIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_topology_loads_and_is_named_like_its_file(path: Path) -> None:
    assert load(path).name == path.stem


def test_what_is_written_out_in_full_reads_back_the_same() -> None:
    for path in sorted(TOPOLOGIES.glob("*.yaml")):
        scenario = load(path)
        assert parse(msgspec.json.encode(scenario).decode(), source="x.json") == scenario


def test_a_pair_of_efficiencies_keeps_its_order_and_a_single_one_its_value() -> None:
    # a bounded number | tuple[X, X] corrupts memory in msgspec 0.22; see scenario.Pair
    scenario = parse(heralding("scheme: double_click, coupling_efficiency: [0.25, 0.5]"), source="x")
    assert scenario.links["ab"].heralding.coupling_efficiency == (0.25, 0.5)  # type: ignore[union-attr]
    scenario = parse(heralding("scheme: double_click, coupling_efficiency: 0.75"), source="x")
    assert scenario.links["ab"].heralding.coupling_efficiency == 0.75  # type: ignore[union-attr]


def test_numbers_are_those_of_yaml_1_2() -> None:
    text = heralding("scheme: single_click, dark_count_probability: 1e-7, attempt_overhead_s: .5")
    scheme = parse(text + "seed: 0x10\n", source="x").links["ab"].heralding
    assert isinstance(scheme, SingleClick)
    assert (scheme.dark_count_probability, scheme.attempt_overhead_s) == (1e-7, 0.5)


def test_a_key_is_text_whatever_it_looks_like() -> None:
    scenario = parse(
        HEAD + "nodes: {1: , no: , null: }\nlinks: {12: {ends: ['1', 'null'], length_km: 1}}\n", source="x"
    )
    assert list(scenario.nodes) == ["1", "no", "null"]


def test_anchors_and_merge_keys_spare_repetition() -> None:
    text = GOOD + (
        "links:\n  ab: &fibre {ends: [alice, bob], length_km: 10, attenuation_db_per_km: 0.25}\n"
        "  bc: {<<: *fibre, ends: [bob, carol]}\n"
    )
    links = parse(text, source="x").links
    assert links["bc"].ends == ("bob", "carol")
    assert links["bc"].attenuation_db_per_km == 0.25


def test_the_default_scheme_is_a_plain_source() -> None:
    scenario = parse(GOOD + "links: {ab: {ends: [alice, bob], length_km: 10}}\n", source="x")
    assert scenario.links["ab"].heralding == Source()
    assert scenario.seed == 0


def test_a_midpoint_on_an_end_is_allowed() -> None:
    scenario = parse(link("midpoint_km: 0, heralding: {scheme: midpoint_source}"), source="x")
    assert scenario.links["ab"].midpoint_km == 0
    assert isinstance(scenario.links["ab"].heralding, MidpointSource)


# --- files that could do harm ---------------------------------------------------------------------------------


def test_an_alias_bomb_is_refused_without_being_built() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{index}: &a{index} [{', '.join([f'*a{index - 1}'] * 10)}]\n" for index in range(1, 12)
    )
    ((_, message),) = problems_of(bomb)
    assert "expected at most 1000000 values" in message


def test_a_merge_bomb_is_refused() -> None:
    base = "base: &b {" + ", ".join(f"k{index}: 1" for index in range(2000)) + "}\n"
    merges = "".join(f"m{index}: {{<<: *b}}\n" for index in range(600))
    ((_, message),) = problems_of(base + merges)
    assert "expected at most 1000000 merged values" in message


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "- " * 100_000, "[" * 900 + "]" * 900])
def test_deep_nesting_is_refused(text: str) -> None:
    assert any("nesting" in message for _, message in problems_of(text))


def test_aliases_do_not_nest_deeper_than_text_may() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{index}: &a{index} [*a{index - 1}]\n" for index in range(1, 100))
    assert any("nesting" in message for _, message in problems_of(text))


def test_too_large_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text("# é\n" * (2 << 20), encoding="utf-8")
    with pytest.raises(ScenarioError, match="expected at most 8388608 bytes"):
        load(file)


def test_a_file_that_cannot_be_read_is_a_scenario_error(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ScenarioError, match="Is a directory"):
        load(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: café".encode("latin-1"))
    with pytest.raises(ScenarioError, match="expected UTF-8 text, found the byte 0xe9 at 9"):
        load(latin)


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    file = tmp_path / "windows.yaml"
    file.write_text(GOOD.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    assert list(load(file).nodes) == ["alice", "bob", "carol"]


@pytest.mark.parametrize("text", ['{"name": "\\ud800"}', '{"\\udfff": 1}', "name: \ud800\n", 'name: "\\ud800"\n'])
def test_lone_surrogates_are_refused_and_the_error_can_be_printed(text: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(text, source="x")
    assert str(caught.value).encode()


def read_or_refuse(text: str, *, source: str) -> None:
    """Reads a text or fails with problems that can be printed; anything else raised fails the test."""
    try:
        scenario = parse(text, source=source)
    except ScenarioError as error:
        found = error
    else:
        assert isinstance(scenario, Scenario)
        return
    assert found.problems
    assert str(found).encode()


keys = st.sampled_from(
    [
        "version",
        "name",
        "nodes",
        "links",
        "ends",
        "heralding",
        "scheme",
        "hardware",
        "profile",
        "hardware_profiles",
        "communication",
        "slots",
        "t2_s",
        "applications",
        "command",
        "node",
        "environment",
        "expectations",
        "value",
        "at_least",
        "length_km",
        "midpoint_km",
        "classical_links",
        "stop",
        "transmission",
        "pauli_probabilities",
        "bright_state_population",
        "alice",
        "bob",
        "ideal",
        "seed",
        "time",
        "pace",
    ]
) | st.text(max_size=5)
values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | keys
    | st.sampled_from(["single_click", "source", "max", 10**400, -0.0])
)
trees = st.recursive(
    values, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6), max_leaves=25
)


@settings(max_examples=300, deadline=None)
@given(tree=trees)
def test_no_json_tree_raises_anything_else(tree: Any) -> None:
    read_or_refuse(json.dumps(tree), source="x.json")


@settings(max_examples=200, deadline=None)
@given(tree=trees, path=st.sampled_from(["links", "nodes", "hardware_profiles", "applications", "expectations"]))
def test_no_tree_in_a_sound_file_raises_anything_else(tree: Any, path: str) -> None:
    sound = yaml.safe_load(GOOD)
    read_or_refuse(json.dumps({**sound, path: tree}), source="x.json")


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="abno:{}[]-,&*!|>'\"#%@?<~ \n\t\\019.é\x00", max_size=60) | st.text(max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    for prefix in ("", GOOD):
        read_or_refuse(prefix + text, source="x.yaml")


# --- the schema -----------------------------------------------------------------------------------------------


def follow(definition: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    reference = definition.get("$ref")
    return whole["$defs"][reference.removeprefix("#/$defs/")] if reference else definition


def test_the_schema_names_no_host_and_every_reference_in_it_resolves() -> None:
    whole = schema()
    assert whole["$id"] == "urn:qloom:scenario:1"
    assert whole["$schema"].startswith("https://json-schema.org/")
    text = json.dumps(whole)
    assert {part.split('"')[0] for part in text.split('"#/$defs/')[1:]} <= set(whole["$defs"])


def test_the_schema_knows_every_key_of_the_shipped_topologies() -> None:
    whole = schema()

    def known(value: Any, definition: dict[str, Any], path: str) -> None:
        options = definition.get("anyOf", [definition])
        options = [follow(option, whole) for option in options]
        if isinstance(value, dict):
            fitting = [
                option
                for option in options
                if set(value) <= set(option.get("properties", value)) and set(option.get("required", ())) <= set(value)
            ]
            assert fitting, path
            for key, member in value.items():
                inner = fitting[0].get("properties", {}).get(key) or fitting[0].get("additionalProperties") or {}
                known(member, inner, f"{path}.{key}")
        elif isinstance(value, list):
            (array,) = [option for option in options if option.get("type") == "array"]
            for item in value:
                known(item, array.get("items") or {}, f"{path}[]")

    for path in TOPOLOGIES.glob("*.yaml"):
        known(yaml.safe_load(path.read_text(encoding="utf-8")), whole, path.name)
    known(yaml.safe_load(STARTER["network.yaml"]), whole, "starter")


def test_the_schema_describes_fields_and_closes_objects() -> None:
    whole = schema()
    link_definition = whole["$defs"]["Link"]
    assert link_definition["properties"]["length_km"]["description"] == "Fibre length from end to end."
    for name, definition in whole["$defs"].items():
        assert definition["additionalProperties"] is False, name
    assert "default" not in whole["$defs"]["HardwareChange"]["properties"]["readout_error_0"]


# --- the starter ----------------------------------------------------------------------------------------------


def test_the_starter_loads_and_its_programs_compile(tmp_path: Path) -> None:
    written = write_starter(tmp_path / "new" / "network")
    assert [path.name for path in written] == ["network.yaml", "alice.py", "bob.py"]
    scenario = load(written[0])
    for application in scenario.applications:
        program = written[0].parent / application.command[1]
        compile(program.read_text(encoding="utf-8"), str(program), "exec")


def test_the_starter_overwrites_nothing_and_names_all_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "alice.py").write_text("mine")
    (tmp_path / "bob.py").write_text("mine")
    with pytest.raises(FileExistsError, match=r"alice\.py.*bob\.py"):
        write_starter(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alice.py", "bob.py"]
    assert (tmp_path / "alice.py").read_text() == "mine"
