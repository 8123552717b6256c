"""Verdicts by rule: from paired differences, a 95 % interval and the margin that the claim stated beforehand.

*Reproduced*: the interval lies beyond the margin on the claimed side. *Not reproduced*: it lies on the other side.
*Undecided*: it contains the margin. With several comparisons a claim is reproduced when each is (an intersection-union test,
which needs no correction), and not reproduced when any is not. Under no effect, and a margin of 0 or more, "reproduced" comes
up in at most 2.5 % of ledgers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from polytask.engine.statistics import Interval, interval

from .book import Record
from .claim import Check, Claim

Outcome = Literal["reproduced", "not reproduced", "undecided", "unfair", "not run"]
FAIR = 0.10
"""How far the parameters of two arms may differ, as a share of the larger number."""


@dataclass(frozen=True)
class Compared:
    """One arm against another (None: against 0), paired by seed; the effect is positive where the claim is right."""

    against: str | None
    effect: Interval
    differences: tuple[float, ...]
    outcome: Outcome


@dataclass(frozen=True)
class Judged:
    """A check with its comparisons, the controls against its first rival, and a sentence.

    matched: the controls that do as well as the arm, as far as these seeds tell.
    """

    check: Check
    compared: tuple[Compared, ...]
    controls: Mapping[str, Compared]
    matched: tuple[str, ...]
    outcome: Outcome
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What the ledger says of a claim at one size. unfair: what breaks the equal budget. missing: cells not yet run."""

    claim: Claim
    size: str
    outcome: Outcome
    checks: tuple[Judged, ...]
    unfair: tuple[str, ...]
    missing: int
    records: tuple[Record, ...]

    @property
    def matched(self) -> tuple[str, ...]:
        """Controls that do as well as the system in a check that decides."""
        return tuple(dict.fromkeys(name for judged in self.checks if judged.check.decides for name in judged.matched))


def judge(claim: Claim, size: str, records: Sequence[Record]) -> Verdict:
    """The verdict that these records (of one size, one for each arm and seed) give."""
    values: dict[str, dict[int, Record]] = {}
    for record in records:
        values.setdefault(record.arm, {})[record.seed] = record
    judged = tuple(_judge(claim, check, values) for check in claim.checks)
    wanted = claim.seeds[size] * len(claim.everything)
    unfair = tuple(unfairness(claim, records))
    outcome = _together([one.outcome for one in judged if one.check.decides])
    if unfair and outcome != "not run":
        outcome = "unfair"
    return Verdict(claim, size, outcome, judged, unfair, max(0, wanted - len(records)), tuple(records))


def unfairness(claim: Claim, records: Sequence[Record]) -> list[str]:
    """How arms break the equal budget without a stated reason: parameters within 10 %, equal steps, equal tuning effort.

    Controls are trivial by intent, and free of it.
    """
    by_arm = {name: {r.seed: r for r in records if r.arm == name} for name in claim.arms}
    first, *others = claim.arms
    problems = []
    for name in others:
        for seed, record in by_arm[name].items():
            base = by_arm[first].get(seed)
            if base is None or name in claim.unfair:
                continue
            if abs(record.parameters - base.parameters) > FAIR * max(record.parameters, base.parameters):
                problems.append(f"'{name}' has {record.parameters:,} parameters, '{first}' {base.parameters:,}")
            if record.steps != base.steps:
                problems.append(f"'{name}' takes {record.steps:,} steps, '{first}' {base.steps:,}")
            if record.tried != base.tried:
                problems.append(f"'{name}' tries {record.tried} settings, '{first}' {base.tried}")
    return list(dict.fromkeys(problems))


def _judge(claim: Claim, check: Check, values: Mapping[str, Mapping[int, Record]]) -> Judged:
    rivals = check.against or (None,)
    compared = tuple(_compare(claim, check, check.arm, rival, values) for rival in rivals)
    outcome = _together([one.outcome for one in compared])
    controls = {name: _compare(claim, check, name, rivals[0], values) for name in claim.controls}
    controls = {name: one for name, one in controls.items() if not math.isnan(one.effect.mean)}
    matched = tuple(
        name for name in controls
        if outcome == "reproduced" and not _compare(claim, check, check.arm, name, values).effect.low > 0
    )  # fmt: skip
    return Judged(check, compared, controls, matched, outcome, sentence(check, compared, controls, matched, outcome))


def _compare(claim: Claim, check: Check, arm: str, against: str | None, values: Mapping[str, Mapping[int, Record]]) -> Compared:
    differences = []
    for seed, record in sorted(values.get(arm, {}).items()):
        rival = values.get(against, {}).get(seed) if against is not None else None
        if check.metric not in record.metrics or (against is not None and (rival is None or check.metric not in rival.metrics)):
            continue
        base = rival.metrics[check.metric] if rival is not None else 0.0
        differences.append(check.direction * (record.metrics[check.metric] - base))
    effect = interval(differences, claim.test_share)
    return Compared(against, effect, tuple(differences), decide(effect, check.margin))


def decide(effect: Interval, margin: float) -> Outcome:
    """The outcome of one comparison; NaN limits (fewer than two seeds) decide nothing."""
    if math.isnan(effect.mean):
        return "not run"
    if effect.low > margin:
        return "reproduced"
    return "not reproduced" if effect.high < margin else "undecided"


def _together(outcomes: Sequence[Outcome]) -> Outcome:
    for worst in ("not reproduced", "not run", "undecided"):
        if worst in outcomes:
            return worst
    return "reproduced" if outcomes else "not run"


def sentence(
    check: Check, compared: Sequence[Compared], controls: Mapping[str, Compared], matched: Sequence[str], outcome: Outcome
) -> str:
    """The check in words that a practitioner understands."""
    parts = [_words(check, one) for one in compared]
    text = f"{check.says}: {'; '.join(parts)}: {outcome}"
    if controls:
        text += "; " + ", ".join(f"control {name} {_signed(check, one.effect.mean)}" for name, one in controls.items())
    if matched:
        text += f"; BUT a trivial control does as well ({', '.join(matched)})"
    return text + "."


def _words(check: Check, one: Compared) -> str:
    if math.isnan(one.effect.mean):
        return f"{check.arm} is not measured" + (f" beside {one.against}" if one.against else "")
    sign = check.direction if one.against is None else 1
    mean, ends = sign * one.effect.mean + 0.0, sorted((sign * one.effect.low + 0.0, sign * one.effect.high + 0.0))
    seeds = f"{len(one.differences)} seed{'s' if len(one.differences) != 1 else ''}"
    unit = f" {check.unit}" if check.unit else ""
    spread = "no interval" if math.isnan(one.effect.low) else f"95 % interval {ends[0]:.3g} to {ends[1]:.3g}"
    if one.against is None:
        wanted = f"claimed {'above' if check.direction > 0 else 'below'} {check.direction * check.margin:.3g}"
        return f"{check.arm} has {mean:.3g}{unit} ({spread}, {seeds}, {wanted})"
    wanted = f", claimed above {check.margin:.3g}" if check.margin else ""
    return f"{check.arm} is {_better(mean)}{unit} than {one.against} ({spread}, {seeds}{wanted})"


def _signed(check: Check, mean: float) -> str:
    return f"is {_better(mean)}" if check.against else f"has {check.direction * mean + 0.0:.3g}"


def _better(mean: float) -> str:
    return f"{'better' if mean >= 0 else 'worse'} by {abs(mean):.3g}"
