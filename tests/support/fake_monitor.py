"""``FakeMonitor``: windows, episodes, claims and alerts, in memory, by the same rules."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from windsock.records import (
    Alert,
    Episode,
    EpisodeState,
    PairedDifference,
    RetrainClaim,
    RetrainOutcome,
    WindowKind,
    WindowVerdict,
)
from windsock.records.accepted_drift import Accepted
from windsock.records.monitoring import JudgedWindow
from windsock.records.retrain_claims import claim_in, close_in, renew_in, reset_in
from windsock.records.retraining import Lease, announce_in, sweep_in
from windsock.spec import ModelSpec


class FakeMonitor:
    """Keeps everything in dicts; its lock stands for the transaction."""

    def __init__(self) -> None:
        self.kept_windows: dict[tuple[str, str, datetime, datetime], WindowVerdict] = {}
        self.kept_episodes: dict[str, dict[str, Episode]] = {}
        self.leases: dict[str, Lease | None] = {}
        self.kept_alerts: dict[tuple[str, str], Alert] = {}
        self.history: list[Alert] = []
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def windows(
        self, model: str, kind: WindowKind | None = None, *, since: datetime | None = None
    ) -> tuple[WindowVerdict, ...]:
        found = [
            one
            for one in self.kept_windows.values()
            if one.model == model
            and (kind is None or one.kind == kind)
            and (since is None or one.window.end > since)
        ]
        return tuple(sorted(found, key=lambda one: (one.window.end, one.window.start, one.kind)))

    def judged(self, since: Mapping[str, datetime]) -> dict[str, tuple[JudgedWindow, ...]]:
        return {
            model: tuple(
                JudgedWindow(one.kind, one.window.start, one.window.end, one.status)
                for one in self.windows(model)
                if one.window.end >= moment
            )
            for model, moment in since.items()
        }

    def add_window(self, verdict: WindowVerdict) -> WindowVerdict:
        key = (verdict.model, verdict.kind, verdict.window.start, verdict.window.end)
        with self._lock:
            before = self.kept_windows.get(key)
            if before is not None:
                if before.stands_against(verdict):
                    return before
                verdict = verdict.following(before)
            self.kept_windows[key] = verdict
            return verdict

    def episodes(self, model: str) -> tuple[Episode, ...]:
        return self._rows(model)

    def _rows(self, model: str) -> tuple[Episode, ...]:
        return tuple(self.kept_episodes.get(model, {}).values())

    def _put(self, model: str, episodes: Sequence[Episode]) -> None:
        for episode in episodes:
            self.kept_episodes.setdefault(model, {})[episode.key] = episode

    def open_episodes(self) -> tuple[Episode, ...]:
        episodes = (one for model in self.kept_episodes.values() for one in model.values())
        return tuple(one for one in episodes if one.state is not EpisodeState.CLOSED)

    def announce(self, episode: Episode) -> Episode:
        with self._lock:
            stands, change = announce_in(self._rows(episode.model), episode)
            self._put(episode.model, change.episodes)
            return stands

    def sweep(
        self,
        model: str,
        *,
        digest: str | None,
        now: datetime,
        ended: Mapping[str, RetrainOutcome] | None = None,
        accepted_until: Accepted | None = None,
    ) -> tuple[Episode, ...]:
        with self._lock:
            change = sweep_in(
                self._rows(model),
                self.leases.get(model),
                digest=digest,
                now=now,
                ended=ended,
                accepted_until=accepted_until,
            )
            self._put(model, change.episodes)
            self.leases[model] = change.lease
            return change.episodes

    def claim(self, spec: ModelSpec, *, episode_key: str | None, holder: str, now: datetime) -> RetrainClaim:
        model = spec.name
        with self._lock:
            claim, change = claim_in(
                self._rows(model),
                self.leases.get(model),
                model=model,
                policy=spec.monitoring,
                episode_key=episode_key,
                holder=holder,
                now=now,
            )
            self._put(model, change.episodes)
            self.leases[model] = change.lease
            return claim

    def lease(self, model: str) -> Lease | None:
        return self.leases.get(model)

    def renew(self, model: str, *, holder: str, until: datetime, now: datetime) -> bool:
        with self._lock:
            change = renew_in(self.leases.get(model), holder=holder, until=until, now=now)
            if change is not None:
                self.leases[model] = change.lease
            return change is not None

    def close(
        self,
        model: str,
        *,
        holder: str,
        outcome: RetrainOutcome,
        now: datetime,
        difference: PairedDifference | None = None,
    ) -> None:
        with self._lock:
            change = close_in(
                self._rows(model),
                self.leases.get(model),
                holder=holder,
                outcome=outcome,
                now=now,
                difference=difference,
            )
            self._put(model, change.episodes)
            self.leases[model] = change.lease

    def reset(self, model: str, *, actor: str) -> int:
        with self._lock:
            forgiven = reset_in(self._rows(model), actor=actor)
            self._put(model, forgiven)
            return len(forgiven)

    def alerts(self, model: str, *, firing: bool | None = None) -> tuple[Alert, ...]:
        found = [
            one
            for (name, _), one in self.kept_alerts.items()
            if name == model and (firing is None or (one.state == "firing") == firing)
        ]
        return tuple(sorted(found, key=lambda one: (one.last_at, one.key)))

    def unreadable_alerts(self, model: str) -> int:
        return 0

    def alerted(self) -> tuple[str, ...]:
        return tuple(sorted({name for name, _ in self.kept_alerts}))

    def put_alert(self, alert: Alert) -> Alert:
        with self._lock:
            if alert.tells_more(self.kept_alerts.get((alert.model, alert.key))):
                self.history.append(alert)
            self.kept_alerts[(alert.model, alert.key)] = alert
            return alert

    def alert_history(self, model: str, *, limit: int = 100) -> tuple[Alert, ...]:
        return tuple([one for one in self.history if one.model == model][-limit:])
