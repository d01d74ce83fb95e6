"""What an older release kept: counted anew where the log is there, else gone on with."""

from __future__ import annotations

import hashlib
import io
import logging
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from support.rollout_log import RolloutLog, at, happened, plan, refused, rollout, shown
from support.rollout_recount import naive, told_of
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.adapters.rollout_events.records import FORM, Kept
from windsock.adapters.rollout_events.scope import Scope
from windsock.exceptions import RolloutRefusedError

ROWS = [
    shown("1", unit="a"),
    shown("2", unit="b", minute=2, variant="challenger"),
    shown("3", unit="a", minute=3),
    happened(prediction_id="1", minute=5),
]
LATER = [
    shown("4", unit="a", minute=130),
    refused("5", unit="b", minute=131, variant="challenger"),
    shown("6", minute=132),
    happened(unit="b", event_id="e", minute=133),
]


@pytest.fixture
def log(tmp_path, caplog):
    caplog.set_level(logging.WARNING, logger="windsock")
    log = RolloutLog(tmp_path)
    log.write(*ROWS)
    log.archive(125)
    log.totals(rollout(), 125)
    _make_older(log)
    return log


def _make_older(log: RolloutLog) -> None:
    """Make of what is kept what the first release kept."""
    rows = log.row()
    kept = rows.read()
    parts = []
    for part in kept.parts:
        place = f"rollouts/churn/v2-e7/0/{part.name}"
        table = pq.read_table(io.BytesIO(log.storage.read_bytes(place)))
        content = io.BytesIO()
        pq.write_table(table.drop_columns(["cause"]) if "cause" in table.column_names else table, content)
        log.storage.write_bytes(place, content.getvalue())
        digest = hashlib.sha256(content.getvalue()).hexdigest()
        parts.append(part.replace(size=len(content.getvalue()), digest=digest))
    new = ("fallbacks", "unitless", "largest", "asked", "earlier", "carried", "late", "reused")
    numbers = {name: value for name, value in kept.numbers.items() if not any(one in name for one in new)}
    older: dict[str, Any] = kept.replace(parts=tuple(parts), numbers=numbers, generation=2).model_dump()
    older.pop("form")
    assert rows.switch(1, Kept(**older))
    _unsign(log)


def _unsign(log: RolloutLog) -> None:
    with sa.create_engine(log.url).begin() as connection:
        connection.execute(sa.text("UPDATE rollout_counts SET signature = ''"))


def _retain(log: RolloutLog) -> None:
    ParquetPredictionArchive(log.state, log.storage, now=lambda: at(125)).remove_older(at(60))


def test_it_is_counted_anew_once_where_the_log_is_there(log, caplog):
    for minute in (126, 127):
        assert told_of(log.totals(rollout(), minute)) == naive(rollout(), ROWS[:3], ROWS[3:])
    assert [record.getMessage()[:14] for record in caplog.records] == ["WS-ROLLOUT-049"]


def test_it_is_refused_where_the_log_is_gone_for_nobody_signed_it(log):
    _retain(log)
    log.write(*LATER)
    with pytest.raises(RolloutRefusedError) as raised:
        log.totals(rollout(), 140)
    assert raised.value.code == "WS-ROLLOUT-047"


@pytest.fixture
def signed(tmp_path, caplog):
    """Give a log of which a release with signatures kept what it counted by older rules."""
    caplog.set_level(logging.WARNING, logger="windsock")
    log = RolloutLog(tmp_path)
    log.write(*ROWS)
    log.archive(125)
    log.totals(rollout(), 125)
    kept = log.row().read()
    assert log.row().switch(1, kept.replace(form=FORM - 1, generation=2))
    return log


def test_signed_counts_by_older_rules_are_counted_anew_once(signed, caplog):
    for minute in (126, 127):
        assert told_of(signed.totals(rollout(), minute)) == naive(rollout(), ROWS[:3], ROWS[3:])
    assert [record.getMessage()[:14] for record in caplog.records] == ["WS-ROLLOUT-048"]


def test_they_are_gone_on_with_where_the_log_is_gone(signed, caplog):
    _retain(signed)
    signed.write(*LATER)
    right = naive(rollout(), [*ROWS[:3], *LATER[:3]], [ROWS[3], LATER[3]])
    for minute in (140, 190, 191):
        assert told_of(signed.totals(rollout(), minute)) == right
    assert caplog.records == []


def test_a_plan_without_the_new_fields_has_the_digest_that_it_had():
    scope = Scope.of(rollout(plan("rate", "errors", "accuracy")))
    assert scope.digest == "96e10cf6b40b292a5c4c05568e0396a43e04b9e291bd707eb64ce104616d5e0e"
    assert scope.digest != Scope.of(rollout(plan("rate", "errors", "accuracy", unit_cap=100))).digest
    assert scope.digest != Scope.of(rollout(plan("rate", "errors", "accuracy", attribution="7d"))).digest
