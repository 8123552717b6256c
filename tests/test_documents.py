"""What the documents and examples say works as they stand, and the site builds without a warning."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import polytask
from polytask import core
from polytask.cli._app import app
from polytask.core import errors, registry
from polytask.engine.config import Config
from polytask.ledger import claim
from polytask.testing import check_system

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks whose first line is the language alone."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def _commands() -> list[str]:
    found = []
    for page in PAGES:
        inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page.read_text(encoding="utf-8"))
        for line in "\n".join(blocks(page, "") + inline).splitlines():
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
    assert len(_commands()) > 40


@pytest.mark.parametrize("id", ["mmoe", "ple", "trees", "hard_sharing", "multimodn", "linear"])
def test_systems_of_the_documents_exist(id: str) -> None:
    assert id in registry.systems()


@pytest.mark.parametrize("page", [page for page in DOCS if blocks(page, "yaml")], ids=lambda page: page.stem)
def test_yaml_of_the_documents_is_a_configuration(page: Path) -> None:
    for block in blocks(page, "yaml"):
        Config.from_dict(yaml.safe_load(block))


@pytest.mark.parametrize("page", [page for page in DOCS if blocks(page, "python")], ids=lambda page: page.stem)
def test_python_of_the_documents_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)


def test_links_of_the_readme_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_quickstart_runs() -> None:
    command = [sys.executable, str(ROOT / "examples/quickstart.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "cultivar_probability_0" in done.stdout


def test_the_example_system_conforms() -> None:
    report = check_system(str(ROOT / "examples/my_system.py"))
    assert report.passed, report.failures()


def test_the_example_claim_measures_every_arm() -> None:
    found = claim.get(str(ROOT / "examples/my_claim.py"))
    measure = runpy.run_path(str(found.path))["measure"]
    metrics = {check.metric for check in found.checks}
    for arm in found.everything:
        assert metrics <= measure(arm, 0, "smoke").metrics.keys()


_ADDED = """
import sys
from pathlib import Path
import polytask
from polytask.data import read
from polytask.testing import check_input, check_task, check_weighting

assert Path(polytask.__file__).is_relative_to(Path.cwd()), polytask.__file__
for report in (check_task("share"), check_input("angle"), check_weighting("worst")):
    assert report.passed, report.failures()
wines = read.table("@wine")
read.write(wines, Path("wines.rec"))
back = read.table("wines.rec")
assert back.num_rows == wines.num_rows and back["hue"].to_pylist()[0] == str(wines["hue"][0])
settings = {"inputs": {"ash": "angle"}, "training": {"epochs": 1, "steps": 1}}
run = polytask.fit("wines.rec", tasks=["cultivar", "hue"], balancer="worst", settings=settings)
assert run.schema.inputs["ash"].kind == "angle" and run.scores["test"]["cultivar"]
"""


def test_the_examples_of_content_are_found_in_their_places(tmp_path: Path) -> None:
    """In a copy of the package, with the examples beside their neighbours and the line of the encoder that the page shows."""
    package = tmp_path / "polytask"
    shutil.copytree(ROOT / "src/polytask", package, ignore=shutil.ignore_patterns("__pycache__", "files", "claims"))
    shutil.copytree(ROOT / "examples/add", package, dirs_exist_ok=True)
    encoder = package / "nn/encoder.py"
    (line, _) = [line for line in blocks(ROOT / "docs/extending.md", "py")[0].splitlines() if line]
    old = line.replace(' | "angle"', "")
    assert old in encoder.read_text()
    encoder.write_text(encoder.read_text().replace(old, line))
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _ADDED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages of the site, by path; a warning fails the build."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True)
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*.htm*")} | {
        "index": (folder / "search/search_index.json").read_text(encoding="utf-8")
    }


def _plain(page: str) -> str:
    """What a reader sees of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page)).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def test_every_command_and_option_is_in_the_reference(site: dict[str, str]) -> None:
    def tell(group: Any, path: str) -> None:
        for name, command in group.commands.items():
            assert f"{path} {name}" in text
            for item in getattr(command, "params", ()):
                for word in item.opts if item.opts[0].startswith("-") else [item.name.upper()]:
                    assert word in text, f"{path} {name} {word}"
            if hasattr(command, "commands"):
                tell(command, f"{path} {name}")

    text = _plain(site["reference/commands.html"])
    tell(typer.main.get_command(app), "polytask")


def test_every_public_name_is_in_the_reference(site: dict[str, str]) -> None:
    python, contracts = site["reference/python.html"], site["reference/contracts.html"]
    for name in {*polytask.__all__} - {"__version__"}:
        assert re.search(rf'id="polytask\.(\w+\.)*{name}"', python), name
    for name in core.__all__:
        assert re.search(rf'id="polytask\.core\.(\w+\.)*{name}"', contracts), name


def test_every_error_class_is_told(site: dict[str, str]) -> None:
    for name, item in vars(errors).items():
        if isinstance(item, type) and issubclass(item, errors.PolytaskError):
            assert f"<code>{name}</code>" in site["errors.html"]


@pytest.mark.parametrize("place", ["tasks", "inputs", "balancers"])
def test_everything_of_the_registry_is_in_the_reference(place: str, site: dict[str, str]) -> None:
    names = registry.balancers() if place == "balancers" else registry.kinds(place)
    for name in names:
        assert f'<h2 id="{name}">' in site[f"reference/{place}.html"]


def test_every_link_of_the_site_leads_somewhere(site: dict[str, str]) -> None:
    ids = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in site.items()}
    wrong = []
    for path, text in site.items():
        for link in re.findall(r'<a [^>]*href="([^"]+)"', text) if path not in ("404.html", "claims.html") else []:
            target, _, anchor = link.partition("#")
            if ":" in target or target == ".":
                continue
            place = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
            if place not in ids or (anchor and not anchor.startswith("__") and anchor not in ids[place]):
                wrong.append(f"{path}: {link}")
    assert not wrong


def test_the_site_needs_no_network_and_can_be_searched(site: dict[str, str]) -> None:
    for path, text in site.items():
        assert not re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?//', text), path
    places = {entry["location"].partition("#")[0] for entry in json.loads(site["index"])["docs"]}
    assert {"tutorial.html", "systems/mmoe.html", "reference/commands.html"} <= places
