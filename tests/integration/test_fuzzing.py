"""Whatever is sent: no 5xx, no hang. The OpenAPI is fuzzed, and hostile bodies are sent over TCP."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode

from support.hostile import HOSTILE
from support.serving import ROW, Server, make_bundle, make_plan, make_settings, running, store_bundle
from windsock.adapters.server_client import ServerRouter

pytestmark = pytest.mark.slow

HANG_SECONDS = 10.0
LEFT_OUT = {("PUT", "/admin/routes/{name}")}
"""It answers 503 where a bundle cannot be fetched, as made-up ones cannot."""
FIELDS_SENT = {"features": [ROW], "rows": [ROW], "dataframe_records": [ROW], "instances": [ROW]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = make_settings(tmp_path_factory.mktemp("fuzzed"))
    with running(settings, workers=2) as server:
        stored = store_bundle(settings, make_bundle())
        ServerRouter(server.address, settings.read_admin_token).apply(make_plan(stored))
        yield server


def require_sound(answer: Any, what: str, counts: Counter[int]) -> None:
    counts[answer.status_code] += 1
    assert answer.status_code < 500, f"{what}: {answer.status_code} {answer.text[:300]}"


def fuzz_the_openapi(server: Server, examples: int) -> Counter[int]:
    """Send so many valid and as many invalid requests to each operation."""
    counts: Counter[int] = Counter()
    schema = schemathesis.openapi.from_url(f"{server.address}/openapi.json")
    headers = {"Authorization": f"Bearer {server.settings.read_admin_token()}"}
    quiet = hypothesis_settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for found in schema.get_all_operations():
        operation = found.ok()
        if (operation.method.upper(), operation.path) in LEFT_OUT:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @seed(17)
            @quiet
            @given(case=operation.as_strategy(generation_mode=mode))
            def send(case: Any) -> None:
                if "name" in (case.path_parameters or {}) and counts.total() % 5:
                    case.path_parameters["name"] = "churn"  # else nearly all of them end at its name
                answer = case.call(headers=headers, timeout=HANG_SECONDS)
                require_sound(answer, f"{case.method} {case.path}", counts)

            try:
                send()
            except Exception as error:
                if type(error).__name__ not in ("Unsatisfiable", "SkipTest"):
                    raise
    return counts


def mutated(draw: random.Random, body: bytes) -> bytes:
    """Return a body with some bytes changed, cut out, doubled or put in."""
    content = bytearray(body)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(content) + 1)
        end = min(len(content), place + draw.randint(0, 6))
        piece = draw.choice(
            [
                bytes(draw.randrange(256) for _ in range(draw.randint(0, 3))),
                draw.choice(
                    [b"null", b"true", b"1e400", b"-0", b"[]", b"{}", b'""', b"\\ud800", b"NaN", b"9" * 30]
                ),
                bytes(content[place:end]) * 3,
            ]
        )
        content[place:end] = piece
    return bytes(content)


def fuzz_the_bodies(server: Server, number: int) -> Counter[int]:
    """Send so many broken bodies to every path that takes one."""
    counts: Counter[int] = Counter()
    draw = random.Random(17)  # noqa: S311 - broken bodies, nothing secret
    seeds = [json.dumps({key: value}).encode() for key, value in FIELDS_SENT.items()]
    seeds += [json.dumps({"features": ROW, "unit": "u", "event_time": "2026-05-01T12:00:00Z"}).encode()]
    seeds += [json.dumps({"prediction_id": "p", "outcome": True}).encode()]
    seeds += [
        b",".join(key.encode() for key in ROW) + b"\n" + b",".join(str(v).encode() for v in ROW.values())
    ]
    tensors = [
        {"name": name, "shape": [1], "datatype": "BYTES", "data": [str(value)]} for name, value in ROW.items()
    ]
    seeds += [json.dumps({"inputs": tensors}).encode()]
    kinds = [
        "application/json",
        "text/csv",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "",
    ]
    paths = posted_paths(server)
    served = [path for path in paths if "/x" not in path]
    with httpx.Client(base_url=server.address, timeout=HANG_SECONDS) as client:
        for count in range(number):
            known = list(HOSTILE.values())
            body = known[count] if count < len(known) else mutated(draw, draw.choice(seeds))
            headers = {"content-type": draw.choice(kinds)}
            if draw.random() < 0.1:
                headers["inference-header-content-length"] = draw.choice(["0", "-1", "7", "99999999999", "x"])
            path = draw.choice(served if draw.random() < 0.9 else paths)
            require_sound(
                client.post(path, content=body, headers=headers), f"POST {path} {body[:200]!r}", counts
            )
    return counts


def posted_paths(server: Server) -> list[str]:
    """Return the paths of the contract that take a body, of a model that is served and of one that is not."""
    known = httpx.get(f"{server.address}/openapi.json").json()["paths"]
    paths = [path for path, verbs in known.items() if "post" in verbs and not path.startswith("/admin")]
    filled = [
        path.replace("{version}", "1").replace("{name}", name) for path in paths for name in ("churn", "x")
    ]
    return sorted({path for path in filled if "{" not in path})


def test_the_contract_is_fuzzed(server: Server) -> None:
    counts = fuzz_the_openapi(server, 15)
    assert counts[200] > 0
    assert counts[422] > 0


def test_broken_bodies(server: Server) -> None:
    counts = fuzz_the_bodies(server, 1_000)
    assert counts[200] > 0
    assert min(counts[400], counts[422]) > 20


@pytest.mark.acceptance
def test_twenty_thousand_inputs(server: Server) -> None:
    counts = fuzz_the_openapi(server, 400) + fuzz_the_bodies(server, 16_000)
    by_status = dict(sorted(counts.items()))
    print(f"\n{counts.total():,} inputs, by status {by_status}, 5xx 0, hangs 0")  # noqa: T201 - the figure
    assert counts.total() >= 20_000
    assert httpx.get(f"{server.address}/health").json()["status"] == "ok"
    assert "Traceback" not in server.said()
