"""Facts that the watchdog judges: what Airflow, the server and this machine say when they are asked."""

from __future__ import annotations

from pydantic import Field

from windsock.records.base import Moment, Record

SILENT_SECONDS = 60.0
"""So long a program of Airflow may give no sign of life."""


class DagFacts(Record):
    """What Airflow says of a DAG.

    :param exists: whether Airflow has stored it.
    :param is_paused: whether it is switched off; ``None``: it is missing, or nobody knows.
    :param last_states: how its last runs ended, the latest first; empty: none has ended, or nobody asked.
    :param unknown: why it could not be asked about; empty: what stands here is so.
    """

    dag_id: str
    exists: bool = True
    is_paused: bool | None = None
    last_states: tuple[str, ...] = ()
    unknown: str = ""

    @property
    def is_off(self) -> bool:
        """Whether it is there and switched off."""
        return not self.unknown and self.exists and self.is_paused is True

    @property
    def is_missing(self) -> bool:
        """Whether Airflow answered that there is no such DAG."""
        return not self.unknown and not self.exists

    @property
    def knows_ends(self) -> bool:
        """Whether it is known how its last runs ended, or it can have none."""
        return not self.unknown and (bool(self.last_states) or not self.exists or self.is_paused is True)

    @property
    def failed_in_a_row(self) -> int:
        """How many of the last runs failed, one after the other, up to the latest."""
        states = [*self.last_states, "none"]
        return next(number for number, state in enumerate(states) if state != "failed")


class RunFacts(Record):
    """What Airflow says of the run that holds a claim.

    :param holder: the run: ``DAG_ID/RUN_ID``.
    :param state: its state; empty: there is no such run.
    :param unknown: why it could not be asked about; empty: what stands here is so.
    """

    holder: str
    state: str = ""
    unknown: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it will never give its claim back: it has ended, or is gone."""
        return not self.unknown and self.state in ("", "failed", "success")


class OpenQuestion(Record):
    """A question to people that nobody has answered.

    :param task: where it is answered: ``DAG_ID/RUN_ID/TASK_ID``.
    :param until: when no answer means no; ``None``: nobody knows.
    """

    model: str
    about: str
    task: str
    asked_at: Moment | None = None
    until: Moment | None = None


class ServerFacts(Record):
    """What the server says of itself.

    :param address: where it was asked.
    :param status: its own word, ``ok`` or ``degraded``; empty: it did not answer.
    :param why: why it did not answer.
    :param next_action: what to do then.
    :param faults: what it says is wrong with it.
    :param workers: processes that answer; ``None``: it does not say.
    :param waiting: rows of the log that are not written yet; ``None``: it does not say.
    :param uptime: seconds since it started; ``None``: it does not say.
    """

    address: str
    status: str = ""
    why: str = ""
    next_action: str = ""
    faults: tuple[str, ...] = ()
    workers: int | None = None
    waiting: int | None = None
    uptime: float | None = None


class PartFacts(Record):
    """What Airflow says of one of its own programs.

    :param part: its name, such as ``scheduler``.
    :param silent: seconds since its last sign of life; ``None``: it never gave one.
    """

    part: str
    silent: float | None = None


class Space(Record):
    """How much space a folder has left.

    :param what: what lies there, such as ``storage root``.
    :param free: bytes that are free.
    :param total: bytes that there are.
    :param limit: bytes below which it is nearly full.
    """

    what: str
    path: str
    free: int = Field(ge=0)
    total: int = Field(ge=0)
    limit: int = Field(ge=0)
