"""``replace``: a changed record is a valid record."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

import windsock
from support.specs import ANNOTATED
from windsock.records import CheckResult, Interval, Span, Status
from windsock.settings import Settings
from windsock.spec.loader import spec_from_bytes

LEDGER = {"adapters/ledger_chain.py"}
"""Where a row that was signed is read: it was held against its model before."""

START = datetime(2026, 1, 1, tzinfo=UTC)
CHECK = CheckResult(name="rows", status=Status.PASS, code="WS-DATA-003", value=3.0)


def test_a_changed_record_is_another_one_and_the_old_one_stays():
    failed = CHECK.replace(status=Status.FAIL, value=2.0)
    assert (failed.status, failed.value, failed.name) == (Status.FAIL, 2.0, "rows")
    assert (CHECK.status, CHECK.value) == (Status.PASS, 3.0)
    assert CHECK.replace() == CHECK


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "perhaps"},
        {"value": "much"},
        {"value": float("nan")},
        {"n": -1},
        {"interval": {"low": 1.0, "high": float("inf")}},
        {"name": None},
        {"message": b"\xff"},
    ],
    ids=lambda changes: repr(changes),
)
def test_a_value_that_the_field_may_not_hold_is_refused(changes):
    with pytest.raises(ValidationError):
        CHECK.replace(**changes)


def test_what_fits_is_turned_into_the_type_of_the_field():
    changed = CHECK.replace(status="insufficient", interval={"low": 0.1, "high": 0.2})
    assert changed.status is Status.INSUFFICIENT
    assert changed.interval == Interval(low=0.1, high=0.2)


def test_fields_that_do_not_fit_each_other_are_refused():
    span = Span(start=START, end=START + timedelta(hours=1))
    with pytest.raises(ValidationError, match="a span ends after it has begun"):
        span.replace(end=START)


def test_unknown_fields_are_named_together_with_the_known_ones():
    with pytest.raises(TypeError, match="no field limits, worth; its fields are name, status"):
        CHECK.replace(limits=1, worth=2)


def test_a_refused_value_is_not_repeated():
    settings = Settings.from_environment({"WINDSOCK_HOME": "/srv/windsock"})
    with pytest.raises(ValidationError) as refused:
        settings.replace(admin_token={"hidden": "s3cret-token"})
    assert "admin_token" in str(refused.value)
    assert "s3cret-token" not in str(refused.value)


@pytest.mark.parametrize("text", [ANNOTATED, "model: {name: churn}\ndata: {source: 'sql://shop/users'}\n"])
def test_what_a_spec_left_out_stays_left_out(text):
    """A policy of ``windsock.yaml`` fills what the model's own file does not say."""
    spec = spec_from_bytes(text.encode(), "churn.yaml")
    same = spec.replace()
    assert same == spec
    assert same.model_dump(exclude_unset=True) == spec.model_dump(exclude_unset=True)
    assert same.content_digest() == spec.content_digest()
    other = spec.replace(training=spec.training.replace(schedule="daily"))
    assert other.model_fields_set == spec.model_fields_set | {"training"}
    assert other.training.model_fields_set == spec.training.model_fields_set | {"schedule"}


def test_a_spec_is_not_changed_into_one_that_its_file_could_not_say():
    spec = spec_from_bytes(ANNOTATED.encode(), "churn.yaml")
    with pytest.raises(ValidationError):
        spec.training.replace(schedule="sometimes")
    with pytest.raises(ValidationError):
        spec.monitoring.replace(drift={"report": "rarely"})


def test_no_record_is_changed_without_validation():
    root = Path(windsock.__file__).parent
    unchecked = re.compile(r"\bmodel_copy\(\s*update|\bmodel_construct\(")
    found = {
        str(file.relative_to(root))
        for file in root.rglob("*.py")
        if unchecked.search(file.read_text(encoding="utf-8"))
    }
    assert found <= LEDGER
