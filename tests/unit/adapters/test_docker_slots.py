"""The target docker where no engine answers; with one: ``tests/integration/test_serving_container.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.builders import make_version
from support.serving import make_bundle, make_plan, make_settings, store_bundle
from support.slots import make_deployment
from windsock.adapters.docker_slots import DockerSlots
from windsock.adapters.slot_folder import write_slot_folder
from windsock.exceptions import ServerUnavailableError
from windsock.records import RegisteredVersion, StoredBundle
from windsock.settings import Settings


@pytest.fixture
def slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DockerSlots:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    return DockerSlots(make_settings(tmp_path / "home"))


@pytest.fixture
def stored(slots: DockerSlots) -> StoredBundle:
    return store_bundle(slots.settings, make_bundle())


@pytest.fixture
def version(stored: StoredBundle) -> RegisteredVersion:
    return make_version(version="1", digest=stored.digest, bundle_uri=stored.uri)


def signed(slots: DockerSlots) -> list[Path]:
    return list(Path(slots.settings.storage_url).rglob("*.signed"))


def test_no_address_is_signed_where_no_engine_answers(slots: DockerSlots, version: RegisteredVersion) -> None:
    for _ in range(2):
        with pytest.raises(ServerUnavailableError) as refused:
            slots.address(version)
        assert refused.value.code == "WS-SLOT-005"
    assert signed(slots) == []
    assert len(list(slots.folder.glob("*/"))) == 1  # by which the next try would find a container


def test_a_slot_that_cannot_be_ended_holds_up_no_deployment_and_its_address_is_forgotten(
    slots: DockerSlots, stored: StoredBundle, caplog: pytest.LogCaptureFixture
) -> None:
    slots.register.key.make()
    deployment = make_deployment(stored.digest, "http://127.0.0.1:8182")
    secret = slots.register.secret_of(deployment)
    write_slot_folder(slots.settings, slots.folder / deployment.slot, deployment, secret, stored.uri)
    slots.register.add(deployment)
    assert slots.keep_only("spend", make_plan(stored, model="spend")) == 0
    assert len(signed(slots)) == 1
    assert slots.keep_only("churn", make_plan(stored)) == 0
    assert "WS-SLOT-005" in caplog.text
    assert signed(slots) == []


def test_a_model_without_containers_asks_no_engine(slots: DockerSlots, stored: StoredBundle) -> None:
    assert slots.keep_only("churn", make_plan(stored)) == 0
    assert not slots.folder.exists()


def test_the_image_is_a_setting() -> None:
    assert Settings.from_environment({}).slot_image == "windsock/serve"
    assert Settings.from_environment({"WINDSOCK_SLOT_IMAGE": "ours/serve:2"}).slot_image == "ours/serve:2"
