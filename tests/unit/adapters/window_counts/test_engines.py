"""Both engines count alike, whatever the rows are."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.builders import NOON, digest
from support.counted_logs import (
    NAMED,
    NAMES,
    PROFILE,
    VALUES,
    make_profile,
    write_damaged,
    write_sealed,
    write_values,
)
from support.logged_hours import DIGEST, LoggedHours, event, plain, span
from windsock.adapters.column_cipher import make_log_key
from windsock.adapters.log_leaves import fields_of, leaves_of
from windsock.adapters.log_reading import EVER, LogReader, moments_of
from windsock.adapters.window_counts import ArchiveWindowCounter
from windsock.adapters.window_counts.files import counts_of as counts_of_totals
from windsock.adapters.window_counts.files import decode, encode, totals_of
from windsock.adapters.window_counts.ibis_engine import IbisEngine, Source, make_query
from windsock.adapters.window_counts.ibis_query import GRID, Ends
from windsock.adapters.window_counts.parquet_engine import ParquetEngine
from windsock.adapters.window_counts.plan import Plan
from windsock.exceptions import SettingsError
from windsock.records import ColumnKind, DriftProfile, InputField, Span
from windsock.statistics.profiling import build_profile
from windsock.statistics.ties import Cuts

ENGINE = IbisEngine()


def profile_of(numbers: list[float], ties: list[int]) -> DriftProfile:
    size = min(len(numbers), len(ties))
    frame = pd.DataFrame(
        {
            "number": numbers[:size],
            "ties": [float(one) for one in ties[:size]],
            "text": [f"c{one}" for one in ties[:size]],
            "flag": [float(one % 2) for one in ties[:size]],
        }
    )
    kinds = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.CATEGORY, ColumnKind.BOOLEAN)
    fields = [InputField(name=name, kind=kind) for name, kind in zip(frame.columns, kinds, strict=True)]
    profile = build_profile(frame, fields)
    score = profile.columns[0].model_copy(update={"name": "score"})
    return profile.model_copy(update={"score": score})


PLAIN = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 1.0, 5e-324, 1e30, -1e30])
WILD = st.none() | PLAIN | st.sampled_from([1.1e30, -1e200, 0.1 + 0.2, 0.3])
TIES = st.integers(-3, 5)
ARMS = {0: "challenger", 1: "withdrawn-1", 2: "challenger-2"}
ROWS = st.lists(
    st.tuples(
        WILD,
        st.none() | TIES,
        st.none() | TIES.map(lambda one: f"c{one}") | st.sampled_from(["", "C1", "é", "null", "fernet:x"]),
        st.none() | st.booleans(),
        st.sampled_from([("champion", DIGEST), ("challenger", digest("c")), ("shadow", digest("d"))]),
        st.sampled_from([None, 0.001, 0.01, 1.0, 1.584893, 1e5, 1e9]),
        st.sampled_from([True, False, "yes", 3]),
    ),
    max_size=25,
)
ABOVE = [
    (0.7, 5, "c1", True, ("champion", DIGEST), 1.0, True),
    (1.5, -1, None, None, ("champion", DIGEST), 1.0, 3),
]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(PLAIN, min_size=1, max_size=300),
    st.lists(TIES, min_size=1, max_size=300),
    ROWS,
    st.integers(0, 3_600),
    st.booleans(),
)
@example([0.0], [-1], ABOVE, 3_600, False)
@example([-1.0, 0.1], [-1, -1], ABOVE, 3_600, True)
@example([0.7], [-3], ABOVE, 3_600, False)
def test_both_engines_count_alike(
    tmp_path_factory: pytest.TempPathFactory,
    numbers: list[float],
    ties: list[int],
    rows: list[Any],
    end: int,
    archived: bool,
) -> None:
    plan = Plan(digest=DIGEST, profile=profile_of(numbers, ties))
    log = LoggedHours(tmp_path_factory.mktemp("log"))
    for place, (number, tie, text, flag, (variant, of), milliseconds, prediction) in enumerate(rows):
        features = {"number": number, "ties": tie, "text": text, "flag": flag}
        if of != DIGEST:
            features.pop("flag")
        log.write(
            event(
                str(place),
                at=NOON + timedelta(seconds=60 * place),
                features=features,
                variant=variant,
                digest=of,
                score=number,
                inference_ms=milliseconds,
                prediction=prediction,
                fallback_for=ARMS.get(tie),
            )
        )
    if archived:
        log.archive()
    moments = moments_of(Span(start=NOON, end=NOON + timedelta(seconds=end + 1)))
    found = []
    for engine in (ParquetEngine(), ENGINE):
        with LogReader(log.folder, log.storage).hour("predictions", "churn", "20260501T12") as hour:
            found.append(plain(engine.count(hour, moments, plan)))
    assert found[0] == found[1]


@pytest.mark.parametrize("engine", [ParquetEngine(), ENGINE], ids=["parquet", "ibis"])
def test_rows_of_a_dropped_challenger_are_no_fallbacks(tmp_path: Path, engine: Any) -> None:
    log = LoggedHours(tmp_path)
    arms = (None, "challenger", "challenger-2", "champion", "withdrawn-1", "withdrawn-4", "withdrawn-4")
    for place, arm in enumerate(arms):
        log.write(event(str(place), fallback_for=arm))
    moments = moments_of(Span(start=NOON, end=NOON + timedelta(hours=1)))
    for _ in range(2):
        with LogReader(log.folder, log.storage).hour("predictions", "churn", "20260501T12") as hour:
            counts = engine.count(hour, moments, Plan(digest=DIGEST, profile=PROFILE))
        assert (counts.rows, counts.fallbacks) == (7, 3)
        log.archive()


SIXTHS = [(number / 6, (number + 1) / 6) for number in range(6)]
HARD_LOGS = {
    **{f"{kind.value} {values}": (write_values, (values,), kind) for kind, values, _ in VALUES},
    **{f"names {values}": (write_values, (values,), None) for values in NAMES},
}
"""What writes a log, with which values, and the kind of the column ``x``; ``None``: a category of numbers."""


def counts_of(
    log: LoggedHours, profile: DriftProfile, engine: str, *windows: Any, **options: Any
) -> list[Any]:
    """Return what an engine counts of windows, given in hours from noon; nothing is stored between them."""
    counter = ArchiveWindowCounter(log.folder, log.storage, now=lambda: log.now, engine=engine, **options)
    found = [plain(counter.count("churn", DIGEST, profile, span(*window))) for window in windows]
    log.storage.remove("counts")
    return found


@pytest.mark.parametrize("name", HARD_LOGS)
def test_both_engines_count_values_of_every_kind_alike(tmp_path: Path, name: str) -> None:
    write, given, kind = HARD_LOGS[name]
    log, profile = LoggedHours(tmp_path), NAMED if kind is None else make_profile(x=kind)
    write(log, *given)
    assert counts_of(log, profile, "parquet", (0, 1)) == counts_of(log, profile, "ibis", (0, 1))


@pytest.mark.parametrize("archived", [False, True])
def test_both_engines_share_damage_out_alike(tmp_path: Path, archived: bool) -> None:
    log = LoggedHours(tmp_path)
    write_damaged(log, archived=archived)
    windows = [*SIXTHS, (0, 1)]
    found = counts_of(log, PROFILE, "parquet", *windows)
    assert [(one["rows"], one["damaged"]) for one in found] == [(100, 4)] * 6 + [(600, 20)]
    assert counts_of(log, PROFILE, "ibis", *windows) == found


def test_both_engines_read_sensitive_values_alike(tmp_path: Path) -> None:
    log, keys = LoggedHours(tmp_path), tmp_path / "keys"
    keys.mkdir()
    make_log_key(keys)
    write_sealed(log, keys)
    found = counts_of(log, PROFILE, "parquet", (0, 1), keys_dir=keys)
    assert found[0]["columns"]["age"]["rows"] == 2
    assert counts_of(log, PROFILE, "ibis", (0, 1), keys_dir=keys) == found


@pytest.mark.parametrize("shape", ["normal", "lognormal", "poisson", "pareto", "constant"])
def test_both_engines_count_many_rows_alike(tmp_path: Path, shape: str) -> None:
    draw = np.random.default_rng(5)
    shapes = {
        "normal": lambda: draw.normal(size=5_000),
        "lognormal": lambda: draw.lognormal(0, 3, 5_000),
        "poisson": lambda: draw.poisson(2, 5_000).astype(float),
        "pareto": lambda: draw.pareto(0.3, 5_000),
        "constant": lambda: np.full(5_000, 7.0),
    }
    plan = Plan(digest=DIGEST, profile=profile_of(shapes[shape]().tolist(), list(range(5_000))))
    log = LoggedHours(tmp_path)
    values = np.concatenate([shapes[shape]()[:1_000], np.array(plan.profile.columns[0].edges)])
    log.write(*(event(str(n), features={"number": value}) for n, value in enumerate(values.tolist())))
    log.archive()
    found = []
    for engine in (ParquetEngine(), ENGINE):
        with LogReader(log.folder, log.storage).hour("predictions", "churn", "20260501T12") as hour:
            found.append(plain(engine.count(hour, moments_of(span(0, 1)), plan)))
    assert found[0] == found[1]
    assert found[0]["columns"]["number"]["rows"] == sum(math.isfinite(v) and abs(v) <= 1e30 for v in values)


@given(st.lists(st.floats(-1e30, 1e30), min_size=0, max_size=60, unique=True), st.floats(-1e30, 1e30))
def test_each_number_lies_in_one_interval_of_its_cell(edges: list[float], number: float) -> None:
    exact = np.sort(np.array(edges, dtype="float64"))
    ends = Ends.two_sided(Cuts(exact, exact))
    low, high, scale = ends.grid
    cell = math.floor((min(max(number, low), high) - low) * scale) if scale else 0
    assert 0 <= cell <= GRID + 1
    rows = ends.intervals()
    for off in (-1, 0, 1):  # however a system rounds
        here = (rows["cell"] == cell + off) & (rows["begin"] <= number) & (number < rows["end"])
        if off == 0:
            assert here.sum() == 1
            assert rows["interval"][here][0] == np.searchsorted(ends.ends, number, "right")
        else:
            assert here.sum() <= 1


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "databricks", "trino", "snowflake", "bigquery"])
def test_the_same_expression_is_sql_elsewhere(tmp_path: Path, dialect: str) -> None:
    import ibis

    log = LoggedHours(tmp_path)
    log.write(event("a", features={"number": 1.0, "ties": 2, "text": "c1", "flag": True}))
    with LogReader(log.folder, log.storage).hour("predictions", "churn", "20260501T12") as hour:
        (table,) = hour.tables(EVER)
    rows = ibis.table(ibis.Schema.from_pyarrow(table.schema), name="predictions")
    source = Source(rows, leaves_of(table.schema), fields_of(table.schema))
    query = make_query(source, Plan(digest=DIGEST, profile=profile_of([1.0, 2.0], [1, 2])))
    sql = str(ibis.to_sql(query.expression(), dialect=dialect)).lower()
    assert "group by" in sql
    assert "predictions" in sql


def test_without_ibis_the_cure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LoggedHours(tmp_path)
    log.write(event())
    monkeypatch.setitem(__import__("sys").modules, "ibis", None)
    plan = Plan(digest=DIGEST, profile=profile_of([1.0], [1]))
    with (
        LogReader(log.folder, log.storage).hour("predictions", "churn", "20260501T12") as hour,
        pytest.raises(SettingsError, match="not installed") as caught,
    ):
        IbisEngine().count(hour, EVER, plan)
    assert caught.value.code == "WS-MONITORING-013"


def many_texts() -> DriftProfile:
    """Return a profile of a category with more values than its rows have seen, of numbers and of booleans."""
    draw = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "text": [f"m{number}" for number in draw.zipf(1.4, 400).tolist()],
            "tenth": draw.choice([0.1, 0.2, 0.3], 400),
            "flag": draw.choice([0.0, 1.0], 400),
        }
    )
    kinds = (ColumnKind.CATEGORY, ColumnKind.NUMBER, ColumnKind.BOOLEAN)
    fields = [InputField(name=name, kind=kind) for name, kind in zip(frame.columns, kinds, strict=True)]
    profile = build_profile(frame, fields)
    assert profile.columns[0].many is not None
    return profile.model_copy(update={"score": profile.columns[1].model_copy(update={"name": "score"})})


@pytest.mark.parametrize("archived", [False, True])
def test_both_engines_count_units_buckets_and_tolerances_alike(tmp_path: Path, archived: bool) -> None:
    plan, log = Plan(digest=DIGEST, profile=many_texts()), LoggedHours(tmp_path)
    draw = np.random.default_rng(2)
    for number in range(120):
        tenth = float(draw.choice([0.1, 0.1000000001, float(np.float32(0.2)), 0.3, 0.31]))
        features: dict[str, Any] = {
            "text": [f"m{draw.zipf(1.4)}", "é", "new", None][int(draw.integers(4))],
            "tenth": tenth if number % 9 else None,
            "flag": bool(draw.integers(2)) if number % 7 else None,
        }
        log.write(
            event(
                str(number),
                at=NOON + timedelta(seconds=number),
                features=features,
                score=tenth,
                unit=f"u{draw.integers(15)}" if number % 5 else None,
                digest=DIGEST if number % 3 else digest("c"),
            )
        )
    if archived:
        log.archive()
    moments = moments_of(Span(start=NOON, end=NOON + timedelta(hours=1)))
    found = []
    for engine in (ParquetEngine(), ENGINE):
        with LogReader(log.folder, log.storage).hour("predictions", "churn", "20260501T12") as hour:
            found.append(engine.count(hour, moments, plan))
    ours, theirs = map(plain, found)
    assert ours == theirs
    text, tenth, _ = found[0].columns.values()
    assert text.rest is not None
    assert int(text.rest.sum()) == text.unseen > 0
    assert tenth.groups is not None
    assert int(tenth.groups.sum()) == 96  # the rows with a unit
    assert np.count_nonzero(tenth.groups.sum(axis=1)) > 5
    stored = decode(encode(totals_of(found[0], plan), {"name": "x"}), {"name": "x"}, plan)[0]
    assert plain(counts_of_totals(stored, plan)) == ours


def test_counts_without_units_have_the_form_that_they_always_had(tmp_path: Path) -> None:
    plan = Plan(digest=DIGEST, profile=many_texts())
    totals = totals_of(plan.nothing(), plan)
    assert totals.groups is None
    assert encode(totals, {}).startswith(b"WSCOUNT1")


def test_units_of_encrypted_values_are_grouped_without_bins(tmp_path: Path) -> None:
    plan, log = Plan(digest=DIGEST, profile=many_texts()), LoggedHours(tmp_path)
    for number in range(20):
        features = {"text": "fernet:x", "tenth": 0.1, "flag": True}
        log.write(event(str(number), features=features, unit=f"u{number % 4}"))
    moments = moments_of(Span(start=NOON, end=NOON + timedelta(hours=1)))
    with LogReader(log.folder, log.storage).hour("predictions", "churn", "20260501T12") as hour:
        text = ParquetEngine().count(hour, moments, plan).columns["text"]
    assert text.groups is not None
    assert int(text.groups[:, -1].sum()) == int(text.groups.sum()) == 20
