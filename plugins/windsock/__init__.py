"""Windsock: the life of a machine-learning model as an ordinary part of Apache Airflow."""

from __future__ import annotations

__version__ = "0.1.0"
