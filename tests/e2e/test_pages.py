"""Windsock's pages and the reviewer's page, in a real browser."""

from __future__ import annotations

import shutil

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
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


@pytest.fixture(scope="module")
def page(live, tmp_path_factory):
    """A browser page, signed in to Airflow as the admin."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        shown = browser.new_page(base_url=live.stack.airflow_url)
        user, password = "admin", live.stack.logins["admin"]
        shown.goto("/auth/login")
        shown.get_by_label("Username").fill(user)
        shown.get_by_label("Password").fill(password)
        shown.get_by_role("button", name="Sign in").click()
        shown.wait_for_url(lambda url: "login" not in url)
        yield shown
        browser.close()


def test_the_inventory_names_every_model_and_the_broken_file(page, first_run):
    page.goto("/windsock/models")
    row = page.get_by_role("row").filter(has_text="churn")
    assert "ds-team@company.com" in row.inner_text()
    faults = page.locator(".bad").all_inner_texts()
    assert all(any(name in fault for fault in faults) for name in ("broken.yaml", "unusable.yaml"))


def test_a_model_leads_to_its_ledger(page, first_run):
    page.goto("/windsock/models")
    page.get_by_role("link", name="churn").click()
    page.wait_for_url("**/windsock/models/churn")
    text = page.locator("body").inner_text()
    assert "Version 1 serves" in text
    assert "hash chain whole" in text
    assert page.get_by_role("row").filter(has_text="commit").count() == 1


def test_airflow_shows_the_page_in_its_own_screen(page, first_run):
    page.goto("/plugin/windsock")
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="Models").wait_for(timeout=20_000)


def test_nobody_sees_it_without_signing_in(live, page):
    stranger = page.context.browser.new_context(base_url=live.stack.airflow_url)
    answer = stranger.request.get("/windsock/models")
    assert answer.status in (401, 403)
    stranger.close()


def test_the_task_has_a_button_to_its_run(page, live, first_run):
    dag_id = "churn__daily_retrain"
    page.goto(f"/dags/{dag_id}/runs/{first_run}/tasks/register_model/details")
    button = page.get_by_role("link", name="Model version")
    button.wait_for(timeout=20_000)
    assert live.stack.mlflow_url in button.get_attribute("href")
