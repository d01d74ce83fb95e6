"""The champion asked in its own words: a snapshot's columns as the champion would have read them.

A column that has changed its kind since is turned back into the source's words, and these are read as the
champion's field reads them. Where the words are lost, or too many mean nothing to it, there is no comparison:
a champion that cannot understand the rows looks beaten by anything. So there is none where the same words
have become other values since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.exceptions import DataRefusedError
from windsock.ports import LoadedBundle
from windsock.records import Answer, ColumnKind, ColumnSchema, DataSnapshot, InputField, InputSchema
from windsock.records.source_words import NO_VALUE, Reading
from windsock.records.values import MOST_UNREAD
from windsock.training.champion_forms import (
    FEATURE_CODE,
    NUMBERS,
    OR_ASK,
    require_same_form,
    without_null_words,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

TARGET_CODE = "WS-EVALUATION-005"


def in_champion_words(rows: pd.DataFrame, champion: LoadedBundle, snapshot: DataSnapshot) -> pd.DataFrame:
    """Return rows of a snapshot with the columns that the champion needs, as it would have read them.

    :param rows: typed as the snapshot says.
    :raises DataRefusedError: if it would not understand a column; the message names it and both kinds, the
        next action what settles it.
    """
    import pandas as pd

    columns = {}
    for field in champion.schema.fields:
        column = snapshot.column(field.name)
        if column is not None and field.name in rows.columns:
            columns[field.name] = _read(rows[field.name], field, column, champion, snapshot)
        elif field.required:
            raise DataRefusedError(
                f"column {field.name!r} is not in the snapshot, and the champion needs it",
                code=FEATURE_CODE,
                next_action=f"Bring the column back at the source, {OR_ASK}.",
            )
    return pd.DataFrame(columns, index=rows.index)


def require_same_classes(
    truth: NDArray[Any], champion: InputSchema, schema: InputSchema, target: ColumnSchema | None
) -> None:
    """Refuse rows whose labels are not in the champion's own classes.

    :param truth: the rows' labels, as the new model reads them.
    :param schema: the new model's schema.
    :param target: the snapshot's target.
    :raises DataRefusedError: if they are classes of another kind, other words, or classes that the champion
        does not know.
    """
    if schema.answer is Answer.NUMBER:
        return
    name = target.name if target is not None else "target"
    theirs, ours = ({type(label).__name__ for label in one.classes} for one in (champion, schema))
    if theirs != ours:
        raise DataRefusedError(
            f"target {name!r}: the champion's classes are {_kinds(theirs)}, this model's are {_kinds(ours)}",
            code=TARGET_CODE,
            next_action=_target_fix(name, theirs),
        )
    if target is not None and _other_words(champion, target):
        raise DataRefusedError(
            f"target {name!r}: other words mean true and false than for the champion",
            code=TARGET_CODE,
            next_action=f"Write the words of before at the source, {OR_ASK}.",
        )
    known = set(champion.classes)
    foreign = [label for label in truth.tolist() if label not in known]
    if foreign:
        raise DataRefusedError(
            f"target {name!r}: {len(foreign):,} of {len(truth):,} held-out rows are of {len(set(foreign))} "
            "class(es) that the champion does not know",
            code=TARGET_CODE,
            next_action=f"Mend the classes at the source if they are mistakes, {OR_ASK}.",
        )


def _read(
    values: pd.Series[Any],
    field: InputField,
    column: ColumnSchema,
    champion: LoadedBundle,
    snapshot: DataSnapshot,
) -> pd.Series[Any]:
    there = column.values_among(snapshot.rows)
    if column.unread > MOST_UNREAD * there:
        raise _refused(field, column, f"{column.unread:,} of {there:,} values could not be read")
    require_same_form(field, column, champion)
    _require_same_missing(values, field, column, champion)
    values = without_null_words(values, field, column)
    theirs, ours = _reading(field), _reading(column)
    same = field.kind is column.kind or {field.kind, column.kind} == set(NUMBERS)
    if same and (field.kind is not ColumnKind.BOOLEAN or theirs.truths == ours.truths):
        return values
    return _by_words(values, field, column, champion)


def _require_same_missing(
    values: pd.Series[Any], field: InputField, column: ColumnSchema, champion: LoadedBundle
) -> None:
    """Refuse a category whose words such as NA were categories for the champion and are missing now."""
    profile = champion.profile.column(field.name) if champion.profile is not None else None
    if profile is None or field.kind is not ColumnKind.CATEGORY:
        return
    gone = int(values.isna().sum())
    words = {word for word in profile.categories if word.lower() in NO_VALUE} - set(values.dropna().unique())
    if words and gone > MOST_UNREAD * len(values):
        raise _refused(field, column, f"{gone:,} of {len(values):,} are missing that were words such as NA")


def _by_words(
    values: pd.Series[Any], field: InputField, column: ColumnSchema, champion: LoadedBundle
) -> pd.Series[Any]:
    """Read a column by the source's words, each different one once."""
    import pandas as pd

    theirs, meanings, unread = _reading(field), {}, set()
    known = values[values.notna()]
    for value in known.unique().tolist():
        word = _word(value, column)
        if word is None:
            raise _refused(field, column, "the words that the source wrote are not known any more")
        try:
            meanings[value] = theirs.read(word)
        except ValueError:
            unread.add(value)
        else:
            if field.kind is ColumnKind.CATEGORY and not _has_seen(champion, field.name, word):
                unread.add(value)
    lost = int(known.isin(list(unread)).sum())
    if lost > MOST_UNREAD * len(known):
        raise _refused(field, column, f"{lost:,} of {len(known):,} values mean nothing to it")
    read = pd.Series([None] * len(values), index=values.index, dtype=object)
    read[known.index] = [meanings.get(value) for value in known.tolist()]
    return read


def _word(value: Any, column: ColumnSchema) -> str | None:
    """Return a typed value's word in the source; ``None`` where it is not known for sure."""
    if column.kind in (ColumnKind.NUMBER, ColumnKind.DATETIME):
        return None  # 19.9 may have been 19.90, and a day has many forms
    if column.kind is ColumnKind.INTEGER:
        plain = not (column.form.thousands or column.form.unit)
        return str(int(value)) if plain else None
    return _reading(column).word_of(value)


def _has_seen(champion: LoadedBundle, name: str, word: str) -> bool:
    """Return whether the champion's training rows had a category: it was a word of the source then."""
    profile = champion.profile.column(name) if champion.profile is not None else None
    return profile is not None and (word in profile.categories or profile.other > 0)


def _reading(column: InputField | ColumnSchema) -> Reading:
    return Reading(kind=column.kind, true_word=column.true_word, false_word=column.false_word)


def _refused(field: InputField, column: ColumnSchema, why: str) -> DataRefusedError:
    return DataRefusedError(
        f"column {field.name!r} is read as {field.kind.value} by the champion and as {column.kind.value} in "
        f"the snapshot; {why} (limit {MOST_UNREAD:.0%})",
        code=FEATURE_CODE,
        next_action=f"Write `data.columns.{field.name}.kind: {field.kind.value}`, adopt a contract file "
        f"(`windsock data contract`), {OR_ASK}.",
    )


def _other_words(champion: InputSchema, target: ColumnSchema) -> bool:
    words = champion.label_words
    if words is None or target.kind is not ColumnKind.BOOLEAN:
        return False
    theirs = Reading(kind=ColumnKind.BOOLEAN, true_word=words[0], false_word=words[1])
    return theirs.truths != _reading(target).truths


LABEL_KINDS = {"bool": "booleans", "int": "integers", "str": "text", "float": "numbers"}
FIXED_KINDS = {"bool": "boolean", "int": "integer", "str": "category", "float": "number"}


def _kinds(names: set[str]) -> str:
    return " and ".join(sorted(LABEL_KINDS[name] for name in names))


def _target_fix(name: str, theirs: set[str]) -> str:
    kind = FIXED_KINDS[next(iter(sorted(theirs)))]
    return f"Write `data.columns.{name}.kind: {kind}` or the labels of before at the source, {OR_ASK}."
