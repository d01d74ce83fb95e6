"""Requests of the Open Inference Protocol read into feature objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from windsock.records import ColumnKind, InputField, InputSchema
from windsock.serving.contract import IDENTIFIER, MAX_ROWS
from windsock.serving.protocols.common import (
    AskedRows,
    is_identifier,
    read_identifiers,
    read_object,
    require_different,
    shortest_row,
)
from windsock.serving.protocols.tensors import BYTES, CODE, BinaryData, Tensor, read_tensor, refused
from windsock.serving.strict_json import kind_of

MATRIX_NAMES = ("input", "inputs", "input-0", "features")
"""Names of one tensor with a column for each field."""
EXTRA_NAMES = ("unit", "prediction_id")
"""Tensors beside the fields: whom a row is for, and the client's own prediction id."""
NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER)
LONGEST_HEADER_LENGTH = 12
"""Digits of the header that says where the binary data begins."""


@dataclass(frozen=True)
class InferenceRequest:
    """The rows that are asked for, and how the answer shall look.

    :param identifier: the request's id, to be said again.
    :param outputs: names of the tensors that are wanted, each with whether as binary data.
    """

    asked: AskedRows
    identifier: str | None
    outputs: Mapping[str, bool]


def read_inference(
    body: bytes, header_length: str | None, schema: InputSchema, known_outputs: Collection[str]
) -> InferenceRequest:
    """Read a request.

    :param header_length: bytes of the JSON part, where binary data follows it.
    :param known_outputs: names of the tensors that the model answers with, in their order.
    :raises RequestRefusedError: if it is not as the protocol says.
    """
    length = _length(header_length, len(body))
    said = read_object(body[:length])
    parameters = said.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise refused("parameters", kind_of(parameters), "an object")
    identifier = said.get("id")
    if identifier in (None, ""):
        identifier = None
    elif not is_identifier(identifier):
        raise refused("id", kind_of(identifier), IDENTIFIER)
    tensors = _tensors(said.get("inputs"), BinaryData(memoryview(body)[length:]), schema)
    extra = {name: tensors.pop(name) for name in EXTRA_NAMES if _is_extra(tensors.get(name), schema)}
    rows = _rows(tensors, schema)
    columns = {name: _identifiers(tensor, len(rows)) for name, tensor in extra.items()}
    unit = parameters.get("unit")
    if unit is not None:
        columns["unit"] = read_identifiers([unit] * len(rows), len(rows), "parameters.unit", CODE)
    require_different(columns.get("prediction_id"), "prediction_id", CODE)
    return InferenceRequest(
        asked=AskedRows(rows=rows, units=columns.get("unit"), ids=columns.get("prediction_id")),
        identifier=identifier,
        outputs=_outputs(
            said.get("outputs"), known_outputs, binary=parameters.get("binary_data_output") is True
        ),
    )


def _length(said: str | None, body: int) -> int:
    if said is None:
        return body
    said = said.strip()
    fits = said.isascii() and said.isdecimal() and len(said) <= LONGEST_HEADER_LENGTH
    if not fits or int(said) > body:
        raise refused("Inference-Header-Content-Length", "something else", "the size of the JSON part")
    return int(said)


def _tensors(given: Any, binary: BinaryData, schema: InputSchema) -> dict[str, Tensor]:
    known = len(schema.request_fields)
    most = known + len(EXTRA_NAMES)
    if not isinstance(given, list) or not 1 <= len(given) <= most:
        got = f"a list of {len(given):,}" if isinstance(given, list) else kind_of(given)
        raise refused("inputs", got, f"a list of 1 to {most} tensors")
    tensors: dict[str, Tensor] = {}
    for number, one in enumerate(given):
        tensor = read_tensor(one, f"inputs[{number}]", binary, rows=MAX_ROWS, columns=known)
        if tensor.name in tensors:
            raise refused(f"inputs[{number}].name", "a name twice", "a different one for each tensor")
        tensors[tensor.name] = tensor
    if len(binary.left):
        raise refused("body", "more binary data than the tensors say", "as much as they say")
    return tensors


def _is_extra(tensor: Tensor | None, schema: InputSchema) -> bool:
    return tensor is not None and all(field.name != tensor.name for field in schema.request_fields)


def _identifiers(tensor: Tensor, rows: int) -> list[str | None] | None:
    if tensor.datatype != BYTES:
        raise refused(tensor.name, "another datatype", BYTES)
    return read_identifiers(tensor.values, rows, tensor.name, CODE)


def _rows(tensors: dict[str, Tensor], schema: InputSchema) -> list[dict[str, Any]]:
    if not tensors:
        raise refused("inputs", "no tensor of a field", "one tensor for each field")
    names = [field.name for field in schema.in_order]
    first = next(iter(tensors.values()))
    if len(tensors) == 1 and first.name in MATRIX_NAMES and first.name not in names:
        return _from_matrix(first, schema, names)
    rows = first.shape[0]
    for tensor in tensors.values():
        if tensor.shape not in ((rows,), (rows, 1)):
            place = tensor.name if tensor.name in names else "a tensor"
            raise refused(f"{place}: shape", "another shape", "[rows] or [rows, 1], the same for all tensors")
    columns = [tensor.values for tensor in tensors.values()]
    return [dict(zip(tensors, row, strict=True)) for row in zip(*columns, strict=True)]


def _from_matrix(tensor: Tensor, schema: InputSchema, names: list[str]) -> list[dict[str, Any]]:
    width = tensor.shape[1] if len(tensor.shape) == 2 else 0
    if not all(map(_takes_numbers, schema.in_order[: width or None])):
        raise refused("inputs", "one tensor for all fields", "one for each field: not all fields are numbers")
    if not shortest_row(schema) <= width <= len(names):
        raise refused("inputs[0].shape", "another shape", f"[rows, {len(names)}]: a column for each field")
    names = names[:width]
    values = tensor.values
    return [
        dict(zip(names, values[start : start + width], strict=True)) for start in range(0, len(values), width)
    ]


def _takes_numbers(field: InputField) -> bool:
    return any(kind in NUMERIC for kind in (field.kind, *(earlier.kind for earlier in field.earlier)))


def _outputs(given: Any, known: Collection[str], *, binary: bool) -> dict[str, bool]:
    if given is None or given == []:
        return dict.fromkeys(known, binary)
    if not isinstance(given, list) or len(given) > len(known):
        raise refused("outputs", "something else", "a list of tensors: " + ", ".join(known))
    wanted: dict[str, bool] = {}
    for number, one in enumerate(given):
        name = one.get("name") if isinstance(one, dict) else None
        if not isinstance(name, str) or name not in known or name in wanted:
            raise refused(f"outputs[{number}].name", "another name", "one of " + ", ".join(known))
        parameters = one.get("parameters") or {}
        if not isinstance(parameters, dict) or parameters.keys() & {"classification", "shared_memory_region"}:
            raise refused(
                f"outputs[{number}].parameters", "something else", "binary_data: true or false, or nothing"
            )
        asked = parameters.get("binary_data", binary)
        if not isinstance(asked, bool):
            raise refused(f"outputs[{number}].parameters.binary_data", kind_of(asked), "a boolean")
        wanted[name] = asked
    return wanted
