from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from support.builders import digest
from support.fake_monitor import FakeMonitor
from support.fake_rollout import FakeRollouts
from support.fakes import FakeLedger
from support.rollout_steps import steer, waiting_world
from support.several import several_look, several_under_way
from support.world import world_of
from windsock.hooks.findings import looked
from windsock.records import INSTALLATION, Alert, LedgerAction, LedgerEntry
from windsock.settings import Settings
from windsock.spec import SharedSpec
from windsock.ui import app as ui
from windsock.ui import pages

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def ledger():
    return FakeLedger()


@pytest.fixture
def monitor():
    return FakeMonitor()


@pytest.fixture
def client(monkeypatch, tmp_path, ledger, monitor):
    """The pages over an in-memory ledger and a models folder, for someone who is signed in."""
    from fastapi import Depends
    from fastapi.testclient import TestClient

    folder = tmp_path / "include" / "models"
    folder.mkdir(parents=True)
    (folder / "churn.yaml").write_text("model: {name: churn, owner: '<b>ann</b>'}\n", encoding="utf-8")
    settings = Settings.from_environment({"WINDSOCK_MODELS_DIR": str(folder), "WINDSOCK_HOME": str(tmp_path)})
    monkeypatch.setattr(
        pages,
        "_world",
        lambda: (
            settings,
            SimpleNamespace(ledger=ledger, rollouts=FakeRollouts(), monitor=monitor, now=lambda: NOON),
        ),
    )
    monkeypatch.setattr("windsock.ui.guard.signed_in", lambda: Depends(lambda: None))
    return TestClient(ui.LazyApp())


def commit(ledger, version="3"):
    entry = LedgerEntry(
        model="churn",
        action=LedgerAction.COMMIT,
        epoch=2,
        version=version,
        digest=digest("b"),
        actor="scheduler",
        body={"bundle_uri": "memory://b", "replaced": None},
    )
    ledger.append(entry, after_seq=len(ledger.rows("churn")))


def test_inventory_names_the_model_and_escapes_its_owner(client):
    page = client.get("/models").text
    assert "churn" in page
    assert "none yet" in page
    assert "<b>ann</b>" not in page
    assert "&lt;b&gt;ann&lt;/b&gt;" in page


def test_inventory_tells_the_version_that_serves(client, ledger):
    commit(ledger)
    assert "<td>3</td>" in client.get("/models").text


def test_inventory_lists_broken_files(client, tmp_path):
    (tmp_path / "include" / "models" / "pears.yaml").write_text(
        "model: {name: pears, tier: huge}\n", encoding="utf-8"
    )
    page = client.get("/models").text
    assert "pears.yaml:1" in page
    assert "model.tier" in page


@pytest.mark.parametrize("content", ["alert_channels: [\n", "compute_clases: {}\n", "- a list\n"])
def test_a_broken_shared_file_is_named_and_hides_no_model(client, ledger, tmp_path, content):
    commit(ledger)
    (tmp_path / "include" / "windsock.yaml").write_text(content, encoding="utf-8")
    answer = client.get("/models")
    assert answer.status_code == 200
    assert '<p class="bad">WS-SPEC-' in answer.text
    assert "windsock.yaml:" in answer.text
    assert "<td>3</td>" in answer.text
    assert "&lt;b&gt;ann&lt;/b&gt;" in answer.text
    own = client.get("/models/churn")
    assert own.status_code == 200
    assert "Version 3 serves" in own.text


def alert(monitor, **fields):
    usual = {"model": "churn", "key": "watch:dag", "severity": "high", "title": "a DAG is off"}
    told = {"text": "<b>churn__monitor</b> is off.", "owner": "ann", "code": "WS-WATCH-010"}
    times = {"first_at": NOON, "last_at": NOON}
    monitor.put_alert(
        Alert(**{**usual, **told, "next_action": "`windsock models on churn`", **times, **fields})
    )


def test_pages_say_what_fires_and_what_to_do(client, monitor):
    alert(monitor)
    alert(monitor, key="watch:low", severity="low", title="a small thing")
    alert(monitor, key="watch:over", state="resolved", title="something that is over")
    alert(monitor, model=INSTALLATION, severity="critical", title="the server is away", next_action="")
    listed, own = client.get("/models").text, client.get("/models/churn").text
    assert listed.index("the server is away") < listed.index("a DAG is off")
    assert "1 less severe alert fires" in listed
    assert "<td>2, high</td>" in listed
    for page in (listed, own):
        assert "WS-WATCH-010" in page
        assert "<strong>NEXT:</strong> `windsock models on churn`" in page
        assert "<b>churn__monitor" not in page
        assert "something that is over" not in page
    assert "a small thing" in own
    assert "the server is away" not in own


@pytest.mark.parametrize(("minutes", "late"), [(1, False), (30, True), (None, True)])
def test_pages_say_when_the_watchdog_looked(client, monitor, minutes, late):
    if minutes is not None:
        monitor.put_alert(looked(SharedSpec(), NOON - timedelta(minutes=minutes)))
    for path in ("/models", "/models/churn"):
        page = client.get(path).text
        assert ("What is above may be old" in page) is late
    assert "last looked" in client.get("/models").text or minutes is None


def test_model_page_shows_the_ledger_and_that_it_is_whole(client, ledger):
    commit(ledger)
    page = client.get("/models/churn").text
    assert "hash chain whole" in page
    assert "commit" in page


def test_model_page_says_when_the_ledger_was_edited(client, ledger):
    commit(ledger)
    ledger.kept["churn"][0] = ledger.kept["churn"][0].model_copy(update={"version": "9"})
    assert "from row 1 on rows are missing" in client.get("/models/churn").text


def test_unknown_model_gives_an_empty_page_with_its_name_escaped(client):
    page = client.get("/models/%3Cscript%3E").text
    assert "<script>" not in page
    assert "No version serves" in page


def test_database_away_is_said_not_hidden(client, monkeypatch):
    from windsock.exceptions import DatabaseUnavailableError

    def away():
        raise DatabaseUnavailableError("the control database does not answer")

    monkeypatch.setattr(pages, "_world", away)
    answer = client.get("/models")
    assert answer.status_code == 503
    assert "WS-DATABASE-001" in answer.text


def test_anonymous_is_refused_by_airflow_itself(monkeypatch, airflow_db):
    from fastapi.testclient import TestClient

    client = TestClient(ui.create_app())
    assert client.get("/models").status_code in (401, 403)


@pytest.mark.parametrize("path", ["/models", "/models/churn", "/models/<script>"])
def test_no_page_may_run_a_script(client, path):
    policy = client.get(path).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "script" not in policy


def test_pages_say_what_is_under_way(client, monkeypatch):
    made = several_under_way(world_of(3), dropped=(5,))
    settings = pages._world()[0]
    monkeypatch.setattr(pages, "_world", lambda: (settings, made))
    page = client.get("/models/churn").text
    assert "versions 4, 5 and 6 are tried against version 3 (ab by conversion), step 1 of 1, 30 %" in page
    assert "Dropped: version 5." in page
    assert "No look was taken yet." in page
    assert "<td>4, 5 and 6</td>" in page
    made.rollouts.add_decision(several_look(1, about=6))
    steer(made, "pause", reason="a <sale>")
    page = client.get("/models/churn").text
    assert "Look 1, 2026-05-01 13:00 UTC: hold; version 6: because of 6." in page
    assert "(a &lt;sale&gt;); only a guardrail acts." in page
    assert "versions 4, 5 and 6: 30 % of the units, paused" in client.get("/models").text


def test_pages_say_what_waits(client, monkeypatch):
    made = waiting_world()
    settings = pages._world()[0]
    monkeypatch.setattr(pages, "_world", lambda: (settings, made))
    assert "Version 2 waits for its rollout since " in client.get("/models/churn").text
    assert "Version 2 waits for its rollout" in client.get("/models").text
