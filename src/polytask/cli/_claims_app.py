"""The commands under `polytask claims` and their help."""

from pathlib import Path
from typing import Annotated

import typer

claims = typer.Typer(
    name="claims",
    help="What the papers claim, tested on real data: list the claims, run them, read the verdicts.\n\n"
    "Start with:  polytask claims table",
    no_args_is_help=True,
)
Ids = Annotated[
    list[str] | None, typer.Argument(help="Claims: ids of systems or balancers, or your own file.py (default: all)")
]
Field = Annotated[str | None, typer.Option(help="Only claims of this field")]
Size = Annotated[str, typer.Option(help="smoke (seconds, shows that it runs), quick (a minute or two a claim), or full")]
Ledger = Annotated[Path, typer.Option(help="The folder of the ledger; records are only ever added")]


@claims.command("list")
def claims_list(field: Field = None) -> None:
    """List the claims.

    Example:  polytask claims list --field medical
    """
    from . import _claims

    _claims.listed(field)


@claims.command("show")
def claims_show(
    id: Annotated[str, typer.Argument(help="A claim")], size: Size = "quick", ledger: Ledger = Path("ledger")
) -> None:
    """What a claim states, how it is tested, and what the ledger says.

    Example:  polytask claims show multimodn
    """
    from . import _claims

    _claims.show(id, size, ledger)


@claims.command("run")
def claims_run(
    ids: Ids = None,
    field: Field = None,
    size: Size = "quick",
    seeds: Annotated[int | None, typer.Option(help="Seeds (default: what each claim states for this size)", min=1)] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes at once (default: one a core)")] = None,
    ledger: Ledger = Path("ledger"),
    again: Annotated[bool, typer.Option("--again", help="Measure anew what the ledger holds already")] = False,
) -> None:
    """Run what the ledger does not hold yet, and give verdicts. A run that was stopped goes on from where it was.

    Example:  polytask claims run mmoe multimodn --size quick
    """
    from . import _claims

    _claims.run(ids, field, size, seeds, jobs, ledger, again)


@claims.command("table")
def claims_table(field: Field = None, size: Size = "quick", ledger: Ledger = Path("ledger")) -> None:
    """The verdicts, a line a claim.

    Example:  polytask claims table
    """
    from . import _claims

    _claims.table(field, size, ledger)


@claims.command("report")
def claims_report(
    field: Field = None,
    size: Size = "quick",
    ledger: Ledger = Path("ledger"),
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write")] = Path("claims.html"),
) -> None:
    """Write one page of all claims that opens without a network: effects, controls, curves, what the papers reported.

    Example:  polytask claims report --out claims.html
    """
    from . import _claims

    _claims.report(field, size, ledger, out)
