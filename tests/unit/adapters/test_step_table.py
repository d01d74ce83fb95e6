from __future__ import annotations

import threading

import pytest

from support.ledgers import step_records

pytest_plugins = ["support.databases"]


def test_what_is_added_is_found(database_url: str) -> None:
    records = step_records(database_url)
    assert records.find("key") is None
    record = {"model": "churn", "value": 0.1, "none": None, "list": [1, "ü"], "at": "2026-05-01T12:00:00Z"}
    assert records.add("key", step="gate_model", model="churn", record=record) == record
    assert step_records(database_url).find("key") == record
    assert records.find("other") is None


def test_the_first_record_of_a_key_stands(database_url: str) -> None:
    records = step_records(database_url)
    records.add("key", step="gate_model", model="churn", record={"n": 1})
    assert records.add("key", step="gate_model", model="churn", record={"n": 2}) == {"n": 1}
    assert records.find("key") == {"n": 1}


def test_of_many_that_are_added_at_once_all_get_the_one_that_stands(database_url: str) -> None:
    records = step_records(database_url)
    records.find("key")
    barrier, stands = threading.Barrier(8), []

    def add(number: int) -> None:
        barrier.wait()
        stands.append(records.add("key", step="gate_model", model="churn", record={"n": number}))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stands) == 8
    assert all(record == records.find("key") for record in stands)


def test_a_number_that_is_none_is_refused(database_url: str) -> None:
    records = step_records(database_url)
    with pytest.raises(ValueError, match="JSON"):
        records.add("key", step="gate_model", model="churn", record={"auc": float("inf")})
    assert records.find("key") is None
