"""Specs -> DAGs."""

from __future__ import annotations
