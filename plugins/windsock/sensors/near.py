"""Waits that are too short to be handed to the triggerer."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

SHORTEST_DEFERRAL = timedelta(seconds=15)
"""The process of a deferred task stays for some seconds; if the trigger fires meanwhile, Airflow takes the
end of that process for a failure of the resumed task, and tries again after the retry delay."""


def wait_if_near(due: datetime, now: datetime) -> bool:
    """Wait in this process until a time that is too near for a deferral; say whether the time has come.

    :param due: what is waited for.
    :param now: the present.
    """
    if due - now > SHORTEST_DEFERRAL:
        return False
    time.sleep(max(0.0, (due - now).total_seconds()))
    return True
