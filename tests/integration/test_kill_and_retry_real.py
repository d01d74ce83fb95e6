"""The same chain on the real adapters: killed right after each of its side effects, then retried.

What a kill leaves is what lies on the disk at that moment. So one run is made whose home is copied after each
of its side effects, and each copy is put in the place of the home, under the same path, and retried by a new
process: nothing of the run before a kill is made once more for each of them. The processes are forks of this
one, which has loaded the libraries.
"""

from __future__ import annotations

import copy
import logging
import re
import shutil
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from support.builders import make_spec
from support.fakes import FakeRouter
from support.faults import Countdown, Killed, killed_after, watched_by
from support.forks import in_fork
from support.mlflow_contract import runs_of
from support.pipeline import retrain
from windsock.adapters.build import build_ports
from windsock.adapters.database import reading
from windsock.adapters.ledger_table import SqlLedger
from windsock.adapters.mlflow_client import ping
from windsock.adapters.signing import create_keys
from windsock.settings import Settings

pytestmark = pytest.mark.slow

ROWS = 400
LATE = 20  # a side effect by which most of the libraries are loaded
CANDIDATES = [
    {"estimator": "logistic_regression"},
    {"estimator": "logistic_regression", "params": {"C": 0.1}},
]
SPEC = make_spec(
    training={"candidates": CANDIDATES}, gate={"latency_ms": 1000}, data={"required": ["age", "calls"]}
)

EVIDENCE = re.compile(r"(?<=^evidence/churn/)[0-9a-f]{64}-[0-9a-f]{12}")
"""Evidence is named by its digest, and holds a measured latency."""
DATED = re.compile(r"(?<=^contracts/churn/)(contract|statistics)/[0-9a-f]{64}")
"""These are named by their digest, and hold when the snapshot was first stored."""


def write_source(file):
    """Write rows in which two columns decide."""
    random = np.random.default_rng(0)
    age, calls = random.normal(50, 12, ROWS).round(2), random.poisson(2, ROWS)
    odds = 1 / (1 + np.exp(-(0.08 * (age - 50) + 1.2 * (calls - 2))))
    rows = {"customer_id": [f"c{number}" for number in range(ROWS)], "age": age, "calls": calls}
    pd.DataFrame({**rows, "churned": random.random(ROWS) < odds}).to_csv(file, index=False)


class Installation:
    """One home: its folder outlives a killed task, and so does the server."""

    def __init__(self, home):
        self.home = home
        self.settings = Settings.from_environment(
            {
                "WINDSOCK_HOME": str(home),
                "WINDSOCK_MODELS_DIR": str(home / "include" / "models"),
                "WINDSOCK_SOURCE_ROOTS": str(home / "source"),
            }
        )
        self.router = FakeRouter()

    def ports(self):
        """The outside world as a new process meets it; nothing serves here that would have to bake."""

        def no_connection(conn_id):
            raise AssertionError(f"nothing asks for connection {conn_id}")

        ports = build_ports(self.settings, connections=no_connection)
        return replace(ports, router=self.router, pause=lambda seconds: None)

    def world(self):
        """What a quiet run and a killed and retried one must agree on."""
        from mlflow import MlflowClient

        client = MlflowClient(self.settings.tracking_uri, self.settings.tracking_uri)
        registered = client.get_registered_model("churn")
        versions = client.search_model_versions("name='churn'")
        ledger = SqlLedger.of(self.settings)
        champion, route = ledger.champion("churn"), self.router.state("churn")
        with reading(self.settings.database_url) as connection:
            steps = [row.step for row in connection.exec_driver_sql("SELECT step FROM step_records")]
        return {
            "files": sorted(
                DATED.sub(r"\1", EVIDENCE.sub("evidence", file)) for file in self.files("storage")
            ),
            "artifacts": Counter(file.rsplit("/", 1)[-1] for file in self.files("mlartifacts")),
            "runs": sorted(
                (
                    run.info.status,
                    run.info.run_name[: -len(" 2026-05-01 12:00")],
                    len(run.outputs.model_outputs) if run.outputs else 0,
                    sorted(run.data.metrics),
                )
                for run in runs_of(client, "churn")
            ),
            "versions": [(str(version.version), version.status) for version in versions],
            "aliases": {name: str(version) for name, version in registered.aliases.items()},
            "ledger": [(row.action.value, row.version, row.epoch) for row in ledger.rows("churn")],
            "chain": ledger.verify("churn").broken_at,
            "champion": (champion.version, champion.epoch) if champion else None,
            "route": [(slot.version, slot.share) for slot in route.plan.slots] if route else None,
            "steps": Counter(steps),
        }

    def files(self, folder):
        """The files below a folder of the home, temporary ones too."""
        root = self.home / folder
        return [str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()]


def differing(end, state):
    """Return what differs: ended so, and should be so."""
    return {name: (end[name], state[name]) for name in state if end[name] != state[name]}


@pytest.fixture(scope="module", autouse=True)
def quiet():
    """Alembic tells of each migration otherwise."""
    logging.getLogger("alembic").setLevel(logging.WARNING)


class Copies(Countdown):
    """Copies a home after each side effect: what a process that is killed there leaves behind."""

    def __init__(self, installation, folder):
        super().__init__(after=0)
        self.installation, self.folder, self.routers = installation, folder, {}

    def tick(self):
        super().tick()
        shutil.copytree(self.installation.home, self.folder / str(self.seen))
        self.routers[self.seen] = copy.deepcopy(self.installation.router)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A home that nothing ran in: keys, source and migrated databases; it is copied for each process."""
    first = Installation(tmp_path_factory.mktemp("template") / "home")
    create_keys(first.settings.keys_dir)
    (first.home / "source").mkdir()
    write_source(first.home / "source" / "churn.csv")
    ping(first.settings.tracking_uri, first.home)
    assert SqlLedger.of(first.settings).models() == ()
    return first.home


@pytest.fixture(scope="module")
def copies(fresh, tmp_path_factory):
    """One run: how many side effects it took, and its home after each of them.

    A first run in this process loads the libraries for its forks; it is killed, too, by what a step raises.
    """
    home = tmp_path_factory.mktemp("loading") / "home"
    shutil.copytree(fresh, home)
    loading = Installation(home)
    faulty, countdown = killed_after(loading.ports(), LATE)
    with pytest.raises(Killed):
        retrain(faulty, SPEC)
    assert countdown.seen == LATE

    home, folder = tmp_path_factory.mktemp("home") / "home", tmp_path_factory.mktemp("copies")
    shutil.copytree(fresh, home)

    def run():
        installation = Installation(home)
        copied = Copies(installation, folder)
        retrain(watched_by(copied, installation.ports()), SPEC)
        return installation.world(), copied.seen, copied.routers

    return home, folder, *in_fork(run)


@pytest.fixture(scope="module")
def undisturbed(copies):
    """The world after one quiet run, and how many side effects it took."""
    _, _, state, effects, _ = copies
    return state, effects


def test_a_quiet_run_leaves_one_of_each(undisturbed):
    state, effects = undisturbed
    folders = {file.rsplit("/", 1)[0] for file in state["files"]}
    assert Counter(folder.split("/")[0] for folder in folders if folder.count("/") == 2) == {
        "snapshots": 1,
        "bundles": len(CANDIDATES),
    }
    candidates = [("FINISHED", 1)] * len(CANDIDATES)  # beneath the run of the retrain, which has no model
    assert sorted(run[:1] + run[2:3] for run in state["runs"]) == [("FINISHED", 0), *candidates]
    assert state["versions"] == [("1", "READY")]
    assert state["aliases"] == {"champion": "1"}
    assert state["ledger"] == [
        ("accept", "-", 0),
        ("decide", "-", 0),
        ("register", "1", 0),
        ("deploy", "1", 1),
        ("intend", "1", 2),
        ("commit", "1", 2),
    ]
    assert state["chain"] is None
    assert state["champion"] == ("1", 2)
    assert state["route"] == [("1", 10_000)]
    assert state["steps"]["train_model"] == len(CANDIDATES)
    assert effects >= 15


def test_killed_after_each_side_effect_and_retried(copies):
    home, folder, state, effects, routers = copies
    assert sorted(int(copied.name) for copied in folder.iterdir()) == list(range(1, effects + 1))

    def retry(after):
        installation = Installation(home)
        installation.router = routers[after]
        before = installation.files("storage")
        retrain(installation.ports(), SPEC)
        return before, installation.world()

    left, ended = {}, {}
    for after in range(1, effects + 1):
        shutil.rmtree(home)
        (folder / str(after)).rename(home)
        left[after], ended[after] = in_fork(partial(retry, after))
    assert {after: differing(end, state) for after, end in ended.items() if end != state} == {}
    assert len(left[1]) < len(left[effects]), "the copies are of different moments"
