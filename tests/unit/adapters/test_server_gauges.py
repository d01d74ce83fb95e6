from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from windsock.adapters.server_gauges import ServerGauges
from windsock.exceptions import ServerUnavailableError, SettingsError
from windsock.serving.gauge_files import gauges_text, keep_gauges
from windsock.serving.gauges import read_gauges
from windsock.serving.known_gauges import KNOWN
from windsock.serving.strict_json import read_json
from windsock.settings import Settings

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class GaugeServer:
    """Takes gauges as the serving app does, by its own functions."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.refusal, self.tokens = folder, None, []  # a token for each call
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                outer.tokens.append(self.headers.get("authorization"))
                body = self.rfile.read(int(self.headers["content-length"]))
                if outer.refusal is not None:
                    self.say(*outer.refusal)
                    return
                model = self.path.removeprefix("/admin/gauges/")
                keep_gauges(outer.folder, model, read_gauges(read_json(body), model), NOON)
                self.say(200, b"{}")

            def say(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def shown(self) -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(gauges_text(self.folder).decode())
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
            if sample.name in KNOWN
        }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GaugeServer]:
    made = GaugeServer(tmp_path)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def gauges_of(url: str) -> ServerGauges:
    environment = {"WINDSOCK_SERVER_URL": url, "WINDSOCK_ADMIN_TOKEN": "the-token"}
    return ServerGauges(Settings.from_environment(environment))


def test_names_are_replaced_in_one_call_and_the_others_stand(server):
    gauges = gauges_of(server.url)
    gauges.set("spend", {"ml_drift_ratio": [({}, 0.25)]})
    gauges.set(
        "churn", {"ml_drift_ratio": [({}, 0.5)], "recommendation_ctr": [({"variant": "champion"}, 0.125)]}
    )
    gauges.set("churn", {"data_drift_score": [({"feature": "age"}, 0.1), ({"feature": 'a "b"'}, 0.2)]})
    gauges.set("churn", {"data_drift_score": [({"feature": "plan"}, 0.3)], "ml_drift_ratio": [({}, 0.75)]})
    assert server.shown() == {
        ("ml_drift_ratio", "churn"): 0.75,
        ("ml_drift_ratio", "spend"): 0.25,
        ("data_drift_score", "churn", "plan"): 0.3,
        ("recommendation_ctr", "churn", "champion"): 0.125,
    }
    assert server.tokens == ["Bearer the-token"] * 4


def test_no_samples_clear_a_name(server):
    gauges = gauges_of(server.url)
    gauges.set(
        "churn", {"ml_drift_ratio": [({}, 0.5)], "recommendation_ctr": [({"variant": "champion"}, 0.125)]}
    )
    gauges.set("churn", {"ml_drift_ratio": []})
    assert server.shown() == {("recommendation_ctr", "churn", "champion"): 0.125}


def test_no_names_call_nobody(server):
    gauges_of(server.url).set("churn", {})
    assert server.tokens == []


def test_the_server_takes_every_known_gauge(server):
    samples = {name: [(dict.fromkeys(known.labels, "x"), 1.0)] for name, known in KNOWN.items()}
    gauges_of(server.url).set("churn", samples)
    assert {key[0] for key in server.shown()} == set(KNOWN)


def test_what_the_server_refuses_is_said(server):
    server.refusal = (404, b'{"error": "no such model", "code": "WS-SERVING-013", "next": "Deploy it."}')
    with pytest.raises(ServerUnavailableError, match="no such model") as caught:
        gauges_of(server.url).set("churn", {"ml_drift_ratio": [({}, 0.5)]})
    assert caught.value.code == "WS-SERVING-013"
    server.refusal = (403, b'{"error": "the admin token is wrong", "code": "WS-SERVING-007", "next": "-"}')
    with pytest.raises(SettingsError):
        gauges_of(server.url).set("churn", {"ml_drift_ratio": [({}, 0.5)]})
    server.refusal = (502, b"<html>")
    with pytest.raises(ServerUnavailableError, match="not Windsock's server"):
        gauges_of(server.url).set("churn", {"ml_drift_ratio": [({}, 0.5)]})


def test_an_absent_server_is_said(server):
    server.server.server_close()
    server.server.shutdown()
    with pytest.raises(ServerUnavailableError):
        gauges_of(server.url).set("churn", {"ml_drift_ratio": [({}, 0.5)]})
