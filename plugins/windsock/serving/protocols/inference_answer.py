"""Answers of the Open Inference Protocol: which tensors a model answers with, and how they are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.records import Answer, ColumnKind, InputField, InputSchema
from windsock.serving.answers import Label, label_text
from windsock.serving.protocols.inference_request import InferenceRequest
from windsock.serving.protocols.tensors import BYTES, to_binary

if TYPE_CHECKING:
    from windsock.serving.answers import RowAnswer

DATATYPES = {
    ColumnKind.NUMBER: "FP64",
    ColumnKind.INTEGER: "INT64",
    ColumnKind.BOOLEAN: "BOOL",
    ColumnKind.CATEGORY: BYTES,
    ColumnKind.DATETIME: BYTES,
}
LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class OutputTensor:
    """A tensor of the answer: its elements in row-major order as JSON values."""

    name: str
    datatype: str
    shape: list[int]
    values: Sequence[Any]


def describe_inputs(fields: Sequence[InputField]) -> list[dict[str, Any]]:
    """Return the tensors that a model takes, one for each field."""
    return [{"name": field.name, "datatype": DATATYPES[field.kind], "shape": [-1]} for field in fields]


def describe_outputs(schema: InputSchema) -> list[dict[str, Any]]:
    """Return the tensors that a model answers with, in their order."""
    number = schema.answer is Answer.NUMBER
    outputs: list[dict[str, Any]] = [
        {"name": "prediction", "datatype": "FP64" if number else _datatype(schema.classes), "shape": [-1]}
    ]
    if not number:
        labels = json.dumps([label_text(label) for label in schema.classes], ensure_ascii=False)
        outputs.append(
            {
                "name": "probabilities",
                "datatype": "FP64",
                "shape": [-1, len(schema.classes)],
                "parameters": {"labels": labels},
            }
        )
    if number or schema.positive is not None:
        outputs.append({"name": "score", "datatype": "FP64", "shape": [-1]})
    return [
        *outputs,
        {"name": "prediction_id", "datatype": BYTES, "shape": [-1]},
        {"name": "version", "datatype": BYTES, "shape": [-1]},
    ]


def _datatype(labels: Sequence[Label]) -> str:
    """Return the datatype that holds labels without loss; text for a mixture."""
    if all(isinstance(label, bool) for label in labels):
        return "BOOL"
    if any(isinstance(label, str | bool) for label in labels):
        return BYTES
    if all(isinstance(label, int) and abs(label) <= LARGEST_INTEGER for label in labels):
        return "INT64"
    return "FP64" if all(isinstance(label, float) for label in labels) else BYTES


def output_tensors(
    answers: Sequence[RowAnswer], schema: InputSchema, wanted: Sequence[str]
) -> list[OutputTensor]:
    """Return the tensors that are wanted, in this order.

    Where a row was answered by a fallback constant, its probabilities and its score are missing: null, in
    binary data NaN.
    """
    return [_output(name, answers, schema) for name in wanted]


def _output(name: str, answers: Sequence[RowAnswer], schema: InputSchema) -> OutputTensor:
    rows = len(answers)
    if name == "probabilities":
        labels = [label_text(label) for label in schema.classes]
        values = [(answer.probabilities or {}).get(label) for answer in answers for label in labels]
        return OutputTensor(name, "FP64", [rows, len(labels)], values)
    if name == "score":
        return OutputTensor(name, "FP64", [rows], [answer.score for answer in answers])
    if name == "prediction":
        predictions = [answer.prediction for answer in answers]
        number = schema.answer is Answer.NUMBER and not any(isinstance(one, str) for one in predictions)
        datatype = "FP64" if number else _datatype([*schema.classes, *predictions])
        if datatype == BYTES:
            return OutputTensor(name, BYTES, [rows], [label_text(one) for one in predictions])
        return OutputTensor(name, datatype, [rows], predictions)
    return OutputTensor(name, BYTES, [rows], [getattr(answer, name) for answer in answers])


def write_inference(
    model: str, answers: Sequence[RowAnswer], schema: InputSchema, request: InferenceRequest
) -> tuple[bytes, int | None]:
    """Return the answer's body, and the size of its JSON part where binary data follows it."""
    outputs, binary = [], []
    for tensor in output_tensors(answers, schema, list(request.outputs)):
        said: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
        }
        if request.outputs[tensor.name]:
            binary.append(to_binary(tensor.values, tensor.datatype))
            said["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            said["data"] = tensor.values
        outputs.append(said)
    content: dict[str, Any] = {"model_name": model, "outputs": outputs}
    versions = {answer.version for answer in answers}
    if len(versions) == 1 and "" not in versions:
        content["model_version"] = versions.pop()
    if request.identifier is not None:
        content["id"] = request.identifier
    text = json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8")
    return b"".join([text, *binary]), len(text) if binary else None
