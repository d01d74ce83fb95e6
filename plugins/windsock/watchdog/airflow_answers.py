"""What the watchdog asks Airflow: from a task by its supervisor, from the shell by REST."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from windsock.records import DagFacts, OpenQuestion, PartFacts, RunFacts


class AirflowAnswers(Protocol):
    """Answers of Airflow; none of them is ever an exception."""

    def dag(self, dag_id: str) -> DagFacts:
        """Return what Airflow says of a DAG."""
        ...

    def run(self, holder: str) -> RunFacts:
        """Return what Airflow says of a run, ``DAG_ID/RUN_ID``."""
        ...

    def questions(self, model: str) -> Sequence[OpenQuestion] | None:
        """Return the open questions about a model; ``None``: it does not say."""
        ...

    def silent_parts(self) -> Sequence[PartFacts] | None:
        """Return Airflow's own programs that give no sign of life; ``None``: it does not say."""
        ...


class NoAirflow:
    """Nobody can ask Airflow.

    :param why: why not.
    """

    def __init__(self, why: str) -> None:
        self.why = why

    def dag(self, dag_id: str) -> DagFacts:
        """See :meth:`AirflowAnswers.dag`."""
        return DagFacts(dag_id=dag_id, unknown=self.why)

    def run(self, holder: str) -> RunFacts:
        """See :meth:`AirflowAnswers.run`."""
        return RunFacts(holder=holder, unknown=self.why)

    def questions(self, model: str) -> Sequence[OpenQuestion] | None:
        """See :meth:`AirflowAnswers.questions`."""
        return None

    def silent_parts(self) -> Sequence[PartFacts] | None:
        """See :meth:`AirflowAnswers.silent_parts`."""
        return None
