"""The data window: which rows, by their event time, one training sees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from windsock.data.read_columns import ReadColumn
from windsock.exceptions import DataRefusedError
from windsock.records import ColumnKind, TakeSnapshotInput
from windsock.spec import parse_duration

if TYPE_CHECKING:
    import pandas as pd


class Window(NamedTuple):
    """From ``start`` up to, but without, ``end``."""

    start: datetime
    end: datetime


def window_of(step: TakeSnapshotInput, now: datetime) -> Window | None:
    """Return the window that is asked for, or ``None`` where all rows are.

    :param now: its end, where neither the input nor the run has one.
    :raises DataRefusedError: if a window is asked for and the spec names no event time.
    """
    length = step.data_window or step.spec.data.data_window
    if length is None:
        return None
    if step.spec.data.event_time is None:
        raise DataRefusedError(
            f"a data window of {length} was asked for, but no column dates the rows",
            code="WS-DATA-021",
            next_action="Name the column in `data.event_time`, or run without a data window.",
        )
    end = step.window_end or step.run.logical_date or now
    return Window(end - parse_duration(length), end)


def rows_in_window(
    frame: pd.DataFrame,
    event_time: str | None,
    window: Window | None,
    read_by_name: Callable[[str], ReadColumn],
) -> tuple[pd.DataFrame, tuple[str, ...], ReadColumn | None]:
    """Return the rows of the window, what was noticed, and where rows are left out the times of all.

    :param event_time: the column that dates a row; ``None``: all rows are taken.
    :param read_by_name: reads a column of the rows.
    :raises DataRefusedError: if that column holds no times, or no row lies in the window.
    """
    import pandas as pd

    if event_time is None:
        return frame, (), None
    read = read_by_name(event_time)
    if read.kind is not ColumnKind.DATETIME or read.doubt:
        raise DataRefusedError(
            f"column {event_time!r} is to date the rows, but holds {read.kind.value} values: "
            f"{'; '.join(read.findings) or 'no times'}",
            code="WS-DATA-021",
            next_action="Write times as YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ, say how they are written in "
            "`data.source.dates`, or name another column.",
        )
    undated = int(read.values.isna().sum())
    said = []
    if window is None:
        if undated:
            said.append(
                f"{event_time}: {undated:,} of {len(frame):,} rows have no time and are never held out"
            )
        return frame, tuple(said), None
    start, end = pd.Timestamp(window.start), pd.Timestamp(window.end)
    inside = (read.values >= start) & (read.values < end)
    kept = frame[inside.to_numpy(dtype=bool)]
    dates = f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"
    if kept.empty:
        raise DataRefusedError(
            f"none of {len(frame):,} rows lies in the data window {dates}; {undated:,} have no time"
            + "".join(f"; {finding}" for finding in read.findings if read.unread),
            code="WS-DATA-022",
            next_action="Widen `data.data_window`, or see why the source has no rows of that time.",
        )
    said.append(f"{len(kept):,} of {len(frame):,} rows lie in the data window {dates}")
    if undated:
        said.append(f"{event_time}: {undated:,} rows have no time and lie in no data window")
    return kept.reset_index(drop=True), tuple(said), read
