"""`init`: write polytask.yaml with every choice visible and commented."""

import os
from pathlib import Path
from typing import Any

import yaml

from polytask import __version__
from polytask.core import DataError, registry
from polytask.core.errors import PolytaskError
from polytask.core.option import Option, options_of
from polytask.data import infer, prepare, read
from polytask.data.sample import MixOptions
from polytask.data.split import SplitOptions
from polytask.engine import _files
from polytask.engine.training import Training
from polytask.report import tables

from . import _train

SYSTEM, BALANCER = "hard_sharing", "equal"


def init(data: str, tasks: str | None, out: Path) -> None:
    """Infer what can be inferred; what cannot (which columns to predict) is left to fill in, with candidates."""
    if out.exists():
        raise DataError.of(str(out), "exists already", "Choose another --out, or remove it")
    table = read.table(data)
    declared = _train.declarations(tasks) or _train.shipped_tasks(data)
    shipped = _train.shipped(data)
    split = SplitOptions(**shipped.get("split", {}))
    file = data if data.startswith("@") else os.path.relpath(data, out.parent)
    parts = [f"# polytask fit {out}\npolytask: {__version__}\ndata: {_yaml(file)}\n"]
    if declared:
        source = [{"file": data}]
        prepared = prepare.prepare(source, declared, shipped.get("inputs", {}), shipped.get("ignore", ()), split)
        inputs, kinds, notes = prepared.schema.inputs, prepared.schema.tasks, prepared.notes
        parts.append("# What to predict: kind, columns and the options of the kind.\n" + _block("tasks", kinds))
        tables.show(*tables.notes(notes, prepared.leaks))
    else:
        inputs, kinds = {}, {}
        parts.append(_candidates(table))
    parts.append(
        "# What to predict from. Kinds were inferred; `modality` groups inputs (MultiModN reads one group after another).\n"
    )
    parts.append(_block("inputs", inputs) if inputs else "inputs: {}  # inferred\n")
    ignore = list(shipped.get("ignore", []))
    parts.append(
        f"# Columns that are no inputs: identifiers, and whatever is known only after the answer.\nignore: {_yaml(ignore)}\n"
    )
    parts.append(_options("split", "How rows are divided into training, validation and test rows.", SplitOptions, vars(split)))
    parts.append(_options("mix", "How several sources are mixed; of no effect with one.", MixOptions, {}))
    about = "The way of sharing (polytask systems)."
    parts.append(_options("system", about, registry.load(SYSTEM).options_type, {}, f"  name: {SYSTEM}\n"))
    about = "How the tasks' losses become one update (polytask balancers)."
    parts.append(_options("balancer", about, registry.weighting(BALANCER).Options, {}, f"  name: {BALANCER}\n"))
    parts.append(_options("training", "The loop; the same for every system.", Training, {}))
    _files.write_text(out, "\n".join(parts))
    then = f"polytask fit {out}" if declared else f"Name your tasks in {out}, then: polytask fit {out}"
    tables.show(f"Wrote {out}: {len(inputs) or 'all'} inputs, {len(kinds) or 'no'} tasks.   {then}")


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True).removesuffix("...\n").strip()


def _block(name: str, items: Any) -> str:
    """Inputs or tasks, one a line, with their settable options."""
    lines = [f"{name}:"]
    for key, item in items.items():
        values: dict[str, Any] = {"kind": item.kind}
        if name == "tasks" and item.columns != (key,):
            values["columns"] = list(item.columns)
        if name == "inputs" and item.modality:
            values["modality"] = item.modality
        values |= {option: _listed(getattr(item, option)) for option in options_of(type(item))}
        lines.append(f"  {_yaml(key)}: {_yaml(values)}")
    return "\n".join(lines) + "\n"


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _candidates(table: Any) -> str:
    """Every column that could be a task, with the kind it would be; all commented out."""
    lines = [
        "# What to predict: take the comment sign off one or more lines. Survival has two columns:",
        "#   name: {kind: survival, columns: [time, event]}",
        "tasks:",
    ]
    for name in table.column_names:
        try:
            kind = infer.tasks(table, {name: None})[name].kind
        except PolytaskError:
            continue
        lines.append(f"  # {_yaml(name)}: {{kind: {kind}}}")
    return "\n".join(lines) + "\n"


def _options(name: str, about: str, cls: type, values: dict[str, Any], first: str = "") -> str:
    """A section: every option with its value and, behind it, what it is and what is allowed."""

    def line(option: Option) -> str:
        value = values.get(option.name, option.default)
        return f"  {f'{option.name}: {_yaml(_listed(value))}':<28}  # {option.help} ({option.allowed})"

    options = options_of(cls)
    body = first + "\n".join(line(option) for option in options.values())
    return f"# {about}\n{name}:{'' if body else ' {}'}\n{body}\n"
