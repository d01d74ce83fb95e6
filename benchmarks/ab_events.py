"""What judging a rollout costs: 10 million exposures of 2 million units, outcomes for a tenth of them.

One exposure of fifty got no answer, half of the outcomes name their unit, and the plan has an attribution
and a cap, as a plan has by itself.

Hours of the archive are written by the archive's own writer, then counted as housekeeping and judging would:
all of them cold, one more hour on top, once more with nothing new, and with a running hour that is not
archived yet. A tenth of the rows shows what grows with them. Each measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import Bar, measure, report

MODEL, EXPERIMENT = "bench", "v2-e7"
CHAMPION, CHALLENGER = "a" * 64, "b" * 64
START = datetime(2026, 5, 1, tzinfo=UTC)
HOUR_ROWS = 500_000
UNITS_PER_ROW = 0.2
OUTCOMES_PER_ROW = 0.1
REFUSED_EVERY = 50
KINDS = ("predictions", "unanswered", "outcomes")
GROUP_ROWS = 32_768
LIVE_ROWS = 100_000
JUDGE_SECONDS = 1.0
MORE_MEMORY = 1.3
"""Peak memory with ten times the rows, against that with a tenth."""
MOST_MIB = 1024
"""Of the process that counts, whatever the size: its database has a limit, the rest is what it imports."""
SEED = 20260501


def make_hour(root: Path, hour: int, *, hours: int, rows: int) -> None:
    """Write an hour of predictions and of outcomes as housekeeping archives them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    draw = np.random.default_rng(SEED + hour)
    units = int(hours * rows * UNITS_PER_ROW)
    begin = START + timedelta(hours=hour)
    unit = draw.integers(0, units, rows)
    number = np.arange(rows, dtype=np.int64) + hour * rows
    challenger = (unit * 2_654_435_761 % 10_000) < 5_000
    columns: dict[str, Any] = {
        "prediction_id": identifiers(number),
        "model": MODEL,
        "version": pa.array(np.where(challenger, "2", "1")),
        "digest": pa.array(np.where(challenger, CHALLENGER, CHAMPION)),
        "variant": pa.array(np.where(challenger, "challenger", "champion")),
        "experiment": EXPERIMENT,
        "unit": texts("customer-", unit),
        "epoch": pa.array(np.full(rows, 7)),
        "receive_time": moments(begin, rows),
        "score": pa.array(draw.random(rows)),
        "prediction": pa.array(np.where(draw.random(rows) < 0.1, "true", "false")),
        "inference_ms": pa.array(draw.lognormal(0, 0.5, rows)),
    }
    is_refused = number % REFUSED_EVERY == 0
    for kind, mine in (("predictions", ~is_refused), ("unanswered", is_refused)):
        kept = {
            name: one if isinstance(one, str) else one.filter(pa.array(mine)) for name, one in columns.items()
        }
        write(root, kind, hour, kept | {"cause": "failed"}, int(mine.sum()))
    count = int(rows * OUTCOMES_PER_ROW)
    whose = draw.choice(np.arange((hour + 1) * rows), count, replace=False)  # of this hour or one before
    by_unit, event = pa.array(np.arange(count) % 2 == 0), pa.array(np.arange(count) + hour * count)
    nothing = pa.scalar(None, pa.string())
    write(
        root,
        "outcomes",
        hour,
        {
            "model": MODEL,
            "prediction_id": pc.if_else(by_unit, nothing, identifiers(whose)),
            "unit": pc.if_else(by_unit, texts("customer-", draw.choice(unit, count)), nothing),
            "event_id": pc.if_else(by_unit, texts("e", event), nothing),
            "outcome": pa.array(np.where(draw.random(count) < 0.3, "true", "false")),
            "receive_time": moments(begin + timedelta(seconds=1), count),
        },
        count,
    )


def identifiers(numbers: Any) -> Any:
    """Return texts as long as a prediction id, one for each number."""
    return texts("0b9f6c1e-77d2-4c1a-9c55-", numbers + 10**11)


def texts(begin: str, numbers: Any) -> Any:
    """Return numbers as texts that begin alike."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(begin, pa.array(numbers).cast(pa.string()), "")


def moments(begin: datetime, rows: int) -> Any:
    """Return times that are spread over an hour."""
    import numpy as np
    import pyarrow as pa

    first = int(begin.timestamp()) * 1_000_000
    return pa.array(first + np.arange(rows, dtype=np.int64) * (3_598_000_000 // rows))


def write(root: Path, kind: str, hour: int, columns: dict[str, Any], rows: int) -> None:
    """Write columns as the archive's file of an hour."""
    import numpy as np
    import pyarrow as pa

    from windsock.adapters.log_columns import archive_schema
    from windsock.adapters.log_format import hour_of
    from windsock.adapters.log_groups import Groups
    from windsock.adapters.log_leaves import Leaf, features_column

    leaves = {"age": Leaf.NUMBER, "plan": Leaf.TEXT} if kind == "predictions" else {}
    known = frozenset(leaves)
    schema = archive_schema(kind, leaves, {CHAMPION: known, CHALLENGER: known} if leaves else {})
    draw = np.random.default_rng(SEED)
    if leaves:
        ages, plans = pa.array(draw.normal(50, 10, rows)), pa.array(draw.choice(["basic", "full"], rows))
        columns["features"] = features_column({"age": ages, "plan": plans}, leaves, rows)
    made = []
    for field in schema:
        given = columns.get(field.name)
        if given is None or isinstance(given, str):
            made.append(pa.array([given], field.type).take(pa.array(np.zeros(rows, dtype=np.int64))))
        else:
            made.append(given if field.name == "features" else given.cast(field.type))
    table = pa.table(made, schema=schema)
    target = root / kind / MODEL / f"{hour_of(START + timedelta(hours=hour))}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root) as folder:
        groups = Groups(Path(folder))
        for begin in range(0, rows, GROUP_ROWS):
            groups.add(table.slice(begin, GROUP_ROWS))
        groups.write(target, kind, {b"windsock.segments": json.dumps([f"s{hour}"]).encode()})


def make_live(state: Path, hour: int, rows: int, units: int) -> None:
    """Write the segment of a running hour, one row to a line as a server writes single requests."""
    from windsock.adapters.log_format import hour_of, segment_folder

    begin = START + timedelta(hours=hour)
    folder = segment_folder(state, "predictions", MODEL, hour_of(begin))
    folder.mkdir(parents=True)
    shared = {"model": MODEL, "version": "1", "digest": CHAMPION, "variant": "champion"}
    shared |= {"experiment": EXPERIMENT, "epoch": 7, "client": None, "fallback_for": None}
    with (folder / "1.ndjson").open("w", encoding="utf-8") as stream:
        for row in range(rows):
            at = (begin + timedelta(microseconds=row * 1000)).isoformat().replace("+00:00", "Z")
            one = [f"live-{row}", f"customer-{row * 7919 % units}", None, 0.25, False, [41.5, "basic"]]
            line = {
                **shared,
                "receive_time": at,
                "inference_ms": 1.0,
                "fields": ["age", "plan"],
                "rows": [one],
            }
            stream.write(json.dumps(line) + "\n")


def look(folder: Path, hours: float) -> None:
    """Count as one look does; print seconds, peak memory, and what it came to."""
    from windsock.adapters.rollout_events import ArchiveRolloutEvents
    from windsock.adapters.storage import Storage
    from windsock.records import Rollout, RolloutPlan
    from windsock.spec import RolloutMetricBlock

    kinds = {
        "ctr": "rate",
        "conversion": "conversion",
        "accuracy": "accuracy",
        "errors": "errors",
        "slow": "slow",
    }
    plan = RolloutPlan(
        strategy="ab",
        shares=(5000,),
        bake="1h",
        check="1h",
        metric="ctr",
        metrics={name: RolloutMetricBlock(kind=kind) for name, kind in kinds.items()},  # type: ignore[arg-type]
        limits={},
        minimum_units=2,
        cycle="1d",
        looks=20,
        deadline="28d",
        alpha=0.05,
        slow_ms=3.0,
        attribution="7d",
        unit_cap=100,
    )
    rollout = Rollout(
        model=MODEL,
        experiment=EXPERIMENT,
        version="2",
        digest=CHALLENGER,
        bundle_uri="u",
        evidence_digest="e" * 64,
        champion_version="1",
        champion_digest=CHAMPION,
        plan=plan,
        step=0,
        step_epoch=7,
        step_since=START,
        started_at=START,
        salt="s",
    )
    events = ArchiveRolloutEvents(
        folder / "state",
        Storage(str(folder)),
        url=f"sqlite:///{folder / 'control.db'}",
        keys_dir=folder / "keys",
        roots=(),
        connections=str,
    )
    begin, used = time.perf_counter(), time.process_time()
    totals = events.totals(rollout, now=START + timedelta(hours=hours, minutes=2))
    told = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - used}
    told |= {"exposures": totals.champion.exposures + totals.challenger.exposures}
    told |= {"units": totals.units, "outcomes": totals.outcomes, "repeated": totals.repeated_outcomes}
    told["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(told))


def run(name: str, folder: Path, hours: float) -> dict[str, float]:
    """Look in a process of its own."""
    done = measure(name, [sys.executable, __file__, "--look", str(folder), "--hours", str(hours)])
    told: dict[str, float] = json.loads(done.output.splitlines()[-1])
    print(
        f"  {name}: {told['seconds']:.2f} s, {told['cpu']:.2f} s of processor, {told['mib']:.0f} MiB",
        flush=True,
    )
    return told


def scenario(folder: Path, hours: int, rows: int) -> dict[str, Any]:
    """Count an archive cold, one more hour, nothing new, and with a running hour."""
    from windsock.adapters.signing import create_keys

    folder.mkdir(parents=True)
    create_keys(folder / "keys")
    for hour in range(hours):
        make_hour(folder, hour, hours=hours, rows=rows)
    aside = folder / "aside"
    aside.mkdir()
    last = f"{START + timedelta(hours=hours - 1):%Y%m%dT%H}.parquet"
    for kind in KINDS:
        (folder / kind / MODEL / last).rename(aside / kind)
    print(f"{hours * rows:,} exposures:", flush=True)
    cold = run("cold", folder, hours)
    cold["rate_cpu"] = (hours - 1) * rows / cold["cpu"]
    cold["rate"] = (hours - 1) * rows / cold["seconds"]
    for kind in KINDS:
        (aside / kind).rename(folder / kind / MODEL / last)
    hour = run("one more hour", folder, hours)
    judged = run("nothing new", folder, hours)
    kept = sum(file.stat().st_size for file in (folder / "rollouts").rglob("*.parquet"))
    make_live(folder / "state", hours + 1, LIVE_ROWS, int(hours * rows * UNITS_PER_ROW))
    live = run("running hour", folder, hours + 1.5)
    return {
        "cold": cold,
        "hour": hour,
        "judged": judged,
        "live": live,
        "kept": kept,
        "hours": hours,
        "rows": rows,
    }


def main() -> int:
    """Run both sizes and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--look", type=Path)
    parser.add_argument("--hours", type=float, default=20)
    parser.add_argument("--rows", type=int, default=HOUR_ROWS, help="exposures in an hour")
    parser.add_argument("--folder", type=Path, help="below which the files are made, and removed")
    given = parser.parse_args()
    if given.look:
        look(given.look, given.hours)
        return 0
    if given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=given.folder) as name:
        small = scenario(Path(name) / "small", 2, given.rows)
        shutil.rmtree(Path(name) / "small")
        large = scenario(Path(name) / "large", int(given.hours), given.rows)
    return tell(small, large)


def tell(small: dict[str, Any], large: dict[str, Any]) -> int:
    """Print the table and hold the numbers against their limits."""
    table = [
        (
            f"{one['hours'] * one['rows']:,}",
            f"{one['judged']['units']:,}",
            f"{one['cold']['rate']:,.0f}",
            f"{one['hour']['seconds']:.2f}",
            f"{one['judged']['seconds']:.3f}",
            f"{one['live']['seconds']:.2f}",
            f"{one['cold']['mib']:.0f}",
            f"{one['judged']['mib']:.0f}",
            f"{one['kept'] / 2**20:.0f}",
        )
        for one in (small, large)
    ]
    header = ("exposures", "units", "rows/s cold", "an hour, s", "judged, s", "running hour, s")
    header += ("peak MiB cold", "peak MiB judged", "kept, MiB")
    expected = large["hours"] * large["rows"]
    bars = [
        Bar(bar="judging with all counted", value=large["judged"]["seconds"], unit="s", limit=JUDGE_SECONDS),
        Bar(
            bar="peak memory of judging, against a tenth of the rows",
            value=large["judged"]["mib"] / small["judged"]["mib"],
            unit="x",
            limit=MORE_MEMORY,
        ),
        Bar(bar="peak memory of counting", value=large["cold"]["mib"], unit="MiB", limit=MOST_MIB),
        Bar(
            bar="exposures counted of those written",
            value=large["judged"]["exposures"] / expected,
            unit="x",
            limit=1.0,
            at_most=False,
        ),
        Bar(bar="ingestion", value=large["cold"]["rate"], unit="rows/s"),
        Bar(bar="ingestion", value=large["cold"]["rate_cpu"], unit="rows/s of processor time"),
        Bar(bar="one more hour", value=large["hour"]["seconds"], unit="s"),
        Bar(
            bar=f"judging with a running hour of {LIVE_ROWS:,} rows", value=large["live"]["seconds"], unit="s"
        ),
        Bar(bar="kept", value=large["kept"] / 2**20, unit="MiB"),
    ]
    return report("ab_events", "Exposures and outcomes of a rollout, counted", header, table, bars)


if __name__ == "__main__":
    sys.exit(main())
