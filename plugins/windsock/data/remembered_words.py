"""Categories against the accepted snapshots: one word in place of many, or words that were never seen."""

from __future__ import annotations

from windsock.data.remembered import Finding, History, known_rows
from windsock.data.tolerance import Tolerance, error_of_share, what_was_seen
from windsock.records import ColumnKind, ColumnStatistics

SHARE = Tolerance(narrow=0.2, wide=0.2, jump=0.45)
TAKEN = 0.45
"""Share of all other words' rows that one word may take over."""
NEW = Tolerance(narrow=0.5, wide=0.8, jump=1.0)
"""Share of rows whose word was in no accepted snapshot: single new words are everyday."""
FLAG = 2
"""So many words has a flag."""
MOST_WORDS = 50
"""Of a column with more different values not all words are remembered, so none is known to be new."""


def judge_words(column: ColumnStatistics, rows: int, history: History) -> Finding | None:
    """Return what is wrong with a column's words, or ``None``.

    One word has taken over when it gained more than sampling explains, and a large part of the rows of all
    others. A column whose last accepted snapshot held one word only has nothing that could be taken over.
    """
    known = [one for one in history if one[0].shares]
    if not column.shares or not rows or not known or known[0][0].distinct <= 1:
        return None
    least = min(known_rows(*one) for one in known)
    if not _is_flag_off(column, known) and (found := _taken_over(column, rows, least, known)):
        return found
    return _never_seen(column, rows, known)


def _is_flag_off(column: ColumnStatistics, known: History) -> bool:
    """Return whether the rarer of a column's two words is missing now, as of a promotion that is over."""
    last = known[0][0]
    usual = max(last.shares, key=last.shares.__getitem__)
    return last.distinct == FLAG and set(column.shares) == {usual} and column.distinct == 1


def _taken_over(column: ColumnStatistics, rows: int, least: int, known: History) -> Finding | None:
    for word, share in column.shares.items():
        base = _base(column, word, known)
        if base is None:
            continue
        seen = what_was_seen(base, SHARE)
        limit = seen.high + max(
            seen.room, TAKEN * (1 - seen.high), error_of_share((share + seen.high) / 2, rows, least)
        )
        if share > limit:
            had = known[0][0].shares.get(word, 0.0)
            what = (
                f"{column.name}: one word has {share:.1%} of {rows:,} values, it had {had:.1%} in "
                f"the last accepted snapshot; at most {limit:.1%} expected"
            )
            return Finding(column=column.name, what=what, value=share, limit=limit, n=rows)
    return None


def _base(column: ColumnStatistics, word: str, known: History) -> list[float] | None:
    """Return a word's share in accepted snapshots.

    A word that the last one did not have may come as often as it once was, or as other words came.
    """
    shares = [one.shares.get(word, 0.0) for one, _ in known]
    if word in known[0][0].shares:
        return shares
    if column.kind is ColumnKind.INTEGER:
        return None  # a month, or another count that moves on
    pairs = zip(known, known[1:], strict=False)
    came = [max(_new(newer, older).values(), default=0.0) for (newer, _), (older, _) in pairs]
    return [max((*shares, *came))]


def _new(column: ColumnStatistics, older: ColumnStatistics) -> dict[str, float]:
    return {word: share for word, share in column.shares.items() if word not in older.shares}


def _never_seen(column: ColumnStatistics, rows: int, known: History) -> Finding | None:
    """Return whether nearly all words are new, as after a change of spelling."""
    if column.kind is ColumnKind.INTEGER or known[0][0].distinct > MOST_WORDS:
        return None
    ever = {word for one, _ in known for word in one.shares}
    new = sum(share for word, share in column.shares.items() if word not in ever)
    pairs = zip(known, known[1:], strict=False)
    came = [sum(_new(newer, older).values()) for (newer, _), (older, _) in pairs]
    seen = what_was_seen(came or [0.0], NEW)
    limit = seen.high + (seen.room if came else NEW.wide)
    if new <= limit:
        return None
    what = (
        f"{column.name}: {new:.1%} of {rows:,} values are words that no accepted snapshot had; "
        f"at most {limit:.1%} expected"
    )
    return Finding(column=column.name, what=what, value=new, limit=limit, n=rows)
