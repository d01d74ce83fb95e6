"""Structural checks: what every data set must have before anything is trained on it, suite or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.data.entities import entity_check
from windsock.data.roles import listed
from windsock.records import (
    CheckResult,
    ColumnKind,
    ColumnRole,
    ColumnSchema,
    DataSnapshot,
    Status,
    held_out_mask,
)
from windsock.records.check_text import against_limit
from windsock.records.values import MOST_UNREAD
from windsock.spec import FOLDS, ModelSpec
from windsock.texts import first_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

MIN_ROWS = 50
MIN_TRAINING_ROWS = 2 * FOLDS
MIN_HELD_OUT = 10
MAX_CLASSES = 100
SHOWN_UNREAD = 5
READ_ROLES = (ColumnRole.FEATURE, ColumnRole.TARGET, ColumnRole.EVENT_TIME, ColumnRole.SENSITIVE)


@dataclass(frozen=True, kw_only=True, eq=False)
class Checked:
    """What is looked at.

    :param frame: the snapshot's rows.
    :param held_out: which of them are held out.
    :param said: columns that the data contract says no to.
    :param unread: those of them of which too many values could not be read.
    """

    spec: ModelSpec
    snapshot: DataSnapshot
    frame: pd.DataFrame
    held_out: NDArray[Any]
    said: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()


def structural_checks(
    spec: ModelSpec,
    snapshot: DataSnapshot,
    frame: pd.DataFrame,
    *,
    said: Collection[str] = (),
    unread: Collection[str] = (),
) -> tuple[CheckResult, ...]:
    """Return every structural check with its result, the number of rows first.

    :param said: columns that the data contract says no to; nothing is said of their values again.
    :param unread: those of them of which too many values could not be read: what follows is skipped.
    """
    rows = _at_least("rows", "WS-DATA-101", len(frame), MIN_ROWS, "rows in the snapshot")
    names = _column_names(snapshot, frame)
    required = _required_columns(spec, frame)
    if not (len(frame) and names.passed and spec.data.target in frame.columns and _has_keys(spec, frame)):
        return rows, names, required
    checked = Checked(
        spec=spec,
        snapshot=snapshot,
        frame=frame,
        held_out=held_out_mask(frame, spec, snapshot.recent_rows, snapshot.onset_rows),
        said=frozenset(said),
        unread=frozenset(unread),
    )
    people = entity_check(spec, snapshot, frame, checked.held_out)
    return (rows, names, required, *_sides(checked), *_target(checked), *_features(checked), people)


def _check(name: str, code: str, passed: bool, message: str = "", **numbers: Any) -> CheckResult:
    status = Status.PASS if passed else Status.FAIL
    return CheckResult(name=name, status=status, code=code, message=message, **numbers)


def _at_least(name: str, code: str, value: float, limit: float, what: str) -> CheckResult:
    status = Status.PASS if value >= limit else Status.FAIL
    message = against_limit(what, value, ">=", limit, status=status)
    return _check(name, code, value >= limit, message, value=value, limit=limit, relation=">=")


def _none_of(name: str, code: str, bad: Sequence[str], what: str) -> CheckResult:
    message = f"{len(bad):,} {what}: {listed(list(bad))}" if bad else "none found"
    return _check(name, code, not bad, message)


def _column_names(snapshot: DataSnapshot, frame: pd.DataFrame) -> CheckResult:
    names = [str(name) for name in frame.columns]
    recorded = {column.name for column in snapshot.columns}
    bad = [name for name, count in Counter(names).items() if count > 1]
    bad += sorted(recorded.symmetric_difference(names))
    return _none_of("column_names", "WS-DATA-102", bad, "columns doubled, or not as the record has them")


def _required_columns(spec: ModelSpec, frame: pd.DataFrame) -> CheckResult:
    data = spec.data
    named = [data.target, data.entity, data.event_time, *data.required, *data.features, *data.sensitive]
    named += data.known_leaks_checked
    gone = [name for name in dict.fromkeys(named) if name is not None and name not in frame.columns]
    return _none_of("required_columns", "WS-DATA-103", gone, "columns of the spec are not there")


def _has_keys(spec: ModelSpec, frame: pd.DataFrame) -> bool:
    return all(name is None or name in frame.columns for name in (spec.data.entity, spec.data.event_time))


def _sides(checked: Checked) -> tuple[CheckResult, ...]:
    held_out = int(checked.held_out.sum())
    training = len(checked.frame) - held_out
    recent = _recent(checked) if checked.snapshot.recent_rows else ()
    return (
        _at_least(
            "training_rows", "WS-DATA-104", training, MIN_TRAINING_ROWS, f"training rows for {FOLDS} folds"
        ),
        _at_least("held_out_rows", "WS-DATA-105", held_out, MIN_HELD_OUT, "held-out rows"),
        *recent,
    )


def _recent(checked: Checked) -> tuple[CheckResult, ...]:
    """Check that the gate can decide on recent held-out rows; too few say nothing, and nothing is wrong."""
    before = len(checked.frame) - checked.snapshot.recent_rows
    judged = checked.frame[checked.spec.data.target].iloc[before:][checked.held_out[before:]]
    checks = [
        _at_least("recent_held_out_rows", "WS-DATA-062", len(judged), MIN_HELD_OUT, "recent held-out rows")
    ]
    if checked.spec.task == "classification":
        what = "classes among the recent held-out rows"
        checks.append(_at_least("recent_classes", "WS-DATA-063", int(judged.nunique()), 2, what))
    return tuple(check if check.passed else check.replace(status=Status.INSUFFICIENT) for check in checks)


def _target(checked: Checked) -> tuple[CheckResult, ...]:
    target = checked.frame[checked.spec.data.target]
    kind = _target_kind(checked.spec, checked.snapshot.column(checked.spec.data.target), target)
    if checked.spec.data.target in checked.unread:
        skipped = "rows without a target and its classes are not counted: its values could not be read"
        return (kind.replace(message=f"{kind.message}; {skipped}"),)
    missing = int(target.isna().sum())
    infinite = _infinite(target)
    common = (
        kind,
        _check(
            "target_missing",
            "WS-DATA-106",
            missing == 0,
            f"{missing:,} of {len(target):,} rows have no target"
            + ("; `data.unlabelled: drop` leaves such rows out" if missing else ""),
            value=missing,
            limit=0,
            relation="==",
            n=len(target),
        ),
        _check(
            "target_infinite",
            "WS-DATA-107",
            infinite == 0,
            f"{infinite:,} of {len(target):,} targets are infinite",
            value=infinite,
            limit=0,
            relation="==",
            n=len(target),
        ),
    )
    if checked.spec.task == "regression":
        distinct = int(target.nunique())
        return (*common, _at_least("target_values", "WS-DATA-108", distinct, 2, "different targets"))
    return (*common, *_classes(checked, target))


def _target_kind(spec: ModelSpec, column: ColumnSchema | None, target: pd.Series[Any]) -> CheckResult:
    kind = column.kind if column else None
    if spec.task == "regression":
        fits = kind in (ColumnKind.NUMBER, ColumnKind.INTEGER)
    elif kind is ColumnKind.NUMBER:
        fits = bool((target.dropna() % 1 == 0).all())  # classes written as 1.0 and 2.0
    else:
        fits = kind is not None and kind is not ColumnKind.DATETIME
    message = f"the target is read as {kind.value if kind else 'nothing'}; the task is {spec.task}"
    return _check("target_kind", "WS-DATA-116", fits, message, n=len(target))


def _infinite(values: pd.Series[Any]) -> int:
    import numpy as np

    return int(np.isinf(values.to_numpy()).sum()) if values.dtype.kind == "f" else 0


def _classes(checked: Checked, target: pd.Series[Any]) -> tuple[CheckResult, ...]:
    classes = int(target.nunique())
    status = Status.PASS if classes <= MAX_CLASSES else Status.FAIL
    told = against_limit("classes of the target", classes, "<=", MAX_CLASSES, status=status)
    found = [_at_least("classes", "WS-DATA-109", classes, 2, "classes of the target")]
    found.append(
        _check(
            "classes_at_most",
            "WS-DATA-110",
            classes <= MAX_CLASSES,
            told if status is Status.PASS else f"{told}; so many look like a number or an identity",
            value=classes,
            limit=MAX_CLASSES,
            relation="<=",
        )
    )
    if not 2 <= classes <= MAX_CLASSES:
        return tuple(found)
    training, held_out = target[~checked.held_out], target[checked.held_out]
    rarest = int(training.value_counts().reindex(target.dropna().unique(), fill_value=0).min())
    what = f"training rows of the rarest class for {FOLDS} folds"
    found.append(_at_least("rarest_class", "WS-DATA-111", rarest, FOLDS, what))
    known = int(held_out.nunique())
    found.append(
        _at_least("held_out_classes", "WS-DATA-112", known, classes, "classes among the held-out rows")
    )
    return tuple(found)


def _features(checked: Checked) -> tuple[CheckResult, ...]:
    columns = [column for column in checked.snapshot.columns if column.role is ColumnRole.FEATURE]
    usable = [
        column
        for column in columns
        if column.name in checked.said or checked.frame[column.name].notna().any()
    ]
    empty = [column.name for column in columns if column not in usable and not column.unread]
    return (
        _at_least("features", "WS-DATA-113", len(usable), 1, "columns to learn from"),
        _none_of(
            "empty_columns", "WS-DATA-114", empty, "columns to learn from have no value (fill or exclude)"
        ),
        _unread_values(checked),
    )


def _unread_values(checked: Checked) -> CheckResult:
    """Check that nearly all values of each column fit its kind, and of the target all."""
    shares = {
        column.name: column.unread / max(1, column.values_among(len(checked.frame)))
        for column in checked.snapshot.columns
        if (column.role in READ_ROLES or column.unread_of)
        and column.unread
        and column.name not in checked.said
    }
    bad = [
        column
        for column in checked.snapshot.columns
        if shares.get(column.name, 0) > (0 if column.role is ColumnRole.TARGET else MOST_UNREAD)
    ]
    why = [_why_unread(column, shares[column.name]) for column in bad]
    message = first_of(why, SHOWN_UNREAD, separator="; ", what="columns")
    return _check(
        "unread_values",
        "WS-DATA-117",
        not bad,
        message or f"at most {MOST_UNREAD:.0%} of a column's values do not fit its kind",
        value=max(shares.values(), default=0.0),
        limit=MOST_UNREAD,
        relation="<=",
    )


def _why_unread(column: ColumnSchema, share: float) -> str:
    said = (
        f"{column.name} is read as {column.kind.value}{_form_of(column)}, and {column.unread:,} values "
        f"({share:.1%}) are none; they look like {', '.join(column.shapes)}"
    )
    fix = column.note if "`data." in column.note else ""
    if column.unread_of:
        said += ", counted before rows were left out by this column"
    return f"{said}: " + (
        fix
        or f"correct them, name words for no value in `data.source.nulls`, or write "
        f"`data.columns.{column.name}.kind: category` to keep it as words"
    )


def _form_of(column: ColumnSchema) -> str:
    form = column.form
    parts = [f"decimal {form.decimal!r}"] if form.decimal != "." else []
    parts += [f"thousands {form.thousands!r}"] if form.thousands else []
    parts += [form.unit] if form.unit else []
    parts += [form.dates] if form.dates else []
    return f" ({', '.join(parts)})" if parts else ""
