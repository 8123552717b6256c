"""`systems`, `balancers`, `show`, `check`."""

import sys

from polytask.core import OptionError, registry
from polytask.core.errors import nearest
from polytask.core.option import options_of
from polytask.data import shipped
from polytask.report import tables


def systems(field: str | None) -> None:
    """A line each, baselines last."""
    found = registry.systems()
    fields = {card.field for card in found.values()}
    if field is not None and field not in fields:
        raise OptionError.of("--field", f"unknown field '{field}'", nearest(field, fields))
    chosen = {id: card for id, card in found.items() if field in (None, card.field)}
    ordered = dict(sorted(chosen.items(), key=lambda pair: (registry.is_baseline(pair[0]), pair[0])))
    tables.show(tables.cards(ordered, "Systems", [id for id in ordered if registry.is_baseline(id)]))


def balancers() -> None:
    """A line each."""
    tables.show(tables.cards(registry.balancers(), "Balancers"))


def data() -> None:
    """A line each."""
    found = {name: shipped.get(name) for name in shipped.names()}
    rows = [
        [f"@{name}", f"{item.about['rows']:,}", str(len(item.tasks)), item.about["title"], item.about["origin"]]
        for name, item in found.items()
    ]
    tables.show(tables.plain("Data sets", ["name", "rows", "tasks", "title", "origin"], rows))


def show(id: str) -> None:
    """A card and its options; of a data set, its tasks."""
    if id.startswith("@"):
        tables.show(tables.data_set(id, shipped.get(id[1:])))
        return
    if id in registry.balancers():
        tables.show(tables.card(registry.balancers()[id], options_of(registry.weighting(id).Options)))
        return
    if id not in registry.systems() and not id.endswith(".py"):
        raise OptionError.of("show", f"unknown name '{id}'", nearest(id, [*registry.systems(), *registry.balancers()]))
    tables.show(tables.card(registry.card_of(registry.file_of(id)), options_of(registry.load(id).options_type)))


def check(file: str) -> None:
    """Run the conformance suite; exit code 1 where a check fails."""
    from polytask.testing import check_system

    result = check_system(file)
    rows = [[check.name, check.outcome, f"{check.seconds:.2f}", check.message] for check in result.checks]
    capabilities = [[name, value] for name, value in result.capabilities.items()]
    tables.show(
        tables.plain(f"Conformance of {file}", ["check", "outcome", "seconds", "why"], rows), "",
        tables.plain("Capabilities, as measured", ["what", "outcome"], capabilities),
    )  # fmt: skip
    if not result.passed:
        sys.exit(1)
