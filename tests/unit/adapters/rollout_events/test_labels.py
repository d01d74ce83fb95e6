"""Outcomes from a table or a file are read whole at each look, and count once."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from support.rollout_log import RolloutLog, at, plan, rollout, shown
from windsock.adapters.rollout_events import ArchiveRolloutEvents
from windsock.exceptions import MonitoringError
from windsock.spec import LabelsBlock


@pytest.fixture
def log(tmp_path):
    return RolloutLog(tmp_path)


class TestLabels:
    def write(self, folder, *lines):
        (folder / "labels.csv").write_text("\n".join(["prediction_id,outcome,known", *lines]) + "\n")

    @pytest.fixture
    def one(self):
        labels = LabelsBlock(kind="file", path="labels.csv", label_time="known")
        return rollout(plan("accuracy", "mean", labels=labels))

    def test_labels_of_a_file_are_read_anew(self, log, one, tmp_path):
        log.write(shown("1", prediction=1), shown("2", minute=2, variant="challenger", prediction=1))
        log.archive(61)
        self.write(
            tmp_path, "1,1,2026-05-01", "1,5,2029-01-01", "2,,2026-05-01", "9,1,2026-05-01", "2,1,soon"
        )
        for minute in (62, 63):
            totals = log.totals(one, minute)
            assert totals.champion.metrics["accuracy"].num == 1
            assert (totals.outcomes, totals.unknown, totals.unusable, totals.early) == (1, 1, 2, 0)
        self.write(tmp_path, "1,0,2026-05-01", "2,1,2026-05-01", "2,0,2026-05-02")
        totals = log.totals(one, 60 * 72)
        assert totals.champion.metrics["accuracy"].num == 0
        assert totals.challenger.metrics["accuracy"].num == 1
        assert (totals.outcomes, totals.repeated_outcomes, totals.unknown) == (2, 1, 0)

    def test_labels_of_a_table_count_once_however_often_it_is_read(self, log, tmp_path):
        labels = LabelsBlock(
            kind="table", conn_id="crm", table="said", prediction_id="pid", outcome="was", label_time="at"
        )
        one = rollout(plan("accuracy", "mean", labels=labels))
        engine = sa.create_engine(f"sqlite:///{tmp_path / 'crm.db'}")

        def table(*rows):
            with engine.begin() as connection:
                connection.execute(sa.text("DROP TABLE IF EXISTS said"))
                connection.execute(sa.text("CREATE TABLE said (pid INTEGER, was BOOLEAN, at TIMESTAMP)"))
                for row in rows:
                    connection.execute(
                        sa.text("INSERT INTO said VALUES (:p, :w, :t)"), dict(zip("pwt", row, strict=True))
                    )

        def look(minute):
            events = ArchiveRolloutEvents(
                log.state,
                log.storage,
                url=log.url,
                keys_dir=log.keys_dir,
                roots=(),
                connections={"crm": str(engine.url)}.__getitem__,
            )
            return events.totals(one, now=at(minute))

        log.write(shown("1", prediction=1), shown("2", minute=2, variant="challenger", prediction=1))
        today, later = "2026-05-01 12:30:00", "2026-05-09 12:30:00"
        table((1, 1, today), (1, 0, "2026-05-01 12:40:00"), (2, None, today), (9, 1, today), (2, 1, later))
        for minute in (62, 63, 64):
            totals = look(minute)
            assert (totals.champion.metrics["accuracy"].num, totals.champion.metrics["mean"].num) == (1, 1)
            assert totals.challenger.metrics["accuracy"].den == 0
            found = (totals.outcomes, totals.repeated_outcomes, totals.unknown, totals.unusable)
            assert found == (1, 1, 1, 1)
            log.archive(minute)
        table((1, 0, today), (2, 1, today))
        for minute in (65, 66):
            totals = look(minute)
            assert (totals.outcomes, totals.unknown) == (2, 0)
            assert (totals.champion.metrics["accuracy"].num, totals.challenger.metrics["mean"].num) == (0, 1)
        engine.dispose()

    def test_a_file_that_is_not_there_is_an_error(self, log, one):
        log.write(shown("1"))
        with pytest.raises(MonitoringError):
            log.totals(one, 30)
