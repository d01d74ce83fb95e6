"""Buttons from a task to MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class _KeptLink(BaseOperatorLink):
    """A link that the operator kept while it ran; the worker stores it when the task ends."""

    kept: str = ""

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address, or nothing where there is none."""
        links: dict[str, str] = getattr(operator, "links", {})
        return links.get(self.kept, "")


class MlflowRunLink(_KeptLink):
    """The MLflow run of this task's model."""

    name = "MLflow run"
    kept = "run"

    @property
    def xcom_key(self) -> str:
        """Key under which the worker stores the address."""
        return "windsock_link_run"


class MlflowVersionLink(_KeptLink):
    """The registered version."""

    name = "Model version"
    kept = "version"

    @property
    def xcom_key(self) -> str:
        """Key under which the worker stores the address."""
        return "windsock_link_version"


class DriftReportLink(_KeptLink):
    """The drift report that people look at."""

    name = "Drift report"
    kept = "report"

    @property
    def xcom_key(self) -> str:
        """Key under which the worker stores the address."""
        return "windsock_link_report"


class RolloutReportLink(_KeptLink):
    """The page about a rollout that people look at."""

    name = "Rollout report"
    kept = "rollout"

    @property
    def xcom_key(self) -> str:
        """Key under which the worker stores the address."""
        return "windsock_link_rollout"
