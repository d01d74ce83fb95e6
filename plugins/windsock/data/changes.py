"""What has changed since the last snapshot: said in the log, and refused where it cannot be meant."""

from __future__ import annotations

from windsock.data.roles import listed
from windsock.exceptions import DataRefusedError
from windsock.records import DataSnapshot
from windsock.spec import ModelSpec

GROWTH = 5
"""So many times the features of the last snapshot are not taken without being asked for."""
SMALL = 50
"""So many new features are always taken."""


def refuse_growth(snapshot: DataSnapshot, previous: DataSnapshot | None, spec: ModelSpec) -> None:
    """Say no to a source that suddenly has many times the columns: a wrong table, or a join gone wild.

    :raises DataRefusedError: unless ``data.features`` lists what is wanted.
    """
    if previous is None or spec.data.features:
        return
    now, before = len(snapshot.features), len(previous.features)
    if now > before * GROWTH and now - before > SMALL:
        raise DataRefusedError(
            f"the source has {now:,} columns to learn from, the last snapshot had {before:,}; "
            f"more than {GROWTH} times as many are not taken unasked",
            code="WS-DATA-024",
            next_action="Mend the source, or list the columns that are meant in `data.features`.",
        )


def changes_since(snapshot: DataSnapshot, previous: DataSnapshot | None, spec: ModelSpec) -> tuple[str, ...]:
    """Say which columns came, went or changed their kind; nothing for a first snapshot."""
    if previous is None:
        return ()
    now = {column.name: column.kind for column in snapshot.columns}
    before = {column.name: column.kind for column in previous.columns}
    said = []
    if gone := [name for name in before if name not in now]:
        said.append(f"columns gone since the last snapshot: {listed(gone)}")
    if new := [name for name in now if name not in before]:
        said.append(f"columns new since the last snapshot: {listed(new)}")
    turned = [name for name in now if name in before and now[name] is not before[name]]
    said.extend(
        f"{name}: was {before[name].value} in the last snapshot, is {now[name].value} now"
        for name in turned[:10]
    )
    if len(turned) > 10:
        said.append(f"{len(turned) - 10:,} more columns changed their kind since the last snapshot")
    if said and spec.data.entity is None and spec.data.event_time is None:
        said.append("held-out rows were drawn anew; declare data.entity to keep them")
    return tuple(said)
