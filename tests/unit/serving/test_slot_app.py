from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from support.serving import FIELDS, ROW, make_bundle, make_settings, store_bundle
from support.slots import make_deployment
from windsock.adapters.slot_folder import write_slot_folder
from windsock.adapters.slot_register import SlotRegister
from windsock.adapters.slot_secrets import SlotSecret, SlotSecretError
from windsock.exceptions import UnverifiedBundleError
from windsock.ports import LoadedBundle
from windsock.records import SlotPlan
from windsock.serving.service import Limits
from windsock.serving.slot_app import SlotApp, load_slot
from windsock.serving.slots import slot_in_process

ADDRESS = "http://127.0.0.1:8182"
SECRET = SlotSecret(bytes(range(32)))
NAMES = [field.name for field in FIELDS]
VALUES = [*ROW.values()]
VALUES[NAMES.index("member")] = True


@pytest.fixture
def client(bundles: dict[str, LoadedBundle]) -> Iterator[TestClient]:
    bundle = bundles["first"]
    plan = SlotPlan(version="7", digest=bundle.digest, bundle_uri="u", share=0)
    with ThreadPoolExecutor(1) as pool:
        made = SlotApp(
            make_deployment(bundle.digest, ADDRESS, version="7"),
            SECRET,
            slot_in_process(plan, bundle, pool),
            Limits(body_bytes=1000, gateway_factor=2),
        )
        yield TestClient(made.app(), raise_server_exceptions=False)


def ask(client: TestClient, body: Any, *, path: str = "/slot/scores", method: str = "POST") -> Any:
    """Ask as the server in front does; see that the answer is proved."""
    content = b"" if body is None else json.dumps(body).encode()
    nonce, headers = SECRET.request_headers(method, path, content)
    answer = client.request(method, path, content=content, headers=headers)
    proof = answer.headers.get("X-Windsock-Slot-Proof")
    assert SECRET.proves_answer(proof, nonce, answer.status_code, answer.content)
    return answer


def test_the_server_in_front_gets_scores(client: TestClient, bundles: dict[str, LoadedBundle]) -> None:
    answer = ask(client, {"fields": NAMES, "rows": [VALUES, VALUES]})
    said = answer.json()
    assert (answer.status_code, said["digest"], said["version"]) == (200, bundles["first"].digest, "7")
    assert len(said["scores"]) == 2
    ready = ask(client, None, path="/slot/ready", method="GET").json()
    assert ready == {"digest": bundles["first"].digest, "version": "7"}


@pytest.mark.parametrize(
    "body",
    [
        {"rows": [VALUES]},
        {"fields": NAMES, "rows": 3},
        {"fields": NAMES, "rows": [VALUES[:-1]]},
        {"fields": NAMES[::-1], "rows": [VALUES]},
        {"fields": NAMES, "rows": [["41", *VALUES[1:]]]},
        {"fields": NAMES, "rows": [VALUES], "more": 1},
        [],
    ],
)
def test_rows_that_are_none_are_refused_by_the_slot_itself(client: TestClient, body: Any) -> None:
    assert ask(client, body).status_code == 422


def test_a_refusal_of_a_stranger_proves_nothing(client: TestClient) -> None:
    _, headers = SECRET.request_headers("POST", "/slot/scores", b"{}")
    for sent, status in (
        ({}, 401),
        ({"Authorization": "Bearer token"}, 401),
        ({"Authorization": "Basic dTpw"}, 401),
        ({"Authorization": headers["Authorization"]}, 401),
        ({**headers, "X-Windsock-Slot-Nonce": "A" * 32}, 401),
        ({**headers, "X-Windsock-Slot-Nonce": "0" * 32}, 403),
    ):
        answer = client.post("/slot/scores", content=b"{}", headers=sent)
        assert (answer.status_code, answer.json()["code"]) == (status, "WS-SLOT-003")
        assert "X-Windsock-Slot-Proof" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"


def test_a_stranger_cannot_make_it_read_much(client: TestClient) -> None:
    assert client.post("/slot/scores", content=b"x" * 5000).status_code == 401  # not read at all
    _, headers = SECRET.request_headers("POST", "/slot/scores", b"")
    assert client.post("/slot/scores", content=b"x" * 2001, headers=headers).status_code == 413


@pytest.mark.parametrize("path", ["/", "/metrics", "/docs", "/predict", "/admin/routes/churn", "/slot"])
def test_it_has_no_other_page(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
    assert client.get("/health").json() == {"status": "ok"}
    assert client.post("/health").status_code == 405


def test_it_loads_what_the_target_wrote(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home")
    stored = store_bundle(settings, make_bundle())
    register = SlotRegister.of(settings)
    register.key.make()
    deployment = make_deployment(stored.digest, ADDRESS)
    folder = tmp_path / "slots" / deployment.slot
    write_slot_folder(settings, folder, deployment, register.secret_of(deployment), stored.uri)
    assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    assert sorted(file.name for file in folder.iterdir()) == ["bundles", "keys", "slot.json"]
    assert not any("signing.key" in str(file) for file in folder.rglob("*"))
    assert load_slot(folder).deployment == deployment
    model = folder / "bundles" / stored.digest / "model.skops"
    model.write_bytes(model.read_bytes() + b"x")
    with pytest.raises(UnverifiedBundleError):
        load_slot(folder)
    (folder / "slot.json").chmod(0o644)
    with pytest.raises(SlotSecretError):
        load_slot(folder)


def test_a_bundle_of_another_model_is_refused(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home")
    stored = store_bundle(settings, make_bundle(model="spend"))
    register = SlotRegister.of(settings)
    register.key.make()
    deployment = make_deployment(stored.digest, ADDRESS)
    folder = tmp_path / "slots" / deployment.slot
    write_slot_folder(settings, folder, deployment, register.secret_of(deployment), stored.uri)
    with pytest.raises(UnverifiedBundleError, match="of model spend"):
        load_slot(folder)
