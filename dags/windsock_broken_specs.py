"""No DAG: an Airflow import error that lists every model file that cannot be used."""

from __future__ import annotations

from windsock.pipelines.factory import raise_broken

raise_broken()
