"""The command line: everything that a DAG does, without Airflow."""

from __future__ import annotations

from windsock.cli.app import main

__all__ = ["main"]
