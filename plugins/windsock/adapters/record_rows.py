"""Records as rows: JSON in one column, beside the columns that keys and queries need."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from pydantic import ValidationError

from windsock.exceptions import MonitoringError, WindsockError
from windsock.records import Record
from windsock.spec import canonical_json

Kept = TypeVar("Kept", bound=Record)


def sortable(moment: datetime) -> str:
    """Return a time as text that sorts as the time does: UTC, always with microseconds."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def raw_of(record: Record) -> str:
    """Return a record as its JSON text.

    :raises ValueError: if it holds NaN or infinity.
    """
    return canonical_json(record.model_dump(mode="json"))


def record_of(
    kind: type[Kept],
    raw: str,
    /,
    *,
    model: str,
    refusal: type[WindsockError] = MonitoringError,
    code: str = "WS-MONITORING-051",
    **key: object,
) -> Kept:
    """Return the record that a row keeps.

    :param model: the row's model; a record that names another one was not written into this row.
    :param key: the other columns of the row's key, under the names of the record's fields.
    :param refusal: the error of the room whose row it is.
    :param code: its code.
    :raises WindsockError: that error, if the row is not what was written.
    """
    try:
        record = kind.model_validate_json(raw)
    except ValidationError:
        raise refusal(
            f"{model}: a row of the control database cannot be read as {kind.__name__}",
            code=code,
            next_action="Find out who changed the control database, and restore it from a backup.",
        ) from None  # its text repeats the row
    for name, value in {"model": model, **key}.items():
        if getattr(record, name, value) != value:
            raise refusal(
                f"{model}: a {kind.__name__} in the control database has another {name} than its row",
                code=code,
                next_action="Find out who changed the control database, and restore it from a backup.",
            )
    return record
