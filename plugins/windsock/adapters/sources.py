"""``SourceReaders``: a model's rows from a file, a database, or a kind that another package adds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from windsock.adapters.csv_layout import form_of
from windsock.adapters.csv_source import read_csv
from windsock.adapters.query_limits import MIB, QueryLimits
from windsock.adapters.source_limits import require_columns, require_rows
from windsock.adapters.sql_source import read_sql, source_limits
from windsock.exceptions import DataRefusedError, NotBuiltError, SourceUnavailableError, WindsockError
from windsock.ports import SourceRead
from windsock.spec import ExtensionSource, FileSource, Source, SqlSource, extension
from windsock.spec.registries import known_sources

if TYPE_CHECKING:
    import pandas as pd

PACKED = (".gz", ".zst", ".zip")
FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet"}
NOT_BUILT = ("api", "feature_store")


class SourceReaders:
    """Reads every kind of source that works.

    :param roots: folders against which a relative path is looked up, in order.
    :param connections: turns a connection id into a SQLAlchemy URL; raises SettingsError for an unknown one.
    :param limits: of the process that reads a database; default: an hour and 4 GiB.
    :param closed: files and folders that are no source, however a path leads there: those of the keys. What
        is read ends up in snapshots, errors and reports.
    """

    def __init__(
        self,
        roots: tuple[Path, ...],
        connections: Callable[[str], str],
        limits: QueryLimits | None = None,
        *,
        closed: tuple[Path, ...] = (),
    ) -> None:
        self.roots = roots
        self.connections = connections
        self.limits = limits or source_limits()
        self.closed = closed

    def read(self, source: Source) -> SourceRead:
        """Read all rows; see :class:`windsock.ports.SourceReader`."""
        if isinstance(source, FileSource):
            return self._read_file(source)
        if isinstance(source, SqlSource):
            frame, described = read_sql(source, self.connections(source.conn_id), self.limits)
            return SourceRead(frame=frame, described=described, form=form_of((), "", source))
        if isinstance(source, ExtensionSource):
            return _read_extension(source)
        works = ", ".join(sorted(known_sources() - set(NOT_BUILT)))
        raise NotBuiltError(
            f"data from a source of kind {source.kind!r} cannot be read yet; kinds that work: {works}",
            next_action="Choose one of them in the `data.source` of the model's YAML file.",
        )

    def _read_file(self, source: FileSource) -> SourceRead:
        file = self.find(source.path)
        suffix = _ending(file)
        form = source.format or FORMATS.get(suffix)
        if form is None:
            raise DataRefusedError(
                f"{file}: what a file named {suffix or 'without an ending'} holds is not known; "
                f"known endings: {', '.join(FORMATS)}",
                code="WS-DATA-016",
                next_action="Write `format: csv` or `format: parquet` in `data.source`.",
            )
        try:
            if form == "csv":
                read = read_csv(file, source)
                return SourceRead(
                    frame=read.frame,
                    described=f"file: {source.path}",
                    form=read.form,
                    lines=read.lines,
                    findings=read.findings,
                )
            _require_no_text_keys(source, file)
            frame = _read_parquet(file)
        except MemoryError:
            raise DataRefusedError(
                f"{file} needs more memory than there is; it is {file.stat().st_size // MIB:,} MiB large",
                code="WS-DATA-036",
                next_action="Read fewer rows or columns, or give the process that reads it more memory.",
            ) from None
        except OSError as error:
            raise SourceUnavailableError(
                f"{file} cannot be read: {error.strerror or type(error).__name__}",
                next_action="Give this user the right to read it, or see to its disk.",
            ) from None
        return SourceRead(frame=frame, described=f"file: {source.path}", form=form_of((), "", source))

    def find(self, path: str) -> Path:
        """Return the file that a path names.

        :raises DataRefusedError: if there is none, or it is no source.
        """
        given = Path(path).expanduser()
        places = [given] if given.is_absolute() else [root / given for root in self.roots]
        for place in places:
            if place.is_file():
                self._require_open(place)
                return place
        looked = ", ".join(str(place) for place in places)
        if any(place.is_dir() for place in places):
            what = "is a folder; one file is needed"
        elif "://" in path:
            what = "is a URL; files are read from folders of this machine"
        else:
            what = "is not there"
        raise DataRefusedError(
            f"source file {path!r} {what}; looked for: {looked}",
            code="WS-DATA-010",
            next_action="Put the file there, or mend the path in `data.source`.",
        )

    def _require_open(self, file: Path) -> None:
        real = file.resolve()
        if any(real.is_relative_to(place.resolve()) for place in self.closed):
            raise DataRefusedError(
                f"{file} lies among the installation's keys, and none of those is a source",
                code="WS-DATA-025",
                next_action="Name the file that holds the model's rows in `data.source`.",
            )


def _ending(file: Path) -> str:
    """Return the ending that says what a file holds: that before ``.gz`` of a packed one."""
    endings = [ending.lower() for ending in file.suffixes]
    if endings and endings[-1] in PACKED:
        before = endings[-2] if len(endings) > 1 else ""
        return before if before in FORMATS else ".csv"
    return endings[-1] if endings else ""


def _require_no_text_keys(source: FileSource, file: Path) -> None:
    given = [key for key in ("encoding", "delimiter") if getattr(source, key) is not None]
    if given:
        raise DataRefusedError(
            f"{file} is read as Parquet, which has no {' and no '.join(given)}",
            code="WS-DATA-035",
            next_action=f"Remove `{given[0]}` from `data.source`, or write `format: csv`.",
        )


def _read_parquet(file: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    try:
        content = parquet.ParquetFile(file)
        require_rows(content.metadata.num_rows, str(file))
        require_columns(content.schema_arrow.names, str(file))
        table = content.read()
    except pa.ArrowException as error:
        raise DataRefusedError(
            f"{file} is no whole Parquet file ({type(error).__name__})",
            code="WS-DATA-016",
            next_action="Write it again, or say `format: csv` if it is one.",
        ) from None
    whole = {pa.int8(): "Int8", pa.int16(): "Int16", pa.int32(): "Int32", pa.int64(): "Int64"}
    whole |= {pa.uint8(): "UInt8", pa.uint16(): "UInt16", pa.uint32(): "UInt32", pa.uint64(): "UInt64"}
    types = {arrow: pd.api.types.pandas_dtype(name) for arrow, name in whole.items()}
    types[pa.bool_()] = pd.BooleanDtype()
    frame: pd.DataFrame = table.to_pandas(types_mapper=types.get, ignore_metadata=True)
    return frame


def _read_extension(source: ExtensionSource) -> SourceRead:
    described = f"{source.kind}: by an installed package"
    reader = extension("sources", source.kind)
    try:
        frame = reader(dict(source.options))
    except WindsockError:
        raise
    except Exception as error:
        raise SourceUnavailableError(
            f"the source of kind {source.kind!r} failed with {type(error).__name__}",
            next_action="See that what it reads from is up; its package knows more.",
        ) from None
    require_columns([str(name) for name in frame.columns], described)
    require_rows(len(frame), described)
    return SourceRead(
        frame=frame.set_axis([str(name) for name in frame.columns], axis=1),
        described=described,
    )
