"""`merge`: several runs that were fine-tuned from one base become one run of all their tasks, without training anew."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from polytask.core import Batch, OptionError, RunError, Schema, System, registry
from polytask.data import nested
from polytask.merge import task_vectors
from polytask.merge.merged import WITH_ENTROPY, Granularity, Merged, entropy

from . import warm
from .run import Run, cost

METHODS = ("average", "task_arithmetic", "ties", "adamerging")
SCALES = {"task_arithmetic": 0.3, "ties": 1.0, "adamerging": 0.3}
"""The coefficient of each method unless told otherwise: of all vectors, of their disjoint mean, at the start."""


@dataclass(frozen=True)
class Adapting:
    """How AdaMerging learns its coefficients; the paper's figures. batch: rows a task and step. plus: TIES first."""

    granularity: Granularity = "layer"
    plus: bool = False
    steps: int = 500
    batch: int = 16
    lr: float = 1e-3
    seed: int = 0


def merge(
    runs: Sequence[Run | Path | str],
    method: str = "task_arithmetic",
    base: Run | Path | str | None = None,
    data: Any = None,
    scale: float | None = None,
    keep: float = 0.2,
    out: Path | str | None = None,
    trust: bool = False,
    adapting: Adapting | None = None,
) -> Run:
    """One run with the tasks of all `runs`: merged shared weights, each task's own head from its run.

    runs: runs, or their folders, of one system with equal options and inputs (`polytask fit --from BASE` keeps the inputs).
    base: the run that they were fine-tuned from; all methods but `average` need it.
    data: unlabelled rows for `adamerging`, a table for all tasks or `{task: table}`. Labels are not read; but where a table has
        labels of a task, the rows that have one are the ones whose entropy counts for it.
    scale: coefficient of the task vectors (None: `SCALES`). keep: share of each vector that TIES keeps.
    out: the run folder to write (None: nothing is written). trust: run the code of a system that lies in a run folder.
    The merged run has no scores: nothing here saw labels.
    Raises `RunError` and `OptionError` that name the run, or the tensor, that does not go with the others.
    """
    if method not in METHODS:
        raise OptionError.of("method", f"unknown name '{method}'", f"Known: {', '.join(METHODS)}")
    if out is not None and Path(out).exists() and any(Path(out).iterdir()):
        raise RunError.of(str(out), "already holds files", "Choose another --out")
    started = time.perf_counter()
    loaded = [_load(run, trust) for run in runs]
    if len(loaded) < 2:
        raise RunError.of("merge", "needs two runs or more", "Give the folders of several polytask fit --out")
    if base is None and method != "average":
        raise OptionError.of("base", f"none given, and method '{method}' needs it", "Give --base RUN, or --method average")
    origin = None if base is None else _load(base, trust)
    _check(loaded, origin)
    schema, system, states = _assemble(loaded)
    start = None if origin is None else warm.shared_state(origin.system)
    trained = {name for name, _ in system.named_parameters()}
    _check_buffers(loaded, origin, states, start, trained)
    weights = _weights(method, start, states, trained, SCALES.get(method, 1.0) if scale is None else scale, keep)
    with torch.no_grad():
        for name, tensor in warm.shared_state(system).items():
            tensor.copy_(weights[name])
    steps = 0
    if method == "adamerging":
        assert start is not None
        how = Adapting() if adapting is None else adapting
        steps = _adamerge(system, schema, start, states, data, SCALES[method] if scale is None else scale, keep, how)
    run = Run(
        _config(loaded),
        schema,
        system.eval(),
        {"validation": {}, "test": {}},
        cost(system, time.perf_counter() - started, steps),
    )
    if out is not None:
        run.save(out)
    return run


def _load(run: Run | Path | str, trust: bool) -> Run:
    return run if isinstance(run, Run) else Run.load(run, trust)


def _name(run: Run) -> str:
    return str(run.folder) if run.folder is not None else f"the run of {', '.join(run.schema.tasks)}"


def _check(runs: Sequence[Run], base: Run | None) -> None:
    """Raises `RunError` where systems, options, inputs or tasks do not go together."""
    first = runs[0]
    known: dict[str, str] = {}
    for run in [*runs[1:], *([base] if base is not None else [])]:
        if _code(run) != _code(first):
            problem = f"is of system {run.config.system}, {_name(first)} of {first.config.system}"
            raise RunError.of(_name(run), problem, "Merge runs of one system")
        for field in fields(first.config.options):
            ours, theirs = (getattr(one.config.options, field.name) for one in (first, run))
            if ours != theirs:
                problem = f"has {field.name}={theirs}, {_name(first)} has {field.name}={ours}"
                raise RunError.of(_name(run), problem, "Train both with equal options")
        for name in dict.fromkeys([*first.schema.inputs, *run.schema.inputs]):
            if first.schema.inputs.get(name) != run.schema.inputs.get(name):
                problem = f"reads input '{name}' in another way than {_name(first)}"
                raise RunError.of(_name(run), problem, "Fine-tune all from one run: polytask fit DATA --from BASE")
    for run in runs:
        for task in run.schema.tasks:
            if task in known:
                fix = "Leave one out, or train it under another name"
                raise RunError.of(_name(run), f"has task '{task}', as has {known[task]}", fix)
            known[task] = _name(run)


def _assemble(runs: Sequence[Run]) -> tuple[Schema, System, list[dict[str, Tensor]]]:
    """The schema of all tasks, its system with each task's own head, and the shared tensors of each run."""
    config = runs[0].config
    schema = Schema(runs[0].schema.inputs, {name: task for run in runs for name, task in run.schema.tasks.items()})
    system = registry.load(config.system).build(schema, config.options)
    states = [warm.shared_state(run.system) for run in runs]
    for run, state in zip(runs, states, strict=True):
        warm.fitting(system, state, _name(run))
        for task in run.schema.tasks:
            warm.take_heads(system, run.system, task)
    return schema, system, states


def _code(run: Run) -> str:
    system = run.config.system
    return Path(system).read_text(encoding="utf-8") if system.endswith(".py") else system


def _check_buffers(
    runs: Sequence[Run], base: Run | None, states: Sequence[Mapping[str, Tensor]], start: Mapping[str, Tensor] | None,
    trained: set[str],
) -> None:  # fmt: skip
    """Shapes agree, and so do the values of what no gradient trains (fitted statistics of inputs and the like)."""
    everything = [*runs, *([] if base is None else [base])]
    all_states = [*states, *([] if start is None else [start])]
    names = [_name(run) for run in everything]
    task_vectors.check(all_states, names)
    for state, name in zip(all_states[1:], names[1:], strict=True):
        for tensor, value in state.items():
            if tensor not in trained and not torch.equal(value, states[0][tensor]):
                fix = "It is learnt in a way that cannot be merged; merge runs that share it (polytask fit --from BASE)"
                raise RunError.of(f"tensor '{tensor}'", f"is a statistic that differs in {name} and {names[0]}", fix)


def _weights(
    method: str, start: Mapping[str, Tensor] | None, states: Sequence[Mapping[str, Tensor]], trained: set[str],
    scale: float, keep: float,
) -> dict[str, Tensor]:  # fmt: skip
    """The shared tensors of the merged model; for `adamerging` those that it starts from."""
    if method == "average" or start is None:
        return task_vectors.average(states)
    weights = {name: value for name, value in start.items() if name in trained}
    rest = {name: value for name, value in start.items() if name not in trained}
    vectors = task_vectors.task_vectors(weights, [{name: state[name] for name in weights} for state in states])
    if method == "ties":
        return rest | task_vectors.ties(weights, vectors, keep, scale)
    return rest | task_vectors.task_arithmetic(weights, vectors, scale)


def _adamerge(
    system: System, schema: Schema, start: Mapping[str, Tensor], states: Sequence[Mapping[str, Tensor]], data: Any,
    scale: float, keep: float, how: Adapting,
) -> int:  # fmt: skip
    """Learn coefficients and write the merged weights into the system; the number of steps."""
    if data is None:
        raise OptionError.of("data", "none given, and adamerging learns from unlabelled rows", "Give --data FILE")
    batches = unlabelled(schema, data)
    if not batches:
        kinds = ", ".join(dict.fromkeys(task.kind for task in schema.tasks.values()))
        problem = f"no task is a classification with rows in these data (kinds: {kinds})"
        raise OptionError.of("adamerging", problem, "Use --method ties or task_arithmetic")
    like = {name: value for name, value in start.items() if name in dict(system.named_parameters())}
    vectors = task_vectors.task_vectors(like, [{name: state[name] for name in like} for state in states])
    merged = Merged(like, len(states), how.granularity, scale)
    merged.set(like, task_vectors.elect(vectors, keep) if how.plus else vectors)
    adapt(system, merged, batches, how)
    with torch.no_grad():
        for name, value in merged.weights().items():
            system.get_parameter(name).copy_(value)
    return how.steps


def unlabelled(schema: Schema, data: Any) -> dict[str, Batch]:
    """The rows whose entropy counts for each classification task: see `merge`."""
    names = [name for name, task in schema.tasks.items() if task.kind in WITH_ENTROPY]
    several = isinstance(data, Mapping) and "file" not in data
    if several and (unknown := [name for name in data if name not in schema.tasks]):
        raise OptionError.of("data", f"'{unknown[0]}' is no task of these runs", f"Tasks: {', '.join(schema.tasks)}")
    found = {}
    whole = None if several else schema.encode(nested.of(data))
    for name in names:
        if several and name not in data:
            continue
        batch = whole if whole is not None else schema.encode(nested.of(data[name]))
        mask = batch.labelled.tensor(name)
        if not bool(batch.labelled.stack(tuple(batch.labelled)).any()) or several:
            mask = torch.ones(len(batch), dtype=torch.bool)
        if bool(mask.any()):
            found[name] = batch.index(mask.nonzero().squeeze(1))
    return found


def adapt(system: System, merged: Merged, batches: Mapping[str, Batch], how: Adapting) -> list[float]:
    """Train the coefficients by the sum over tasks of mean entropies; this sum at every step.

    Each step draws `how.batch` rows a task, each task's rows in a random order and all of them before one comes again.
    """
    system.eval()
    generator = torch.Generator().manual_seed(how.seed)
    orders = {name: torch.zeros(0, dtype=torch.int64) for name in batches}
    merged.coefficients.requires_grad_(True)
    optimizer = torch.optim.Adam([merged.coefficients], lr=how.lr)
    history = []
    for _ in range(how.steps):
        weights, losses = merged.weights(), []
        for name, batch in batches.items():
            while len(orders[name]) < min(how.batch, len(batch)):
                orders[name] = torch.cat([orders[name], torch.randperm(len(batch), generator=generator)])
            rows, orders[name] = orders[name][: how.batch], orders[name][how.batch :]
            output = functional_call(system, weights, (batch.index(rows), [name]))[name]
            losses.append(entropy(system.tasks[name], output).mean())
        total = torch.stack(losses).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(float(total.detach()))
    return history


def _config(runs: Sequence[Run]) -> Any:
    """The first run's choices, with the tasks and the data of all."""
    tasks = {name: declared for run in runs for name, declared in run.config.tasks.items()}
    data: list[Mapping[str, Any]] = []
    for run in runs:
        data += [source for source in run.config.data if source not in data]
    return replace(runs[0].config, tasks=tasks, data=tuple(data))
