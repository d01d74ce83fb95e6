"""The page of a question in Airflow, and what Airflow makes of a second one for the same task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from airflow.sdk.api.datamodels._generated import HITLUser


class ShownPage(NamedTuple):
    """What people see: the page that a task put first, also after it was cleared or tried again.

    :param subject: its headline.
    :param body: its text, in Markdown.
    """

    subject: str
    body: str

    def is_about(self, subject: str, evidence: str) -> bool:
        """Return whether it shows this evidence under this headline, above all that it says of people."""
        return self.subject == subject and self.body.startswith(evidence)


def put_page(*, assigned_users: Sequence[Any] | None, **given: Any) -> ShownPage:
    """Open a task's question, take back an answer that it has, and return the page that Airflow shows.

    As Airflow's ``upsert_hitl_detail``, which does not return it.

    :param assigned_users: who may answer; ``None``: anyone with the permission.
    :param given: ``ti_id``, ``options``, ``subject``, ``body`` and so on.
    """
    from airflow.sdk.execution_time.comms import CreateHITLDetailPayload, HITLDetailRequestResult
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    people = [HITLUser(id=user["id"], name=user["name"]) for user in assigned_users or ()]
    shown = SUPERVISOR_COMMS.send(CreateHITLDetailPayload(assigned_users=people, **given))
    if not isinstance(shown, HITLDetailRequestResult):
        raise TypeError(f"Airflow answered a question with {type(shown).__name__}, not with its page")
    return ShownPage(shown.subject, shown.body or "")
