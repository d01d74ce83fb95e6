"""``CountRows``: which of the kept files hold, a signed row in the control database, changed as a whole."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from windsock.adapters.database import reading, writing
from windsock.adapters.record_rows import raw_of
from windsock.adapters.rollout_events.records import Kept
from windsock.adapters.signing import Signer, Verifier
from windsock.spec import canonical_json

log = logging.getLogger(__name__)

PURPOSE = "windsock.rollout_counts"
HERE = "model = :model AND experiment = :experiment AND step = :step"


class CountRows:
    """Reads and switches the row of one step.

    :param url: the control database.
    :param keys_dir: the installation's keys.
    """

    def __init__(self, url: str, keys_dir: Path, model: str, experiment: str, step: int) -> None:
        self._url = url
        self._signer = Signer(keys_dir)
        self._verifier = Verifier(keys_dir, own=True)
        self.model = model
        self._key: dict[str, Any] = {"model": model, "experiment": experiment, "step": step}

    def read(self) -> Kept:
        """Return what is kept; of a row that cannot be read nothing but its generation.

        Of one that nobody signed the hours, too: they say which log it takes to count them anew.
        """
        from sqlalchemy import text

        with reading(self._url) as connection:
            query = text(f"SELECT generation, record, signature FROM rollout_counts WHERE {HERE}")  # noqa: S608
            row = connection.execute(query, self._key).one_or_none()
        if row is None:
            return Kept()
        generation, raw, signature = row
        try:
            kept = Kept.model_validate_json(raw)
        except ValidationError:  # its text repeats the row
            log.warning(
                "WS-ROLLOUT-042: %s: what is kept of a rollout's counts cannot be read; all is counted anew",
                self.model,
            )
            return Kept(generation=generation)
        if not self._is_signed(generation, raw, signature):
            log.warning(
                "WS-ROLLOUT-049: %s, rollout %s, step %d: no key of this installation signed what is kept of "
                "the counts; all is counted anew",
                *self._key.values(),
            )
            return Kept(generation=generation, hours=kept.hours)
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

        raw = raw_of(kept)
        values = {
            **self._key,
            "before": before,
            "generation": kept.generation,
            "record": raw,
            "signature": self._signer.sign(self._signed_bytes(kept.generation, raw)).hex(),
        }
        update = (
            "UPDATE rollout_counts SET generation = :generation, record = :record, signature = :signature "  # noqa: S608
            f"WHERE {HERE} AND generation = :before"
        )
        insert = (
            "INSERT INTO rollout_counts (model, experiment, step, generation, record, signature) "
            "VALUES (:model, :experiment, :step, :generation, :record, :signature) "
            "ON CONFLICT (model, experiment, step) DO NOTHING"
        )
        with writing(self._url) as connection:
            done = connection.execute(text(update if before else insert), values)
            return bool(done.rowcount == 1)

    def _is_signed(self, generation: int, raw: str, signature: str) -> bool:
        try:
            return self._verifier.verify(self._signed_bytes(generation, raw), bytes.fromhex(signature))
        except (ValueError, TypeError):
            return False

    def _signed_bytes(self, generation: int, raw: str) -> bytes:
        return canonical_json([PURPOSE, 1, *self._key.values(), generation, raw]).encode()


def forget_rows(url: str, model: str, experiment: str) -> None:
    """Remove the rows of all steps of a rollout."""
    from sqlalchemy import text

    with writing(url) as connection:
        connection.execute(
            text("DELETE FROM rollout_counts WHERE model = :model AND experiment = :experiment"),
            {"model": model, "experiment": experiment},
        )
