from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from windsock.adapters.server_gauges import GAUGES, ServerGauges
from windsock.exceptions import ServerUnavailableError, SettingsError
from windsock.serving.gauges import KNOWN, gauges_text, keep_gauges, read_gauges
from windsock.serving.strict_json import read_json
from windsock.settings import Settings

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class GaugeServer:
    """Takes and shows gauges as the serving app does, by its own functions."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.refusal, self.tokens = folder, None, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.say(200, gauges_text(outer.folder) + b"# TYPE up gauge\nup 1.0\n")

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
            if sample.name in GAUGES
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


def test_it_knows_what_the_server_takes():
    assert set(GAUGES) == set(KNOWN)


def test_a_gauge_is_replaced_and_the_others_stand(server):
    gauges = gauges_of(server.url)
    gauges.set("ml_drift_ratio", [({"model": "churn"}, 0.5), ({"model": "spend"}, 0.25)])
    gauges.set(
        "data_drift_score",
        [({"model": "churn", "feature": "age"}, 0.1), ({"model": "churn", "feature": 'a "b"\n'}, 0.2)],
    )
    gauges.set("data_drift_score", [({"model": "churn", "feature": "plan"}, 0.3)])
    assert server.shown() == {
        ("ml_drift_ratio", "churn"): 0.5,
        ("ml_drift_ratio", "spend"): 0.25,
        ("data_drift_score", "churn", "plan"): 0.3,
    }
    assert set(server.tokens) == {"Bearer the-token"}


def test_no_samples_change_nothing(server):
    gauges_of(server.url).set("ml_drift_ratio", [])
    assert server.shown() == {}
    assert server.tokens == []


def test_what_the_server_refuses_is_said(server):
    server.refusal = (404, b'{"error": "no such model", "code": "WS-SERVING-013", "next": "Deploy it."}')
    with pytest.raises(ServerUnavailableError, match="no such model") as caught:
        gauges_of(server.url).set("ml_drift_ratio", [({"model": "churn"}, 0.5)])
    assert caught.value.code == "WS-SERVING-013"
    server.refusal = (403, b'{"error": "the admin token is wrong", "code": "WS-SERVING-007", "next": "-"}')
    with pytest.raises(SettingsError):
        gauges_of(server.url).set("ml_drift_ratio", [({"model": "churn"}, 0.5)])
    server.refusal = (502, b"<html>")
    with pytest.raises(ServerUnavailableError, match="not Windsock's server"):
        gauges_of(server.url).set("ml_drift_ratio", [({"model": "churn"}, 0.5)])


def test_an_absent_server_is_said(server):
    server.server.server_close()
    server.server.shutdown()
    with pytest.raises(ServerUnavailableError):
        gauges_of(server.url).set("ml_drift_ratio", [({"model": "churn"}, 0.5)])
