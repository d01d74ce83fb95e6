"""An hour in which nothing happens: what an installation of many models starts, and what it costs.

Every model has a champion at the server and nobody asks it anything; half of them have windows of an hour.
The stack is `windsock up`, each DAG is switched on. Tasks are counted in Airflow's database; processor time
is that of every process of the stack, ended children included, by its parts. With ``--before COMMIT`` the
same hour of that commit runs beside it, on the same machine at the same time.

A model's daily retrain is at 02:00 UTC: an hour that contains it is no idle one and is refused.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from harness import PROJECT, Bar, report

sys.path.insert(0, str(PROJECT / "tests"))

from support.pipeline import retrain
from support.stack import LiveStack, clean_environment, live_stack, write_visits
from windsock.adapters.compiled import PipelineCompiler
from windsock.cli import processes
from windsock.cli.surroundings import open_ports
from windsock.ports import BundleDraft, Ports
from windsock.records import (
    DeployModelInput,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    PromoteModelInput,
    RegisteredVersion,
    StoredBundle,
)
from windsock.settings import Settings
from windsock.spec import ModelSpec
from windsock.spec.loader import load_shared, load_spec
from windsock.steps import run_step

MODEL = """\
model: {{name: {name}, owner: ds@company.com}}
data: {{source: visits.csv, target: bought, entity: visitor}}
training: {{candidates: [{{estimator: logistic_regression}}]}}
gate: {{latency_ms: 1000, card: {{intended_use: Rank visitors., limitations: Made up.}}}}
monitoring: {{window: {window}}}
"""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is measured.

    :param windows: of the models, in turn.
    :param parse_seconds: between two parses of the DAG files.
    :param import_seconds: that a parse may take; ``None``: as the stack has it.
    """

    models: int
    minutes: float
    windows: str
    parse_seconds: int
    import_seconds: int | None = None

    def arguments(self) -> list[str]:
        """Return it as this script takes it."""
        return [f"--{name.replace('_', '-')}={value}" for name, value in asdict(self).items() if value]


OURS = ("idle_", "windsock__")
WINDOWS = "1h,1d"
MOST_TASKS = 60
STARTED = (
    "SELECT dag_id FROM task_instance WHERE start_date >= ? AND start_date < ?",
    "SELECT dag_id FROM task_instance_history WHERE start_date >= ? AND start_date < ?",
)
RUNNING = ("SELECT dag_id FROM log WHERE event = 'running' AND dttm >= ? AND dttm < ?",)
LOCK_SECONDS = 95.0
IMPORT_SECONDS = 300
"""That a parse may take in a stack of before: Airflow's 30 seconds are not enough for many models."""
SAMPLE_SECONDS = 20.0
PARTS = ("airflow-scheduler", "airflow-dag-processor", "airflow-api", "airflow-triggerer", "mlflow", "server")
TICKS = os.sysconf("SC_CLK_TCK")
RETRAIN_HOUR = 2


def write_many(include: Path, models: int, windows: Sequence[str]) -> None:
    """Write the models' files: one spec under many names, with these windows in turn."""
    folder = include / "models"
    folder.mkdir(parents=True)
    shutil.copy(PROJECT / "include" / "windsock.yaml", include)
    write_visits(folder / "visits.csv")
    for number in range(models):
        name = f"idle_{number:03d}"
        window = windows[number % len(windows)]
        (folder / f"{name}.yaml").write_text(MODEL.format(name=name, window=window), encoding="utf-8")


def install_champions() -> None:
    """Give every model a champion that the server serves: the first is trained, the others are its copies."""
    settings = Settings.from_environment()
    ports, shared = open_ports(settings), load_shared(settings.shared_file)
    specs = [load_spec(file, shared) for file in sorted(settings.models_dir.glob("*.yaml"))]
    if ports.ledger.champion(specs[0].name) is None:
        retrain(ports, specs[0])
    champion = ports.ledger.champion(specs[0].name)
    if champion is None:
        raise RuntimeError(
            f"the gate did not promote {specs[0].name}: see its evidence in {settings.storage_url}"
        )
    print(f"{specs[0].name} is trained", flush=True)
    rows = ports.ledger.rows(specs[0].name)
    registered = next(
        row for row in rows if row.action is LedgerAction.REGISTER and row.digest == champion.digest
    )
    for spec in specs[1:]:
        if ports.ledger.champion(spec.name) is None:
            copy_champion(ports, spec, registered)


def copy_champion(ports: Ports, spec: ModelSpec, known: LedgerRow) -> None:
    """Make a model's first version and champion of another model's: bundle, evidence, registration, route.

    Training and gate are left out: bundle and evidence are the other's under this model's name, signed anew.

    :param known: the registration of the other model's version.
    """
    body, key = known.body, f"copy-of-{known.model}"
    stored = copied_bundle(ports, spec, known, key)
    pack = ports.bundles.read_document(body["evidence_uri"], body["evidence_digest"]).decode()
    own = pack.replace(known.digest, stored.digest).replace(known.model, spec.name).encode()
    evidence = f"evidence/{spec.name}/{key}.json"
    named = {"windsock.bundle": stored.digest, "windsock.bundle_uri": stored.uri}
    number = ports.registry.register(model=spec.name, key=key, run_id=body["run_id"], tags=named, used={})
    changed = {
        "bundle_uri": stored.uri,
        "evidence_uri": evidence,
        "evidence_digest": ports.bundles.put_document(evidence, own),
    }
    version = RegisteredVersion(
        model=spec.name,
        version=number,
        digest=stored.digest,
        run_id=body["run_id"],
        snapshot_digest=body["snapshot_digest"],
        asks=tuple(body["asks"]),
        registered_at=ports.now(),
        **changed,
    )
    entry = LedgerEntry(
        model=spec.name,
        action=known.action,
        epoch=0,
        version=number,
        digest=stored.digest,
        actor=known.actor,
        body={**body, **changed},
    )
    ports.ledger.append(entry, after_seq=len(ports.ledger.rows(spec.name)))
    run_step("deploy_model", DeployModelInput(spec=spec, version=version), ports)
    run_step("promote_model", PromoteModelInput(spec=spec, version=version), ports)
    print(f"{spec.name}: version {number}", flush=True)


def copied_bundle(ports: Ports, spec: ModelSpec, known: LedgerRow, key: str) -> StoredBundle:
    """Store another model's bundle as this model's."""
    bundle = ports.bundles.load(known.body["bundle_uri"], known.digest)
    manifest = bundle.manifest
    return ports.bundles.put(
        BundleDraft(
            model=spec.name,
            key=key,
            snapshot_digest=manifest.snapshot_digest,
            spec_digest=spec.content_digest(),
            pipeline=bundle.pipeline,
            schema=bundle.schema.replace(model=spec.name),
            golden=bundle.golden,
            profile=bundle.profile,
            compiled=PipelineCompiler().compile(bundle.pipeline, bundle.schema.replace(model=spec.name)),
            versions=manifest.versions,
            facts=manifest.facts,
            created_at=manifest.created_at,
        )
    )


def install_into(live: LiveStack) -> None:
    """Run :func:`install_champions` with the settings of a stack that runs."""
    environment = {**os.environ, **live.stack.environment()}
    command = [sys.executable, str(Path(__file__).resolve()), "--install"]
    subprocess.run(command, check=True, env=environment, cwd=PROJECT)


def all_dags(live: LiveStack) -> list[str]:
    """Return the ids of all DAGs of the models and of the installation; the example is none of them."""
    found: list[str] = []
    while True:
        asked = {"limit": 100, "offset": len(found), "exclude_stale": True, "order_by": "dag_id"}
        page = live.admin.request("GET", "/dags", params=asked)["dags"]
        if not page:
            return [dag_id for dag_id in found if dag_id.startswith(OURS)]
        found += [dag["dag_id"] for dag in page]


def await_dags(live: LiveStack, models: int, seconds: float = 900.0) -> list[str]:
    """Wait until Airflow has stored the DAGs of the last model, and return all of them.

    :raises RuntimeError: if it has not in time; Airflow's import errors are in the message.
    """
    deadline, last = time.monotonic() + seconds, f"idle_{models - 1:03d}__rollback"
    while live.admin.dag(last) is None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{last} is not stored after {seconds:.0f} s: {live.admin.import_errors()}")
        time.sleep(1.0)
    return all_dags(live)


def used_by(pids: Mapping[str, list[int]]) -> dict[str, float]:
    """Return the processor seconds of processes by part, with those of children that have ended."""
    used = dict.fromkeys(pids, 0.0)
    for part, listed in pids.items():
        for pid in listed:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:  # ended meanwhile: its parent has its time
                continue
            used[part] += sum(map(int, fields[11:15])) / TICKS
    return used


class Meter:
    """Adds up the processor time of a stack.

    A process whose parent has ended before it takes its time along; what such a loss takes from a sum is not
    subtracted from what was seen before.

    :param live: the stack.
    """

    def __init__(self, live: LiveStack) -> None:
        self.live = live
        self.spent: Counter[str] = Counter()
        self.lost = 0.0
        self.last = self.read()

    def read(self) -> dict[str, float]:
        """Return the processor seconds since each process began, by part."""
        pids = {part: processes.marked_processes(self.live.stack_id, part) for part in PARTS}
        known = {pid for listed in pids.values() for pid in listed}
        rest = [pid for pid in self.live.pids if pid not in known]
        return used_by({**pids, "up": [*rest, self.live.process.pid]})

    def sample(self) -> None:
        """Add what was used since the last sample."""
        now = self.read()
        for part, seconds in now.items():
            step = seconds - self.last[part]
            self.spent[part] += max(0.0, step)
            self.lost += max(0.0, -step)
        self.last = now


def counted(live: LiveStack, since: datetime, until: datetime) -> tuple[Counter[str], Counter[str]]:
    """Return the task instances that started in a time range, and the task processes, by kind of DAG.

    A task that waits in the triggerer and goes on later is one instance and two processes.
    """
    span = tuple(moment.replace(tzinfo=None).isoformat(" ") for moment in (since, until))
    file = f"file:{live.stack.airflow_database}?mode=ro"
    with closing(sqlite3.connect(file, uri=True, timeout=LOCK_SECONDS)) as database:
        started, processes_of = (
            Counter(kind_of(row[0]) for query in queries for row in database.execute(query, span))
            for queries in (STARTED, RUNNING)
        )
    return started, processes_of


def kind_of(dag_id: str) -> str:
    """Return what a DAG is, whatever its model: ``monitor``; the installation's own by their whole name."""
    return dag_id if dag_id.startswith("windsock__") else dag_id.rpartition("__")[2]


@contextmanager
def idle_stack(folder: Path, asked: Asked) -> Iterator[tuple[LiveStack, dict[str, Any]]]:
    """Run a stack of models that have champions, with every DAG switched on."""
    pace = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": str(asked.parse_seconds)}
    if asked.import_seconds:
        pace["AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT"] = str(asked.import_seconds)
        pace["AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT"] = str(asked.import_seconds + 60)

    def write(include: Path, _: Path) -> None:
        write_many(include, asked.models, asked.windows.split(","))

    begun = time.perf_counter()
    with live_stack(folder, PROJECT, write, pace) as live:
        up = time.perf_counter() - begun
        dags = await_dags(live, asked.models)
        stored = time.perf_counter() - begun
        print(f"up after {up:.0f} s, {len(dags)} DAGs stored after {stored:.0f} s", flush=True)
        install_into(live)
        for dag_id in dags:
            live.admin.set_paused(dag_id, paused=False)
        errors = [error["filename"] for error in live.admin.import_errors()]
        print(f"{len(dags)} DAGs on, import errors: {errors}", flush=True)
        yield live, {"dags": len(dags), "up_seconds": up, "stored_seconds": stored, "import_errors": errors}


def one_hour(folder: Path, asked: Asked, others: Sequence[Path] = ()) -> dict[str, Any]:
    """Run an idle hour, and return what it started and used.

    :param others: folders of the stacks that are measured at the same time: it begins when all are ready.
    """
    with idle_stack(folder, asked) as (live, facts):
        (folder / "ready").touch()
        while not all((other / "ready").exists() for other in others):
            time.sleep(1.0)
        meter, since = Meter(live), datetime.now(UTC)
        deadline = time.monotonic() + asked.minutes * 60
        while time.monotonic() < deadline:
            time.sleep(SAMPLE_SECONDS)
            meter.sample()
            write_result(folder, live, meter, since, facts)
        return write_result(folder, live, meter, since, facts)


def write_result(
    folder: Path, live: LiveStack, meter: Meter, since: datetime, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write down what was counted so far, and return it."""
    until = datetime.now(UTC)
    tasks, processes_started = counted(live, since, until)
    found = {
        **facts,
        "since": since.isoformat(),
        "minutes": (until - since).total_seconds() / 60,
        "tasks": dict(tasks),
        "processes": dict(processes_started),
        "cpu": {part: round(seconds, 1) for part, seconds in meter.spent.items()},
        "lost": round(meter.lost, 1),
    }
    (folder / "hour.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


@contextmanager
def beside(commit: str, folder: Path, arguments: list[str]) -> Iterator[None]:
    """Run the same hour of another commit, in a worktree of its own, while the block does.

    :param arguments: of this script there.
    """
    tree = folder.parent / "worktree"
    subprocess.run(["git", "worktree", "add", "--detach", str(tree), commit], check=True, cwd=PROJECT)
    try:
        shutil.copy(__file__, tree / "benchmarks")
        environment = {**clean_environment(), "PYTHONPATH": str(tree / "plugins")}
        command = [sys.executable, str(tree / "benchmarks" / Path(__file__).name), *arguments]
        with (folder.parent / "before.log").open("w") as log:
            there = subprocess.Popen(command, cwd=tree, env=environment, stdout=log, stderr=subprocess.STDOUT)
            try:
                yield
            except BaseException:
                there.send_signal(signal.SIGINT)
                raise
            if there.wait() != 0:
                raise RuntimeError(
                    f"the hour of {commit} failed:\n{(folder.parent / 'before.log').read_text()}"
                )
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(tree)], check=True, cwd=PROJECT)


def rows_of(found: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return the table: one line for each thing that was counted, one column for each stack."""
    rows = [["DAGs", *(str(one["dags"]) for one in found.values())]]
    rows += [["seconds until they were stored", *(f"{one['stored_seconds']:.0f}" for one in found.values())]]
    for what in ("tasks", "processes"):
        kinds = sorted({kind for one in found.values() for kind in one[what]})
        rows += [
            [f"{what} of {kind}", *(str(one[what].get(kind, 0)) for one in found.values())] for kind in kinds
        ]
    for part in sorted({part for one in found.values() for part in one["cpu"]}):
        rows.append([f"CPU seconds of {part}", *(f"{one['cpu'].get(part, 0):.0f}" for one in found.values())])
    return rows


def bars_of(found: Mapping[str, Mapping[str, Any]], asked: Asked) -> list[Bar]:
    """Return the bars: the tasks of the present version are held against their limit, the rest is told."""
    bars = [
        Bar(bar="models", value=asked.models, unit="models"),
        Bar(bar="length", value=asked.minutes, unit="minutes"),
    ]
    for name, one in found.items():
        limit = MOST_TASKS * asked.minutes / 60 if name == "now" else None
        bars += [
            Bar(bar=f"tasks started, {name}", value=sum(one["tasks"].values()), limit=limit, unit="tasks"),
            Bar(bar=f"task processes, {name}", value=sum(one["processes"].values()), unit="processes"),
            Bar(bar=f"CPU, {name}", value=sum(one["cpu"].values()), unit="seconds"),
        ]
    errors = len(found["now"]["import_errors"])
    return [*bars, Bar(bar="import errors", value=errors, limit=0, unit="files")]


def parsed() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--parse-seconds", type=int, default=300, help="between two parses of the DAG files")
    parser.add_argument("--windows", default=WINDOWS, help="of the models, in turn")
    parser.add_argument("--import-seconds", type=int, help="that a parse may take; default: as it ships")
    parser.add_argument("--before", metavar="COMMIT", help="measure this commit beside, at the same time")
    parser.add_argument("--before-models", type=int, help="how many models it has; default: as many")
    parser.add_argument("--folder", type=Path, help="where a measure runs; default: a temporary folder")
    parser.add_argument("--install", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def require_idle(minutes: float) -> None:
    """Refuse an hour in which the models are trained.

    :raises SystemExit: if it contains the time of the daily retrain.
    """
    begin = datetime.now(UTC)
    training = begin.replace(hour=RETRAIN_HOUR, minute=0, second=0, microsecond=0)
    training += timedelta(days=training < begin)
    if training < begin + timedelta(minutes=minutes + 30):
        raise SystemExit(
            "idle_hour: the daily retrains are at 02:00 UTC, within this measure; start it later"
        )


def measured(folder: Path, asked: Asked, commit: str | None, models: int) -> dict[str, dict[str, Any]]:
    """Run the hour of the present version, and the one of another commit beside it where that is asked.

    :param models: how many the other one has.
    """
    now, before = folder / "now", folder / "before"
    if commit is None:
        return {"now": one_hour(now, asked)}
    before.mkdir(parents=True, exist_ok=True)
    for ready in (now / "ready", before / "ready"):
        ready.unlink(missing_ok=True)
    with beside(
        commit,
        before,
        [f"--one={before}", *replace(asked, models=models, import_seconds=IMPORT_SECONDS).arguments()],
    ):
        found = one_hour(now, asked, [before])
    return {"now": found, "before": json.loads((before / "hour.json").read_text())}


def main() -> int:
    """Run the hour, and tell."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background a shell lets it be ignored
    given = parsed()
    if given.install:
        install_champions()
        return 0
    asked = Asked(
        models=given.models,
        minutes=given.minutes,
        windows=given.windows,
        parse_seconds=given.parse_seconds,
        import_seconds=given.import_seconds,
    )
    require_idle(asked.minutes)
    if given.one:
        one_hour(given.one, asked, [given.one.parent / "now"])
        return 0
    with tempfile.TemporaryDirectory() as made:
        found = measured(given.folder or Path(made), asked, given.before, given.before_models or given.models)
    title = (
        f"{asked.minutes:g} minutes in which nothing happens, {asked.models} models, windows {asked.windows}"
    )
    return report("idle_hour", title, ("counted", *found), rows_of(found), bars_of(found, asked))


if __name__ == "__main__":
    sys.exit(main())
