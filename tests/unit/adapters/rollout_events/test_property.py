"""Whatever comes in whatever order, is archived and counted how often: it comes to the plain count."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.builders import digest
from support.rollout_log import LANES, RolloutLog, at, happened, plan, refused, several, shown
from support.rollout_recount import naive, told_of
from windsock.adapters.log_format import hour_of
from windsock.adapters.prediction_archive import ParquetPredictionArchive

METRICS = plan().metrics
HOURS = 4
SINCE = 20
"""Minute of the first hour at which the step begins."""
PLANS = (
    plan(),
    plan(attribution="45m", unit_cap=2),
    plan(unit_cap=1, metrics={**METRICS, "rate": METRICS["rate"].replace(attribution="30m")}),
    plan(
        attribution="2h",
        metrics={
            **METRICS,
            "accuracy": METRICS["accuracy"].replace(attribution="20m"),
            "mean": METRICS["mean"].replace(attribution="1h"),
        },
    ),
)
CAUSES = ("invalid", "failed", "overloaded", "cancelled", "other_version")
BUNDLES = (*LANES, digest("9"))
"""Of the challengers by lane, and one that no rollout tries."""
TRIED = st.sampled_from([1, 1, 2, 3, 4])
MOMENT = st.integers(0, HOURS * 3600 - 1)
EXPOSED = st.tuples(
    MOMENT,
    st.integers(0, 11),  # prediction
    st.one_of(st.none(), st.integers(0, 4)),  # unit
    st.sampled_from(["champion", "challenger", "challenger", "shadow", "third"]),
    st.sampled_from([None, None, None, None, "champion", "challenger", "withdrawn"]),  # fallback for
    st.booleans(),
    st.sampled_from([5, 7, 7, 9]),  # epoch
    st.sampled_from([None, None, *CAUSES]),  # why it got no answer
    st.sampled_from([1, 1, 2, 2, 3, 4, 5]),  # lane of the challenger
)
HAPPENED = st.tuples(
    MOMENT,
    st.sampled_from(["prediction", "unit", "both"]),
    st.integers(0, 11),
    st.integers(0, 4),
    st.one_of(st.none(), st.integers(0, 6)),  # event
    st.sampled_from([True, False, 0, 1, 3, "2"]),
    st.sampled_from([None, None, 0, -200, -400, -4000, 500]),  # the client's clock, in seconds
)
PACE = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=HOURS, max_size=HOURS)


def _exposure(place: int, drawn: tuple[Any, ...]) -> Any:
    second, prediction, unit, variant, fallback, slow, epoch, cause, lane = drawn
    fields: dict[str, Any] = {
        "unit": None if unit is None else f"u{unit}",
        "receive_time": at(0) + timedelta(seconds=second, microseconds=place),
        "variant": variant,
        "epoch": epoch if second >= 60 * SINCE else 5,
    }
    if variant == "challenger":
        fields["digest"] = BUNDLES[lane - 1]
    if cause is not None:
        return refused(f"p{prediction}", cause=cause, **fields)
    if fallback == "withdrawn" or (fallback == "challenger" and lane > 1):
        fallback = f"{fallback}-{lane}"
    fields |= {"fallback_for": fallback, "inference_ms": 20.0 if slow else 1.0, "prediction": slow}
    return shown(f"p{prediction}", **fields)


def _outcome(place: int, drawn: tuple[Any, ...]) -> Any:
    second, by, prediction, unit, event, value, skew = drawn
    received = at(0) + timedelta(seconds=second, microseconds=500 + place)
    named: dict[str, Any] = {"event_id": None if event is None else f"e{event}"}
    if by == "unit":
        named["event_id"] = f"e{event}"
    if by != "unit":
        named["prediction_id"] = f"p{prediction}"
    if by != "prediction":
        named["unit"] = f"u{unit}"
    if skew is not None:
        named["event_time"] = received + timedelta(seconds=skew)
    return happened(value, receive_time=received, **named)


@given(
    exposed=st.lists(EXPOSED, min_size=40, max_size=40),
    told=st.lists(HAPPENED, min_size=30, max_size=30),
    late=st.one_of(st.just(set()), st.just(set()), st.sets(st.integers(0, 69), max_size=6)),
    pace=PACE,
    made=st.sampled_from(PLANS),
    tried=TRIED,
)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_it_comes_to_the_plain_count(exposed, told, late, pace, made, tried):
    rows = [_exposure(place, drawn) for place, drawn in enumerate(exposed)]
    rows += [_outcome(place, drawn) for place, drawn in enumerate(told)]
    one = several(tried, made, step_since=at(SINCE), started_at=at(SINCE))
    with TemporaryDirectory() as folder:
        log, written, waiting = RolloutLog(Path(folder)), [], []
        for hour, (in_parts, archives, looks) in enumerate(pace):
            begin, end = at(60 * hour), at(60 * hour + 60)
            held = {id(row) for place, row in enumerate(rows) if place in late and _is_of_step(row)}
            now = [row for row in rows if begin <= row.receive_time < end]
            waiting += [row for row in now if id(row) in held]
            now = [row for row in now if id(row) not in held]
            if looks:
                half = [row for row in now if row.receive_time < at(60 * hour + 30)]
                log.write(*half)
                written += half
                now = [row for row in now if row.receive_time >= at(60 * hour + 30)]
                assert told_of(log.totals(one, 60 * hour + 40)) == _plain(one, written)
            log.write(*(now[::2] if in_parts else now))
            log.write(*(now[1::2] if in_parts else ()))
            written += now
            if archives:
                log.archive(60 * hour + 61)
            if looks:
                assert told_of(log.totals(one, 60 * hour + 62)) == _plain(one, written)
            if hour == 2:
                log.write(*waiting)
                written, waiting = written + waiting, []
        log.write(*waiting)
        written += waiting
        for minute in (60 * HOURS + 1, 60 * HOURS + 2):
            assert told_of(log.totals(one, minute)) == _plain(one, written)
            log.archive(minute)


@given(
    exposed=st.lists(EXPOSED, min_size=30, max_size=30),
    told=st.lists(HAPPENED, min_size=20, max_size=20),
    late=st.sets(st.integers(0, 49), min_size=1, max_size=9),
    pace=PACE,
    made=st.sampled_from(PLANS),
    tried=TRIED,
)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_counted_hours_that_are_removed_stay_counted_and_late_rows_join_them(
    exposed, told, late, pace, made, tried
):
    """Each prediction and each event is there once; without the log it is not known which was the first."""
    variants = {"shadow": "champion", "third": "challenger"}
    rows = [
        _exposure(place, (second, place, unit, variants.get(variant, variant), *rest, 1 + lane % tried))
        for place, (second, _, unit, variant, *rest, lane) in enumerate(exposed)
    ]
    rows += [
        _outcome(place, (second, by, prediction, unit, place, *rest))
        for place, (second, by, prediction, unit, _, *rest) in enumerate(told)
    ]
    one = several(tried, made, step_since=at(SINCE), started_at=at(SINCE))
    with TemporaryDirectory() as folder:
        log, written = RolloutLog(Path(folder)), []
        for hour, (removes, archives, catches_up) in enumerate([*pace, (True, True, True)]):
            held = [row for place, row in enumerate(rows) if place in late and row not in written]
            held = [row for row in held if _is_of_step(row)]
            now = [row for row in rows if hour_of(row.receive_time) == hour_of(at(60 * hour))]
            now = [row for row in now if row not in held]
            if catches_up:
                now += [row for row in held if row.receive_time < at(60 * hour)]
            log.write(*now)
            written += now
            if archives:
                log.archive(60 * hour + 61)
            assert _known(told_of(log.totals(one, 60 * hour + 62))) == _known(_plain(one, written))
            if removes:  # all that is archived is counted
                archive = ParquetPredictionArchive(log.state, log.storage, now=lambda: at(0))
                archive.remove_older(at(60 * hour + 60))
        assert len(written) == len(rows)
        assert _known(told_of(log.totals(one, 60 * HOURS + 130))) == _known(_plain(one, written))


def _known(told: dict[str, Any]) -> dict[str, Any]:
    """Return totals without what late rows leave unknown: of whom the largest unit is that they move."""
    if told["moved"]:
        for arm in (told["champion"], told["challenger"], *told.get("others", ())):
            for sums in arm["metrics"].values():
                sums.pop("largest", None)
    return told


def _is_of_step(row: Any) -> bool:
    """Return whether a row is of the time that is not read once."""
    return bool(row.receive_time >= at(SINCE))


def _plain(one: Any, written: list[Any]) -> dict[str, Any]:
    exposures = [row for row in written if hasattr(row, "variant")]
    return naive(one, exposures, [row for row in written if not hasattr(row, "variant")])
