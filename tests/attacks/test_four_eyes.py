"""Four eyes through a real scheduler and Airflow's REST interface: nobody approves alone what they started.

Each attempt is a line of a table: how the run was started, who tries what, and what stopped it. The next
person can always answer: a refused answer ends nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from support.people import CLOCKED, EYES, Asked, Person, write_people
from support.stack import live_stack, wait_for, write_visits
from windsock.adapters.ledger_table import SqlLedger
from windsock.cli.follow import last_block
from windsock.records import LedgerAction
from windsock.settings import Settings

pytestmark = [pytest.mark.e2e, pytest.mark.acceptance]
RETRAIN, DRIFT_RETRAIN = f"{EYES}__daily_retrain", f"{EYES}__drift_retrain"
CLOCK = f"{CLOCKED}__daily_retrain"


@pytest.fixture(scope="module")
def live(tmp_path_factory, project):
    """A stack with two models of tier medium: one person must approve who did not start it."""
    with live_stack(tmp_path_factory.mktemp("people"), project, write_people) as running:
        yield running


@pytest.fixture(scope="module")
def people(live):
    """Return a person's client, by name."""
    made = {}
    return lambda name: made.setdefault(name, Person(live.stack, name))


@pytest.fixture(scope="module")
def ledger(live):
    return SqlLedger.of(Settings.from_environment(live.stack.environment()))


@pytest.fixture(scope="module")
def clocked(live):
    """The first run of the clocked model's schedule; no other one starts while it is under way."""
    live.await_dag(CLOCK)
    live.admin.set_paused(CLOCK, paused=False)
    wait_for(lambda: live.admin.runs(CLOCK), seconds=180, what="a run on schedule")
    return Asked(live, CLOCK, live.admin.runs(CLOCK)[-1]["dag_run_id"])


def approvers(ledger, model, version):
    rows = ledger.rows(model)
    return [row.actor for row in rows if row.action is LedgerAction.APPROVE and row.version == version]


def last_version(ledger, model):
    return [row for row in ledger.rows(model) if row.action is LedgerAction.REGISTER][-1]


def champion(ledger, model):
    found = ledger.champion(model)
    return found.version if found else None


def new_data(live, model, rows):
    write_visits(live.stack.models / f"{model}.csv", rows)


def see_one_serving(live, people, ledger):
    """Return the champion; where there is none yet, let ann start a run and bob approve it."""
    if champion(ledger, EYES) is None:
        asked = Asked(live, RETRAIN, live.trigger(RETRAIN, api=people("ann")))
        assert asked.answer(people("bob")) is None
        assert live.await_state(RETRAIN, asked.run_id) == "success", live.failures(RETRAIN, asked.run_id)
    return champion(ledger, EYES)


def made_again(live, ledger, person, asked, model, *, rows):
    """Let a person change the data and clear the whole run; wait for the version that comes of it."""
    first = last_version(ledger, model)
    new_data(live, model, rows)
    clear = {"dry_run": False, "only_failed": False}
    person.request("POST", f"/dags/{asked.dag_id}/dagRuns/{asked.run_id}/clear", json=clear)
    wait_for(
        lambda: last_version(ledger, model).version != first.version, seconds=400, what="another version"
    )


def see_refused(asked, ledger, model, codes):
    """See that answers so far were refused with these codes, and nothing came of them."""
    asked.opened()
    found = asked.refused()
    assert [one["code"] for one in found["last"]] == codes
    assert found["count"] == len(codes)
    return last_version(ledger, model).version


def test_trigger(live, people, ledger, clocked):
    """Started by ann: her own answers are refused in every spelling, bob's counts."""
    live.await_dag(RETRAIN)
    asked = Asked(live, RETRAIN, live.trigger(RETRAIN, api=people("ann")))
    page = asked.opened()
    assert "cannot approve, having asked for it: ann" in page["body"]
    codes = []
    for name, code in (("ann", "004"), ("ａｎｎ", "004"), ("ann\u200b", "007"), ("ANN ", "004")):
        assert asked.answer(people(name)) is None, "Airflow itself takes the answer"
        codes.append(f"WS-APPROVAL-{code}")
        version = see_refused(asked, ledger, EYES, codes)
        assert approvers(ledger, EYES, version) == []
    # A second click before the first was looked at, and marking the task as a success.
    assert asked.click(people("ann")) is None
    assert asked.click(people("ann")) in (None, 409)
    asked.opened()
    path = f"/dags/{RETRAIN}/dagRuns/{asked.run_id}/taskInstances/approve_model"
    people("ann").request("PATCH", path, json={"new_state": "success"})
    assert live.await_state(RETRAIN, asked.run_id) == "failed"
    failed = live.await_task(RETRAIN, asked.run_id, "promote_model", "failed")
    assert "WS-APPROVAL-001" in last_block(live.admin.log(RETRAIN, asked.run_id, failed))[1]
    assert champion(ledger, EYES) is None
    # Clearing asks again. It is still ann's run, whoever clears it.
    clear = {"task_ids": ["approve_model"], "include_downstream": True, "dry_run": False}
    clear |= {"dag_run_id": asked.run_id, "only_failed": False, "reset_dag_runs": True}
    people("ann").request("POST", f"/dags/{RETRAIN}/clearTaskInstances", json=clear)
    assert asked.answer(people("ann")) is None
    see_refused(asked, ledger, EYES, ["WS-APPROVAL-004"])
    assert "the answer of ann was refused" in asked.log_text()
    assert asked.answer(people("bob")) is None
    assert live.await_state(RETRAIN, asked.run_id) == "success", live.failures(RETRAIN, asked.run_id)
    assert approvers(ledger, EYES, version) == ["bob"]
    assert champion(ledger, EYES) == version


def test_asset_event(live, people, ledger):
    """Started by an event that eve has posted: nobody knows it was her, so two people must approve."""
    before = see_one_serving(live, people, ledger)
    new_data(live, EYES, 860)
    live.await_dag(DRIFT_RETRAIN)
    live.admin.set_paused(DRIFT_RETRAIN, paused=False)
    assets = live.admin.request("GET", "/assets", params={"uri_pattern": f"x-windsock://{EYES}/retrain"})
    said = {"event_id": "mine", "started_by": "bob", "from_rest_api": False}
    event = {"asset_id": assets["assets"][0]["id"], "extra": said}
    people("eve").request("POST", "/assets/events", json=event)
    wait_for(lambda: live.admin.runs(DRIFT_RETRAIN), seconds=120, what="the event's run")
    run = live.admin.runs(DRIFT_RETRAIN)[0]
    assert run["triggering_user_name"] is None, "Airflow knows nobody"
    asked = Asked(live, DRIFT_RETRAIN, run["dag_run_id"])
    assert "0 of 2 approvals; one more than usual" in asked.opened()["body"].replace("\\", "")
    assert last_version(ledger, EYES).body["starter_unknown"] is True
    assert asked.answer(people("eve")) is None
    asked.opened()
    for name, code in (("ｅve", "005"), ("Eve", "005"), ("eve\u2060", "007")):
        assert asked.answer(people(name)) is None
        assert asked.opened()
        assert asked.refused()["last"][-1]["code"] == f"WS-APPROVAL-{code}"
    version = last_version(ledger, EYES).version
    assert approvers(ledger, EYES, version) == ["eve"]
    assert champion(ledger, EYES) == before
    assert asked.answer(people("bob")) is None
    state = live.await_state(DRIFT_RETRAIN, asked.run_id)
    assert state == "success", live.failures(DRIFT_RETRAIN, asked.run_id)
    assert approvers(ledger, EYES, version) == ["eve", "bob"]
    assert champion(ledger, EYES) == version


def test_backfill(live, people, ledger):
    """Started by eve's backfill: Airflow names her, so her answer is refused."""
    new_data(live, EYES, 920)
    live.await_dag(RETRAIN)
    live.admin.set_paused(RETRAIN, paused=False)
    day = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0) - timedelta(days=3)
    asks = {
        "dag_id": RETRAIN,
        "from_date": day.isoformat(),
        "to_date": (day + timedelta(hours=1)).isoformat(),
    }
    before = {run["dag_run_id"] for run in live.admin.runs(RETRAIN)}
    people("eve").request("POST", "/backfills", json=asks)

    def backfilled():
        return [run for run in live.admin.runs(RETRAIN) if run["dag_run_id"] not in before]

    wait_for(backfilled, seconds=120, what="the run of the backfill")
    asked = Asked(live, RETRAIN, backfilled()[0]["dag_run_id"])
    assert "cannot approve, having asked for it: eve" in asked.opened()["body"]
    assert asked.answer(people("eve")) is None
    version = see_refused(asked, ledger, EYES, ["WS-APPROVAL-004"])
    assert asked.answer(people("bob")) is None
    assert live.await_state(RETRAIN, asked.run_id) == "success", live.failures(RETRAIN, asked.run_id)
    assert approvers(ledger, EYES, version) == ["bob"]
    assert champion(ledger, EYES) == version


def test_clear_of_a_run_on_schedule(live, people, ledger, clocked):
    """A run on schedule asks one person; what eve, who is not named, has it make again needs two."""
    assert "0 of 1 approvals" in clocked.opened()["body"]
    first = last_version(ledger, CLOCKED)
    assert "starter_unknown" not in first.body
    made_again(live, ledger, people("eve"), clocked, CLOCKED, rows=860)
    # Airflow goes on showing the first version's page: nobody is asked about another one by it.
    failed = live.await_task(CLOCK, clocked.run_id, "approve_model", "failed")
    assert "WS-APPROVAL-010" in last_block(live.admin.log(CLOCK, clocked.run_id, failed))[1]
    assert clocked.click(people("eve")) in (None, 409), "an answer to a task that has ended"
    assert live.await_state(CLOCK, clocked.run_id) == "failed"
    version = last_version(ledger, CLOCKED)
    assert version.body["starter_unknown"] is True
    assert approvers(ledger, CLOCKED, version.version) == []
    # The run that comes next has a page of its own, and the version needs two people still.
    wait_for(lambda: len(live.admin.runs(CLOCK)) > 1, seconds=180, what="the next run on schedule")
    again = Asked(live, CLOCK, live.admin.runs(CLOCK)[0]["dag_run_id"])
    assert "0 of 2 approvals" in again.opened()["body"]
    assert again.answer(people("eve")) is None
    again.opened()
    assert again.answer(people("eve")) is None
    see_refused(again, ledger, CLOCKED, ["WS-APPROVAL-005"])
    assert champion(ledger, CLOCKED) is None
    assert again.answer(people("bob")) is None
    assert live.await_state(CLOCK, again.run_id) == "success", live.failures(CLOCK, again.run_id)
    assert approvers(ledger, CLOCKED, version.version) == ["eve", "bob"]
    assert champion(ledger, CLOCKED) == version.version


def test_no_version_serves_that_fewer_people_approved_than_must(ledger):
    for model in (EYES, CLOCKED):
        rows = ledger.rows(model)
        registered = {row.version: row for row in rows if row.action is LedgerAction.REGISTER}
        commits = [row for row in rows if row.action is LedgerAction.COMMIT]
        assert commits
        for row in commits:
            needed = 2 if registered[row.version].body.get("starter_unknown") else 1
            assert len(approvers(ledger, model, row.version)) == needed
