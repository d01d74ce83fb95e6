"""``SqlStepRecords``: the first record of each idempotency key, in the control database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from windsock.adapters.database import reading, writing
from windsock.ports import utc_now
from windsock.spec import canonical_json


class SqlStepRecords:
    """Keeps one record for each key; of two that are added at once, one stands.

    :param url: the control database.
    :param now: the clock that dates records.
    """

    def __init__(self, url: str, now: Callable[[], datetime] = utc_now) -> None:
        self._url = url
        self._now = now

    def find(self, key: str) -> dict[str, Any] | None:
        """Return the stored record's JSON, or ``None``."""
        from sqlalchemy import text

        query = text("SELECT record FROM step_records WHERE key = :key")
        with reading(self._url) as connection:
            found = connection.execute(query, {"key": key}).scalar()
        return None if found is None else dict(json.loads(found))

    def add(self, key: str, *, step: str, model: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Store a record unless the key has one; return the one that stands.

        :raises ValueError: if the record holds NaN or infinity.
        """
        from sqlalchemy import text

        content = {
            "key": key,
            "step": step,
            "model": model,
            "record": canonical_json(record),
            "created_at": self._now().isoformat(),
        }
        with writing(self._url) as connection:
            connection.execute(
                text(
                    "INSERT INTO step_records (key, step, model, record, created_at) "
                    "VALUES (:key, :step, :model, :record, :created_at) ON CONFLICT (key) DO NOTHING"
                ),
                content,
            )
            stands = connection.execute(
                text("SELECT record FROM step_records WHERE key = :key"), {"key": key}
            ).scalar_one()
        return dict(json.loads(stands))
