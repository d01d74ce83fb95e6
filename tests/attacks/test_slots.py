"""Attempts to lead traffic, or a secret, to an address that no deployment of the installation made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from support.serving import (
    ROW,
    Server,
    make_bundle,
    make_plan,
    make_settings,
    read_json_file,
    running,
    store_bundle,
    wait_until,
)
from support.slots import FakeSlots, Listener, at_address, make_deployment, running_slot, slot_log
from support.world import MODEL, back, deploy, shares, version_of, world_of
from windsock.adapters.server_client import ServerRouter
from windsock.adapters.signing import Signer
from windsock.adapters.slot_register import PURPOSE, SlotRegister
from windsock.adapters.slot_secrets import SlotSecret
from windsock.door import lay_route, switch_route
from windsock.exceptions import DeploymentRefusedError, SlotAddressError
from windsock.records import (
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    RoutePlan,
    SlotDeployment,
    SlotPlan,
    StoredBundle,
)
from windsock.settings import Settings
from windsock.spec import canonical_json

pytestmark = pytest.mark.slow


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A foreign address: whatever comes to it is a loss."""
    made = Listener()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_settings(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def stored(settings: Settings) -> StoredBundle:
    return store_bundle(settings, make_bundle())


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with running(settings) as made:
        yield made


@pytest.fixture(scope="module")
def router(server: Server) -> ServerRouter:
    return ServerRouter(server.address, server.settings.read_admin_token)


@pytest.fixture
def epoch(settings: Settings) -> int:
    """An epoch that nobody has used, not even a forged table."""
    table = read_json_file(settings.serving_dir / "routes.json")
    return int(table["models"]["churn"]["epoch"]) + 1 if table else 1


def forms_of(address: str) -> list[str]:
    """Return ways to write a foreign address that a careless reader takes for one of ours."""
    host, port = address.removeprefix("http://").split(":")
    return [
        address,
        f"http://localhost:{port}",
        f"http://127.0.0.1:{port}/",
        f"http://127.0.0.1:0{port}",
        f"http://user:pw@{host}:{port}",
        f"http://127.0.0.1:1@{host}:{port}",
        f"http://127.0.0.1:{port}#:1",
        f"http://127.0.0.1:{port}?x=1",
        f"http://127.0.0.1:{port}/slot/..",
        f"http://127.0.0.1:{port}\r\nX-More: 1",
        f"http://127.0.0.1:{port}\n",
        f"HTTP://127.0.0.1:{port}",
        f"http://[::ffff:127.0.0.1]:{port}",
        f"http://2130706433:{port}",
        f"http://127.1:{port}",
        "http://127.0.0.1:" + "".join(chr(0x660 + int(digit)) for digit in port),
        "http://127.0.0.1",
        "http://127.0.0.1:65536",
        "file:///etc/passwd",
        "unix:///run/docker.sock",
        "",
    ]


def test_an_admin_plan_with_a_foreign_address_leads_nowhere(
    router: ServerRouter, stored: StoredBundle, epoch: int, listener: Listener
) -> None:
    for address in forms_of(listener.address):
        with pytest.raises(DeploymentRefusedError) as refused:
            router.apply(at_address(make_plan(stored, epoch=epoch), address))
        assert refused.value.code in ("WS-SLOT-001", "WS-SERVING-019"), address
    assert listener.received == []


def signed_as(settings: Settings, said: bytes, purpose: bytes = PURPOSE) -> bytes:
    return said + b"\n" + Signer(settings.keys_dir).sign(purpose + said).hex().encode() + b"\n"


def forgeries(settings: Settings, stored: StoredBundle, address: str, tmp_path: Path) -> dict[str, bytes]:
    """Return contents of the file in which the deployment at an address would be looked for."""
    ours = make_deployment(stored.digest, address)
    said = canonical_json(ours.model_dump(mode="json")).encode()
    good = signed_as(settings, said)
    other = make_settings(tmp_path / "other")
    (settings.keys_dir / "trusted").mkdir(exist_ok=True)
    shutil.copyfile(other.keys_dir / "signing.pub", settings.keys_dir / "trusted" / "other.pub")

    def about(**fields: Any) -> bytes:
        known = make_deployment(stored.digest, address).model_copy(update=fields)
        return signed_as(settings, canonical_json(known.model_dump(mode="json")).encode())

    return {
        "not signed": said + b"\n",
        "signature of zeros": said + b"\n" + b"00" * 64 + b"\n",
        "signature is no hex": said + b"\nzz\n",
        "signed by another installation that is trusted for bundles": signed_as(other, said),
        "signed for another purpose": signed_as(settings, said, b""),
        "cut": good[:-20],
        "empty": b"",
        "edited": good.replace(ours.slot.encode(), uuid4().hex.encode()),
        "of another version": about(version="2"),
        "of another bundle": about(digest="a" * 64),
        "of another model": about(model="spend"),
        "of another address": about(address="http://127.0.0.1:9"),
        "of a form to come": about(form=2),
        "with more in it": signed_as(settings, said[:-1] + b',"more":1}'),
        "not canonical": signed_as(settings, said.replace(b":", b": ", 1)),
        "a list": signed_as(settings, b"[]"),
    }


def test_a_deployment_that_the_target_did_not_sign_leads_nowhere(
    settings: Settings,
    router: ServerRouter,
    stored: StoredBundle,
    epoch: int,
    listener: Listener,
    tmp_path: Path,
) -> None:
    file = Path(settings.storage_url) / "slots" / "churn" / stored.digest / f"{listener.port}.signed"
    file.parent.mkdir(parents=True, exist_ok=True)
    for name, content in forgeries(settings, stored, listener.address, tmp_path).items():
        file.write_bytes(content)
        with pytest.raises(DeploymentRefusedError) as refused:
            router.apply(at_address(make_plan(stored, epoch=epoch), listener.address))
        assert refused.value.code == "WS-SLOT-001", name
    file.unlink()
    assert listener.received == []


def test_a_table_edited_by_hand_leads_nowhere(
    settings: Settings,
    server: Server,
    router: ServerRouter,
    stored: StoredBundle,
    epoch: int,
    listener: Listener,
) -> None:
    router.apply(make_plan(stored, epoch=epoch))
    table = settings.serving_dir / "routes.json"
    known = json.loads(table.read_text())
    known["models"]["churn"]["epoch"] += 1
    known["models"]["churn"]["slots"][0]["url"] = listener.address
    changed = table.with_suffix(".new")
    changed.write_text(json.dumps(known))
    changed.rename(table)
    wait_until(lambda: "WS-SERVING-080" in server.said(), what="the refusal")
    answer = httpx.post(f"{server.address}/predict", json={"features": ROW})
    assert (answer.status_code, answer.json()["version"]) == (200, "1")  # by the plan before
    assert listener.received == []


def test_a_server_that_starts_with_such_a_table_asks_nobody(
    tmp_path: Path, listener: Listener, stored: StoredBundle, settings: Settings
) -> None:
    own = make_settings(tmp_path, storage_url=settings.storage_url)
    shutil.rmtree(own.keys_dir)
    shutil.copytree(settings.keys_dir, own.keys_dir)
    plan = at_address(make_plan(stored), listener.address).model_dump(mode="json")
    own.serving_dir.mkdir()
    (own.serving_dir / "routes.json").write_text(json.dumps({"models": {"churn": plan}}))
    with running(own) as made:
        answer = httpx.post(f"{made.address}/models/churn/predict", json={"features": ROW})
        assert (answer.status_code, answer.json()["code"]) == (503, "WS-SERVING-008")
    assert listener.received == []


def forge(ports: Any, action: LedgerAction, number: int, address: str, **body: Any) -> LedgerRow:
    """Write a routing row as somebody would who may insert into the control database."""
    version = version_of(number)
    rows = ports.ledger.rows(MODEL)
    plan = ports.router.plans[MODEL]
    slot = SlotPlan(
        version=version.version, digest=version.digest, bundle_uri=version.bundle_uri, share=0, url=address
    )
    forged = RoutePlan.serving(
        version.digest,
        model=MODEL,
        epoch=plan.epoch + 1,
        slots=[slot, *(one for one in plan.slots if one.digest != version.digest)],
        salt=plan.salt,
        fallback=plan.fallback,
    )
    entry = LedgerEntry(
        model=MODEL,
        action=action,
        epoch=forged.epoch,
        version=version.version,
        digest=version.digest,
        actor="eve",
        body={"plan": forged.row_body(), **body},
    )
    return ports.ledger.append(entry, after_seq=len(rows))


@pytest.mark.parametrize("known_target", [False, True])
def test_a_forged_roll_back_row_leads_nowhere(listener: Listener, known_target: bool) -> None:
    """Even one that the ledger believes: its plan is made anew without the address."""
    ports = world_of(1, 2, **({"slots": FakeSlots()} if known_target else {}))
    forge(
        ports,
        LedgerAction.ROLL_BACK,
        1,
        listener.address,
        bundle_uri="memory://bundles/churn/1",
        rolled_back=version_of(2).digest,
        rolled_back_version="2",
    )
    assert back(ports).version == "1"
    assert shares(ports) == {"1": 10_000, "2": 0}
    assert not any(slot.url for plan in ports.router.applied for slot in plan.slots)
    assert listener.received == []


@pytest.mark.parametrize("action", [LedgerAction.DEPLOY, LedgerAction.SHIFT, LedgerAction.ABANDON])
def test_no_forged_row_is_laid(listener: Listener, action: LedgerAction) -> None:
    ports = world_of(1, 2)
    before = list(ports.router.applied)
    with pytest.raises(SlotAddressError) as refused:
        lay_route(ports, forge(ports, action, 1, listener.address))
    assert refused.value.code == "WS-SLOT-001"
    assert ports.router.applied == before


def test_no_forged_promotion_is_switched_to(listener: Listener) -> None:
    ports = world_of(1)
    deploy(ports, 2)
    before = list(ports.router.applied)
    intent = forge(ports, LedgerAction.INTEND, 2, listener.address, replaced=version_of(1).digest)
    with pytest.raises(SlotAddressError):
        switch_route(ports, intent, champion=None, actor="eve")
    assert ports.router.applied == before


def test_an_address_that_the_server_has_is_not_carried_on(listener: Listener) -> None:
    ports = world_of(1, 2)
    ports.router.plans[MODEL] = at_address(ports.router.plans[MODEL], listener.address)
    back(ports)
    assert {slot.url for slot in ports.router.plans[MODEL].slots} == {None}
    ports.router.plans[MODEL] = at_address(ports.router.plans[MODEL], listener.address)
    deploy(ports, 3)
    assert {slot.url for slot in ports.router.plans[MODEL].slots} == {None}


@pytest.fixture(scope="module")
def slot(settings: Settings, stored: StoredBundle) -> Iterator[SlotDeployment]:
    with running_slot(settings, stored) as made:
        yield made


class TestASlot:
    """What may ask a slot, and what a slot may say."""

    def test_a_slot_answers_nobody_but_its_server(self, settings: Settings, slot: SlotDeployment) -> None:
        token = settings.read_admin_token()
        register = SlotRegister.of(settings)
        secret = register.secret_of(slot)
        body = json.dumps({"fields": list(ROW), "rows": [[1] * len(ROW)]}).encode()
        _, good = secret.request_headers("POST", "/slot/scores", body)
        other = register.secret_of(make_deployment(slot.digest, slot.address))
        _, of_another = other.request_headers("POST", "/slot/scores", body)
        _, of_another_body = secret.request_headers("POST", "/slot/scores", b"{}")
        _, of_another_path = secret.request_headers("POST", "/slot/ready", body)
        hexed = secret._key.hex()
        tries: list[tuple[dict[str, str], int]] = [
            ({}, 401),
            ({"Authorization": f"Bearer {token}"}, 401),
            ({"Authorization": f"Bearer {hexed}"}, 401),
            ({"Authorization": f"Windsock-Slot {token}"}, 401),
            ({**good, "Authorization": f"Bearer {token}"}, 401),
            ({"Authorization": good["Authorization"]}, 401),
            ({"Authorization": f"Windsock-Slot {hexed}", "X-Windsock-Slot-Nonce": "0" * 32}, 403),
            ({**good, "X-Windsock-Slot-Nonce": "0" * 32}, 403),
            (of_another, 403),
            (of_another_body, 403),
            (of_another_path, 403),
        ]
        for headers, status in tries:
            answer = httpx.post(f"{slot.address}/slot/scores", content=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (status, "WS-SLOT-003"), headers
            assert "X-Windsock-Slot-Proof" not in answer.headers
        for path in ("/admin/routes/churn", f"/admin/scores/churn/{slot.digest}", "/predict", "/metrics"):
            answer = httpx.post(slot.address + path, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 404, path
        assert httpx.get(f"{slot.address}/health").json() == {"status": "ok"}
        said = slot_log(settings, slot)
        assert not any(word in said for word in (token, hexed, "Traceback"))

    def test_traffic_goes_through_and_no_token_with_it(
        self,
        settings: Settings,
        server: Server,
        router: ServerRouter,
        stored: StoredBundle,
        epoch: int,
        slot: SlotDeployment,
    ) -> None:
        router.apply(at_address(make_plan(stored, epoch=epoch), slot.address))
        answer = httpx.post(f"{server.address}/predict", json={"features": ROW}).json()
        assert answer["version"] == "1"
        key = (settings.keys_dir / "slots.key").read_text().strip()
        secret = SlotRegister.of(settings).secret_of(slot)._key.hex()
        places = [Path(settings.storage_url), settings.serving_dir, settings.home / "server.log"]
        for place in places:
            for file in place.rglob("*") if place.is_dir() else [place]:
                content = file.read_bytes() if file.is_file() else b""
                assert key.encode() not in content, file
                assert secret.encode() not in content, file
        router.apply(make_plan(stored, epoch=epoch + 1))


class TestAStrangerAtASignedAddress:
    """The slot has gone, and something else listens at its port."""

    @pytest.fixture
    def taken(self, settings: Settings, stored: StoredBundle, listener: Listener) -> Iterator[Listener]:
        register = SlotRegister.of(settings)
        register.key.make()
        deployment = make_deployment(stored.digest, listener.address)
        register.add(deployment)
        yield listener
        register.remove(deployment)

    def refused(self, router: ServerRouter, stored: StoredBundle, epoch: int, listener: Listener) -> None:
        with pytest.raises(Exception, match="slot|status|redirect") as refusal:
            router.apply(at_address(make_plan(stored, epoch=epoch), listener.address))
        assert "WS-S" in str(refusal.value)

    def test_gets_no_secret_and_is_not_believed(
        self,
        settings: Settings,
        router: ServerRouter,
        stored: StoredBundle,
        epoch: int,
        taken: Listener,
    ) -> None:
        golden = make_bundle().golden
        said = {"digest": stored.digest, "version": "1", "scores": [list(row) for row in golden.scores]}
        taken.body = json.dumps(said).encode()
        taken.headers = {"X-Windsock-Slot-Proof": "0" * 64}
        self.refused(router, stored, epoch, taken)
        ((path, headers, body),) = taken.received
        assert (path, body) == ("/slot/ready", b"")  # no row was sent
        secrets = [
            settings.read_admin_token(),
            (settings.keys_dir / "slots.key").read_text().strip(),
            self.secret_of(settings, stored, taken)._key.hex(),
        ]
        sent = json.dumps(headers) + body.decode()
        assert not any(secret in sent for secret in secrets)

    def secret_of(self, settings: Settings, stored: StoredBundle, taken: Listener) -> SlotSecret:
        register = SlotRegister.of(settings)
        plan = at_address(make_plan(stored), taken.address)
        return register.secret_of(register.find("churn", plan.slots[0]))

    def test_sends_nobody_elsewhere(
        self, router: ServerRouter, stored: StoredBundle, epoch: int, taken: Listener
    ) -> None:
        other = Listener()
        taken.status, taken.headers = 307, {"Location": f"{other.address}/slot/scores"}
        try:
            self.refused(router, stored, epoch, taken)
        finally:
            other.stop()
        assert other.received == []


def test_proxies_of_the_environment_are_not_believed(
    settings: Settings,
    stored: StoredBundle,
    tmp_path: Path,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = make_settings(tmp_path, storage_url=settings.storage_url)
    shutil.rmtree(own.keys_dir)
    shutil.copytree(settings.keys_dir, own.keys_dir)
    with running_slot(own, stored) as slot:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, listener.address)
        monkeypatch.setenv("no_proxy", "")
        with running(own) as made:
            router = ServerRouter(made.address, own.read_admin_token)
            router.apply(at_address(make_plan(stored), slot.address))
            assert router.probe("churn", stored.digest).matched
    # The test's own look at the server goes there, so the proxy does take what is sent to it.
    assert {path.rpartition("/")[2] for path, _, _ in listener.received} == {"health"}
