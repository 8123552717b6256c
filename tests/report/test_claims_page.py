"""The page of claims: whole, self-contained, escaped, and as plain about bad news as about good."""

import re
from collections.abc import Mapping
from dataclasses import replace
from html import escape, unescape
from html.parser import HTMLParser
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from polytask.ledger.book import Record
from polytask.ledger.claim import Claim, parse
from polytask.ledger.verdict import Verdict, judge
from polytask.report import _svg, claims

VOID = {"meta", "input", "br", "path", "line", "circle", "rect", "use", "link", "img"}
HOSTILE = "</title><script>alert('1')</script> \"quoted\" & 'more' <b>"
STATED: dict[str, Any] = {
    "statement": "Sharing helps",
    "source": "table 1",
    "reported": "0.9 against 0.8, https://doi.org/10.1/x.",
    "arms": {"ours": "the system", "plain": "one trunk"},
    "controls": {"noise": "random labels"},
    "checks": {
        "beside": {"arm": "ours", "against": "plain", "metric": "rmse", "direction": "min", "margin": 0.0,
                   "says": "errors fall", "decides": False},
        "better": {"arm": "ours", "against": "plain", "metric": "auroc", "direction": "max", "margin": 0.01,
                   "says": "it predicts better"},
        "level": {"arm": "ours", "metric": "gap", "direction": "min", "margin": -0.3, "says": "the gap is small"},
    },
    "seeds": {"smoke": 1, "quick": 4, "full": 9},
    "differs": "smaller data",
}  # fmt: skip


def stated(id: str = "made_up", **over: Any) -> Claim:
    return parse(id, {**STATED, **over}, Path("claims") / f"{id}.py")


def records(claim: Claim, seeds: int = 4, gain: float = 0.05, **over: Any) -> list[Record]:
    found = []
    for seed in range(seeds):
        wobble = 0.001 * (seed % 3)
        metrics: Mapping[str, Mapping[str, float]] = {
            "ours": {"auroc": 0.8 + gain + wobble, "rmse": 2.0 - wobble, "gap": 0.1 + wobble},
            "plain": {"auroc": 0.8, "rmse": 2.5},
            "noise": {"auroc": 0.5 + wobble},
        }
        for arm in claim.everything:
            curves = {"loss": [1.0 / epoch + wobble for epoch in range(1, 9 - seed)]}
            when, machine = "2026-01-02T03:04:05+00:00", {"processor": "chip", "cores": 2, "system": "Linux"}
            record = Record(
                claim.id, arm, seed, "quick", "k", metrics[arm], 1000, 50, 1, 1.5, curves, when, machine, {"torch": "2"}
            )
            found.append(replace(record, **over))
    return found


def verdict(claim: Claim | None = None, **over: Any) -> Verdict:
    claim = claim or stated()
    return judge(claim, "quick", records(claim, **over))


def written(folder: Path, *found: Verdict) -> str:
    out = folder / "deep" / "claims.html"
    claims.write(found, out)
    assert [path.name for path in out.parent.iterdir()] == ["claims.html"]
    return out.read_text(encoding="utf-8")


class Checker(HTMLParser):
    """Balanced tags, unique ids, links and references that lead somewhere inside."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.inside: list[str] = []
        self.outside: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))
        assert {name.removeprefix("#") for name in self.inside} <= set(self.ids)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "action", "data"):
                self.inside.append(value or "") if (value or "").startswith("#") else self.outside.append((tag, value or ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        assert tag in VOID, f"<{tag}/> is not closed in HTML"

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style", "title"):
            self.text.append(data)


def test_every_claim_and_sentence_is_there(tmp_path: Path) -> None:
    found = [verdict(stated("first")), verdict(stated("second"), gain=-0.05), judge(stated("third"), "quick", [])]
    text = written(tmp_path, *found)
    words = "".join(Checker(text).text)
    for one in found:
        assert f'id="claim-{one.claim.id}"' in text
        assert one.outcome in words
        for judged in one.checks:
            assert (judged.sentence if one.records else judged.check.says) in words
        assert f"polytask claims run {one.claim.id} --size quick" in words
    assert [one.outcome for one in found] == ["reproduced", "not reproduced", "not run"]
    assert "beside: does not count" in words


def test_deciding_checks_come_first(tmp_path: Path) -> None:
    one = verdict()
    text = written(tmp_path, one)
    places = {judged.check.name: text.index(escape(judged.sentence)) for judged in one.checks}
    assert places["better"] < places["level"] < places["beside"]


def test_the_page_asks_for_nothing(tmp_path: Path) -> None:
    text = written(tmp_path, verdict())
    checker = Checker(text)
    assert checker.outside
    assert {tag for tag, _ in checker.outside} == {"a"}, "only links that a reader may follow"
    assert not {"link", "img", "iframe", "object"} & set(checker.tags)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp|import\(", text)
    assert "https://doi.org/10.1/x<" in text, "a full stop is no part of an address"


def test_texts_are_escaped(tmp_path: Path) -> None:
    arms = {HOSTILE: HOSTILE, "plain": HOSTILE}
    check = {
        "arm": HOSTILE,
        "against": "plain",
        "metric": HOSTILE,
        "direction": "max",
        "margin": 0.0,
        "says": HOSTILE,
        "unit": HOSTILE,
    }
    claim = stated("bad&<id>", statement=HOSTILE, source=HOSTILE, reported=HOSTILE, differs=HOSTILE, simulated=HOSTILE,
                   data=[HOSTILE], arms=arms, controls={"c<": HOSTILE}, checks={"x": check}, unfair={"plain": HOSTILE},
                   systems=[HOSTILE])  # fmt: skip
    metrics = {HOSTILE: 0.5}
    machine = {"processor": HOSTILE, "cores": 1}
    cells = [
        Record(
            claim.id, arm, seed, "quick", "k", metrics, 9, 9, 1, 1.0, {HOSTILE: [1.0, 2.0]}, HOSTILE, machine, {HOSTILE: "1"}
        )
        for arm in claim.everything
        for seed in range(2)
    ]
    text = written(tmp_path, judge(claim, "quick", cells))
    checker = Checker(text)
    assert checker.tags.count("script") == 1
    assert "alert('1')" in "".join(checker.text)
    assert HOSTILE not in text


def test_no_claims(tmp_path: Path) -> None:
    text = written(tmp_path)
    Checker(text)
    assert "There are no claims here" in text


def test_claims_without_records_say_how_to_get_them(tmp_path: Path) -> None:
    words = "".join(Checker(written(tmp_path, judge(stated(), "quick", []))).text)
    assert "Not measured yet" in words
    assert "polytask claims run made_up --size quick" in words


def test_undefined_values_draw_nothing(tmp_path: Path) -> None:
    claim = stated()
    cells = [
        replace(r, metrics=dict.fromkeys(r.metrics, nan), curves={"loss": [nan, inf, 1.0], "empty": []}) for r in records(claim)
    ]
    text = written(tmp_path, judge(claim, "quick", cells))
    Checker(text)
    assert not re.search(r'="[^"]*\b(nan|inf)\b', text)
    assert "undefined" in text


def test_a_single_seed_has_no_interval(tmp_path: Path) -> None:
    text = written(tmp_path, verdict(seeds=1))
    Checker(text)
    assert not re.search(r'="[^"]*\bnan\b', text)
    assert "(no interval)" in text
    assert 'class="bar"' not in text
    assert "--size quick --seeds 1" in text


def test_arms_without_a_metric_are_told(tmp_path: Path) -> None:
    claim = stated()
    cells = [replace(r, metrics={}) if r.arm == "plain" else r for r in records(claim) if r.arm != "noise"]
    words = "".join(Checker(written(tmp_path, judge(claim, "quick", cells))).text)
    assert "not measured" in words
    assert "4 of 12 cells are not measured yet" in words


def test_bad_news_has_its_boxes(tmp_path: Path) -> None:
    claim = stated(simulated="gaps at random", unfair={})
    cells = [replace(r, parameters=5000) if r.arm == "plain" else r for r in records(claim)]
    good = [replace(r, metrics={"auroc": 0.99, "gap": 0.0}) if r.arm == "noise" else r for r in records(stated("other"))]
    matched = judge(stated("other"), "quick", good)
    text = written(tmp_path, judge(claim, "quick", cells), matched)
    words = "".join(Checker(text).text)
    assert matched.matched == ("noise",)
    for said in (
        "Simulatedgaps at random",
        "has 5,000 parameters",
        "A trivial control does as well",
        "In 1 claim a trivial control",
    ):
        assert said in words
    assert 'data-verdict="unfair"' in text


@pytest.mark.parametrize("direction", [1, -1])
def test_the_claimed_side_is_shaded(direction: int) -> None:
    row = _svg.Row("a", "reproduced", 1.0, 0.5, 1.5, (0.5, 1.5), "1")
    text = _svg.forest([row], 0.0, True, direction > 0, "unit")
    start, width = (float(n) for n in re.findall(r'class="claimed" x="([\d.]+)%" width="([\d.]+)%"', text)[0])
    margin = float(re.findall(r'class="margin" x1="([\d.]+)%"', text)[0])
    assert (start if direction > 0 else start + width) == pytest.approx(margin, abs=0.02)


def test_lines_are_set_at_their_margin() -> None:
    for margin, low, high in ((0.01, 0.02, 0.05), (100.0, 20.0, 90.0), (-1.0, -3.0, 4.0)):
        text = _svg.aligned(_svg.Row("a", "undecided", (low + high) / 2, low, high, (), ""), margin, True)
        first, second = (float(n) for n in re.findall(r'class="bar" x1="([\d.]+)%" x2="([\d.]+)%"', text)[0])
        assert (first > 50) == (low > margin)
        assert (second > 50) == (high > margin)
        assert 0 <= first <= second <= 100


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3e-6, 7e-6), (1200.0, 98000.0), (0.84, 0.86)])
def test_ticks_are_inside_and_even(low: float, high: float) -> None:
    ticks = _svg.Scale(low, high).ticks()
    assert 2 <= len(ticks) <= 6
    assert all(low - 1e-9 <= tick <= high * (1 + 1e-9) for tick in ticks)


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [(0.84217, 0.0113, "0.842 ± 0.011"), (12.3, 4.0, "12.3 ± 4.0"), (-0.5, nan, "−0.5"), (1234.5, 0.0, "1,234")],
)
def test_spreads(mean: float, deviation: float, text: str) -> None:
    assert _svg.spread(mean, deviation) == text


def test_contrast_of_words_is_enough() -> None:
    """WCAG AA: 4.5 to 1, light and dark."""
    style = (Path(claims.__file__).parent / "_page.css").read_text()
    colours = {name: pair for name, *pair in re.findall(r"--([\w-]+): light-dark\(#(\w{6}), #(\w{6})\)", style)}
    pairs = [(word, ground) for word in ("ink", "soft", "link") for ground in ("page", "panel")]
    pairs += [(word, f"{word}-bg") for word in ("good", "bad", "open", "unfair", "idle")] + [("warn", "page")]
    for word, ground in pairs:
        for mode in (0, 1):
            assert contrast(colours[word][mode], colours[ground][mode]) >= 4.5, (word, ground, mode)
    for number in range(8):
        assert min(contrast(colours[f"a{number}"][mode], colours["page"][mode]) for mode in (0, 1)) >= 3


def contrast(one: str, other: str) -> float:
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_what_the_script_looks_up_is_there(tmp_path: Path) -> None:
    text = unescape(written(tmp_path, verdict()))
    for id in re.findall(r'byId\("(\w+)"\)', (Path(claims.__file__).parent / "_page.js").read_text()):
        assert f'id="{id}"' in text
