"""The report in a browser: from the disk, without a network, by mouse and keyboard, on a phone, in the dark."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_folders import EVIL, comparison, run

from polytask.report import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base, out = tmp_path_factory.getbasetemp(), tmp_path_factory.mktemp("pages")
    found = {"compared": page.write(comparison(base), out / "compared.html", importance=False)}
    return found | {"run": page.write(run(base), out / "run.html")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Opened:
    """A page with what went wrong in it, and what it asked for."""

    def __init__(self, browser: Any, path: Path, **settings: Any) -> None:
        self.tab = browser.new_page(**({"viewport": {"width": 1280, "height": 800}} | settings))
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.tab.on(
            "console", lambda message: self.wrong.append(message.text) if message.type in ("error", "warning") else None
        )
        self.tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(path.as_uri())

    def shown(self, selector: str) -> int:
        return sum(found.is_visible() for found in self.tab.locator(selector).all())

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.tab.locator(selector).all_text_contents()]


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    tabs: list[Opened] = []

    def open(name: str, **settings: Any) -> Opened:
        tabs.append(Opened(browser, pages[name], **settings))
        return tabs[-1]

    yield open
    for found in tabs:
        assert found.wrong == []
        assert all(url.startswith("file:") for url in found.asked)
        assert len(found.asked) == 1, "the page alone"
        found.tab.close()


def test_sorting_by_click_and_by_key(opened: Any) -> None:
    found = opened("compared")
    heads = found.tab.locator("table.board button.sort")
    numbers = "table.board tbody tr td:nth-child(2)"

    def values() -> list[float]:
        return [float(text.replace("−", "-")) for text in found.texts(numbers)]

    heads.nth(1).click()
    assert values() == sorted(values(), reverse=True)
    assert found.tab.locator('table.board th[aria-sort="descending"]').count() == 1
    heads.nth(1).press("Enter")
    assert values() == sorted(values())
    heads.nth(0).click()
    names = found.texts("table.board tbody .arm-name")
    assert names == sorted(names)
    assert found.tab.locator("table.board th[aria-sort]").count() == 1


def test_filters_hide_a_system_everywhere(opened: Any) -> None:
    found = opened("compared")
    assert found.shown("table.board tbody tr") == 4
    found.tab.locator("#search").fill("MGDA")
    for selector in ("table.board tbody tr", "table.gains tbody tr", ".scatter g.point", "#learning .legend li"):
        assert found.shown(selector) == 1, selector
    assert found.tab.locator("#shown").text_content() == "1 of 4 systems shown"
    found.tab.locator("#search").fill("nothing like it")
    assert found.tab.locator("#nothing").is_visible()
    found.tab.locator("#clear").click()
    found.tab.wait_for_function("document.querySelectorAll('table.board tbody tr[hidden]').length === 0")
    found.tab.locator('.chip[data-value="baseline"]').click()
    assert found.shown("table.board tbody tr") == 2
    found.tab.locator('.chip[data-value="mgda"]').click()
    assert found.tab.locator("#nothing").is_visible(), "no baseline has a balancer"


def test_hovering_tells_figures(opened: Any) -> None:
    found = opened("compared")
    tip = found.tab.locator("#tip")
    spot = found.tab.locator(".scatter:visible g.point").first
    spot.locator(".spot, .ring").hover()
    assert spot.get_attribute("data-arm") in tip.text_content()
    found.tab.locator("#learning svg[data-scale]").first.hover()
    assert tip.text_content().startswith("epoch ")
    assert "hard_sharing + equal: " in tip.text_content()
    found.tab.locator("h1").hover()
    assert not tip.is_visible()


def test_choices_show_one_body_at_a_time(opened: Any) -> None:
    found = opened("compared")
    assert found.shown("#cost .picked") == 1
    found.tab.locator("#cost [data-pick]").nth(1).click()
    assert found.tab.locator("#cost .picked").nth(1).is_visible()
    assert found.shown("#cost .picked") == 1
    assert found.texts('#cost [aria-pressed="true"]') == ["Size"]


def test_the_slider_goes_through_the_epochs(opened: Any) -> None:
    found = opened("run")
    slider = found.tab.locator("input[data-epochs]")
    cell = found.tab.locator("table.matrix td[data-looks]").first
    mean = cell.text_content()
    seen = []
    for _ in range(3):
        slider.press("ArrowRight")
        seen.append(cell.text_content())
    looks = [float(text) for text in cell.get_attribute("data-looks").split(" ")]
    assert [float(text.replace("−", "-")) for text in seen] == pytest.approx(looks, abs=0.006)
    assert slider.get_attribute("aria-valuetext") == "epoch 3"
    slider.press("Home")
    assert cell.text_content() == mean


def test_hostile_names_are_read_as_they_are(opened: Any) -> None:
    found = opened("run")
    assert any(f"ill {EVIL}" in text for text in found.texts("#scores tbody th"))
    assert found.tab.locator("script").count() == 1


@pytest.mark.parametrize("name", ["compared", "run"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scroll(name: str, scheme: str, opened: Any) -> None:
    found = opened(name, viewport={"width": 375, "height": 800}, color_scheme=scheme)
    assert found.tab.evaluate("document.documentElement.scrollWidth") <= 375
    for details in found.tab.locator("summary").all():
        details.click()
    assert found.tab.evaluate("document.documentElement.scrollWidth") <= 375


def test_the_dark_follows_the_reader_and_the_button(opened: Any) -> None:
    found = opened("compared", color_scheme="dark")

    def ground() -> int:
        colour = found.tab.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    assert ground() < 150
    found.tab.locator("#theme").click()
    assert ground() > 600


def test_everything_that_acts_is_reached_by_keyboard(opened: Any) -> None:
    found = opened("compared")
    script = """() => [...document.querySelectorAll('button, input, a, summary, .scroll')]
        .filter((e) => e.checkVisibility() && e.tabIndex < 0).length"""
    assert found.tab.evaluate(script) == 0
    unnamed = """() => [...document.querySelectorAll('svg:not([aria-hidden="true"])')]
        .filter((e) => !e.closest('[role="img"]') && !e.closest('[aria-hidden="true"]')).length"""
    assert found.tab.evaluate(unnamed) == 0, "every drawing has words, or is decoration"


def test_without_a_script_all_is_shown(opened: Any, browser: Any, pages: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(pages["compared"].as_uri())
    assert all(body.is_visible() for body in tab.locator("#cost .picked").all())
    assert not tab.locator(".filters").is_visible()
    context.close()
