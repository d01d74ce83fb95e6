"""The long histories of a loop, each told by a function on a stack of their own: see ``support.severe``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from support.severe import FEATURES, REVERSED, USUAL, Asked, Callers, Customers
from support.stack import LiveStack, wait_for
from support.tried import ports_of, retrain_here
from windsock.ports import Ports
from windsock.records import (
    Alert,
    Baseline,
    Champion,
    Episode,
    EpisodeState,
    LedgerRow,
    Status,
    WindowVerdict,
    baseline_of,
)
from windsock.settings import Settings
from windsock.spec import ModelSpec
from windsock.spec.loader import find_model

DAY = timedelta(seconds=20)
"""A day of the histories that are told in short windows."""
WEEK = 7 * DAY
SOURCE_ROWS = 8_000
SHORT = """\
model: {{name: {name}, owner: ds@company.com}}
data: {{source: {name}.csv, target: churned}}
training: {{candidates: [{{estimator: logistic_regression}}]}}
gate: {{latency_ms: 1000, card: {{intended_use: Rank customers., limitations: Made up.}}}}
monitoring:
  data_drift: {drift}
  window: 20s
  lateness: 3s
  performance: {{window: 140s, latency_p95_ms: 10000}}
  retrain: {{cooldown: 20s, per_day: 1000, recent: 10m}}
"""
"""A day is 20 seconds; what is left to the defaults of ``performance`` and ``retrain`` is no time."""
HEALTHY_WINDOWS = 4
RECOVERY_SECONDS = 1_800
"""Waited at most for what takes some 200 on an idle machine: others may use it, too."""


def write_short(models: Path, name: str, *, drift: bool) -> None:
    """Write a model of short windows, and what its first version learns from."""
    (models / f"{name}.yaml").write_text(SHORT.format(name=name, drift=str(drift).lower()))
    USUAL.drawn(SOURCE_ROWS, np.random.default_rng(3)).to_csv(models / f"{name}.csv", index=False)


class Watched:
    """A model that is watched, and what is kept of it.

    :param name: the model's.
    """

    def __init__(self, live: LiveStack, name: str) -> None:
        self.live, self.name = live, name
        settings = Settings.from_environment(live.stack.environment())
        self.ports: Ports = ports_of(settings)
        self.spec: ModelSpec = find_model(settings.models_dir, name, shared_file=settings.shared_file)
        self.monitor, self.retrain = f"{name}__monitor", f"{name}__drift_retrain"

    @property
    def champion(self) -> Champion:
        found = self.ports.ledger.champion(self.name)
        assert found is not None
        return found

    @property
    def rows(self) -> tuple[LedgerRow, ...]:
        return tuple(self.ports.ledger.rows(self.name))

    @property
    def baseline(self) -> Baseline:
        found = baseline_of(self.rows)
        assert found is not None
        return found

    @property
    def episodes(self) -> tuple[Episode, ...]:
        return self.ports.monitor.episodes(self.name)

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """All changes of all alerts, the latest last."""
        return self.ports.monitor.alert_history(self.name, limit=1_000)

    @property
    def is_lost(self) -> bool:
        """Whether an alert of a loss fires."""
        firing = self.ports.monitor.alerts(self.name, firing=True)
        return any(one.key.startswith("performance:performance_drop") for one in firing)

    def windows(self, *statuses: Status, kind: str = "performance") -> list[WindowVerdict]:
        """Return the verdicts of a kind, those with some words or all of them."""
        found = self.ports.monitor.windows(self.name, kind)
        return [one for one in found if not statuses or one.status in statuses]

    def switch_on(self) -> None:
        for dag_id in (self.monitor, self.retrain):
            self.live.await_dag(dag_id)
            self.live.admin.set_paused(dag_id, paused=False)

    def switch_off(self) -> None:
        """Let no further task begin."""
        for dag_id in (self.monitor, self.retrain):
            self.live.admin.set_paused(dag_id, paused=True)

    def auc(self, customers: Customers, rows: int = 4_000) -> float:
        """Return how well the version that serves tells who leaves, by the server's own answers."""
        import httpx
        from sklearn.metrics import roc_auc_score

        frame = customers.drawn(rows, np.random.default_rng(99))
        asked = frame[list(FEATURES)].astype(object).to_dict("records")
        url = f"{self.live.stack.server_url}/models/{self.name}/predict"
        scores: list[float] = []
        for start in range(0, rows, 500):
            body = {"features": asked[start : start + 500]}
            answer = httpx.post(url, json=body, timeout=60, trust_env=False).raise_for_status()
            scores += [one["score"] for one in answer.json()["predictions"]]
        return float(roc_auc_score(frame["churned"], scores))


def fresh_auc(customers: Customers, rows: int = 600) -> float:
    """Return what a model reaches that is fitted on a day of such customers."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    shaped = make_column_transformer((OneHotEncoder(), ["plan"]), remainder=StandardScaler())
    model = make_pipeline(shaped, LogisticRegression())
    learned, judged = (
        customers.drawn(count, np.random.default_rng(seed)) for count, seed in ((rows, 98), (4_000, 99))
    )
    model.fit(learned[list(FEATURES)], learned["churned"])
    return float(roc_auc_score(judged["churned"], model.predict_proba(judged[list(FEATURES)])[:, 1]))


@dataclass(frozen=True, kw_only=True)
class FlipStory:
    """Age comes to mean the opposite; the loop has to notice, and to learn.

    :param changed: when.
    :param baseline: what was asked of the model before.
    :param asked: every answer, with its truth.
    :param recovered: the first window of a later version that passed.
    :param auc: how well the version that serves in the end tells who leaves now.
    """

    watched: Watched
    changed: datetime
    baseline: Baseline
    asked: Sequence[Asked]
    recovered: WindowVerdict
    auc: float


def flip_story(name: str, *, delay: timedelta = timedelta()) -> Callable[[LiveStack], FlipStory]:
    """Return the story of a model whose world is turned round once some windows were healthy.

    :param delay: from an answer to its label.
    """

    def story(live: LiveStack) -> FlipStory:
        watched = Watched(live, name)
        assert retrain_here(watched.ports, watched.spec, f"{name}-1") == "1"
        baseline = watched.baseline
        watched.switch_on()
        with asking(live, name, delay) as callers:
            _await_health(watched, callers)
            changed, callers.customers = datetime.now(UTC), REVERSED
            recovered = _await_recovery(watched, callers, changed)
            watched.switch_off()
        return FlipStory(
            watched=watched,
            changed=changed,
            baseline=baseline,
            asked=callers.asked,
            recovered=recovered,
            auc=watched.auc(REVERSED),
        )

    return story


def _await_health(watched: Watched, callers: Callers) -> None:
    def is_well() -> bool:
        callers.require_well()
        return len(watched.windows(Status.PASS)) >= HEALTHY_WINDOWS

    wait_for(is_well, seconds=RECOVERY_SECONDS, what=f"healthy windows of {watched.name}")


def _await_recovery(watched: Watched, callers: Callers, changed: datetime) -> WindowVerdict:
    """Wait until a window of a version that was made after a change passes, and return it."""
    made = {row.digest for row in watched.rows}
    found: list[WindowVerdict] = []

    def is_well() -> bool:
        callers.require_well()
        later = [one for one in watched.windows(Status.PASS) if one.digest not in made]
        found[:] = [one for one in later if one.window.start > changed]
        closed = all(one.state is EpisodeState.CLOSED for one in watched.episodes)
        return bool(found) and closed and not watched.is_lost

    wait_for(is_well, seconds=RECOVERY_SECONDS, what=f"recovery of {watched.name}")
    return found[0]


@contextlib.contextmanager
def asking(live: LiveStack, name: str, delay: timedelta) -> Iterator[Callers]:
    """Let people ask a model for the time of a block."""
    callers = Callers(server_url=live.stack.server_url, model=name, delay=delay)
    callers.start()
    try:
        yield callers
    finally:
        callers.end()
