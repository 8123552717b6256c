"""Verdicts follow from the results, and test rows choose nothing."""

import json
from collections.abc import Mapping
from dataclasses import replace

from polytask.engine.comparison import Comparison, Result

SEEDS = 3


def results(values: Mapping[str, tuple[float, float]], seeds: int = SEEDS, **bytes: float) -> list[Result]:
    """For each system its validation and its test score; seeds differ a little, all systems alike."""
    return [
        Result(
            system, "equal", seed,
            {part: {"t": {"r2": score * (1 + 0.01 * seed)}} for part, score in zip(("validation", "test"), pair, strict=True)},
            {"parameters": 10.0, "bytes": bytes.get(system, 40.0), "seconds": 1.0},
            {"t": "r2"}, {"t": 1}, 0.25, f"cells/{system}-{seed}",
        )
        for system, pair in values.items()
        for seed in range(seeds)
    ]  # fmt: skip


def compare(values: Mapping[str, tuple[float, float]], seeds: int = SEEDS, **bytes: float) -> Comparison:
    return Comparison.of(results(values, seeds, **bytes), "single_task")


def test_a_shared_network_that_wins_is_shipped() -> None:
    found = compare({"single_task": (0.5, 0.5), "mmoe": (0.6, 0.6), "trees": (0.55, 0.55)})
    assert found.winner == ("mmoe", "equal")
    text = " ".join(found.verdict())
    assert "Ship mmoe + equal" in text
    assert "(+20.00 %)" in text
    assert "against trees: +10.00 points" in text
    assert text.count("better") == 2


def test_trees_that_win_are_said_to() -> None:
    found = compare({"single_task": (0.5, 0.5), "mmoe": (0.6, 0.6), "trees": (0.7, 0.7)})
    assert "No shared network was better than the baseline 'trees' here." in found.verdict()


def test_one_model_a_task_is_kept_where_sharing_does_not_help() -> None:
    found = compare({"mmoe": (0.4, 0.4), "single_task": (0.5, 0.5)})
    assert found.verdict()[0].startswith("Ship single_task")


def test_a_tie_with_a_smaller_model_is_told() -> None:
    tied = results({"single_task": (0.5, 0.5), "mmoe": (0.6, 0.6), "ple": (0.59, 0.6)}, ple=10.0)
    wobble = {0: 0.02, 1: -0.02, 2: 0.0}
    tied = [
        replace(r, scores=r.scores | {"test": {"t": {"r2": 0.6 + wobble[r.seed]}}}) if r.system == "ple" else r for r in tied
    ]
    assert Comparison.of(tied, "single_task").verdict()[-1] == (
        "ple + equal is not told apart from it by these seeds, at 25% of its size."
    )


def test_one_seed_has_no_interval() -> None:
    sentences = compare({"single_task": (0.5, 0.5), "mmoe": (0.6, 0.6)}, seeds=1).verdict()
    assert sentences[1] == "On the test rows, against single_task: +20.00 points of mean gain (one seed, so no interval)."
    assert len(sentences) == 2


def test_test_scores_choose_nothing() -> None:
    scores = {"single_task": (0.5, 0.9), "mmoe": (0.6, 0.1), "ple": (0.55, 0.99), "trees": (0.58, 0.5)}
    turned = {name: (pair[0], other[1]) for (name, pair), other in zip(scores.items(), reversed(scores.values()), strict=True)}
    assert [row.key for row in compare(scores).rows] == [row.key for row in compare(turned).rows]
    assert compare(scores).winner == compare(turned).winner == ("mmoe", "equal")


def test_what_is_undefined_is_null_in_json() -> None:
    found = Comparison.of(results({"single_task": (0.5, 0.5)}, seeds=1), "single_task", {"trees": "no such task"})
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["rows"][0]["gain"] == {"mean": 0.0, "low": None, "high": None}
    assert values["verdict"][-1] == "trees does not apply here: no such task."
