"""What makes a row the same row: its content digest, and the side of the split that it keeps for life.

A digest depends on the values alone: not on the order of rows or columns, not on the versions of pandas or
pyarrow, not on whether whole numbers are stored as integers or as floats. One cell is 33 bytes: a tag (0
missing, 1 number, 2 boolean, 3 text, 4 time) and its content: an IEEE double, big-endian, with what it rounds
off of a large integer; one byte; the SHA-256 of the UTF-8 text; microseconds since 1970 in UTC. A row is the
SHA-256 of the SHA-256 of its sorted column names, followed by its cells in that order.
"""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from windsock.records.base import Digest
from windsock.spec import HELD_OUT_PERCENT, ModelSpec, canonical_json, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from windsock.records.data import ColumnSchema

CELL = 33
NUMBER, BOOLEAN, TEXT, TIME = 1, 2, 3, 4
CHUNK_BYTES = 32 * 1024 * 1024
JUDGED_ROWS, JUDGED_OF_CLASS = 100, 20
"""With fewer held-out rows, in all or of a class, a difference of areas has no interval or says little."""
REFERENCE_ROWS = 500
"""Fewer recent rows are no reference for a monitor."""
EXACT = 2**53
"""Up to here a double holds every integer."""


def row_digests(frame: pd.DataFrame) -> NDArray[np.uint8]:
    """Return the SHA-256 of each row's content.

    :param frame: columns of numbers, booleans, times or text; missing values are NaN, NaT, NA or ``None``.
    :returns: array of shape (rows, 32), in the frame's order.
    :raises TypeError: if a column holds anything else, such as lists.
    """
    import numpy as np

    order = sorted(range(frame.shape[1]), key=lambda position: str(frame.columns[position]))
    names = canonical_json([str(frame.columns[position]) for position in order])
    header = np.frombuffer(hashlib.sha256(names.encode()).digest(), dtype=np.uint8)
    width = 32 + CELL * len(order)
    chunk = max(1, CHUNK_BYTES // width)
    digests = np.empty((len(frame), 32), dtype=np.uint8)
    for start in range(0, len(frame), chunk):
        part = frame.iloc[start : start + chunk]
        matrix = np.empty((len(part), width), dtype=np.uint8)
        matrix[:, :32] = header
        for place, position in enumerate(order):
            matrix[:, 32 + CELL * place : 32 + CELL * (place + 1)] = _cells(part.iloc[:, position])
        digests[start : start + chunk] = _hashed(matrix)
    return digests


def rows_digest(digests: NDArray[np.uint8]) -> Digest:
    """Return the SHA-256 of a set of rows, whatever their order; a row that is there twice counts twice.

    :param digests: what :func:`row_digests` gave.
    """
    return hashlib.sha256(digests[digest_order(digests)].tobytes()).hexdigest()


def snapshot_digest(
    columns: Sequence[ColumnSchema],
    rows: Digest,
    recent: Digest | None = None,
    onset: Digest | None = None,
) -> Digest:
    """Return the digest of a snapshot: what its columns are, and its rows, whatever the order of either.

    Roles are no part of it: the same rows used in another way are the same rows.

    :param rows: digest of the set of rows.
    :param recent: digest of the set of recent rows among them; ``None`` where none are marked so.
    :param onset: digest of the set of rows since the onset among those; ``None`` where none are marked so.
    """
    read = sorted([column.name, column.kind.value, column.true_word, column.false_word] for column in columns)
    marked = {name: value for name, value in (("recent", recent), ("onset", onset)) if value is not None}
    return digest_of({"columns": read, "rows": rows, **marked})


def content_digest(
    columns: Sequence[ColumnSchema], digests: NDArray[np.uint8], recent_rows: int = 0, onset_rows: int = 0
) -> Digest:
    """Return the digest of a snapshot by its rows' digests: the same rows, otherwise marked, have another.

    :param digests: what :func:`row_digests` gave.
    :param recent_rows: so many of them, the last ones, are recent.
    :param onset_rows: so many of those, the last ones, are younger than the onset.
    """
    recent = rows_digest(digests[len(digests) - recent_rows :]) if recent_rows else None
    onset = rows_digest(digests[len(digests) - onset_rows :]) if onset_rows else None
    return snapshot_digest(columns, rows_digest(digests), recent, onset)


def digest_order(digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the places of rows in the order of their digests: as good as drawn, and always the same.

    :param digests: what :func:`row_digests` gave.
    """
    import numpy as np

    order: NDArray[np.int64] = np.lexsort(digests.view(">u8").T[::-1])
    return order


def count_copies(digests: NDArray[np.uint8]) -> int:
    """Return how many rows are copies of another one: all but the first of each content.

    :param digests: what :func:`row_digests` gave.
    """
    ordered = digests[digest_order(digests)]
    return int((ordered[1:] == ordered[:-1]).all(axis=1).sum())


def held_out_mask(
    frame: pd.DataFrame, spec: ModelSpec, recent_rows: int = 0, onset_rows: int = 0
) -> NDArray[np.bool_]:
    """Return which rows are held out: nothing is ever fitted on them.

    With ``data.event_time``: the latest 20 % of the rows, cut at a time so that equal times fall on one side;
    rows without a time are not held out. Otherwise a row is held out when the SHA-256 of its entity's text
    (or, without an entity, of its content but for the target) as a number, modulo 100, is below 20. So a row
    keeps its side when others come, go or are put in another order, and when its label is corrected.

    Recent rows that are mixed in keep that rule; by time, it holds for them and for the others apart: else
    nearly all held-out rows were recent ones, and no model could learn from what is new. For the same reason
    it holds by time for rows since an onset and for the recent ones before it apart.

    :param frame: rows of a snapshot.
    :param spec: the model; its ``data`` block names the columns.
    :param recent_rows: so many of them, the last ones, are recent.
    :param onset_rows: so many of those, the last ones, are younger than the onset.
    :returns: boolean array in the frame's order.
    """
    import numpy as np

    data = spec.data
    if data.event_time:
        cuts = [0, len(frame) - recent_rows, len(frame) - onset_rows, len(frame)]
        parts = [frame[data.event_time].iloc[start:end] for start, end in pairwise(cuts) if start < end]
        return np.concatenate([_latest(part) for part in parts] or [np.zeros(0, dtype=bool)])
    digests = np.zeros((len(frame), 32), dtype=np.uint8)
    by_content = np.ones(len(frame), dtype=bool)
    if data.entity:
        entity = frame[data.entity]
        by_content = entity.isna().to_numpy(dtype=bool)
        digests[~by_content] = _digests_of(entity[~by_content], entity_text)
    if by_content.any():
        content = frame.loc[:, [name for name in frame.columns if name != data.target]]
        digests[by_content] = row_digests(content[by_content])
    return _modulo_100(digests) < HELD_OUT_PERCENT


def recent_mask(rows: int, recent_rows: int) -> NDArray[np.bool_]:
    """Return which rows of a snapshot speak for what happens now: the recent ones, or all if none are.

    :param rows: rows of the snapshot.
    :param recent_rows: so many of them, the last ones, are recent.
    """
    import numpy as np

    mask: NDArray[np.bool_] = np.arange(rows) >= (rows - recent_rows if recent_rows else 0)
    return mask


def judged_mask(
    held_out: NDArray[np.bool_],
    recent_rows: int,
    onset_rows: int = 0,
    *,
    classes: NDArray[Any] | None = None,
) -> NDArray[np.bool_]:
    """Return on which rows of a snapshot a model is judged: held-out ones, of the latest kind that is marked.

    Those of the latest half of the rows since the onset, else the recent ones, else all. In a world that goes
    on changing the first rows since the onset are of another one, in which the champion may still be better.
    Where that half has too few for an interval, it reaches further back, but never beyond the onset.

    :param held_out: which rows are held out.
    :param recent_rows: so many rows, the last ones, are recent.
    :param onset_rows: so many of those, the last ones, are younger than the onset.
    :param classes: of each row, where the target is one: each needs :data:`JUDGED_OF_CLASS` rows, as far as
        there are so many.
    """
    import numpy as np

    judged: NDArray[np.bool_] = held_out & recent_mask(len(held_out), onset_rows or recent_rows)
    if not onset_rows:
        return judged
    latest = np.flatnonzero(judged)[::-1]
    fewest = [latest[:JUDGED_ROWS]]
    if classes is not None:
        fewest += [latest[classes[latest] == one][:JUDGED_OF_CLASS] for one in np.unique(classes[latest])]
    first = min([len(held_out) - onset_rows // 2, *(int(one[-1]) for one in fewest if len(one))])
    judged[:first] = False
    return judged


def reference_mask(held_out: NDArray[np.bool_], recent_rows: int, onset_rows: int = 0) -> NDArray[np.bool_]:
    """Return which rows of a snapshot the monitor's reference is made of, held out or not.

    Those since the onset, if at least :data:`REFERENCE_ROWS` of them were there to train on; else the recent
    ones, if as many of those were; else all: a reference of a few rows could not show drift.

    :param held_out: which rows are held out.
    :param recent_rows: so many rows, the last ones, are recent.
    :param onset_rows: so many of those, the last ones, are younger than the onset.
    """
    import numpy as np

    for marked in (onset_rows, recent_rows):
        mask = recent_mask(len(held_out), marked)
        if marked and (mask & ~held_out).sum() >= REFERENCE_ROWS:
            return mask
    return np.ones(len(held_out), dtype=bool)


def entities_of(frame: pd.DataFrame, spec: ModelSpec) -> list[str] | None:
    """Return whose row each is, by the spec's entity; a row without one is of its own.

    :returns: ``None`` where the spec names no entity.
    """
    name = spec.data.entity
    if name is None or name not in frame.columns:
        return None
    values, missing = frame[name].tolist(), frame[name].isna().tolist()
    return [
        f"row {place}" if gone else entity_text(value)
        for place, (value, gone) in enumerate(zip(values, missing, strict=True))
    ]


def entity_text(value: Any) -> str:
    """Return the text that identifies an entity: the same for ``7``, ``7.0`` and ``" 7 "``."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return str(int(value))
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value).strip()


def _latest(times: pd.Series) -> NDArray[np.bool_]:
    import numpy as np

    missing = times.isna().to_numpy(dtype=bool)
    moments = _microseconds(times)
    known = np.sort(moments[~missing])
    if not len(known):
        return np.zeros(len(times), dtype=bool)
    cut = known[math.ceil(len(known) * (100 - HELD_OUT_PERCENT) / 100) - 1]
    after, from_cut = (known > cut).mean(), (known >= cut).mean()
    share = HELD_OUT_PERCENT / 100
    chosen = moments >= cut if abs(from_cut - share) < abs(after - share) else moments > cut
    held: NDArray[np.bool_] = chosen & ~missing
    return held


def _modulo_100(digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    import numpy as np

    weights = np.array([pow(256, 31 - place, 100) for place in range(32)], dtype=np.int64)
    rest: NDArray[np.int64] = (digests.astype(np.int64) @ weights) % 100
    return rest


def _hashed(matrix: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import numpy as np

    rows, width = matrix.shape
    content, sha256 = memoryview(matrix.tobytes()), hashlib.sha256
    joined = b"".join(
        sha256(content[start : start + width]).digest() for start in range(0, rows * width, width)
    )
    return np.frombuffer(joined, dtype=np.uint8).reshape(rows, 32)


def _digests_of(values: pd.Series, text: Callable[[Any], str]) -> NDArray[np.uint8]:
    """Return the SHA-256 of each value's text; each different value is hashed once.

    The table of different values is a dict: pandas' own takes text that differs after a NUL for the same.
    """
    import numpy as np

    known: dict[Any, bytes] = {}
    parts = []
    for value in values:
        digest = known.get(value)
        if digest is None:
            digest = known[value] = hashlib.sha256(text(value).encode("utf-8", "surrogatepass")).digest()
        parts.append(digest)
    return np.frombuffer(b"".join(parts), dtype=np.uint8).reshape(-1, 32)


def _cells(values: pd.Series) -> NDArray[np.uint8]:
    import numpy as np
    import pandas as pd

    if values.dtype.kind in "OT" or isinstance(values.dtype, (pd.CategoricalDtype, pd.StringDtype)):
        values = values.astype(object)
    missing = values.isna().to_numpy(dtype=bool)
    cells = np.zeros((len(values), CELL), dtype=np.uint8)
    if not missing.all():
        tag, content = _content(values[~missing])
        cells[~missing, 0] = tag
        cells[~missing, 1 : 1 + content.shape[1]] = content
    return cells


def _content(values: pd.Series) -> tuple[int, NDArray[np.uint8]]:
    import numpy as np
    import pandas as pd

    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "boolean":
        return BOOLEAN, values.to_numpy(dtype=np.uint8).reshape(-1, 1)
    if kind == "integer":
        return NUMBER, _integers(values)
    if kind in ("floating", "mixed-integer-float"):
        return NUMBER, _doubles(values.to_numpy(dtype=np.float64))
    if kind in ("datetime64", "datetime"):
        return TIME, _bytes_of(_microseconds(values), ">i8")
    if kind == "string":
        return TEXT, _digests_of(values, str)
    raise TypeError(f"a column of {kind} values has no content digest")


def _integers(values: pd.Series) -> NDArray[np.uint8]:
    import numpy as np

    exact = [int(value) for value in values] if values.dtype == object else None
    whole = np.array(exact, dtype=object) if exact is not None else values.to_numpy()
    doubles = whole.astype(np.float64)
    rests = np.zeros(len(values), dtype=np.int64)
    for place in np.flatnonzero(np.abs(doubles) >= EXACT):
        rests[place] = int(whole[place]) - int(doubles[place])
    return np.hstack([_doubles(doubles), _bytes_of(rests, ">i8")])


def _doubles(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return _bytes_of(values + 0.0, ">f8")  # -0.0 is 0.0


def _microseconds(times: pd.Series) -> NDArray[np.int64]:
    import numpy as np
    import pandas as pd

    plain = pd.to_datetime(times, utc=True).dt.tz_localize(None)
    moments: NDArray[np.int64] = plain.astype("datetime64[us]").to_numpy().view(np.int64)
    return moments


def _bytes_of(values: NDArray[Any], dtype: str) -> NDArray[np.uint8]:
    import numpy as np

    return np.ascontiguousarray(values.astype(dtype)).view(np.uint8).reshape(-1, 8)
