"""Params that several forms share."""

from __future__ import annotations

from airflow.sdk import Param


def reason_param(when: str, opens_with: str | None = None) -> Param:
    """Return the param in which a person may write why; the form can be sent without it.

    :param when: what it is kept for, such as ``of a roll back``.
    :param opens_with: what stands in the field before anybody has written.
    """
    # A text without null is a required field to Airflow's form, also where its default is "".
    return Param(
        opens_with,
        type=["null", "string"],
        maxLength=1000,
        title="Reason",
        description=f"Why, for those who read the ledger later: kept with the row {when}. May be left "
        "empty: then the ledger says what was done by hand, and by whom.",
    )


__all__ = ["reason_param"]
