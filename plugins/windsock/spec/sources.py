"""Where a model's rows come from: one small model for each kind of source."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, GetJsonSchemaHandler, Tag, model_validator

from windsock.spec.base import Frozen
from windsock.spec.columns import DateForm, Word
from windsock.spec.faults import NotAllowedError, closest
from windsock.spec.registries import known_sources

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*){0,2}")
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*@)?")
DATABASES = frozenset(
    {"postgresql", "postgres", "mysql", "mariadb", "sqlite", "mssql", "oracle", "duckdb", "trino"}
)


def _table_name(value: object) -> object:
    if isinstance(value, str) and not IDENTIFIER.fullmatch(value):
        raise NotAllowedError(
            "no table name",
            allowed="a name such as customers or sales.customers",
            cure="use `query` for anything else",
        )
    return value


def _place(value: object) -> object:
    """Refuse a place that holds a password or is a database's address: the spec is no place for either."""
    if isinstance(value, str) and (found := ADDRESS.match(value)):
        if found[2]:
            raise NotAllowedError(
                "an address with credentials", cure="keep them in an Airflow connection and name it"
            )
        if found[1].lower().split("+")[0] in DATABASES:
            raise NotAllowedError(
                "the address of a database", cure="make an Airflow connection and write sql://CONN_ID/TABLE"
            )
    return value


Place = Annotated[str, BeforeValidator(_place), Field(min_length=1, max_length=4096)]


def _encoding(value: object) -> object:
    if isinstance(value, str):
        try:
            found = codecs.lookup(value)
        except (LookupError, ValueError):
            found = None
        if found is None or not getattr(found, "_is_text_encoding", True):
            raise NotAllowedError(
                "unknown encoding of text",
                allowed="a name that Python knows, such as utf-8, cp949 or shift_jis",
            )
        return found.name
    return value


def _delimiter(value: object) -> object:
    if isinstance(value, str) and len(value) == 1 and not is_delimiter(value):
        raise NotAllowedError("no delimiter", allowed="one ASCII sign or a tab, and no quote")
    return value


def is_delimiter(sign: str) -> bool:
    """Return whether a sign may part the fields of a CSV file."""
    return sign == "\t" or (sign.isascii() and sign.isprintable() and sign != '"')


def _as_tuple(value: object) -> object:
    """Return a list as a tuple: strict reading takes it for one from JSON only, which this was before."""
    return tuple(value) if isinstance(value, list) else value


class WrittenSource(Frozen):
    """A source whose text stands for numbers, times and missing values; what is not said is found out."""

    decimal: Literal[".", ","] | None = Field(default=None, description="the decimal sign of numbers in text")
    thousands: Literal["", ",", ".", " ", "'"] | None = Field(
        default=None, description="the sign between groups of three digits; empty: none"
    )
    dates: DateForm | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="day_first, month_first, epoch_s, epoch_ms, epoch_us, epoch_ns, or a pattern of strptime",
    )
    nulls: Annotated[tuple[Word, ...] | None, BeforeValidator(_as_tuple)] = Field(
        default=None, max_length=100, description="words for a missing value besides the usual ones"
    )

    @model_validator(mode="after")
    def _two_signs(self) -> Self:
        if self.decimal is not None and self.decimal == self.thousands:
            raise NotAllowedError(
                "the same sign as before the decimals", cure="write two signs", at=("thousands",)
            )
        return self


class FileSource(WrittenSource):
    """A CSV or Parquet file, also packed (gz, zst, zip); the format is taken from the name unless given."""

    kind: Literal["file"] = Field(default="file", description="a file")
    path: Place = Field(description="the file; a relative one is looked up in the project folder")
    format: Literal["csv", "parquet"] | None = Field(
        default=None, description="default: from the file's name"
    )
    encoding: Annotated[str | None, BeforeValidator(_encoding)] = Field(
        default=None, description="of a CSV file; default: by its byte order mark, else UTF-8"
    )
    delimiter: Annotated[str | None, BeforeValidator(_delimiter)] = Field(
        default=None, min_length=1, max_length=1, description="of a CSV file; default: found out"
    )


class SqlSource(WrittenSource):
    """A table or a query of the database behind an Airflow connection."""

    kind: Literal["sql"] = Field(default="sql", description="a database")
    conn_id: str = Field(
        min_length=1, max_length=250, description="the Airflow connection, or AIRFLOW_CONN_<ID>"
    )
    query: str | None = Field(
        default=None, min_length=1, max_length=100_000, description="a SELECT; or name a table"
    )
    table: Annotated[str | None, BeforeValidator(_table_name)] = Field(
        default=None, description="table or schema.table"
    )


class ApiSource(Frozen):
    """Rows from an HTTP API; loads, but cannot be run yet."""

    kind: Literal["api"] = Field(default="api", description="an HTTP API; cannot be run yet")
    url: Place = Field(description="the address, without credentials")
    conn_id: str | None = Field(default=None, description="the Airflow connection with the credentials")


class FeatureStoreSource(Frozen):
    """A view of a feature store; loads, but cannot be run yet."""

    kind: Literal["feature_store"] = Field(
        default="feature_store", description="a feature store; cannot be run yet"
    )
    view: str = Field(min_length=1, max_length=250, description="the view's name")


class ExtensionSource(Frozen):
    """A kind that an installed package adds through the entry point group ``windsock.sources``."""

    kind: str = Field(description="the name that the package registered")
    options: dict[str, Any] = Field(default_factory=dict, description="what the package asks for")


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
    if not isinstance(fields, dict):
        return fields
    kind, known = fields.get("kind"), sorted(known_sources())
    if kind is None:
        raise NotAllowedError(
            "the block does not say its kind", allowed=known, cure="add kind: file, or another"
        )
    if kind not in known:
        raise NotAllowedError("unknown source kind", allowed=known, cure=closest(kind, known), at=("kind",))
    if kind == "sql" and bool(fields.get("query")) == bool(fields.get("table")):
        raise NotAllowedError(
            "an sql source needs a `query` or a `table`", cure="write one of them: sql://CONN_ID/TABLE"
        )
    return fields


def _tag(value: object) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return str(kind) if kind in BUILT_IN else "extension"


class _TextForm:
    """Tells editors that a source may be written as one text, too."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        examples = ["include/data/churn.csv", "sql://CONN_ID/TABLE", "feature_store://VIEW"]
        return {"anyOf": [{"type": "string", "minLength": 1, "examples": examples}, handler(schema)]}


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
    _TextForm(),
]
