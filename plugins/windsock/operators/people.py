"""Where a question of Airflow is answered, and whose answer would count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk.configuration import conf

from windsock.door.approvals import different_people

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.records import Approval

ANSWERING_ROLES = frozenset({"user", "op", "admin"})
"""Roles of Airflow's simple login that may answer a question."""


def question_address(context: Context) -> str:
    """Return the address of the page on which this task's question is answered.

    Without the address of Airflow's pages (``[api] base_url``) it is the path below it.
    """
    run, task = context["dag_run"], context["task"]
    parts = ("dags", run.dag_id, "runs", run.run_id, "tasks", task.task_id, "required_actions")
    path = "/".join(quote(str(part), safe=":+") for part in parts)
    base = str(conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return f"{base}/{path}"


def known_logins() -> tuple[str, ...]:
    """Return the logins that may answer, where Airflow's simple login names them; none: nobody can say."""
    if not str(conf.get("core", "auth_manager", fallback="")).endswith("SimpleAuthManager"):
        return ()
    if conf.getboolean("core", "simple_auth_manager_all_admins", fallback=False):
        return ()
    listed = str(conf.get("core", "simple_auth_manager_users", fallback="") or "")
    pairs = (entry.strip().partition(":") for entry in listed.split(","))
    return tuple(user for user, _, role in pairs if user and role.strip().lower() in ANSWERING_ROLES)


def who_answers_next(context: Context, approval: Approval, listed: Sequence[str], *, left: int) -> str:
    """Return the sentence that says who answers next, and where.

    :param listed: the approvers of the model's tier; empty: all who may answer in Airflow.
    :param left: how many must still say yes at this question.
    """
    out = tuple(dict.fromkeys((*approval.barred, *approval.approvers)))
    able = different_people(listed or known_logins(), without=out)
    where = f"at {question_address(context)}"
    if not able:
        people = "a person" if left == 1 else f"{left} people"
        besides = f" other than {', '.join(out)}" if out else ""
        return f"let {people}{besides} answer {where}"
    missing = approval.needed - len(approval.approvers)
    if len(able) < missing:
        return (
            f"only {' and '.join(able)} may answer, and {missing} people must: add logins of role op to "
            "Airflow, or people to `approvers` in windsock.yaml; if the run was cleared, trigger it anew by "
            f"hand, with force, so that it is known who started it; the question is {where}"
        )
    if left == 1:
        return f"let {' or '.join(able)} answer {where}"
    return f"let {left} of {', '.join(able)} answer, one after the other, {where}"
