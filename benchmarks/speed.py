"""How fast polytask is beside the same work without it: steps, data, prediction, starting, a whole fit, peers, threads.

    python benchmarks/speed.py [PART ...] [--quick]     # parts: step data mmoe start fit peers threads

All ways to do one work are measured in turns in one process, on one thread, after a round that warms up. A ratio is the
median of the rounds' ratios of processor time (of the clock, where work is done by other processes). Results go to
benchmarks/speed.json, a part at a time.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from statistics import mean, median
from typing import Any

import by_hand
import numpy as np
import pandas as pd
import threadpoolctl
import torch
import yaml
from _measure import HEADER, Book, Seconds, compared, in_turns
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import polytask
from polytask.balance import _balancer
from polytask.core import Batch, Parameters, Source, System
from polytask.data import shipped
from polytask.data.prepare import Prepared
from polytask.data.sample import Rows
from polytask.engine.config import Config
from polytask.engine.fit import _fabric, build, prepare_for
from polytask.engine.loop import Loop
from polytask.engine.predict import predict
from polytask.engine.threads import chosen, work
from polytask.engine.training import Training

HERE = Path(__file__).parent
POLYTASK = str(Path(sys.executable).with_name("polytask"))
SUPPORT2 = shipped.get("support2")
TASKS = dict(SUPPORT2.tasks)
ABOUT: dict[str, Any] = {"ignore": list(SUPPORT2.ignore), "inputs": shipped.declared_inputs(SUPPORT2)}


def support2() -> Prepared:
    """The shipped table with its four tasks: binary, ordinal, regression, survival."""
    return prepare_for(Config.from_dict({"data": ["@support2"], "tasks": TASKS, **ABOUT}))


def wide(rows: int = 8192, columns: int = 200) -> Prepared:
    """Made-up numbers, many a row, with the same four kinds of task."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, columns))
    sums = x @ draw.normal(size=(columns, 4)) / columns**0.5 + 0.3 * draw.normal(size=(rows, 4))
    frame = pd.DataFrame(x.astype(np.float32), columns=[f"x{i}" for i in range(columns)])
    frame = frame.mask(pd.DataFrame(draw.random(x.shape) < 0.1, columns=frame.columns))
    frame["died"] = sums[:, 0] > 0
    frame["grade"] = np.digitize(sums[:, 1], [-1, -0.3, 0.3, 1])
    frame["stay"] = sums[:, 2]
    frame["days"], frame["dead"] = np.exp(sums[:, 3]) * 100, draw.random(rows) < 0.7
    tasks = {
        "died": "binary",
        "grade": "ordinal",
        "stay": "regression",
        "survival": {"kind": "survival", "columns": ["days", "dead"]},
    }
    return prepare_for(Config.from_dict({"data": [{"file": "memory"}], "tasks": tasks}), [{"file": frame}])


def untrained(prepared: Prepared, system: str = "hard_sharing", **options: Any) -> System:
    """The system for these data."""
    return build(Config.from_dict({"data": [], "tasks": {}, "system": {"name": system, **options}}), prepared.schema)


def by_hand_of(prepared: Prepared, system: System, rows: Tensor) -> tuple[by_hand.Net, by_hand.Data]:
    """The hand-written network with the system's weights, and its whole tensors of the same rows."""
    schema, batch = prepared.schema, prepared.batch.index(rows)
    numbers, categories, booleans = (list(schema.of_kind(kind)) for kind in ("number", "category", "boolean"))
    sizes = torch.tensor([len(schema.inputs[name].values) + 2 for name in categories], dtype=torch.long)
    died, grade, stay, survival = (system.tasks[name] for name in system.tasks)
    outputs = [math.prod(task.output_shape) for task in (died, grade, stay, survival)]
    first = sizes.cumsum(0) - sizes
    net = by_hand.Net([np.array(schema.inputs[n].edges) for n in numbers], first, int(sizes.sum()), len(booleans), outputs)
    with torch.no_grad():
        for mine, theirs in zip(net.parameters(), _in_that_order(system, bool(categories), bool(booleans)), strict=True):
            mine.copy_(theirs.view_as(mine))

    def stacked(columns: Any, names: list[str], kind: torch.dtype) -> Tensor:
        return columns.stack(names).clone() if names else torch.zeros(len(batch), 0, dtype=kind)

    seen = stacked(batch.present, categories, torch.bool)
    targets = [batch.targets.tensor(name) for name in system.tasks]
    happens, at_risk = survival.intervals(targets[3])
    data = by_hand.Data(
        stacked(batch.inputs, numbers, torch.float32), stacked(batch.present, numbers, torch.bool),
        torch.where(seen, stacked(batch.inputs, categories, torch.long), sizes - 1),
        stacked(batch.inputs, booleans, torch.float32) * 2 - 1, stacked(batch.present, booleans, torch.bool),
        targets[0], targets[1], stay.fence(targets[2]), happens.float(), at_risk.float(),
        torch.stack([batch.labelled.tensor(name) for name in system.tasks], 1),
    )  # fmt: skip
    return net, data


def _in_that_order(system: Any, categories: bool, booleans: bool) -> Iterator[Tensor]:
    """The parameters of `hard_sharing` in the order of the hand-written network's."""
    parts = list(system.stem.encoder.parts)
    embed, missing = parts[0].embed, parts[0].missing
    yield from (embed.bins, embed.slope, embed.bias, missing.vector)
    yield parts.pop(1).table if categories else torch.zeros(0)
    yield parts[1].missing.vector if booleans else torch.zeros(0)
    yield system.stem.members.scale
    yield from system.trunk.parameters()
    heads = [system.heads.heads[name].out for name in system.tasks]
    yield from (head.weight for head in heads)
    yield from (head.bias for head in heads)


class InTurns(Source):
    """A source that times the steps which the loop makes of each epoch, then does the same work in other ways."""

    def __init__(self, rows: Rows, others: list[Callable[[int], object]]) -> None:
        self.rows, self.others = rows, others
        self.times: list[list[Seconds]] = [[] for _ in range(1 + len(others))]

    def epoch(self, number: int) -> Iterator[Batch]:
        clock, cpu = time.perf_counter(), time.process_time()
        yield from self.rows.epoch(number)  # it comes back when the last step is made
        self.times[0].append(Seconds(time.perf_counter() - clock, time.process_time() - cpu))
        for times, other in zip(self.times[1:], self.others, strict=True):
            times.append(Seconds.of(partial(other, number)))

    def __len__(self) -> int:
        return len(self.rows)


def loop_of(prepared: Prepared, source: Source, options: dict[str, Any]) -> Loop:
    """Polytask's loop, as `fit` makes it."""
    config = Config.from_dict({"data": [], "tasks": {}, "training": options})
    system = untrained(prepared)
    balancer = _balancer.make("equal", list(system.objectives()), {})
    few = prepared.batch.index(prepared.split.validation[:300])
    return Loop(system, balancer, config.training, _fabric(config.training), source, few, few)


def bare(system: System, rows: Rows, training: Training, averaged: bool) -> Callable[[int], None]:
    """One pass over the rows with the same modules and losses, and no engine."""
    weights = [p for name, p in system.named_parameters() if name.endswith("weight")]
    others = [p for name, p in system.named_parameters() if not name.endswith("weight")]
    adam = training.make_optimizer([Parameters(weights), Parameters(others, weight_decay=0.0)])
    average = by_hand.Average(system)

    def epoch(number: int) -> None:
        for batch in rows.epoch(number):
            adam.zero_grad()
            torch.stack(list(system.losses(batch).values())).sum().backward()
            adam.step()
            if averaged:
                average.update()

    return epoch


def step(book: Book, quick: bool) -> None:
    """A training step of `hard_sharing`, 256 rows, beside the same modules in a bare loop, and beside all by hand."""
    rounds = 6 if quick else 24
    for name, prepared in (("SUPPORT2", support2()), ("200 numbers", wide())):
        chosen = prepared.split.train[: 256 * (8 if quick else 20)]
        rows = Rows(prepared.batch, chosen, 256, 0)
        for decay in (0.98, 0.0):
            options = {
                "epochs": rounds + 1, "patience": rounds + 1, "steps": 1, "threads": 1, "average": decay, "accelerator": "cpu",
            }  # fmt: skip
            loop = loop_of(prepared, rows, options)
            net, data = by_hand_of(prepared, loop.system, chosen)
            _same_losses(loop.system, prepared.batch.index(chosen[:256]), net, data[torch.arange(256)])
            same = untrained(prepared)
            adam, average = by_hand.optimizer(net), by_hand.Average(net) if decay else None
            others = [
                lambda number, net=net, data=data, adam=adam, average=average: by_hand.train(net, data, adam, average),
                bare(same, rows, loop.training, bool(decay)),
            ]
            loop.source = turns = InTurns(rows, others)
            loop.run()
            ours, hand, modules = (times[1:] for times in turns.times)
            with_ = "with the average" if decay else "no average of weights"
            about = {"per": len(rows), "unit": "ms"}
            book.add(
                compared("step", f"step, {name}, {with_}: beside a bare loop", ours, modules, most=1.15, **about),
                compared("step", f"step, {name}, {with_}: beside all by hand", ours, hand, **about),
            )


def _same_losses(system: System, batch: Batch, net: by_hand.Net, data: by_hand.Data) -> None:
    """The two networks compute the same, or the comparison means nothing."""
    ours = torch.stack(list(system.losses(batch).values()))
    if not torch.allclose(ours, by_hand.losses(net(data), data), rtol=1e-4, atol=1e-5):
        raise SystemExit("the hand-written network is not the same as hard_sharing")


class Cells(Dataset[dict[str, Tensor]]):
    """A row at a time, as tutorials write it: a dictionary of the row's tensors."""

    def __init__(self, data: by_hand.Data) -> None:
        self.tensors = vars(data)

    def __len__(self) -> int:
        return len(self.tensors["x"])

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {name: tensor[row] for name, tensor in self.tensors.items()}


def data(book: Book, quick: bool) -> None:
    """An epoch of batches and nothing else, beside torch's DataLoader over the same rows."""
    prepared = support2()
    chosen = prepared.split.train
    _, tensors = by_hand_of(prepared, untrained(prepared), chosen)
    rows, loader = Rows(prepared.batch, chosen, 256, 0), DataLoader(Cells(tensors), batch_size=256, shuffle=True)
    times = in_turns([lambda: list(rows.epoch(0)), lambda: list(loader)], 3 if quick else 15)
    book.add(compared("data", f"an epoch of {len(chosen):,} rows: beside DataLoader", *times, most=1 / 5))


def mmoe(book: Book, quick: bool) -> None:
    """One `mmoe` that predicts eight tasks, beside a network a task."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(4096, 30))
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(30)])
    for number in range(8):
        y = x @ draw.normal(size=30) + draw.normal(size=len(x))
        frame[f"y{number}"] = y > 0 if number % 2 else y
    config = Config.from_dict({"data": [{"file": "memory"}], "tasks": [f"y{i}" for i in range(8)]})
    prepared = prepare_for(config, [{"file": frame}])
    batch = prepared.batch.index(torch.arange(len(frame)))
    one = untrained(prepared, "mmoe")
    rivals = {
        "eight of width 256, as its experts cost": (untrained(prepared, "single_task"), 1 / 3),
        "eight of one expert's width, 64": (untrained(prepared, "single_task", width=64), None),
    }
    for name, (eight, most) in rivals.items():
        times = in_turns([partial(predict, one, batch), partial(predict, eight, batch)], 3 if quick else 15)
        book.add(compared("mmoe", f"mmoe predicts 8 tasks: beside {name}", *times, most=most))


def start(book: Book, quick: bool) -> None:
    """The start: `polytask --help` beside an empty Python; neither it nor `import polytask` loads torch."""
    empty = partial(_run, [sys.executable, "-c", "pass"])
    commands = {"polytask --help": [POLYTASK, "--help"], "import polytask": [sys.executable, "-c", "import polytask"]}
    for name, command in commands.items():
        times = in_turns([partial(_run, command), empty], 5, children=True)
        book.add(compared("start", f"{name}: beside an empty Python", *times, unit="s", by="clock", within=0.5))
    if "True" in _run([sys.executable, "-c", "import sys, polytask, polytask.cli._app; print('torch' in sys.modules)"]):
        raise SystemExit("import polytask loads torch")


def _run(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def fit(book: Book, quick: bool) -> None:
    """`polytask fit` of SUPPORT2, from a CSV file to a run folder, beside by_hand.py: whole processes on one thread."""
    epochs = 4 if quick else 20
    with tempfile.TemporaryDirectory() as folder:
        csv, config, number = Path(folder) / "support2.csv", Path(folder) / "polytask.yaml", count()
        shipped.load("support2").to_pandas().to_csv(csv, index=False)
        training = {"epochs": epochs, "patience": epochs, "threads": 1}
        about = {key: value for key, value in ABOUT.items() if key != "inputs"}
        config.write_text(yaml.safe_dump({"data": str(csv), "tasks": TASKS, "training": training, **about}))
        script = [sys.executable, str(HERE / "by_hand.py"), str(csv), "--epochs", str(epochs), "--out", f"{folder}/by_hand"]
        works = [lambda: _run([POLYTASK, "fit", str(config), "--out", f"{folder}/{next(number)}"]), lambda: _run(script)]
        times = in_turns(works, 1 if quick else 5, warm=0 if quick else 1, children=True)
    what = f"fit of SUPPORT2, {epochs} epochs, whole process: beside a script"
    book.add(compared("fit", what, *times, unit="s", by="clock", most=2.0))


def peers(book: Book, quick: bool) -> None:
    """Seconds and test scores on SUPPORT2, the same rows: one network for all tasks, and scikit-learn's models, one a task.

    scikit-learn has no survival model: its means are of the other three tasks, as the first line of polytask's is.
    """
    few = {name: task for name, task in TASKS.items() if name != "survival"}
    training = {"threads": 1} | ({"epochs": 4} if quick else {})
    for name, tasks in (("polytask, 3 tasks", few), ("polytask, 4 tasks", TASKS)):
        scores: dict[str, float] = {}
        spent = Seconds.of(partial(_polytask_scores, tasks, training, scores))
        _peer(book, name, spent, scores)
    for name, model in sklearn_models().items():
        scores = {}
        spent = Seconds.of(partial(_sklearn_scores, model, scores))
        _peer(book, name, spent, scores)


def _peer(book: Book, name: str, spent: Seconds, scores: dict[str, float]) -> None:
    shared = mean(value for task, value in scores.items() if task != "survival")
    book.put("peers", {"name": name, "clock": spent.clock, "cpu": spent.cpu, "mean of 3": shared, "scores": scores})
    each = " ".join(f"{task} {value:.3f}" for task, value in scores.items())
    print(f"{name:44} {spent.clock:6.1f} s clock {spent.cpu:6.1f} s cpu   mean of 3 tasks {shared:.4f}   {each}", flush=True)


def sklearn_models() -> dict[str, Callable[[bool], Any]]:
    """Each peer as a function from whether it classifies to an untrained model of raw columns."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def network(classifies: bool) -> Any:
        numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
        categories = OneHotEncoder(handle_unknown="ignore")
        columns = make_column_transformer(
            (numbers, make_column_selector(dtype_include="number")), (categories, make_column_selector(dtype_exclude="number"))
        )
        kind = MLPClassifier if classifies else MLPRegressor
        return make_pipeline(columns, kind(hidden_layer_sizes=(256, 256), early_stopping=True, random_state=0))

    def trees(classifies: bool) -> Any:
        kind = HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
        return kind(early_stopping=True, random_state=0, categorical_features="from_dtype")

    return {"scikit-learn MLP 256, 256, a task": network, "scikit-learn HistGradientBoosting, a task": trees}


def _polytask_scores(tasks: dict[str, Any], training: dict[str, Any], scores: dict[str, float]) -> None:
    run = polytask.fit("@support2", tasks, settings={**ABOUT, "training": training})
    scores |= {name: run.scores["test"][name][task.primary] for name, task in run.schema.tasks.items()}


def _sklearn_scores(model: Callable[[bool], Any], scores: dict[str, float]) -> None:
    """Each task's test score, of a model trained on polytask's training and validation rows."""
    from sklearn.metrics import r2_score, roc_auc_score

    prepared = support2()
    frame = shipped.load("support2").to_pandas()
    x = frame.drop(columns=ABOUT["ignore"]).astype(dict.fromkeys(by_hand.CATEGORIES, "category"))
    rest, test = np.r_[prepared.split.train, prepared.split.validation], prepared.split.test.numpy()
    y = frame["sfdm2"]
    known, scored = rest[y.iloc[rest].notna()], test[y.iloc[test].notna()]
    stay = np.log1p(frame["slos"])
    levels = model(True).fit(x.iloc[known], y.iloc[known])
    chances = levels.predict_proba(x.iloc[scored])
    each = [roc_auc_score(y.iloc[scored] == level, chances[:, i]) for i, level in enumerate(levels.classes_)]
    died = model(True).fit(x.iloc[rest], frame["hospdead"].iloc[rest]).predict_proba(x.iloc[test])[:, 1]
    days = model(False).fit(x.iloc[rest], stay.iloc[rest]).predict(x.iloc[test])
    scores["hospdead"], scores["sfdm2"] = float(roc_auc_score(frame["hospdead"].iloc[test], died)), float(mean(each))
    scores["slos"] = float(r2_score(stay.iloc[test], days))


def threads(book: Book, quick: bool) -> None:
    """Steps a second on one thread and on two, alone and beside busy neighbours, which bear on the choice of threads."""
    prepared = support2()
    networks = {
        "default": {},
        "width 1024, 3 layers": {"width": 1024, "depth": 3},
        "width 2048, 3 layers": {"width": 2048, "depth": 3},
    }
    rows = Rows(prepared.batch, prepared.split.train[: 256 * (4 if quick else 8)], 256, 0)
    for name, options in networks.items():
        system = untrained(prepared, **options)
        epoch = bare(system, rows, Training(), True)
        size = sum(p.numel() for p in system.parameters())
        taken = chosen(0, work(system, prepared.batch, 256), os.cpu_count())
        for neighbours in (0, 1, 2):
            with busy(neighbours):
                works = [partial(_on, count, epoch) for count in (1, 2)]
                one, two = in_turns(works, 2 if quick else 8)
            row = {"network": name, "parameters": size, "polytask takes": taken, "neighbours": neighbours}
            speeds = {
                f"steps/s, {n} threads": len(rows) / median(s.clock for s in each) for n, each in enumerate((one, two), 1)
            }
            ratio = median(b.clock / a.clock for a, b in zip(one, two, strict=True))
            book.put("threads", {**row, **speeds, "clock of two / one": ratio})
            told = ", ".join(f"{key} {value:.1f}" for key, value in speeds.items())
            print(f"{name:22} {size:10,} parameters, {neighbours} busy neighbours: {told}; two take {ratio:.2f} x", flush=True)
        print(f"{name:22} polytask takes {taken}", flush=True)


def _on(threads: int, epoch: Callable[[int], None]) -> None:
    torch.set_num_threads(threads)
    epoch(0)
    torch.set_num_threads(1)


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """That many processes that compute until this ends."""
    code = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(100000))"
    loops = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(processes)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main() -> None:
    parts = {"step": step, "data": data, "mmoe": mmoe, "start": start, "fit": fit, "peers": peers, "threads": threads}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts))
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    parser.add_argument("--json", type=Path, default=HERE / "speed.json")
    given = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # of the processes that are started
    torch.set_num_threads(1)
    threadpoolctl.threadpool_limits(1)
    warnings.simplefilter("ignore")
    book = Book(given.json, given.quick)
    print(HEADER)
    for name in given.parts or parts:
        parts[name](book, given.quick)
        book.save()


if __name__ == "__main__":
    main()
