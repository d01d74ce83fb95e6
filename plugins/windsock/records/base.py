"""The words that all records share: status, interval, check result."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from windsock.spec.base import Frozen

Digest = str
"""SHA-256 as 64 hexadecimal digits."""


class Record(Frozen):
    """What a step returns: frozen, finite, small enough for XCom. Frames and models never are."""


ROWS = "rows"
"""What a number counts unless it says so: not written, so that records of before keep their digests."""


class Status(StrEnum):
    """Four different words, everywhere; and one for a window in which nothing was asked."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INSUFFICIENT = "insufficient"
    ERROR = "error"
    EMPTY = "empty"


class Interval(Record):
    """A confidence interval.

    :param low: lower end.
    :param high: upper end.
    :param level: coverage, such as 0.95.
    """

    low: float
    high: float
    level: float = 0.95


class CheckResult(Record):
    """One check: what was asked, what was seen, against which limit, on how many.

    :param name: stable name of the check, such as ``performance_minimum:roc_auc``.
    :param status: pass, fail, insufficient or error.
    :param code: stable code of the case, explained in the runbook.
    :param value: number seen; ``None`` where there is none or it is not finite.
    :param limit: number it is held against.
    :param relation: how value and limit must stand to each other.
    :param interval: confidence interval of the value, where it has one.
    :param n: how many carry the value.
    :param unit: what is counted, such as ``positives``; ``rows`` also in records of before.
    :param message: one plain sentence; never a row of data.
    """

    name: str
    status: Status
    code: str
    value: float | None = None
    limit: float | None = None
    relation: Literal[">=", "<=", ">", "<", "=="] | None = None
    interval: Interval | None = None
    n: int | None = Field(default=None, ge=0)
    unit: str = Field(default=ROWS, exclude_if=ROWS.__eq__)
    message: str = ""

    @property
    def passed(self) -> bool:
        """Whether the status is pass; nothing else counts as one."""
        return self.status is Status.PASS


class MetricValue(Record):
    """A metric on some rows.

    :param name: name in the metric registry.
    :param value: the value; ``None`` with status error where it is not finite.
    :param interval: its interval, where it has one.
    :param n: how many carry the value: positives for a recall, entities where rows share one.
    :param unit: what is counted; ``rows`` also in records of before.
    :param rows: all rows it was computed on; ``None`` in records of before, where ``n`` says it.
    :param reason: why there is no interval, where there could be one.
    :param status: pass when there is a value, error when there is none.
    """

    name: str
    value: float | None
    n: int = Field(ge=0)
    unit: str = Field(default=ROWS, exclude_if=ROWS.__eq__)
    rows: int | None = Field(default=None, ge=0, exclude_if=lambda rows: rows is None)
    interval: Interval | None = None
    reason: str = Field(default="", exclude_if="".__eq__)
    status: Status = Status.PASS

    @property
    def on_rows(self) -> int:
        """All rows it was computed on."""
        return self.n if self.rows is None else self.rows

    def on(self, rows: str = "rows") -> str:
        """Return what carries the value, such as ``18 positives of 200 rows``.

        :param rows: what the rows are called.
        """
        return counted(self.n, self.unit, self.on_rows, rows)


def counted(n: int, unit: str, of: int, rows: str = "rows") -> str:
    """Return what carries a number: ``200 rows``, or ``18 positives of 200 rows``."""
    return f"{n:,} {rows}" if unit == ROWS else f"{n:,} {unit} of {of:,} {rows}"


SCHEDULER = "scheduler"
"""Stands for the person where nobody asked for a run."""


class RunContext(Record):
    """Who and what runs a step; filled in by the operator or the CLI.

    :param dag_id: the Airflow DAG, where there is one.
    :param run_id: the Airflow run, where there is one.
    :param requested_by: the person who triggered it, by user id; ``None`` for the scheduler.
    :param logical_date: the run's logical date, the end of the data window.
    :param starter_unknown: whether a person may have started it whom nobody can name.
    """

    dag_id: str | None = None
    run_id: str | None = None
    requested_by: str | None = None
    logical_date: AwareDatetime | None = None
    starter_unknown: bool = False

    @property
    def actor(self) -> str:
        """Who did it, for the ledger: the person, or ``scheduler``."""
        return self.requested_by or SCHEDULER

    @property
    def origin(self) -> dict[str, bool]:
        """What a row of the ledger keeps of a run whose starter is not known; nothing of any other."""
        return {"starter_unknown": True} if self.starter_unknown else {}

    @property
    def named(self) -> dict[str, str | None] | None:
        """DAG and run, as a row of the ledger keeps them; ``None`` where no run is known."""
        return {"dag_id": self.dag_id, "run_id": self.run_id} if self.run_id else None

    @property
    def label(self) -> str:
        """The run, as a claim names its holder: ``DAG_ID/RUN_ID``."""
        return f"{self.dag_id or 'cli'}/{self.run_id}"


Moment = AwareDatetime
"""A time with a zone; records are written in UTC."""


class Span(Record):
    """A stretch of time: from ``start`` up to, but without, ``end``; by the server's clock."""

    start: Moment
    end: Moment

    @model_validator(mode="after")
    def _is_forward(self) -> Self:
        if self.start >= self.end:
            raise ValueError("a span ends after it has begun")
        return self


__all__ = [
    "SCHEDULER",
    "CheckResult",
    "Digest",
    "Interval",
    "MetricValue",
    "Moment",
    "Record",
    "RunContext",
    "Span",
    "Status",
    "counted",
]
