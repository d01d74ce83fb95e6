"""A column's different words: how they match, how they look, and what they are found to be."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from windsock.records import ColumnKind, ValueForm

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

MOST_SHAPES = 5
LONGEST_SHAPE = 30
LETTER, DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")


@dataclass(frozen=True, kw_only=True)
class Fit:
    """One reading of a column's different words.

    :param values: for each word its value; microseconds since 1970 of a time. Where it does not fit: any.
    :param fits: which words are of this kind.
    :param doubt: which other reading is possible, and the key that settles it.
    :param possible: with a doubt: the words that fit, and those that more than one reading fits.
    :param words: of truths: the words for true and false.
    :param remarks: what else should be said, without a value.
    """

    kind: ColumnKind
    values: NDArray[Any]
    fits: NDArray[Any]
    form: ValueForm = ValueForm()
    doubt: str = ""
    possible: NDArray[Any] | None = None
    words: tuple[str, str] | None = None
    remarks: tuple[str, ...] = ()

    @property
    def reach(self) -> NDArray[Any]:
        """Which words are of this kind in one reading or another."""
        return self.fits if self.possible is None else self.possible

    def noting(self, remark: str) -> Fit:
        """Return it with one more remark."""
        return replace(self, remarks=(*self.remarks, remark))


def matches(words: pa.Array, pattern: str) -> NDArray[Any]:
    """Return which words a pattern is found in."""
    import pyarrow.compute as pc

    return as_numpy(pc.match_substring_regex(words, pattern))


def as_numpy(array: pa.Array) -> NDArray[Any]:
    """Return an array without nulls as numpy has it."""
    made: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return made


def all_match(words: pa.Array, pattern: str) -> bool:
    """Return whether a pattern is found in every word; the first ones are tried first."""
    few = words.slice(0, 100)
    return bool(matches(few, pattern).all()) and (
        len(words) == len(few) or bool(matches(words, pattern).all())
    )


def replaced(words: pa.Array, pattern: str, by: str) -> pa.Array:
    """Return the words with all places that a pattern fits replaced."""
    import pyarrow.compute as pc

    return pc.replace_substring_regex(words, pattern=pattern, replacement=by)


def shape_of(word: str) -> str:
    """Return how a value looks: a digit is 9, a letter a."""
    shape = LETTER.sub("a", DIGIT.sub("9", word))
    return shape if len(shape) <= LONGEST_SHAPE else f"{shape[: LONGEST_SHAPE - 3]}..."


def shapes_of(words: list[str], counts: NDArray[Any]) -> tuple[str, ...]:
    """Return how values look, the most frequent first."""
    weights: dict[str, int] = {}
    for word, count in zip(words, counts.tolist(), strict=True):
        shape = shape_of(word)
        weights[shape] = weights.get(shape, 0) + count
    return tuple(sorted(weights, key=lambda shape: (-weights[shape], shape)))
