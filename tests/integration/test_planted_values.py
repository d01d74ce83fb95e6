"""Planted rows and secrets: what goes in by every door comes out by none but the prediction log."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from support.serving import (
    FIELDS,
    ROW,
    Server,
    make_bundle,
    make_plan,
    make_settings,
    running,
    store_bundle,
    wait_until,
)
from windsock.adapters.server_client import ServerRouter
from windsock.serving.client_file import ClientRegistry

pytestmark = pytest.mark.slow

PLANTED = "Zaphod-4711-Planted"
NUMBER = 271828.18281
JSON_TYPE = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = make_settings(tmp_path_factory.mktemp("planted"))
    with running(settings, workers=1) as server:
        ServerRouter(server.address, settings.read_admin_token).apply(
            make_plan(store_bundle(settings, make_bundle()))
        )
        yield server


def encodings(secret: str) -> set[str]:
    """Return a secret as it is, and as it may hide."""
    raw = secret.encode()
    return {secret, secret.upper(), raw.hex(), base64.b64encode(raw).decode().rstrip("="), quote(secret)}


def rows() -> Iterator[dict[str, Any]]:
    """Rows that are right, and rows that are wrong in each field, all with planted values."""
    planted = {**ROW, "plan": PLANTED, "age": NUMBER}
    yield planted
    for field in FIELDS:
        for wrong in (PLANTED, NUMBER, [PLANTED], {PLANTED: NUMBER}, None, True):
            yield {**planted, field.name: wrong}
    yield {**planted, f"{PLANTED}@": 1}  # a key that is a name is named, in the answer alone


def requests() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Every path with planted rows, ids, units and whole bodies."""
    for row in rows():
        for path, body in (
            ("/predict", {"features": row, "unit": PLANTED, "prediction_id": PLANTED}),
            ("/predict", {"features": [row], "unit": [PLANTED], PLANTED: 1}),
            ("/invocations", {"dataframe_records": [row]}),
            ("/invocations", {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}),
            ("/drift-check", {"rows": [row]}),
            ("/v2/models/churn/infer", {"id": PLANTED, "inputs": tensors(row)}),
            ("/outcomes", {"prediction_id": PLANTED, "outcome": row["age"], "event_time": PLANTED}),
        ):
            yield path, json.dumps(body).encode(), JSON_TYPE
    for path in ("/predict", "/invocations", "/v2/models/churn/infer", "/outcomes", "/drift-check"):
        for body in (PLANTED, f'"{PLANTED}"', f'{{"{PLANTED}"', f'{{"features": {PLANTED}}}'):
            yield path, body.encode(), JSON_TYPE
    header = ",".join(ROW)
    yield (
        "/invocations",
        f"{header}\n{PLANTED},{PLANTED},{PLANTED},x,y\n".encode(),
        {"Content-Type": "text/csv"},
    )
    yield f"/models/{PLANTED}/predict", b"{}", JSON_TYPE
    yield f"/{PLANTED}", b"{}", JSON_TYPE


def tensors(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": [1],
            "datatype": "BYTES" if isinstance(value, str) else "FP64",
            "data": [value],
        }
        for name, value in row.items()
    ]


def test_no_error_no_metric_and_no_log_says_what_was_sent(server: Server) -> None:
    said: list[str] = []
    statuses = set()
    with httpx.Client(base_url=server.address, timeout=20) as client:
        for path, body, headers in requests():
            answer = client.post(path, content=body, headers=headers)
            statuses.add(answer.status_code)
            if answer.status_code >= 400:
                said.append(answer.text)
        said += [
            client.get(path).text for path in ("/metrics", "/health", "/ready", "/docs", "/openapi.json")
        ]
    assert {200, 400, 404, 422} <= statuses
    text = "\n".join([*said, server.said()])
    assert len(said) > 100
    assert not [secret for secret in encodings(PLANTED) if secret in text]
    assert str(NUMBER) not in text
    assert str(ROW["visits"]) + ".0" not in server.said()


def test_no_key_and_no_token_is_said_anywhere(server: Server) -> None:
    settings = server.settings
    registry = ClientRegistry(settings.clients_file)
    keys = [registry.add("shop", scopes=["predict"]), registry.add("slow", rate=0.01, burst=1)]
    rotated = registry.rotate("shop", grace=timedelta(hours=1))
    secrets = [*keys, rotated, settings.read_admin_token(), (settings.keys_dir / "signing.key").read_text()]
    said: list[str] = []
    body = json.dumps({"features": ROW}).encode()
    with httpx.Client(base_url=server.address, timeout=20) as client:
        wait_until(lambda: client.post("/predict", content=body).status_code == 401, what="asking for keys")
        for secret in [*keys, rotated, "wrong-key-" + PLANTED]:
            for headers in ({"Authorization": f"Bearer {secret}"}, {"X-API-Key": secret}):
                for path in ("/predict", "/outcomes", "/invocations", "/drift-check", "/admin/routes/churn"):
                    answer = client.post(path, content=b"{" if path == "/outcomes" else body, headers=headers)
                    said.append(answer.text + str(answer.headers))
        admin = {"Authorization": f"Bearer {settings.read_admin_token()}"}
        said.append(client.put("/admin/routes/churn", content=b"{}", headers=admin).text)
        said += [client.get(path).text for path in ("/metrics", "/health", "/openapi.json")]
    state = [file.read_bytes() for file in settings.serving_dir.rglob("*") if file.is_file()]
    clients = settings.clients_file.read_text()
    text = "\n".join([*said, server.said(), clients])
    for secret in [line for known in secrets for line in known.splitlines() if len(line) > 30]:
        assert not [shape for shape in encodings(secret) if shape in text]
        assert not [content for content in state if secret.encode() in content]
