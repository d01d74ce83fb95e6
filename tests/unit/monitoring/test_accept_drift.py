from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support import seasons
from support.builders import digest, make_snapshot, make_spec
from support.drift_windows import FIELDS, count_frame, draw_frame, profile_of
from support.fakes import fake_ports
from windsock.exceptions import MonitoringError, UnverifiedBundleError
from windsock.monitoring.accept_drift import accept_drift
from windsock.monitoring.check_drift import check_drift
from windsock.monitoring.decide_retrain import decide_retrain
from windsock.ports import LabelledRows, LoadedBundle, Ports
from windsock.records import (
    Alert,
    Answer,
    BundleManifest,
    CheckDriftInput,
    DecideRetrainInput,
    DriftReport,
    EpisodeState,
    GoldenPredictions,
    InputSchema,
    LedgerAction,
    LedgerEntry,
    RetrainOrder,
    RetrainOutcome,
    Severity,
    Span,
    Status,
)
from windsock.records.accepted_drift import Accepted, accepted_until
from windsock.statistics.counting import WindowCounts, count_numbers
from windsock.statistics.profiling import describe_column

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
REFERENCE = draw_frame(3_000)
SCORE = FIELDS[0].model_copy(update={"name": "score"})


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(score=1 / (1 + np.exp(-(frame["age"] - 40) / 10)))


PROFILE = profile_of(REFERENCE, score=describe_column(scored(REFERENCE)["score"], SCORE))
SPEC = make_spec(monitoring={"drift": {"report": False}})


def day(number: int) -> Span:
    return Span(start=BEGIN + number * DAY, end=BEGIN + (number + 1) * DAY)


class Log:
    """Counter and rows of a log that has one frame for each day."""

    def __init__(self) -> None:
        self.days: dict[int, pd.DataFrame] = {}

    def frame(self, span: Span) -> pd.DataFrame:
        found = [
            frame
            for number, frame in sorted(self.days.items())
            if span.start <= day(number).start and day(number).end <= span.end
        ]
        return pd.concat(found, ignore_index=True) if found else scored(draw_frame(0))

    def count(self, model: str, digest: str, profile: Any, span: Span) -> WindowCounts:
        frame = self.frame(span)
        if profile.score is None:
            return count_frame(profile, frame)
        scores = count_numbers(profile.score, frame["score"].to_numpy(dtype="float64"))
        return count_frame(profile, frame, scores=scores)

    def sample(self, model: str, span: Span, *, limit: int, seed: int, **_: Any) -> pd.DataFrame:
        return self.frame(span).head(limit)

    def labelled(self, *_: Any, **__: Any) -> Any:
        return LabelledRows(frame=pd.DataFrame())


def commit(ports: Any, version: str) -> None:
    rows = ports.ledger.rows("churn")
    uri = f"memory://bundles/churn/{version}"
    entry = LedgerEntry(
        model="churn",
        action=LedgerAction.COMMIT,
        epoch=len(rows) + 1,
        version=version,
        digest=digest(version),
        actor="scheduler",
        body={"bundle_uri": uri},
    )
    ports.ledger.append(entry, after_seq=len(rows))
    manifest = BundleManifest(
        model="churn",
        key=digest("k"),
        snapshot_digest=digest("1"),
        spec_digest=digest("2"),
        files={"model.skops": digest("3")},
        created_at=BEGIN,
    )
    ports.bundles.by_digest[digest(version)] = LoadedBundle(
        manifest=manifest,
        digest=digest(version),
        pipeline=None,
        schema=InputSchema(model="churn", fields=FIELDS, answer=Answer.NUMBER),
        golden=GoldenPredictions(rows=({"age": 1.0},), scores=((0.5,),)),
        profile=PROFILE,
    )


@pytest.fixture
def world() -> Any:
    """Version 7 serves; day 0 is as in training, days 1 to 4 have drifted by a standard deviation."""
    times = {"now": BEGIN + 2 * DAY}
    log = Log()
    ports = fake_ports(now=lambda: times["now"], counter=log, rows=log)
    commit(ports, "7")
    ports.snapshots.put(make_snapshot(digest=digest("1"), rows=len(REFERENCE)), REFERENCE)
    for number in range(8):
        log.days[number] = scored(draw_frame(800, 10 + number, shift=0.0 if number == 0 else 1.0))
    return ports, log, times


def look(ports: Ports, number: int, spec: Any = SPEC) -> DriftReport:
    return check_drift(CheckDriftInput(spec=spec, window=day(number)), ports, "")


def judged(world: Any, *numbers: int) -> list[Status]:
    ports, _, times = world
    found = []
    for number in numbers:
        times["now"] = day(number).end + timedelta(minutes=10)
        found.append(look(ports, number).status)
    return found


def accept(world: Any, reason: str = "prices rose") -> Any:
    return accept_drift(SPEC, world[0], actor="cli:ann", reason=reason)


class TestAccepted:
    def test_later_windows_are_held_against_the_drifted_rows(self, world: Any) -> None:
        assert judged(world, 0, 1, 2) == [Status.PASS, Status.FAIL, Status.FAIL]
        accepted = accept(world)
        assert accepted.windows == Span(start=day(1).start, end=day(2).end)
        assert (accepted.version, accepted.rows, accepted.profile.rows) == ("7", 1600, 1600)
        assert judged(world, 3, 4) == [Status.PASS, Status.PASS]
        report = look(world[0], 5)
        assert report.score is not None
        assert report.score.status is Status.PASS
        assert report.reason.endswith("; held against accepted drift")
        assert report.findings[0].startswith(
            "held against the 1,600 rows of 2026-05-02 00:00 to 2026-05-04 00:00 UTC whose drift cli:ann has "
            "accepted (row 2 of the ledger)"
        )

    def test_the_row_says_who_and_why_and_names_the_document(self, world: Any) -> None:
        judged(world, 1)
        accepted = accept(world)
        row = world[0].ledger.rows("churn")[-1]
        assert (row.action, row.epoch, row.actor) == (LedgerAction.ACCEPT_DRIFT, 0, "cli:ann")
        assert (row.version, row.digest) == ("7", digest("7"))
        assert row.body["reason"] == "prices rose"
        assert row.body["windows"] == {"start": "2026-05-02T00:00:00Z", "end": "2026-05-03T00:00:00Z"}
        assert row.body["profile_uri"] == f"accepted_drift/churn/{row.body['profile_digest']}.json"
        assert accepted.profile.performance is None

    def test_a_world_that_goes_back_or_on_drifts_again(self, world: Any) -> None:
        _, log, _ = world
        judged(world, 1, 2)
        accept(world)
        log.days[3], log.days[4] = scored(draw_frame(800, 3)), scored(draw_frame(800, 4, shift=2.0))
        assert judged(world, 3, 4) == [Status.FAIL, Status.FAIL]

    def test_windows_that_were_accepted_are_judged_as_they_were(self, world: Any) -> None:
        judged(world, 1, 2)
        accept(world)
        assert judged(world, 1, 2) == [Status.FAIL, Status.FAIL]

    def test_another_version_has_its_own_profile_and_the_first_one_its_acceptance(self, world: Any) -> None:
        judged(world, 1, 2)
        accept(world)
        commit(world[0], "8")
        assert judged(world, 3) == [Status.FAIL]
        commit(world[0], "7")
        assert judged(world, 4) == [Status.PASS]

    def test_of_a_drift_that_goes_on_the_latest_windows_alone_are_taken(self, world: Any) -> None:
        _, log, _ = world
        for number, shift in ((1, 0.5), (2, 1.0), (3, 3.0), (4, 3.0)):
            log.days[number] = scored(draw_frame(800, 20 + number, shift=shift))
        log.days[5] = scored(draw_frame(800, 30, shift=3.0))
        judged(world, 1, 2, 3, 4)
        assert accept(world).windows == Span(start=day(3).start, end=day(4).end)
        assert judged(world, 5) == [Status.PASS]

    def test_importance_and_variability_are_the_versions_own(self, world: Any) -> None:
        ports, *_ = world
        columns = [one.replace(importance=0.2, wobble=0.07) for one in PROFILE.columns]
        bundle = ports.bundles.by_digest[digest("7")]
        ports.bundles.by_digest[digest("7")] = replace(
            bundle, profile=PROFILE.replace(columns=tuple(columns))
        )
        judged(world, 1)
        profile = accept(world).profile
        assert {(one.importance, one.wobble) for one in profile.columns} == {(0.2, 0.07)}

    @pytest.mark.parametrize("known", [True, False])
    def test_a_weekend_is_like_weekends_of_the_versions_history(self, world: Any, known: bool) -> None:
        ports, log, _ = world
        history = seasons.draw_rows(seasons.by_week, 56, a_day=300)
        profile = seasons.profile_of(history)
        if not known:
            columns = [one.replace(season=None, recurring=0.0) for one in profile.columns]
            profile = profile.replace(columns=tuple(columns))
        bundle = ports.bundles.by_digest[digest("7")]
        schema = bundle.schema.replace(fields=seasons.FIELDS)
        ports.bundles.by_digest[digest("7")] = replace(bundle, profile=profile, schema=schema)
        for number in range(3, 11):

            def older(moment: datetime, number: int = number) -> float:
                return seasons.by_week(moment) + (1.0 if number < 10 else 2.0)

            log.days[number] = seasons.draw_rows(older, 1, a_day=800, seed=number, start=day(number).start)
            log.days[number]["score"] = 0.5
        assert judged(world, 3, 4) == [Status.FAIL, Status.FAIL], "Monday and Tuesday"
        accept(world)
        weekend = Status.PASS if known else Status.FAIL
        assert judged(world, 6, 8, 9) == [Status.PASS, weekend, weekend]
        assert judged(world, 10) == [Status.FAIL], "a Monday on which customers are older still"

    @pytest.mark.parametrize("method", ["exact", "evidently"])
    def test_methods_on_rows_take_the_accepted_rows(self, world: Any, method: str) -> None:
        ports, _, times = world
        judged(world, 1, 2)
        accept(world)
        seen: list[pd.DataFrame] = []
        ports.reporter.drifted = lambda reference, current, schema: seen.append(reference) or {}
        times["now"] = day(3).end
        spec = make_spec(monitoring={"drift": {"report": False, "method": method}})
        report = look(ports, 3, spec)
        assert (report.method, report.status) == (method, Status.PASS)
        if method == "evidently":
            assert seen[0]["age"].mean() == pytest.approx(50, abs=1)


class TestRefused:
    @pytest.mark.parametrize("numbers", [(), (0,)])
    def test_without_drift(self, world: Any, numbers: tuple[int, ...]) -> None:
        judged(world, *numbers)
        with pytest.raises(MonitoringError, match="shows no drift, so there is none to accept") as refused:
            accept(world)
        assert refused.value.code == "WS-MONITORING-115"
        assert world[0].bundles.documents == {}

    def test_without_a_version(self) -> None:
        with pytest.raises(MonitoringError, match="no version serves"):
            accept_drift(SPEC, fake_ports(), actor="cli:ann", reason="why")

    def test_twice(self, world: Any) -> None:
        judged(world, 1, 2)
        accept(world)
        with pytest.raises(MonitoringError, match=r"since cli:ann has accepted it \(row 2 of the ledger\)"):
            accept(world)
        assert len(world[0].ledger.rows("churn")) == 2

    def test_drift_that_is_over(self, world: Any) -> None:
        world[1].days[3] = scored(draw_frame(800, 3))
        judged(world, 1, 2, 3)
        with pytest.raises(MonitoringError, match="shows no drift"):
            accept(world)

    def test_drift_of_the_version_before(self, world: Any) -> None:
        judged(world, 1, 2)
        commit(world[0], "8")
        with pytest.raises(MonitoringError, match="version 8 shows no drift"):
            accept(world)

    @pytest.mark.parametrize("rows", [0, 29, 100])
    def test_too_few_rows_to_hold_windows_against(self, world: Any, rows: int) -> None:
        judged(world, 1, 2)
        for number in (1, 2):
            world[1].days[number] = world[1].days[number].head(rows // 2)
        with pytest.raises(MonitoringError) as refused:
            accept(world)
        assert refused.value.code == "WS-MONITORING-116"
        assert len(world[0].ledger.rows("churn")) == 1


class TestBelieved:
    def test_a_changed_document_is_named_and_judges_nothing(self, world: Any) -> None:
        ports, *_ = world
        judged(world, 1, 2)
        accept(world)
        (uri,) = ports.bundles.documents
        ports.bundles.documents[uri] = ports.bundles.documents[uri].replace(b"1600", b"1601")
        with pytest.raises(UnverifiedBundleError, match="is not what the ledger names") as named:
            judged(world, 3)
        assert named.value.code == "WS-MONITORING-117"
        assert ports.monitor.windows("churn", "drift")[-1].window == day(2)

    @pytest.mark.parametrize("numbers", [(), (3, 4)])
    def test_a_lost_document_is_accepted_anew(self, world: Any, numbers: tuple[int, ...]) -> None:
        ports, *_ = world
        judged(world, 1, 2)
        accept(world)
        judged(world, *numbers)
        ports.bundles.documents.clear()
        again = accept(world, "the document was lost")
        assert again.windows == Span(start=day(1).start, end=day(2).end)
        assert judged(world, 5) == [Status.PASS]


class TestLoop:
    def test_accepted_windows_ask_for_no_retrain(self, world: Any) -> None:
        ports, *_ = world
        judged(world, 1, 2)
        asked = decide_retrain(DecideRetrainInput(spec=SPEC), ports, "")
        assert asked.order is RetrainOrder.GRANT
        accept(world)
        then = decide_retrain(DecideRetrainInput(spec=SPEC), ports, "")
        assert then.order is RetrainOrder.WAIT
        (episode,) = ports.monitor.episodes("churn")
        assert (episode.state, episode.outcome) == (EpisodeState.CLOSED, RetrainOutcome.SUPERSEDED)
        world[1].days[3] = world[1].days[4] = scored(draw_frame(800, 4, shift=3.0))
        judged(world, 3, 4)
        again = decide_retrain(DecideRetrainInput(spec=SPEC), ports, "")
        assert again.order is RetrainOrder.GRANT
        assert again.episode is not None
        assert again.episode.onset is None or again.episode.onset >= day(3).start

    def test_while_windows_wait_for_a_verdict_nothing_is_granted(self, world: Any) -> None:
        ports, *_ = world
        judged(world, 1, 2)
        asked = decide_retrain(DecideRetrainInput(spec=SPEC, waiting=1200), ports, "")
        assert (asked.order, asked.episode) == (RetrainOrder.WAIT, None)
        assert asked.reason == (
            "WS-MONITORING-119 1,200 closed windows still wait for a verdict; a retrain is decided on once "
            "they are judged"
        )
        assert ports.monitor.episodes("churn") == ()
        outside = DecideRetrainInput(spec=SPEC, waiting=1200, event_id="price list 7")
        assert decide_retrain(outside, ports, "").order is RetrainOrder.GRANT

    @pytest.mark.parametrize("times", [0, 2])
    def test_the_alert_of_drift_is_over(self, world: Any, times: int) -> None:
        ports, *_ = world
        judged(world, 1, 2)
        for key in ("drift", "performance:performance_drop:roc_auc"):
            ports.monitor.put_alert(
                Alert(
                    model="churn",
                    key=key,
                    severity=Severity.HIGH,
                    title="churn",
                    text="",
                    owner="ann",
                    first_at=BEGIN,
                    last_at=BEGIN,
                    times=times,
                )
            )
        accept(world)
        drift, other = sorted(ports.monitor.alerts("churn"), key=lambda one: one.key)
        assert (drift.state, drift.pending, other.state) == ("resolved", times > 0, "firing")
        assert drift.text == "cli:ann has accepted this drift, row 2 of the ledger: prices rose"


class TestClockAhead:
    def test_what_was_accepted_then_mutes_nothing_and_can_be_accepted_again(self, world: Any) -> None:
        ports, log, _ = world
        for number in (40, 41):
            log.days[number] = scored(draw_frame(800, number, shift=1.0))
        assert judged(world, 40, 41) == [Status.FAIL, Status.FAIL]
        accept(world)
        assert judged(world, 1, 2) == [Status.FAIL, Status.FAIL]
        now = ports.now()
        assert accepted_until(ports.ledger.rows("churn"), digest("7"), now) == Accepted()
        assert accept(world).windows == Span(start=day(1).start, end=day(2).end)
        assert accepted_until(ports.ledger.rows("churn"), digest("7"), now).drift == day(2).end
        assert judged(world, 3) == [Status.PASS]
