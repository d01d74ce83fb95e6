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


def each(window: timedelta) -> CronTriggerTimetable | DeltaTriggerTimetable:
    """Return the timetable whose ticks are the ends of windows.

    Windows that no cron expression names, such as 90 minutes, tick from when the DAG was switched on; their
    ends do not move by that.

    :param window: length of a window.
    """
    minutes, rest = divmod(int(window.total_seconds()), 60)
    crons = {60 * hours: f"0 */{hours} * * *" for hours in (1, 2, 3, 4, 6, 8, 12)}
    crons |= {part: f"*/{part} * * * *" for part in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)}
    crons[24 * 60] = "0 0 * * *"
    if rest or minutes not in crons:
        return DeltaTriggerTimetable(window)
    return CronTriggerTimetable(crons[minutes], timezone="UTC", run_immediately=timedelta(0))
