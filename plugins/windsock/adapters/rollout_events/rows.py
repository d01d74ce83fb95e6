"""``CountRows``: which of the kept files hold, a row in the control database that is changed as a whole."""

from __future__ import annotations

import logging
from typing import Any

from pydantic import ValidationError

from windsock.adapters.database import reading, writing
from windsock.adapters.record_rows import raw_of
from windsock.adapters.rollout_events.records import Kept

log = logging.getLogger(__name__)

HERE = "model = :model AND experiment = :experiment AND step = :step"


class CountRows:
    """Reads and switches the row of one step.

    :param url: the control database.
    """

    def __init__(self, url: str, model: str, experiment: str, step: int) -> None:
        self._url = url
        self.model = model
        self._key: dict[str, Any] = {"model": model, "experiment": experiment, "step": step}

    def read(self) -> Kept:
        """Return what is kept; of a row that cannot be read nothing but its generation."""
        from sqlalchemy import text

        with reading(self._url) as connection:
            query = text(f"SELECT generation, record FROM rollout_counts WHERE {HERE}")  # noqa: S608
            row = connection.execute(query, self._key).one_or_none()
        if row is None:
            return Kept()
        generation, raw = row
        try:
            kept = Kept.model_validate_json(raw)
        except ValidationError:  # its text repeats the row
            log.warning(
                "WS-ROLLOUT-042: %s: what is kept of a rollout's counts cannot be read; all is counted anew",
                self.model,
            )
            return Kept(generation=generation)
        return kept.replace(generation=generation)

    def generation(self) -> int:
        """Return the generation that holds now."""
        from sqlalchemy import text

        with reading(self._url) as connection:
            query = text(f"SELECT generation FROM rollout_counts WHERE {HERE}")  # noqa: S608
            return int(connection.execute(query, self._key).scalar_one_or_none() or 0)

    def switch(self, before: int, kept: Kept) -> bool:
        """Let other files hold, if nobody did since; return whether it was done.

        :param before: the generation that this one follows.
        """
        from sqlalchemy import text

        values = {**self._key, "before": before, "generation": kept.generation, "record": raw_of(kept)}
        update = f"UPDATE rollout_counts SET generation = :generation, record = :record WHERE {HERE} AND generation = :before"  # noqa: S608, E501
        insert = (
            "INSERT INTO rollout_counts (model, experiment, step, generation, record) "
            "VALUES (:model, :experiment, :step, :generation, :record) "
            "ON CONFLICT (model, experiment, step) DO NOTHING"
        )
        with writing(self._url) as connection:
            done = connection.execute(text(update if before else insert), values)
            return bool(done.rowcount == 1)


def forget_rows(url: str, model: str, experiment: str) -> None:
    """Remove the rows of all steps of a rollout."""
    from sqlalchemy import text

    with writing(url) as connection:
        connection.execute(
            text("DELETE FROM rollout_counts WHERE model = :model AND experiment = :experiment"),
            {"model": model, "experiment": experiment},
        )
