"""MGP-TCN and its rivals: what they do with draws, padding, class weights, neighbours and a saved state."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from polytask.core import Batch, Columns, OptionError, Ragged, Schema, registry
from polytask.core.option import make
from polytask.core.stage import Fit
from polytask.engine.fit import fit
from polytask.nn.temporal import carry_forward, grid, pad

SCHEMA = Schema.parse(
    {"inputs": {"labs": "series 2 5", "age": "number"}, "tasks": {"sepsis": "binary", "ward": "multiclass 3"}}
)
LEARNERS = ("mgp_tcn", "raw_tcn", "mgp_gru", "dtw_knn")
ROWS = 20


def build(learner: str = "mgp_tcn", schema: Schema = SCHEMA, **options: Any) -> Any:
    torch.manual_seed(0)
    cls = registry.load("mgp_tcn_dtw")
    small = {"filters": 6, "units": 6, "levels": 2, "samples": 3, "neighbours": (2, 4)}
    return cls.build(schema, make(cls.options_type, {"learner": learner} | small | options, "mgp_tcn_dtw")).eval()


def batch(rows: int = ROWS, seed: int = 0, absent: tuple[int, ...] = ()) -> Batch:
    found = SCHEMA.example(rows, seed)
    there = ~torch.isin(torch.arange(rows), torch.tensor(absent))
    return replace(found, present=Columns({"labs": there, "age": torch.ones(rows, dtype=torch.bool)}, rows))


def solved(learner: str, train: Batch, **options: Any) -> Any:
    system = build(learner, **options)
    for stage in system.stages():
        if not isinstance(stage, Fit):
            stage.run(train, batch(seed=7), 0)
    return system


def predictions(system: Any, rows: Batch) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return {name: system.tasks[name].predict(output) for name, output in system(rows).items()}


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_row_is_predicted_alike_alone_and_in_any_batch(learner):
    rows = batch(absent=(3,))
    system = solved(learner, batch(seed=1))
    every = predictions(system, rows)
    for chosen in ([3], [5], [9, 5, 0]):
        for name, alone in predictions(system, rows.index(torch.tensor(chosen))).items():
            torch.testing.assert_close(alone, every[name][chosen], atol=1e-5, rtol=0)
    assert torch.equal(every["sepsis"], predictions(system, rows)["sepsis"])


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_saved_state_gives_the_same_predictions(learner):
    system, other = solved(learner, batch(seed=1)), build(learner)
    other.load_state_dict({name: value.clone() for name, value in system.state_dict().items()})
    for name, found in predictions(other, batch()).items():
        assert torch.equal(found, predictions(system, batch())[name])


def test_many_rows_are_predicted_in_turns():
    rows, system = batch(300), build()
    whole = predictions(system, rows)["sepsis"]
    parts = [predictions(system, rows.index(some))["sepsis"] for some in torch.arange(300).split(70)]
    torch.testing.assert_close(whole, torch.cat(parts), atol=1e-5, rtol=0)


def test_a_prediction_is_the_mean_of_the_draws_probabilities():
    rows, system = batch(), build(samples=4)
    with torch.no_grad():
        output = system(rows)
    assert output["sepsis"].shape == (4, ROWS, 1)
    torch.testing.assert_close(predictions(system, rows)["sepsis"], output["sepsis"].sigmoid().mean(0))
    torch.testing.assert_close(predictions(system, rows)["ward"], output["ward"].softmax(-1).mean(0))
    assert output["sepsis"].std(0).min() > 0


def test_draws_of_training_are_fresh_and_gradients_reach_the_process():
    system = build().train()
    torch.manual_seed(0)
    first, second = (system.losses(batch())["sepsis"] for _ in range(2))
    assert first != second
    first.backward()
    for name in ("factor", "log_length", "log_noise"):
        assert getattr(system.gp, name).grad.any()


def test_the_mean_of_last_points_is_the_mean_of_shorter_series():
    """A causal network sees at an earlier point what it would see if the series ended there (carried forward, no draws)."""
    system, rows = build("raw_tcn", average=3), batch()
    column, here = rows.inputs["labs"], rows.present.tensor("labs")
    events = pad(column, here, 100)
    on = grid(events, system.step, 48)
    features = system._features(rows, 3)
    h = system.body(carry_forward(events, on, 2))
    for back in range(3):
        expected = h[torch.arange(ROWS), (on.length - 1 - back).clamp(min=0)]
        torch.testing.assert_close(features[back, :, :6], expected)


def test_positive_rows_weigh_as_much_as_their_prevalence_asks_and_outputs_are_corrected():
    train = batch(40, seed=1)
    target = torch.zeros(40)
    target[:8] = 1
    train = replace(train, targets=Columns({"sepsis": target, "ward": train.targets["ward"]}, 40))
    system = solved("raw_tcn", train)
    assert system.weight.tolist() == [5.0]
    plain = solved("raw_tcn", train, class_weight=False)
    with torch.no_grad():
        raw = plain(train)["sepsis"]
        torch.testing.assert_close(system(train)["sepsis"], raw - np.log(5.0))
        each = system.tasks["sepsis"].row_losses(raw, target, torch.ones(40, dtype=torch.bool))[0]
        expected = (each * torch.where(target > 0, 5.0, 1.0)).mean()
        torch.testing.assert_close(system.losses(train)["sepsis"], expected)


def naive(a: np.ndarray, b: np.ndarray) -> float:
    table = np.full((len(a) + 1, len(b) + 1), np.inf)
    table[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            table[i + 1, j + 1] = (a[i] - b[j]) ** 2 + min(table[i, j], table[i, j + 1], table[i + 1, j])
    return float(table[-1, -1])


def test_neighbours_vote_as_a_loop_says():
    train, query = batch(5, seed=1), batch(3, seed=2)
    system = solved("dtw_knn", train, neighbours=(2,))

    def binned(rows: Batch) -> list[np.ndarray]:
        events = pad(rows.inputs["labs"], rows.present.tensor("labs"), 100)  # type: ignore[arg-type]
        on = grid(events, system.step, 48)
        values = carry_forward(events, on, 2).numpy()
        return [values[i, : on.length[i]] for i in range(len(rows))]

    found, labels = predictions(system, query), train.targets.tensor("ward").tolist()
    for i, a in enumerate(binned(query)):
        chances = np.zeros(3)
        for m in range(2):
            distances = np.array([naive(a[:, m], b[:, m]) for b in binned(train)])
            near = np.argsort(distances)[:2]
            for j in near:
                chances[labels[j]] += 0.5 / distances[j] / (1 / distances[near]).sum()
        np.testing.assert_allclose(found["ward"][i].numpy(), chances, atol=1e-4)


def test_k_is_chosen_on_validation_rows():
    train = batch(ROWS, seed=1)
    system = build("dtw_knn", neighbours=(1, 15))
    system.remember(train, train, 0)  # each row is its own nearest neighbour
    assert system.neighbours.k.tolist() == [1, 1]


def test_neighbours_of_rows_without_series_or_labels_count_for_nothing():
    train = batch(ROWS, seed=1, absent=(0, 1))
    labelled = torch.arange(ROWS) > 9
    train = replace(train, labelled=Columns({"sepsis": labelled, "ward": torch.ones(ROWS, dtype=torch.bool)}, ROWS))
    system = solved("dtw_knn", train)
    assert len(system.neighbours.series) == ROWS - 2
    absent = predictions(system, batch(2, absent=(0,)))["sepsis"][0]
    torch.testing.assert_close(absent, train.targets.tensor("sepsis")[labelled].mean()[None])


def test_later_events_change_nothing_once_they_are_cut():
    rows, system = batch(), build()
    column = rows.inputs["labs"]
    assert isinstance(column, Ragged)
    early = column.values[:, 0] <= 3.0
    row = torch.arange(ROWS).repeat_interleave(column.lengths)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(row[early], minlength=ROWS).cumsum(0)])
    shifted = torch.where(early[:, None], column.values, column.values + torch.tensor([0.0, 0.0, 50.0]))
    found = []
    for values in (column.values, shifted):
        cut = Columns({"labs": Ragged(values[early], offsets), "age": rows.inputs["age"]}, ROWS)
        found.append(predictions(system, replace(rows, inputs=cut))["sepsis"])
    assert torch.equal(*found)
    assert not torch.equal(predictions(system, rows)["sepsis"], found[0])


def test_one_series_is_needed_and_neighbours_classify_alone():
    with pytest.raises(OptionError, match="needs one input of kind series, found 0"):
        build(schema=SCHEMA.only(inputs=("age",)))
    other = Schema.parse({"inputs": {"labs": "series 2 5"}, "tasks": {"days": "regression"}})
    with pytest.raises(OptionError, match="task 'days' is regression"):
        build("dtw_knn", other)
    assert build("mgp_tcn", other)(other.example(4))["days"].shape == (3, 4, 1)


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_plain_difference_is_learnt_from_a_table(learner):
    rng = np.random.default_rng(0)
    label = rng.random(120) < 0.4
    cells = [
        [{"time": float(t), "variable": "hr", "value": float(3 * sick * (t > 3) + 0.3 * rng.normal())} for t in range(8)]
        for sick in label
    ]
    table = pa.table({"labs": cells, "sick": label, "age": rng.normal(size=120)})
    options = {"learner": learner, "filters": 8, "units": 8, "levels": 2, "samples": 2, "step": 1.0}
    training = {"epochs": 3, "steps": 10, "threads": 1, "accelerator": "cpu"}
    run = fit(table, ["sick"], system="mgp_tcn_dtw", settings={"system": options, "training": training})
    assert run.scores["test"]["sick"]["auroc"] > 0.9
