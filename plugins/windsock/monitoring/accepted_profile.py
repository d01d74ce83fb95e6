"""The profile of rows that were answered: what windows are held against once their drift is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windsock.monitoring.drift_columns import UNREADABLE_SHARE, judge_columns
from windsock.monitoring.drift_rows import to_schema
from windsock.monitoring.drift_tests import FLOOR, weights_of
from windsock.monitoring.drift_verdict import WindowJudgement, judge_window
from windsock.ports import LoadedBundle, Ports
from windsock.records import ColumnKind, ColumnProfile, DriftProfile, InputField, Span
from windsock.spec import SEED, ModelSpec
from windsock.statistics.profiling import build_profile, describe_column
from windsock.statistics.seasons import like_profile, overlap

if TYPE_CHECKING:
    from windsock.statistics.counting import WindowCounts

MOST_ROWS = 50_000
"""Rows of a sample; with more, no limit of a test would be another one."""


def profile_rows(
    spec: ModelSpec, ports: Ports, bundle: LoadedBundle, span: Span
) -> tuple[DriftProfile, tuple[str, ...]] | None:
    """Return the profile of the rows that a version answered in a stretch, and the columns that are unread.

    What rows of so short a time cannot tell is the version's own: the importance of columns, how far they
    differ from one part of time to the next, and the outcomes. A column that cannot be read, such as an
    encrypted one without its key, keeps the version's own profile.

    :returns: ``None`` where there are fewer rows than anything can be said of, or no profile.
    :raises StorageError: if the log cannot be read.
    """
    own = bundle.profile
    if own is None:
        return None
    name, digest = spec.name, bundle.digest
    frame = ports.rows.sample(name, span, schema=bundle.schema, digest=digest, limit=MOST_ROWS, seed=SEED)
    if len(frame) < FLOOR:
        return None
    fields = [field for field in bundle.schema.fields if own.column(field.name) is not None]
    made = build_profile(to_schema(frame, bundle.schema), fields)
    unread = _unread(own, ports.counter.count(name, digest, own, span))
    described = {column.name: column for column in made.columns}
    columns = [
        column
        if column.name in unread or column.name not in described
        else _kept(column, described[column.name], span)
        for column in own.columns
    ]
    score = own.score
    if score is not None:
        named = InputField(name=score.name, kind=ColumnKind.NUMBER)
        score = _kept(score, describe_column(frame["score"].astype("float64"), named), span)
    profile = own.replace(
        rows=len(frame),
        columns=tuple(columns),
        minimum_rows=made.minimum_rows,
        score=score,
        performance=None,
        accepted=True,
    )
    return _weighed(profile, ports.counter.count(name, digest, profile, span), unread), unread


def judge_against(
    spec: ModelSpec, ports: Ports, bundle: LoadedBundle, profile: DriftProfile, window: Span
) -> WindowJudgement:
    """Return what a window comes to when it is held against a profile, by counts alone."""
    counts, rule = ports.counter.count(spec.name, bundle.digest, profile, window), spec.monitoring.drift
    like = like_profile(profile, window)
    return judge_window(like, counts, judge_columns(like, counts, rule), rule)


def _unread(own: DriftProfile, counts: WindowCounts) -> tuple[str, ...]:
    """Return the names of columns of which too many values are of another kind, or encrypted."""
    seen = counts.columns
    return tuple(
        column.name
        for column in own.columns
        if column.name in seen and seen[column.name].unreadable > UNREADABLE_SHARE * seen[column.name].total
    )


def _kept(own: ColumnProfile, made: ColumnProfile, span: Span) -> ColumnProfile:
    """Return a column of the accepted rows with what a few windows cannot show: that is the version's own.

    What recurs by weekday or hour widens the limits, from the accepted windows' places in the cycle on.
    """
    season = own.season
    if season is not None:
        shares = zip(overlap(span, season.cycle, season.zone), season.rows, strict=True)
        reference = tuple(round(share * rows) for share, rows in shares)
        season = season.replace(reference=reference) if any(reference) else None
    return made.replace(
        importance=own.importance,
        wobble=own.wobble,
        recurring=own.recurring,
        lasted=own.lasted,
        season=season,
    )


def _weighed(profile: DriftProfile, counts: WindowCounts, unread: tuple[str, ...]) -> DriftProfile:
    """Return the profile in which rows of one unit count for as much as they say."""
    columns = [column if column.name in unread else _effect(column, counts) for column in profile.columns]
    score = profile.score
    if score is not None and counts.scores is not None:
        weight = weights_of(score, counts.scores).window
        score = score.replace(design_effect=max(1.0, 1 / weight) if weight else 1.0)
    return profile.replace(columns=tuple(columns), score=score)


def _effect(column: ColumnProfile, counts: WindowCounts) -> ColumnProfile:
    seen = counts.columns.get(column.name)
    weight = weights_of(column, seen).window if seen is not None else 1.0
    return column.replace(design_effect=max(1.0, 1 / weight) if weight else 1.0)
