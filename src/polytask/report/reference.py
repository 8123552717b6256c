"""Reference pages of the documentation, made from the command line, the registry and the declared options: no copy by hand."""

import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from polytask.core import Card, errors, registry
from polytask.core.option import options_of
from polytask.data import formats, shipped
from polytask.data.sample import MixOptions
from polytask.data.split import SplitOptions
from polytask.engine.training import Training

from .pages import option_list, options, table

_SECTIONS = {
    "split": (SplitOptions, "How rows are divided into training, validation and test rows."),
    "mix": (MixOptions, "How batches are drawn where tasks come from several files."),
    "training": (Training, "The loop; the same for every system that is compared."),
}


def commands(group: Any) -> str:
    """Every command of a Typer application with its arguments and options.

    group: what `typer.main.get_command(app)` gives.
    """
    head = "# Commands\n\nWhat `polytask COMMAND --help` says, on one page. Errors are printed a line each, with exit code 2."
    return "\n\n".join([head, *_commands(group, "polytask")]) + "\n"


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        called = f"{path} {name}"
        yield f"## {called}"
        yield _prose(command.help or "")
        if hasattr(command, "commands"):
            yield from _commands(command, called)
        else:
            yield _usage(called, command.params)
            rows = [_parameter(item) for item in command.params if item.name != "help"]
            yield table(["argument or option", "what", "takes", "default"], rows) if rows else "It takes no option."


def _prose(text: str) -> str:
    """Help as Markdown: examples become blocks of commands."""
    parts = []
    for part in text.split("\n\n"):
        head, found, example = part.partition(":  ")
        parts.append(f"{head}:\n\n```\n{example.strip()}\n```" if found else part.strip())
    return "\n\n".join(parts)


def _argument(item: Any) -> bool:
    return not item.opts[0].startswith("-")


def _usage(called: str, items: Any) -> str:
    words = [called]
    for item in filter(_argument, items):
        word = item.name.upper() + "..." * (_annotation(item) == "list")
        words.append(word if item.required else f"[{word}]")
    words += ["[OPTIONS]"] * any(not _argument(item) for item in items)
    return f"```text\n{' '.join(words)}\n```"


def _annotation(item: Any) -> str:
    annotation = item.type_descriptor.annotation
    return str(getattr(annotation, "__origin__", annotation).__name__)


_TAKES = {"str": "text", "Path": "path", "int": "number", "float": "number", "bool": "", "list": "text, may be repeated"}


def _parameter(item: Any) -> list[str]:
    name = item.name.upper() if _argument(item) else ", ".join(item.opts)
    kind = _annotation(item)
    default = "required" if item.required else "" if item.default in (None, False) else f"`{item.default}`"
    return [f"`{name}`", _escaped(item.help or ""), _TAKES.get(kind, kind), default]


def _escaped(text: str) -> str:
    """Text in which Markdown and HTML see no markup."""
    return text.replace("<", "&lt;").replace("*", "\\*")


def settings() -> str:
    """Every key of a configuration file that is not a system's or a balancer's own."""
    parts = [
        "# Configuration",
        "Keys of `polytask.yaml`, of `settings=` in Python, and of `--set SECTION.KEY=VALUE`. The options of a system stand on "
        "[its page](../systems/index.md), those of a balancer [here](balancers.md).",
    ]
    for name, (cls, about) in _SECTIONS.items():
        parts += [f"## {name}", about, options(options_of(cls))]
    return "\n\n".join(parts) + "\n"


def kinds(place: str) -> str:
    """Every kind of `tasks` or of `inputs`: what it is, and its options."""
    title = {"tasks": "Kinds of task", "inputs": "Kinds of input"}[place]
    parts = [f"# {title}", "In the order in which an undeclared column is tried; the first that recognises it wins."]
    found: dict[str, Any] = {name: registry.kind(place, name) for name in registry.kinds(place)}
    for name, cls in sorted(found.items(), key=lambda pair: (pair[1].rank, pair[0])):
        parts += [f"## {name}", _module_says(cls), inspect.getdoc(cls) or ""]
        if recognised := inspect.getdoc(cls.recognises):
            parts.append(f"*Recognised without being declared:* {recognised}")
        if place == "tasks":
            parts.append(f"*Primary metric:* `{cls.primary}`, {'more' if cls.direction > 0 else 'less'} is better.")
        if declared := options_of(cls):
            parts.append(options(declared))
    return "\n\n".join(parts) + "\n"


def _module_says(cls: type) -> str:
    return (inspect.getdoc(inspect.getmodule(cls)) or "").split("\n\n")[0]


def balancers() -> str:
    """Every balancer with its options."""
    cards = registry.balancers()
    rows = [[f"[{id}](#{id})", card.kind, str(card.year or ""), card.title] for id, card in cards.items()]
    parts = [
        "# Balancers",
        "A balancer turns the tasks' losses into one update: `--balancer famo`, in `compare` `--balancers equal,famo,mgda`. "
        "Those of kind *losses* look at the losses alone and cost nothing; those of kind *gradients* take a gradient a task.",
        table(["id", "kind", "year", "title"], rows),
    ]
    for id, card in cards.items():
        parts += [f"## {id}", *_about(card), options(option_list(id))]
    return "\n\n".join(parts) + "\n"


def _about(card: Card) -> list[str]:
    extra = f"Needs `pip install 'polytask[{card.extra}]'`." if card.extra else ""
    return list(filter(None, [card.title, card.paper, extra]))


def files() -> str:
    """Every file format, and every data set that ships."""
    found = {m.name: import_module(f"{formats.__name__}.{m.name}") for m in pkgutil.iter_modules(formats.__path__)}
    rows = [
        [name, ", ".join(f"`{suffix}`" for suffix in module.suffixes), _first(module), _first(module.read)]
        for name, module in found.items()
        if not name.startswith("_")
    ]
    sets = [_data_set(name) for name in shipped.names()]
    parts = ["# Files and data sets", "## File formats", table(["format", "suffixes", "what", "how it is read"], rows)]
    parts += ["## Data sets that ship", "`polytask show @support2` describes one; a simulated one says so."]
    parts.append(table(["name", "what", "rows", "tasks", "origin and licence"], sets))
    return "\n\n".join(parts) + "\n"


def _first(item: Any) -> str:
    return " ".join((inspect.getdoc(item) or "").split("\n\n")[0].split())


def _data_set(name: str) -> list[str]:
    item = shipped.get(name)
    tasks: Mapping[str, Any] = item.tasks
    shown = ", ".join(list(tasks)[:4]) + (f", ... ({len(tasks)})" if len(tasks) > 4 else "")
    origin = f"{item.about['origin']}; {item.about['licence']}"
    title = str(item.about["title"]) + " (simulated)" * shipped.simulated(name)
    return [f"`@{name}`", title, str(item.about["rows"]), shown, origin]


def error_classes() -> str:
    """A line an error class: what raises it, and what it is a kind of."""
    found = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.PolytaskError)]
    rows = [[f"`{cls.__name__}`", (cls.__doc__ or ""), f"`{cls.__mro__[1].__name__}`"] for cls in found]
    return table(["class", "what it says", "is a"], rows)
