"""What the documents and examples say works as they stand."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from polytask.cli._app import app
from polytask.core import registry
from polytask.engine.config import Config
from polytask.testing import check_system

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def _commands() -> list[str]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
        for line in "\n".join(blocks).splitlines():
            parts = line.split("#")[0].removeprefix("$ ").split(" ; ")
            found += [part.strip() for part in parts if re.match(r"polytask [a-z]", part.strip())]
    return sorted(set(found))


@pytest.mark.parametrize("line", _commands())
def test_commands_of_the_documents_are_understood(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    group: Any = typer.main.get_command(app)
    command = group.commands[name]
    while arguments and hasattr(command, "commands"):  # a command of commands
        name, *arguments = arguments
        command = command.commands[name]
    if arguments:  # a bare name in running text is a mention
        assert command.make_context(name, arguments).params


def test_the_documents_show_commands() -> None:
    assert len(_commands()) > 10


@pytest.mark.parametrize("id", ["mmoe", "ple", "trees", "hard_sharing", "multimodn", "linear"])
def test_systems_of_the_documents_exist(id: str) -> None:
    assert id in registry.systems()


def test_the_guides_yaml_is_a_configuration() -> None:
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/guide.md").read_text(), re.DOTALL):
        Config.from_dict(yaml.safe_load(block))


def test_the_quickstart_runs() -> None:
    command = [sys.executable, str(ROOT / "examples/quickstart.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "cultivar_probability_0" in done.stdout


def test_the_example_system_conforms() -> None:
    report = check_system(str(ROOT / "examples/my_system.py"))
    assert report.passed, report.failures()


def test_links_of_the_documents_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
