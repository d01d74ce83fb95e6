"""A rollout of three challengers through a real server: one is dropped, and no row and no unit is lost."""

from __future__ import annotations

import shutil
import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.serving import ROW, Server, make_bundle, make_plan, make_settings, running, store_bundle
from windsock.adapters.log_format import read_line
from windsock.adapters.server_client import ServerRouter
from windsock.adapters.storage import Storage
from windsock.records import FallbackAnswer, RoutePlan
from windsock.rollout.assignment import Assignment
from windsock.serving.bundles import BUNDLES_FOLDER
from windsock.settings import Settings

pytestmark = pytest.mark.slow

UNITS = [f"unit {number}" for number in range(300)]
ARMS = ("challenger", "challenger-2", "challenger-3", "champion")
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""To read those of the system takes a while, and nothing here is https."""


def arm_of(plan: RoutePlan, unit: str) -> str:
    """Return the arm of a unit, as every later analysis finds it."""
    champion, *tried = plan.slots
    shares = dict(zip(ARMS, [slot.share for slot in (*tried, champion)], strict=True))
    return Assignment(shares, salt=plan.salt, experiment=plan.experiment or "").arm(unit)


def send(server: Server, run: str) -> dict[str, str]:
    """Ask for each unit, seven a request; return the version that answered each."""
    answered: dict[str, str] = {}
    with httpx.Client(base_url=server.address, timeout=20, verify=NO_CERTIFICATES, trust_env=False) as client:
        for first in range(0, len(UNITS), 7):
            units = UNITS[first : first + 7]
            body = {"features": [ROW] * len(units), "unit": units}
            said = client.post("/predict", json={**body, "prediction_id": [f"{run} {one}" for one in units]})
            assert said.status_code == 200, said.text
            for row in said.json()["predictions"]:
                answered[row["prediction_id"].removeprefix(f"{run} ")] = row["version"]
    return answered


def logged(settings: Settings) -> dict[str, tuple[Any, Any]]:
    """Return the line and the row of each prediction in the log; each is there once."""
    found: dict[str, tuple[Any, Any]] = {}
    for file in (settings.serving_dir / "log" / "predictions").rglob("*.ndjson"):
        for line in file.read_bytes().splitlines(keepends=True):
            read = read_line(line.rstrip(b"\n"), "predictions")
            for row in read.rows:
                assert row.prediction_id not in found
                found[row.prediction_id] = read, row
    return found


def test_one_of_three_is_dropped(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    stored = [store_bundle(settings, make_bundle(seed=seed)) for seed in (1, 2, 3, 4)]
    split = {"champion": stored[0].digest, "experiment": "e", "fallback": FallbackAnswer(policy="error")}
    plan = make_plan(*stored, shares=(4_000, 2_000, 2_000, 2_000), **split)
    slots = [slot.replace(withdrawn=slot.version == "3") for slot in plan.slots]
    later = plan.replace(epoch=2, slots=tuple(slots))
    with running(settings, workers=2) as server:
        router = ServerRouter(server.address, settings.read_admin_token)
        router.apply(plan)
        first = send(server, "first")
        assert router.apply(later).plan == later
        second = send(server, "second")
        assert server.stop() == 0
    # Its bundle is gone from the server and the storage: a server that starts anew does without it.
    shutil.rmtree(settings.serving_dir / BUNDLES_FOLDER / stored[2].digest)
    root = Storage(settings.storage_url).local_path(stored[2].uri)
    shutil.rmtree(root if root is not None else stored[2].uri.removeprefix("file://"))
    with running(settings) as server:
        third = send(server, "third")
        health = httpx.get(f"{server.address}/health", verify=NO_CERTIFICATES).json()
        assert httpx.get(f"{server.address}/ready", verify=NO_CERTIFICATES).status_code == 200
        assert server.stop() == 0
    assert (health["status"], health["models"]["churn"]["epoch"]) == ("ok", 2)
    engines = {one["version"]: one["engine"] for one in health["models"]["churn"]["versions"]}
    assert engines == {"1": "linear", "2": "linear", "3": "absent", "4": "linear"}

    versions = dict(zip(ARMS, "2341", strict=True))
    instead = {**versions, "challenger-2": "1"}
    for answered, by in ((first, versions), (second, instead), (third, instead)):
        assert answered == {unit: by[arm_of(plan, unit)] for unit in UNITS}
    rows = logged(settings)
    assert len(rows) == 3 * len(UNITS)  # what was sent, each once
    digests = {slot.version: slot.digest for slot in plan.slots}
    arms: dict[str, Counter[str]] = {run: Counter() for run in ("first", "second", "third")}
    for name, (line, row) in rows.items():
        run, arm = name.partition(" ")[0], arm_of(plan, row.unit)
        version = (versions if run == "first" else instead)[arm]
        is_dropped = run != "first" and arm == "challenger-2"
        assert (line.version, line.digest) == (version, digests[version])
        assert line.variant == ("champion" if version == "1" else "challenger")
        assert line.fallback_for == ("withdrawn-2" if is_dropped else None)
        assert (line.experiment, line.epoch) == ("e", 1 if run == "first" else 2)
        arms[run][arm] += 1
    assert arms["first"] == arms["second"] == arms["third"] == Counter(arm_of(plan, one) for one in UNITS)
    assert min(arms["first"].values()) > 30
