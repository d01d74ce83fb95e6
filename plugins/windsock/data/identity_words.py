"""Identities that are text: whether ``7``, ``7.0`` and ``007`` are one of them or three."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.data.column_text import matches, replaced
from windsock.data.read_columns import NUMERIC, Asked

MOST_STRAY = 0.05
"""So large a share of codes among whole numbers is a slip; with more of them the entity is codes."""

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

WHOLE = r"^[+-]?[0-9]+(\.0+)?$"
PADDED = r"^[+-]?0[0-9]"


def identity_words(
    words: pa.Array, valued: NDArray[Any], asked: Asked
) -> tuple[pa.Array, bool | None, NDArray[Any]]:
    """Return identities as they are told apart, whether all are whole numbers, and which were changed.

    Whole numbers are the same identity however a program wrote them: as ``7.0`` where a gap had made floats
    of them, or as ``007``. The first file that is accepted decides: one with a code such as ``007`` holds
    text, and so do later ones. What the model's file says counts over that.

    :param valued: which of the words are values.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    some = words.filter(pa.array(valued))
    whole = _held_whole(asked)
    if whole is None and len(some):
        whole = bool(matches(some, WHOLE).all()) and not matches(some, PADDED).any()
    if not whole:
        return words, whole, valued & False
    plain = replaced(words, r"^\+?(-?)0*([0-9]+)(\.0+)?$", r"\1\2")
    changed = pc.not_equal(plain, words).to_numpy(zero_copy_only=False)
    return plain, whole, changed & valued


def stray_words(words: pa.Array, valued: NDArray[Any], asked: Asked) -> NDArray[Any]:
    """Return which words kept a new entity of whole numbers from being whole; none where that is decided.

    A code, such as ``A7``, or a number with zeros before it, such as ``007``.
    """
    if _held_whole(asked) is not None:
        return valued & False
    stray: NDArray[Any] = valued & ~(matches(words, WHOLE) & ~matches(words, PADDED))
    return stray


def _held_whole(asked: Asked) -> bool | None:
    if asked.held is not None and asked.held.kind in NUMERIC:
        return True
    forms = (asked.held.form if asked.held else None, asked.form)
    return next((form.whole for form in forms if form is not None and form.whole is not None), None)
