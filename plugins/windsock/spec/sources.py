"""Where a model's rows come from: one small model for each kind of source."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from windsock.spec.base import Frozen
from windsock.spec.registries import known_sources

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*){0,2}")


def _table_name(value: object) -> object:
    if isinstance(value, str) and not IDENTIFIER.fullmatch(value):
        raise ValueError("write a table name such as customers or sales.customers; use `query` for anything else")
    return value


class FileSource(Frozen):
    """A CSV or Parquet file; the format is taken from the name unless given."""

    kind: Literal["file"] = "file"
    path: str = Field(min_length=1, max_length=4096)
    format: Literal["csv", "parquet"] | None = None


class SqlSource(Frozen):
    """A table or a query of the database behind an Airflow connection (or a SQLAlchemy URL setting)."""

    kind: Literal["sql"] = "sql"
    conn_id: str = Field(min_length=1, max_length=250)
    query: str | None = Field(default=None, min_length=1, max_length=100_000)
    table: Annotated[str | None, BeforeValidator(_table_name)] = None


class ApiSource(Frozen):
    """Rows from an HTTP API; loads, but cannot be run yet."""

    kind: Literal["api"] = "api"
    url: str = Field(min_length=1, max_length=4096)
    conn_id: str | None = None


class FeatureStoreSource(Frozen):
    """A view of a feature store; loads, but cannot be run yet."""

    kind: Literal["feature_store"] = "feature_store"
    view: str = Field(min_length=1, max_length=250)


class ExtensionSource(Frozen):
    """A kind that an installed package adds through the entry point group ``windsock.sources``."""

    kind: str
    options: dict[str, Any] = Field(default_factory=dict)


BUILT_IN = {"file": FileSource, "sql": SqlSource, "api": ApiSource, "feature_store": FeatureStoreSource}


def _from_text(text: str) -> dict[str, Any]:
    scheme, found, rest = text.partition("://")
    if not found:
        return {"kind": "file", "path": text}
    if scheme == "sql":
        conn_id, _, table = rest.partition("/")
        return {"kind": "sql", "conn_id": conn_id, "table": table}
    if scheme == "feature_store":
        return {"kind": "feature_store", "view": rest}
    if scheme in ("http", "https"):
        return {"kind": "api", "url": text}
    return {"kind": "file", "path": text}


def _read(value: object) -> object:
    fields = _from_text(value) if isinstance(value, str) else value
    if isinstance(fields, dict):
        kind = fields.get("kind")
        if kind not in known_sources():
            allowed = ", ".join(sorted(known_sources()))
            raise ValueError(f"unknown source kind; known kinds: {allowed}")
        if kind == "sql" and bool(fields.get("query")) == bool(fields.get("table")):
            raise ValueError("an sql source needs either `query` or `table` (sql://CONN_ID/TABLE)")
    return fields


def _tag(value: object) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return str(kind) if kind in BUILT_IN else "extension"


Source = Annotated[
    Annotated[
        Annotated[FileSource, Tag("file")]
        | Annotated[SqlSource, Tag("sql")]
        | Annotated[ApiSource, Tag("api")]
        | Annotated[FeatureStoreSource, Tag("feature_store")]
        | Annotated[ExtensionSource, Tag("extension")],
        Discriminator(_tag),
    ],
    BeforeValidator(_read),
]
