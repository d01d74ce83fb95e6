"""Hooks: Airflow connections -> adapters' settings."""

from __future__ import annotations
