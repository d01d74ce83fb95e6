"""The extra of an Airflow connection of type ``windsock``: JSON that people write, checked key by key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StringConstraints, ValidationError

from windsock.exceptions import SettingsError
from windsock.spec import Frozen
from windsock.spec.faults import shown

LONGEST = 4096


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


def _absolute(text: str) -> Path:
    return Path(text).expanduser().absolute()


Text = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=LONGEST, pattern=r"^[^\x00-\x1f]+$")
]
Folder = Annotated[Text, AfterValidator(_absolute)]
Empty = BeforeValidator(_empty_is_none)


class ConnectionExtra(Frozen):
    """What the extra may say; nothing else is a key of it.

    :param database_url: control database, as a SQLAlchemy URL.
    :param storage_url: root of snapshots, bundles and prediction logs: a folder or an fsspec URL.
    :param models_dir: folder of the model files.
    :param home: Windsock's own folder.
    :param admin_url: address of the server's private listener.
    """

    database_url: Annotated[Text | None, Empty] = None
    storage_url: Annotated[Text | None, Empty] = None
    models_dir: Annotated[Folder | None, Empty] = None
    home: Annotated[Folder | None, Empty] = None
    admin_url: Annotated[Text | None, Empty] = None


ALLOWED = ", ".join(ConnectionExtra.model_fields)


def read_extra(text: str | None, conn_id: str) -> dict[str, Any]:
    """Return the settings that a connection's extra names, by the settings' own names.

    :param text: the extra as Airflow keeps it.
    :param conn_id: the connection, for the message.
    :raises SettingsError: if the text is no JSON object, or a key or value is not allowed.
    """
    if not text or not text.strip():
        return {}
    try:
        content = json.loads(text)
    except ValueError as error:
        raise _refused(conn_id, "is no JSON") from error
    if not isinstance(content, dict):
        raise _refused(conn_id, f"is {shown(content)}, and not a JSON object")
    try:
        extra = ConnectionExtra.model_validate(content)
    except ValidationError as error:
        raise _refused(conn_id, _fault(error, content)) from error
    return {name: value for name in extra.model_fields_set if (value := getattr(extra, name)) is not None}


def _fault(error: ValidationError, content: dict[str, Any]) -> str:
    key = str(error.errors(include_input=False, include_url=False)[0]["loc"][0])
    short = key if len(key) <= 40 and key.isprintable() else f"of {len(key)} characters"
    if key not in ConnectionExtra.model_fields:
        return f"has the key {short}, which is none of {ALLOWED}"
    # What stands there may hold a password, so its kind alone is shown.
    kind = shown(content[key], "secret")
    return f"has {kind} at {short}, where text of 1 to {LONGEST:,} characters without line breaks may stand"


def _refused(conn_id: str, problem: str) -> SettingsError:
    return SettingsError(
        f"the extra of connection {conn_id!r} {problem}",
        next_action=f"Mend it under Admin > Connections (or in AIRFLOW_CONN_{conn_id.upper()}): a JSON object"
        f" with none, some or all of {ALLOWED}, each a text.",
    )
