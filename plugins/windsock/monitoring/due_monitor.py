"""What the monitor of a model has to do now: found for all models at once, cheaply while it is nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from windsock.monitoring.backlog import take_backlog
from windsock.monitoring.decide_retrain import sweep_episodes, weigh
from windsock.monitoring.empty_windows import keep_all_empty
from windsock.monitoring.judge_again import labels_may_tell
from windsock.monitoring.pending_windows import recent_ends, watched_kinds
from windsock.monitoring.silence import is_unusual_silence
from windsock.ports import Ports
from windsock.records import (
    Champion,
    DecideRetrainInput,
    DueWork,
    Episode,
    EpisodeState,
    LedgerRow,
    ModelWork,
    RetrainOrder,
    Span,
    champion_of,
    live_since,
)
from windsock.records.monitoring import JudgedWindow
from windsock.spec import ModelSpec

AT_ONCE = 8
"""So many closed windows are looked at for rows; the first that has any starts a run, which sees to all."""
GRACE = timedelta(minutes=5)
"""An episode is claimed by its retrain within this time, or its event was lost."""
PATIENCE = timedelta(hours=1)


def due_monitor(
    specs: Sequence[ModelSpec], ports: Ports
) -> Callable[[ModelSpec, Sequence[LedgerRow]], ModelWork]:
    """Return a function that says of a model, by its ledger, what its monitor has to do now.

    Windows that are closed and have no verdict are looked for rows: those without have their verdict at once,
    and start nothing. The monitor is due for windows with rows, for labels of earlier windows that may be
    there by now, for a retrain that the policy grants by now, and for an episode that nobody has claimed.

    :raises DatabaseUnavailableError: if the control database does not answer.
    """
    now = ports.now()
    judged = ports.monitor.judged({spec.name: _ends(spec, now)[-1] for spec in specs})
    open_episodes = _by_model(ports.monitor.open_episodes())

    def look(spec: ModelSpec, rows: Sequence[LedgerRow]) -> ModelWork:
        champion = champion_of(rows)
        if champion is None:
            return ModelWork()  # nothing serves, so nothing can be asked
        episode = open_episodes.get(spec.name)
        found = ModelWork()
        if _lacks_verdict(spec, rows, judged.get(spec.name, ()), now):
            found = _windows(spec, ports, rows, champion, episode)
        if found.due is None and episode is not None:
            found = found.replace(due=_unclaimed(spec, episode, champion, now))
        return found

    return look


def _ends(spec: ModelSpec, now: datetime) -> list[datetime]:
    return recent_ends(spec.monitoring, now)


def _by_model(episodes: Iterable[Episode]) -> Mapping[str, Episode]:
    return {one.model: one for one in episodes}


def _lacks_verdict(
    spec: ModelSpec, rows: Sequence[LedgerRow], judged: Iterable[JudgedWindow], now: datetime
) -> bool:
    """Return whether one of the last windows has no verdict of any kind that is asked for.

    Whether it is ``error`` is seen once the next window closes, as is whether older ones lack theirs.
    """
    made = {(one.kind, one.start, one.end) for one in judged}
    length, since = spec.monitoring.window_length, live_since(rows)
    return any(
        (kind, end - length, end) not in made
        for end in _ends(spec, now)
        if since is None or end > since
        for kind in watched_kinds(spec.monitoring)
    )


def _windows(
    spec: ModelSpec, ports: Ports, rows: Sequence[LedgerRow], champion: Champion, episode: Episode | None
) -> ModelWork:
    """Judge windows without rows; return whether a run is needed for others."""
    backlog = take_backlog(spec, ports, most=AT_ONCE)
    windows = backlog.windows
    if not windows:
        return ModelWork(emptied=backlog.empty)
    last = Span(
        start=(end := spec.monitoring.window_end(ports.now())) - spec.monitoring.window_length, end=end
    )
    many = len(windows) + backlog.waiting
    told = f"{many:,} closed windows of {spec.monitoring.window} without a verdict, the first to "
    told += f"{windows[0].end:%Y-%m-%d %H:%M} UTC"
    if windows == (last,) and not backlog.waiting and last in ports.counter.without_rows(spec.name, [last]):
        told = _reason_of_empty(spec, ports, champion, episode, last)
        if not told:
            keep_all_empty(spec, ports, champion, [last])
            return ModelWork(emptied=backlog.empty + 1)
    key = f"windows {windows[0].end.isoformat()} {last.end.isoformat()}"
    patience = min(PATIENCE, spec.monitoring.window_length)
    return ModelWork(due=_work(spec, key, told, patience), emptied=backlog.empty)


def _reason_of_empty(
    spec: ModelSpec, ports: Ports, champion: Champion, episode: Episode | None, last: Span
) -> str:
    """Return why the last window needs a run although nobody asked anything in it; empty: it needs none."""
    if is_unusual_silence(spec, ports, last):
        return f"nobody asked anything in the window to {last.end:%Y-%m-%d %H:%M} UTC, which is unusual"
    if labels_may_tell(spec, ports, champion, last):
        return "labels of earlier windows may be there by now"
    if episode is not None:
        sweep_episodes(ports, spec.name, champion.digest, ports.now())
    decision = weigh(DecideRetrainInput(spec=spec), ports)
    return decision.reason if decision.order is RetrainOrder.GRANT else ""


def _unclaimed(spec: ModelSpec, episode: Episode, champion: Champion, now: datetime) -> DueWork | None:
    """Return that an episode has to be announced again."""
    is_waiting = episode.state is EpisodeState.ANNOUNCED and episode.digest == champion.digest
    if not is_waiting or timedelta(0) <= now - episode.opened_at < GRACE:
        return None
    told = f"episode {episode.key} is announced and not claimed: it is announced again"
    return _work(spec, f"episode {episode.key}", told)


def _work(spec: ModelSpec, key: str, reason: str, patience: timedelta = PATIENCE) -> DueWork:
    return DueWork(model=spec.name, kind="monitor", key=key, reason=reason, patience=patience.total_seconds())


__all__ = ["due_monitor"]
