"""Pages of the documentation follow from cards, options and the ledger, and what they tell to run is understood."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from polytask.cli._app import app
from polytask.core import registry
from polytask.ledger import content
from polytask.ledger.book import Book, Record
from polytask.ledger.claim import get
from polytask.report import pages


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Pages over an empty ledger, by id."""
    return pages.texts(tmp_path_factory.mktemp("pages") / "no ledger")


def test_there_is_a_page_for_everything(texts: dict[str, str]) -> None:
    ids = {*registry.systems(), *registry.claims()}
    assert set(texts) == {"index", *ids}
    assert set(re.findall(r"\]\((\w+)\.md\)", texts["index"])) == ids


@pytest.mark.parametrize("id", registry.systems())
def test_a_page_tells_every_option_and_expected_failure(id: str, texts: dict[str, str]) -> None:
    text = texts[id]
    assert text.startswith(f"# {registry.systems()[id].title}\n")
    for name, option in pages.option_list(id).items():
        (line,) = [
            line for line in text.splitlines() if line.startswith(f"| `{name}` | {option.help.replace('|', chr(92) + '|')} |")
        ]
        assert (option.paper or option.ours or "").replace("|", "\\|") in line
    card = registry.systems()[id]
    assert ("Trained with" in text) == bool(card.defaults)
    for key, value in card.defaults.get("training", {}).items():
        assert f"training.{key}={value}" in text
    for check, reason in registry.load(id).xfail.items():
        assert f"- `{check}`: {reason}" in text


@pytest.mark.parametrize("id", sorted({*registry.systems(), *registry.claims()}))
def test_commands_are_understood(id: str, texts: dict[str, str]) -> None:
    lines = "\n".join(re.findall(r"```\n(.*?)```", texts[id], re.DOTALL)).splitlines()
    assert any(line.startswith("polytask") for line in lines)
    for line in filter(None, lines):
        program, *arguments = shlex.split(line)
        if program == "pip":
            continue
        assert program == "polytask"
        group: Any = typer.main.get_command(app)
        if arguments[0] == "claims":
            group, arguments = group.commands["claims"], arguments[1:]
        assert group.commands[arguments[0]].make_context(arguments[0], arguments[1:]).params


def test_tables_are_rectangular(texts: dict[str, str]) -> None:
    for text in texts.values():
        for table in re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


@pytest.mark.parametrize("fresh", [True, False])
def test_numbers_of_the_code_as_it_is_are_told(fresh: bool, tmp_path: Path) -> None:
    claim = get("mmoe")
    metrics = {check.metric for check in claim.checks}
    for seed in range(claim.seeds["quick"]):
        for place, arm in enumerate(claim.everything):
            key = content.key(claim, arm, seed, "quick") if fresh else "of old"
            Book(tmp_path).append(
                Record("mmoe", arm, seed, "quick", key, dict.fromkeys(metrics, place + 0.125), 1234, 56, 1, 1.0)
            )
    text = pages.page(claim.card, pages.verdict("mmoe", tmp_path))
    for place, arm in enumerate(claim.everything):
        row = next((line for line in text.splitlines() if line.startswith(f"| {arm} |")), "")
        assert (f"{place}.125" in row and "1,234" in row) == fresh
    assert ("**Not run**" in text) != fresh
