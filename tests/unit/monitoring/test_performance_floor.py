from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.builders import digest
from support.performance import CHAMPION, COLORS, NUMBER, WINDOW, Scene, answers, check_of, coin, metric
from windsock.monitoring import performance_floor
from windsock.monitoring.accept_loss import accept_loss
from windsock.monitoring.performance_floor import knowing_nothing, loss_of
from windsock.monitoring.performance_verdict import quality_of
from windsock.records import (
    CheckResult,
    LedgerAction,
    LedgerEntry,
    PerformanceReport,
    ReferencePerformance,
    Severity,
    Status,
    WindowVerdict,
    baseline_of,
)
from windsock.records.profile import LossSeason
from windsock.statistics.metrics import Scored
from windsock.statistics.seasons import loss_offset

BY_ACCURACY: dict[str, Any] = {"training": {"metric": "accuracy"}}
REGRESSION: dict[str, Any] = {"model": {"task": "regression"}}


def held_out(**values: float) -> ReferencePerformance:
    return ReferencePerformance(rows=5000, realised=tuple(metric(name, one) for name, one in values.items()))


def accept(scene: Scene, action: str = "commit", *, actor: str = "scheduler", **values: float) -> None:
    """Write a baseline into the ledger: by a promotion of version 1, or by a person."""
    ledger = scene.ports.ledger
    rows = ledger.rows("churn")
    kept = [metric(name, value).model_dump(mode="json") for name, value in values.items()]
    serving = ledger.champion("churn")
    body: dict[str, Any] = {"metrics": kept, "window": {}}
    if action == "commit":
        body = {"bundle_uri": serving.bundle_uri, "baseline": kept}
    entry = LedgerEntry(
        model="churn",
        action=LedgerAction(action),
        epoch=serving.epoch,
        version=serving.version,
        digest=serving.digest,
        actor=actor,
        body=body,
    )
    ledger.append(entry, after_seq=rows[-1].seq)


def kept(scene: Scene) -> WindowVerdict:
    verdict: WindowVerdict = scene.ports.monitor.windows("churn", "performance")[-1]
    return verdict


class TestBaseline:
    """A version is held against the accepted baseline, whatever it did itself on its held-out rows."""

    def sunk(self) -> Scene:
        """Return a version whose own held-out value is as bad as its answers are."""
        return Scene(held_out(accuracy=0.6), spec=BY_ACCURACY)

    def test_a_floor_does_not_sink_with_the_version(self) -> None:
        scene = self.sunk()
        assert scene.look(answers(*coin(5000, right=0.6))).status is Status.PASS
        accept(scene, accuracy=0.9)
        report = scene.look(answers(*coin(5000, right=0.6)))
        drop = check_of(report, "performance_drop:accuracy")
        assert (report.status, drop.status) == (Status.FAIL, Status.FAIL)
        assert drop.value == pytest.approx(0.3)
        assert "against 0.9 of version 1 on held-out rows, the baseline since 20" in drop.message

    def test_the_report_says_what_it_was_held_against(self) -> None:
        scene = self.sunk()
        report = scene.look(answers(*coin(5000, right=0.6)))
        assert (report.baseline_version, report.baseline_at) == ("", None)
        assert report.baseline == (metric("accuracy", 0.6),)
        accept(scene, accuracy=0.9, f1=0.8)
        report = scene.look(answers(*coin(5000, right=0.6)))
        assert report.baseline == (metric("accuracy", 0.9), metric("f1", 0.8))
        assert (report.baseline_version, report.baseline_at) == ("1", scene.ports.ledger.rows("churn")[-1].at)
        assert PerformanceReport.model_validate(report.model_dump(mode="json")) == report

    def test_a_baseline_without_an_interval_gives_way_to_the_versions_own(self) -> None:
        scene = Scene(held_out(accuracy=0.9), spec=BY_ACCURACY)
        accept(scene, accuracy=1.0)
        rows = scene.ports.ledger.kept["churn"]
        bare = [{"name": "accuracy", "value": 1.0, "n": 20}]
        rows[-1] = rows[-1].replace(body={**rows[-1].body, "baseline": bare})
        assert baseline_of(scene.ports.ledger.rows("churn")).metric("accuracy").interval is None
        assert scene.look(answers(*coin(5000, right=0.9))).status is Status.PASS
        assert scene.look(answers(*coin(5000, right=0.6))).status is Status.FAIL

    def test_what_a_person_accepted_holds_and_nobody_is_named(self) -> None:
        scene = self.sunk()
        accept(scene, accuracy=0.9)
        accept(scene, "accept_loss", actor="alice", accuracy=0.6)
        report = scene.look(answers(*coin(5000, right=0.6)))
        assert report.status is Status.PASS
        message = check_of(report, "performance_drop:accuracy").message
        assert "0.6 that a person accepted of version 1 on 20" in message
        assert "alice" not in message

    def replaced(self, *, lost: bool, **baseline: float) -> Scene:
        """Return the same version, which replaced another one that had set a baseline."""
        scene = self.sunk()
        accept(scene, **baseline)
        rows = scene.ports.ledger.kept["churn"]
        rows[-1] = rows[-1].replace(digest=digest("9"), version="0")
        serving = rows[0].body["bundle_uri"]
        during = {"better_than_broken": WINDOW.start.isoformat()} if lost else {}
        entry = LedgerEntry(
            model="churn",
            action=LedgerAction.COMMIT,
            epoch=9,
            version="1",
            digest=CHAMPION,
            actor="scheduler",
            body={"bundle_uri": serving, **during},
        )
        scene.ports.ledger.append(entry, after_seq=rows[-1].seq)
        return scene

    @pytest.mark.parametrize("lost", [True, False])
    def test_its_own_value_is_no_floor_of_a_version_that_has_set_none(self, lost: bool) -> None:
        scene = self.replaced(lost=lost, f1=0.8)
        report = scene.look(answers(*coin(5000, right=0.6)))
        drop = check_of(report, "performance_drop:accuracy")
        assert (report.status, drop.status) == (Status.INSUFFICIENT, Status.INSUFFICIENT)
        assert "WS-MONITORING-103: the accepted baseline, of version 0, lacks it" in drop.message
        assert "windsock monitor churn --accept-loss" in report.reason
        assert scene.look(answers(*coin(5000, right=0.4))).status is Status.FAIL, "it knows less than nothing"

    def test_a_person_may_ask_for_what_it_does_now(self) -> None:
        scene = self.replaced(lost=True, f1=0.8)
        frame = answers(*coin(5000, right=0.6))
        scene.look(frame)
        found = accept_loss(scene.spec, scene.ports, actor="alice", reason="a new metric")
        assert found.metric("accuracy").value == pytest.approx(0.6)
        assert scene.look(frame).status is Status.PASS
        assert scene.look(answers(*coin(5000, right=0.53))).status is Status.FAIL

    @pytest.mark.parametrize(("lost", "word"), [(True, Status.INSUFFICIENT), (False, Status.PASS)])
    def test_a_bare_baseline_gives_way_to_no_version_that_came_in_a_loss(self, lost, word) -> None:
        scene = self.replaced(lost=lost, accuracy=0.9)
        rows = scene.ports.ledger.kept["churn"]
        place = next(number for number, row in enumerate(rows) if row.version == "0")
        bare = [{"name": "accuracy", "value": 0.9, "n": 20}]
        rows[place] = rows[place].replace(body={**rows[place].body, "baseline": bare})
        assert scene.look(answers(*coin(5000, right=0.6))).status is word

    def test_a_metric_that_the_baseline_lacks_is_held_against_the_versions_own(self) -> None:
        scene = self.sunk()
        accept(scene, roc_auc=0.9)
        report = scene.look(answers(*coin(5000, right=0.6)))
        assert "against 0.6 on held-out rows" in check_of(report, "performance_drop:accuracy").message

    def test_the_loss_is_among_the_numbers(self) -> None:
        scene = self.sunk()
        accept(scene, accuracy=0.9)
        scene.look(answers(*coin(5000, right=0.6)))
        assert kept(scene).numbers["loss:accuracy"] == pytest.approx(0.3)


class TestMinimum:
    def scene(self, **minimum: float) -> Scene:
        return Scene(held_out(accuracy=0.8), spec={**BY_ACCURACY, "gate": {"minimum": minimum}})

    @pytest.mark.parametrize(
        ("right", "status"), [(0.85, Status.PASS), (0.8, Status.INSUFFICIENT), (0.77, Status.FAIL)]
    )
    def test_by_the_whole_interval(self, right: float, status: Status) -> None:
        report = self.scene(accuracy=0.8).look(answers(*coin(5000, right=right)))
        check = check_of(report, "performance_minimum:accuracy")
        assert (check.status, check.limit, check.relation) == (status, 0.8, ">=")
        assert check.code == "WS-MONITORING-097"
        assert report.status is (Status.FAIL if status is Status.FAIL else Status.PASS)
        assert "limit: at least 0.8 (gate.minimum), n=5,000 labelled rows: " in check.message

    def test_every_minimum_is_asked_for(self) -> None:
        report = self.scene(accuracy=0.5, recall=0.95).look(answers(*coin(5000, right=0.8)))
        assert check_of(report, "performance_minimum:accuracy").status is Status.PASS
        assert check_of(report, "performance_minimum:recall").status is Status.FAIL
        assert (report.status, report.severity) == (Status.FAIL, Severity.HIGH)

    def test_of_errors_less_is_better(self) -> None:
        report = self.scene(log_loss=0.2, brier=0.5).look(answers(*coin(5000, right=0.8)))
        assert check_of(report, "performance_minimum:log_loss").status is Status.FAIL
        brier = check_of(report, "performance_minimum:brier")
        assert (brier.status, brier.relation) == (Status.PASS, "<=")

    def test_a_metric_that_the_log_cannot_tell_says_nothing(self) -> None:
        scene = Scene(held_out(accuracy=0.5), schema=COLORS, spec={"gate": {"minimum": {"roc_auc": 0.9}}})
        said = ["blue", "green", "red"] * 500
        report = scene.look(answers(said, said, [None] * 1500))
        assert check_of(report, "performance_minimum:roc_auc").status is Status.INSUFFICIENT
        assert report.status is Status.PASS

    def test_too_few_rows_say_nothing(self) -> None:
        report = self.scene(accuracy=0.8).look(answers(*coin(20, right=0.1)))
        assert check_of(report, "performance_minimum:accuracy").status is Status.INSUFFICIENT


class TestKnowsNothing:
    @pytest.mark.parametrize(
        ("own", "right", "margin", "status"),
        [
            (0.9, 0.9, 0.05, Status.PASS),
            (0.9, 0.55, 0.05, Status.INSUFFICIENT),
            (0.9, 0.5, 0.05, Status.FAIL),
            (0.54, 0.54, 0.02, Status.PASS),  # useful by little, as it was accepted
            (0.54, 0.5, 0.02, Status.FAIL),
            (0.45, 0.45, 0.0, Status.FAIL),  # as good as its own held-out rows, and of no use
        ],
    )
    def test_against_the_largest_class(self, own: float, right: float, margin: float, status: Status) -> None:
        scene = Scene(held_out(accuracy=own), spec=BY_ACCURACY)
        truth, said, scores = coin(20_000, right=right)
        half = [place % 2 == 0 for place in range(20_000)]
        said = [one if hit == label else not one for one, hit, label in zip(half, said, truth, strict=True)]
        report = scene.look(answers(half, said, scores))
        check = check_of(report, "performance_knows_nothing:accuracy")
        assert check.status is status
        assert check.limit == pytest.approx(margin)
        assert check.value == pytest.approx(right - 0.5)
        assert check.code == "WS-MONITORING-098"
        assert check.message.endswith("; of that model it is 0.5")
        if status is Status.FAIL:
            assert (report.status, report.severity) == (Status.FAIL, Severity.CRITICAL)

    def test_ranking_is_held_against_a_half(self) -> None:
        scene = Scene(held_out(roc_auc=0.45))
        report = scene.look(answers(*coin(5000, right=0.4)))
        check = check_of(report, "performance_knows_nothing:roc_auc")
        assert check.status is Status.FAIL
        assert check.message.endswith("; of that model it is 0.5")

    def test_rare_classes_leave_no_room_for_a_fixed_margin(self) -> None:
        truth = [place % 50 == 0 for place in range(20_000)]
        said = [hit and place % 100 == 0 for place, hit in enumerate(truth)]
        report = Scene(held_out(accuracy=0.99), spec=BY_ACCURACY).look(answers(truth, said))
        check = check_of(report, "performance_knows_nothing:accuracy")
        assert (check.status, report.status) == (Status.PASS, Status.PASS)
        assert check.limit == pytest.approx(0.005)

    @pytest.mark.parametrize("name", ["rmse", "mae"])
    @pytest.mark.parametrize(("noise", "status"), [(5.0, Status.PASS), (19.8, Status.FAIL)])
    def test_errors_are_a_share_of_those_of_the_middle(self, name: str, noise: float, status: Status) -> None:
        generator = np.random.default_rng(3)
        truth = generator.normal(100, 20, 4000)
        said = (truth * 0 + 100) if noise > 15 else truth + generator.normal(0, noise, 4000)
        scene = Scene(
            held_out(**{name: 4.0}), schema=NUMBER, spec={**REGRESSION, "training": {"metric": name}}
        )
        report = scene.look(answers(truth.tolist(), said.tolist(), said.tolist()))
        check = check_of(report, f"performance_knows_nothing:{name}")
        assert check.status is status
        assert check.limit == 0.05

    def test_where_the_gate_does_not_ask_for_it_a_baseline_that_is_worse_is_no_failure(self) -> None:
        truth = [place % 5 != 0 for place in range(5000)]
        said = [hit and place % 7 != 0 for place, hit in enumerate(truth)]
        spec = {"training": {"metric": "recall"}, "gate": {"minimum": {"recall": 0.5}}}
        report = Scene(held_out(recall=0.85), spec=spec).look(answers(truth, said))
        check = check_of(report, "performance_knows_nothing:recall")
        assert (check.status, report.status) == (Status.INSUFFICIENT, Status.PASS)
        assert "which the gate does not ask for" in check.message

    def test_one_class_alone_says_nothing(self) -> None:
        report = Scene(held_out(roc_auc=0.9)).look(answers([True] * 500, [True] * 500, [0.9] * 500))
        assert check_of(report, "performance_knows_nothing:roc_auc").status is Status.INSUFFICIENT

    @pytest.mark.parametrize("name", ["accuracy", "log_loss", "brier", "average_precision", "f1"])
    @pytest.mark.parametrize("only", [True, False])
    def test_one_class_alone_says_nothing_by_any_metric(self, name: str, only: bool) -> None:
        said = [(place % 10 != 0) == only for place in range(500)]
        own = {"log_loss": 0.35, "brier": 0.1}.get(name, 0.9)
        scene = Scene(held_out(**{name: own}), spec={"training": {"metric": name}})
        report = scene.look(answers([only] * 500, said, [0.9 if one else 0.1 for one in said]))
        assert check_of(report, f"performance_knows_nothing:{name}").status is Status.INSUFFICIENT
        assert report.status is not Status.FAIL

    @staticmethod
    def rare(share: float, right: float, *, guessed: bool = False) -> Any:
        """Return answers on rows of which a share is positive, right so often, or by chance."""
        generator = np.random.default_rng(1)
        truth = generator.random(12_000) < share
        said = np.where(generator.random(12_000) < right, truth, ~truth)
        if guessed:
            said = generator.permutation(said)
        scores = np.where(said, 0.9, 0.1) + generator.uniform(-0.05, 0.05, 12_000)
        return answers(truth.tolist(), said.tolist(), scores.tolist())

    @pytest.mark.parametrize(("share", "right"), [(0.05, 0.93), (0.05, 0.9), (0.1, 0.88), (0.95, 0.93)])
    def test_fewer_positives_are_no_loss(self, share: float, right: float) -> None:
        report = Scene(held_out(accuracy=0.9), spec=BY_ACCURACY).look(self.rare(share, right))
        check = check_of(report, "performance_knows_nothing:accuracy")
        assert (check.status, report.status) == (Status.INSUFFICIENT, Status.PASS)
        assert "and lead of roc_auc over a model that knows nothing 0." in check.message
        assert check.value is None, "it is no loss"

    def test_guesses_on_few_positives_are_useless(self) -> None:
        report = Scene(held_out(accuracy=0.9), spec=BY_ACCURACY).look(self.rare(0.05, 0.93, guessed=True))
        assert check_of(report, "performance_knows_nothing:accuracy").status is Status.FAIL

    def test_numbers_that_hardly_vary_leave_no_room(self) -> None:
        generator = np.random.default_rng(3)
        truth = generator.normal(100, 3, 4000)
        said = truth + generator.normal(0, 4, 4000)
        spec = {**REGRESSION, "training": {"metric": "rmse"}}
        report = Scene(held_out(rmse=4.0), schema=NUMBER, spec=spec).look(
            answers(truth.tolist(), said.tolist(), said.tolist())
        )
        check = check_of(report, "performance_knows_nothing:rmse")
        assert check.status is Status.INSUFFICIENT
        assert "as these rows vary so little" in check.message

    def test_a_metric_that_cannot_take_constant_answers_says_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def odd(*args: object, **more: object) -> None:
            raise ValueError("constant")

        monkeypatch.setattr(performance_floor, "compare_models", odd)
        report = Scene(held_out(accuracy=0.9), spec=BY_ACCURACY).look(answers(*coin(5000)))
        check = check_of(report, "performance_knows_nothing:accuracy")
        assert (check.status, report.status) == (Status.INSUFFICIENT, Status.PASS)

    def test_of_answers_alone_the_largest_class_is_answered(self) -> None:
        scored = Scored(
            truth=np.array([0, 2, 2, 1]),
            answers=np.zeros((4, 0)),
            classes=3,
            predicted=np.array([0, 0, 0, 0]),
        )
        nothing = knowing_nothing("accuracy", scored)
        assert nothing.answers.shape == (4, 0)
        assert nothing.predicted is not None
        assert nothing.predicted.tolist() == [2, 2, 2, 2]


class TestWord:
    def test_a_trend_that_passes_alone_is_no_pass(self) -> None:
        trend = CheckResult(name="performance_trend:f1", status=Status.PASS, code="WS-MONITORING-031")
        drop = CheckResult(name="performance_drop:f1", status=Status.INSUFFICIENT, code="WS-MONITORING-030")
        assert quality_of([trend]) is Status.INSUFFICIENT
        assert quality_of([trend, drop]) is Status.INSUFFICIENT
        assert quality_of([trend, drop.replace(status=Status.PASS)]) is Status.PASS

    @pytest.mark.parametrize("kind", ["performance_minimum", "performance_knows_nothing"])
    def test_the_floor_fails_as_a_whole(self, kind: str) -> None:
        drop = CheckResult(name="performance_drop:f1", status=Status.PASS, code="WS-MONITORING-030")
        other = CheckResult(name=f"{kind}:f1", status=Status.INSUFFICIENT, code="WS-MONITORING-097")
        assert quality_of([drop, other]) is Status.PASS
        assert quality_of([drop, other.replace(status=Status.FAIL)]) is Status.FAIL


def made(kind: str, value: float, limit: float) -> CheckResult:
    return CheckResult(name=kind, status=Status.PASS, code="WS-MONITORING-030", value=value, limit=limit)


class TestLoss:
    def test_it_is_against_the_highest_of_what_is_asked(self) -> None:
        drop = made("performance_drop:f1", 0.1, 0.05)
        assert loss_of([drop], "f1", metric("f1", 0.6)) == 0.1
        least = made("performance_minimum:f1", 0.5, 0.8)
        assert loss_of([drop, least], "f1", metric("f1", 0.6)) == pytest.approx(0.3)
        nothing = made("performance_knows_nothing:f1", -0.4, 0.05)
        assert loss_of([drop, least, nothing], "f1", metric("f1", 0.6)) == pytest.approx(0.45)

    def test_errors_are_a_share_of_the_baseline(self) -> None:
        least = made("performance_minimum:rmse", 6.0, 5.0)
        assert loss_of([least], "rmse", metric("rmse", 4.0)) == pytest.approx(0.25)

    def test_there_is_none_without_a_number(self) -> None:
        assert loss_of([], "f1", None) is None
        assert loss_of([made("performance_minimum:recall", 0.1, 0.9)], "f1", None) is None


class TestSeasons:
    """A look-back that holds no whole weeks is held against its like, where losses differ by weekday."""

    def scene(self, off: float, window: str = "1d") -> Scene:
        place = WINDOW.start.weekday()
        season = LossSeason(
            metric="accuracy",
            cycle="week",
            parts=tuple(off if one == place else 0.0 for one in range(7)),
            rows=(100,) * 7,
            reference=tuple(0 if one == place else 100 for one in range(7)),
        )
        known = held_out(accuracy=0.8).replace(seasons=(season,))
        return Scene(known, spec=BY_ACCURACY, window=window)

    @pytest.mark.parametrize(
        ("off", "window", "loss"), [(-0.2, "1d", 0.0), (0.1, "1d", 0.2), (-0.2, "7d", 0.2)]
    )
    def test_less_is_asked_on_weekdays_that_are_harder_and_never_more(self, off, window, loss) -> None:
        report = self.scene(off, window).look(answers(*coin(5000, right=0.6)))
        drop = check_of(report, "performance_drop:accuracy")
        assert drop.value == pytest.approx(loss, abs=0.02)
        assert drop.status is (Status.FAIL if loss else Status.PASS)
        assert ("set `monitoring.performance.window: 7d`" in drop.message) is (not loss)

    def test_what_a_person_accepted_is_asked_as_it_is(self) -> None:
        scene = self.scene(-0.2)
        accept(scene, accuracy=0.8)
        accept(scene, "accept_loss", actor="alice", accuracy=0.7)
        report = scene.look(answers(*coin(5000, right=0.6)))
        assert check_of(report, "performance_drop:accuracy").value == pytest.approx(0.1)

    def test_a_loss_beyond_the_season_fails(self) -> None:
        report = self.scene(-0.05).look(answers(*coin(5000, right=0.6)))
        assert check_of(report, "performance_drop:accuracy").status is Status.FAIL

    def test_weekdays_that_are_mostly_unknown_move_nothing(self) -> None:
        season = self.scene(-0.2).ports.bundles.by_digest.popitem()[1].profile.performance.seasons[0]
        unknown = season.replace(parts=(None,) * 7)
        assert loss_offset(unknown, WINDOW) is None
