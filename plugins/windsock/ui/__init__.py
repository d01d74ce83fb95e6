"""Pages in Airflow's own screen."""

from __future__ import annotations
