from __future__ import annotations

import html.parser
import json
import os
import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.serving import ROW, make_plan
from support.serving_app import App
from windsock.exceptions import DeploymentRefusedError, StorageError
from windsock.ports import LoadedBundle
from windsock.records import RoutePlan, StoredBundle
from windsock.serving.client_file import ClientRegistry
from windsock.serving.field_values import check_features
from windsock.serving.slots import pipeline_scores

Stored = dict[str, StoredBundle]
NAMES, VALUES = list(ROW), list(ROW.values())


def serve(app: App, plan: RoutePlan) -> None:
    answer = app.put(plan)
    assert answer.status_code == 200, answer.text


class TestPredict:
    def test_one_row(self, app: App, stored: Stored, bundles: dict[str, LoadedBundle]) -> None:
        serve(app, make_plan(stored["first"]))
        answer = app.client.post("/models/churn/predict", json={"features": ROW, "unit": "u"})
        assert answer.status_code == 200
        said = answer.json()
        values, _ = check_features(ROW, bundles["first"].schema, "features")
        ((no, yes),) = pipeline_scores(bundles["first"], [values])
        assert said["probabilities"] == {"false": no, "true": yes}
        assert (said["score"], said["prediction"]) == (yes, yes > 0.5)
        assert (said["model"], said["version"], said["variant"]) == ("churn", "1", "champion")
        assert said["inference_time_ms"] > 0
        assert said["timestamp"].endswith("Z")
        assert re.fullmatch("[0-9a-f]{32}", said["prediction_id"])

    @pytest.mark.parametrize("name", ["three", "number"])
    def test_other_kinds_of_answers(self, app: App, stored: Stored, name: str) -> None:
        serve(app, make_plan(stored[name]))
        said = app.client.post("/predict", json={"features": ROW}).json()
        if name == "number":
            assert (said["probabilities"], said["score"]) == (None, said["prediction"])
        else:
            assert said["score"] is None
            assert said["prediction"] == max(said["probabilities"], key=said["probabilities"].get)

    def test_many_rows_in_their_order(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"]))
        rows = [{**ROW, "age": age} for age in (20, 50, 80)]
        ids = ["a", "b", "c"]
        said = app.client.post("/predict", json={"features": rows, "prediction_id": ids}).json()[
            "predictions"
        ]
        assert [row["prediction_id"] for row in said] == ids
        alone = [app.client.post("/predict", json={"features": row}).json() for row in rows]
        assert [row["score"] for row in said] == pytest.approx([row["score"] for row in alone], abs=1e-12)

    def test_the_short_path_needs_a_single_model(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"]))
        assert app.client.post("/predict", json={"features": ROW}).status_code == 200
        serve(app, make_plan(stored["spend"], model="spend"))
        refused = app.client.post("/predict", json={"features": ROW})
        assert (refused.status_code, refused.json()["code"]) == (404, "WS-SERVING-013")
        assert app.client.post("/models/spend/predict", json={"features": ROW}).status_code == 200

    def test_an_unknown_model_is_404_and_lists_nothing(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"]))
        for name in ("other", "..%2f..%2fetc", "%00", "churn%20", "x" * 3_000):
            refused = app.client.post(f"/models/{name}/predict", json={"features": ROW})
            assert refused.status_code == 404
            assert "churn" not in refused.text

    def test_no_version_promoted_is_503_with_the_way_on(self, app: App, stored: Stored) -> None:
        refused = app.client.post("/predict", json={"features": ROW})
        assert (refused.status_code, refused.json()["code"]) == (503, "WS-SERVING-004")
        serve(app, make_plan(stored["first"], shares=(0,)))
        refused = app.client.post("/models/churn/predict", json={"features": ROW})
        assert (refused.status_code, refused.json()["code"]) == (503, "WS-SERVING-004")
        assert "promoted" in refused.json()["error"]
        assert refused.json()["next"]

    def test_too_large_a_body(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"]))
        large = b" " * 1_048_577
        assert app.client.post("/predict", content=large).status_code == 413
        chunks = (b" " * 65_536 for _ in range(17))
        assert app.client.post("/predict", content=chunks).status_code == 413
        fits = json.dumps({"features": ROW}).encode().ljust(1_048_576)
        assert app.client.post("/predict", content=fits).status_code == 200

    def test_at_most_ten_faults_and_no_value(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"]))
        rows = [{"age": "planted-17", "visits": None}] * 20
        refused = app.client.post("/predict", json={"features": rows})
        assert refused.status_code == 422
        assert len(refused.json()["detail"]) == 10
        assert refused.json()["detail"][0] == {
            "field": "features[0].age",
            "got": "text",
            "expected": "a number",
        }
        assert "planted" not in refused.text

    def test_an_extreme_but_valid_value_is_no_server_error(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["number"]))
        answer = app.client.post("/predict", json={"features": {**ROW, "age": 1e308}})
        assert answer.status_code in (200, 422)

    def test_a_failing_pipeline_is_a_plain_503(
        self, app: App, stored: Stored, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        serve(app, make_plan(stored["first"]))

        def broken(*_: Any) -> Any:
            raise RuntimeError("planted 17")

        monkeypatch.setattr("windsock.serving.slots.answers_to", broken)
        answer = app.client.post("/predict", json={"features": ROW})
        assert (answer.status_code, answer.json()["code"]) == (503, "WS-SERVING-008")
        assert "planted" not in answer.text + caplog.text
        assert "RuntimeError at" in caplog.text
        assert answer.headers["x-content-type-options"] == "nosniff"


class TestLog:
    def test_every_answered_row_is_one_event(self, app: App, stored: Stored) -> None:
        split = {"champion": stored["first"].digest, "experiment": "e1"}
        serve(app, make_plan(stored["first"], stored["second"], epoch=4, shares=(5_000, 5_000), **split))
        units = [f"u{number}" for number in range(40)]
        body = {
            "features": [{**ROW, "age": 20 + number} for number in range(40)],
            "unit": units,
            "event_time": "2026-05-01T12:00:00Z",
        }
        said = app.client.post("/predict", json=body).json()["predictions"]
        again = app.client.post("/predict", json=body).json()["predictions"]
        assert [row["version"] for row in again] == [row["version"] for row in said]
        assert {row["variant"] for row in said} == {"champion", "challenger"}
        app.service.prediction_log.stop()
        events = {event.prediction_id: event for event in app.events()}
        assert len(events) == 80
        assert [events[row["prediction_id"]].unit for row in said] == units
        first = events[said[0]["prediction_id"]]
        assert (first.version, first.epoch, first.experiment, first.variant) == (
            said[0]["version"],
            4,
            "e1",
            said[0]["variant"],
        )
        assert first.features == {**ROW, "age": 20, "joined": "2026-03-01T10:00:00+00:00"}
        assert (first.score, first.prediction) == (said[0]["score"], said[0]["prediction"])
        assert first.event_time is not None

    def test_refused_requests_are_not_in_it(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"]))
        app.client.post("/predict", json={"features": {}})
        app.service.prediction_log.stop()
        assert app.log_lines() == []

    def test_a_full_log_is_counted_and_predictions_go_on(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"]))
        app.service.prediction_log.spool_bytes = 0
        assert app.client.post("/predict", json={"features": ROW}).status_code == 200
        assert app.client.get("/health").json()["log_dropped"] == 1
        assert b"windsock_log_dropped_total 1.0" in app.client.get("/metrics").content

    def test_outcomes(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"]))
        body = {"prediction_id": "p", "outcome": True}
        for _ in range(2):
            assert app.client.post("/outcomes", json=body).status_code == 202
            assert len(app.log_lines("outcomes")) in (1, 2)  # on the disk already
        assert app.client.post("/outcomes", json={"outcome": 1}).status_code == 422

    def test_an_outcome_that_is_not_written_is_503(
        self, app: App, stored: Stored, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        serve(app, make_plan(stored["first"]))
        app.service.prediction_log.spool_bytes = 0
        refused = app.client.post("/outcomes", json={"prediction_id": "p", "outcome": True})
        assert (refused.status_code, refused.json()["code"]) == (503, "WS-SERVING-020")


class TestHealth:
    def test_counts_by_version(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"], epoch=3))
        before = app.client.get("/health").json()
        assert before["models"]["churn"] == {
            "version": "1",
            "epoch": 3,
            "predictions": 0,
            "average_inference_ms": None,
            "last_prediction": None,
            "versions": [
                {
                    "version": "1",
                    "digest": stored["first"].digest,
                    "share": 10_000,
                    "variant": "champion",
                    "engine": "scikit-learn",
                    "circuit": "closed",
                    "predictions": 0,
                    "average_inference_ms": None,
                    "last_prediction": None,
                }
            ],
        }
        app.client.post("/predict", json={"features": [ROW] * 3})
        said = app.client.get("/health").json()
        assert (said["status"], said["worker"], said["workers"]) == ("ok", os.getpid(), 1)
        model = said["models"]["churn"]
        assert model["predictions"] == 3
        assert model["average_inference_ms"] > 0
        assert model["last_prediction"] > "2026"
        assert said["uptime_seconds"] >= 0

    def test_faults_are_said(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"]))
        app.service.worker.routes.file.write_text("{")
        app.service.worker.table_fault = "the table is broken"
        app.service.prediction_log.stop()
        said = app.client.get("/health").json()
        assert said["status"] == "degraded"
        assert "the prediction log: the writer does not run" in said["faults"]

    def test_ready_needs_a_model_that_answers(
        self, app: App, stored: Stored, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("windsock.serving.health.READY_AGE_SECONDS", 0.0)
        answer = app.client.get("/ready")
        assert (answer.status_code, answer.json()["why"]) == (503, ["no model has been deployed yet"])
        serve(app, make_plan(stored["first"]))
        assert app.client.get("/ready").json() == {"ready": True, "why": []}
        monkeypatch.setattr("windsock.serving.slots.answers_to", lambda *_: [(0.5, 0.5)] * 20)
        answer = app.client.get("/ready")
        assert answer.status_code == 503
        assert answer.json()["why"][0].startswith("churn version 1: the tolerance is")

    def test_metrics_are_prometheus_text(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"]))
        app.client.post("/predict", json={"features": [ROW, ROW]})
        app.client.post("/predict", content=b"{")
        app.client.post("/models/other/predict", json={"features": ROW})
        answer = app.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        samples = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }
        labels = (("model", "churn"), ("model_version", "1"), ("variant", "champion"))
        assert samples[("ml_predictions_total", *labels)] == 2
        assert samples[("ml_prediction_duration_seconds_count", *labels)] == 1
        assert samples[("ml_requests_rejected_total", ("reason", "not_json"))] == 1
        assert samples[("ml_requests_rejected_total", ("reason", "unknown_model"))] == 1

    def test_a_model_says_what_it_takes(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"]))
        said = app.client.get("/models/churn").json()
        assert [field["name"] for field in said["schema"]["fields"]] == list(ROW)
        assert not any("form" in field for field in said["schema"]["fields"])
        assert app.client.post("/predict", json=said["example"]).status_code == 200


class TestAdmin:
    def test_a_plan_is_served_when_the_call_answers(self, app: App, stored: Stored) -> None:
        plan = make_plan(stored["first"], epoch=2)
        answer = app.put(plan)
        assert answer.json() == {"plan": plan.model_dump(mode="json"), "workers": 1}
        assert app.service.served["churn"].plan == plan
        assert app.client.get("/admin/routes/churn", headers=app.admin).json() == answer.json()
        assert app.put(plan).json() == answer.json()

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 401),
            ({"Authorization": "Basic abc"}, 401),
            ({"Authorization": "Bearer"}, 401),
            ({"Authorization": "Bearer wrong"}, 403),
            ({"Authorization": "Bearer ünï".encode().decode("latin-1")}, 403),
        ],
    )
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("PUT", "/admin/routes/churn"),
            ("GET", "/admin/routes/churn"),
            ("POST", "/admin/probe/churn/x"),
        ],
    )
    def test_the_token_guards_every_call(
        self, app: App, stored: Stored, headers: dict[str, str], status: int, method: str, path: str
    ) -> None:
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        content = make_plan(stored["first"]).model_dump_json()
        refused = app.client.request(method, path, headers=encoded, content=content)
        assert (refused.status_code, refused.json()["code"]) == (status, "WS-SERVING-016")
        assert app.service.served == {}
        token = app.settings.read_admin_token()
        assert token not in refused.text

    def test_without_a_token_on_the_server_nobody_is_admin(self, app: App, stored: Stored) -> None:
        (app.settings.keys_dir / "admin_token").write_text("\n")
        for given in ("Bearer x", "Bearer  "):
            refused = app.client.get("/admin/routes/churn", headers={"Authorization": given})
            assert refused.status_code in (401, 403)
        (app.settings.keys_dir / "admin_token").unlink()
        refused = app.client.get("/admin/routes/churn", headers={"Authorization": "Bearer x"})
        assert (refused.status_code, refused.json()["code"]) == (503, "WS-SETTINGS-002")

    def test_stale_epochs(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"], epoch=5))
        for plan in (make_plan(stored["first"], epoch=4), make_plan(stored["second"], epoch=5)):
            refused = app.put(plan)
            assert (refused.status_code, refused.json()["code"]) == (409, "WS-SERVING-006")
        assert app.service.served["churn"].plan.epoch == 5

    @pytest.mark.parametrize(
        ("fields", "code"),
        [({"salt": "other"}, "WS-SERVING-050"), ({"shares": (0, 8_000, 2_000)}, "WS-SERVING-051")],
    )
    def test_what_would_move_units_of_a_rollout(
        self, app: App, stored: Stored, fields: dict[str, Any], code: str
    ) -> None:
        bundles = [stored[name] for name in ("second", "first", "number")]
        split = {"champion": stored["first"].digest, "experiment": "e", "shares": (2_000, 8_000, 0)}
        serve(app, make_plan(*bundles, epoch=1, **split))
        before = app.service.worker.routes.read()
        refused = app.put(make_plan(*bundles, epoch=2, **{**split, **fields}))
        assert (refused.status_code, refused.json()["code"]) == (422, code)
        assert "rollout e is under way" in refused.json()["error"]
        assert app.service.worker.routes.read() == before
        assert app.service.served["churn"].plan.epoch == 1
        serve(app, make_plan(*bundles, epoch=3, **{**split, **fields, "experiment": "f"}))

    def test_a_share_beyond_a_challengers_lane(self, app: App, stored: Stored) -> None:
        plan = make_plan(*(stored[name] for name in ("first", "second", "number")))
        content = json.loads(plan.model_dump_json()) | {"champion": stored["first"].digest}
        for slot, share in zip(content["slots"], (3_999, 5_001, 1_000), strict=True):
            slot["share"] = share
        refused = app.client.put("/admin/routes/churn", json=content, headers=app.admin)
        assert (refused.status_code, refused.json()["code"]) == (422, "WS-SERVING-019")
        assert "each may have at most 5000 basis points" in refused.text

    def test_a_refused_bundle_leaves_the_table(
        self, app: App, stored: Stored, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        serve(app, make_plan(stored["first"]))

        async def refuse(*_: Any, **__: Any) -> None:
            raise DeploymentRefusedError("it crashed", code="WS-SERVING-009")

        monkeypatch.setattr("windsock.serving.admin.check_apart", refuse)
        refused = app.put(make_plan(stored["second"], epoch=2))
        assert (refused.status_code, refused.json()["code"]) == (422, "WS-SERVING-009")
        assert app.service.worker.routes.read().models["churn"].epoch == 1
        # A slot that stands is not checked again: traffic can always move between what is loaded.
        serve(app, make_plan(stored["first"], epoch=2))

    def test_storage_that_is_away_may_come_back(
        self, app: App, stored: Stored, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(*_: Any, **__: Any) -> None:
            raise StorageError("the store is away")

        monkeypatch.setattr("windsock.serving.admin.check_apart", away)
        refused = app.put(make_plan(stored["first"]))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")

    def test_a_worker_that_does_not_follow_is_named(
        self, app: App, stored: Stored, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        object.__setattr__(app.service.limits, "acknowledge_seconds", 0.3)

        async def asleep() -> None: ...

        with monkeypatch.context() as patched:
            patched.setattr(app.service.worker, "refresh", asleep)
            refused = app.put(make_plan(stored["first"]))
        assert (refused.status_code, refused.json()["code"]) == (504, "WS-SERVING-015")
        assert str(os.getpid()) in refused.json()["error"]
        object.__setattr__(app.service.limits, "acknowledge_seconds", 5.0)
        serve(app, make_plan(stored["first"]))

    @pytest.mark.parametrize(
        "change",
        [
            {"epoch": 0},
            {"slots": []},
            {"model": "other"},
            {"extra": 1},
            {"slots": [{"version": "1", "digest": "../x", "bundle_uri": "u", "share": 10_000}]},
            {"slots": [{"version": "1", "digest": "a" * 64, "bundle_uri": "u", "share": 9_999}]},
            {
                "slots": [
                    {
                        "version": "1",
                        "digest": "a" * 64,
                        "bundle_uri": "u",
                        "share": 10_000,
                        "url": "file:///etc",
                    }
                ]
            },
        ],
    )
    def test_a_plan_that_is_none(self, app: App, stored: Stored, change: dict[str, Any]) -> None:
        content = {**make_plan(stored["first"]).model_dump(mode="json"), **change}
        refused = app.client.put("/admin/routes/churn", json=content, headers=app.admin)
        assert (refused.status_code, refused.json()["code"]) == (422, "WS-SERVING-019")
        assert not app.service.worker.routes.file.exists()

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"epoch": NaN}', b"[" * 50_000])
    def test_a_plan_that_is_no_json(self, app: App, body: bytes) -> None:
        refused = app.client.put("/admin/routes/churn", content=body, headers=app.admin)
        assert refused.status_code == 422

    def test_a_broken_table_is_not_overwritten(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"], epoch=5))
        app.service.worker.routes.file.write_text("{")
        app.service.worker.routes.kept.write_text("{")
        refused = app.put(make_plan(stored["first"], epoch=6))
        assert (refused.status_code, refused.json()["code"]) == (503, "WS-SERVING-005")
        assert app.client.post("/predict", json={"features": ROW}).status_code == 200

    def test_a_broken_table_is_written_anew_from_what_was_kept(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"], epoch=5))
        app.service.worker.routes.file.write_text("{")
        older = app.put(make_plan(stored["first"], epoch=4))
        assert (older.status_code, older.json()["code"]) == (409, "WS-SERVING-006")
        assert app.put(make_plan(stored["first"], epoch=6)).status_code == 200
        assert app.service.worker.routes.state().faults == ()

    def test_probe(self, app: App, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
        serve(app, make_plan(stored["first"], shares=(0,)))
        path = f"/admin/probe/churn/{stored['first'].digest}"
        said = app.client.post(path, headers=app.admin).json()
        assert (said["version"], said["rows"], said["matched"]) == ("1", 20, True)
        monkeypatch.setattr("windsock.serving.slots.answers_to", lambda *_: [(0.5, 0.5)] * 20)
        assert app.client.post(path, headers=app.admin).json()["matched"] is False
        refused = app.client.post(f"/admin/probe/churn/{'0' * 64}", headers=app.admin)
        assert (refused.status_code, refused.json()["code"]) == (422, "WS-SERVING-009")


class TestPages:
    def test_openapi_describes_what_is_asked(self, app: App) -> None:
        document = app.client.get("/openapi.json").json()
        body = document["paths"]["/models/{name}/predict"]["post"]["requestBody"]
        assert body["content"]["application/json"]["schema"]["required"] == ["features"]
        assert "/docs" not in document["paths"]
        for operations in document["paths"].values():
            for operation in operations.values():
                assert operation["summary"]
        references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
        assert set(references) <= set(document["components"]["schemas"])

    def test_the_docs_page_needs_nothing_from_elsewhere(self, app: App) -> None:
        page = app.client.get("/docs")
        assert "POST" in page.text
        assert "/models/{name}/predict" in page.text
        assert not re.search(r"<script|https?://|src=", page.text)
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
        html.parser.HTMLParser().feed(page.text)

    def test_every_answer_has_the_security_headers(self, app: App) -> None:
        for path in ("/health", "/nowhere", "/docs", "/metrics", "/models/none"):
            headers = app.client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert "server" not in headers

    def test_unknown_pages_and_methods_are_json(self, app: App) -> None:
        for method, path, status in (
            ("GET", "/nowhere", 404),
            ("GET", "/predict", 405),
            ("PUT", "/health", 405),
        ):
            answer = app.client.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (status, "WS-SERVING-017")
            assert set(answer.json()) == {"error", "code", "next"}


class TestPagesOfOthers:
    """A web page that somebody of this machine looks at may post to 127.0.0.1 as well."""

    @pytest.mark.parametrize("path", ["/predict", "/outcomes", "/invocations", "/drift-check"])
    def test_a_page_may_not_ask_a_server_without_clients(self, app: App, stored: Stored, path: str) -> None:
        serve(app, make_plan(stored["first"]))
        answer = app.client.post(
            path, json={"features": ROW}, headers={"Origin": "https://elsewhere.example"}
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "WS-SERVING-042")

    def test_with_clients_the_key_decides(self, app: App, stored: Stored) -> None:
        serve(app, make_plan(stored["first"]))
        key = ClientRegistry(app.settings.clients_file).add("shop")
        app.service.clients.refresh()
        headers = {"Origin": "https://shop.example", "X-API-Key": key}
        assert app.client.post("/predict", json={"features": ROW}, headers=headers).status_code == 200
