"""One page of all claims that opens from a disk, without a network: what papers say, what was found, how sure it is."""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from polytask.engine import _files
from polytask.ledger.verdict import FAIR, Verdict

from . import _page, _parts, _section, _svg

OUTCOMES = ("reproduced", "not reproduced", "undecided", "unfair", "not run")
_MEANING = {
    "reproduced": "the interval lies beyond the margin",
    "not reproduced": "the interval lies on the other side of the margin",
    "undecided": "the interval contains the margin, or there is none",
    "unfair": "budgets are unequal without a stated reason",
    "not run": "not measured yet",
}


def write(verdicts: Sequence[Verdict], out: Path) -> None:
    """Write the page of these verdicts to `out`, whole or not at all. It refers to no other file."""
    found = sorted(verdicts, key=lambda verdict: (verdict.claim.card.field, verdict.claim.id))
    _files.write_text(out, page(found))


def page(found: Sequence[Verdict]) -> str:
    """The page as HTML."""
    if not found:
        body = '<p class="empty">There are no claims here: the ledger holds none of them, or none was chosen.</p>'
    else:
        sections = "".join(map(_section.article, found))
        body = (
            f'{_summary(found)}{_filters(found)}{_overview(found)}<h2 id="claims">Claims</h2>'
            f'<p class="tools"><button type="button" data-open="1">Open all details</button> '
            f'<button type="button" data-open="0">Close all details</button></p>{sections}'
            '<p class="empty" id="nothing" hidden>No claim fits these filters.</p>'
        )
    return _page.whole(_header(found) + f"<main>{body}</main>{_footer()}", "polytask: claims and verdicts", "claims")


def _header(found: Sequence[Verdict]) -> str:
    records = [record for verdict in found for record in verdict.records]
    days = sorted({record.when[:10] for record in records if record.when})
    facts = [("Page made", datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"))]
    facts.append(("Claims", f"{len(found)}, of size {', '.join(dict.fromkeys(v.size for v in found)) or '–'}"))
    if records:
        facts.append(
            (
                "Measured cells",
                f"{len(records):,}" + (f", {escape(' to '.join(dict.fromkeys((days[0], days[-1]))))}" if days else ""),
            )
        )
        machines = dict.fromkeys(_section.machine(record.machine) for record in records)
        facts.append(("Machines", "<br>".join(escape(text) for text in machines if text) or "–"))
        versions = dict.fromkeys(_section.versions(record.versions) for record in records)
        facts.append(("Versions", "<br>".join(escape(text) for text in versions if text) or "–"))
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return (
        '<header class="top"><div class="headline"><div><p class="eyebrow">polytask · the open ledger</p>'
        "<h1>What the papers claim, and what was found</h1></div>"
        '<button type="button" id="theme" aria-label="Switch between light and dark">Light / dark</button></div>'
        "<p>Each claim is stated from its paper and tested by an experiment that can fail. The comparison, its metric and the <b>margin</b>, the "
        "smallest gain that matters, were written down before the runs. All arms get the same rows, splits and seeds, as many steps and tries, "
        f"and parameters within {FAIR:.0%}, or the claim says why not. The <b>effect</b> is the difference between two arms, paired by seed, with "
        "its 95 % interval. A claim is <b>reproduced</b> where the interval lies beyond the margin, <b>not reproduced</b> where it lies on "
        "the other side, and <b>undecided</b> where it contains the margin. With several comparisons every one must hold. <b>Controls</b> are "
        "trivial rivals: where one does as well as the system, the page says so.</p>"
        f'<dl class="facts">{rows}</dl></header>'
    )


def _summary(found: Sequence[Verdict]) -> str:
    counts: Counter[str] = Counter(verdict.outcome for verdict in found)
    matched = sum(bool(verdict.matched) for verdict in found)
    tiles = "".join(
        f'<li class="tile v-{outcome.replace(" ", "-")}"><span class="count">{counts[outcome]}</span>{_section.badge(outcome)}'
        f"<small>{_MEANING[outcome]}</small></li>"
        for outcome in OUTCOMES
    )
    words = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
    bar = "".join(
        f'<span class="v-{outcome.replace(" ", "-")}" style="flex-grow:{counts[outcome]}"></span>'
        for outcome in OUTCOMES
        if counts[outcome]
    )
    more = f'<p class="matched">In {matched} claim{"s" * (matched != 1)} a trivial control does as well as the system.</p>'
    return (
        f'<section aria-labelledby="summary"><h2 id="summary">Verdicts</h2><div class="share" role="img" aria-label="{words}">{bar}</div>'
        f'<ul class="tiles">{tiles}</ul>{more if matched else ""}</section>'
    )


def _filters(found: Sequence[Verdict]) -> str:
    counts: Counter[str] = Counter(verdict.outcome for verdict in found)
    fields = Counter(verdict.claim.card.field for verdict in found)
    chips = {
        "verdict": "".join(_parts.chip("verdict", name, _sign(name), counts[name]) for name in OUTCOMES if counts[name]),
        "field": "".join(_parts.chip("field", name, count=count) for name, count in sorted(fields.items())),
    }
    return _parts.filters("claims", "name, method, data, word", chips)


def _sign(outcome: str) -> str:
    return f'<svg width="14" height="14" aria-hidden="true"><use href="#i-{outcome.replace(" ", "-")}"/></svg>'


def _overview(found: Sequence[Verdict]) -> str:
    blocks = "".join(filter(None, map(_lines, found)))
    idle = [verdict for verdict in found if not _measured(verdict)]
    names = ", ".join(f'<a href="#{_section.slug(v.claim.id)}">{escape(v.claim.id)}</a>' for v in idle)
    keys = _svg.marks("beyond the margin", "on the other side", "undecided")
    plot = (
        "<p>Every comparison that decides a verdict. Effects of different claims have different units, so <b>each line has a scale of its "
        "own</b> and all lines are set side by side at their margin: an interval that lies wholly in the shaded half exceeds the gain that was "
        "asked for. Lengths compare within a line only. The dotted line is zero; the figures at the right are in the claim's own units.</p>"
        f'<ul class="legend">{keys}<li><svg class="key" width="16" height="16" aria-hidden="true"><line class="margin" x1="8" x2="8" y1="0" '
        'y2="16"/></svg>margin</li><li><svg class="key" width="16" height="16" aria-hidden="true"><line class="zero" x1="8" x2="8" y1="0" '
        f'y2="16"/></svg>zero</li></ul><div class="overview">{blocks}</div>'
    )
    return (
        f'<section aria-labelledby="overview"><h2 id="overview">All effects at a glance</h2>{plot if blocks else ""}'
        f"{f'<p>Not measured yet: {names}.</p>' if names else ''}</section>"
    )


def _measured(verdict: Verdict) -> bool:
    return any(math.isfinite(one.effect.mean) for j in verdict.checks if j.check.decides for one in j.compared)


def _lines(verdict: Verdict) -> str:
    rows = []
    for judged in verdict.checks:
        check = judged.check
        for one in judged.compared if check.decides else ():
            if not math.isfinite(one.effect.mean):
                continue
            sign = 1 if check.against else check.direction
            words = f"{check.arm} over {one.against}" if one.against else f"{check.arm}: {check.metric}"
            text = _section.figures(one.effect, sign, bool(check.against))
            effect, kind = one.effect, _section.shape(one.outcome, one.effect)
            row = _svg.Row(words, kind, effect.mean, effect.low, effect.high, (), text)
            asked = f"margin {_svg.number(sign * check.margin)} {check.unit or check.metric}"
            rows.append(
                f'<div class="line"><span class="label">{escape(check.says)}<small>{escape(words)}</small></span>'
                f'{_svg.aligned(row, check.margin, bool(check.against))}<span class="figures">{text} <small>{escape(asked)}</small></span></div>'
            )
    if not rows:
        return ""
    claim = verdict.claim
    flag = ' <span class="badge v-matched">control does as well</span>' if verdict.matched else ""
    return (
        f'<div class="group" data-claim="{_section.slug(claim.id)}"><p class="name"><a href="#{_section.slug(claim.id)}">{escape(claim.id)}</a> '
        f"{_section.badge(verdict.outcome)}{flag}</p>{''.join(rows)}</div>"
    )


def _footer() -> str:
    return (
        "<footer><p>Verdicts are given by rule from the records of the ledger; no one edits them. Intervals are t intervals of paired differences, "
        "widened where seeds split the same rows anew (Nadeau and Bengio 2003).</p></footer>"
    )
