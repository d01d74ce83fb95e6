"""How far the life of a model is automated, by what is really there: ten checks, levels 0 to 4 of MLOps.

Nothing is counted that only a file claims. Each check that holds names its evidence: a row of the ledger, a
verdict, a run, with its date. What a system that does not answer would show is not counted either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from windsock.door import evidence_of
from windsock.exceptions import WindsockError
from windsock.ports import Ports
from windsock.records import (
    Champion,
    LedgerAction,
    LedgerRow,
    RetrainOutcome,
    RolloutOutcome,
    Status,
    champion_of,
    commit_of,
    ended_rollouts,
)
from windsock.records.maturity import LEVELS, Maturity, MaturityCheck
from windsock.spec import ModelSpec

RECENT = timedelta(days=62)
"""A retrain by itself so long ago says that there is one: the slowest usual schedule is monthly."""
JUDGED = timedelta(days=7)
"""A verdict of the monitor is of now for so long, or for three of its windows."""
REHEARSED = timedelta(days=365)
"""A roll back that is older says little about the next one."""
ANSWERED = (
    RetrainOutcome.PROMOTED,
    RetrainOutcome.QUEUED,
    RetrainOutcome.KEPT,
    RetrainOutcome.REFUSED,
    RetrainOutcome.TOO_FEW,
)
DECIDED = (RolloutOutcome.PROMOTED, RolloutOutcome.KEPT, RolloutOutcome.ROLLED_BACK)
FAIRNESS = "fairness"

Found = tuple[bool, str]


@dataclass
class _Seen:
    """What the checks of one model look at."""

    ports: Ports
    model: str
    spec: ModelSpec | None
    now: datetime

    @cached_property
    def rows(self) -> tuple[LedgerRow, ...]:
        return self.ports.ledger.rows(self.model)

    @cached_property
    def champion(self) -> Champion | None:
        return champion_of(self.rows)

    @cached_property
    def registered(self) -> LedgerRow | None:
        """The registration of the version that serves; of the last one where none does."""
        rows = [row for row in self.rows if row.action is LedgerAction.REGISTER]
        digest = self.champion.digest if self.champion else None
        return next((row for row in reversed(rows) if digest in (None, row.digest)), None)

    def switch_on(self) -> str:
        return f"windsock models on {self.model}"

    def train(self) -> str:
        run = f"{self.model}__daily_retrain"
        return f"`{self.switch_on()}`; then trigger {run} in Airflow, or wait for its schedule"


def _tracked(seen: _Seen) -> Found:
    row = seen.registered
    if row is None or not row.body.get("run_id"):
        return False, "no version is registered, so none has a tracking run"
    runs = {run.run_id: run for run in seen.ports.tracker.tracked_runs(seen.model)}
    run = runs.get(row.body["run_id"])
    if run is None:
        return False, f"MLflow does not have run {row.body['run_id'][:12]} of version {row.version}"
    return True, f"MLflow has run {run.run_id[:12]} of {_day(run.begun_at)}, of version {row.version}"


def _versioned(seen: _Seen) -> Found:
    row = seen.registered
    if row is None:
        return False, "no version is registered, so no snapshot is behind one"
    digest = str(row.body["snapshot_digest"])
    snapshot = seen.ports.snapshots.find(seen.model, digest)
    if snapshot is None:
        return False, f"snapshot {digest[:12]} of version {row.version} is not stored any more"
    return True, f"snapshot {digest[:12]} of {_day(snapshot.taken_at)}, {snapshot.rows:,} rows"


def _automated(seen: _Seen) -> Found:
    decided = [row for row in seen.rows if row.action is LedgerAction.DECIDE and _by_itself(row)]
    recent = [row for row in decided if row.at >= seen.now - RECENT]
    runs = {str((row.body.get("run") or {}).get("run_id")) for row in recent}
    if len(runs) < 2:
        return False, f"{len(runs)} retrain(s) that nobody started in {RECENT.days} days; two are needed"
    return True, f"{len(runs)} retrains that nobody started; the last is row {_told(recent[-1])}"


def _by_itself(row: LedgerRow) -> bool:
    """Return whether a schedule or an event started the run that a decision is of."""
    run = row.body.get("run") or {}
    dag = str(run.get("dag_id") or "")
    own = dag.endswith(("__daily_retrain", "__drift_retrain"))
    return own and row.body.get("requester") is None and not row.body.get("starter_unknown")


def _gated(seen: _Seen) -> Found:
    row = seen.registered
    if row is None:
        return False, "the gate has let no version through"
    pack = evidence_of(seen.ports, row)
    return True, f"row {_told(row)}: {len(pack['decision']['checks'])} checks in its signed evidence"


def _monitored(seen: _Seen) -> Found:
    judged = [
        one
        for one in seen.ports.monitor.windows(seen.model, "drift")
        if one.status in (Status.PASS, Status.FAIL)
    ]
    if not judged:
        return False, "no window was ever judged for drift"
    last = judged[-1]
    fresh = max(JUDGED, 3 * (last.window.end - last.window.start))
    told = (
        f"verdict {last.status.value} of {_day(last.judged_at)} on the window up to {_day(last.window.end)}"
    )
    return last.judged_at >= seen.now - fresh, told


def _drift_retrained(seen: _Seen) -> Found:
    answered = [
        one
        for one in seen.ports.monitor.episodes(seen.model)
        if one.trigger in ("drift", "performance") and one.claimed_by and one.outcome in ANSWERED
    ]
    if not answered:
        return False, "no retrain has answered drift or loss yet"
    last = answered[-1]
    outcome = last.outcome.value if last.outcome else ""
    closed = f", closed {_day(last.closed_at)}" if last.closed_at else ""
    return True, f"episode of {last.trigger}, opened {_day(last.opened_at)}{closed}: {outcome}"


def _rehearsed(seen: _Seen) -> Found:
    done = [
        row
        for row in seen.rows
        if row.action is LedgerAction.ROLL_BACK
        and row.body.get("experiment") is None
        and commit_of(seen.rows, row.epoch) is not None
    ]
    if not done:
        return False, "no champion was ever rolled back"
    last = done[-1]
    return last.at >= seen.now - REHEARSED, f"row {_told(last)}: back to version {last.version}"


def _experimented(seen: _Seen) -> Found:
    decided = [one for one in ended_rollouts(seen.rows) if one.outcome in DECIDED]
    proved = [one for one in decided if seen.ports.rollouts.last(seen.model, one.experiment) is not None]
    if not proved:
        return False, "no rollout has come to a decision by its numbers"
    last = proved[-1]
    return True, f"rollout {last.experiment} ended {_day(last.ended_at)}: {last.outcome.value}"


def _fair(seen: _Seen) -> Found:
    row = seen.registered
    if row is None:
        return False, "no version is registered"
    checks = evidence_of(seen.ports, row)["decision"]["checks"]
    passed = [one for one in checks if str(one["name"]).startswith(FAIRNESS) and one["status"] == "pass"]
    if not passed:
        return False, f"the evidence of version {row.version} holds no passed check of fairness"
    return True, f"{passed[0]['name']} passed for version {row.version}, row {_told(row)}"


def _audited(seen: _Seen) -> Found:
    check = seen.ports.ledger.verify(seen.model)
    if check.broken_at is not None or check.left_out:
        where = (
            f"broken at row {check.broken_at}" if check.broken_at else f"{len(check.left_out)} rows left out"
        )
        return False, f"the ledger is not whole: {where}"
    live = {row.digest for row in seen.rows if row.action is LedgerAction.COMMIT}
    registered = [row for row in seen.rows if row.action is LedgerAction.REGISTER and row.digest in live]
    if not registered:
        return False, "no version ever served"
    for row in registered:
        evidence_of(seen.ports, row)
    told = f"{check.rows:,} rows of the ledger are whole, and {len(registered)} signed evidence packs verify"
    return True, f"{told}; the last row is {_told(seen.rows[-1])}"


@dataclass(frozen=True)
class _Check:
    level: int
    name: str
    look: Callable[[_Seen], Found]
    step: Callable[[_Seen], str]


def _switch_monitor_on(seen: _Seen) -> str:
    if seen.spec is not None and not seen.spec.monitoring.data_drift:
        return f"write `monitoring: {{data_drift: true}}` in the file of {seen.model}"
    return seen.switch_on()


def _start_rollout(seen: _Seen) -> str:
    if seen.spec is not None and seen.spec.rollout.strategy == "direct":
        return f"write `rollout: {{strategy: ab}}` in the file of {seen.model}, then train a better version"
    return seen.switch_on()


def _no_fairness(seen: _Seen) -> str:
    return "nothing can be done yet: the gate of this release has no check of fairness"


CHECKS: tuple[_Check, ...] = (
    _Check(1, "training is tracked", _tracked, _Seen.train),
    _Check(1, "data is versioned", _versioned, _Seen.train),
    _Check(2, "retrains start by themselves", _automated, _Seen.switch_on),
    _Check(2, "a gate decides, with evidence", _gated, _Seen.train),
    _Check(3, "the model is watched", _monitored, _switch_monitor_on),
    _Check(3, "drift retrains", _drift_retrained, _Seen.switch_on),
    _Check(
        3,
        "a roll back was rehearsed",
        _rehearsed,
        lambda seen: f"windsock rollback {seen.model} --reason rehearsal",
    ),
    _Check(4, "experiments decide", _experimented, _start_rollout),
    _Check(4, "fairness is checked", _fair, _no_fairness),
    _Check(4, "an audit finds all", _audited, lambda seen: f"windsock ledger {seen.model}"),
)


def maturity_of(ports: Ports, model: str, spec: ModelSpec | None) -> Maturity:
    """Return which level a model has reached, by what is there, and what to do next.

    :param spec: the model's file, for the next step alone; ``None``: there is none.
    """
    seen = _Seen(ports, model, spec, ports.now())
    checks = tuple(_checked(one, seen) for one in CHECKS)
    level = reached([(one.level, one.holds) for one in checks])
    open_ = next(((one, made) for one, made in zip(CHECKS, checks, strict=True) if not made.holds), None)
    step = open_[0].step(seen) if open_ else ""
    return Maturity(model=model, level=level, name=LEVELS[level], checks=checks, next_step=step)


def reached(checks: Sequence[tuple[int, bool]]) -> int:
    """Return the highest level of which all checks hold, and all of those below.

    :param checks: the level of each, and whether it holds.
    """
    open_ = [level for level, holds in checks if not holds]
    return min(open_, default=max(LEVELS) + 1) - 1


def _checked(check: _Check, seen: _Seen) -> MaturityCheck:
    try:
        holds, evidence = check.look(seen)
    except WindsockError as error:
        holds, evidence = False, f"cannot be told: {error.code}: {error.message}"
    return MaturityCheck(level=check.level, name=check.name, holds=holds, evidence=evidence)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _told(row: LedgerRow) -> str:
    return f"{row.seq} of {_day(row.at)}"


__all__ = ["CHECKS", "maturity_of", "reached"]
