"""The built-in hardware profiles, and how a scenario chooses and changes them."""

from __future__ import annotations

import pytest

from orchestrator.scenario.document import ScenarioError
from orchestrator.scenario.file import parse
from orchestrator.scenario.hardware import Hardware, load_profiles

PROFILES = load_profiles()


def hardware_of(node: str, *, profiles: str = "") -> Hardware:
    text = f"version: 1\nname: x\n{profiles}nodes:\n  alice: {node}\n"
    return parse(text, source="test.yaml").nodes["alice"].hardware


def test_there_are_the_four_profiles() -> None:
    assert set(PROFILES) == {"ideal", "nv-lab", "trapped-ion", "atomic-ensemble"}


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_profile_is_physical_described_and_sourced(name: str) -> None:
    profile = PROFILES[name]
    assert profile.description
    assert all(len(source) > 20 for source in profile.sources)
    assert profile.hardware.communication.slots > 0
    for memory in (profile.hardware.communication, profile.hardware.storage):
        if memory.t1_s is not None and memory.t2_s is not None:
            assert memory.t2_s <= 2 * memory.t1_s


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_profile_passes_the_checks_of_a_scenario(name: str) -> None:
    assert hardware_of(f"{{hardware: {name}}}") == PROFILES[name].hardware


def test_real_profiles_cite_papers_with_their_years() -> None:
    for name in set(PROFILES) - {"ideal"}:
        assert all(source.rstrip(")")[-4:].isdigit() or "20" in source for source in PROFILES[name].sources)


def test_ideal_is_free_of_noise_and_time() -> None:
    ideal = PROFILES["ideal"].hardware
    slots = type(ideal.communication)(slots=16)
    assert ideal == Hardware(communication=slots, storage=slots)


@pytest.mark.parametrize("node", ["{}", "{hardware: ideal}", "", "{hardware: {profile: ideal}}"])
def test_hardware_left_out_is_ideal(node: str) -> None:
    assert hardware_of(node) == PROFILES["ideal"].hardware


def test_an_override_changes_one_field_and_keeps_the_rest() -> None:
    lab = PROFILES["nv-lab"].hardware
    changed = hardware_of("{hardware: {profile: nv-lab, readout_error_0: 0.1, communication: {t2_s: 0.5}}}")
    assert changed.readout_error_0 == 0.1
    assert changed.communication.t2_s == 0.5
    assert changed.communication.t1_s == lab.communication.t1_s
    assert changed.storage == lab.storage
    assert changed.two_qubit_gate_duration_s == lab.two_qubit_gate_duration_s


def test_null_overrides_a_time_with_infinity() -> None:
    assert hardware_of("{hardware: {profile: nv-lab, storage: {t2_s: null}}}").storage.t2_s is None


def test_hardware_may_be_written_out() -> None:
    hardware = hardware_of("{hardware: {communication: {slots: 2}, storage: {slots: 3}, measure_duration_s: 1e-6}}")
    assert (hardware.communication.slots, hardware.storage.slots, hardware.measure_duration_s) == (2, 3, 1e-6)


def test_hardware_written_out_must_be_complete() -> None:
    with pytest.raises(ScenarioError, match=r"nodes\.alice\.hardware\.storage: .* missing"):
        hardware_of("{hardware: {communication: {slots: 2}}}")


def test_profiles_of_the_file_build_on_one_another_in_any_order() -> None:
    profiles = """\
hardware_profiles:
  better: {profile: good, description: more of it, communication: {t2_s: 3}}
  good: {profile: nv-lab, readout_error_0: 0.01, communication: {t2_s: 2}}
"""
    hardware = hardware_of("{hardware: {profile: better, storage: {slots: 9}}}", profiles=profiles)
    assert (hardware.readout_error_0, hardware.communication.t2_s, hardware.storage.slots) == (0.01, 3, 9)
    assert hardware.communication.t1_s == PROFILES["nv-lab"].hardware.communication.t1_s


def test_a_faulty_profile_is_reported_where_it_is_defined_and_only_there() -> None:
    profiles = "hardware_profiles:\n  bad: {profile: ideal, readout_error_0: 7}\n"
    with pytest.raises(ScenarioError) as caught:
        hardware_of("{hardware: bad}", profiles=profiles)
    assert [problem.path for problem in caught.value.problems] == ["hardware_profiles.bad.readout_error_0"]


def test_t2_is_held_against_the_t1_that_the_profile_gives() -> None:
    with pytest.raises(ScenarioError, match=r"line 4: nodes\.alice\.hardware\.communication\.t2_s: .*twice t1_s"):
        hardware_of("{hardware: {profile: nv-lab, communication: {t1_s: 0.1}}}")
