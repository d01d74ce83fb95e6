"""Windsock: the life of a machine-learning model as an ordinary part of Apache Airflow."""

from __future__ import annotations

from windsock.texts import clean_log_records

__version__ = "0.1.0"

clean_log_records()
