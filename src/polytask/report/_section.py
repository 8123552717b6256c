"""One claim on the page: what is claimed, what was found, and how to find it again."""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from html import escape

from polytask.core import PolytaskError
from polytask.data import shipped
from polytask.engine.statistics import Interval
from polytask.ledger.book import Record
from polytask.ledger.claim import Check, Claim
from polytask.ledger.verdict import Compared, Judged, Verdict

from . import _svg

_URL = re.compile(r"(https?://[^\s<>\"']*[^\s<>\"'.,;:)])")


def slug(id: str) -> str:
    """An id as a fragment of an address."""
    return "claim-" + re.sub(r"[^\w-]", "-", id)


def badge(outcome: str) -> str:
    """A verdict as a word with a sign and a colour."""
    kind = outcome.replace(" ", "-")
    return f'<span class="badge v-{kind}"><svg width="14" height="14" aria-hidden="true"><use href="#i-{kind}"/></svg>{outcome}</span>'


def linked(text: str) -> str:
    """The text escaped, addresses as links."""
    parts = _URL.split(text)
    return "".join(
        f'<a href="{escape(part)}" rel="noreferrer">{escape(part)}</a>' if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )


def command(verdict: Verdict) -> str:
    """What measures the claim again."""
    claim = verdict.claim
    name = claim.id if claim.path.parent.name in ("claims", "") else str(claim.path)
    seeds = len({record.seed for record in verdict.records})
    more = f" --seeds {seeds}" if seeds and seeds != claim.seeds.get(verdict.size) else ""
    return f"polytask claims run {name} --size {verdict.size}{more}"


def shape(outcome: str, effect: Interval) -> str:
    """The marker of an outcome; without an interval nothing is decided."""
    return outcome if outcome in _svg.SHAPES and math.isfinite(effect.low) else "undecided"


def figures(effect: Interval, sign: int = 1, signed: bool = True) -> str:
    """`+0.012 [0.004, 0.02]`; sign: -1 turns it."""
    mean = _svg.number(sign * effect.mean, signed)
    if math.isnan(effect.low):
        return f"{mean} (no interval)"
    low, high = sorted((sign * effect.low, sign * effect.high))
    return f"{mean} [{_svg.number(low)}, {_svg.number(high)}]"


def ordered(verdict: Verdict) -> list[Judged]:
    """The checks, those that decide first."""
    return sorted(verdict.checks, key=lambda judged: not judged.check.decides)


def article(verdict: Verdict) -> str:
    """The section of a claim."""
    claim, card = verdict.claim, verdict.claim.card
    seeds = len({record.seed for record in verdict.records})
    about = [card.field, claim.id, verdict.size, f"{seeds} seed{'s' * (seeds != 1)}"] if seeds else [card.field, claim.id]
    title = card.title if card.title != claim.statement else claim.id
    badges = badge(verdict.outcome)
    if verdict.matched:
        badges += '<span class="badge v-matched">a trivial control does as well</span>'
    paper = f'<p class="paper">{linked(card.paper)}{f" ({card.year})" if card.year and str(card.year) not in card.paper else ""}</p>'
    return (
        f'<article class="claim" id="{slug(claim.id)}" data-verdict="{verdict.outcome}" data-field="{escape(card.field)}">'
        f'<header><p class="eyebrow">{escape(" · ".join(about))}</p><h3>{escape(title)}</h3><p class="badges">{badges}</p></header>'
        f'<p class="statement">{escape(claim.statement)}</p>{paper if card.paper else ""}'
        f'<dl class="about"><dt>Stated in</dt><dd>{linked(claim.source)}</dd><dt>The paper reported</dt><dd>{linked(claim.reported)}</dd></dl>'
        f"{_boxes(verdict)}{_checks(verdict)}{_numbers(verdict)}{_curves(verdict)}{_again(verdict)}</article>"
    )


def _boxes(verdict: Verdict) -> str:
    claim = verdict.claim
    boxes = []
    if verdict.matched:
        names = "; ".join(f"<b>{escape(name)}</b>: {escape(claim.controls[name])}" for name in verdict.matched)
        boxes.append(("warn", "A trivial control does as well", f"<p>As far as these seeds tell, so does {names}.</p>"))
    if claim.simulated:
        boxes.append(("note", "Simulated", f"<p>{linked(claim.simulated)}</p>"))
    if verdict.unfair:
        problems = "".join(f"<li>{escape(problem)}</li>" for problem in verdict.unfair)
        boxes.append(("warn", "Unequal budgets without a stated reason", f"<ul>{problems}</ul>"))
    if verdict.missing and verdict.records:
        wanted = verdict.missing + len(verdict.records)
        boxes.append(("note", "Not complete", f"<p>{verdict.missing} of {wanted} cells are not measured yet.</p>"))
    return "".join(f'<div class="box {kind}"><h4>{title}</h4>{body}</div>' for kind, title, body in boxes)


def _checks(verdict: Verdict) -> str:
    if not verdict.records:
        arms = "".join(f"<li><b>{escape(arm)}</b>: {escape(text)}</li>" for arm, text in verdict.claim.everything.items())
        checks = "".join(f"<li>{escape(judged.check.says)}</li>" for judged in ordered(verdict))
        return (
            '<p class="none">Not measured yet at this size with the code as it is.</p><h4>What will be asked</h4>'
            f"<ul>{checks}</ul><h4>Arms and controls</h4><ul>{arms}</ul>"
        )
    items = []
    for judged in ordered(verdict):
        beside = "" if judged.check.decides else '<span class="beside">beside: does not count for the verdict</span>'
        items.append(
            f'<li class="check">{badge(judged.outcome)}{beside}<p class="sentence">{escape(judged.sentence)}</p>'
            f"{_forest(judged)}</li>"
        )
    return f'<h4>What was found</h4><ul class="checks">{"".join(items)}</ul>'


def _forest(judged: Judged) -> str:
    check = judged.check
    sign = 1 if check.against else check.direction
    rows = [_row(check, check.arm, one, sign, shape(one.outcome, one.effect)) for one in judged.compared]
    for name, one in judged.controls.items():
        rows.append(_row(check, name, one, sign, "control"))
    rows = [row for row in rows if math.isfinite(row.mean)]
    if not rows:
        return ""
    unit = check.unit or check.metric
    if check.against:
        axis = f"gain in {unit}, positive where {check.arm} is better (less is better)"
        axis = axis if check.direction < 0 else axis.removesuffix(" (less is better)")
    else:
        axis = unit
    near = bool(check.against) or min(abs(row.mean) for row in rows) < 4 * abs(check.margin - rows[0].mean)
    return _svg.forest(rows, sign * check.margin, near, sign > 0, axis)


def _row(check: Check, arm: str, one: Compared, sign: int, shape: str) -> _svg.Row:
    label = f"{arm} over {one.against}" if one.against else arm
    low, high = sorted((sign * one.effect.low, sign * one.effect.high))
    dots = tuple(sign * value for value in one.differences)
    figures_ = figures(one.effect, sign, bool(check.against))
    label = f"control: {label}" if shape == "control" else label
    return _svg.Row(label, shape, sign * one.effect.mean, low, high, dots, figures_)


def _numbers(verdict: Verdict) -> str:
    if not verdict.records:
        return ""
    claim = verdict.claim
    metrics = list(dict.fromkeys(name for record in verdict.records for name in record.metrics))
    asked = {check.metric: check.direction for check in claim.checks}
    heads = "".join(
        f'<th scope="col">{escape(name)}{_hint(asked.get(name))}</th>'
        for name in (*metrics, "seeds", "parameters", "steps", "tried", "seconds")
    )
    rows = "".join(_arm(claim, arm, metrics, [r for r in verdict.records if r.arm == arm]) for arm in claim.everything)
    reasons = "".join(f"<li><b>{escape(arm)}</b>: {escape(why)}</li>" for arm, why in claim.unfair.items())
    unequal = f'<div class="box note"><h4>Unequal budgets, and why</h4><ul>{reasons}</ul></div>' if reasons else ""
    return (
        "<details open><summary>Every arm's numbers</summary>"
        f'<div class="scroll" role="region" tabindex="0" aria-label="Numbers of every arm of {escape(claim.id)}"><table><caption>Mean ± standard '
        f'deviation over seeds; ↑ more is better, ↓ less is better. Seconds are those of one cell.</caption><thead><tr><th scope="col">arm</th>'
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div>{unequal}</details>"
    )


def _hint(direction: int | None) -> str:
    if direction is None:
        return ""
    arrow, words = ("↑", "more is better") if direction > 0 else ("↓", "less is better")
    return f' <span class="hint" role="img" aria-label="{words}">{arrow}</span>'


def _arm(claim: Claim, arm: str, metrics: Sequence[str], own: Sequence[Record]) -> str:
    control = '<span class="tag">control</span>' if arm in claim.controls else ""
    head = f'<th scope="row"><span class="arm-name">{escape(arm)}</span>{control}<small>{escape(claim.everything[arm])}</small></th>'
    if not own:
        return f'<tr>{head}<td colspan="{len(metrics) + 5}" class="none">not measured</td></tr>'
    cells = [_mean([r.metrics[name] for r in own if name in r.metrics]) for name in metrics]
    cells += [
        str(len(own)),
        _range([r.parameters for r in own]),
        _range([r.steps for r in own]),
        _range([r.tried for r in own]),
    ]
    cells.append(_svg.number(statistics.fmean(r.seconds for r in own)))
    return f"<tr>{head}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _mean(values: Sequence[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    if not values:
        return '<span class="none">–</span>'
    if not finite:
        return "undefined"
    text = _svg.spread(statistics.fmean(finite), statistics.stdev(finite) if len(finite) > 1 else math.nan)
    lost = len(values) - len(finite)
    return f"{text} <small>({lost} undefined)</small>" if lost else text


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _curves(verdict: Verdict) -> str:
    order = list(verdict.claim.everything)
    found: dict[str, dict[str, list[Sequence[float]]]] = {}
    for arm in order:
        for record in verdict.records:
            for name, values in record.curves.items() if record.arm == arm else ():
                found.setdefault(name, {}).setdefault(arm, []).append(values)
    figures = {name: _svg.curves(name, arms, order) for name, arms in found.items()}
    drawn = [arm for arm in order if any(arm in found[name] for name, figure in figures.items() if figure)]
    if not drawn:
        return ""
    return (
        "<details><summary>Learning curves</summary>"
        f'{_svg.legend(drawn, order)}<div class="curves">{"".join(figures.values())}</div>'
        '<p class="axis">Mean over seeds; the band is a standard deviation. A point is the mean of the seeds that got so far.</p></details>'
    )


def _again(verdict: Verdict) -> str:
    claim, records = verdict.claim, verdict.records
    rows = [("Why it may differ from the paper", linked(claim.differs))] if claim.differs else []
    if claim.data:
        rows.append(("Data", "<br>".join(_data(name) for name in claim.data)))
    if claim.test_share:
        share = f"The seeds split the same rows anew (test rows / training rows: {claim.test_share:g}); intervals are widened for it."
        rows.append(("Splits", share))
    rows.append(("Code", ", ".join(f"<code>{escape(name)}</code>" for name in dict.fromkeys((claim.id, *claim.systems)))))
    rows.append(
        ("Measure it again", f"<code>{escape(command(verdict))}</code> (with <code>--again</code> also what the ledger holds)")
    )
    if records:
        days = sorted({record.when[:10] for record in records if record.when})
        rows.append(
            ("Records", f"{len(records)}" + (f", {escape(' to '.join(dict.fromkeys((days[0], days[-1]))))}" if days else ""))
        )
        rows.append(("Machines", "<br>".join(escape(text) for text in dict.fromkeys(machine(r.machine) for r in records))))
        rows.append(("Versions", "<br>".join(escape(text) for text in dict.fromkeys(versions(r.versions) for r in records))))
    body = "".join(f"<dt>{title}</dt><dd>{text}</dd>" for title, text in rows if text)
    return f'<details><summary>Why it may differ, data, and how to measure it again</summary><dl class="about">{body}</dl></details>'


def _data(name: str) -> str:
    try:
        item = shipped.get(name)
    except (PolytaskError, ImportError):
        return escape(name)
    kind = "simulated" if shipped.simulated(name) else "real"
    rows = item.about.get("rows")
    size = f", {rows:,} rows" if isinstance(rows, int) else ""
    about = f"{item.about.get('title', '')} ({kind}{size}; {item.about.get('origin', '')}; {item.about.get('licence', '')})"
    return f"<code>@{escape(name)}</code> {linked(about)}"


def machine(values: Mapping[str, object]) -> str:
    """A machine in words."""
    words = [
        str(values.get("processor", "")),
        f"{values['cores']} cores" if "cores" in values else "",
        str(values.get("system", "")),
    ]
    return ", ".join(filter(None, words))


def versions(values: Mapping[str, str]) -> str:
    """`torch 2.8, numpy 2.3`."""
    return ", ".join(f"{name} {value}" for name, value in values.items())
