"""Whether one customer's rows lie on both sides of the split, so that a model is judged on whom it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.data.read_columns import NUMERIC
from windsock.records import CheckResult, ColumnKind, ColumnRole, ColumnSchema, DataSnapshot, Status
from windsock.spec import ModelSpec
from windsock.spec.column_groups import identity_agreement, is_whole
from windsock.spec.column_words import PERSONAL

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

CODE = "WS-DATA-170"
MAY_IDENTIFY = (ColumnRole.FEATURE, ColumnRole.IGNORED, ColumnRole.ENTITY)


def entity_check(
    spec: ModelSpec, snapshot: DataSnapshot, frame: pd.DataFrame, held_out: NDArray[Any]
) -> CheckResult:
    """Return whether the split keeps the rows of one identity together where their labels agree.

    It fails where a column's values are many and come again, rows of one value agree in their label far above
    chance and far above rows of its neighbours, and the split is random by row. A column that
    ``data.features`` lists is meant as a category. A split by time is allowed, and the message says so.

    :param frame: the snapshot's rows.
    :param held_out: which of them are held out.
    """
    entity = spec.data.entity
    if entity is not None and not spec.data.event_time and frame[entity].nunique() < frame[entity].count():
        return _result(True, f"rows of one {entity} are held out together")
    repeated = repeated_identity(spec, snapshot, frame)
    found = [repeated] if repeated is not None else []
    if entity is not None and spec.data.event_time and not found:
        found = [entity] if frame[entity].nunique() < frame[entity].count() else []
    if not found:
        return _result(True, "no column repeats like an identity whose rows agree in their label")
    name = found[0]
    both = len(set(frame[name][held_out].dropna()) & set(frame[name][~held_out].dropna()))
    distinct = int(frame[name].nunique())
    message = f"{both:,} of {distinct:,} values of {name} have rows on both sides of the split"
    if spec.data.event_time:
        return _result(True, f"{message}, which is by {spec.data.event_time}: time decides, so it is allowed")
    return _result(
        both == 0,
        f"{message}, and their labels agree: it repeats like an identity, and a model is judged on whom it "
        f"knows (write `data.entity: {name}`, or list it in data.features if it is a category)",
        value=both,
        limit=0,
        relation="==",
        n=distinct,
    )


def repeated_identity(spec: ModelSpec, snapshot: DataSnapshot, frame: pd.DataFrame) -> str | None:
    """Return the column whose rows agree most in their label, as rows of an identity that comes again do.

    Copies of a row count once: a request that is sent again agrees with itself in every column, and the split
    keeps its copies on one side.
    """
    found = [column for column in snapshot.columns if _agreement(column, frame, spec)]
    if not found:
        return None
    alike = [name for name in frame.columns if name != spec.data.event_time]
    different = frame[~frame.duplicated(subset=alike).to_numpy()]
    shares = {column.name: _agreement(column, different, spec) for column in found}
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] else None


def _result(passed: bool, message: str, **numbers: Any) -> CheckResult:
    status = Status.PASS if passed else Status.FAIL
    return CheckResult(name="entity_on_both_sides", status=status, code=CODE, message=message, **numbers)


def _agreement(column: ColumnSchema, frame: pd.DataFrame, spec: ModelSpec) -> float:
    """Return how far labels agree where a column's values do, if it is as of an identity; else 0."""
    if column.role not in MAY_IDENTIFY or column.name in spec.data.features or PERSONAL.names(column.name):
        return 0.0
    values, text = frame[column.name], column.kind is ColumnKind.CATEGORY
    if not text and not (column.kind in NUMERIC and is_whole(values.dropna())):
        return 0.0
    return identity_agreement(values, frame[spec.data.target], text=text, numbers=spec.task == "regression")
