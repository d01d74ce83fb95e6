"""Why a person did something, for the ledger: their own words, else what was done and who did it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from windsock.operators.origin import origin_of

if TYPE_CHECKING:
    from airflow.sdk import Context

DONE: Mapping[str, str] = {
    "roll_back": "rolled back",
    "stop": "stopped",
    "pause": "paused",
    "resume": "resumed",
}
"""By what a person may ask for: what was done then."""


def by_hand(action: str) -> str:
    """Return the sentence that a form holds before anybody has written one."""
    return f"{DONE[action]} by hand"


def reason_of(context: Context, written: str | None, action: str) -> str:
    """Return why: the person's words, else a sentence with who it was, from the server's record of the run.

    :param written: what the form or the DAG's author says; blank, or the form's own sentence: nothing.
    :param action: what was asked for, one of ``DONE``.
    """
    words = " ".join((written or "").split())
    if words and words != by_hand(action):
        return str(written)
    person = origin_of(context).person
    if person:
        return f"{by_hand(action)} by {person}"
    run = context["dag_run"]
    return f"{DONE[action]} by run {run.run_id} of {run.dag_id}; it names no person"
