from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.mlflow_contract import OnSqlite, RegistryContract
from windsock.adapters import mlflow_registry
from windsock.exceptions import MissingModelError, TrackingUnavailableError


class TestRegistryOnSqlite(OnSqlite, RegistryContract):
    def test_a_source_that_is_gone_makes_no_version(self, registry, client, model, run_id):
        source = client.get_logged_model(client.get_run(run_id).outputs.model_outputs[0].model_id)
        shutil.rmtree(Path(source.artifact_location))
        with pytest.raises(MissingModelError, match="force") as caught:
            registry.register(model=model, key="k1", run_id=run_id, tags={}, used={})
        assert caught.value.code == "WS-TRACKING-005"
        assert client.search_model_versions(f"name = '{model}'") == []

    def test_a_version_that_never_gets_ready_is_said(self, registry, model, run_id, monkeypatch):
        from mlflow.entities.model_registry import ModelVersion

        monkeypatch.setattr(mlflow_registry, "READY_SECONDS", 0.3)
        monkeypatch.setattr(ModelVersion, "status", "PENDING_REGISTRATION")
        with pytest.raises(TrackingUnavailableError) as caught:
            registry.register(model=model, key="k1", run_id=run_id, tags={}, used={})
        assert caught.value.code == "WS-TRACKING-006"

    def test_a_lost_race_for_a_new_alias_is_run_again(self, registry, model, run_id, monkeypatch):
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import BAD_REQUEST

        honest, calls = MlflowClient.set_registered_model_alias, []

        def lose_once(*args, **kwargs):
            calls.append(args)
            if len(calls) == 1:
                raise MlflowException("UNIQUE constraint failed", error_code=BAD_REQUEST)
            return honest(*args, **kwargs)

        registry.register(model=model, key="k1", run_id=run_id, tags={}, used={})
        monkeypatch.setattr(MlflowClient, "set_registered_model_alias", lose_once)
        registry.set_alias(model, "champion", "1")
        assert registry.alias(model, "champion") == "1"
