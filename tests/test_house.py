"""The rules of the house that a machine can hold."""

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from polytask.core import registry

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "polytask"
FILES = sorted(SOURCE.rglob("*.py"))
CONTENT = ("systems", "baselines", "balance", "claims", "tasks", "inputs", "data/real", "data/worlds", "data/formats")


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_files_are_short() -> None:
    assert statistics.median(map(lines, FILES)) <= 150
    assert [path.name for path in FILES if lines(path) > 400] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_functions_are_short(path: Path) -> None:
    functions = [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno + 1 > 60] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_forbidden_words(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"[\"']cuda", text), "a device is never named"
    assert not re.search(r"\bpickle\.|joblib\.load|weights_only=False|yaml\.(unsafe_)?load\((?!.*_Loader)", text)
    if path.parent.name in ("nn", "systems"):
        assert ".item()" not in text, "waits for the device"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_double_star_in_public_signatures(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.name != "set_params":  # scikit-learn's
            assert node.args.kwarg is None, f"{node.name} takes **{node.args.kwarg and node.args.kwarg.arg}"


@pytest.mark.parametrize("id", registry.systems())
def test_systems_import_no_system_and_state_their_card_first(id: str) -> None:
    path = registry.file_of(id)
    tree = ast.parse(path.read_text())
    assert isinstance(tree.body[0], ast.Expr), "a docstring comes first"
    assert isinstance(tree.body[1], ast.Assign), "the card comes second"
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in imported if name.startswith(("polytask.systems", "polytask.baselines"))]
    card = registry.card_of(path)
    assert card.id == path.stem
    assert card.example.keys() == {"inputs", "tasks"}


@pytest.mark.parametrize("id", registry.systems())
def test_systems_are_final(id: str) -> None:
    assert not registry.load(id).__subclasses__()


WITHOUT_CLAIM = {"hard_sharing", "cross_stitch", "ple"}
"""What others are compared with; their own papers' claims are not in the ledger yet."""


def test_every_system_has_its_claim_and_every_claim_its_system() -> None:
    published = {id for id in registry.systems() if not registry.is_baseline(id)}
    assert published - set(registry.claims()) == WITHOUT_CLAIM
    assert set(registry.claims()) <= published | set(registry.balancers())


@pytest.mark.parametrize("folder", CONTENT)
def test_content_is_named_by_its_stem(folder: str) -> None:
    for path in (SOURCE / folder).glob("*.py"):
        assert re.fullmatch(r"_?_?[a-z][a-z0-9_]*", path.stem), path.stem


def test_listing_and_help_import_no_torch() -> None:
    code = "import sys, polytask; from polytask.core import registry; import polytask.cli._app; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_the_project_speaks_of_itself_alone() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    words = re.compile(r"/work/|/tmp/|\bsubagent|\bthis session\b", re.IGNORECASE)
    found = []
    for name in tracked.stdout.split():
        path = ROOT / name
        if path == Path(__file__) or path.suffix in (".parquet", ".png", ".safetensors") or not path.is_file():
            continue
        if words.search(path.read_text(encoding="utf-8", errors="ignore")):
            found.append(name)
    assert found == []
