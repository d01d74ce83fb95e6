"""Features of logged rows as typed columns: one struct, a leaf for each field.

A leaf's type is what its values are, over all versions of an hour. What the leaves are, and which fields each
bundle knows, stands in the metadata of tables and of archived files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

FEATURES = "features"
LEAVES_KEY = b"windsock.leaves"
FIELDS_KEY = b"windsock.fields"
EXACT = 2**53
"""Up to here a double holds every integer."""

Fields = Mapping[str, frozenset[str]]
"""The fields that each bundle knows, by its digest; one that is not among them is not in its rows."""

_encoder = msgspec.json.Encoder()


class Leaf(StrEnum):
    """What the values of a field are."""

    NOTHING = "nothing"
    """No value yet: text without any."""
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"
    JSON = "json"
    """Values of several kinds, as JSON text."""


Leaves = Mapping[str, Leaf]


def arrow_type(leaf: Leaf) -> pa.DataType:
    """Return how a leaf is stored."""
    import pyarrow as pa

    known = {Leaf.INTEGER: pa.int64(), Leaf.NUMBER: pa.float64(), Leaf.BOOLEAN: pa.bool_()}
    return known.get(leaf, pa.string())


def make_leaf(values: Sequence[Any]) -> tuple[Leaf, pa.Array]:
    """Return a column of JSON scalars in the narrowest type that holds them all."""
    import pyarrow as pa

    kinds = set(map(type, values)) - {type(None)}
    leaf = _LEAF_OF.get(frozenset(kinds), Leaf.JSON) if kinds else Leaf.NOTHING
    if int in kinds and leaf is not Leaf.JSON:
        limit = EXACT if leaf is Leaf.NUMBER else 2**63 - 1
        if any(type(value) is int and abs(value) > limit for value in values):
            leaf = Leaf.JSON
    if leaf is Leaf.JSON:
        values = [None if value is None else _encoder.encode(value).decode() for value in values]
    return leaf, pa.array(values, type=arrow_type(leaf))


_LEAF_OF: dict[frozenset[type], Leaf] = {
    frozenset({int}): Leaf.INTEGER,
    frozenset({float}): Leaf.NUMBER,
    frozenset({int, float}): Leaf.NUMBER,
    frozenset({bool}): Leaf.BOOLEAN,
    frozenset({str}): Leaf.TEXT,
}


def wider(one: Leaf, other: Leaf) -> Leaf:
    """Return the leaf that holds the values of two."""
    if one is other or other is Leaf.NOTHING:
        return one
    if one is Leaf.NOTHING:
        return other
    return Leaf.NUMBER if {one, other} == {Leaf.INTEGER, Leaf.NUMBER} else Leaf.JSON


def union(many: Iterable[Leaves]) -> dict[str, Leaf]:
    """Return the leaves that hold the values of several tables."""
    found: dict[str, Leaf] = {}
    for leaves in many:
        for name, leaf in leaves.items():
            found[name] = wider(found.get(name, leaf), leaf)
    return found


def union_fields(many: Iterable[Fields]) -> dict[str, frozenset[str]]:
    """Return the fields that each bundle knows, of several tables."""
    found: dict[str, frozenset[str]] = {}
    for fields in many:
        for digest, names in fields.items():
            found[digest] = found.get(digest, frozenset()) | names
    return found


def widen(column: pa.Array, leaf: Leaf, to: Leaf) -> pa.Array:
    """Return a leaf's column as another, wider one.

    Integers that a double does not hold become the nearest one that it does.
    """
    import pyarrow as pa

    if leaf is to or leaf is Leaf.NOTHING:
        return column if leaf is to else pa.nulls(len(column), arrow_type(to))
    if to is not Leaf.JSON:
        return column.cast(arrow_type(to), safe=False)
    texts = [None if value is None else _encoder.encode(value).decode() for value in column.to_pylist()]
    return pa.array(texts, type=pa.string())


def features_field(leaves: Leaves) -> pa.Field:
    """Return the column of features; text without values where there are no fields at all."""
    import pyarrow as pa

    if not leaves:
        return pa.field(FEATURES, pa.string())
    struct = pa.struct([(name, arrow_type(leaf)) for name, leaf in leaves.items()])
    return pa.field(FEATURES, struct, nullable=False)


def features_column(columns: Mapping[str, pa.Array], leaves: Leaves, rows: int) -> pa.Array:
    """Return the column of features from its leaves."""
    import pyarrow as pa

    field = features_field(leaves)
    if not leaves:
        return pa.nulls(rows, field.type)
    return pa.StructArray.from_arrays([columns[name] for name in leaves], fields=list(field.type))


def metadata_of(leaves: Leaves, fields: Fields) -> dict[bytes, bytes]:
    """Return what a table's metadata say of its features."""
    return {
        LEAVES_KEY: json.dumps(leaves).encode(),
        FIELDS_KEY: json.dumps({digest: sorted(names) for digest, names in fields.items()}).encode(),
    }


def leaves_of(schema: pa.Schema) -> dict[str, Leaf]:
    """Return the leaves of a table's features; none of a table that holds them as JSON text."""
    kept = json.loads((schema.metadata or {}).get(LEAVES_KEY, b"{}"))
    return {name: Leaf(leaf) for name, leaf in kept.items()}


def fields_of(schema: pa.Schema) -> dict[str, frozenset[str]]:
    """Return the fields that each bundle of a table knows."""
    kept = json.loads((schema.metadata or {}).get(FIELDS_KEY, b"{}"))
    return {digest: frozenset(names) for digest, names in kept.items()}


def is_typed(schema: pa.Schema) -> bool:
    """Return whether a table's features are leaves; files of before have them as JSON text."""
    return LEAVES_KEY in (schema.metadata or {})


def typed(table: pa.Table) -> pa.Table:
    """Return a table whose features are leaves.

    :param table: rows of predictions, with features as leaves already or as JSON text.
    """
    if is_typed(table.schema):
        return table
    import pyarrow as pa

    rows = [json.loads(text) if text else {} for text in table[FEATURES].to_pylist()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    made = {name: make_leaf([row.get(name) for row in rows]) for name in names}
    leaves = {name: leaf for name, (leaf, _) in made.items()}
    fields: dict[str, set[str]] = {}
    for digest, row in zip(table["digest"].to_pylist(), rows, strict=True):
        fields.setdefault(digest, set()).update(row)
    column = features_column({name: array for name, (_, array) in made.items()}, leaves, len(rows))
    place = table.schema.get_field_index(FEATURES)
    known = metadata_of(leaves, {digest: frozenset(names) for digest, names in fields.items()})
    table = table.set_column(place, features_field(leaves), pa.chunked_array([column]))
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **known})


def conform(table: pa.Table, leaves: Leaves, fields: Fields) -> pa.Table:
    """Return a table with other, wider leaves.

    :param table: as :func:`typed` gives it.
    :param leaves: at least as wide as the table's own.
    """
    import pyarrow as pa

    own = leaves_of(table.schema)
    if list(own.items()) != list(leaves.items()):
        struct = table[FEATURES].combine_chunks() if own else None
        columns = {
            name: widen(struct.field(name), own[name], leaf)
            if struct is not None and name in own
            else pa.nulls(table.num_rows, arrow_type(leaf))
            for name, leaf in leaves.items()
        }
        made = features_column(columns, leaves, table.num_rows)
        place = table.schema.get_field_index(FEATURES)
        table = table.set_column(place, features_field(leaves), pa.chunked_array([made]))
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata_of(leaves, fields)})


def leaf_values(table: pa.Table, name: str) -> list[Any]:
    """Return a field's values as they were logged; ``None`` where there is none.

    Whole numbers of a field with fractions come back as floats.
    """
    leaf = leaves_of(table.schema).get(name)
    if leaf is None:
        return [None] * table.num_rows
    values: list[Any] = table[FEATURES].combine_chunks().field(name).to_pylist()
    if leaf is Leaf.JSON:
        return [None if value is None else json.loads(value) for value in values]
    return values


def feature_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return each row's features by name: those of the fields that its bundle knows."""
    names = list(leaves_of(table.schema))
    columns = [leaf_values(table, name) for name in names]
    known = fields_of(table.schema)
    everything = frozenset(names)
    digests = table["digest"].to_pylist()
    rows = zip(*columns, strict=True) if columns else iter([()] * table.num_rows)
    return [
        {name: value for name, value in zip(names, row, strict=True) if name in known.get(digest, everything)}
        for digest, row in zip(digests, rows, strict=True)
    ]
