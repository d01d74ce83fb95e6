"""Tensors of the Open Inference Protocol, as JSON and as binary data; no numpy."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from windsock.serving.protocols.common import ProtocolError
from windsock.serving.strict_json import kind_of

CODE = "WS-SERVING-044"
LARGEST_SIDE = 2**31 - 1
BYTES = "BYTES"
FLOATS = ("FP16", "FP32", "FP64")
LAYOUTS = {
    "BOOL": "?",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""Data types with elements of one size, and how ``struct`` names them; bytes are little-endian."""
DATATYPES = (*LAYOUTS, BYTES)
LENGTH = struct.Struct("<I")
"""Before each element of a ``BYTES`` tensor stands its length."""


def refused(field: str, got: str, expected: str) -> ProtocolError:
    """Return the refusal of a request that is not as the protocol says."""
    return ProtocolError(field, got, expected, code=CODE)


@dataclass(frozen=True)
class Tensor:
    """A tensor of a request.

    :param shape: one or two sides.
    :param values: its elements in row-major order, as JSON values; a missing one (``null``, a NaN, a text
        of no length) is ``None``.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: list[Any]


class BinaryData:
    """The bytes after the JSON part, taken in the order of the tensors."""

    def __init__(self, content: memoryview) -> None:
        self.left = content

    def take(self, size: Any, place: str) -> memoryview:
        """Return the next bytes.

        :raises ProtocolError: if there are not as many.
        """
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(self.left):
            raise refused(place, "another size than the body has", "the size of this tensor's binary data")
        taken, self.left = self.left[:size], self.left[size:]
        return taken


def read_tensor(given: Any, place: str, binary: BinaryData, *, rows: int, columns: int) -> Tensor:
    """Read one tensor. Name, shape and size are checked before its elements are looked at.

    :param given: its JSON object.
    :param rows: most rows that are taken.
    :param columns: most columns that are taken.
    :raises ProtocolError: if it is not as the protocol says.
    """
    if not isinstance(given, dict):
        raise refused(place, kind_of(given), "an object")
    name, datatype = given.get("name"), given.get("datatype")
    if not isinstance(name, str):
        raise refused(f"{place}.name", kind_of(name), "the tensor's name")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise refused(f"{place}.datatype", "another one", "one of " + ", ".join(DATATYPES))
    shape = _shape(given.get("shape"), f"{place}.shape", rows, columns)
    parameters = given.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise refused(f"{place}.parameters", kind_of(parameters), "an object")
    if "shared_memory_region" in parameters:
        raise refused(f"{place}.parameters", "shared memory", "the data in the request")
    if "binary_data_size" in parameters:
        if "data" in given:
            raise refused(place, "data as JSON and as binary", "one of them")
        raw = binary.take(parameters["binary_data_size"], f"{place}.parameters.binary_data_size")
        return Tensor(name, datatype, shape, _from_binary(raw, datatype, math.prod(shape), place))
    values = _flat(given.get("data"), shape, f"{place}.data")
    read = _reader(datatype)
    return Tensor(name, datatype, shape, [read(value, f"{place}.data") for value in values])


def _shape(given: Any, place: str, rows: int, columns: int) -> tuple[int, ...]:
    sides = given if isinstance(given, list) else []
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if not whole or len(sides) not in (1, 2) or not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise refused(place, "another shape", "[rows] or [rows, columns]")
    if sides[0] > rows or (len(sides) == 2 and sides[1] > columns):
        raise refused(place, "too large a one", f"at most {rows:,} rows and {columns:,} columns")
    return tuple(sides)


def _flat(given: Any, shape: Sequence[int], place: str) -> list[Any]:
    """Return the elements in row-major order; they may come flat, or nested as the shape says."""
    size = math.prod(shape)
    if not isinstance(given, list):
        raise refused(place, "nothing" if given is None else kind_of(given), f"a list of {size:,} elements")
    nested = bool(given) and isinstance(given[0], list)
    if not nested:
        values = given
    elif (
        len(shape) == 2
        and len(given) == shape[0]
        and all(isinstance(row, list) and len(row) == shape[1] for row in given)
    ):
        values = [value for row in given for value in row]
    else:
        raise refused(place, "lists of another shape", "lists of the shape that is told")
    if len(values) != size:
        raise refused(place, f"{len(values):,} elements", f"{size:,}, as the shape says")
    return values


def _reader(datatype: str) -> Callable[[Any, str], Any]:
    """Return what reads one element of JSON."""
    if datatype == BYTES:
        return _read_text
    if datatype == "BOOL":
        return _read_boolean
    if datatype in FLOATS:
        return _read_float
    bits = int(datatype.lstrip("UINT"))
    low, high = (0, 2**bits - 1) if datatype.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def read_integer(value: Any, place: str) -> Any:
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high):
            return value
        raise refused(place, kind_of(value), f"integers of {datatype}")

    return read_integer


def _read_text(value: Any, place: str) -> Any:
    if value is None or isinstance(value, str):
        return value or None
    raise refused(place, kind_of(value), "texts")


def _read_boolean(value: Any, place: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    raise refused(place, kind_of(value), "booleans")


def _read_float(value: Any, place: str) -> Any:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise refused(place, kind_of(value), "numbers")


def _from_binary(raw: memoryview, datatype: str, count: int, place: str) -> list[Any]:
    if datatype == BYTES:
        return _texts(raw, count, place)
    layout = struct.Struct(f"<{count}{LAYOUTS[datatype]}")
    if layout.size != len(raw):
        raise refused(place, f"{len(raw):,} bytes", f"{layout.size:,}, as shape and datatype say")
    values = list(layout.unpack(raw))
    return [None if value != value else value for value in values] if datatype in FLOATS else values


def _texts(raw: memoryview, count: int, place: str) -> list[Any]:
    values: list[str | None] = []
    start = 0
    while len(values) < count and start + LENGTH.size <= len(raw):
        (length,) = LENGTH.unpack_from(raw, start)
        start += LENGTH.size
        if length > len(raw) - start:
            raise refused(place, "an element beyond the end", "a length and as many bytes for each element")
        try:
            values.append(str(raw[start : start + length], "utf-8") or None)
        except UnicodeDecodeError:
            raise refused(place, "bytes that are not UTF-8", "texts in UTF-8") from None
        start += length
    if len(values) != count or start != len(raw):
        raise refused(place, "another number of elements", f"{count:,}, as the shape says")
    return values


def to_binary(values: Sequence[Any], datatype: str) -> bytes:
    """Return an answer's elements as binary data; ``None`` is NaN.

    :param datatype: ``BYTES``, ``BOOL``, ``INT64`` or ``FP64``.
    """
    if datatype == BYTES:
        texts = [str(value).encode("utf-8", "replace") for value in values]
        return b"".join(LENGTH.pack(len(text)) + text for text in texts)
    if datatype in FLOATS:
        values = [math.nan if value is None else value for value in values]
    return struct.pack(f"<{len(values)}{LAYOUTS[datatype]}", *values)
