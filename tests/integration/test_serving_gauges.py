"""Gauges told to a server of two workers by several clients at once."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.serving import make_bundle, make_plan, make_settings, running, store_bundle
from windsock.adapters.server_client import ServerRouter
from windsock.adapters.server_gauges import ServerGauges
from windsock.records import INSTALLATION

pytestmark = pytest.mark.slow

ROUNDS = 25
NAMES = ("ml_drift_ratio", "recommendation_ctr")


def test_names_told_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    stored = store_bundle(settings, make_bundle())
    with running(settings, workers=2) as server:
        ServerRouter(server.address, settings.read_admin_token).apply(make_plan(stored))
        gauges = ServerGauges(settings.model_copy(update={"server_url": server.address}))

        def shown() -> dict[str, float]:
            text = httpx.get(f"{server.address}/metrics").text
            families = text_string_to_metric_families(text)
            return {one.name: one.value for family in families for one in family.samples if one.name in NAMES}

        told: dict[str, list[float | None]] = {name: [] for name in NAMES}

        def tell(name: str) -> None:
            for number in range(ROUNDS):
                labels = {"variant": "champion"} if name == "recommendation_ctr" else {}
                gauges.set("churn", {name: [(labels, number)]})
                told[name].append(shown().get(name))

        threads = [threading.Thread(target=tell, args=(name,)) for name in NAMES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert told == dict.fromkeys(NAMES, [float(number) for number in range(ROUNDS)])
        gauges.set("churn", {"ml_drift_ratio": []})
        assert shown() == {"recommendation_ctr": ROUNDS - 1}
        gauges.set(INSTALLATION, {"windsock_alerts_firing": [({"severity": "high"}, 2.0)]})
        assert 'windsock_alerts_firing{severity="high"} 2.0' in httpx.get(f"{server.address}/metrics").text
