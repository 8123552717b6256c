"""The commands and their help. Each imports what it needs when it runs, so `polytask --help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from ._claims_app import claims

app = typer.Typer(
    name="polytask",
    help="One model for many tasks: state the tasks once, try the published ways of sharing a network on your own files, see "
    "which one helps, and ship the model that won.\n\nStart with:  polytask demo\n\nThen:  polytask init my.csv",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

_FILE = "CSV, Parquet, Arrow or JSONL; @NAME of a shipped data set (see: polytask data)"
Data = Annotated[str, typer.Argument(help=_FILE)]
Source = Annotated[str, typer.Argument(help=f"{_FILE}; or a polytask.yaml")]
Tasks = Annotated[
    str | None,
    typer.Option(
        "--tasks", "-t", help="Columns to predict: a,b,c. Survival is time:event. Kinds are inferred; name=kind declares one."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", help="An option: width=128 (the system's), training.lr=1e-3, split.how=group, balancer.at=parameters."
    ),
]
Ignore = Annotated[str | None, typer.Option("--ignore", help="Columns that are no inputs: a,b,c")]
Group = Annotated[str | None, typer.Option("--group", help="Column whose groups (persons, places) no split tears apart")]
Time = Annotated[str | None, typer.Option("--time", help="Column to split by time: the latest rows are the test rows")]

With = Annotated[
    list[str] | None,
    typer.Option(
        "--with", "-w",
        help="Attach another table, its rows as lists: NAME=FILE:KEY (KEY is in both), or NAME=FILE:KEY:TO where TO names rows "
        "of the first table by the same key (edges).",
    ),
]  # fmt: skip
On = Annotated[
    str,
    typer.Option(
        help="Where to train: local; ray (the cluster of RAY_ADDRESS, else this machine); ray://HOST:PORT. Data and --out must "
        "then lie on a disk that all its machines share. Needs polytask[ray]."
    ),
]
Search = Annotated[
    list[str] | None,
    typer.Option(
        "--search",
        help="What to search: lr=1e-4..1e-2 (a range), width=64,128,256 (choices), dropout (a range around its default), "
        "mmoe.experts=4,8 (of one system), famo.lr (of one balancer). Default: width, depth, dropout and the like, "
        "training.lr, training.weight_decay, and the balancer's numbers.",
    ),
]
Trust = Annotated[bool, typer.Option("--trust", help="Run the code of a system of your own that lies in the run folder")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write")] = Path("runs/demo"),
    seeds: Annotated[int, typer.Option(help="Splits to repeat the comparison on", min=1)] = 1,
    jobs: Annotated[int | None, typer.Option(help="Processes at once (default: one a core)")] = None,
) -> None:
    """The main job on 9,105 real patients: compare ways of sharing, ship one model, predict. About two minutes.

    Example:  polytask demo --seeds 1
    """
    from . import _demo

    _demo.demo(out, seeds, jobs)


@app.command()
def init(
    data: Data,
    tasks: Tasks = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write")] = Path("polytask.yaml"),
) -> None:
    """Infer the schema of a file and write polytask.yaml with every choice visible and commented.

    Example:  polytask init my.csv --tasks died,days
    """
    from . import _init

    _init.init(data, tasks, out)


@app.command()
def fit(
    data: Annotated[str | None, typer.Argument(help=f"{_FILE}; or a polytask.yaml")] = None,
    tasks: Tasks = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder to write (default: runs/<system>-<number>)")
    ] = None,
    system: Annotated[str | None, typer.Option(help="A system's id, or your own file.py (see: polytask systems)")] = None,
    balancer: Annotated[str | None, typer.Option(help="A balancer's id (see: polytask balancers)")] = None,
    set: Set = None,
    ignore: Ignore = None,
    nested: With = None,
    group: Group = None,
    time: Time = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Read the rows anew each epoch: Parquet (a file or a folder) larger than memory")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of split, weights and batches")] = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the training rows")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads (default: by the work of a step, mostly one)")] = None,
    devices: Annotated[int | None, typer.Option(help="Number of devices (Lightning Fabric)")] = None,
    strategy: Annotated[str | None, typer.Option(help="How devices share the work (Lightning Fabric)")] = None,
    precision: Annotated[str | None, typer.Option(help="Number format, such as bf16-mixed (Lightning Fabric)")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with a run that was stopped, to the same numbers")] = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Fine-tune from a run: its inputs and shared weights, new heads for new tasks")
    ] = None,
) -> None:
    """Train one model for all tasks and write a run folder.

    Example:  polytask fit my.csv --tasks died,days --ignore id

    Example:  polytask fit polytask.yaml --system mmoe --set width=128 --set training.lr=1e-3

    Example:  polytask fit patients.csv --with labs=labs.csv:patient --tasks sepsis --system mgp_tcn_dtw
    """
    from . import _train

    flags = {
        "seed": seed,
        "epochs": epochs,
        "threads": threads,
        "devices": devices,
        "strategy": strategy,
        "precision": precision,
    }
    if resume is not None:
        beside = {"DATA": data, "--tasks": tasks, "--out": out, "--system": system, "--balancer": balancer, "--set": set}
        beside |= {"--ignore": ignore, "--with": nested, "--group": group, "--time": time, "--from": start}
        _train.resume(resume, beside | {f"--{name}": value for name, value in flags.items()})
    else:
        _train.fit(
            data,
            tasks,
            out,
            _train.starting(_train.settings(set, ignore, group, time, flags, system, balancer), start),
            _train.attached(nested),
            stream,
        )


@app.command()
def merge(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of one system, fine-tuned from one base (fit --from BASE)")],
    method: Annotated[str, typer.Option(help="average, task_arithmetic, ties or adamerging")] = "ties",
    base: Annotated[Path | None, typer.Option(help="The run that they started from; average needs none")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="FILE for all tasks, or TASK=FILE for each: adamerging learns from its rows, not labels"),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to write")] = Path("runs/merged"),
    scale: Annotated[float | None, typer.Option(help="Coefficient (default: 0.3; of ties: 1)")] = None,
    keep: Annotated[float, typer.Option(help="Share of each task vector that TIES keeps")] = 0.2,
    granularity: Annotated[str, typer.Option(help="adamerging: a coefficient a layer and task, or a task")] = "layer",
    plus: Annotated[bool, typer.Option("--plus", help="AdaMerging++: task vectors go through TIES first")] = False,
    trust: Trust = False,
) -> None:
    """Merge runs of different tasks into one run of all of them, without training anew.

    Example:  polytask merge runs/died runs/days --method ties --base runs/base --out runs/merged
    """
    from . import _merge

    _merge.merge(runs, method, base, data, out, scale, keep, trust, granularity, plus)


@app.command()
def compare(
    data: Source,
    tasks: Tasks = None,
    systems: Annotated[
        str, typer.Option(help="Systems and baselines: a,b,c, or your own file.py")
    ] = "hard_sharing,mmoe,ple,trees",
    balancers: Annotated[str, typer.Option(help="Balancers for the systems: a,b,c")] = "equal",
    seeds: Annotated[int, typer.Option(help="Splits and initial weights to repeat everything on", min=1)] = 3,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder to write; what it holds already is not trained again")
    ] = Path("runs/compare"),
    set: Annotated[list[str] | None, typer.Option("--set", "-s", help="An option: mmoe.experts=4, training.lr=1e-3")] = None,
    ignore: Ignore = None,
    nested: With = None,
    group: Group = None,
    time: Time = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the training rows")] = None,
    tuned: Annotated[
        bool, typer.Option("--tuned", help="First choose each one's options, with --trials each, on validation rows of seed 0")
    ] = False,
    trials: Annotated[int, typer.Option(help="With --tuned: trials of every system", min=1)] = 20,
    search: Search = None,
    jobs: Annotated[int | None, typer.Option(help="Processes at once (default: one a core)")] = None,
    on: On = "local",
) -> None:
    """Train systems and baselines under one protocol and say which one to ship; the winner is in OUT/best.

    Example:  polytask compare my.csv --tasks died,days --systems hard_sharing,mmoe,trees --balancers equal,famo

    Example:  polytask compare my.csv --tasks died,days --systems hard_sharing,trees --tuned --trials 20
    """
    from . import _train, _tune

    _train.compare(
        data, tasks, systems, balancers, seeds, out, set, _train.settings(None, ignore, group, time, {"epochs": epochs}), jobs,
        _train.attached(nested), trials if tuned else 0, _tune.asked(search, tuned), on,
    )  # fmt: skip


@app.command()
def tune(
    data: Source,
    tasks: Tasks = None,
    systems: Annotated[
        str | None,
        typer.Option(help="Systems and baselines: a,b,c, or your own file.py (default: the YAML's, or hard_sharing)"),
    ] = None,
    balancers: Annotated[
        str | None, typer.Option(help="Balancers for the systems: a,b,c (default: the YAML's, or equal)")
    ] = None,
    trials: Annotated[int, typer.Option(help="Trials of every system; a later call may raise it", min=1)] = 20,
    seconds: Annotated[float | None, typer.Option(help="Begin no round of four trials later than this")] = None,
    search: Search = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; the same command goes on in it")] = Path(
        "runs/tune"
    ),
    set: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="An option that is not searched: width=128, mmoe.experts=4, training.lr=1e-3"),
    ] = None,
    ignore: Ignore = None,
    nested: With = None,
    group: Group = None,
    time: Time = None,
    seed: Annotated[int | None, typer.Option(help="Seed of split, weights, batches and trials")] = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the training rows, of every trial")] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes at once (default: one a core); changes no number")] = None,
    on: On = "local",
) -> None:
    """Search the options of systems on the validation rows, with equal trials for each; the best model is in OUT/best.

    The first trial has the options as they are; trials that fall behind are stopped early; test rows choose nothing. Trees and
    linear models try settings of their own inside each trial.

    Example:  polytask tune my.csv --tasks died,days --systems hard_sharing,mmoe,trees --trials 20

    Example:  polytask tune my.csv --tasks died,days --search lr=1e-4..1e-2 --search width=64,128,256
    """
    from . import _train, _tune

    _tune.tune(
        data, tasks, systems, balancers, trials, seconds, search, out, set,
        _train.settings(None, ignore, group, time, {"seed": seed, "epochs": epochs}), jobs, on, _train.attached(nested),
    )  # fmt: skip


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder")],
    data: Annotated[str, typer.Argument(help="Labelled data of the same columns")],
    nested: With = None,
    trust: Trust = False,
) -> None:
    """Score a trained model on labelled data.

    Example:  polytask evaluate runs/compare/best new.csv
    """
    from . import _use

    _use.evaluate(run, data, nested, trust)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run folder")],
    data: Annotated[str, typer.Argument(help="Data with the input columns; labels are not needed")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write: .parquet, .csv, .jsonl (default: print a few)")
    ] = None,
    nested: With = None,
    trust: Trust = False,
) -> None:
    """Predict every task for every row.

    Example:  polytask predict runs/compare/best new.csv --out predictions.csv
    """
    from . import _use

    _use.predict(run, data, out, nested, trust)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run (fit) or of a comparison (compare)")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The page to write (default: report.html in the folder)")
    ] = None,
    importance: Annotated[
        bool, typer.Option("--importance/--no-importance", help="Shuffle inputs to see which ones matter: reads the data again")
    ] = True,
) -> None:
    """Write one page on a run or a comparison that opens without a network: scores, curves, calibration, what mattered.

    Example:  polytask report runs/compare
    """
    from . import _report

    _report.report(folder, out, importance)


@app.command()
def apply(
    system: Annotated[str, typer.Argument(help="A system that learns nothing, or your own file.py")],
    data: Data,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write (default: print a few rows)")] = None,
    set: Set = None,
) -> None:
    """Use a system that needs no training on a file: a scheduler, a simulation.

    Example:  polytask apply quantum_qos_schedule demands.csv --set topology=net.graphml --out plan.csv
    """
    from . import _apply

    _apply.apply(system, data, out, set)


@app.command()
def systems(field: Annotated[str | None, typer.Option(help="Only systems of this field")] = None) -> None:
    """List the systems and baselines.

    Example:  polytask systems --field tables
    """
    from . import _explore

    _explore.systems(field)


@app.command()
def balancers() -> None:
    """List the balancers.

    Example:  polytask balancers
    """
    from . import _explore

    _explore.balancers()


@app.command()
def data() -> None:
    """List the data sets that come with polytask, to try things on.

    Example:  polytask data
    """
    from . import _explore

    _explore.data()


@app.command()
def show(id: Annotated[str, typer.Argument(help="A system, baseline or balancer, your own file.py, or @DATA")]) -> None:
    """What a system, a balancer or a shipped data set is; options with their defaults and where these come from.

    Example:  polytask show mmoe
    """
    from . import _explore

    _explore.show(id)


@app.command()
def check(file: Annotated[str, typer.Argument(help="A system's id, or your own file.py")]) -> None:
    """Run the conformance suite on a system: yours, or one of polytask's.

    Example:  polytask check my_system.py
    """
    from . import _explore

    _explore.check(file)


app.add_typer(claims)
