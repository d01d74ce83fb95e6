"""One million rows of 50 columns of a CSV file, read, typed and held against a contract; beside others.

Each reader runs in a process of its own, in turns. Yardsticks: polars with all types given, and polars
inferring over all rows. Polars is installed into a folder of its own, below ``$WINDSOCK_BENCH_CACHE``
(default: ``~/.cache/windsock-bench``), so that it is no dependency.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from windsock.records import ColumnKind, DataContract
    from windsock.spec import ModelSpec

ROWS, SEED, TURNS = 1_000_000, 7, 3
POLARS = "polars==2.1.0"
KINDS = (("number", 24), ("integer", 12), ("category", 8), ("datetime", 3), ("boolean", 2), ("entity", 1))
TARGET, ENTITY = "boolean_0", "entity_0"
LIMITS = {"types given": 3.0, "inferring": 1.5}


def names() -> list[tuple[str, str]]:
    """Return the columns and their kinds."""
    return [(f"{kind}_{place}", kind) for kind, count in KINDS for place in range(count)]


def write(file: Path, rows: int) -> None:
    """Write the table."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    rng = np.random.default_rng(SEED)
    made = {}
    for name, kind in names():
        if kind == "number":
            values = np.round(rng.lognormal(3, 1, rows), 3)
            made[name] = pa.array(values, mask=rng.random(rows) < 0.02)
        elif kind == "integer":
            made[name] = pa.array(rng.integers(0, 10 ** rng.integers(1, 7), rows))
        elif kind == "category":
            words = np.array([f"word {number}" for number in range(int(rng.integers(3, 400)))])
            made[name] = pa.array(words[rng.integers(0, len(words), rows)])
        elif kind == "datetime":
            seconds = rng.integers(1_700_000_000, 1_760_000_000, rows)
            moments = pa.array(seconds).cast(pa.timestamp("s"))
            made[name] = pa.compute.strftime(moments, format="%Y-%m-%dT%H:%M:%S")
        elif kind == "boolean":
            made[name] = pa.array(np.array(["no", "yes"])[rng.integers(0, 2, rows)])
        else:
            made[name] = pa.array([f"c{number:08}" for number in range(rows)])
    csv.write_csv(pa.table(made), file, csv.WriteOptions(quoting_style="none"))


def windsock_held(file: Path) -> int:
    """Read every column by what it means, and hold the rows against the contract."""
    return _windsock(file, held=True)


def windsock_first(file: Path) -> int:
    """Read every column by what its values show."""
    return _windsock(file, held=False)


def _windsock(file: Path, *, held: bool) -> int:
    """Do what the steps ``take_snapshot`` and ``validate_data`` do, without storing rows."""
    import pandas as pd

    from windsock.adapters.csv_source import read_csv
    from windsock.data.contract import InForce
    from windsock.data.contract_checks import hold_against
    from windsock.data.source_columns import SourceColumns, describe, in_threads, read_all
    from windsock.records import ColumnKind, DataSnapshot

    kinds = {name: ColumnKind.CATEGORY if kind == "entity" else ColumnKind(kind) for name, kind in names()}
    spec = _spec(file)
    contract = _contract(kinds)
    force = InForce(contract=contract, accepted=contract) if held else InForce()
    read = read_csv(file)
    reader = SourceColumns(spec, force, read.form)
    columns, _ = read_all(read.frame, reader, {})
    wrong = [column.name for column in columns if column.kind is not kinds[column.name] or column.unread]
    if wrong:
        raise SystemExit(f"read as another kind: {wrong}")
    if not held:
        return len(columns[0].values)
    described = in_threads(lambda column: describe(column, read.frame[column.name], reader, None), columns)
    frame = pd.concat({column.name: column.values for column in columns}, axis=1)
    snapshot = DataSnapshot(
        model=spec.name,
        digest="0" * 64,
        uri="",
        rows=len(frame),
        columns=tuple(described),
        source=str(file),
        taken_at=contract.decided_at,
    )
    compared = hold_against(force, spec, snapshot, frame)
    if compared.failed or compared.asks:
        raise SystemExit(f"the contract does not hold: {compared}")
    return len(frame)


def _spec(file: Path) -> ModelSpec:
    from windsock.spec import ModelSpec

    return ModelSpec.model_validate(
        {
            "model": {"name": "reading", "task": "classification"},
            "data": {
                "source": str(file),
                "target": TARGET,
                "entity": ENTITY,
                "positive": "yes",
            },
        }
    )


def _contract(kinds: dict[str, ColumnKind]) -> DataContract:
    """Return what the columns mean; of a category its words, of the entity that it is unique."""
    from windsock.records import ColumnKind, ColumnRole, ContractColumn, DataContract

    roles = {TARGET: ColumnRole.TARGET, ENTITY: ColumnRole.ENTITY}
    columns = []
    for name, kind in kinds.items():
        said: dict[str, Any] = {"role": roles.get(name, ColumnRole.FEATURE), "unique": name == ENTITY}
        if kind is ColumnKind.BOOLEAN:
            said |= {"true_word": "yes", "false_word": "no"}
        if kind is ColumnKind.CATEGORY and name != ENTITY:
            said["words"] = tuple(sorted(f"word {number}" for number in range(2)))
        columns.append(ContractColumn(name=name, kind=kind, **said))
    return DataContract(
        model="reading", version=1, columns=tuple(columns), positive="yes", decided_at=datetime.now(UTC)
    )


def given(file: Path) -> int:
    """Read with all types given."""
    import polars

    types = {"number": polars.Float64, "integer": polars.Int64, "datetime": polars.Datetime("us")}
    schema = {name: types.get(kind, polars.String) for name, kind in names()}
    return int(polars.read_csv(file, schema=schema).height)


def inferring(file: Path) -> int:
    """Read with types inferred over all rows."""
    import polars

    return int(polars.read_csv(file, infer_schema_length=None).height)


READERS = {
    "windsock, held": windsock_held,
    "windsock, first reading": windsock_first,
    "types given": given,
    "inferring": inferring,
}


def once(reader: str, file: Path) -> None:
    """Read once; print seconds, those of the processor, and the most memory that the process took."""
    import resource

    import pandas  # noqa: F401 - start-up of libraries is not measured
    import polars  # noqa: F401
    import pyarrow.compute
    import pyarrow.csv  # noqa: F401

    import windsock.adapters.csv_source
    import windsock.data.contract_checks
    import windsock.data.source_columns  # noqa: F401

    before, start = resource.getrusage(resource.RUSAGE_SELF), perf_counter()
    rows = READERS[reader](file)
    seconds, after = perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu": cpu, "mb": after.ru_maxrss / 1024}))


def polars_folder() -> Path:
    """Return the folder of polars, which is installed first if it is not there."""
    cache = Path(os.environ.get("WINDSOCK_BENCH_CACHE") or Path.home() / ".cache" / "windsock-bench")
    folder = cache / POLARS.replace("==", "-")
    if not folder.exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", str(folder), POLARS], check=True)
    return folder


def main() -> int:
    """Measure all readers in turns and print the table; 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--once", nargs=2, metavar=("READER", "FILE"))
    asked = parser.parse_args()
    if asked.once:
        once(asked.once[0], Path(asked.once[1]))
        return 0
    folders = [*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(polars_folder())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.csv"
        write(file, asked.rows)
        print(f"{asked.rows:,} x {len(names())}, {file.stat().st_size / 1e6:,.0f} MB; yardstick: {POLARS}")
        seen: dict[str, list[dict[str, float]]] = {name: [] for name in READERS}
        for _ in range(asked.turns):
            for name in READERS:
                command = [sys.executable, __file__, "--once", name, str(file)]
                seen[name].append(
                    json.loads(
                        subprocess.run(command, check=True, capture_output=True, env=environment).stdout
                    )
                )
    seconds = {name: median(one["seconds"] for one in turns) for name, turns in seen.items()}
    for name, turns in seen.items():
        cpu, most = median(one["cpu"] for one in turns), max(one["mb"] for one in turns)
        print(f"{name:<26}{seconds[name]:8.2f} s{cpu:8.2f} s of the processor{most:10,.0f} MB at most")
    broken = 0
    for name, limit in LIMITS.items():
        for ours in ("windsock, held", "windsock, first reading"):
            ratio = seconds[ours] / seconds[name]
            counted = ours == "windsock, held"
            verdict = ("ok" if ratio <= limit else "OVER") if counted else ""
            broken += verdict == "OVER"
            print(f"{ours:<26}{ratio:8.2f} x of {name} (limit {limit}) {verdict}")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
