"""Answered rows as lines of the prediction log, and the sealing of their sensitive values."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import msgspec

from windsock.adapters.column_cipher import LOG_KEY, UNAVAILABLE, ColumnCipher
from windsock.adapters.log_format import OUTCOMES, PredictionLine
from windsock.exceptions import SettingsError
from windsock.private_files import make_file, make_folder
from windsock.records import InputSchema, OutcomeEvent, UnansweredCause

log = logging.getLogger(__name__)

HOUR_SECONDS = 3600
TOKEN_BYTES = 128
"""What a short value becomes when it is encrypted; text grows by a third on top."""
SCHEMAS_KEPT = 64

NO_FIELDS = msgspec.Raw(b"[]")

_TIMED_END = b',"request_ms":%.3f}\n'
"""The end of a line: the time of its request is known last, and holds the making of the line."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(PredictionLine)


class LoggedRow(NamedTuple):
    """One answered row.

    :param values: in the order of the schema's fields.
    """

    prediction_id: str
    unit: str | None
    event_time: datetime | None
    score: float | None
    prediction: Any
    values: tuple[Any, ...]


class AnsweredRows(msgspec.Struct, gc=False):
    """The rows that one version answered in one request; see :class:`~windsock.records.PredictionEvent`.

    It is the line of the log, too.

    :param fields: names of the rows' values, as JSON; the log fills it in.
    """

    model: str
    version: str
    digest: str
    variant: str
    experiment: str | None
    epoch: int
    receive_time: datetime
    client: str | None
    fallback_for: str | None
    inference_ms: float
    rows: Sequence[LoggedRow]
    fields: msgspec.Raw = NO_FIELDS


class UnansweredRows(msgspec.Struct, gc=False):
    """The rows that one version was given in vain; see :class:`~windsock.records.UnansweredEvent`.

    It is the line of the log, too.

    :param rows: of each its prediction id, unit and time.
    """

    model: str
    version: str
    digest: str
    variant: str
    experiment: str
    epoch: int
    receive_time: datetime
    client: str | None
    cause: UnansweredCause
    rows: Sequence[tuple[str, str | None, datetime | None]]


class Waiter(NamedTuple):
    """Who waits until a line is on the disk."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


class Place(NamedTuple):
    """Where a line belongs.

    :param hour: whole hours since 1970, UTC.
    """

    kind: str
    model: str
    hour: int


@dataclass(slots=True)
class LogLine:
    """Whole lines that wait to be written: one, or many of the same place that need nothing more.

    The writer's thread takes the interpreter from the answers for as long as it works: so it gets many lines
    as one. To add to what waits is cheaper for the answers, too.

    :param rows: events in it.
    :param cost: bytes it counts for in memory; never less than it takes once it is sealed.
    :param sensitive: places of the values still to be encrypted.
    """

    place: Place
    content: bytes | bytearray
    rows: int = 0
    cost: int = 0
    sensitive: tuple[int, ...] = ()
    waiter: Waiter | None = None

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for it any more: whoever sent it was told to send it again."""
        return self.waiter is not None and self.waiter.future.cancelled()


class LoggedFields(NamedTuple):
    """What the log knows of a schema.

    :param names: of its fields, as JSON.
    :param sensitive: places of the values to be encrypted.
    """

    schema: InputSchema
    names: msgspec.Raw
    sensitive: tuple[int, ...]


class LineMaker:
    """Makes lines. A schema's field names are encoded once."""

    def __init__(self) -> None:
        self._known: dict[int, LoggedFields] = {}

    def fields(self, schema: InputSchema) -> LoggedFields:
        """Return what the log knows of a schema."""
        return self._known.get(id(schema)) or self._learn(schema)

    def add(self, answered: AnsweredRows | UnansweredRows, line: LogLine, began: float | None = None) -> int:
        """Add the rows that one version was given in one request to lines that wait, or nothing.

        :param began: when the server had the request, by the monotonic clock; ``None``: it is not timed.
        :returns: the bytes that they take.
        :raises TypeError: if a value has no JSON form.
        :raises ValueError: if a text has none.
        """
        content = line.content
        assert isinstance(content, bytearray)  # noqa: S101 - lines that are added to are
        before = len(content)
        try:
            _encoder.encode_into(answered, content, -1)
        except BaseException:
            del content[before:]
            raise
        if began is None:
            content += b"\n"
        else:
            content.pop()
            content += _TIMED_END % ((monotonic() - began) * 1e3)
        return len(content) - before

    def sealed(
        self,
        answered: AnsweredRows,
        place: Place,
        sensitive: tuple[int, ...],
        began: float | None = None,
    ) -> LogLine:
        """Return the line of the rows of one request whose sensitive values are still to be encrypted.

        :raises TypeError: as :meth:`add` does.
        :raises ValueError: as :meth:`add` does.
        """
        content = _encoder.encode(answered)
        if began is None:
            content += b"\n"
        else:
            content = content[:-1] + _TIMED_END % ((monotonic() - began) * 1e3)
        rows, cost = len(answered.rows), len(content)
        cost += cost // 3 + rows * len(sensitive) * TOKEN_BYTES
        return LogLine(place, content, rows, cost, sensitive)

    def _learn(self, schema: InputSchema) -> LoggedFields:
        if len(self._known) >= SCHEMAS_KEPT:
            self._known.clear()
        names = msgspec.Raw(_encoder.encode([field.name for field in schema.fields]))
        sensitive = tuple(number for number, field in enumerate(schema.fields) if field.sensitive)
        # The entry holds on to the schema, so its id is not given to another one.
        fields = self._known[id(schema)] = LoggedFields(schema, names, sensitive)
        return fields


def line_of_outcome(event: OutcomeEvent, waiter: Waiter) -> LogLine:
    """Return the line of an outcome."""
    content = event.model_dump_json().encode() + b"\n"
    place = Place(OUTCOMES, event.model, int(event.receive_time.timestamp()) // HOUR_SECONDS)
    return LogLine(place, content, 1, len(content), waiter=waiter)


SEALED_FILE = "log.sealed"


class Sealer:
    """Encrypts the sensitive values of lines, on the writer's thread.

    Without a key file values are written in clear. With one that cannot be used, or that went away while the
    server ran, they are not written at all: ``fernet:unavailable`` stands for each.

    :param keys_dir: the installation's keys folder; ``None``: there is no key.
    :param marker: a file that says, to workers that start later too, that this server has had a key.
    """

    def __init__(self, keys_dir: Path | None, marker: Path | None = None) -> None:
        self.keys_dir = keys_dir
        self.marker = marker
        self.fault: str | None = None
        self.withheld = 0
        self.in_force = marker is not None and marker.exists()
        self._cipher: ColumnCipher | None = None
        self._seen: tuple[int, ...] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the key file again if it changed."""
        if self.keys_dir is None:
            return
        seen = _mark(self.keys_dir / LOG_KEY)
        if seen == self._seen and not self.fault and (seen is not None or not self.in_force):
            return
        self._seen = seen
        try:
            self._cipher, fault = ColumnCipher.from_folder(self.keys_dir), None
        except SettingsError as error:
            self._cipher, fault = None, error.message
        if self._cipher is None and fault is None and self.in_force:
            fault = f"the log key {self.keys_dir / LOG_KEY} is gone"
        if not self.in_force and (self._cipher is not None or fault is not None):
            self.in_force = True
            if self.marker is not None:
                with suppress(OSError):
                    make_folder(self.marker.parent)
                    make_file(self.marker)
        if fault and fault != self.fault:
            log.error("WS-SERVING-034: %s; sensitive values are not written", fault)
        self.fault = fault

    def seal(self, line: LogLine) -> bool:
        """Encrypt the sensitive values of a line; return whether it may be written now."""
        if not line.sensitive:
            return True
        try:
            decoded = _decoder.decode(line.content)
        except msgspec.MsgspecError as error:
            log.error("WS-SERVING-033: answered rows have no JSON form: %s", type(error).__name__)
            return False
        for row in decoded.rows:
            for number in line.sensitive:
                row.values[number] = self._sealed(row.values[number])
            time.sleep(0)  # let the thread that answers requests go first
        line.content = _encoder.encode(decoded) + b"\n"
        line.sensitive = ()
        return True

    def _sealed(self, value: Any) -> str:
        if self._cipher is None:
            self.withheld += 1
            return UNAVAILABLE
        return self._cipher.encrypt(value)


def _mark(file: Path) -> tuple[int, ...] | None:
    """Return what shows that a file changed; ``None`` only if it is not there."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return (error.errno or 0,)
    return status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode
