"""Of which rollouts anything is kept."""

from __future__ import annotations

from windsock.adapters.database import reading
from windsock.adapters.rollout_events.parts import FOLDER
from windsock.adapters.storage import Storage


def kept_rollouts(storage: Storage, url: str, model: str) -> tuple[str, ...]:
    """Return the experiments that have a row or a folder, in order; a killed removal leaves the folder.

    :param url: the control database.
    """
    from sqlalchemy import text

    with reading(url) as connection:
        query = text("SELECT DISTINCT experiment FROM rollout_counts WHERE model = :model")
        rows = {str(name) for name in connection.execute(query, {"model": model}).scalars()}
    return tuple(sorted(rows.union(storage.names(f"{FOLDER}/{model}"))))


__all__ = ["kept_rollouts"]
