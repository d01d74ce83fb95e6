"""When a DAG runs: at the ticks of its cron expression, in UTC."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, DeltaTriggerTimetable

from windsock.spec import cron_of


def at(schedule: str) -> CronTriggerTimetable:
    """Return the timetable of a validated schedule.

    Switching a DAG on starts nothing: its first run is at the next tick. (With a start date, or by Airflow's
    own default shortly after a tick, the tick that is past would run at once.)

    :param schedule: a word such as ``daily``, or a cron expression.
    """
    return CronTriggerTimetable(cron_of(schedule), timezone="UTC", run_immediately=timedelta(0))


def every(pace: timedelta) -> CronTriggerTimetable | DeltaTriggerTimetable:
    """Return the timetable of a short round time, from the full minute on where that is possible.

    :param pace: two minutes, or less.
    """
    minutes, rest = divmod(int(pace.total_seconds()), 60)
    if rest or not minutes:
        return DeltaTriggerTimetable(pace)
    return CronTriggerTimetable(f"*/{minutes} * * * *", timezone="UTC", run_immediately=timedelta(0))
