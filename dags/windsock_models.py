"""One Airflow DAG set for each model file in include/models."""

from __future__ import annotations

from windsock.pipelines.factory import build_dags

globals().update(build_dags())
