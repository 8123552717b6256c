"""The rule that gives verdicts: its statistics by simulation, its logic by example."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import nct
from scipy.stats import t as student

from polytask.engine.statistics import interval
from polytask.ledger.book import Record
from polytask.ledger.claim import Check, Claim
from polytask.ledger.verdict import decide, judge, unfairness

LEDGERS = 6000


def check(**changes: object) -> Check:
    base = Check("main", "ours", ("base",), "auroc", 1, 0.0, "On rows, ours", "AUROC")
    return replace(base, **changes)  # type: ignore[arg-type]


def claim(*checks: Check, **changes: object) -> Claim:
    base = Claim(
        "made_up", "It is better.", "table 1", "much better", {"ours": "new", "base": "old"}, checks or (check(),),
        {"smoke": 1, "quick": 5, "full": 10}, {"constant": "the mean"},
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def record(arm: str, seed: int, value: float, **changes: object) -> Record:
    base = Record("made_up", arm, seed, "quick", "key", {"auroc": value}, 1000, 100, 1, 0.1)
    return replace(base, **changes)  # type: ignore[arg-type]


def records(ours: list[float], base: list[float], control: list[float] | None = None) -> list[Record]:
    found = []
    for arm, values in (("ours", ours), ("base", base), ("constant", control or [])):
        found += [record(arm, seed, value) for seed, value in enumerate(values)]
    return found


def outcomes(effect: float, spread: float, seeds: int, margin: float = 0.0) -> dict[str, float]:
    """How often each outcome comes up over many simulated ledgers."""
    random = np.random.default_rng(7)
    draws = effect + spread * random.standard_normal((LEDGERS, seeds))
    found = [decide(interval(row.tolist()), margin) for row in draws[:2000]]
    # The rest by the same formula on whole arrays: the two must agree.
    half = student.ppf(0.975, seeds - 1) * draws.std(1, ddof=1) / math.sqrt(seeds)
    low, high = draws.mean(1) - half, draws.mean(1) + half
    assert found[:2000] == [
        "reproduced" if a > margin else "not reproduced" if b < margin else "undecided"
        for a, b in zip(low[:2000], high[:2000], strict=True)
    ]
    return {"reproduced": float((low > margin).mean()), "not reproduced": float((high < margin).mean())}


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_interval_holds_the_effect_95_times_in_100(seeds: int) -> None:
    random = np.random.default_rng(seeds)
    draws = 0.3 + 0.1 * random.standard_normal((LEDGERS, seeds))
    found = [interval(row.tolist()) for row in draws]
    assert np.mean([one.low <= 0.3 <= one.high for one in found]) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_interval_holds_the_effect_where_splits_overlap(share: float) -> None:
    """Nadeau and Bengio's model: differences of repeated splits correlate by test / (train + test)."""
    random = np.random.default_rng(3)
    correlation = share / (1 + share)
    common = random.standard_normal((LEDGERS, 1))
    draws = 0.3 + math.sqrt(correlation) * common + math.sqrt(1 - correlation) * random.standard_normal((LEDGERS, 5))
    held = np.mean([one.low <= 0.3 <= one.high for one in (interval(row.tolist(), share) for row in draws)])
    assert held == pytest.approx(0.95, abs=0.01)
    naive = np.mean([one.low <= 0.3 <= one.high for one in (interval(row.tolist()) for row in draws)])
    assert naive < 0.90, "without the correction it would not"


@pytest.mark.parametrize(("seeds", "margin"), [(3, 0.0), (5, 0.0), (5, 0.02), (10, 0.0)])
def test_no_effect_is_reproduced_in_at_most_25_of_1000_ledgers(seeds: int, margin: float) -> None:
    assert outcomes(0.0, 0.1, seeds, margin)["reproduced"] <= 0.025 + 0.005
    assert outcomes(margin, 0.1, seeds, margin)["reproduced"] == pytest.approx(0.025, abs=0.006), (
        "an effect as large as the margin"
    )


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_power_is_that_of_the_t_test(seeds: int) -> None:
    found = outcomes(0.02, 0.01, seeds)["reproduced"]
    theory = 1 - nct.cdf(student.ppf(0.975, seeds - 1), seeds - 1, 0.02 / 0.01 * math.sqrt(seeds))
    assert found == pytest.approx(theory, abs=0.02)
    if seeds >= 5:
        assert found > 0.85, "five seeds see an effect of two standard deviations"


def test_an_effect_below_the_margin_is_not_reproduced() -> None:
    assert outcomes(0.0, 0.005, 5, 0.02)["not reproduced"] > 0.95


def test_outcomes_follow_the_interval() -> None:
    base = [0.5, 0.6, 0.7, 0.55, 0.65]
    better, worse = [x + 0.05 + 0.001 * i for i, x in enumerate(base)], [x - 0.05 - 0.001 * i for i, x in enumerate(base)]
    mixed = [x + 0.05 * (-1) ** i for i, x in enumerate(base)]
    assert judge(claim(), "quick", records(better, base)).outcome == "reproduced"
    assert judge(claim(), "quick", records(worse, base)).outcome == "not reproduced"
    assert judge(claim(), "quick", records(mixed, base)).outcome == "undecided"
    assert judge(claim(check(margin=0.2)), "quick", records(better, base)).outcome == "not reproduced"
    assert judge(claim(check(direction=-1)), "quick", records(worse, base)).outcome == "reproduced"


def test_pairs_are_by_seed_and_differences_not_means_count() -> None:
    """Seeds that are hard for both arms must not hide a steady gain."""
    base = [0.1, 0.9, 0.3, 0.7, 0.5]
    shuffled = [record("ours", seed, base[seed] + 0.01) for seed in (4, 2, 0, 1, 3)]
    found = judge(claim(), "quick", [*shuffled, *records([], base)])
    assert found.outcome == "reproduced"
    assert found.checks[0].compared[0].effect.mean == pytest.approx(0.01)


def test_seeds_that_split_the_same_rows_make_the_interval_wider() -> None:
    base = [0.5, 0.6, 0.7, 0.55, 0.65]
    ours = [x + 0.05 + 0.02 * i for i, x in enumerate(base)]
    apart, again = (judge(claim(test_share=share), "quick", records(ours, base)) for share in (0.0, 1.0))
    found = [one.checks[0].compared[0].effect for one in (apart, again)]
    assert found[1].half == pytest.approx(found[0].half * math.sqrt((0.2 + 1.0) / 0.2))
    assert (apart.outcome, again.outcome) == ("reproduced", "undecided")


def test_swapping_the_arms_turns_the_verdict() -> None:
    base = [0.5, 0.6, 0.7, 0.55, 0.65]
    ours = [x + 0.05 + 0.001 * i for i, x in enumerate(base)]
    swapped = claim(check(arm="base", against=("ours",)))
    assert judge(claim(), "quick", records(ours, base)).outcome == "reproduced"
    assert judge(swapped, "quick", records(ours, base)).outcome == "not reproduced"


def test_one_seed_decides_nothing_and_no_record_is_not_run() -> None:
    assert judge(claim(), "quick", records([0.9], [0.1])).outcome == "undecided"
    assert judge(claim(), "quick", []).outcome == "not run"
    assert judge(claim(), "quick", []).missing == 15


def test_every_rival_must_be_beaten_and_every_deciding_check_hold() -> None:
    base = [0.5, 0.6, 0.7, 0.55, 0.65]
    strong = claim(check(against=("base", "third")), arms={"ours": "", "base": "", "third": ""})
    found = records([x + 0.05 for x in base], base) + [record("third", s, x + 0.1) for s, x in enumerate(base)]
    assert judge(strong, "quick", found).outcome == "not reproduced"
    beside = claim(check(), check(name="beside", margin=0.2, decides=False))
    assert judge(beside, "quick", records([x + 0.05 for x in base], base)).outcome == "reproduced"


def test_a_control_that_does_as_well_is_said() -> None:
    base = [0.5, 0.6, 0.7, 0.55, 0.65]
    ours = [x + 0.05 + 0.001 * i for i, x in enumerate(base)]
    found = judge(claim(), "quick", records(ours, base, [0.55, 0.65, 0.75, 0.6, 0.75]))
    assert found.matched == ("constant",)
    assert "BUT a trivial control does as well (constant)" in found.checks[0].sentence
    poor = judge(claim(), "quick", records(ours, base, base))
    assert poor.matched == ()
    assert "control constant is better by 0" in poor.checks[0].sentence


def test_a_metric_against_nothing_is_compared_with_zero() -> None:
    alone = claim(check(against=(), metric="auroc", margin=0.5, says="The rank correlation"))
    values = [0.8, 0.82, 0.79, 0.81, 0.8]
    found = judge(alone, "quick", records(values, values))
    assert found.outcome == "reproduced"
    assert "ours has 0.804 AUROC" in found.checks[0].sentence
    assert "claimed above 0.5" in found.checks[0].sentence


def test_a_sentence_says_all_that_a_practitioner_needs() -> None:
    base = [0.5, 0.6, 0.7, 0.55, 0.65]
    found = judge(claim(), "quick", records([x + 0.05 + 0.001 * i for i, x in enumerate(base)], base))
    assert found.checks[0].sentence == (
        "On rows, ours: ours is better by 0.052 AUROC than base (95 % interval 0.05 to 0.054, 5 seeds): reproduced."
    )


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"parameters": 1200}, "1,200 parameters"), ({"steps": 90}, "90 steps"), ({"tried": 3}, "tries 3 settings")],
)
def test_an_unequal_budget_is_refused_unless_it_says_why(changes: dict, what: str) -> None:
    found = records([0.9, 0.91, 0.92], []) + [record("base", seed, 0.5, **changes) for seed in range(3)]
    assert what in unfairness(claim(), found)[0]
    assert judge(claim(), "quick", found).outcome == "unfair"
    assert judge(claim(unfair={"base": "it has no weights"}), "quick", found).outcome == "reproduced"


def test_parameters_may_differ_by_a_tenth() -> None:
    found = records([0.9, 0.91, 0.92], []) + [record("base", seed, 0.5, parameters=1100) for seed in range(3)]
    assert unfairness(claim(), found) == []


def test_undefined_metrics_are_left_out() -> None:
    base = [0.5, 0.6, 0.7]
    found = records([0.6, math.nan, 0.8], base)
    assert len([d for d in judge(claim(), "quick", found).checks[0].compared[0].differences if not math.isnan(d)]) == 2
