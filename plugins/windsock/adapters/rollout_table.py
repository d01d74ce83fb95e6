"""``SqlRollouts``: the decisions on rollouts, in the control database."""

from __future__ import annotations

from windsock.adapters.database import reading, writing
from windsock.adapters.record_rows import raw_of, record_of, sortable
from windsock.exceptions import VerdictError
from windsock.records import RolloutDecision

UNREADABLE = "WS-ROLLOUT-060"
"""Code of a row about a rollout that is not what was written."""
ALL = """
SELECT number, record FROM rollout_decisions
WHERE model = :model AND experiment = :experiment ORDER BY number
"""
LAST = """
SELECT number, record FROM rollout_decisions
WHERE model = :model AND experiment = :experiment ORDER BY number DESC LIMIT 1
"""
PLANNED = """
SELECT number, record FROM rollout_decisions
WHERE model = :model AND experiment = :experiment AND record NOT LIKE :unplanned ORDER BY number
"""
SERIES = """
SELECT number, record FROM rollout_decisions
WHERE model = :model AND experiment = :experiment AND (
    number > (
        SELECT max(number) FROM rollout_decisions WHERE model = :model AND experiment = :experiment
    ) - :newest
    OR (number - 1) % :every = 0
    OR action NOT IN ('hold', 'promote')
) ORDER BY number
"""
UNPLANNED = '%"planned_look":null%'
"""Within a text of the record a quotation mark has a backslash before it, so only the field is like this."""


class SqlRollouts:
    """Keeps one decision for each number of a rollout.

    :param url: the control database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def decisions(self, model: str, experiment: str) -> tuple[RolloutDecision, ...]:
        """Return all of a rollout's decisions by number; there may be thousands.

        :raises VerdictError: if a row is not what was written.
        """
        return self._decisions(ALL, model, experiment)

    def last(self, model: str, experiment: str) -> RolloutDecision | None:
        """Return a rollout's newest decision; ``None`` before the first look.

        :raises VerdictError: if its row is not what was written.
        """
        found = self._decisions(LAST, model, experiment)
        return found[0] if found else None

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
        return self._decisions(SERIES, model, experiment, newest=newest, every=every)

    def _decisions(
        self, query: str, model: str, experiment: str, **values: object
    ) -> tuple[RolloutDecision, ...]:
        from sqlalchemy import text

        with reading(self._url) as connection:
            found = connection.execute(
                text(query), {"model": model, "experiment": experiment, **values}
            ).all()
        return tuple(_decision_of(raw, (model, experiment, number)) for number, raw in found)

    def add_decision(self, decision: RolloutDecision) -> RolloutDecision:
        """Keep a decision unless its number has one; return the one that stands.

        :raises VerdictError: if the number leaves others out, or the row that stands is not what was written.
        :raises ValueError: if the decision holds NaN or infinity.
        """
        from sqlalchemy import text

        key = {"model": decision.model, "experiment": decision.experiment}
        one = {**key, "number": decision.number}
        values = {
            **one,
            "action": decision.action.value,
            "judged_at": sortable(decision.judged_at),
            "record": raw_of(decision),
        }
        with writing(self._url) as connection:
            last = connection.execute(
                text(
                    "SELECT coalesce(max(number), 0) FROM rollout_decisions "
                    "WHERE model = :model AND experiment = :experiment"
                ),
                key,
            ).scalar_one()
            if decision.number > last + 1:
                raise VerdictError(
                    f"{decision.model}: decision {decision.number} on rollout {decision.experiment} "
                    f"is refused: the last one that is kept is {last}",
                    code="WS-ROLLOUT-061",
                    next_action="Judge again; if it stays, find out who removed rows of the database.",
                )
            # A writer of the same number waits here for the first one, and the read below then sees its row.
            connection.execute(
                text(
                    "INSERT INTO rollout_decisions (model, experiment, number, action, judged_at, record) "
                    "VALUES (:model, :experiment, :number, :action, :judged_at, :record) "
                    "ON CONFLICT (model, experiment, number) DO NOTHING"
                ),
                values,
            )
            raw = connection.execute(
                text(
                    "SELECT record FROM rollout_decisions "
                    "WHERE model = :model AND experiment = :experiment AND number = :number"
                ),
                one,
            ).scalar_one()
        return _decision_of(raw, (decision.model, decision.experiment, decision.number))


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
