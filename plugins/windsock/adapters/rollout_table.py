"""``SqlRollouts``: the decisions on rollouts, in the control database."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windsock.adapters.database import at_upgrade, reading, take_turn, writing
from windsock.adapters.record_rows import raw_of, record_of, sortable
from windsock.adapters.rollout_marks import RolloutMarks
from windsock.adapters.signing import Signer, Verifier
from windsock.adapters.storage import Storage
from windsock.exceptions import VerdictError
from windsock.records import RolloutDecision, RolloutMark
from windsock.spec import canonical_json

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)

UNREADABLE = "WS-ROLLOUT-060"
"""Code of a row about a rollout that is not what was written."""
ALL = """
SELECT number, record, signature FROM rollout_decisions
WHERE model = :model AND experiment = :experiment ORDER BY number
"""
ONE = """
SELECT number, record, signature FROM rollout_decisions
WHERE model = :model AND experiment = :experiment AND number = :number
"""
LAST = """
SELECT number, record, signature FROM rollout_decisions
WHERE model = :model AND experiment = :experiment ORDER BY number DESC
"""
PLANNED = """
SELECT number, record, signature FROM rollout_decisions
WHERE model = :model AND experiment = :experiment AND record NOT LIKE :unplanned ORDER BY number
"""
SERIES = """
SELECT number, record, signature FROM rollout_decisions
WHERE model = :model AND experiment = :experiment AND (
    number > :earlier
    OR (number - 1) % :every = 0
    OR (record NOT LIKE :hold AND record NOT LIKE :promote)
) ORDER BY number
"""
FEW = 100
"""So many rows without a signature are looked at before the mark says where a rollout ends."""
HOLD, PROMOTE = '{"action":"hold"%', '{"action":"promote"%'
"""What a record is is asked of the record: its signature covers no other column but the number."""
UNPLANNED = '%"planned_look":null%'
"""Within a text of the record a quotation mark has a backslash before it, so only the field is like this."""


PUT = """
INSERT INTO rollout_decisions (model, experiment, number, action, judged_at, record, signature)
VALUES (:model, :experiment, :number, :action, :judged_at, :record, :signature)
ON CONFLICT (model, experiment, number) DO UPDATE SET action = excluded.action,
judged_at = excluded.judged_at, record = excluded.record, signature = excluded.signature
"""
PURPOSE = "windsock.rollout_decision"


class SqlRollouts:
    """Keeps one decision for each number of a rollout, each signed with the installation's key.

    A row that it did not sign is left out with a warning and holds no number: it moves no traffic, and no
    look waits for it.

    :param url: the control database.
    :param keys_dir: the installation's keys.
    :param storage: the storage root, for the marks of how far each rollout had come.
    """

    def __init__(self, url: str, keys_dir: Path, storage: Storage) -> None:
        self._url = url
        self._marks = RolloutMarks(storage, keys_dir)
        self._signer = Signer(keys_dir)
        self._verifier = Verifier(keys_dir, own=True)
        at_upgrade(url, self._anchor)

    def decisions(self, model: str, experiment: str) -> tuple[RolloutDecision, ...]:
        """Return all of a rollout's decisions by number; there may be thousands.

        :raises VerdictError: if a row is not what was written.
        """
        return self._decisions(ALL, model, experiment)

    def last(self, model: str, experiment: str) -> RolloutDecision | None:
        """Return a rollout's newest decision; ``None`` before the first look.

        :raises VerdictError: if its row is not what was written.
        """
        with reading(self._url) as connection:
            found = connection.execute(_text(LAST), {"model": model, "experiment": experiment})
            for number, raw in self._signed(connection, (model, experiment), found):
                return _decision_of(raw, (model, experiment, number))
        return None

    def planned(self, model: str, experiment: str) -> tuple[RolloutDecision, ...]:
        """Return the planned looks among a rollout's decisions, by number.

        :raises VerdictError: if a row is not what was written.
        """
        return self._decisions(PLANNED, model, experiment, unplanned=UNPLANNED)

    def series(self, model: str, experiment: str, *, newest: int, every: int) -> tuple[RolloutDecision, ...]:
        """Return a rollout's course in few decisions, by number.

        :param newest: so many of the newest ones, all of them.
        :param every: of those before, the first and each so many after it; and each that neither held nor
            promoted.
        :raises VerdictError: if a row is not what was written.
        """
        last = self.last(model, experiment)  # a forged number may be as high as it likes
        if last is None:
            return ()
        sought = {"earlier": last.number - newest, "every": every, "hold": HOLD, "promote": PROMOTE}
        return self._decisions(SERIES, model, experiment, **sought)

    def missing(self, model: str, experiment: str) -> tuple[int, ...]:
        """Return the numbers of decisions that the signed mark knows and the table does not hold.

        Missing are decisions at the end, and planned looks wherever they are: what other looks before the
        last one said decides nothing any more.
        """
        mark = self._marks.find(model, experiment)  # before the rows: so it never seems to be ahead of them
        if mark is None:
            return ()
        last = self.last(model, experiment)
        at_end = range(last.number + 1 if last else 1, mark.number + 1)
        planned = {one.number for one in self.planned(model, experiment)} if mark.planned else set()
        return tuple(sorted({*at_end, *mark.planned} - planned))

    def _decisions(
        self, query: str, model: str, experiment: str, **values: object
    ) -> tuple[RolloutDecision, ...]:
        from sqlalchemy import text

        with reading(self._url) as connection:
            found = connection.execute(
                text(query), {"model": model, "experiment": experiment, **values}
            ).all()
            signed = list(self._signed(connection, (model, experiment), found))
        return tuple(_decision_of(raw, (model, experiment, number)) for number, raw in signed)

    def _signed(
        self, connection: Connection, rollout: tuple[str, str], rows: Iterable[Any]
    ) -> Iterator[tuple[int, str]]:
        """Return number and record of those rows that the installation signed.

        A signature takes long to verify. Once ``FEW`` rows had none, rows behind the rollout's signed end are
        passed over unread, as is always one whose number is none of a decision: so rows that somebody adds
        there cost next to nothing, however many they are.
        """
        unsigned, end = 0, None
        try:
            for number, raw, signature in rows:
                if _may_be_one(number, end) and self._is_signed(rollout, number, raw, signature):
                    yield number, raw
                else:
                    unsigned += 1
                    if unsigned == FEW:
                        end = self._end(connection, rollout)
        finally:
            if unsigned:
                log.warning(
                    "%s: %s: decisions on rollout %s are left out, %d so far: no key of this installation"
                    " signed them",
                    UNREADABLE,
                    *rollout,
                    unsigned,
                )

    def _end(self, connection: Connection, rollout: tuple[str, str]) -> int | None:
        """Return the number of the last decision that can be one: the mark's, and those that follow it.

        Decisions follow their mark only where the storage was away; ``None``: there is no mark to go by.
        """
        mark = self._marks.find(*rollout)
        if mark is None:
            return None
        place = {"model": rollout[0], "experiment": rollout[1]}
        end = mark.number
        while True:
            row = connection.execute(_text(ONE), {**place, "number": end + 1}).first()
            if row is None or not self._is_signed(rollout, *row):
                return end
            end += 1

    def _is_signed(self, rollout: tuple[str, str], number: int, raw: str, signature: str) -> bool:
        try:
            return self._verifier.verify(_signed_bytes(*rollout, number, raw), bytes.fromhex(signature))
        except (ValueError, TypeError):
            return False

    def _anchor(self, connection: Connection) -> None:
        """Sign for the decisions from before signatures; part of the upgrade's own transaction."""
        query = "SELECT model, experiment, number, record FROM rollout_decisions"
        for model, experiment, number, raw in connection.execute(_text(query)).all():
            try:
                signature = self._signer.sign(_signed_bytes(model, experiment, number, raw)).hex()
            except (ValueError, TypeError):
                continue
            connection.execute(
                _text(
                    "UPDATE rollout_decisions SET signature = :signature "
                    "WHERE model = :model AND experiment = :experiment AND number = :number"
                ),
                {"model": model, "experiment": experiment, "number": number, "signature": signature},
            )

    def add_decision(self, decision: RolloutDecision) -> RolloutDecision:
        """Keep a decision unless its number has one; return the one that stands.

        :raises VerdictError: if the number leaves others out, or the row that stands is not what was written.
        :raises ValueError: if the decision holds NaN or infinity.
        """
        key = {"model": decision.model, "experiment": decision.experiment}
        raw = raw_of(decision)
        content = _signed_bytes(decision.model, decision.experiment, decision.number, raw)
        values = {
            **key,
            "number": decision.number,
            "action": decision.action.value,
            "judged_at": sortable(decision.judged_at),
            "record": raw,
            "signature": self._signer.sign(content).hex(),
        }
        with writing(self._url) as connection:
            take_turn(connection, f"windsock.rollout {decision.model} {decision.experiment}")
            rollout = (decision.model, decision.experiment)
            kept = dict(self._signed(connection, rollout, connection.execute(_text(ALL), key).all()))
            if decision.number in kept:
                raw = kept[decision.number]
            elif decision.number > (last := max(kept, default=0)) + 1:
                raise VerdictError(
                    f"{decision.model}: decision {decision.number} on rollout {decision.experiment} "
                    f"is refused: the last one that is kept is {last}",
                    code="WS-ROLLOUT-061",
                    next_action="Judge again; if it stays, find out who removed rows of the database.",
                )
            else:
                connection.execute(_text(PUT), values)  # over a row that nobody signed, if one is there
                kept[decision.number] = raw
        self._mark(key, kept)
        return _decision_of(raw, (decision.model, decision.experiment, decision.number))

    def _mark(self, key: Mapping[str, str], kept: Mapping[int, str]) -> None:
        """Write how far a rollout has come, after its rows."""
        planned = tuple(number for number, raw in sorted(kept.items()) if UNPLANNED.strip("%") not in raw)
        self._marks.put(RolloutMark(**key, number=max(kept), planned=planned))


def _may_be_one(number: Any, end: int | None) -> bool:
    """Return whether a row's number can be a decision's: SQLite keeps whatever is written into the column.

    :param end: the number of the last decision; ``None``: it is not known.
    """
    return isinstance(number, int) and number >= 1 and (end is None or number <= end)


def _text(query: str) -> Any:
    from sqlalchemy import text

    return text(query)


def _signed_bytes(model: str, experiment: str, number: int, raw: str) -> bytes:
    return canonical_json([PURPOSE, 1, model, experiment, number, raw]).encode()


def _decision_of(raw: str, place: tuple[str, str, int]) -> RolloutDecision:
    """Return the decision that a row keeps; one that belongs into another row was not written here."""
    found = record_of(RolloutDecision, raw, model=place[0], refusal=VerdictError, code=UNREADABLE)
    if (found.model, found.experiment, found.number) != place:
        raise VerdictError(
            f"{place[0]}: decision {place[2]} on rollout {place[1]} is another one's in the control database",
            code=UNREADABLE,
            next_action="Find out who changed the control database, and restore it from a backup.",
        )
    return found
