"""What the report computes: against scikit-learn, against worked examples, and by its properties."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import calibration_curve

from polytask.core import Schema, registry
from polytask.core.option import make
from polytask.report import _importance, _measures


def test_reliability_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    chance = random.random(1000)
    happened = random.random(1000) < chance**2
    found = _measures.reliability(chance, happened)
    share, mean = calibration_curve(happened, chance, n_bins=10, strategy="quantile")
    assert [one.observed for one in found] == pytest.approx(share, abs=0.011), "a row at an edge may go either way"
    assert [one.predicted for one in found] == pytest.approx(mean, abs=0.002)
    assert sum(one.rows for one in found) == 1000
    assert all(0 <= one.low <= one.observed <= one.high <= 1 for one in found)


def test_wilson_limits_of_a_known_case() -> None:
    (one,) = _measures.reliability(np.full(10, 0.5), np.arange(10) < 5, 1)
    assert (one.low, one.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    (none,) = _measures.reliability(np.full(10, 0.1), np.zeros(10, dtype=bool), 1)
    assert none.low == 0
    assert none.high == pytest.approx(0.2775, abs=1e-4)


def test_calibration_error() -> None:
    found = [_measures.Bin(0.2, 0.3, 0.0, 1.0, 30), _measures.Bin(0.9, 0.6, 0.0, 1.0, 10)]
    assert _measures.calibration_error(found) == pytest.approx((30 * 0.1 + 10 * 0.3) / 40)
    assert math.isnan(_measures.calibration_error([]))


@pytest.mark.parametrize("values", [[], [1.0], [2.0] * 50, [0.0] * 90 + [1.0] * 10, list(range(1000))])
def test_bins_hold_every_row_once_and_equal_values_together(values: list[float]) -> None:
    array = np.array(values, dtype=float)
    groups = _measures.bins(array)
    assert sorted(row for group in groups for row in group) == list(range(len(values)))
    assert len(groups) <= 10
    homes = {}
    for number, group in enumerate(groups):
        for value in array[group]:
            assert homes.setdefault(value, number) == number


def test_kaplan_meier_of_a_textbook() -> None:
    """Times 1, 2, 2+, 3, 4+, 5: 5/6, then 4/5 of it, then 2/3 of it, then none; who is censored at 2 is at risk at 2."""
    times = np.array([1.0, 2.0, 2.0, 3.0, 4.0, 5.0])
    events = np.array([True, True, False, True, False, True])
    curve = _measures.kaplan_meier(times, events)
    assert curve.times.tolist() == [1, 2, 3, 5]
    assert curve.survival == pytest.approx([5 / 6, 2 / 3, 4 / 9, 0])
    assert curve.at(0.5) == (1, 1, 1)
    assert curve.at(4.9)[0] == pytest.approx(4 / 9)
    assert (curve.low <= curve.survival).all()
    assert (curve.survival <= curve.high).all()
    greenwood = math.sqrt(1 / (6 * 5))  # at time 1; log-log limits by hand
    spread = math.exp(1.959964 * greenwood / abs(math.log(5 / 6)))
    assert curve.low[0] == pytest.approx((5 / 6) ** spread)


def test_kaplan_meier_without_an_event() -> None:
    assert _measures.kaplan_meier(np.array([1.0, 2.0]), np.array([False, False])).at(5.0) == (1, 1, 1)


def test_confusion_counts() -> None:
    found = _measures.confusion(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 0]), 3)
    assert found.tolist() == [[1, 1, 0], [0, 1, 0], [2, 0, 0]]


def frame(cosines: dict[tuple[int, str, str], float], stage: str = "fit") -> pd.DataFrame:
    rows = []
    for (epoch, a, b), cosine in cosines.items():
        rows += [(stage, epoch, a, b, cosine, 1.0), (stage, epoch, b, a, cosine, 2.0)]
    names = {name for _, a, b in cosines for name in (a, b)}
    rows += [(stage, epoch, name, name, 1.0, 3.0) for epoch in {key[0] for key in cosines} for name in sorted(names)]
    return pd.DataFrame(rows, columns=["stage", "epoch", "task", "other", "cosine", "norm"])


def test_conflict_orders_tasks_by_affinity_and_names_the_worst_pair() -> None:
    one = {("a", "c"): 0.9, ("b", "d"): 0.8, ("a", "b"): -0.5, ("a", "d"): -0.1, ("c", "b"): -0.2, ("c", "d"): 0.1}
    found = _measures.conflict([frame({(e, *pair): value for pair, value in one.items() for e in (1, 2)})])
    assert found is not None
    places = {task: number for number, task in enumerate(found.tasks)}
    assert abs(places["a"] - places["c"]) == 1
    assert abs(places["b"] - places["d"]) == 1
    first = found.pairs()[0]
    assert {first[0], first[1]} == {"a", "b"}
    assert first[2:] == pytest.approx((-0.5, 1.0))
    assert np.allclose(found.cosine[0], found.cosine[0].T)
    assert found.norm.tolist() == [[3.0] * 4] * 2
    joined = {frozenset(found.tasks[leaf] for leaf in merge[:2] if leaf < 4): merge[2] for merge in found.tree}
    assert joined[frozenset("ac")] == pytest.approx(0.9)


def test_conflict_is_the_mean_over_runs_and_counts_stages_on() -> None:
    first = pd.concat([frame({(1, "a", "b"): 0.2, (2, "a", "b"): 0.4}, "one"), frame({(1, "a", "b"): -1.0}, "two")])
    found = _measures.conflict([first, frame({(1, "a", "b"): 0.6}, "one")])
    assert found is not None
    assert found.epochs == (1, 2, 3)
    assert found.cosine[:, 0, 1] == pytest.approx([0.4, 0.4, -1.0])
    assert _measures.conflict([]) is None


def test_conflict_with_pairs_that_never_met() -> None:
    found = _measures.conflict([frame({(1, "a", "b"): 0.2, (2, "c", "d"): 0.3})])
    assert found is not None
    assert found.tree == ()
    assert len(found.pairs()) == 2


def test_permutation_finds_what_a_system_reads_and_leaves_the_rest() -> None:
    schema = Schema.parse({"inputs": {"x": "number", "y": "number"}, "tasks": {"t": "regression"}})
    system = registry.load("hard_sharing").build(schema, make(registry.load("hard_sharing").options_type, {"members": 1}, ""))
    batch = schema.example(200)
    batch.targets.tensor("t").copy_(system.eval()(batch)["t"].detach().squeeze(-1))
    found = _importance.permutation(system, batch, {"x": ("x",), "none": (), "both": ("x", "y")}, 3, 0)
    assert found["none"]["t"].mean == 0
    assert found["none"]["t"].deviation == 0
    assert 0 < found["x"]["t"].mean < found["both"]["t"].mean
    again = _importance.permutation(system, batch, {"x": ("x",)}, 3, 0)
    assert again["x"]["t"] == found["x"]["t"]
    assert math.isnan(_importance.permutation(system, batch, {"x": ("x",)}, 1, 0)["x"]["t"].deviation)


def test_one_modality_after_another_is_the_read_out_of_each_step() -> None:
    schema = Schema.parse(registry.systems()["multimodn"].example)
    cls = registry.load("multimodn")
    system = cls.build(schema, make(cls.options_type, {}, "")).eval()
    batch = schema.example(300)
    steps = _importance.one_by_one(system, schema, batch)
    assert [label for label, _ in steps] == ["nothing", *schema.modalities()]
    with torch.inference_mode():
        states, _ = system.states(batch)
        for state, (_, scores) in zip(states, steps, strict=True):
            for name, output in system.decoders(state, list(schema.tasks)).items():
                task = schema.tasks[name]
                expected = task.evaluate(task.predict(output), batch.targets.tensor(name))[task.primary]
                assert scores[name] == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert steps[-1][1] == pytest.approx(_importance.primary(system, batch), nan_ok=True)
