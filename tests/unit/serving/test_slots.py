from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support.serving import FIELDS, ROW
from support.slots import make_deployment
from windsock.adapters.slot_secrets import SlotSecret
from windsock.ports import LoadedBundle
from windsock.records import GoldenPredictions, SlotPlan
from windsock.serving.http_slot import HttpSlot
from windsock.serving.slots import (
    LocalSlot,
    SlotFailedError,
    UnanswerableError,
    compare_golden,
    pipeline_scores,
    probe,
)
from windsock.training.preprocessing import to_features

NAMES = [field.name for field in FIELDS]
VALUES = tuple(ROW.values())
ADDRESS = "http://127.0.0.1:8182"
KEY = bytes(range(32))
SECRET = SlotSecret(KEY)


def values_of(**changed: Any) -> tuple[Any, ...]:
    return tuple({**ROW, **changed}.values())


def plan_of(bundle: LoadedBundle, **fields: Any) -> SlotPlan:
    return SlotPlan(version="7", digest=bundle.digest, bundle_uri="memory://", share=0, **fields)


def http_slot(bundle: LoadedBundle, answer: Any) -> HttpSlot:
    """Return a slot whose requests after the first, for its readiness, go to a function, proved or not."""

    def answering(request: httpx.Request) -> httpx.Response:
        ready = httpx.Response(200, json={"digest": bundle.digest, "version": "7"})
        made = ready if request.url.path == "/slot/ready" else answer(request)
        made.read()
        nonce = request.headers["x-windsock-slot-nonce"]
        made.headers.setdefault(
            "x-windsock-slot-proof", SECRET.answer_proof(nonce, made.status_code, made.content)
        )
        return made

    return unproved_slot(bundle, answering)


def unproved_slot(bundle: LoadedBundle, answer: Any) -> HttpSlot:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    deployment = make_deployment(bundle.digest, ADDRESS, version="7")
    return HttpSlot(plan_of(bundle, url=ADDRESS), bundle, client, deployment, SECRET)


@pytest.mark.parametrize("name", ["first", "three", "number"])
def test_a_local_slot_answers_as_its_pipeline(bundles: dict[str, LoadedBundle], name: str) -> None:
    bundle = bundles[name]
    rows = [values_of(age=age, member=True) for age in (20.0, 50.5, None)]
    features = to_features([dict(zip(NAMES, row, strict=True)) for row in rows], bundle.schema.fields)
    known = bundle.pipeline.predict(features) if name == "number" else bundle.pipeline.predict_proba(features)
    with ThreadPoolExecutor(1) as pool:
        scores = asyncio.run(LocalSlot(plan_of(bundle), bundle, pool).scores(rows))
    assert [list(row) for row in scores] == known.reshape(3, -1).tolist()


def test_the_pipeline_is_called_once(bundles: dict[str, LoadedBundle]) -> None:
    calls = []

    class Counting:
        classes_ = (False, True)

        def predict_proba(self, features: Any) -> Any:
            calls.append(len(features))
            return bundles["first"].pipeline.predict_proba(features)

    bundle = LoadedBundle(**{**vars(bundles["first"]), "pipeline": Counting()})
    pipeline_scores(bundle, [values_of(member=True)] * 3)
    assert calls == [3]


@pytest.mark.parametrize("error", [ValueError("planted 17"), OverflowError("planted 17")])
def test_what_the_pipeline_cannot_do_holds_no_value(
    bundles: dict[str, LoadedBundle], error: Exception
) -> None:
    class Refusing:
        def predict(self, features: Any) -> Any:
            raise error

    bundle = LoadedBundle(**{**vars(bundles["number"]), "pipeline": Refusing()})
    with pytest.raises(UnanswerableError) as refused:
        pipeline_scores(bundle, [VALUES])
    assert "planted" not in str(refused.value)


def test_an_answer_that_is_not_finite_is_none(bundles: dict[str, LoadedBundle]) -> None:
    class Endless:
        steps = ()

        def predict(self, features: Any) -> Any:
            return [float("inf")] * len(features)

        def __getitem__(self, place: int) -> Any:
            return self

    bundle = LoadedBundle(**{**vars(bundles["number"]), "pipeline": Endless()})
    with pytest.raises(UnanswerableError):
        pipeline_scores(bundle, [VALUES])


def test_an_http_slot_proves_each_request_and_sends_no_secret(bundles: dict[str, LoadedBundle]) -> None:
    bundle, seen = bundles["first"], []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"digest": bundle.digest, "version": "7", "scores": [[0.25, 0.75]]})

    slot = http_slot(bundle, answer)
    assert asyncio.run(slot.scores([VALUES])) == [[0.25, 0.75]]
    assert asyncio.run(slot.scores([VALUES])) == [[0.25, 0.75]]
    assert [str(request.url) for request in seen] == [f"{ADDRESS}/slot/scores"] * 2
    assert json.loads(seen[0].content) == {"fields": NAMES, "rows": [list(VALUES)]}
    assert len({request.headers["x-windsock-slot-nonce"] for request in seen}) == 2
    for request in seen:
        scheme, _, proof = request.headers["authorization"].partition(" ")
        nonce = request.headers["x-windsock-slot-nonce"]
        assert scheme == "Windsock-Slot"
        assert SECRET.proves_request(proof, nonce, "POST", "/slot/scores", request.content)
        assert KEY.hex() not in str(request.headers.raw)


@pytest.mark.parametrize("proof", ["0" * 64, "", "ünï", None])
def test_no_row_goes_to_what_does_not_prove_itself(
    bundles: dict[str, LoadedBundle], proof: str | None
) -> None:
    seen = []

    def stranger(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        headers = {} if proof is None else {"X-Windsock-Slot-Proof": proof.encode()}
        said = {"digest": bundles["first"].digest, "version": "7", "scores": [[0.25, 0.75]]}
        return httpx.Response(200, json=said, headers=headers)

    with pytest.raises(SlotFailedError, match="without the proof"):
        asyncio.run(unproved_slot(bundles["first"], stranger).scores([VALUES]))
    assert [(request.method, request.url.path, request.content) for request in seen] == [
        ("GET", "/slot/ready", b"")
    ]


def test_an_answer_to_another_request_is_no_answer(bundles: dict[str, LoadedBundle]) -> None:
    bundle = bundles["first"]

    def replayed(request: httpx.Request) -> httpx.Response:
        said = {"digest": bundle.digest, "version": "7", "scores": [[0.25, 0.75]]}
        proof = SECRET.answer_proof("0" * 32, 200, json.dumps(said).encode())
        return httpx.Response(200, content=json.dumps(said), headers={"X-Windsock-Slot-Proof": proof})

    with pytest.raises(SlotFailedError, match="without the proof"):
        asyncio.run(http_slot(bundle, replayed).scores([VALUES]))


def test_after_a_failure_a_slot_must_prove_itself_anew(bundles: dict[str, LoadedBundle]) -> None:
    bundle, paths = bundles["first"], []
    working = http_slot(
        bundle, lambda _: httpx.Response(200, json={"digest": bundle.digest, "scores": [[0.25, 0.75]]})
    )
    taken = {"over": False}

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        if taken["over"]:
            return httpx.Response(503)
        return working.client._transport.handler(request)  # type: ignore[attr-defined]

    slot = unproved_slot(bundle, answer)
    asyncio.run(slot.scores([VALUES]))
    taken["over"] = True
    for _ in range(2):
        with pytest.raises(SlotFailedError):
            asyncio.run(slot.scores([VALUES]))
    assert paths == ["/slot/ready", "/slot/scores", "/slot/scores", "/slot/ready"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(bundles: dict[str, LoadedBundle], status: int) -> None:
    hosts = []

    def elsewhere(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(status, headers={"Location": "http://elsewhere/slot/scores"})

    with pytest.raises(SlotFailedError, match=f"status {status}"):
        asyncio.run(http_slot(bundles["first"], elsewhere).scores([VALUES]))
    assert hosts == ["127.0.0.1"]


@pytest.mark.parametrize(
    "content",
    [
        {"digest": "0" * 64, "scores": [[0.2, 0.8]]},
        {"scores": [[0.2, 0.8]]},
        {"digest": None, "scores": [[0.2, 0.8]]},
        {"digest": "same", "scores": [[0.2, 0.8], [0.2, 0.8]]},
        {"digest": "same", "scores": [[1.0]]},
        {"digest": "same", "scores": "no"},
        [],
    ],
)
def test_an_http_slot_takes_no_other_version_for_its_own(
    bundles: dict[str, LoadedBundle], content: Any
) -> None:
    text = json.dumps(content).replace("same", bundles["first"].digest)
    with pytest.raises(SlotFailedError):
        asyncio.run(http_slot(bundles["first"], lambda _: httpx.Response(200, text=text)).scores([VALUES]))


def test_an_http_slot_that_is_away(bundles: dict[str, LoadedBundle]) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(SlotFailedError, match="did not answer"):
        asyncio.run(http_slot(bundles["first"], away).scores([VALUES]))
    with pytest.raises(SlotFailedError, match="status 500"):
        asyncio.run(http_slot(bundles["first"], lambda _: httpx.Response(500)).scores([VALUES]))
    with pytest.raises(UnanswerableError):
        asyncio.run(http_slot(bundles["first"], refusing("WS-SERVING-012")).scores([VALUES]))
    result = asyncio.run(probe(http_slot(bundles["first"], away)))
    assert (result.matched, result.version) == (False, "7")
    assert "did not answer" in result.message


def refusing(code: str) -> Any:
    return lambda _: httpx.Response(422, json={"error": "no", "code": code, "next": "."})


@pytest.mark.parametrize("answer", [refusing("WS-SERVING-009"), lambda _: httpx.Response(422)])
def test_another_servers_422_about_something_else_is_its_failure(
    bundles: dict[str, LoadedBundle], answer: Any
) -> None:
    with pytest.raises(SlotFailedError):
        asyncio.run(http_slot(bundles["first"], answer).scores([VALUES]))


def test_a_score_that_is_not_finite_is_nonsense(bundles: dict[str, LoadedBundle]) -> None:
    text = f'{{"digest": "{bundles["first"].digest}", "version": "7", "scores": [[NaN, 1.0]]}}'
    with pytest.raises(SlotFailedError):
        asyncio.run(http_slot(bundles["first"], lambda _: httpx.Response(200, text=text)).scores([VALUES]))


GOLDEN = GoldenPredictions(rows=({"a": 1}, {"a": 2}), scores=((0.25, 0.75), (0.5, 0.5)), tolerance=1e-3)


@pytest.mark.parametrize(
    ("scores", "matched", "largest"),
    [
        ([[0.25, 0.75], [0.5, 0.5]], True, 0.0),
        ([[0.2505, 0.7495], [0.5, 0.5]], True, 0.0005),
        ([[0.25, 0.75], [0.75, 0.25]], False, 0.25),
        ([[0.25, 0.75], [0.5, float("nan")]], False, 0.0),
        ([[float("nan"), float("nan")], [0.5, 0.5]], False, 0.0),
        ([[float("inf"), 0.75], [0.5, 0.5]], False, 0.0),
        ([[0.25, 0.75]], False, 0.0),
        ([[0.25, 0.75], [0.5, 0.5], [0.5, 0.5]], False, 0.0),
        ([[0.25, 0.75], [0.5]], False, 0.0),
        ([], False, 0.0),
    ],
)
def test_golden_predictions(scores: Any, matched: bool, largest: float) -> None:
    result = compare_golden(GOLDEN, scores, "7")
    assert result.matched is matched
    assert result.largest_difference == pytest.approx(largest)
    assert bool(result.message) is not matched
