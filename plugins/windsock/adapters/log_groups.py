"""Row groups of an archived hour on their way to its file, and how that file is stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windsock.adapters.log_columns import archive_schema
from windsock.adapters.log_format import PREDICTIONS
from windsock.adapters.log_leaves import FEATURES, Leaf, conform, fields_of, leaves_of, union, union_fields

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


UNIQUE = frozenset({"prediction_id", "event_id"})
FEW = 4
"""A number with less than a quarter as many different values as rows is stored by a dictionary."""


class Groups:
    """Row groups on their way: what their features' types are is known when the last one is there.

    :param folder: where they wait; no more than one is in memory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: list[Path] = []
        self._leaves: dict[str, Leaf] = {}
        self._fields: dict[str, frozenset[str]] = {}

    def add(self, table: pa.Table) -> None:
        """Keep the rows of the next row group."""
        import pyarrow as pa

        self._leaves = union((self._leaves, leaves_of(table.schema)))
        self._fields = union_fields((self._fields, fields_of(table.schema)))
        file = self.folder / str(len(self._files))
        with pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(table)
        self._files.append(file)

    def write(self, target: Path, kind: str, said: dict[bytes, bytes]) -> None:
        """Write all of them to one file.

        :param said: more metadata of the file.
        """
        import pyarrow.parquet as pq

        schema = archive_schema(kind, self._leaves, self._fields)
        schema = schema.with_metadata({**(schema.metadata or {}), **said})
        writer: pq.ParquetWriter | None = None
        try:
            for table in map(self._read, self._files):
                if kind == PREDICTIONS:
                    table = conform(table, self._leaves, self._fields)
                if writer is None:
                    writer = pq.ParquetWriter(target, schema, **writer_options(table))
                writer.write_table(table.cast(schema))
                table = None
            if writer is None:
                writer = pq.ParquetWriter(target, schema)
        finally:
            if writer is not None:
                writer.close()

    @staticmethod
    def _read(file: Path) -> pa.Table:
        import pyarrow as pa

        with pa.memory_map(str(file)) as source:
            table = pa.ipc.open_file(source).read_all()
        os.remove(file)
        return table


def writer_options(table: pa.Table) -> dict[str, Any]:
    """Return how the columns of a file are stored: small, and above all fast to read.

    Numbers that hardly repeat are stored plain with LZ4, which reads several times faster; all else by a
    dictionary with Zstandard.

    :param table: the first rows of the file.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    dictionary, codecs = [], {}
    struct = table[FEATURES].combine_chunks() if FEATURES in table.column_names else None
    columns = [(name, table[name]) for name in table.column_names if name != FEATURES]
    if struct is not None and pa.types.is_struct(struct.type):
        columns += [(f"{FEATURES}.{field.name}", struct.field(field.name)) for field in struct.type]
    elif struct is not None:
        columns.append((FEATURES, struct))
    for path, values in columns:
        often = path not in UNIQUE
        if pa.types.is_floating(values.type):
            often = FEW * pc.count_distinct(values, mode="all").as_py() < len(values)
        if often:
            dictionary.append(path)
        codecs[path] = "lz4" if pa.types.is_floating(values.type) and not often else "zstd"
    return {"use_dictionary": dictionary or False, "compression": codecs}
