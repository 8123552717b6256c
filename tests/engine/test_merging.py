"""Merging runs: what must hold whatever the system, and what is refused; starting from a run."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import QUICK, small
from lightning_fabric import Fabric

from polytask.balance import _balancer
from polytask.core import DataError, OptionError, RunError
from polytask.data.prepare import Prepared, prepare
from polytask.engine import warm
from polytask.engine.config import Config
from polytask.engine.fit import build, fit
from polytask.engine.loop import Loop
from polytask.engine.merging import Adapting, merge, unlabelled
from polytask.engine.run import Run

INPUTS = ["a", "b", "c", "ward"]


def base_run(system: str = "hard_sharing", **options: Any) -> Run:
    frame = small()[[*INPUTS, "cost"]]
    return fit(frame, ["cost"], system=system, settings=QUICK | {"system": {**QUICK["system"], **options}})


def tuned(base: Run, task: str, seed: int = 0, epochs: int = 4) -> Run:
    """A run of one task that starts from `base`."""
    frame = small(seed=seed)[[*INPUTS, "cost", "ill"]].rename(columns={"ill": "sick"})
    frame["ill"] = frame["sick"].where(frame["c"] > 0, frame["ward"].map({"n": "yes", "s": "no", "w": "no"}))
    frame = frame[[*INPUTS, task]]
    values = base.config.to_dict() | {"tasks": [task], "data": [{"file": "(in memory)"}]}
    config = Config.from_dict(values)
    prepared = warm.prepared_for(rows_of(config, frame), base)
    system = build(config, prepared.schema)
    warm.start_from(system, base)
    if epochs:
        rows = {part: prepared.rows(part) for part in ("train", "validation")}
        source = prepared.training_source(32, seed, config.mix)
        fabric = Fabric(accelerator="cpu", devices=1)
        Loop(system, _balancer.make("equal", [task], {}), config.training, fabric, source, **rows).run()
    return Run(config, prepared.schema, system.eval(), {}, {})


def rows_of(config: Config, frame: pd.DataFrame) -> Prepared:
    return prepare([{"file": frame}], config.tasks, config.inputs, config.ignore, config.split)


@pytest.fixture(scope="module")
def base() -> Run:
    return base_run()


@pytest.fixture(scope="module")
def two(base: Run) -> list[Run]:
    return [tuned(base, "sick"), tuned(base, "ill", seed=1)]


def predictions(run: Run) -> pd.DataFrame:
    return run.predict(small()[INPUTS]).sort_index(axis=1)


def test_the_merged_run_is_a_run_like_any_other(base: Run, two: list[Run], tmp_path: Path) -> None:
    merged = merge(two, "ties", base, out=tmp_path / "merged")
    assert list(merged.schema.tasks) == ["sick", "ill"]
    pd.testing.assert_frame_equal(predictions(Run.load(tmp_path / "merged")), predictions(merged))
    with pytest.raises(RunError, match="already holds"):
        merge(two, "ties", base, out=tmp_path / "merged")


def test_runs_that_did_not_move_merge_to_themselves(base: Run) -> None:
    still = [tuned(base, "sick", epochs=0), tuned(base, "ill", epochs=0)]
    for method in ("average", "task_arithmetic", "ties"):
        merged = predictions(merge(still, method, base))
        for run in still:
            own = predictions(run)
            pd.testing.assert_frame_equal(merged[own.columns], own)


@pytest.mark.parametrize("method", ["average", "task_arithmetic", "ties"])
def test_the_order_of_runs_does_not_matter(base: Run, two: list[Run], method: Any) -> None:
    there, back = predictions(merge(two, method, base)), predictions(merge(two[::-1], method, base))
    pd.testing.assert_frame_equal(there, back, rtol=1e-4)


def test_average_is_task_arithmetic_with_one_over_k(base: Run, two: list[Run]) -> None:
    left, right = predictions(merge(two, "average")), predictions(merge(two, "task_arithmetic", base, scale=0.5))
    pd.testing.assert_frame_equal(left, right, rtol=1e-3)
    moved = merge(two, "task_arithmetic", base, scale=1.0)
    assert not predictions(moved).equals(right)


def test_scale_0_is_the_base(base: Run, two: list[Run]) -> None:
    merged = merge(two, "task_arithmetic", base, scale=0.0)
    ours, theirs = warm.shared_state(merged.system), warm.shared_state(base.system)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("options", [{}, {"granularity": "task"}, {"plus": True}])
def test_adamerging_lowers_entropy_and_reads_no_label(base: Run, two: list[Run], options: dict[str, Any]) -> None:
    rows = small(seed=3)[INPUTS]
    adapting = Adapting(steps=15, lr=0.04, **options)
    keep = 0.5
    merged = merge(two, "adamerging", base, rows, keep=keep, adapting=adapting)
    start = merge(two, "adamerging", base, rows, keep=keep, adapting=Adapting(steps=0, **options))

    def entropy(run: Run) -> float:
        p = torch.tensor(run.predict(rows)[["sick_probability", "ill_probability"]].to_numpy())
        return float(torch.distributions.Bernoulli(p).entropy().mean())

    assert entropy(merged) < entropy(start)
    labels = pd.Series(["yes", "no"] * 80)
    for other in (labels, labels[::-1].reset_index(drop=True)):
        known = merge(two, "adamerging", base, rows.assign(sick=other, ill=other), keep=keep, adapting=adapting)
        pd.testing.assert_frame_equal(predictions(known), predictions(merged))


def test_rows_with_a_label_of_a_task_are_its_rows(two: list[Run], base: Run) -> None:
    schema = merge(two, "average").schema
    rows = small(seed=3)[INPUTS].assign(sick=["yes", None] * 80, ill=[None] * 120 + ["no"] * 40)
    assert {name: len(batch) for name, batch in unlabelled(schema, rows).items()} == {"sick": 80, "ill": 40}
    each = unlabelled(schema, {"ill": rows})
    assert {name: len(batch) for name, batch in each.items()} == {"ill": 160}
    with pytest.raises(OptionError, match="'died' is no task"):
        unlabelled(schema, {"died": rows})


def test_what_does_not_go_together_is_named(base: Run, two: list[Run]) -> None:
    with pytest.raises(OptionError, match="needs it"):
        merge(two, "task_arithmetic")
    with pytest.raises(OptionError, match="unlabelled rows"):
        merge(two, "adamerging", base)
    with pytest.raises(OptionError, match="unknown name 'mean'"):
        merge(two, "mean")
    with pytest.raises(RunError, match="two runs"):
        merge(two[:1], "average")
    with pytest.raises(RunError, match="has task 'sick'"):
        merge([two[0], two[0]], "average")
    wide = base_run(width=12)
    with pytest.raises(RunError, match="width=12"):
        merge([two[0], tuned(wide, "ill", epochs=0)], "average")
    other = base_run("mmoe")
    with pytest.raises(RunError, match=r"system mmoe"):
        merge([two[0], tuned(other, "ill", epochs=0)], "average")
    alone = fit(small(seed=5)[[*INPUTS, "ill"]], ["ill"], settings=QUICK)
    with pytest.raises(RunError, match=r"input 'a'.*|reads input"):
        merge([two[0], alone], "average")


def test_a_system_whose_shared_part_depends_on_its_tasks_is_refused() -> None:
    base = base_run("mmoe")
    with pytest.raises(RunError, match=r"'gate.weight'.*does not depend on its tasks"):
        merge([tuned(base, "sick", epochs=0), tuned(base, "ill", epochs=0)], "average")


def test_a_start_keeps_inputs_shared_weights_and_known_heads(base: Run) -> None:
    again = tuned(base, "sick", epochs=0)
    ours, theirs = warm.shared_state(again.system), warm.shared_state(base.system)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert again.schema.inputs == base.schema.inputs
    config = Config.from_dict(base.config.to_dict())
    system = build(config, base.schema)
    assert warm.start_from(system, base) == ("cost",)
    assert all(torch.equal(value, base.system.state_dict()[name]) for name, value in system.state_dict().items())


def test_an_input_of_the_start_cannot_be_a_task(base: Run) -> None:
    config = Config.from_dict(base.config.to_dict() | {"tasks": ["ward"]})
    with pytest.raises(DataError, match=r"'ward'.*a task here"):
        warm.prepared_for(rows_of(config, small()[INPUTS]), base)
