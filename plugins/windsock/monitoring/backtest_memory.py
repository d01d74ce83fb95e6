"""The world of a replay: a clock that is set, a ledger as it was, a monitor in memory, silent gauges.

Nothing here writes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from windsock.exceptions import MonitoringError
from windsock.ports import BundleDraft, BundleStore, Ledger, LoadedBundle
from windsock.records import (
    GENESIS,
    Alert,
    ChainCheck,
    Champion,
    Episode,
    EpisodeState,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    LedgerView,
    PairedDifference,
    RetrainClaim,
    RetrainOutcome,
    StoredBundle,
    WindowKind,
    WindowVerdict,
    champion_of,
)
from windsock.records.accepted_drift import Accepted
from windsock.records.monitoring import JudgedWindow
from windsock.records.retrain_claims import claim_in, close_in, renew_in, reset_in
from windsock.records.retraining import Lease, announce_in, sweep_in
from windsock.spec import ModelSpec

CODE = "WS-MONITORING-079"
ACTOR = "backtest"


def _refuse(what: str) -> MonitoringError:
    return MonitoringError(
        f"a replay was about to write {what}",
        code=CODE,
        next_action="Report this: a replay only reads. Nothing was written.",
    )


class Clock:
    """A clock that shows what it was set to.

    :param time: what it shows.
    """

    def __init__(self, time: datetime) -> None:
        self.time = time

    def __call__(self) -> datetime:
        """Return the time."""
        return self.time


class ReplayedLedger:
    """Implements :class:`windsock.ports.Ledger` as it was at the clock's time.

    :param ledger: the real one; it is only read.
    :param alone: whether the real one's rows are left out: what serves is what :meth:`serve` says.
    """

    def __init__(self, ledger: Ledger, clock: Clock, *, alone: bool = False) -> None:
        self._ledger = ledger
        self._clock = clock
        self._alone = alone
        self._known: dict[str, tuple[LedgerRow, ...]] = {}
        self._made: list[LedgerRow] = []

    def serve(
        self, champion: Champion, *, at: datetime | None = None, body: Mapping[str, Any] | None = None
    ) -> None:
        """Let a version serve, by a row as its promotion would have written it; it is kept here alone.

        :param at: since when; ``None``: from now on.
        :param body: what the row says of baseline and loss.
        """
        rows = [*self.rows(champion.model), *self._made]
        shared = {"bundle_uri": champion.bundle_uri, "replaced": champion.replaced}
        row = LedgerRow(
            model=champion.model,
            action=LedgerAction.COMMIT,
            epoch=max((one.epoch for one in rows), default=0) + 1,
            version=champion.version,
            digest=champion.digest,
            actor=ACTOR,
            body={**shared, **(body or {})},
            seq=max((one.seq for one in rows), default=0) + 1,
            at=at or self._clock.time,
            previous=rows[-1].hash if rows else GENESIS,
        )
        self._made.append(row.replace(hash=row.expected_hash()))

    def rows(self, model: str) -> tuple[LedgerRow, ...]:
        """Return the rows that were written by then."""
        if model not in self._known:
            self._known[model] = () if self._alone else self._ledger.rows(model)
        made = [one for one in self._made if one.model == model]
        return tuple(row for row in [*self._known[model], *made] if row.at <= self._clock.time)

    def read(self, model: str) -> LedgerView:
        """Return the rows that were written by then, and what the real ledger lacks."""
        return self._ledger.read(model)._replace(rows=self.rows(model))

    def champion(self, model: str) -> Champion | None:
        """Return the version that served by then."""
        return champion_of(self.rows(model))

    def append(self, entry: LedgerEntry, *, after_seq: int) -> LedgerRow:
        """Refuse to write.

        :raises MonitoringError: always.
        """
        raise _refuse(f"a row of the ledger ({entry.action.value})")

    def verify(self, model: str) -> ChainCheck:
        """Recompute the real ledger's chain."""
        return self._ledger.verify(model)

    def models(self) -> tuple[str, ...]:
        """Return the names of all models that have rows."""
        return self._ledger.models()


class ReplayedBundles:
    """Implements :class:`windsock.ports.BundleStore`: bundles are read once; those of trials are in memory.

    :param bundles: the real store; it is only read.
    """

    def __init__(self, bundles: BundleStore) -> None:
        self._bundles = bundles
        self._described: dict[str, LoadedBundle] = {}
        self._loaded: dict[str, LoadedBundle] = {}

    def add(self, bundle: LoadedBundle) -> None:
        """Keep a bundle that exists in this replay alone."""
        self._described[bundle.digest] = self._loaded[bundle.digest] = bundle

    def describe(self, uri: str, digest: str) -> LoadedBundle:
        """Return a bundle's schema, golden predictions and profile."""
        if digest not in self._described:
            self._described[digest] = self._bundles.describe(uri, digest)
        return self._described[digest]

    def load(self, uri: str, digest: str) -> LoadedBundle:
        """Return a bundle with its pipeline."""
        if digest not in self._loaded:
            self._loaded[digest] = self._bundles.load(uri, digest)
        return self._loaded[digest]

    def find(self, model: str, key: str) -> StoredBundle | None:
        """Return the bundle that a training key made."""
        return self._bundles.find(model, key)

    def put(self, draft: BundleDraft) -> StoredBundle:
        """Refuse to write.

        :raises MonitoringError: always.
        """
        raise _refuse("a bundle")

    def put_document(self, uri: str, content: bytes) -> str:
        """Refuse to write.

        :raises MonitoringError: always.
        """
        raise _refuse("a document")

    def read_document(self, uri: str, digest: str) -> bytes:
        """Return a document that was stored."""
        return self._bundles.read_document(uri, digest)


class SilentGauges:
    """Implements :class:`windsock.ports.Gauges`: what a replay finds is not what Prometheus shows."""

    def set(self, model: str, samples: Mapping[str, Sequence[tuple[Mapping[str, str], float]]]) -> None:
        """Do nothing."""


class MemoryMonitor:
    """Implements :class:`windsock.ports.Monitor` in memory, by the rules of the control database."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str, datetime, datetime], WindowVerdict] = {}
        self._episodes: dict[str, dict[str, Episode]] = {}
        self._leases: dict[str, Lease | None] = {}
        self._alerts: dict[tuple[str, str], Alert] = {}
        self._history: list[Alert] = []

    def windows(
        self, model: str, kind: WindowKind | None = None, *, since: datetime | None = None
    ) -> tuple[WindowVerdict, ...]:
        """Return judged windows in the order of their end."""
        found = [
            one
            for one in self._windows.values()
            if one.model == model
            and (kind is None or one.kind == kind)
            and (since is None or one.window.end > since)
        ]
        return tuple(sorted(found, key=lambda one: (one.window.end, one.window.start, one.kind)))

    def judged(self, since: Mapping[str, datetime]) -> dict[str, tuple[JudgedWindow, ...]]:
        """Return which windows were judged that ended at a time or later."""
        return {
            model: tuple(
                JudgedWindow(one.kind, one.window.start, one.window.end, one.status)
                for one in self.windows(model)
                if one.window.end >= moment
            )
            for model, moment in since.items()
        }

    def add_window(self, verdict: WindowVerdict) -> WindowVerdict:
        """Keep a window's verdict, unless an earlier one stands."""
        key = (verdict.model, verdict.kind, verdict.window.start, verdict.window.end)
        before = self._windows.get(key)
        if before is not None:
            if before.stands_against(verdict):
                return before
            verdict = verdict.following(before)
        self._windows[key] = verdict
        return verdict

    def episodes(self, model: str) -> tuple[Episode, ...]:
        """Return a model's episodes in the order in which they were opened."""
        return tuple(self._episodes.get(model, {}).values())

    def _put(self, model: str, episodes: Sequence[Episode]) -> None:
        self._episodes.setdefault(model, {}).update({one.key: one for one in episodes})

    def open_episodes(self) -> tuple[Episode, ...]:
        """Return the episodes of all models that are announced or claimed."""
        episodes = (one for model in self._episodes.values() for one in model.values())
        return tuple(one for one in episodes if one.state is not EpisodeState.CLOSED)

    def announce(self, episode: Episode) -> Episode:
        """Open an episode, or count one more announcement of an open one."""
        stands, change = announce_in(self.episodes(episode.model), episode)
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
        """Close what nobody will close."""
        change = sweep_in(
            self.episodes(model),
            self._leases.get(model),
            digest=digest,
            now=now,
            ended=ended,
            accepted_until=accepted_until,
        )
        self._put(model, change.episodes)
        self._leases[model] = change.lease
        return change.episodes

    def claim(self, spec: ModelSpec, *, episode_key: str | None, holder: str, now: datetime) -> RetrainClaim:
        """Claim a model for one retrain, and an episode with it."""
        claim, change = claim_in(
            self.episodes(spec.name),
            self._leases.get(spec.name),
            model=spec.name,
            policy=spec.monitoring,
            episode_key=episode_key,
            holder=holder,
            now=now,
        )
        self._put(spec.name, change.episodes)
        self._leases[spec.name] = change.lease
        return claim

    def lease(self, model: str) -> Lease | None:
        """Return who has the model claimed."""
        return self._leases.get(model)

    def renew(self, model: str, *, holder: str, until: datetime, now: datetime) -> bool:
        """Let a holder keep its claim for longer; return whether it has one."""
        made = renew_in(self._leases.get(model), holder=holder, until=until, now=now)
        if made is not None:
            self._leases[model] = made.lease
        return made is not None

    def close(
        self,
        model: str,
        *,
        holder: str,
        outcome: RetrainOutcome,
        now: datetime,
        difference: PairedDifference | None = None,
    ) -> None:
        """Give a claim back and close its episode."""
        lease = self._leases.get(model)
        change = close_in(
            self.episodes(model), lease, holder=holder, outcome=outcome, now=now, difference=difference
        )
        self._put(model, change.episodes)
        self._leases[model] = change.lease

    def reset(self, model: str, *, actor: str) -> int:
        """Let the breaker forget every closed episode; return how many were forgiven."""
        forgiven = reset_in(self.episodes(model), actor=actor)
        self._put(model, forgiven)
        return len(forgiven)

    def alerts(self, model: str, *, firing: bool | None = None) -> tuple[Alert, ...]:
        """Return the present state of a model's alerts."""
        found = [
            one
            for (name, _), one in self._alerts.items()
            if name == model and (firing is None or (one.state == "firing") == firing)
        ]
        return tuple(sorted(found, key=lambda one: (one.last_at, one.key)))

    def unreadable_alerts(self, model: str) -> int:
        """Return 0: nothing in memory is unreadable."""
        return 0

    def alerted(self) -> tuple[str, ...]:
        """Return the names of all that alerts are kept about."""
        return tuple(sorted({name for name, _ in self._alerts}))

    def put_alert(self, alert: Alert) -> Alert:
        """Keep an alert's present state."""
        if alert.tells_more(self._alerts.get((alert.model, alert.key))):
            self._history.append(alert)
        self._alerts[(alert.model, alert.key)] = alert
        return alert

    def alert_history(self, model: str, *, limit: int = 100) -> tuple[Alert, ...]:
        """Return the latest changes of a model's alerts."""
        return tuple([one for one in self._history if one.model == model][-limit:])
