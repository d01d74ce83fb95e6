"""A model's life day by day, through the monitor's own steps and a real control database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from support.backtest import HISTORY, MODEL_FILE, dated_frame, first_version, training_frame
from support.fakes import FakeSources, fake_ports
from windsock.adapters.monitor_table import SqlMonitor
from windsock.cli.backtest_retrain import WhatIf
from windsock.cli.backtest_worlds import Table, World, world_of_table
from windsock.monitoring.backtest import replay_ports, windows_between
from windsock.monitoring.backtest_history import TableHistory
from windsock.monitoring.backtest_memory import Clock, ReplayedLedger
from windsock.monitoring.check_drift import check_drift
from windsock.monitoring.check_performance import check_performance
from windsock.monitoring.claim_retrain import claim_retrain
from windsock.monitoring.close_retrain import close_retrain
from windsock.monitoring.decide_retrain import decide_retrain
from windsock.monitoring.pending_windows import pending_windows
from windsock.ports import Ports
from windsock.records import (
    CheckDriftInput,
    CheckPerformanceInput,
    ClaimRetrainInput,
    CloseRetrainInput,
    DecideRetrainInput,
    DriftProfile,
    LedgerAction,
    LedgerRow,
    RetrainClaim,
    RetrainOrder,
    RetrainOutcome,
    RunContext,
    Span,
    live_since,
)
from windsock.spec import ModelSpec
from windsock.spec.loader import spec_from_bytes

DAY = timedelta(days=1)
LATE = timedelta(minutes=1)
DAYS = 12
AFTER_ALL = datetime(2100, 1, 1, tzinfo=UTC)
BEFORE_ALL = Span(start=datetime(2000, 1, 1, tzinfo=UTC), end=datetime(2000, 1, 2, tzinfo=UTC))


class Whole:
    """A replay's ledger as a real one is read: by the order of its rows, whatever the clock shows."""

    def __init__(self, ledger: ReplayedLedger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock

    def rows(self, model: str) -> tuple[LedgerRow, ...]:
        """Return all rows."""
        now, self._clock.time = self._clock.time, AFTER_ALL
        try:
            return self._ledger.rows(model)
        finally:
            self._clock.time = now


def spec_of_life() -> ModelSpec:
    """Return the model's file."""
    return spec_from_bytes(MODEL_FILE.encode(), "churn.yaml")


def first_ports(moved: timedelta) -> Ports:
    """Return ports on which a first version serves; the world is moved in time."""
    ports = fake_ports(sources=FakeSources(shifted(training_frame(), moved)))
    first_version(ports, spec_of_life())
    return ports


def shifted(frame: pd.DataFrame, moved: timedelta) -> pd.DataFrame:
    """Return rows whose times are moved."""
    times = [datetime.fromisoformat(one) + moved for one in frame["asked_at"]]
    return frame.assign(asked_at=[f"{one:%Y-%m-%dT%H:%M:%S.%fZ}" for one in times])


class UntilNow:
    """A table's history up to a time: whatever a clock says, nobody has asked yet what comes later.

    :param true: the time.
    """

    def __init__(self, history: TableHistory, true: Callable[[], datetime]) -> None:
        self._history = history
        self._true = true

    def _clipped(self, span: Span) -> Span:
        end = min(span.end, max(self._true(), span.start + timedelta(microseconds=1)))
        return Span(start=span.start, end=end) if span.start < self._true() else BEFORE_ALL

    def count(self, model: str, digest: str, profile: DriftProfile, span: Span) -> Any:
        """Return the counts of a stretch."""
        return self._history.count(model, digest, profile, self._clipped(span))

    def without_rows(self, model: str, spans: Sequence[Span]) -> frozenset[Span]:
        """Return stretches without a row."""
        none = self._history.without_rows
        return frozenset(span for span in spans if none(model, [self._clipped(span)]))

    def sample(self, model: str, span: Span, **asked: Any) -> Any:
        """Return rows of a stretch."""
        return self._history.sample(model, self._clipped(span), **asked)

    def labelled(self, model: str, span: Span, labels: Any, **asked: Any) -> Any:
        """Return rows with their labels."""
        asked["as_of"] = min(asked["as_of"], self._true())
        return self._history.labelled(model, self._clipped(span), labels, **asked)


@dataclass
class Life:
    """Customers who change on the sixth day, and the monitor that runs a minute after each midnight.

    :param url: of the control database.
    :param first: ports on which a first version serves; they are only read.
    :param moved: how far the world is moved in time.
    :param delivered: how often the bus delivers each event, at once.
    """

    url: str
    first: Ports
    moved: timedelta = timedelta()
    delivered: int = 1
    spec: ModelSpec = field(default_factory=spec_of_life)
    ports: Ports = field(init=False)
    trained: list[str] = field(default_factory=list)
    claims: list[RetrainClaim] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start = HISTORY + self.moved
        history = shifted(dated_frame(HISTORY, DAYS), self.moved)
        windows = windows_between(self.spec.monitoring, self.start, self.start + DAYS * DAY)
        ports = replace(self.first, sources=FakeSources(history))
        asked = Table("asked_at", timedelta(), None)
        self.world: World = world_of_table(self.spec, ports, windows, None, asked)
        self.true = self.start
        assert self.world.history is not None
        seen = UntilNow(self.world.history, lambda: self.true)
        self.world = replace(self.world, ports=replace(self.world.ports, counter=seen, rows=seen))
        self.restart()

    @property
    def now(self) -> datetime:
        return self.world.clock.time

    def restart(self) -> None:
        """Begin anew as another process does: what was in memory of the monitor is gone."""
        self.ports = replace(self.world.ports, monitor=SqlMonitor(self.url))

    def days(self) -> Iterator[int]:
        """Let each day pass; the caller does what the day brings."""
        for number in range(1, DAYS + 1):
            self.true = self.world.clock.time = self.start + number * DAY + LATE
            yield number

    def waiting(self) -> tuple[Span, ...]:
        """Return the windows that the next run would judge."""
        rows, known = self.ports.ledger.rows("churn"), self.ports.monitor.windows("churn")
        return pending_windows(self.spec.monitoring, known, since=live_since(rows), now=self.now)

    def judge(self, window: Span) -> None:
        """Judge a window, both ways."""
        check_drift(CheckDriftInput(spec=self.spec, window=window), self.ports, "")
        check_performance(CheckPerformanceInput(spec=self.spec, window=window), self.ports, "")

    def decide(self) -> str | None:
        """Decide; return the key of the episode that is announced."""
        decision = decide_retrain(DecideRetrainInput(spec=self.spec), self.ports, "")
        if decision.order is not RetrainOrder.GRANT or decision.episode is None:
            return None
        self.keys.append(decision.episode.key)
        return decision.episode.key

    def run(self) -> None:
        """Run the monitor, and each retrain that its events start."""
        for window in self.waiting():
            self.judge(window)
        key = self.decide()
        for _ in range(self.delivered if key else 0):
            self.retrain(key or "", f"run{len(self.claims)}")

    def claim(self, key: str, run_id: str) -> RetrainClaim:
        """Claim an episode."""
        step = ClaimRetrainInput(spec=self.spec, episode_key=key, run=self._run(run_id))
        made = claim_retrain(step, self.ports, "")
        self.claims.append(made)
        return made

    def retrain(self, key: str, run_id: str) -> RetrainOutcome | None:
        """Claim, fit, serve and close, as a run of the retrain DAG does; ``None``: it had nothing to do."""
        claim = self.claim(key, run_id)
        return self.close(claim, run_id, self.fit(claim)) if claim.granted else None

    def fit(self, claim: RetrainClaim) -> Any:
        """Fit anew; what wins serves. Return the trial."""
        on = self.world
        what_if = WhatIf(
            self.spec,
            self.ports,
            bundles=on.bundles,
            ledger=on.ledger,
            history=on.history,
            hindsight=on.hindsight,
        )
        self.trained.append(claim.episode.key if claim.episode else "")
        return what_if.retrain(claim, f"retrained {len(self.trained)}")

    def close(self, claim: RetrainClaim, run_id: str, trial: Any) -> RetrainOutcome:
        """Give the claim back."""
        made = CloseRetrainInput(
            spec=self.spec,
            claim=claim,
            outcome=trial.outcome,
            against=trial.difference,
            run=self._run(run_id),
        )
        whole = Whole(self.world.ledger, self.world.clock)
        return close_retrain(made, replay_ports(self.ports, ledger=whole), "").outcome

    def _run(self, run_id: str) -> RunContext:
        return RunContext(dag_id="churn__drift_retrain", run_id=run_id)

    def end(self) -> dict[str, Any]:
        """Return what it all came to, with times as they were before the world was moved."""
        episodes = self.ports.monitor.episodes("churn")
        commits = [row for row in self.ports.ledger.rows("churn") if row.action is LedgerAction.COMMIT]
        verdicts = self.ports.monitor.windows("churn")
        return {
            "episodes": [
                (one.trigger, self._back(one.span.start), self._back(one.span.end), one.state, one.outcome)
                for one in episodes
            ],
            "onsets": [one.onset and self._back(one.onset) for one in episodes],
            "served": [(row.version, sorted(row.body)) for row in commits],
            "verdicts": [
                (one.kind, self._back(one.window.end), one.version, one.status)
                for one in verdicts
                if one.window.end <= self.start + DAYS * DAY
            ],
        }

    def _back(self, moment: datetime) -> datetime:
        return moment - self.moved

    def require_one_retrain_for_each(self) -> None:
        """See that each episode was claimed by one run, and fitted once."""
        claimed = [one for one in self.ports.monitor.episodes("churn") if one.claimed_at is not None]
        assert len(claimed) >= 1
        assert sorted(self.trained) == sorted(one.key for one in claimed)
        for one in claimed:
            holders = {
                made.holder
                for made in self.claims
                if made.granted and made.episode and made.episode.key == one.key
            }
            assert holders == {one.claimed_by}
