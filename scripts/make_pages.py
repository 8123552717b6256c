"""The pages of the site that follow from the code and the ledger; `mkdocs build` calls the functions `on_...` as it goes.

Nothing is written beside the sources: the pages exist in the site alone.
"""

import re
from pathlib import Path
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from polytask.cli._app import app
from polytask.core import registry
from polytask.report import claims, pages, reference

ROOT = Path(__file__).parents[1]
LEDGER = ROOT / "ledger"


def generated(ledger: Path = LEDGER) -> dict[str, str]:
    """Every made page, by its path in the site's sources."""
    made = {f"systems/{id}.md": text for id, text in pages.texts(ledger).items()}
    made |= {
        "reference/commands.md": reference.commands(typer.main.get_command(app)),
        "reference/configuration.md": reference.settings(),
        "reference/balancers.md": reference.balancers(),
        "reference/tasks.md": reference.kinds("tasks"),
        "reference/inputs.md": reference.kinds("inputs"),
        "reference/files.md": reference.files(),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    }
    return made | {"claims.html": claims.page([pages.verdict(id, ledger) for id in registry.claims()])}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every system's page into the navigation."""
    for section in config.nav or []:
        if "Systems" in section:
            section["Systems"] += [{id: f"systems/{id}.md"} for id in pages.listed()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages."""
    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Fill in tables, and turn links that leave the site's sources into links inside of it, or into plain text."""
    markdown = markdown.replace("<!-- table of error classes -->", reference.error_classes())
    return re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", lambda link: _inside(link, page.file, files), markdown)


def _inside(link: "re.Match[str]", file: File, files: Files) -> str:
    text, target = link.groups()
    if file.src_uri in ("changelog.md", "contributing.md"):  # they lie above the site's sources
        target = target.removeprefix("docs/")
    elif "/" not in file.src_uri and target.startswith("../"):
        target = target.removeprefix("../")
        target = target.lower() if files.get_file_from_path(target.lower()) else target  # CONTRIBUTING.md
    elsewhere = target.startswith(("src/", "examples/", "benchmarks/", "tests/", "README"))
    return text if elsewhere else f"[{text}]({target})"
