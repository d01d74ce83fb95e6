"""A real browser for tests, signed in to Airflow, that notes what a page did by itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from support.payloads import PLANTED
from support.stack import LiveStack

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FAULTS = f"""() => [
  ...(window.{PLANTED} === undefined ? [] : ['a planted script ran']),
  ...[...document.querySelectorAll('img')].map(one => one.src).filter(
      one => one.includes('canary') || one.endsWith('/x')),
  ...[...document.querySelectorAll('a')].map(one => one.href).filter(one => one.startsWith('javascript:')),
  ...[...document.querySelectorAll('[onerror], [onmouseover]')].map(one => one.outerHTML),
]"""


class Watched:
    """Pages of a browser, and what they did that nobody asked for.

    :param page: the browser's page.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.asked: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("dialog", lambda dialog: self.asked.append(f"canary dialog {dialog.message}"))

    def settle(self, *, seconds: float = 2.0) -> None:
        """Wait until the page has asked for nothing for half a second; some pages never cease to ask."""
        from playwright.sync_api import TimeoutError as NeverIdleError

        with suppress(NeverIdleError):
            self.page.wait_for_load_state("networkidle", timeout=1_000 * seconds)

    def faults(self) -> list[str]:
        """Return the traces of a script, an image or a link of a planted text, in the page and its frames."""
        found = [fault for frame in self.page.frames for fault in frame.evaluate(FAULTS)]
        return found + [url for url in self.asked if "canary" in url]


@contextmanager
def watched_page(live: LiveStack) -> Iterator[Watched]:
    """Open a page that is signed in to Airflow as the admin."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        page = browser.new_page(base_url=live.stack.airflow_url, viewport={"width": 1400, "height": 2200})
        page.goto("/auth/login")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(live.stack.logins["admin"])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "login" not in url)
        yield Watched(page)
        browser.close()
