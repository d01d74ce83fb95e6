"""Who may write to the server's state folder brings nothing unproved into traffic by a restart."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.testclient import TestClient

from support.serving import make_bundle, make_plan, make_settings, store_bundle
from windsock.records import RoutePlan, StoredBundle
from windsock.serving.app import create_app
from windsock.serving.seal_note import MARKER
from windsock.serving.service import make_service
from windsock.settings import Settings

Edit = Callable[[dict[str, Any]], None]


class House(NamedTuple):
    """An installation with two versions that passed the gate and one that was only trained."""

    settings: Settings
    first: StoredBundle
    second: StoredBundle
    trained: StoredBundle

    @property
    def file(self) -> Path:
        return self.settings.serving_dir / "routes.json"

    @property
    def kept(self) -> Path:
        return self.settings.serving_dir / "routes.kept.json"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> House:
    settings = make_settings(tmp_path_factory.mktemp("house"))
    bundles = (store_bundle(settings, make_bundle(seed=seed)) for seed in (1, 2))
    return House(settings, *bundles, store_bundle(settings, make_bundle(seed=3), passed=False))


@pytest.fixture
def house(stored: House) -> House:
    """The same, whose server serves version 2 in epoch 2."""
    for file in (stored.file, stored.kept):
        file.unlink(missing_ok=True)
    worker = make_service(stored.settings).worker
    worker.routes.put(make_plan(stored.first, epoch=1))
    stored.file.with_name("older.json").write_bytes(stored.file.read_bytes())
    worker.routes.put(make_plan(stored.first, stored.second, epoch=2))
    return stored


class Started(NamedTuple):
    """What a server serves after a start."""

    plan: RoutePlan | None
    absent: dict[str, str]
    status: str
    faults: str


def start(house: House) -> Started:
    """Start a worker on the state folder, as after a restart."""
    service = make_service(house.settings)
    with TestClient(create_app(service)) as client:
        said = client.get("/health").json()
        served = service.served.get("churn")
        return Started(
            served.plan if served else None,
            served.absent if served else {},
            said["status"],
            " ".join(said["faults"]),
        )


def rewrite(file: Path, edit: Edit) -> None:
    table = json.loads(file.read_text())
    edit(table)
    file.write_text(json.dumps(table))


def names(bundle: StoredBundle) -> Edit:
    def edit(table: dict[str, Any]) -> None:
        slot = table["models"]["churn"]["slots"][-1]
        slot |= {"digest": bundle.digest, "bundle_uri": bundle.uri, "version": "9"}

    return edit


def reads(address: str) -> Edit:
    def edit(table: dict[str, Any]) -> None:
        table["models"]["churn"]["slots"][-1]["url"] = address

    return edit


def gives_all_to_the_first(table: dict[str, Any]) -> None:
    for slot, share in zip(table["models"]["churn"]["slots"], (10_000, 0), strict=True):
        slot["share"] = share


def is_of_later_epoch(table: dict[str, Any]) -> None:
    table["models"]["churn"]["epoch"] = 99
    gives_all_to_the_first(table)


def has_no_seals(table: dict[str, Any]) -> None:
    gives_all_to_the_first(table)
    table.pop("seals")


def answers_by_a_constant(table: dict[str, Any]) -> None:
    table["models"]["churn"]["salt"] = "another"


def forgets_champions(table: dict[str, Any]) -> None:
    table["champions"] = {}


EDITS: dict[str, Edit] = {
    "epoch": is_of_later_epoch,
    "shares": gives_all_to_the_first,
    "no seals": has_no_seals,
    "salt": answers_by_a_constant,
    "champions": forgets_champions,
    "address": reads("http://192.0.2.1:80"),
    "loopback": reads("http://127.0.0.1:1"),
    "gone": lambda table: table.update(models={}),
}


def test_what_was_written_is_served(house: House) -> None:
    assert start(house) == Started(make_plan(house.first, house.second, epoch=2), {}, "ok", "")


@pytest.mark.parametrize("name", [*EDITS, "refused bundle"])
def test_an_edited_file_is_passed_over(house: House, name: str) -> None:
    rewrite(house.file, EDITS.get(name, names(house.trained)))
    found = start(house)
    assert (found.plan, found.absent) == (make_plan(house.first, house.second, epoch=2), {})
    assert found.status == "degraded"
    assert "WS-SERVING-080" in found.faults
    assert "copy routes.kept.json over routes.json" in found.faults
    shutil.copy(house.kept, house.file)
    assert start(house).status == "ok"


@pytest.mark.parametrize("content", ["", "{", '{"models": {"churn": 3}}', "\x00" * 40])
def test_a_truncated_file_leaves_the_last_verified_plan(house: House, content: str) -> None:
    house.file.write_text(content)
    found = start(house)
    assert found.plan == make_plan(house.first, house.second, epoch=2)
    assert (found.status, "WS-SERVING-005" in found.faults) == ("degraded", True)


def test_a_missing_file_leaves_the_last_verified_plan(house: House) -> None:
    house.file.unlink()
    found = start(house)
    assert (found.plan.epoch if found.plan else None, found.status) == (2, "degraded")


def test_an_older_file_of_the_server_itself_is_passed_over(house: House) -> None:
    house.file.with_name("older.json").rename(house.file)
    found = start(house)
    assert found.plan == make_plan(house.first, house.second, epoch=2)
    assert "went back to epoch 1" in found.faults


def test_the_file_of_another_installation_is_passed_over(house: House, tmp_path: Path) -> None:
    other = house._replace(settings=make_settings(tmp_path / "other"))
    make_service(other.settings).worker.routes.put(make_plan(house.trained, epoch=7))
    house.file.write_bytes(other.file.read_bytes())
    found = start(house)
    assert found.plan == make_plan(house.first, house.second, epoch=2)
    assert "WS-SERVING-080" in found.faults


@pytest.mark.parametrize("also", ["edited", "gone"])
def test_both_files_edited_bring_no_refused_bundle(house: House, also: str) -> None:
    """Without a verified plan only what passed the gate is served, and the server says so."""
    for file in (house.file, house.kept):
        rewrite(file, names(house.trained))
    if also == "gone":
        house.kept.unlink()
    found = start(house)
    assert found.plan is not None
    assert "no signed evidence" in found.absent["9"]
    assert (found.status, "WS-SERVING-081" in found.faults) == ("degraded", True)


def test_another_admin_token_takes_nothing_away(house: House) -> None:
    settings = house.settings.model_copy(update={"admin_token": "t" * 40})
    found = start(house._replace(settings=settings))
    assert (found.plan, found.absent) == (make_plan(house.first, house.second, epoch=2), {})
    assert (found.status, "WS-SERVING-081" in found.faults) == ("degraded", True)
    make_service(settings).worker.routes.put(make_plan(house.second, epoch=3))
    assert start(house._replace(settings=settings)).status == "ok"


@pytest.mark.parametrize("how", ["new token", "one seal changed in both", "both without seals"])
def test_reconcile_seals_the_plan_that_the_ledger_holds(house: House, how: str) -> None:
    """By the real admin calls: the plan is shown to be without a seal, and laying it again gives one."""
    settings = house.settings
    if how == "new token":
        settings = settings.replace(admin_token="t" * 40)
    for file in (house.file, house.kept):
        if how == "one seal changed in both":
            rewrite(file, lambda table: table["seals"].update(churn="0" * 64))
        if how == "both without seals":
            rewrite(file, lambda table: table.pop("seals"))
    plan = make_plan(house.first, house.second, epoch=2)
    service = make_service(settings)
    with TestClient(create_app(service)) as client:
        token = {"Authorization": f"Bearer {settings.read_admin_token()}"}
        said = client.get("/admin/routes/churn", headers=token).json()
        assert said["is_sealed"] is False
        assert RoutePlan.model_validate(said["plan"]) == plan
        answer = client.put("/admin/routes/churn", headers=token, content=plan.model_dump_json())
        assert answer.status_code == 200
        assert "is_sealed" not in client.get("/admin/routes/churn", headers=token).json()
    assert start(house._replace(settings=settings)).status == "ok"


def test_a_file_from_before_seals_is_served_as_far_as_it_passed(house: House) -> None:
    """As on the first start after an upgrade: nothing has been sealed yet."""
    for bundle, is_served in ((house.second, True), (house.trained, False)):
        plan = make_plan(house.first, bundle, epoch=4)
        house.kept.unlink(missing_ok=True)
        (house.settings.keys_dir / MARKER).unlink(missing_ok=True)
        house.file.write_text(json.dumps({"models": {"churn": plan.model_dump(mode="json")}}))
        found = start(house)
        assert found.plan == plan
        assert (found.absent == {}, found.status) == (is_served, "ok" if is_served else "degraded")


@pytest.mark.parametrize("seals", [None, {}, {"churn": ""}, {"other": "0" * 64}])
def test_a_file_alone_is_not_from_before_seals_once_there_were_some(
    house: House, seals: dict[str, str] | None
) -> None:
    """All seals taken away at once do not pass for an upgrade; the next plan by the admin call is sealed."""
    plan = make_plan(house.first, house.second, epoch=4)
    house.kept.unlink()
    table: dict[str, Any] = {"models": {"churn": plan.model_dump(mode="json")}}
    house.file.write_text(json.dumps(table if seals is None else table | {"seals": seals}))
    found = start(house)
    assert (found.plan, found.absent, found.status) == (plan, {}, "degraded")
    assert "WS-SERVING-090" in found.faults
    make_service(house.settings).worker.routes.put(plan)
    assert start(house).status == "ok"


def test_the_next_plan_writes_the_file_anew_and_launders_nothing(house: House) -> None:
    """What was edited about another model is not sealed by a plan for this one."""
    other = make_plan(house.first, model="spend", epoch=5).model_dump(mode="json")
    rewrite(house.file, lambda table: table["models"].update(spend=other))
    worker = make_service(house.settings).worker
    worker.routes.put(make_plan(house.second, epoch=3))
    assert set(worker.routes.read().models) == {"churn"}
    assert worker.routes.state().faults == ()
    assert start(house).status == "ok"


def test_a_running_server_follows_no_edited_file(house: House) -> None:
    async def scenario() -> None:
        worker = make_service(house.settings).worker
        await worker.start()
        try:
            for edit in (is_of_later_epoch, names(house.trained)):
                rewrite(house.file, edit)
                await worker.refresh()
                assert worker.served["churn"].plan == make_plan(house.first, house.second, epoch=2)
                assert "WS-SERVING-080" in (worker.table_fault or "")
        finally:
            await worker.stop()

    asyncio.run(scenario())
