"""Documentation is code: every console command in it runs, every program in it is what the commands use."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.checks.evaluation import INVARIANTS
from orchestrator.scenario import faults

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
APPLICATIONS = sorted((ROOT / "docs" / "applications").glob("*.md"))
"""Their commands run the scenarios that tests/process runs."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!http)([^)#]+)[^)]*\)")
NOT_RUN_HERE = {"scripts/test": "this is it"}
COMMAND_DEADLINE_S = 400


def _blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A private place for sockets, short because a Unix socket's path is."""
    with tempfile.TemporaryDirectory(prefix="qloom-") as directory:
        yield Path(directory)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "console")], ids=lambda page: page.stem)
def test_every_command_runs(page: Path, tmp_path: Path, sockets: Path) -> None:
    for text in (*_blocks(page, "python"), *_blocks(page, "yaml")):
        name = re.match(r"# (\w+\.(py|yaml))\n", text)
        if name:
            (tmp_path / name[1]).write_text(text)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_RUNTIME_DIR": str(sockets),
    }
    (tmp_path / "topologies").symlink_to(ROOT / "topologies")
    for block in _blocks(page, "console"):
        for line in block.splitlines():
            command = line.removeprefix("$ ")
            assert command != line, f"{page.name}: a console line without a prompt: {line}"
            if command in NOT_RUN_HERE:
                assert (ROOT / command).exists()
                continue
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=ROOT if command.startswith("scripts/") else tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=COMMAND_DEADLINE_S,
                check=False,
            )
            assert done.returncode == 0, f"{page.name}: `{command}` gave {done.returncode}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", [*PAGES, *APPLICATIONS], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}, which does not exist"


def test_every_application_has_a_page_with_its_command_and_is_in_the_index() -> None:
    index = (ROOT / "docs" / "applications" / "README.md").read_text()
    for scenario in (ROOT / "topologies" / "applications").glob("*.yaml"):
        page = ROOT / "docs" / "applications" / f"{scenario.stem}.md"
        assert _blocks(page, "console") == [f"$ qloom run topologies/applications/{scenario.name}\n"]
        assert f"]({page.name})" in index


def test_readme_names_every_command() -> None:
    from orchestrator.cli import main

    text = (ROOT / "README.md").read_text()
    missing = [name for name in main.commands if not re.search(rf"\b{name}\b", text)]
    assert not missing


def test_scenario_page_is_written_from_the_types() -> None:
    page = runpy.run_path(str(ROOT / "scripts" / "scenario_page.py"))["page"]()
    assert (ROOT / "docs" / "scenario.md").read_text() == page, "run scripts/scenario_page.py"


def test_testing_page_has_the_table_that_the_code_has() -> None:
    text = (ROOT / "docs" / "testing.md").read_text()
    page = runpy.run_path(str(ROOT / "scripts" / "testing_page.py"))["page"]
    assert page(text) == text, "run scripts/testing_page.py"
    assert page(text.replace("| `node_kill` |", "| `node_bill` |")) == text


def test_faults_page_has_a_row_for_every_kind_and_for_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "faults.md").read_text(), flags=re.MULTILINE)
    types = [each for each in vars(faults).values() if isinstance(each, type) and issubclass(each, faults.Timed)]
    assert set(faults.KINDS) <= set(rows) <= {each.__struct_config__.tag for each in types}
    assert len(rows) == len(set(rows))


def test_testing_page_names_every_check() -> None:
    text = (ROOT / "docs" / "testing.md").read_text()
    for name in INVARIANTS:
        assert f"\n| `{name}` |" in text


def test_network_page_has_the_tables_that_the_code_has() -> None:
    text = (ROOT / "docs" / "network.md").read_text()
    page = runpy.run_path(str(ROOT / "scripts" / "network_page.py"))["page"]
    assert page(text) == text, "run scripts/network_page.py"
    assert page(text.replace("`generating`", "`producing`")) == text


def test_network_page_without_a_place_for_a_table_is_refused() -> None:
    text = (ROOT / "docs" / "network.md").read_text()
    page = runpy.run_path(str(ROOT / "scripts" / "network_page.py"))["page"]
    with pytest.raises(ValueError, match="slots"):
        page(text.replace("<!-- slots: end -->", ""))
