"""Who holds the admin token gives no bundle traffic to which the gate did not say yes."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from support.serving import ROW, make_bundle, make_plan, make_settings, running, store_bundle
from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.signing import Signer, create_keys
from windsock.adapters.storage import Storage
from windsock.records import RoutePlan, StoredBundle
from windsock.settings import Settings

pytestmark = pytest.mark.slow


def put(address: str, settings: Settings, plan: RoutePlan) -> httpx.Response:
    headers = {"Authorization": f"Bearer {settings.read_admin_token()}"}
    url = f"{address}/admin/routes/{plan.model}"
    return httpx.put(url, content=plan.model_dump_json(), headers=headers, timeout=60)


def write_pack(settings: Settings, stored: StoredBundle, change: dict[str, object], signer: Signer) -> None:
    """Write a pack beside the bundle's name that says something else, signed by somebody."""
    store = SignedBundleStore(Storage(settings.storage_url), settings.keys_dir)
    good = store_bundle(settings, make_bundle(seed=3))
    pack = json.loads(store.storage.read_bytes(f"evidence/churn/{good.digest}.json"))
    pack["inputs"]["bundle"] = pack["decision"]["bundle_digest"] = stored.digest
    for key, value in change.items():
        pack[key] = {**pack[key], **value} if isinstance(value, dict) else value
    content = json.dumps(pack).encode()
    path = f"evidence/churn/{stored.digest}-forged.json"
    store.storage.write_bytes(path, content)
    store.storage.write_bytes(f"{path}.sig", signer.sign(content))


def test_a_bundle_that_was_only_trained_is_not_served(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    first = store_bundle(settings, make_bundle())
    trained = store_bundle(settings, make_bundle(seed=2), passed=False)
    stranger = Signer(create_keys(tmp_path / "stranger"))
    own = Signer(settings.keys_dir)
    with running(settings, workers=1) as server:
        assert put(server.address, settings, make_plan(first)).status_code == 200
        forged = (
            None,
            ({}, stranger),
            ({"decision": {"outcome": "refuse"}}, own),
            ({"decision": {"checks": []}}, own),
            ({"decision": {"checks": [{"name": "latency", "status": "fail"}]}}, own),
            ({"model": "other"}, own),
            ({"inputs": {"bundle": first.digest}}, own),
        )
        for pack in forged:
            if pack is not None:
                write_pack(settings, trained, *pack)
            refused = put(server.address, settings, make_plan(first, trained, epoch=2))
            assert (refused.status_code, refused.json()["code"]) == (422, "WS-SERVING-066"), pack
            answer = httpx.post(f"{server.address}/predict", json={"features": ROW}).json()
            assert answer["version"] == "1"


def test_a_yes_that_was_read_once_counts_while_the_storage_is_away(tmp_path: Path) -> None:
    """A roll back to what served before waits for no storage."""
    settings = make_settings(tmp_path)
    first, second = (store_bundle(settings, make_bundle(seed=seed)) for seed in (1, 2))
    with running(settings, workers=1) as server:
        assert put(server.address, settings, make_plan(first, second)).status_code == 200
        assert put(server.address, settings, make_plan(second, epoch=2)).status_code == 200
        storage = Path(settings.storage_url)
        (storage / "evidence").rename(storage / "away")
        kept = make_plan(second, first, epoch=3)
        assert put(server.address, settings, kept).status_code == 200
