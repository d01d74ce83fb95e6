from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from windsock.cli.airflow_rest import AirflowApiError
from windsock.cli.first_pass import FACTORY_DAG, FACTORY_FILE, FirstPass
from windsock.pipelines import housekeeping

STARTED = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
BEFORE = (STARTED - timedelta(minutes=5)).isoformat()
AFTER = (STARTED + timedelta(seconds=7)).isoformat().replace("+00:00", "Z")


class FakeApi:
    """What Airflow says of its DAGs and import errors."""

    def __init__(self, parsed: str | None = None, errors: dict[str, str] | None = None) -> None:
        self.dags = {FACTORY_DAG: {"last_parsed_time": parsed}} if parsed else {}
        self.errors = [{"filename": name, "timestamp": at} for name, at in (errors or {}).items()]
        self.asked = 0
        self.closed = False

    def close(self):
        self.closed = True

    def dag(self, dag_id):
        self.asked += 1
        return self.dags.get(dag_id)

    def import_errors(self):
        return self.errors


@pytest.fixture
def dags(tmp_path):
    (tmp_path / FACTORY_FILE).touch()
    return tmp_path


def first_pass(dags, api) -> FirstPass:
    return FirstPass(dags=dags, connect=lambda: api, since=STARTED)


@pytest.mark.parametrize(
    ("api", "done"),
    [
        (FakeApi(), False),
        (FakeApi(BEFORE), False),  # an earlier start of this home stored it
        (FakeApi(AFTER), True),
        (FakeApi(errors={f"/project/dags/{FACTORY_FILE}": AFTER}), True),  # it never will be stored
        (FakeApi(BEFORE, {f"/project/dags/{FACTORY_FILE}": BEFORE}), False),
        (FakeApi(errors={"/project/dags/other.py": AFTER}), False),
    ],
)
def test_it_is_done_when_the_factory_file_was_parsed_since_the_start(dags, api, done):
    assert first_pass(dags, api).done() is done


def test_without_the_factory_there_is_nothing_to_wait_for(tmp_path):
    assert first_pass(tmp_path, FakeApi()).done()


def test_while_airflow_does_not_answer_it_is_not_done(dags):
    def refuse():
        raise AirflowApiError("no answer")

    assert not FirstPass(dags=dags, connect=refuse, since=STARTED).done()


def test_what_is_done_is_not_asked_again(dags):
    api = FakeApi(AFTER)
    waiting = first_pass(dags, api)
    assert [waiting.done() for _ in range(3)] == [True, True, True]
    assert api.asked == 1


def test_the_client_is_closed_when_it_is_done(dags):
    api = FakeApi(AFTER)
    assert first_pass(dags, api).done()
    assert api.closed


def test_the_dag_that_is_asked_for_is_the_one_that_is_always_there():
    assert FACTORY_DAG == housekeeping.DAG_ID


def test_a_file_that_is_never_parsed_is_not_waited_for_for_good(dags):
    waiting = FirstPass(dags=dags, connect=FakeApi, since=STARTED, patience=0.0)
    assert waiting.done()
    assert waiting.is_late


def test_what_is_there_is_not_late(dags):
    waiting = FirstPass(dags=dags, connect=lambda: FakeApi(AFTER), since=STARTED, patience=0.0)
    assert waiting.done()
    assert not waiting.is_late
