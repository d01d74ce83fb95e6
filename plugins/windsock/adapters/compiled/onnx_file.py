"""Reads back the one node of a file of trees: a few fields of protobuf, without the library that wrote it.

ONNX Runtime keeps a node's lists to itself, and importing the package ``onnx`` to read them would cost each
worker more memory than the trees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRAPH, NODE, ATTRIBUTE = 7, 1, 5
"""Numbers of the fields on the way from the model to what a node is told."""
NAME, NUMBER, TENSOR, NUMBERS = 1, 3, 5, 8
"""Of an attribute: its name and what it may hold."""
TYPE_OF_TENSOR, RAW = 2, 9
TENSOR_TYPES = {2: "uint8", 11: "float64"}
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""Ways in which protobuf writes a field."""
LONGEST = 8
"""Bytes of the longest number that is read: 56 bits."""


def read_node(content: bytes) -> dict[str, Any]:
    """Return what the only node of an ONNX model is told, by name: numbers, or arrays of them.

    :raises ValueError: if this is no such model, or it holds other kinds than trees need.
    :raises IndexError: if it ends too early.
    """
    found: Any = memoryview(content)
    for wanted in (GRAPH, NODE):
        (found,) = [value for number, value, _ in _fields(found) if number == wanted]
    return dict(_attribute(value) for number, value, _ in _fields(found) if number == ATTRIBUTE)


def _attribute(message: memoryview) -> tuple[str, Any]:
    name, read = "", None
    for number, value, at in _fields(message):
        if number == NAME:
            name = bytes(value).decode()
        elif number == NUMBER:
            read = value
        elif number == TENSOR:
            read = _tensor(value)
        elif number == NUMBERS:  # one tag before each of them, up to the attribute's type
            read = _numbers(message[at:])
            break
    return name, read


def _numbers(rest: memoryview) -> NDArray[Any]:
    both = _varints(rest)
    tags, numbers = both[0::2], both[1::2]
    if len(tags) != len(numbers) or (tags[:-1] != NUMBERS << 3).any():
        raise ValueError("no list of numbers")
    return numbers[: len(numbers) - (tags[-1] != NUMBERS << 3)]


def _tensor(message: memoryview) -> NDArray[Any]:
    import numpy as np

    fields = {number: value for number, value, _ in _fields(message)}
    if fields.get(TYPE_OF_TENSOR) not in TENSOR_TYPES or RAW not in fields:
        raise ValueError("no tensor that trees have")
    return np.frombuffer(fields[RAW], dtype=TENSOR_TYPES[fields[TYPE_OF_TENSOR]])


def _fields(message: memoryview) -> Iterator[tuple[int, Any, int]]:
    """Yield the number of each field, what it holds, and where it begins."""
    at = 0
    while at < len(message):
        begin = at
        tag, at = _varint(message, at)
        number, way = tag >> 3, tag & 7
        value: Any
        if way == VARINT:
            value, at = _varint(message, at)
        elif way in (LENGTH, EIGHT_BYTES, FOUR_BYTES):
            length, at = _varint(message, at) if way == LENGTH else (8 if way == EIGHT_BYTES else 4, at)
            value, at = message[at : at + length], at + length
        else:
            raise ValueError("no protobuf")
        yield number, value, begin


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that begins at a byte, and the byte after it."""
    value = 0
    for order in range(LONGEST + 2):
        byte = message[at + order]
        value |= (byte & 127) << (7 * order)
        if byte < 128:
            return value, at + order + 1
    raise ValueError("no number")


def _varints(data: memoryview) -> NDArray[Any]:
    """Return numbers that follow one another: seven bits a byte, the last byte of each below 128."""
    import numpy as np

    octets = np.frombuffer(data, dtype="uint8")
    ends = np.flatnonzero(octets < 128)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    longest = int(lengths.max())
    if longest > LONGEST or ends[-1] != len(octets) - 1:
        raise ValueError("no numbers")
    numbers = (octets[starts] & 127).astype("int64")
    for order in range(1, longest):
        longer = np.flatnonzero(lengths > order)
        numbers[longer] |= (octets[starts[longer] + order] & 127).astype("int64") << (7 * order)
    return numbers
