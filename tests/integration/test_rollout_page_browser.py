"""The page of a rollout in a real browser: both colour schemes, a desk and a phone."""

from __future__ import annotations

import shutil

import pytest

from support.rollouts import make_estimate, make_look, make_rollout
from support.several import several_look, several_rollout
from windsock.adapters.rollout_page import RolloutPage

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LIGHTNESS = """element => {
  const [r, g, b] = getComputedStyle(element).PROPERTY.match(/[0-9.]+/g).map(Number);
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}"""


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield started
        started.close()


@pytest.fixture(params=["one", "several"])
def page(tmp_path, request):
    """The address of a page, the version that it promotes, and its charts."""
    is_one = request.param == "one"
    file = tmp_path / "report.html"
    file.write_bytes(RolloutPage().html(*(of_one() if is_one else of_several())))
    return file.as_uri(), "2" if is_one else "6", 2 if is_one else 4


def of_one():
    looks = [
        make_look(number, estimate=make_estimate(-0.04 / number, 0.012 + 0.04 / number))
        for number in range(1, 40)
    ]
    looks.append(make_look(40, "promote", reason="conversion is better: the interval is above 0"))
    return make_rollout(), looks


def of_several():
    gone = {5: {"withdrawn": True, "reason": "it was dropped before"}}
    looks = [several_look(number, about=6) for number in range(1, 20)]
    looks.append(several_look(20, "drop", about=5, looks={5: {"action": "roll_back"}}))
    looks += [several_look(number, about=6, looks=gone) for number in range(21, 40)]
    looks.append(several_look(40, "promote", about=6, looks={**gone, 6: {"action": "promote"}}))
    return several_rollout(dropped=(5,)), looks


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1100])
def test_it_is_readable(browser, page, scheme, width):
    address, promoted, drawn = page
    shown = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, faults = [], []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: faults.append(message.text))
    shown.on("pageerror", lambda error: faults.append(str(error)))
    shown.goto(address)
    assert shown.locator(".come b").inner_text() == f"Promote version {promoted}"
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    tables = shown.locator(".wide")
    for number in range(tables.count()):  # no column is off to the right
        over = tables.nth(number).evaluate("one => one.scrollWidth - one.clientWidth")
        assert over <= 0, tables.nth(number).inner_text()[:80]
    paper = shown.locator("body").evaluate(LIGHTNESS.replace("PROPERTY", "backgroundColor"))
    ink = shown.locator("body").evaluate(LIGHTNESS.replace("PROPERTY", "color"))
    assert (paper > 0.9, ink < 0.2) == ((True, True) if scheme == "light" else (False, False))
    assert abs(paper - ink) > 0.7
    charts = shown.locator("svg")
    assert charts.count() == drawn
    for number in range(drawn):
        box = charts.nth(number).bounding_box()
        assert box["width"] > 300
        assert box["height"] > 150
    letters = shown.locator("svg text").first.bounding_box()
    assert letters["height"] > 9
    band = shown.locator(".band").first.bounding_box()
    assert band["width"] > 200
    assert asked == [address]
    assert faults == []
    shown.close()
