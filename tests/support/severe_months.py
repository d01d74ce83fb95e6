"""Months of a loop on a stack whose clock goes from month to month: see ``support.severe_stories``.

First versions are trained by the real DAG at one time; the server's log of the weeks after is written as the
server would have written it; then the stack stands still until a later time and judges what waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.backtest import write_log
from support.severe import FEATURES, REVERSED, USUAL, Customers, by_week, dated
from support.severe_stories import Watched
from support.stack import LiveStack, wait_for
from windsock.records import EpisodeState, RetrainDecision

DAY = timedelta(days=1)
TRAINED = datetime(2026, 6, 3, 12, tzinfo=UTC)
"""A Wednesday: the first versions are made."""
MEANWHILE = datetime(2026, 6, 17, 8, tzinfo=UTC)
NOW = datetime(2026, 7, 1, 8, tzinfo=UTC)
BEGIN, END = datetime(2026, 6, 4, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
"""The days that are judged."""
MOVED = datetime(2026, 6, 28, tzinfo=UTC)
"""From this day on customers are older, on top of the weekly pattern."""
FLIPPED = datetime(2026, 6, 14, tzinfo=UTC)
TRAINING_DAYS, TRAINING_ROWS, PER_DAY = 56, 200, 600
MODEL = """\
model: {{name: {name}, owner: ds@company.com}}
data: {{source: {name}.csv, target: churned, event_time: asked_at}}
training: {{candidates: [{{estimator: logistic_regression}}]}}
gate: {{latency_ms: 1000, card: {{intended_use: Rank customers., limitations: Made up.}}}}
monitoring: {{data_drift: {drift}}}
"""


def moved(day: datetime) -> Customers:
    """Return what customers are like whose weekends differ, and who become older at the end."""
    usual = by_week(day)
    return usual if day < MOVED else replace(usual, age=usual.age + 5)


def flipped(day: datetime) -> Customers:
    """Return what customers are like of whom age comes to mean the opposite."""
    return USUAL if day < FLIPPED else REVERSED


@dataclass(frozen=True, kw_only=True)
class Month:
    """A model and its days.

    :param like: what customers of a day are like.
    :param drift: whether drift is judged.
    :param delay: from an answer to its label.
    """

    like: Callable[[datetime], Customers]
    drift: bool = True
    delay: timedelta = timedelta(hours=1)


MONTHS = {
    "weekly": Month(like=moved),
    "late_days": Month(like=flipped, drift=False, delay=14 * DAY),
}


def write_months(models: Path) -> None:
    """Write the models, and what their first versions learn from."""
    for name, month in MONTHS.items():
        (models / f"{name}.yaml").write_text(MODEL.format(name=name, drift=str(month.drift).lower()))
        start = TRAINED.replace(hour=0) - TRAINING_DAYS * DAY
        frame = dated(month.like, start, TRAINING_DAYS, per_day=TRAINING_ROWS, seed=2)
        frame.to_csv(models / f"{name}.csv", index=False)


def train_months(live: LiveStack) -> None:
    """Let the retrain DAG make the first versions, and write the log of the weeks that follow."""
    dags = {name: f"{name}__daily_retrain" for name in MONTHS}
    runs = {name: live.trigger(dag_id) for name, dag_id in dags.items()}
    for name, dag_id in dags.items():
        assert live.await_state(dag_id, runs[name]) == "success", live.failures(dag_id, runs[name])
        live.admin.set_paused(dag_id, paused=True)
        _write_weeks(Watched(live, name), MONTHS[name])


def _write_weeks(watched: Watched, month: Month) -> None:
    """Write the answers that the server would have given, as its log has them, and the labels so far."""
    champion = watched.champion
    assert champion.version == "1"
    frame = dated(month.like, BEGIN, (END - BEGIN).days, per_day=PER_DAY, seed=5)
    bundle = watched.ports.bundles.load(champion.bundle_uri, champion.digest)
    assert bundle.pipeline is not None
    scores = bundle.pipeline.predict_proba(frame[list(FEATURES)])[:, 1]
    write_log(
        watched.live.stack.home / "serving",
        frame,
        scores,
        version=champion.version,
        digest=champion.digest,
        label_delay=month.delay,
        model=watched.name,
        until=NOW,
    )


def judge_meanwhile(live: LiveStack) -> RetrainDecision:
    """Let the monitors judge the first two weeks; return what was decided on the weekly pattern.

    Nothing has happened in it, and of the late labels there is none.
    """
    decided = [_judged(live, name) for name in MONTHS]
    return decided[0]


def _judged(live: LiveStack, name: str) -> RetrainDecision:
    watched = Watched(live, name)
    watched.switch_on()
    run_id = live.run_green(watched.monitor)
    watched.switch_off()
    return RetrainDecision.model_validate(live.admin.xcom(watched.monitor, run_id, "decide_retrain"))


def judge_months(live: LiveStack) -> dict[str, Watched]:
    """Let the monitors judge all days, one after the other; retrains may follow side by side."""
    months = {name: Watched(live, name) for name in MONTHS}
    for watched in months.values():
        watched.switch_on()
        live.run_green(watched.monitor)

    def is_over() -> bool:
        episodes = [one for watched in months.values() for one in watched.episodes]
        return all(one.state is EpisodeState.CLOSED for one in episodes)

    wait_for(is_over, seconds=400, what="the end of all episodes")
    for watched in months.values():
        watched.switch_off()
    return months
