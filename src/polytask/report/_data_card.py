"""What the model was trained on and with: the data card, the costs, settings that differ, and the command that makes it again."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from polytask.core import PolytaskError, registry
from polytask.core.option import Option, options_of
from polytask.data.sample import MixOptions
from polytask.data.split import SplitOptions
from polytask.engine.training import Training

from . import _parts, _svg
from ._parts import Cell, Line
from ._source import Compared, Told

_QUIET = frozenset(("threads", "save_every", "devices", "accelerator", "loggers"))
"""How the machine was used: no number of the model follows from it."""


def card(run: Told) -> str:
    """Rows, splits, inputs and tasks with what is missing, possible leaks, notes."""
    found = run.card
    if found is None:
        return _parts.nothing(run.absent("card.json"))
    split = found.get("split", {})
    rows = sum(split.values()) or 1
    parts = "".join(
        f'<span style="flex-grow:{count}" data-tip="{escape(f"{part}: {count:,} rows")}">{escape(part)} {count:,}</span>'
        for part, count in split.items()
    )
    words = ", ".join(f"{count:,} {part} ({count / rows:.0%})" for part, count in split.items())
    files = ", ".join(f"<code>{escape(file_name(source['file']))}</code>" for source in run.values["data"]) or "not named"
    how = run.values.get("split", {})
    by = f", by <code>{escape(str(how['column']))}</code>" if how.get("column") else ""
    facts = [
        ("Data", files),
        ("Rows", f"{found.get('rows', 0):,}"),
        ("Split", f"{escape(str(how.get('how', '')))}{by}, seed {escape(str(how.get('seed', '')))}: {escape(words)}"),
        ("Inputs", str(len(found.get("inputs", {})))),
        ("Tasks", str(len(found.get("tasks", {})))),
    ]
    lead = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return (
        f'<dl class="facts">{lead}</dl><div class="splits" role="img" aria-label="{escape(words)}">{parts}</div>'
        f"{_warnings(found)}{_tasks(found, run)}{_inputs(found, run)}"
    )


def file_name(file: str) -> str:
    """A file without its folders, which mean nothing elsewhere."""
    return file if file.startswith(("@", "(")) else Path(file).name


def _warnings(found: Mapping[str, Any]) -> str:
    leaks, notes = found.get("leaks", []), found.get("notes", [])
    boxes = [("warn", f"Possible leaks: {len(leaks)}", leaks)] if leaks else []
    boxes += [("note", "What was inferred and left out", notes)] if notes else []
    shown = "".join(
        f'<div class="box {kind}"><h3>{title}</h3><ul>{"".join(f"<li>{escape(str(item))}</li>" for item in items)}</ul></div>'
        for kind, title, items in boxes
    )
    return shown + (
        "" if leaks else '<p class="axis">No input predicts a task nearly perfectly by itself, so no leak was found.</p>'
    )


def _tasks(found: Mapping[str, Any], run: Told) -> str:
    lines = []
    for name, about in found.get("tasks", {}).items():
        task = run.schema.tasks.get(name)
        columns = ", ".join(task.columns) if task else ""
        cells = [
            Cell(escape(name), name, head=True),
            Cell(escape(about["kind"]), about["kind"]),
            Cell(escape(columns), columns),
        ]
        cells.append(Cell(escape(_parts.said(task.primary)) if task else "", task.primary if task else ""))
        lines.append(
            Line(
                [*cells, Cell(_parts.meter(about["labelled"], 1.0, _parts.share(about["labelled"])), about["labelled"], "bars")]
            )
        )
    return f"<h3>Tasks</h3>{_parts.table('What is predicted, and the share of rows that have its label.', ['task', 'kind', 'columns', 'primary metric', 'labelled'], lines)}"


def _inputs(found: Mapping[str, Any], run: Told) -> str:
    modality = {name: group for group, names in run.schema.modalities().items() for name in names}
    lines = []
    for name, about in found.get("inputs", {}).items():
        group = modality.get(name, "")
        cells = [Cell(escape(name), name, head=True), Cell(escape(about["kind"]), about["kind"]), Cell(escape(group), group)]
        lines.append(
            Line(
                [
                    *cells,
                    Cell(_parts.meter(about["missing"], 1.0, _parts.share(about["missing"])), about["missing"], "bars missing"),
                ]
            )
        )
    return (
        f"<details><summary>All {len(lines)} inputs: kind, modality, share missing</summary>"
        f"{_parts.table('What is known of a row, and the share of rows that lack it.', ['input', 'kind', 'modality', 'missing'], lines)}</details>"
    )


def costs(run: Told) -> str:
    """What the run cost to train, and costs to store and to use."""
    cost = run.cost
    found = [
        ("Training", f"{_svg.number(cost['seconds'])} s", f"{cost['steps']:,.0f} steps" if cost["steps"] else "in closed form"),
        ("A step", f"{_svg.number(1000 * cost['seconds_a_step'])} ms" if cost["seconds_a_step"] else "–", "of training"),
        ("Parameters", _parts.count(cost["parameters"]) if cost["parameters"] else "–", "numbers that training sets"),
        ("Size", f"{_parts.count(cost['bytes'])}B", "on disk"),
    ]
    if "rows_a_second" in cost:
        found.append(("Answers", _parts.count(cost["rows_a_second"]), "rows a second, on the machine that trained it"))
    return _parts.tiles(found)


def settings(runs: Mapping[str, Told]) -> str:
    """The settings that differ from the defaults, by run; what all share comes first."""
    several = len(runs) > 1
    found = {name: different(run.values) for name, run in runs.items()}
    if several:  # their names tell the system and the balancer
        found = {name: [item for item in each if item[0] not in ("system", "balancer")] for name, each in found.items()}
    common = [item for item in next(iter(found.values()), []) if all(item in each for each in found.values())]
    rows = [("all", item) for item in common] + [(name, i) for name, each in found.items() for i in each if i not in common]
    if not rows:
        return "<p>Every setting is the default.</p>"
    lines = []
    for name, texts in rows:
        cells = [
            Cell(f"<code>{escape(text)}</code>" if text and place < 3 else escape(text), text)
            for place, text in enumerate(texts)
        ]
        lines.append(Line([Cell(escape(name), name, head=True), *cells] if several else cells))
    heads = [*(["system"] if several else []), "setting", "value", "default", "what it is"]
    return _parts.table("Settings that differ from the defaults; seeds are left out.", heads, lines, "texts")


def different(values: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(setting, value, default, meaning) of each setting that is not the default. Seeds and how the machine is used are left out."""
    system, balancer = values["system"]["name"], values["balancer"]["name"]
    found = [("system", Path(system).stem, "hard_sharing", "how the tasks share a network")] if system != "hard_sharing" else []
    found += [("balancer", str(balancer), "equal", "how the losses are weighed")] if balancer != "equal" else []
    places = [
        ("", "system", _options(system, registry.load)),
        ("balancer.", "balancer", _options(balancer, registry.weighting)),
    ]
    places += [
        (f"{name}.", name, options_of(kind))
        for name, kind in (("split", SplitOptions), ("mix", MixOptions), ("training", Training))
    ]
    for before, place, options in places:
        for name, value in (values.get(place) or {}).items():
            option = options.get(name)
            if name in ("name", "seed") or (place == "training" and name in _QUIET):
                continue
            if option is None or _plain(option.default) != _plain(value):
                default = "" if option is None else _text(option.default)
                found.append((f"{before}{name}", _text(value), default, option.help if option else ""))
    return found


def _options(name: str, load: Callable[[str], Any]) -> Mapping[str, Option]:
    """The options of a system or balancer; of a user's own file none are known, for it is not run here."""
    try:
        kind = None if name.endswith(".py") else load(name)
    except PolytaskError:
        return {}
    return {} if kind is None else options_of(getattr(kind, "options_type", None) or kind.Options)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    return "none" if value in (None, (), []) else str(value)


def again(command: Sequence[str] | None, fallback: Sequence[str]) -> str:
    """The command that makes it again."""
    words = list(command or fallback)
    text = shlex.join(words)
    how = "As it was given." if command else "The configuration that lies in the folder says the rest."
    return (
        f'<div class="command"><pre tabindex="0"><code>{escape(text)}</code></pre><button type="button" class="copy">Copy</button></div>'
        f'<p class="axis">{escape(how)} The same seeds give the same numbers on the same machine; trees and other libraries may differ in the last digit elsewhere.</p>'
    )


def command_of(run: Told) -> tuple[Sequence[str] | None, list[str]]:
    """The command that was given for a run, and the one that its own configuration stands for."""
    given = (run.card or {}).get("command")
    told = given if given and given[1:2] == ["fit"] and "--resume" not in given else None
    return told, ["polytask", "fit", str(run.folder / "config.yaml"), "--out", f"{run.folder}-again"]


def command_of_all(found: Compared) -> tuple[Sequence[str] | None, list[str]]:
    """The same of a comparison."""
    given = found.command or (found.best.card or {}).get("command")
    rows = found.found.rows
    systems = dict.fromkeys(row.system for row in rows)
    balancers = dict.fromkeys(row.balancer for row in rows if not registry.is_baseline(row.system)) or {"equal": None}
    seeds = len({result.seed for result in found.found.results})
    words = [
        "polytask",
        "compare",
        str(found.best.folder / "config.yaml"),
        "--systems",
        ",".join(systems),
        "--balancers",
        ",".join(balancers),
    ]
    words += ["--seeds", str(seeds), "--out", f"{found.folder}-again"]
    for runs in found.cells.values():
        options = [(name, value) for name, value, *_ in different(runs[0].values) if "." not in name] if runs else []
        words += [f"--set={runs[0].system}.{name}={value}" for name, value in options if name not in ("system", "balancer")]
    return given if given and given[1:2] == ["compare"] else None, list(dict.fromkeys(words))
