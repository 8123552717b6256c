"""What a model looks at: how much worse it answers when an input is shuffled, and how well it answers with a part of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import Int
from torch import Tensor

from polytask.core import Batch, Column, Columns, RunError, Schema, System
from polytask.data import infer, read
from polytask.data.prepare import gather
from polytask.engine import _files
from polytask.engine.config import MEMORY, files_of
from polytask.engine.predict import evaluate, predict
from polytask.engine.run import Run

ROWS = 1000
"""Test rows looked at, at most."""
SEED = 0
_PREDICTED = 40_000
"""Rows predicted in all, about: seconds."""
_REPEATS = 5


@dataclass(frozen=True)
class Loss:
    """How much worse the primary metric becomes: the mean over shuffles, and the standard deviation (NaN for one)."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Contribution:
    """What the test rows tell of one model.

    inputs, modalities: by name and task. steps: the scores of each task with the first 0, 1, ... modalities alone.
    """

    rows: int
    repeats: int
    inputs: Mapping[str, Mapping[str, Loss]]
    modalities: Mapping[str, Mapping[str, Loss]]
    steps: Sequence[tuple[str, Mapping[str, float]]]
    tables: Mapping[str, pa.Table]


def contribution(run: Run) -> Contribution:
    """Re-reads the data of a run and measures. Raises `PolytaskError` where they are not there, or are not those it saw."""
    batch = test_rows(run)
    modalities = {name: group for name, group in run.schema.modalities().items() if 0 < len(group) < len(run.schema.inputs)}
    several = {name: group for name, group in modalities.items() if len(group) > 1}
    groups = {("input", name): (name,) for name in run.schema.inputs} | {("modality", n): g for n, g in several.items()}
    repeats = max(1, min(_REPEATS, _PREDICTED // max(1, len(batch) * len(groups))))
    found = permutation(run.system, batch, groups, repeats, SEED)
    inputs = {name: losses for (place, name), losses in found.items() if place == "input"}
    whole = {name: found[("modality", name)] if name in several else inputs[group[0]] for name, group in modalities.items()}
    steps = one_by_one(run.system, run.schema, batch) if len(modalities) > 1 else []
    with torch.inference_mode():
        tables = run.system.tables(batch)
    return Contribution(len(batch), repeats, inputs, whole, steps, tables)


def test_rows(run: Run) -> Batch:
    """The test rows of a run, read again; at most `ROWS` of them, drawn by `SEED`. Raises `PolytaskError` as `contribution` does."""
    assert run.folder is not None
    if run.schema.of_kind("links"):
        raise RunError.of("inputs", "rows refer to one another, so no input can be shuffled for some rows alone")
    if not run.config.data or any(MEMORY in files_of(source) for source in run.config.data):
        raise RunError.of(
            "data", "were given in memory, which the run folder cannot hold", "Give files to have them read again"
        )
    import pyarrow.parquet as pq

    table, _ = gather(run.config.data, infer.task_columns(run.config.tasks))
    if read.digest(table) != _files.read_json(run.folder / "data.json").get("digest"):
        raise RunError.of("data", "are not those that the run was trained on: the files have changed", "Restore them")
    part = pq.read_table(run.folder / "split.parquet")["part"].to_pylist()
    rows = torch.tensor([number for number, name in enumerate(part) if name == "test"])
    if len(rows) > ROWS:
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(SEED))[:ROWS].sort().values]
    return run.schema.encode(table).index(rows)  # of the whole table: rows may refer to others


def primary(system: System, batch: Batch) -> dict[str, float]:
    """Each task's primary metric."""
    scores = evaluate(system.tasks, predict(system, batch), batch)
    return {name: metrics[system.tasks[name].primary] for name, metrics in scores.items()}


def permutation(
    system: System, batch: Batch, groups: Mapping[Any, Sequence[str]], repeats: int, seed: int
) -> dict[Any, dict[str, Loss]]:
    """How much worse each task is answered when the inputs of a group change rows together (Breiman 2001).

    Positive: the model needs them. In units of the primary metric; the rows are as they are otherwise.
    """
    base = primary(system, batch)
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(batch), generator=generator) for _ in range(repeats)]
    found = {}
    for key, names in groups.items():
        scores = [primary(system, _moved(batch, names, order)) for order in orders]
        found[key] = {
            task: _loss([system.tasks[task].direction * (value - score[task]) for score in scores])
            for task, value in base.items()
        }
    return found


def _loss(values: Sequence[float]) -> Loss:
    mean = sum(values) / len(values)
    if len(values) < 2:
        return Loss(mean, math.nan)
    return Loss(mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)))


def _moved(batch: Batch, names: Sequence[str], order: Int[Tensor, "rows"]) -> Batch:
    """The batch, the inputs `names` taken from other rows, whether they are there included."""

    def of(columns: Columns) -> Columns:
        moved = columns.index(order)
        return Columns({name: (moved if name in names else columns)[name] for name in columns}, columns.rows)

    return replace(batch, inputs=of(batch.inputs), present=of(batch.present))


def one_by_one(system: System, schema: Schema, batch: Batch) -> list[tuple[str, dict[str, float]]]:
    """Each task's primary metric when the modalities come one after another, the later ones counting as missing.

    For a system that takes modalities in turn, such as MultiModN, this is its read-out after each step. Empty where an input
    cannot be told to be missing.
    """
    nothing: dict[str, tuple[Column, Tensor]] = {}
    for name, item in schema.inputs.items():
        try:
            nothing[name] = item.encode(pa.chunked_array([pa.nulls(len(batch))]))
        except Exception:  # a kind of input may refuse a column of nothing in its own way
            return []
    found, known = [], set[str]()
    for label, names in [("nothing", ()), *schema.modalities().items()]:
        known |= set(names)
        inputs = {name: batch.inputs[name] if name in known else nothing[name][0] for name in batch.inputs}
        present = {name: batch.present[name] if name in known else nothing[name][1] for name in batch.present}
        part = replace(batch, inputs=Columns(inputs, len(batch)), present=Columns(present, len(batch)))
        found.append((label, primary(system, part)))
    return found
