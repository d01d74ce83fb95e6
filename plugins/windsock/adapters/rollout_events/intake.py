"""Rows of the log, and labels from elsewhere, as the narrow rows that are counted and kept.

A unit, a prediction and an event are kept as 64 bits of a hash. A unit is the row's ``unit``, else its
prediction id.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from windsock.adapters.rollout_events import intake_sql as sql
from windsock.adapters.rollout_events.asked import names_word
from windsock.adapters.rollout_events.scope import Scope

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

EXPOSURE = (
    "prediction_id",
    "unit",
    "receive_time",
    "digest",
    "variant",
    "fallback_for",
    "experiment",
    "epoch",
    "inference_ms",
    "cause",
)
ANSWER = "prediction"
PAST = ("prediction_id", "unit", "receive_time", "variant", "fallback_for", "experiment", "epoch")
OUTCOME = ("prediction_id", "unit", "event_id", "outcome", "event_time", "receive_time")
UNTIMED = -(2**62)
"""Time of a label that has none: it was known always."""


class Intake:
    """Takes rows in; each exposure and each event counts once.

    :param connection: of :func:`~windsock.adapters.rollout_events.engine.open_engine`. What was counted
        before stands in ``kept_exposures`` and ``kept_outcomes``; what is new will in ``new_exposures``,
        ``new_outcomes`` and ``new_before``.
    """

    def __init__(self, connection: Any, scope: Scope) -> None:
        self.connection = connection
        self.scope = scope
        self.counted: Counter[str] = Counter()
        self.rows = 0
        self._word = "word IS NOT NULL"  # it may be a label
        if "accuracy" not in scope.kinds:
            self._word = names_word(scope.plan.metrics.values(), connection, classes=scope.plan.classes)
        self.clear()

    @property
    def exposure_columns(self) -> list[str]:
        """Columns of the log that exposures are made of."""
        return [*EXPOSURE, ANSWER] if self.scope.needs_answers else list(EXPOSURE)

    def add_exposures(self, table: pa.Table) -> None:
        """Take rows of the log in that were answered, or that were not."""
        scope = self.scope
        values: dict[str, Any] = {"slow": scope.plan.slow_ms}
        arm, side, where = "0", "''", sql.OF_CHAMPION
        if scope.experiment is not None:
            values |= {"experiment": scope.experiment, "epoch": scope.epoch}
            values |= {f"bundle{number}": digest for number, digest in enumerate(scope.bundles)}
            arm = sql.arm_of_rollout(scope)
            shadows = "IS NOT NULL" if scope.is_shadow else "<> 'shadow'"
            where = sql.OF_ROLLOUT.format(shadows=shadows)
        if scope.is_shadow:
            side = "if(assigned = 'shadow', '1', '0')"
        said = "prediction" if scope.needs_answers else "NULL::VARCHAR"
        with self._piece(_columns(table, self.exposure_columns)):
            self.connection.execute(
                sql.TAKE_EXPOSURES.format(said=said, arm=arm, side=side, where=where), values
            )

    def add_past(self, table: pa.Table) -> None:
        """Take rows of the time before the step in: of whom they are, and when."""
        values = {"experiment": self.scope.experiment, "epoch": self.scope.epoch}
        with self._piece(_columns(table, PAST)):
            for side in self.scope.sides:
                self.connection.execute(sql.TAKE_PAST.format(side=side), values)
        self.counted["past"] += table.num_rows

    def add_outcomes(self, table: pa.Table, *, to: str = "outcomes") -> None:
        """Take rows of the outcomes' log in.

        :param to: ``before``: as outcomes of the time before the rollout, by unit only.
        """
        self._take(_columns(table, OUTCOME), to)

    def add_labels(self, frame: pd.DataFrame, now: datetime, *, timed: bool) -> None:
        """Take labels of a table or a file in: those that were known by now.

        :param timed: whether labels have a time; one without is then unusable.
        """
        import pandas as pd
        import pyarrow as pa

        if timed:
            has_time = frame["label_time"].notna()
            self.counted["unusable"] += int((~has_time).sum())
            frame = frame[has_time & (frame["label_time"] <= pd.Timestamp(now))]
        received = frame["label_time"].astype("datetime64[us, UTC]")
        times = received.astype("int64").where(received.notna(), UNTIMED)
        texts, nothing = pa.string(), pa.nulls(len(frame), pa.string())
        piece = pa.table(
            {
                "prediction_id": pa.array(frame["prediction_id"].tolist(), texts),
                "unit": nothing,
                "event_id": nothing,
                "outcome": pa.array([json_text(value) for value in frame["outcome"].tolist()], texts),
                "event_time": pa.nulls(len(frame), pa.int64()),
                "receive_time": pa.array(times.to_numpy(), pa.int64()),
            }
        )
        self._take(piece, "outcomes")

    def _take(self, piece: pa.Table, to: str) -> None:
        word = "label_word(outcome, said)" if self.scope.needs_answers else "word_of(said)"
        usable = f"named AND (number IS NOT NULL OR {self._word})"
        with self._piece(piece):
            self.connection.execute(sql.READ_OUTCOMES.format(word=word))
        if to == "outcomes":
            of_step = f"seen >= {self.scope.since}" if self.scope.is_posted else "true"
            self.counted["unusable"] += self._count("said", f"{of_step} AND NOT ({usable})")
        else:
            usable += " AND unit IS NOT NULL"
        for side in self.scope.sides:
            main = str(side == self.scope.sides[0]).lower()
            self.connection.execute(sql.TAKE_OUTCOMES.format(to=to, side=side, main=main, usable=usable))

    def settle(self, kept: Collection[str]) -> None:
        """Leave of what was taken in what had not been counted, the first one of each.

        :param kept: kinds of rows that something was counted of before.
        """
        self._settle_exposures("exposures" in kept)
        for name in ("outcomes", "before"):
            known = sql.KNOWN.format(name=name) if name in kept else ""
            self.connection.execute(sql.SETTLE_OUTCOMES.format(name=name, known=known))
            shown = "main" if name == "outcomes" else "true"
            new = self._count(f"new_{name}", shown)
            self.counted[f"repeated_{name}"] += self._count(f"raw_{name}", shown) - new
            self.counted[name] += new
        for name in sql.COLUMNS:
            self._renew(f"raw_{name}")

    def _settle_exposures(self, kept: bool) -> None:
        """Leave one row of each prediction id; the answer to one that was counted without one is new."""
        self.counted["strange"] += self._count("raw_exposures", f"arm = {sql.STRANGE}")
        self.connection.execute(sql.MEET if kept else sql.MEET_NONE)
        self.connection.execute(sql.AGAIN)
        self.connection.execute(sql.SETTLE_EXPOSURES)
        self.counted["repeated_exposures"] += self._count("again", sql.REPEATED)
        self.counted["reused"] += self._count("again", "reused")
        self.counted["exposures"] += self._count("new_exposures", "true")

    def clear(self) -> None:
        """Forget what was taken in."""
        self.counted, self.rows = Counter(), 0
        for name in sql.COLUMNS:
            self._renew(f"raw_{name}")
            self._renew(f"new_{name}")

    def _renew(self, table: str) -> None:
        columns = ", ".join(map(" ".join, sql.COLUMNS[table.partition("_")[2]].items()))
        self.connection.execute(f"CREATE OR REPLACE TABLE {table} ({columns})")

    def _count(self, table: str, where: str) -> int:
        query = f"SELECT count(*) FROM {table} WHERE {where}"  # noqa: S608 - no word of it comes from elsewhere
        return int(self.connection.execute(query).fetchone()[0])

    def _piece(self, piece: pa.Table) -> Any:
        self.rows += piece.num_rows
        return _Piece(self.connection, piece)


class _Piece:
    """A table that a statement reads as ``piece``."""

    def __init__(self, connection: Any, piece: pa.Table) -> None:
        self.connection, self.piece = connection, piece

    def __enter__(self) -> None:
        self.connection.register("piece", self.piece)

    def __exit__(self, *raised: object) -> None:
        self.connection.unregister("piece")


def _columns(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return columns of the log; those that a file does not have are null. Times are microseconds."""
    import pyarrow as pa

    types = {"epoch": pa.int64(), "inference_ms": pa.float64()}
    types |= dict.fromkeys(("receive_time", "event_time"), pa.int64())
    columns = {}
    for name in names:
        kind = types.get(name, pa.string())
        column = table[name] if name in table.column_names else pa.nulls(table.num_rows, kind)
        columns[name] = column if pa.types.is_dictionary(column.type) else column.cast(kind)
    return pa.table(columns)


def json_text(value: Any) -> str:
    """Return a label of a table or a file as JSON text; what is no value is ``null``."""
    import msgspec

    if hasattr(value, "item"):
        value = value.item()
    if value is None or value != value or (isinstance(value, float) and math.isinf(value)):
        return "null"
    if not isinstance(value, bool | int | float | str):
        try:
            value = float(value)  # a decimal
        except (TypeError, ValueError):
            value = str(value)
        return json_text(value)
    return msgspec.json.encode(value).decode()
