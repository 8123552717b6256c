"""MultiModN is robust to modalities that are missing for a reason (Swamy et al. 2023)."""

claim = {
    "statement": "A missing modality is skipped, so a modular sequential network, unlike parallel fusion, does not "
    "fail where modalities are missing not at random, and in another way than in training.",
    "source": "section 5, figures 4 and 5",
    "reported": "a modality hidden in one class in training, in the other at test: parallel fusion collapses, MultiModN not; "
    "complete data: the two are equal within their intervals",
    "data": ["support2"],
    "systems": ["multimodn", "hard_sharing"],
    "arms": {
        "batch": "MultiModN as published: a modality is skipped for the whole batch if any row lacks it; labs in the middle",
        "sample": "MultiModN that skips each row for itself, labs in the middle",
        "sample_last": "MultiModN that skips each row for itself, labs last",
        "parallel": "all modalities side by side, the training median for what is absent, one network of the same size",
        "parallel_dropout": "parallel, with the labs hidden at random in half of the training rows besides",
    },
    "controls": {"no_labs": "MultiModN with the labs left out altogether, as anyone can do who knows that they mislead"},
    "checks": {
        "robust": {
            "arm": "batch", "metric": "drop", "direction": "min", "margin": -0.05, "unit": "AUROC",
            "says": "Labs hidden in 80 % of the patients who died in training, at test in those who lived: the loss of AUROC",
        },
        "uses_labs": {
            "arm": "batch", "against": "no_labs", "metric": "auroc", "direction": "max", "margin": 0.005, "unit": "AUROC",
            "says": "On untouched test rows, MultiModN with batch-level skipping against MultiModN without the labs",
        },
        "rows": {"arm": "sample", "metric": "drop", "direction": "min", "margin": -0.05, "unit": "AUROC", "decides": False,
                 "says": "The same loss when each row skips for itself, labs in the middle"},
        "rows_last": {"arm": "sample_last", "metric": "drop", "direction": "min", "margin": -0.05, "unit": "AUROC",
                      "decides": False, "says": "The same loss when each row skips for itself, labs last"},
        "rival": {
            "arm": "batch", "against": ["parallel", "parallel_dropout"], "metric": "drop", "direction": "min", "margin": 0.05,
            "unit": "AUROC", "decides": False, "says": "How much less batch-level MultiModN loses than parallel fusion",
        },
        "no_cost": {
            "arm": "sample", "against": "parallel", "metric": "complete", "direction": "max", "margin": -0.01,
            "unit": "mean AUROC of four tasks", "says": "With nothing hidden, MultiModN against parallel fusion",
        },
    },
    "seeds": {"smoke": 1, "quick": 5, "full": 10},
    "test_share": 0.3125,
    "differs": "SUPPORT2 stands in for MIMIC. Robustness rests on the batch-level skip: with 80 % of a class hidden nearly "
    "every batch skips the labs, which are hardly trained. A network that skips by row learns from the skip itself.",
}  # fmt: skip

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polytask.data.real import support2
from polytask.engine.fit import fit
from polytask.engine.run import Run
from polytask.ledger import Measured

ROWS = {"smoke": 600, "quick": 6000, "full": 9105}
EPOCHS = {"smoke": 1, "quick": 8, "full": 40}
TASKS = ["hospdead", "death", "dead_180", "long_stay"]
MULTI = {"batch": "batch", "sample": "sample", "sample_last": "sample", "no_labs": "sample"}


def hide(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """The table without the labs of `rows`."""
    for name in support2.modalities["labs"]:
        place = table.column_names.index(name)
        table = table.set_column(place, name, pc.if_else(pa.array(rows), pa.scalar(None, table[name].type), table[name]))
    return table


def cohort(seed: int, size: str) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Patients in a seed's order with their parts and four binary tasks, who died, and a draw of 80 % of all rows."""
    random = np.random.default_rng([seed, 9])
    table = support2.load()
    table = table.take(pa.array(random.permutation(table.num_rows)[: ROWS[size]]))
    died = np.asarray(table["hospdead"]) == 1
    soon = (np.asarray(table["d.time"]) < 180) & (np.asarray(table["death"]) == 1)
    long = np.asarray(table["slos"]) > np.median(np.asarray(table["slos"]))
    part = np.array(["train", "validation", "test"])[np.digitize(np.arange(len(died)) / len(died), [0.64, 0.8])]
    for name, values in {"part": part, "dead_180": soon, "long_stay": long}.items():
        table = table.append_column(name, pa.array(values))
    return table, died, random.random(len(died)) < 0.8


def train(arm: str, table: pa.Table, tasks: list[str], seed: int, size: str) -> Run:
    """The arm's network, all of about the same size, after equally many steps; the best validation score is kept."""
    last = arm == "sample_last"
    groups = sorted(support2.modalities.items(), key=lambda pair: last and pair[0] == "labs")
    columns = [name for group, names in groups for name in names if not (arm == "no_labs" and group == "labs")]
    inputs = {name: {"modality": group} for group, names in groups for name in names if name in columns}
    plain: dict[str, Any] = {"embedding": "none", "members": 1, "absent": "zero"}
    own = {"skip": MULTI[arm]} if arm in MULTI else {"width": 140, "depth": 2, "dropout": 0.2}
    training = {"epochs": EPOCHS[size], "patience": EPOCHS[size], "batch_size": 16, "lr": 1e-3, "weight_decay": 0.0}
    training |= {"average": 0.0, "seed": seed, "threads": 1}
    split = {"how": "given", "column": "part"}
    settings = {"system": {**plain, **own}, "inputs": inputs, "split": split, "training": training}
    system = "multimodn" if arm in MULTI else "hard_sharing"
    return fit(table.select([*columns, "part", *tasks]), dict.fromkeys(tasks, "binary"), system=system, settings=settings)


def measure(arm: str, seed: int, size: str) -> Measured:
    """Train with labs hidden in those who died; test untouched, hidden in those who lived, and hidden in those who died."""
    table, died, drawn = cohort(seed, size)
    test = np.asarray(table["part"]) == "test"
    biased = hide(table, drawn & died & ~test)
    if arm == "parallel_dropout":
        biased = hide(biased, ~test & (np.random.default_rng([seed, 90]).random(len(died)) < 0.5))
    run = train(arm, biased, ["hospdead"], seed, size)

    def auroc(hidden: np.ndarray) -> float:
        return run.evaluate(hide(table, hidden).filter(pa.array(test)))["hospdead"]["auroc"]

    same, flipped = auroc(died & False), auroc(drawn & ~died)
    metrics = {"auroc": same, "flipped": flipped, "drop": same - flipped, "hidden_as_trained": auroc(drawn & died)}
    if arm in ("sample", "parallel"):
        complete = train(arm, table, TASKS, seed, size).scores["test"]
        metrics["complete"] = float(np.mean([complete[task]["auroc"] for task in TASKS]))
    return Measured(metrics, int(run.cost["parameters"]), int(run.cost["steps"]))
