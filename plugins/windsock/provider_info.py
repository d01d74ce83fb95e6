"""What Windsock tells Airflow about itself as a provider package."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return connection types, links and modules; read by Airflow's provider manager."""
    steps = [
        "take_snapshot",
        "validate_data",
        "train_model",
        "evaluate_model",
        "gate_model",
        "register_model",
        "approve_model",
        "deploy_model",
        "promote_model",
        "roll_back",
        "keep_house",
        "watch",
        "check_drift",
        "check_performance",
        "decide_retrain",
        "claim_retrain",
        "send_alerts",
        "steer_rollout",
        "start_rollout",
        "judge_rollout",
        "approve_rollout",
        "move_rollout",
    ]
    return {
        "package-name": "airflow-windsock",
        "name": "Windsock",
        "description": "Retrain, gate, deploy and monitor machine-learning models from one YAML file each.",
        "integrations": [{"integration-name": "Windsock", "external-doc-url": "", "tags": ["software"]}],
        "operators": [
            {
                "integration-name": "Windsock",
                "python-modules": [f"windsock.operators.{step}" for step in steps],
            }
        ],
        "sensors": [
            {
                "integration-name": "Windsock",
                "python-modules": ["windsock.sensors.drift", "windsock.sensors.rollout"],
            }
        ],
        "triggers": [
            {
                "integration-name": "Windsock",
                "python-modules": ["windsock.triggers.drift", "windsock.triggers.rollout"],
            }
        ],
        "notifications": ["windsock.hooks.notifier.WindsockNotifier"],
        "hooks": [
            {
                "integration-name": "Windsock",
                "python-modules": ["windsock.hooks.windsock", "windsock.hooks.mlflow_server"],
            }
        ],
        "connection-types": [_mlflow_connection(), _windsock_connection()],
        "extra-links": [
            "windsock.operators.links.MlflowRunLink",
            "windsock.operators.links.MlflowVersionLink",
            "windsock.operators.links.DriftReportLink",
            "windsock.operators.links.RolloutReportLink",
        ],
    }


def _text_field(label: str) -> dict[str, Any]:
    return {"label": label, "schema": {"type": ["string", "null"]}}


def _mlflow_connection() -> dict[str, Any]:
    return {
        "hook-class-name": "windsock.hooks.mlflow_server.MlflowHook",
        "hook-name": "MLflow",
        "connection-type": "mlflow",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "extra"],
            "relabeling": {"host": "Tracking URI"},
            "placeholders": {"host": "http://127.0.0.1:5000"},
        },
    }


def _windsock_connection() -> dict[str, Any]:
    return {
        "hook-class-name": "windsock.hooks.windsock.WindsockHook",
        "hook-name": "Windsock",
        "connection-type": "windsock",
        "conn-fields": {
            "database_url": _text_field("Control database (SQLAlchemy URL)"),
            "storage_url": _text_field("Storage root (folder or fsspec URL)"),
            "models_dir": _text_field("Folder of the model files"),
            "home": _text_field("Windsock's own folder (keys)"),
        },
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "login", "extra"],
            "relabeling": {"host": "Serving app", "password": "Admin token"},
            "placeholders": {"host": "http://127.0.0.1:8181"},
        },
    }
