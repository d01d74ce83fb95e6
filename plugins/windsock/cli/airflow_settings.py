"""``airflow_settings.yaml`` (the Astro CLI's format) -> what Airflow's REST interface takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, ValidationError

from windsock.exceptions import SettingsError
from windsock.spec import Frozen
from windsock.spec.base import digest_of


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


def _extra_as_text(value: object) -> object:
    return json.dumps(value) if isinstance(value, Mapping) else _empty_is_none(value)


Text = Annotated[str | None, BeforeValidator(_empty_is_none)]


class ConnectionEntry(Frozen):
    """A connection as the Astro CLI writes it."""

    conn_id: str = Field(min_length=1)
    conn_type: str = Field(min_length=1)
    conn_host: Text = None
    conn_schema: Text = None
    conn_login: Text = None
    conn_password: Text = None
    conn_port: Annotated[int | None, BeforeValidator(_empty_is_none)] = None
    conn_extra: Annotated[str | None, BeforeValidator(_extra_as_text)] = None

    def entity(self, moved: Mapping[str, str]) -> dict[str, Any]:
        """Return it as Airflow takes it.

        :param moved: hosts that stand for another address in this stack.
        """
        fields = {
            "connection_id": self.conn_id,
            "conn_type": self.conn_type,
            "host": moved.get(self.conn_host or "", self.conn_host),
            "schema": self.conn_schema,
            "login": self.conn_login,
            "password": self.conn_password,
            "port": self.conn_port,
            "extra": self.conn_extra,
        }
        return {name: value for name, value in fields.items() if value is not None}


class PoolEntry(Frozen):
    """A pool as the Astro CLI writes it."""

    pool_name: str = Field(min_length=1)
    pool_slot: int
    pool_description: str = ""

    def entity(self) -> dict[str, Any]:
        """Return it as Airflow takes it."""
        return {"name": self.pool_name, "slots": self.pool_slot, "description": self.pool_description}


class VariableEntry(Frozen):
    """A variable as the Astro CLI writes it."""

    variable_name: str = Field(min_length=1)
    variable_value: str

    def entity(self) -> dict[str, Any]:
        """Return it as Airflow takes it."""
        return {"key": self.variable_name, "value": self.variable_value}


class AirflowSettings(Frozen):
    """The content of the file, below ``airflow``."""

    connections: tuple[ConnectionEntry, ...] = ()
    pools: tuple[PoolEntry, ...] = ()
    variables: tuple[VariableEntry, ...] = ()

    def entities(self, moved: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
        """Return everything by the name of its REST collection.

        :param moved: hosts that stand for another address in this stack.
        """
        return {
            "connections": [entry.entity(moved) for entry in self.connections],
            "pools": [entry.entity() for entry in self.pools],
            "variables": [entry.entity() for entry in self.variables],
        }


def read_airflow_settings(file: Path) -> AirflowSettings:
    """Read the file; one that is not there is empty.

    :raises SettingsError: if it cannot be read or is not of this format.
    """
    if not file.exists():
        return AirflowSettings()
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        block = {key: value or () for key, value in (content.get("airflow") or {}).items()}
        return AirflowSettings.model_validate(block)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        problem = f"airflow.{place}: {first['msg']}"
    except (OSError, UnicodeDecodeError, AttributeError, yaml.YAMLError) as error:
        problem = type(error).__name__
    raise SettingsError(
        f"{file} cannot be used: {problem}.",
        code="WS-SETTINGS-022",
        next_action="Mend the file; its format is the one of the Astro CLI.",
    )


def fingerprint(entities: Mapping[str, Any]) -> str:
    """Return the digest by which a change is noticed."""
    return digest_of(dict(entities))
