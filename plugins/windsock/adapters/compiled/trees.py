"""``TreesModel``: boosted trees and forests, computed by ONNX Runtime in this thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from windsock.adapters.compiled.encoder import MatrixEncoder, Values
from windsock.adapters.compiled.form import CompiledForm
from windsock.adapters.compiled.links import LINKS
from windsock.records import InputSchema

if TYPE_CHECKING:
    from numpy.typing import NDArray

INPUT, OUTPUT, DOUBLE = "rows", "sums", "tensor(double)"
ONLY_ERRORS = 3
"""Severity of ONNX Runtime's own log."""


class TreesModel:
    """Trees behind their tables.

    :param form: the compiled form, which fits the schema.
    :param schema: what the rows look like, and what the answer means.
    :param trees: the trees, which fit the form.
    """

    engine = "trees"

    def __init__(self, form: CompiledForm, schema: InputSchema, trees: Trees) -> None:
        self.encoder = MatrixEncoder(form, schema)
        self.trees = trees
        self.base, self.divisor = form.base, form.divisor
        self.plain = not any(form.base) and form.divisor == 1
        self.linked = LINKS[form.link]

    def answers(self, rows: Sequence[Values]) -> list[list[float]]:
        """See :meth:`windsock.ports.CompiledModel.answers`."""
        matrix = self.encoder.one(rows[0]) if len(rows) == 1 else self.encoder.matrix(rows)
        sums = self.trees.sums(matrix)
        if not self.plain:
            base, divisor = self.base, self.divisor
            sums = [
                [(value + start) / divisor for value, start in zip(row, base, strict=True)] for row in sums
            ]
        return self.linked(sums)


class Trees:
    """The trees of a compiled form.

    :param content: an ONNX model as :func:`~windsock.adapters.compiled.ensemble.write_ensemble` writes it.
    :raises Exception: whatever ONNX Runtime raises for what is none.
    :raises ValueError: if it takes or gives something else.
    """

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = ONLY_ERRORS
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        taken = [(one.name, one.type) for one in self.session.get_inputs()]
        given = [(one.name, one.type) for one in self.session.get_outputs()]
        if (taken, given) != ([(INPUT, DOUBLE)], [(OUTPUT, DOUBLE)]):
            raise ValueError("no trees of 64-bit numbers")
        self.width = _columns(self.session.get_inputs()[0].shape)
        self.outputs = _columns(self.session.get_outputs()[0].shape)
        self.run = self.session.run

    def sums(self, matrix: NDArray[Any]) -> list[list[float]]:
        """Return the trees' sums for rows of float64."""
        sums: list[list[float]] = self.run((OUTPUT,), {INPUT: matrix})[0].tolist()
        return sums


def _columns(shape: Sequence[Any]) -> int:
    if len(shape) != 2 or not isinstance(shape[1], int):
        raise ValueError("trees of another shape")
    return shape[1]
