"""Episodes and leases in the control database: one writer for each model at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from windsock.adapters.database import reading, writing
from windsock.adapters.record_rows import raw_of, record_of
from windsock.exceptions import DatabaseUnavailableError
from windsock.records import Episode, EpisodeState, PairedDifference, RetrainClaim, RetrainOutcome
from windsock.records.accepted_drift import Accepted
from windsock.records.retrain_claims import claim_in, close_in, renew_in, reset_in
from windsock.records.retraining import Lease, announce_in, sweep_in
from windsock.spec import ModelSpec

if TYPE_CHECKING:
    from sqlalchemy import Connection


class SqlRetraining:
    """Keeps a model's episodes and its lease; each change is one transaction that others wait for.

    :param url: the control database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def episodes(self, model: str) -> tuple[Episode, ...]:
        """Return a model's episodes in the order in which they were opened."""
        with reading(self._url) as connection:
            return _episodes(connection, model)

    def open_episodes(self) -> tuple[Episode, ...]:
        """Return the episodes of all models that are announced or claimed."""
        from sqlalchemy import text

        query = text("SELECT model, key, record FROM retrain_episodes WHERE state <> :closed ORDER BY seq")
        with reading(self._url) as connection:
            found = connection.execute(query, {"closed": EpisodeState.CLOSED.value}).all()
        return tuple(record_of(Episode, raw, model=model, key=key) for model, key, raw in found)

    def announce(self, episode: Episode) -> Episode:
        """Open an episode, or count one more announcement of an open one; return what stands."""
        with self._changing(episode.model) as change:
            stands, made = announce_in(change.known, episode)
            change.write(made.episodes)
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
        """Close what nobody will close; return it."""
        with self._changing(model) as change:
            made = sweep_in(
                change.known,
                change.lease,
                digest=digest,
                now=now,
                ended=ended,
                accepted_until=accepted_until,
            )
            change.write(made.episodes)
            change.put_lease(made.lease)
        return made.episodes

    def lease(self, model: str) -> Lease | None:
        """Return who has the model claimed, or ``None``."""
        from sqlalchemy import text

        with reading(self._url) as connection:
            query = text("SELECT record FROM retrain_leases WHERE model = :model")
            held = connection.execute(query, {"model": model}).scalar()
        return record_of(Lease, held, model=model) if held else None

    def claim(self, spec: ModelSpec, *, episode_key: str | None, holder: str, now: datetime) -> RetrainClaim:
        """Claim a model for one retrain, and an episode with it, in one transaction."""
        with self._changing(spec.name) as change:
            claim, made = claim_in(
                change.known,
                change.lease,
                model=spec.name,
                policy=spec.monitoring,
                episode_key=episode_key,
                holder=holder,
                now=now,
            )
            change.write(made.episodes)
            change.put_lease(made.lease)
        return claim

    def renew(self, model: str, *, holder: str, until: datetime, now: datetime) -> bool:
        """Let a holder keep its claim for longer; return whether it has one."""
        with self._changing(model) as change:
            made = renew_in(change.lease, holder=holder, until=until, now=now)
            if made is not None:
                change.put_lease(made.lease)
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
        """Give a claim back and close its episode; a holder that has none changes nothing."""
        with self._changing(model) as change:
            made = close_in(
                change.known, change.lease, holder=holder, outcome=outcome, now=now, difference=difference
            )
            change.write(made.episodes)
            change.put_lease(made.lease)

    def reset(self, model: str, *, actor: str) -> int:
        """Let the breaker forget every closed episode; return how many were forgiven."""
        with self._changing(model) as change:
            forgiven = reset_in(change.known, actor=actor)
            change.write(forgiven)
        return len(forgiven)

    @contextmanager
    def _changing(self, model: str) -> Iterator[_Changing]:
        """Give a model's rows, locked until the end.

        SQLite has one writer at a time; PostgreSQL locks the row of the model's lease.
        """
        from sqlalchemy import text

        with writing(self._url) as connection:
            connection.execute(
                text("INSERT INTO retrain_leases (model) VALUES (:model) ON CONFLICT (model) DO NOTHING"),
                {"model": model},
            )
            lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
            held = connection.execute(
                text(f"SELECT record FROM retrain_leases WHERE model = :model{lock}"),  # noqa: S608
                {"model": model},
            ).scalar_one()
            lease = record_of(Lease, held, model=model) if held else None
            yield _Changing(connection, model, _episodes(connection, model), lease)


class _Changing:
    """A model's rows within a transaction."""

    def __init__(
        self, connection: Connection, model: str, known: tuple[Episode, ...], lease: Lease | None
    ) -> None:
        self.known = known
        self.lease = lease
        self._connection = connection
        self._model = model

    def write(self, episodes: Sequence[Episode]) -> None:
        """Write episodes as they stand now; one that another writer changed since it was read stops all."""
        before = {one.key: one for one in self.known}
        # What closes comes first: only one may be open at any time.
        for episode in sorted(episodes, key=lambda one: one.state is not EpisodeState.CLOSED):
            if episode.key in before:
                self._update(before[episode.key], episode)
            else:
                self._insert(episode)

    def _insert(self, episode: Episode) -> None:
        from sqlalchemy import text

        self._connection.execute(
            text(
                "INSERT INTO retrain_episodes (model, key, seq, digest, state, claimed_by, outcome, record) "
                "SELECT :model, :key, COALESCE(MAX(seq), 0) + 1, :digest, :state, :claimed_by, :outcome, "
                ":record FROM retrain_episodes WHERE model = :model"
            ),
            _values(episode),
        )

    def _update(self, before: Episode, episode: Episode) -> None:
        from sqlalchemy import text

        changed = self._connection.execute(
            text(
                "UPDATE retrain_episodes SET state = :state, claimed_by = :claimed_by, outcome = :outcome, "
                "record = :record WHERE model = :model AND key = :key AND state = :before"
            ),
            {**_values(episode), "before": before.state.value},
        )
        if changed.rowcount != 1:
            raise DatabaseUnavailableError(
                f"{self._model}: episode {episode.key} was changed by somebody else meanwhile"
            )

    def put_lease(self, lease: Lease | None) -> None:
        """Write who retrains the model now."""
        from sqlalchemy import text

        if lease == self.lease:
            return
        self._connection.execute(
            text("UPDATE retrain_leases SET holder = :holder, record = :record WHERE model = :model"),
            {
                "model": self._model,
                "holder": lease.holder if lease else None,
                "record": raw_of(lease) if lease else None,
            },
        )


def _values(episode: Episode) -> dict[str, object]:
    return {
        "model": episode.model,
        "key": episode.key,
        "digest": episode.digest,
        "state": episode.state.value,
        "claimed_by": episode.claimed_by,
        "outcome": episode.outcome.value if episode.outcome else None,
        "record": raw_of(episode),
    }


def _episodes(connection: Connection, model: str) -> tuple[Episode, ...]:
    from sqlalchemy import text

    query = text("SELECT key, record FROM retrain_episodes WHERE model = :model ORDER BY seq")
    found = connection.execute(query, {"model": model})
    return tuple(record_of(Episode, raw, model=model, key=key) for key, raw in found)
