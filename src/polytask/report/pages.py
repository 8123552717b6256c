"""A documentation page a system: its card, how to use it, its options, and what the ledger says; made by a loop."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from polytask.core import Card, registry
from polytask.core.option import Option, options_of
from polytask.engine.apply import learns
from polytask.ledger import claim as claims
from polytask.ledger.book import Book
from polytask.ledger.run import current
from polytask.ledger.verdict import Verdict, judge

from .tables import defaults, number


def texts(ledger: Path) -> dict[str, str]:
    """The pages of every system, baseline and claimed balancer, and `index`, by id.

    ledger: the folder of the ledger; its `quick` results are shown, if they are of the code as it is.
    """
    cards = listed()
    verdicts = {id: verdict(id, ledger) for id in cards if id in registry.claims()}
    return {id: page(card, verdicts.get(id)) for id, card in cards.items()} | {"index": index(cards, verdicts)}


def listed() -> dict[str, Card]:
    """The cards of what has a page, by id."""
    claimed = {id: card for id, card in registry.balancers().items() if id in registry.claims()}
    return {**registry.systems(), **claimed}


def verdict(id: str, ledger: Path) -> Verdict:
    """What the ledger says of a claim at size `quick`."""
    claim = claims.get(id)
    return judge(claim, "quick", current(claim, "quick", Book(ledger).read(id)))


_SYSTEMS = """# Systems

Every published way of learning several tasks with one model, the honest rivals, and the balancers whose claim is
tested. The column *claim* is what the ledger says of the paper's own claim, on our data and at our sizes.
[Which system for my data](../which-system.md) tells where to begin, all balancers are
[on their own page](../reference/balancers.md), and [all claims](../claims.html) on another, with curves and controls.

"""


def index(cards: Mapping[str, Card], verdicts: Mapping[str, Verdict]) -> str:
    """A line a system."""
    rows = [
        [f"[{id}]({id}.md)", card.title, card.field, str(card.year or ""), verdicts[id].outcome if id in verdicts else ""]
        for id, card in cards.items()
    ]
    return _SYSTEMS + table(["id", "title", "field", "year", "claim"], rows)


def page(card: Card, found: Verdict | None) -> str:
    """The page of one system, baseline or balancer."""
    parts = [f"# {card.title}", f"`{card.id}` · {card.field}" + (f" · {card.kind}" if card.kind else "")]
    if card.paper:
        parts.append(card.paper)
    parts += ["## Use it", _use(card), "## Options", options(option_list(card.id))]
    if card.defaults:
        parts.append(f"Trained with {defaults(card)}, unless you set them.")
    if card.id in registry.systems() and (xfail := registry.load(card.id).xfail):
        expected = "\n".join(f"- `{name}`: {reason}" for name, reason in xfail.items())
        parts += ["## Conformance", f"Checks that cannot hold, by design:\n\n{expected}"]
    if found is not None:
        parts += ["## What the paper claims", _claim(found)]
    return "\n\n".join(parts) + "\n"


def option_list(id: str) -> dict[str, Option]:
    """The options of a system or balancer."""
    is_system = id in registry.systems()
    found: dict[str, Option] = options_of(registry.load(id).options_type if is_system else registry.weighting(id).Options)
    return found


def _use(card: Card) -> str:
    if card.id not in registry.systems():
        return f"```\npolytask fit data.csv --tasks a,b --balancer {card.id}\n```"
    kinds = {text.split()[0] for text in card.example["inputs"].values()}
    install = f"pip install 'polytask[{card.extra}]'\n" if card.extra else ""
    command = f"polytask apply {card.id} data.csv --out answers.csv"
    if learns(registry.load(card.id), card.example):
        command = f"polytask fit data.csv --tasks {','.join(card.example['tasks'])} --system {card.id}"
    example = ", ".join(f"{name} ({text})" for name, text in card.example["inputs"].items())
    tasks = ", ".join(f"{name} ({text})" for name, text in card.example["tasks"].items())
    return f"```\n{install}{command}\n```\n\nReads {', '.join(sorted(kinds))}. Example schema: inputs {example}; tasks {tasks}."


def options(declared: Mapping[str, Option]) -> str:
    """A table of options: meaning, default, what may be set, and where the default is from."""
    if not declared:
        return "None."
    rows = [
        [f"`{name}`", option.help, f"`{option.default!r}`", option.allowed.replace("polytask.core.", ""), option.provenance]
        for name, option in declared.items()
    ]
    return table(["option", "what", "default", "allowed", "where the default is from"], rows)


def _claim(found: Verdict) -> str:
    claim = found.claim
    lines = [
        f"> {claim.statement}",
        f"{claim.source}. Reported: {claim.reported}",
        f"**{found.outcome.capitalize()}** ({found.size}, {claim.seeds[found.size]} seeds)."
        + (" A trivial control does as well." if found.matched else ""),
        "\n".join(f"- {'' if one.check.decides else '(beside) '}{one.sentence}" for one in found.checks),
    ]
    if claim.simulated:
        lines.append(f"Simulated: {claim.simulated}")
    if found.records:
        lines.append(_arms(found))
    lines.append(f"Why it may differ: {claim.differs}")
    return "\n\n".join([*lines, f"```\npolytask claims run {claim.id} --size {found.size}\n```"])


def _arms(found: Verdict) -> str:
    metrics = list(dict.fromkeys(name for record in found.records for name in record.metrics))
    rows = []
    for arm, what in found.claim.everything.items():
        own = [record for record in found.records if record.arm == arm]
        means = [_mean([record.metrics[name] for record in own if name in record.metrics]) for name in metrics]
        counts = [f"{own[0].parameters:,}", f"{own[0].steps:,}"] if own else ["", ""]
        rows.append([arm, what, *means, *counts])
    return table(["arm", "what", *metrics, "parameters", "steps"], rows)


def _mean(values: Sequence[float]) -> str:
    return number(sum(values) / len(values)) if values else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])
