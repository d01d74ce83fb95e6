"""``windsock init``: a first model file, after a look at a table."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from windsock.adapters.connections import connections_of, variable_of
from windsock.cli.console import say
from windsock.cli.surroundings import already_there, installation, write_whole
from windsock.exceptions import DataRefusedError, SpecError
from windsock.records import ValueForm
from windsock.settings import Settings
from windsock.spec import FileSource, Source, SqlSource
from windsock.spec.column_facts import FactKind, SeenColumn
from windsock.spec.faults import NotAllowedError, shown
from windsock.spec.loader import load_shared
from windsock.spec.starter import model_name, write_starter

if TYPE_CHECKING:
    import pandas as pd

    from windsock.adapters.sources import SourceReaders
    from windsock.data.read_columns import ReadColumn
    from windsock.ports import SourceRead

NOT_UTF8 = "WS-DATA-014"
FORM_KEYS = ("decimal", "thousands", "dates")
KINDS: dict[str, FactKind] = {
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
    "datetime": "datetime",
    "category": "text",
}
"""What a kind of the reader of snapshots is called here."""


def init(
    source: Annotated[str, typer.Argument(help="A CSV or Parquet file, or sql://CONN_ID/TABLE.")],
    target: Annotated[str | None, typer.Option(help="The column to predict; default: a guess.")] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name; default: the file's or table's.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for the model.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where to write; default: NAME.yaml in the models folder.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="SQLAlchemy URL behind CONN_ID; default: AIRFLOW_CONN_<CONN_ID>.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
) -> None:
    """Write a first model file after a look at the columns of a table."""
    settings = installation(editing=True)
    wanted = source_of(source)
    chosen = name or model_name(_stem(wanted))
    file = output or settings.models_dir / f"{chosen}.yaml"
    if file.exists() and not force:
        raise already_there(file)
    read, keys, encodings = _read(wanted, _reader(settings, database_url))
    frame = read.frame
    seen = seen_columns(frame, read.form)
    doubts = tuple(f"{name}: {column.doubt}" for name, column in seen.items() if column.doubt)
    starter = write_starter(
        frame,
        source=source_entry(written(wanted, settings), {**keys, **form_keys(read.form)}),
        name=chosen,
        target=target,
        owner=owner,
        seen=seen,
        sensitive_words=load_shared(settings.shared_file).sensitive_words,
    )
    write_whole(file, starter.text.encode(), replace=force)
    say(f"wrote {file}")
    for note in (*encodings, *doubts, *starter.notes):
        say(f"  {note}")
    if database_url and isinstance(wanted, SqlSource):
        say(f"  before it runs: make the connection {wanted.conn_id}, or set {variable_of(wanted.conn_id)}")
    say(
        f"  {chosen}__daily_retrain is created switched off: with `windsock up` running, `windsock models on "
        f"{chosen}` switches its schedule on"
    )
    say(f"next: windsock validate {shlex.quote(_shown(file))}")


def _shown(file: Path) -> str:
    """Return a file as it is named from the folder that the command runs in."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _read(wanted: Source, reader: SourceReaders) -> tuple[SourceRead, dict[str, str], tuple[str, ...]]:
    """Read a source; a file that is no UTF-8 in the likeliest encoding of those that its text may be in.

    :returns: the rows, the keys of ``data.source`` that they were read with, and what is to be said of them.
    """
    from windsock.adapters.csv_source import plausible_encodings

    try:
        return reader.read(wanted), {}, ()
    except DataRefusedError as refused:
        if refused.code != NOT_UTF8 or not isinstance(wanted, FileSource) or wanted.encoding:
            raise
        first = refused
    plausible = plausible_encodings(reader.find(wanted.path))
    for encoding in plausible:
        try:
            read = reader.read(wanted.replace(encoding=encoding))
        except DataRefusedError:
            continue
        others = [other for other in plausible if other != encoding]
        also = f"; {', '.join(others)} would fit, too: see that its words are right" if others else ""
        return read, {"encoding": encoding}, (f"the file is no UTF-8; it is read as {encoding}{also}",)
    raise first


def seen_columns(frame: pd.DataFrame, form: ValueForm | None = None) -> dict[str, SeenColumn]:
    """Return a table's columns as a snapshot reads them, by name; without those that it cannot read.

    :param form: what is known of how the source's values are written.
    """
    from windsock.data.reading import read_column

    seen = {}
    for name in map(str, frame.columns):
        try:
            read = read_column(frame[name], name, form=form)
        except DataRefusedError:
            continue
        if read.doubt or read.unread:
            seen[name] = SeenColumn(kind="text", values=frame[name].astype(object), doubt=_doubt(read))
            continue
        words = (read.false_word, read.true_word) if read.true_word and read.false_word else ()
        if read.kind.value == "boolean" and not words:
            words = ("false", "true")
        seen[name] = SeenColumn(kind=KINDS[read.kind.value], values=read.values, words=words)
    return seen


def _doubt(read: ReadColumn) -> str:
    """Return what is not sure of a column: another reading, or values that do not fit."""
    shapes = ", ".join(read.shapes)
    if read.doubt:
        return f"{read.doubt}; its values look like {shapes}"
    return (
        f"{read.unread:,} values do not fit {read.kind.value} and look like {shapes}; they count as missing"
    )


def form_keys(form: ValueForm | None) -> dict[str, str]:
    """Return the keys of ``data.source`` for how a file is written, as far as its reader found it out."""
    found = form.model_dump(include=set(FORM_KEYS), exclude_defaults=True) if form else {}
    return {key: str(value) for key, value in found.items()}


def source_entry(text: str, keys: Mapping[str, str]) -> str | dict[str, str]:
    """Return what stands at ``data.source``: one text, or a file's block where keys say how it is written."""
    return {"kind": "file", "path": text, **keys} if keys and "://" not in text else text


def _reader(settings: Settings, database_url: str | None) -> SourceReaders:
    from windsock.adapters.sources import SourceReaders

    connections = connections_of(os.environ) if database_url is None else lambda _: database_url
    closed = (settings.keys_dir, settings.clients_file)
    return SourceReaders((Path.cwd(), *settings.source_roots), connections, closed=closed)


def source_of(text: str) -> Any:
    """Return the source that a text names.

    :raises SpecError: if it names none.
    """
    try:
        return TypeAdapter(Source).validate_python(text)
    except ValidationError as error:
        detail = error.errors()[0]
        cause = detail.get("ctx", {}).get("error")
        said = str(cause) if isinstance(cause, NotAllowedError) else "this names neither a file nor a table"
        raise SpecError(
            f"source: {said}: {shown(text)}",
            code="WS-SPEC-008",
            next_action="Name a CSV or Parquet file, or sql://CONN_ID/TABLE with --database-url.",
        ) from error


def _stem(source: Any) -> str:
    if isinstance(source, FileSource):
        return Path(source.path).stem
    if isinstance(source, SqlSource):
        return (source.table or source.conn_id).rpartition(".")[2]
    return str(getattr(source, "view", None) or source.kind)


def written(source: Any, settings: Settings) -> str:
    """Return what the model file says of a source: a file below the project by its place there."""
    if isinstance(source, SqlSource):
        return f"sql://{source.conn_id}/{source.table}"
    if not isinstance(source, FileSource):
        return str(getattr(source, "url", None) or f"{source.kind}://{getattr(source, 'view', '')}")
    file = Path(source.path).absolute()
    if not file.exists():
        return source.path  # it was found below one of the installation's roots
    root = settings.source_roots[0]
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
