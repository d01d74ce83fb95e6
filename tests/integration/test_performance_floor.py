"""What performance is held against once the world has turned, over promotions, on a real control database."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from support.labelled import labelled
from support.ledgers import new_control_database, sql_ledger
from support.performance import check_of
from support.pipeline import retrain
from windsock.adapters.monitor_table import SqlMonitor
from windsock.exceptions import MonitoringError
from windsock.monitoring.accept_loss import accept_loss
from windsock.monitoring.alerts import conditions_of
from windsock.monitoring.backtest_memory import Clock
from windsock.ports import LabelledRows
from windsock.records import (
    Episode,
    LedgerAction,
    Outcome,
    PerformanceReport,
    RetrainDecision,
    RetrainOrder,
    RetrainOutcome,
    RunContext,
    Severity,
    Span,
    Status,
    WindowVerdict,
    baseline_of,
)
from windsock.steps import run_step

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
BEGIN = datetime.fromisoformat("2026-05-01T00:00:00+00:00")
SPEC = make_spec(
    training={"candidates": [{"estimator": "logistic_regression"}]},
    gate={"latency_ms": 1000},
    monitoring={"performance": {"window": "1d"}, "retrain": {"history": 0.05, "cooldown": "1h"}},
)
DROP = "performance_drop:roc_auc"


def churn(rows: int, slope: float, seed: int) -> pd.DataFrame:
    """Return rows in which calls decide, and age: for it, or with a negative slope against it."""
    random = np.random.default_rng(seed)
    age, calls = random.normal(50, 12, rows).round(3), random.poisson(2, rows)
    odds = 1 / (1 + np.exp(-slope * (age - 50) / 6 - 0.8 * (calls - 2)))
    ids = [f"c{seed}-{number}" for number in range(rows)]
    return pd.DataFrame(
        {"customer_id": ids, "age": age, "calls": calls, "churned": random.random(rows) < odds}
    )


class NoOnsets(SqlMonitor):
    """Keeps episodes as they were before they had an onset: what their retrains learn is a mixture."""

    def announce(self, episode: Episode) -> Episode:
        return super().announce(episode.replace(onset=None))


class World:
    """A model in production whose world may turn; days go by, one window each."""

    def __init__(self, database_url: str) -> None:
        self.clock = Clock(BEGIN)
        self.ports: Any = fake_ports(
            sources=FakeSources(churn(1500, 1.0, 1)),
            ledger=sql_ledger(database_url, self.clock),
            monitor=NoOnsets(database_url),
            now=self.clock,
        )
        self.day = 0
        retrain(self.ports, SPEC)

    def live(self, slope: float, *, rows: int = 1500) -> PerformanceReport:
        """Let a day go by, and judge it."""
        self.day += 1
        window = Span(start=BEGIN + (self.day - 1) * DAY, end=BEGIN + self.day * DAY)
        self.clock.time = window.end + timedelta(minutes=2)
        self.ports.rows.joined = self.answers(churn(rows, slope, 100 + self.day), window.start, DAY / rows)
        report = run_step("check_performance", {"spec": SPEC, "window": window}, self.ports).record
        assert isinstance(report, PerformanceReport)
        return report

    def answers(self, rows: pd.DataFrame, start: datetime, every: timedelta) -> LabelledRows:
        """Return what the champion answers, with labels that come at once."""
        champion = self.champion
        bundle = self.ports.bundles.load(champion.bundle_uri, champion.digest)
        features = rows[["age", "calls"]]
        scores = bundle.pipeline.predict_proba(features)[:, 1]
        times = pd.Series([start + number * every for number in range(len(rows))])
        return labelled(
            features.to_dict("records"),
            rows["churned"].tolist(),
            unit=rows["customer_id"].tolist(),
            digest=champion.digest,
            version=champion.version,
            receive_time=times,
            label_time=times,
            score=scores,
            prediction=pd.Series((scores > 0.5).tolist(), dtype=object),
        )

    def decide(self) -> RetrainDecision:
        decision = run_step("decide_retrain", {"spec": SPEC}, self.ports).record
        assert isinstance(decision, RetrainDecision)
        return decision

    def retrain(self, key: str, learned: LabelledRows) -> Any:
        """Let an episode's retrain learn from some answers, and close it."""
        run = RunContext(dag_id="churn__drift_retrain", run_id=key)
        asked = {"spec": SPEC, "episode_key": key, "run": run}
        claim: Any = run_step("claim_retrain", asked, self.ports).record
        assert claim.granted
        self.ports.rows.joined = learned
        done = retrain(self.ports, SPEC, run=run, recent=claim.recent, onset=claim.onset)
        decision: Any = done["gate_model"].record
        won = decision.outcome is Outcome.PROMOTE
        outcome = RetrainOutcome.PROMOTED if won else RetrainOutcome.KEPT
        run_step("close_retrain", {"spec": SPEC, "claim": claim, "outcome": outcome, "run": run}, self.ports)
        assert won
        return done["promote_model"].record

    @property
    def champion(self) -> Any:
        return self.ports.ledger.champion("churn")

    @property
    def last(self) -> WindowVerdict:
        verdict: WindowVerdict = self.ports.monitor.windows("churn", "performance")[-1]
        return verdict

    @property
    def own_value(self) -> float:
        """What the champion did itself on its held-out rows."""
        profile = self.ports.bundles.describe(self.champion.bundle_uri, self.champion.digest).profile
        value: float = next(one.value for one in profile.performance.realised if one.name == "roc_auc")
        return value

    @property
    def asked(self) -> Any:
        return baseline_of(self.ports.ledger.rows("churn"), "roc_auc")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(new_control_database(tmp_path))


def crumbs(world: World) -> LabelledRows:
    """Return answers of which half are of the world before: a model of them does not know what age means."""
    mixed = pd.concat([churn(1000, 1.0, 7), churn(1000, -1.0, 8)], ignore_index=True)
    mixed = mixed.sample(frac=1, random_state=3).reset_index(drop=True)
    return world.answers(mixed, BEGIN, timedelta(minutes=1))


def test_a_floor_that_does_not_sink(world: World) -> None:
    first = world.asked
    assert (world.champion.version, first.version, first.by) == ("1", "1", None)
    healthy = world.live(1.0)
    assert healthy.status is Status.PASS
    assert (healthy.baseline_version, healthy.baseline_at) == ("1", first.at)

    # The world turns. The first retrain has a mixture of both; it beats the broken champion by crumbs.
    assert [world.live(-1.0).status for _ in range(2)] == [Status.FAIL, Status.FAIL]
    granted = world.decide()
    assert granted.order is RetrainOrder.GRANT
    assert granted.episode is not None
    promotion = world.retrain(granted.episode.key, crumbs(world))
    assert (promotion.version, promotion.better_than_broken) == ("2", granted.episode.span.start)
    assert world.asked == first

    # It is held against the first champion, not against itself.
    report = world.live(-1.0)
    drop = check_of(report, DROP)
    assert (report.version, report.status, drop.status) == ("2", Status.FAIL, Status.FAIL)
    assert (report.baseline_version, drop.limit) == ("1", 0.05)
    assert world.own_value < 0.72 < 0.85 < first.metric("roc_auc").value
    assert report.better_than_broken is not None
    alert = next(one for one in conditions_of(None, report, None) if one.key == f"performance:{DROP}")
    assert (alert.active, alert.severity) == (True, Severity.CRITICAL)
    assert "loss against the baseline of version 1 since 2026-05-02 00:00 UTC stands" in alert.text
    assert world.last.numbers["loss:roc_auc"] > 0.2

    # The second retrain has rows of the new world alone. That it serves is no recovery yet; a window says so.
    world.live(-1.0)
    granted = world.decide()
    assert granted.order is RetrainOrder.GRANT
    assert granted.episode is not None
    promotion = world.retrain(granted.episode.key, world.answers(churn(2000, -1.0, 9), BEGIN, SECOND))
    assert promotion.better_than_broken is not None
    assert world.asked == first
    report = world.live(-1.0)
    assert (report.version, report.status, report.better_than_broken) == ("3", Status.PASS, None)
    assert report.baseline_version == "1"
    alerts = {one.key: one for one in conditions_of(None, report, None)}
    assert not alerts[f"performance:{DROP}"].active
    assert world.ports.ledger.verify("churn").broken_at is None


def test_a_loss_that_a_person_accepts(world: World) -> None:
    def accept() -> Any:
        return accept_loss(SPEC, world.ports, actor="cli:alice", reason="age means nothing any more")

    assert world.live(1.0).status is Status.PASS
    with pytest.raises(MonitoringError, match="shows no loss"):
        accept()
    lost = world.live(0.0, rows=6000)
    assert lost.status is Status.FAIL
    accepted = accept()
    assert (accepted.by, accepted.version, accepted) == ("cli:alice", "1", world.asked)
    row = world.ports.ledger.rows("churn")[-1]
    assert (row.action, row.body["reason"]) == (LedgerAction.ACCEPT_LOSS, "age means nothing any more")
    assert world.ports.ledger.verify("churn").broken_at is None
    assert world.last.status is Status.PASS
    report = world.live(0.0, rows=6000)
    assert report.status is Status.PASS
    assert "that a person accepted of version 1" in check_of(report, DROP).message

    # A version that is proved better in quiet raises it again.
    world.ports.rows.joined = world.answers(churn(2000, 0.0, 9), BEGIN, SECOND)
    recent = Span(start=BEGIN, end=world.clock.time)
    done = retrain(world.ports, SPEC, run=RunContext(run_id="by-hand"), recent=recent)
    assert done["promote_model"].record.better_than_broken is None
    assert (world.asked.version, world.asked.by) == ("2", None)
    assert world.asked.metric("roc_auc").value > accepted.metric("roc_auc").value
