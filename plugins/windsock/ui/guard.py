"""The one place that knows Airflow's own way of asking who is there (plugin pages are open without it)."""

from __future__ import annotations

from typing import Any


def signed_in() -> Any:
    """Return the dependency that answers 401 to anyone who is not signed in to Airflow."""
    from airflow.api_fastapi.core_api.security import requires_authenticated
    from fastapi import Depends

    return Depends(requires_authenticated())
