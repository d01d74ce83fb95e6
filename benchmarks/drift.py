"""A drift check of 50 columns: Windsock's counts beside Evidently, NannyML and a loop over scipy.

``--quick``: 100,000 and 500,000 rows in place of 1 and 5 million. All contenders run one after the other,
each in a process of its own; Windsock first and last. Reference and current rows of the others are plain
Parquet files; Windsock reads its profile and an hour of the prediction log, as the product does.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import drift_data as data
import pyarrow as pa
import pyarrow.parquet as pq
from drift_agreement import agreement
from harness import PROJECT, Bar, report
from serving_others import environments_folder

RIVALS = Path(__file__).resolve().parent / "drift_rivals"
NANNYML = ("nannyml==0.13.1", "statsmodels", "python-dateutil<3", "pyarrow")
WINDSOCK, EVIDENTLY, NANNY, NAIVE = "Windsock", "Evidently preset", "NannyML KS + chi2", "scipy loop"
WINDOW_HOURS = 720
HOUR_ROWS = 2_000
Figures = dict[str, Any]


def nannyml_python() -> str:
    """Return the interpreter of NannyML's environment, which is made first if it is not there."""
    folder = environments_folder() / "nannyml"
    note = folder / "bench-installed.txt"
    if not note.exists() or note.read_text(encoding="utf-8").split() != list(NANNYML):
        print(f"installing {' '.join(NANNYML)}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *NANNYML]
        subprocess.run(pip, check=True)
        note.write_text("\n".join(NANNYML) + "\n", encoding="utf-8")
    return str(folder / "bin" / "python")


def run(name: str, python: str, script: str, *given: Any) -> Figures:
    """Run a contender in a process of its own and return what it says of itself."""
    print(f"{name}: {script} {' '.join(Path(str(one)).name for one in given)}", file=sys.stderr, flush=True)
    command = [python, str(RIVALS / script), *map(str, given)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-3000:]}")
    figures: Figures = {"name": name, **json.loads(done.stdout.splitlines()[-1])}
    return figures


def windsock(profile: Path, storage: Path, first: int, last: int, *more: str) -> Figures:
    """Count hours of the log that were not counted before, and judge them."""
    shutil.rmtree(storage / "counts", ignore_errors=True)
    hours = [f"{data.START + timedelta(hours=hour):%Y%m%dT%H}" for hour in (first, last)]
    return run(WINDSOCK, sys.executable, "windsock_counts.py", profile, storage, *hours, *more)


def plain(columns: dict[str, Any], target: Path) -> Path:
    """Write rows as the others read them."""
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), target)
    return target


def write_month(storage: Path) -> None:
    """Write 720 hours of the log."""
    columns = data.make_columns(HOUR_ROWS, seed=3, drift=False)
    for hour in data.hours(WINDOW_HOURS + 24):
        data.write_hour(storage, hour, columns)


def row(figures: Figures, rows: int) -> tuple[str, ...]:
    """Return a line of the table."""
    return (
        str(figures["name"]),
        f"{rows:,}",
        f"{figures['wall']:.2f}",
        f"{figures['cpu']:.2f}",
        f"{figures['peak_mb']:.0f}",
        f"{figures['import_cpu']:.1f}",
        f"{len(figures['drifted'])}",
    )


def main() -> int:
    """Measure, print, write the result file."""
    quick = "--quick" in sys.argv
    rows, many = (100_000, 500_000) if quick else (1_000_000, 5_000_000)
    with tempfile.TemporaryDirectory(prefix="windsock-bench-") as name:
        folder = Path(name)
        reference = data.make_columns(rows, seed=1, drift=False)
        profile = folder / "profile.json"
        profile.write_text(data.make_profile(reference).model_dump_json(), encoding="utf-8")
        then = plain(reference, folder / "reference.parquet")
        current = data.make_columns(rows, seed=2, drift=True)
        now = plain(current, folder / "current.parquet")
        data.write_hour(folder / "one", data.START, current)
        del reference, current
        data.write_hour(folder / "many", data.START, data.make_columns(many, seed=2, drift=True))
        large = windsock(profile, folder / "many", 0, 1)
        shutil.rmtree(folder / "many")
        write_month(folder / "month")
        ours = [windsock(profile, folder / "one", 0, 1) for _ in range(3)]
        naive = run(NAIVE, sys.executable, "naive_loop.py", then, now)
        nanny = run(NANNY, nannyml_python(), "nannyml_ks.py", then, now)
        evidently = run(EVIDENTLY, sys.executable, "evidently_preset.py", then, now)
        ours += [windsock(profile, folder / "one", 0, 1) for _ in range(2)]
        month = windsock(profile, folder / "month", 7, WINDOW_HOURS + 7, "again")
        hours = [windsock(profile, folder / "month", hour, hour + 1) for hour in range(3)]
    middle = sorted(ours, key=lambda one: float(one["cpu"]))[len(ours) // 2]
    hour = sorted(hours, key=lambda one: float(one["cpu"]))[1]
    stored = {**month, "wall": month["again_wall"], "cpu": month["again_cpu"]}
    days = int(month["rows"])
    agreed = agreement()
    table = [row(one, rows) for one in (middle, naive, nanny, evidently)]
    table += [row(large, many), row({**hour, "name": "one hour"}, int(hour["rows"]))]
    table.append(row({**month, "name": "30 days, first time"}, days))
    table.append(row({**stored, "name": "30 days, once counted"}, days))
    found = set(middle["drifted"])
    planted = set(data.DRIFTED)
    times = [
        ("CPU of Evidently", evidently["cpu"] / middle["cpu"], 50),
        ("time of Evidently", evidently["wall"] / middle["wall"], 50),
        ("CPU of NannyML", nanny["cpu"] / middle["cpu"], 5),
        ("time of NannyML", nanny["wall"] / middle["wall"], 5),
        ("memory of the scipy loop", naive["peak_mb"] / middle["peak_mb"], 5),
    ]
    bars = [  # fixed costs are a large share of so few rows as the quick run has
        Bar(bar=name, value=value, unit="x", limit=None if quick else limit, at_most=False)
        for name, value, limit in times
    ]
    bars += [
        Bar(bar=f"memory at {many:,} rows", value=large["peak_mb"] / middle["peak_mb"], unit="x", limit=1.2),
        Bar(bar="CPU of 30 stored days to one hour", value=stored["cpu"] / hour["cpu"], unit="x", limit=2),
        Bar(bar="time of 30 stored days to one hour", value=stored["wall"] / hour["wall"], unit="x", limit=2),
        Bar(bar=f"CPU at {rows:,} rows", value=middle["cpu"], unit="s"),
        Bar(bar="planted drift missed", value=len(planted - found), unit="columns", limit=0),
        Bar(bar="columns flagged without drift", value=len(found - planted), unit="columns", limit=0),
        *agreed,
    ]
    header = ("contender", "rows", "wall s", "CPU s", "peak MiB", "import CPU s", "drifted")
    title = f"Drift of 50 columns: load and run, import apart ({PROJECT.name})"
    return report("drift_quick" if quick else "drift", title, header, table, bars)


if __name__ == "__main__":
    sys.exit(main())
