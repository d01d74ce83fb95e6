from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.builders import digest, make_snapshot, make_spec
from support.drift_windows import FIELDS, count_frame, draw_frame, profile_of
from support.fake_monitoring import FakeReporter
from support.fakes import fake_ports
from windsock.exceptions import (
    DatabaseUnavailableError,
    ServerUnavailableError,
    StorageError,
    TrackingUnavailableError,
    UnverifiedBundleError,
)
from windsock.monitoring.check_drift import check_drift
from windsock.monitoring.drift_targets import count_labels
from windsock.monitoring.drift_telling import tell_gauges
from windsock.ports import LabelledRows, LoadedBundle, Ports
from windsock.records import (
    Answer,
    BundleManifest,
    CheckDriftInput,
    ColumnProfile,
    DriftProfile,
    DriftReport,
    GoldenPredictions,
    InputSchema,
    LedgerAction,
    LedgerEntry,
    Severity,
    Span,
    Status,
)
from windsock.statistics.counting import ColumnCounts, WindowCounts
from windsock.statistics.distances import ks_interval

DAY = Span(start=datetime(2026, 5, 1, tzinfo=UTC), end=datetime(2026, 5, 2, tzinfo=UTC))
REFERENCE = draw_frame(4_000).assign(customer_id=[f"c{place}" for place in range(4_000)])
PROFILE = profile_of(REFERENCE)
SCHEMA = InputSchema(model="churn", fields=FIELDS, answer=Answer.NUMBER)
URI = "memory://bundles/churn/1"


def world(
    counts: WindowCounts | None = None, *, profile: DriftProfile | None = PROFILE, **replaced: Any
) -> Any:
    """Return ports of an installation whose champion has this profile, with these counts of the day."""
    ports = fake_ports(**replaced)
    manifest = BundleManifest(
        model="churn",
        key=digest("k"),
        snapshot_digest=digest("1"),
        spec_digest=digest("2"),
        files={"model.skops": digest("3")},
        created_at=DAY.start,
    )
    golden = GoldenPredictions(rows=({"age": 1.0},), scores=((0.5,),))
    ports.bundles.by_digest[digest("b")] = LoadedBundle(
        manifest=manifest, digest=digest("b"), pipeline=None, schema=SCHEMA, golden=golden, profile=profile
    )
    ports.ledger.append(
        LedgerEntry(
            model="churn",
            action=LedgerAction.COMMIT,
            epoch=1,
            version="7",
            digest=digest("b"),
            actor="scheduler",
            body={"bundle_uri": URI},
        ),
        after_seq=0,
    )
    ports.snapshots.put(make_snapshot(digest=digest("1"), rows=len(REFERENCE)), REFERENCE)
    if counts is not None:
        ports.counter.counts[DAY.end] = counts
    return ports


def look(ports: Ports, window: Span = DAY, **drift: Any) -> DriftReport:
    spec = make_spec(monitoring={"drift": drift})
    return check_drift(CheckDriftInput(spec=spec, window=window), ports, "")


def counted(frame: pd.DataFrame, **changed: Any) -> WindowCounts:
    return count_frame(PROFILE, frame, **changed)


CALM, MOVED = draw_frame(2_000, 2), draw_frame(2_000, 2, shift=0.5)


class TestVerdict:
    def test_a_calm_window_passes_and_is_kept(self) -> None:
        ports = world(counted(CALM))
        report = look(ports)
        assert (report.status, report.version, report.digest) == (Status.PASS, "7", digest("b"))
        assert (report.rows, report.method, report.severity) == (2_000, "counts", Severity.NONE)
        assert (report.findings, report.report_uri, report.drifted) == ((), None, ())
        (kept,) = ports.monitor.windows("churn", "drift")
        assert (kept.status, kept.window, kept.version) == (Status.PASS, DAY, "7")
        assert kept.numbers["rows"] == 2_000
        assert ports.tracker.runs == {}

    def test_a_drifted_window_fails_and_is_told(self) -> None:
        ports = world(counted(MOVED))
        ports.rows.frame = MOVED
        report = look(ports)
        assert (report.status, report.drifted, report.drift_ratio) == (Status.FAIL, ("age",), 0.2)
        assert report.severity is Severity.MEDIUM
        assert report.reason.startswith(
            "WS-MONITORING-020 drifted columns 1, limit: below 1, n=5 columns: fail; age "
        )
        (run,) = ports.tracker.runs.values()
        assert run.files["drift/report.html"] == b"<html>verdict</html><html>report</html>"
        assert run.run_name.startswith("churn drift 20")
        assert run.tags["windsock.model_version"] == report.version
        assert report.report_uri == ports.tracker.artifact_link("churn", "run1", "drift/report.html")
        assert b'"age"' in run.files["drift/verdict.json"]
        assert report.run_id == "run1"
        gauges = ports.gauges.samples["churn"]
        told = {labels["feature"]: psi for labels, psi in gauges["data_drift_score"]}
        assert told["age"] == max(told.values()) == report.columns[0].psi
        assert gauges["ml_drift_ratio"] == [({}, 0.2)]
        assert (set(gauges), ports.gauges.calls) == ({"data_drift_score", "ml_drift_ratio"}, 1)

    def test_gauges_without_a_value_are_cleared(self) -> None:
        ports = world(counted(CALM))
        report = look(ports)
        assert all(ports.gauges.samples["churn"].values())
        tell_gauges(report.model_copy(update={"columns": (), "drift_ratio": None}), ports)
        assert ports.gauges.samples["churn"] == {"data_drift_score": [], "ml_drift_ratio": []}

    def test_the_same_window_twice_is_one_verdict_and_one_run(self) -> None:
        ports = world(counted(MOVED))
        ports.rows.frame = MOVED
        first, second = look(ports), look(ports)
        assert len(ports.tracker.runs) == len(ports.monitor.windows("churn")) == 1
        assert (first.run_id, first.status) == (second.run_id, second.status)

    def test_the_first_verdict_of_a_window_stands(self) -> None:
        ports = world(counted(CALM))
        look(ports)
        ports.counter.counts[DAY.end] = counted(MOVED)
        report = look(ports, report=False)
        assert report.status is Status.FAIL
        assert "the first verdict of this window stands: pass, of version 7" in report.findings
        assert ports.monitor.windows("churn")[0].status is Status.PASS

    def test_the_window_asked_for_is_the_one_counted(self) -> None:
        ports = world(counted(CALM))
        other = Span(start=DAY.end, end=DAY.end + timedelta(hours=1))
        assert look(ports, other).window == other
        assert ports.counter.asked == [other]


class TestWhatComesAndGoes:
    PROFILE = PROFILE.replace(
        columns=tuple(
            one.replace(recurring=0.3, lasted=1) if one.name == "age" else one for one in PROFILE.columns
        )
    )

    @pytest.mark.parametrize(("before", "status"), [(CALM, Status.PASS), (MOVED, Status.FAIL)])
    def test_it_may_not_last_longer_than_in_training(self, before: pd.DataFrame, status: Status) -> None:
        ports = world(counted(MOVED), profile=self.PROFILE)
        ports.counter.counts[DAY.start] = counted(before)
        report = look(ports)
        assert report.status is status
        told = "away for longer than training has seen, so no wider limit: age"
        assert (told in report.findings) == (status is Status.FAIL)


class TestNothingToJudge:
    def test_no_live_version(self) -> None:
        ports = fake_ports()
        report = look(ports)
        assert (report.status, report.version) == (Status.INSUFFICIENT, "")
        assert report.reason == "WS-MONITORING-024 insufficient: no live version"
        assert ports.monitor.windows("churn")[0].status is Status.INSUFFICIENT
        assert ports.counter.asked == []

    def test_a_version_without_a_profile(self) -> None:
        report = look(world(profile=None))
        assert (report.status, report.version) == (Status.INSUFFICIENT, "7")
        assert "no drift profile" in report.reason

    def test_an_empty_window(self) -> None:
        ports = world(counted(draw_frame(0, 2)))
        report = look(ports)
        assert (report.status, report.rows, report.severity) == (Status.EMPTY, 0, Severity.NONE)
        assert report.reason == "empty: nobody asked the model in this window"
        assert ports.monitor.windows("churn", "drift")[0].status is Status.EMPTY
        assert ports.gauges.samples == {}

    @pytest.mark.parametrize("rows", [1, 29])
    def test_a_few_rows(self, rows: int) -> None:
        ports = world(counted(draw_frame(rows, 2, shift=5.0)))
        report = look(ports, minimum_rows=1)
        assert (report.status, report.rows, report.severity) == (Status.INSUFFICIENT, rows, Severity.NONE)
        assert f"rows {rows}, limit: at least 30: insufficient" in report.reason
        assert ports.gauges.samples == {}

    def test_a_window_that_nobody_counted(self) -> None:
        assert look(world()).status is not Status.PASS

    @pytest.mark.parametrize("error", [DatabaseUnavailableError("down"), StorageError("down")])
    def test_what_does_not_answer_is_no_verdict(self, error: Exception) -> None:
        ports = world(counted(CALM))

        def fail(*_: Any, **__: Any) -> Any:
            raise error

        broken = ports.ledger if isinstance(error, DatabaseUnavailableError) else ports.counter
        broken.champion = broken.count = fail
        with pytest.raises(type(error)):
            look(ports)
        assert ports.monitor.windows("churn") == ()

    def test_a_bundle_that_was_changed_is_no_verdict(self) -> None:
        ports = world(counted(CALM))
        ports.bundles.by_digest.clear()
        with pytest.raises(UnverifiedBundleError):
            look(ports)


class TestNamedFindings:
    def test_odd_columns_are_named_and_values_never(self) -> None:
        frame = MOVED.copy()
        frame.loc[:199, "plan"] = "secret"
        frame["visits"] = np.nan
        frame["joined"] = pd.NaT
        report = look(world(counted(frame.drop(columns="member"))), report=False)
        assert report.status is Status.FAIL
        text = " ".join(report.findings)
        assert "without any value: visits, member, joined" in text
        assert "not in all rows of the log (other versions, or another schema): member" in text
        assert "with categories that training did not know: plan" in text
        assert not any(word in report.model_dump_json() for word in ("secret", "basic"))

    def test_a_column_that_cannot_be_counted_is_an_error(self) -> None:
        counts = counted(CALM)
        age = ColumnCounts(rows=0, nulls=0, unreadable=2_000)
        ports = world(replace(counts, columns={**counts.columns, "age": age}))
        report = look(ports)
        assert report.status is Status.ERROR
        assert report.reason == "WS-MONITORING-025 could not be counted: age"
        ports.counter.counts[DAY.end] = counts
        assert look(ports).status is Status.PASS
        assert ports.monitor.windows("churn")[0].status is Status.PASS  # an error never stands

    def test_a_damaged_log(self) -> None:
        few = look(world(counted(CALM, damaged=3)))
        assert few.status is Status.PASS
        assert "3 damaged lines of the prediction log are left out" in few.findings
        assert look(world(counted(CALM, damaged=3_000))).status is Status.ERROR

    def test_rows_that_a_fallback_answered(self) -> None:
        report = look(world(counted(CALM, fallbacks=4)))
        assert any(finding.startswith("4 rows were answered") for finding in report.findings)

    def test_scores_and_outcomes_apart(self) -> None:
        profile = PROFILE.model_copy(update={"score": PROFILE.columns[0], "target": PROFILE.columns[0]})
        ports = world(counted(CALM, scores=counted(MOVED).columns["age"]), profile=profile)
        ports.rows.frame, ports.rows.joined = CALM, outcomes_of(MOVED["age"])
        report = look(ports)
        assert report.score is not None
        assert report.target is not None
        assert report.score.status is report.target.status is report.status is Status.FAIL
        assert report.reason.startswith("WS-MONITORING-023 scores ")
        assert {finding.split(" ")[0] for finding in report.findings} == {
            "scores",
            "outcomes",
            "WS-MONITORING-120",
        }
        calm = look(ports, Span(start=DAY.start, end=DAY.end), predictions=False)
        assert calm.status is Status.PASS
        assert calm.score is not None
        assert calm.score.status is Status.FAIL


def outcomes_of(values: Any, variant: str = "champion") -> LabelledRows:
    return LabelledRows(frame=pd.DataFrame({"variant": variant, "outcome": pd.Series(values, dtype=object)}))


class TestTarget:
    """Outcomes that have come are held against the target: told, never part of the verdict."""

    AGES = PROFILE.model_copy(update={"target": PROFILE.columns[0]})

    def test_outcomes_are_told_and_decide_nothing(self) -> None:
        for frame, status in ((CALM, Status.PASS), (MOVED, Status.FAIL)):
            ports = world(counted(CALM), profile=self.AGES)
            ports.rows.joined = outcomes_of([*frame["age"], None, None])
            report = look(ports)
            assert report.target is not None
            assert (report.target.status, report.target.rows, report.status) == (status, 2_000, Status.PASS)
        assert any(finding.startswith("outcomes drifted") for finding in report.findings)

    @pytest.mark.parametrize("joined", [outcomes_of([None] * 9), outcomes_of([1.0] * 99, "constant")])
    def test_without_outcomes_of_its_own_answers_nothing_is_told(self, joined: LabelledRows) -> None:
        ports = world(counted(CALM), profile=self.AGES)
        ports.rows.joined = joined
        report = look(ports)
        assert (report.target, report.findings) == (None, ())

    def test_outcomes_that_do_not_count_are_told(self) -> None:
        ports = world(counted(CALM), profile=self.AGES)
        joined = outcomes_of([*CALM["age"], "old", True])
        ports.rows.joined = replace(joined, conflicting=3, undated=4)
        told = look(ports).findings
        assert [finding[:27] for finding in told] == [
            "outcomes: WS-MONITORING-090", "outcomes: WS-MONITORING-091", "outcomes: WS-MONITORING-092",
        ]  # fmt: skip
        assert "numbers: 2;" in told[0]

    def test_without_a_target_no_label_is_read(self) -> None:
        ports = world(counted(CALM))
        look(ports)
        assert ports.rows.asked == []

    @pytest.mark.parametrize("error", [StorageError("away"), ValueError("jane.doe@example.org")])
    def test_labels_that_cannot_be_read_are_a_finding(
        self, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fails(*_: Any, **__: Any) -> Any:
            raise error

        ports = world(counted(CALM), profile=self.AGES)
        ports.rows.labelled = fails
        report = look(ports)
        assert (report.status, report.target) == (Status.PASS, None)
        assert any("outcomes are not compared" in finding for finding in report.findings)
        assert "jane" not in caplog.text + report.model_dump_json()

    @pytest.mark.parametrize(
        ("profile", "labels", "named"),
        [
            ({"kind": "boolean", "categories": {"false": 5, "true": 5}}, [True, True, False], [1, 2]),
            ({"kind": "category", "categories": {"0": 5, "1": 5}}, [1, 1, 0], [1, 2]),
            ({"kind": "category", "categories": {"no": 5, "yes": 5}}, ["yes", "no", "no"], [2, 1]),
        ],
    )
    def test_classes_are_counted_in_the_words_of_training(
        self, profile: Any, labels: list[Any], named: list[int]
    ) -> None:
        target = ColumnProfile.model_validate({"name": "churned", "rows": 10, "nulls": 0, **profile})
        counts = count_labels(target, labels)
        assert counts.named is not None
        assert (counts.named.tolist(), counts.unseen) == (named, 0)


class TestFewTrainingRows:
    @pytest.mark.parametrize("rows", [30, 50, 80])
    def test_a_reference_that_cannot_show_a_shift_lets_no_window_pass(self, rows: int) -> None:
        found = set()
        for seed in range(10, 0, -1):
            profile = profile_of(draw_frame(rows, seed))
            window = count_frame(profile, draw_frame(5_000, 99, shift=0.5))
            report = look(world(window, profile=profile), report=False)
            found.add(report.status)
        assert Status.PASS not in found
        calm = look(world(count_frame(profile, CALM), profile=profile))
        assert calm.status is Status.INSUFFICIENT
        assert "too few training rows to show a large shift" in calm.reason

    @pytest.mark.parametrize("rules", [{"drift_score": 0.25}, {"drift_ratio": 0.3}])
    def test_nor_by_the_dataset_rules(self, rules: dict[str, float]) -> None:
        profile = profile_of(draw_frame(50))
        report = look(world(count_frame(profile, CALM), profile=profile), rules=rules)
        assert report.status is Status.INSUFFICIENT

    def test_nor_by_evidently(self) -> None:
        profile = profile_of(draw_frame(50))
        calm = {field.name: (False, 0.01) for field in FIELDS}
        ports = world(count_frame(profile, CALM), profile=profile, reporter=FakeReporter(verdicts=calm))
        ports.rows.frame = CALM
        report = look(ports, method="evidently")
        assert (report.method, report.status) == ("evidently", Status.INSUFFICIENT)


class TestMethods:
    def test_exact_tests_on_a_sample(self) -> None:
        for frame, status in ((CALM, Status.PASS), (MOVED, Status.FAIL)):
            ports = world(counted(frame))
            ports.rows.frame = frame
            report = look(ports, method="exact")
            assert (report.method, report.status) == ("exact", status)
            assert report.columns[0].effect_interval is None

    def test_exact_and_counts_agree(self) -> None:
        ports = world(counted(MOVED))
        ports.rows.frame = MOVED
        exact, counts = look(ports, method="exact"), look(ports)
        for one, other in zip(exact.columns, counts.columns, strict=True):
            assert one.status is other.status
            assert one.effect == pytest.approx(other.effect, abs=0.03)

    def test_evidently_judges_where_it_is_asked(self) -> None:
        said = {"age": (False, 0.03), "visits": (True, 0.4)}
        ports = world(counted(MOVED), reporter=FakeReporter(verdicts=said))
        ports.rows.frame = MOVED
        report = look(ports, method="evidently")
        assert (report.method, report.status, report.drifted) == ("evidently", Status.FAIL, ("visits",))
        assert "evidently 0.4" in report.columns[1].findings
        assert "judged by counts, because Evidently cannot: plan, member, joined" in report.findings

    def test_without_evidently_counts_judge_and_it_is_said(self) -> None:
        ports = world(counted(MOVED), reporter=FakeReporter(fails=True))
        ports.rows.frame = MOVED
        report = look(ports, method="evidently")
        assert (report.method, report.status) == ("counts", Status.FAIL)
        assert any("method evidently failed, counts judged" in finding for finding in report.findings)
        assert any("report of another method was not written" in one for one in report.findings)
        assert ports.monitor.windows("churn")[0].status is Status.FAIL

    @pytest.mark.parametrize("method", ["exact", "evidently"])
    def test_without_rows_counts_judge_and_it_is_said(self, method: str) -> None:
        report = look(world(counted(MOVED)), method=method)
        assert (report.method, report.status) == ("counts", Status.FAIL)
        assert any("WS-MONITORING-028" in finding for finding in report.findings)

    def test_a_snapshot_that_is_gone_is_said(self) -> None:
        ports = world(counted(CALM))
        ports.rows.frame = CALM
        ports.snapshots.stored.clear()
        report = look(ports, method="exact")
        assert (report.method, report.status) == ("counts", Status.PASS)
        assert any("is gone" in finding for finding in report.findings)

    def test_a_snapshot_of_other_columns_is_said(self) -> None:
        ports = world(counted(CALM))
        ports.rows.frame = CALM
        record, frame = ports.snapshots.stored[("churn", digest("1"))]
        ports.snapshots.stored[("churn", digest("1"))] = record, frame.drop(columns="customer_id")
        report = look(ports, method="exact")
        assert any("does not fit the version's snapshot" in finding for finding in report.findings)

    def test_an_open_column_is_decided_by_rows_where_there_are_any(self) -> None:
        window = draw_frame(3_000, 4, shift=0.3)
        low, high = ks_interval(PROFILE.columns[0], counted(window).columns["age"])
        middle = (low + high) / 2
        ports = world(counted(window))
        without = look(ports, ks=middle, report=False)
        assert any("decided by the middle of their bounds: age" in one for one in without.findings)
        ports = world(counted(window))
        ports.rows.frame = window
        report = look(ports, ks=middle, report=False)
        assert "decided by rows, because counts could not: age" in report.findings
        assert report.columns[0].effect_interval is None
        assert low <= report.columns[0].effect <= high


class TestTelling:
    def test_a_lost_report_loses_no_verdict(self) -> None:
        for fault in (TrackingUnavailableError("MLflow is down"), ValueError("value 4711 of Smith")):
            ports = world(counted(MOVED))
            ports.rows.frame = MOVED

            def fail(*_: Any, fault: Exception = fault) -> Any:
                raise fault

            ports.tracker.record_run = fail
            report = look(ports)
            assert (report.status, report.report_uri, report.run_id) == (Status.FAIL, None, None)
            assert any("WS-MONITORING-029" in finding for finding in report.findings)
            assert "Smith" not in report.model_dump_json()
            assert ports.monitor.windows("churn")[0].status is Status.FAIL

    def test_without_evidently_the_report_says_our_verdict_and_why_there_is_no_other(self) -> None:
        ports = world(counted(MOVED), reporter=FakeReporter(fails=True))
        ports.rows.frame = MOVED
        report = look(ports)
        (run,) = ports.tracker.runs.values()
        assert run.files["drift/report.html"].startswith(b"<html>verdict</html>WS-MONITORING-029 ")
        assert report.report_uri
        assert any("report of another method was not written" in one for one in report.findings)

    def test_a_report_that_cannot_be_written_leaves_the_verdict_in_the_tracker(self) -> None:
        class NoPage(FakeReporter):
            def page(self, *_: Any, **__: Any) -> bytes:
                raise KeyError("a fault")

        ports = world(counted(MOVED), reporter=NoPage())
        ports.rows.frame = MOVED
        report = look(ports)
        (run,) = ports.tracker.runs.values()
        assert list(run.files) == ["drift/verdict.json"]
        assert (report.run_id, report.report_uri) == ("run1", None)
        assert any("the drift report was not written" in finding for finding in report.findings)

    def test_no_report_is_written_that_nobody_wants(self) -> None:
        ports = world(counted(MOVED))
        ports.rows.frame = MOVED
        assert look(ports, report=False).run_id is None
        assert ports.tracker.runs == {}

    def test_an_absent_server_is_a_finding(self) -> None:
        ports = world(counted(CALM))

        def fail(*_: Any) -> None:
            raise ServerUnavailableError("no server answers")

        ports.gauges.set = fail
        report = look(ports)
        assert report.status is Status.PASS
        assert any("the server's gauges were not set" in finding for finding in report.findings)
