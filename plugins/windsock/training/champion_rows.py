"""The held-out rows that a champion understands: those whose categories it saw when it was trained.

To a pipeline a word that it never saw is like no word at all. A column whose words are written in another
way would make any champion look beaten, so rows with such words are left out of the comparison with it, for
both sides; and where few rows are left, there is no comparison.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from windsock.exceptions import DataRefusedError
from windsock.ports import LoadedBundle
from windsock.records import Answer, ColumnKind, ColumnProfile
from windsock.records.values import category_text

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

MOST_UNSEEN = 0.05
"""Up to this share of rows with unseen words all rows are compared."""
MOST_LEFT_OUT = 0.5
MIN_COMPARED = 10
"""So many held-out rows a comparison needs; as many as a snapshot must have."""
DEVIATIONS = 3
UNSEEN_CODE = "WS-EVALUATION-006"
LEFT_OUT_CODE = "WS-EVALUATION-007"


class Understood(NamedTuple):
    """Which rows a champion understands.

    :param rows: for each row whether it does; ``None``: it is compared on all.
    :param note: which columns leave how many rows out.
    """

    rows: NDArray[Any] | None = None
    note: str = ""


def understood_rows(known: pd.DataFrame, champion: LoadedBundle, truth: NDArray[Any]) -> Understood:
    """Return the rows that a champion is compared on.

    In a column of many rare words, such as names, new ones are expected: as many as words stood in one
    training row alone (Good 1953). Only what goes beyond that leaves rows out.

    :param known: held-out rows as the champion would have read them.
    :param truth: the rows' labels.
    :raises DataRefusedError: if more than half of the rows, too many to compare on the others, or all rows
        of a class would be left out.
    """
    import numpy as np

    unseen = np.zeros(len(known), dtype=bool)
    shares: dict[str, float] = {}
    for field in champion.schema.fields:
        if field.kind is not ColumnKind.CATEGORY or field.name not in known.columns:
            continue
        rows = _unseen(known[field.name], seen_words(champion, field.name))
        share = float(rows.mean()) if len(rows) else 0.0
        if share > _expected(champion, field.name, len(rows)):
            unseen |= rows
            shares[field.name] = share
    if not len(known) or unseen.mean() <= MOST_UNSEEN:
        return Understood()
    columns = ", ".join(f"{name!r} ({share:.1%} of the rows)" for name, share in shares.items())
    out = f"{int(unseen.sum()):,} of {len(known):,} held-out rows"
    _require_enough(unseen, truth, champion.schema.answer, columns, out)
    note = f"{out} are left out: the champion never saw their words in {columns}"
    log.warning("%s: %s", LEFT_OUT_CODE, note)
    return Understood(rows=~unseen, note=note)


def _require_enough(
    unseen: NDArray[Any], truth: NDArray[Any], answer: Answer, columns: str, out: str
) -> None:
    left = int((~unseen).sum())
    why = ""
    if unseen.mean() > MOST_LEFT_OUT:
        why = f"limit {MOST_LEFT_OUT:.0%}"
    elif left < MIN_COMPARED:
        why = f"{left} are left, at least {MIN_COMPARED} needed"
    elif answer is Answer.CLASS and set(truth.tolist()) - set(truth[~unseen].tolist()):
        why = "the others lack a class"
    if why:
        raise DataRefusedError(
            f"{out} have words that the champion never saw, in {columns}; {why}",
            code=UNSEEN_CODE,
            next_action="If the words are only written in another way, write them as before at the source; "
            "if they are new, let a person decide with `gate.on_insufficient: ask`.",
        )


def seen_words(champion: LoadedBundle, name: str) -> frozenset[str] | None:
    """Return all words that a category had in the champion's training rows; ``None``: not known."""
    encoded = _encoded(champion.pipeline, name)
    profile = _profile(champion, name)
    if encoded is None and (profile is None or profile.other or not profile.categories):
        return None
    return (encoded or frozenset()) | frozenset(profile.categories if profile else ())


def _encoded(pipeline: Any, name: str) -> frozenset[str] | None:
    """Return a category's words as the pipeline's encoder has them."""
    preprocessing = getattr(pipeline, "named_steps", {}).get("preprocessing")
    for _, encoder, columns in getattr(preprocessing, "transformers_", ()):
        if hasattr(encoder, "categories_") and name in list(columns):
            words = encoder.categories_[list(columns).index(name)]
            return frozenset(word for word in words.tolist() if isinstance(word, str))
    return None


def _profile(champion: LoadedBundle, name: str) -> ColumnProfile | None:
    return champion.profile.column(name) if champion.profile is not None else None


def _unseen(values: pd.Series[Any], seen: frozenset[str] | None) -> NDArray[Any]:
    import numpy as np

    if seen is None:
        return np.zeros(len(values), dtype=bool)
    there = values.notna().to_numpy()
    words = values.map(category_text, na_action="ignore")
    rows: NDArray[Any] = there & ~words.isin(seen).to_numpy()
    return rows


def _expected(champion: LoadedBundle, name: str, rows: int) -> float:
    """Return up to which share of rows unseen words are no surprise."""
    profile = _profile(champion, name)
    if profile is None or not profile.rows or not rows:
        return 0.0
    once = sum(count == 1 for count in profile.categories.values())
    if profile.other:  # the rarest words are not named: each may have stood once
        words = len(seen_words(champion, name) or ()) - len(profile.categories)
        once += min(profile.other, words)
    share = min(1.0, once / profile.rows)
    return share + DEVIATIONS * math.sqrt(share * (1 - share) / rows)
