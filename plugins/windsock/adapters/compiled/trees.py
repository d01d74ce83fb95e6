"""``TreesModel``: boosted trees and forests, by ONNX Runtime in this thread, or packed for many rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from windsock.adapters.compiled.batches import PackedForest, pack_forest
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
    :param packed: the same trees for many rows at once, where they have that form.
    """

    engine = "trees"

    def __init__(
        self, form: CompiledForm, schema: InputSchema, trees: Trees, packed: PackedForest | None = None
    ) -> None:
        self.encoder = MatrixEncoder(form, schema)
        self.trees, self.packed = trees, packed
        self.base, self.divisor = form.base, form.divisor
        self.plain = not any(form.base) and form.divisor == 1
        self.linked = LINKS[form.link]

    def answers(self, rows: Sequence[Values]) -> list[list[float]]:
        """See :meth:`windsock.ports.CompiledModel.answers`."""
        if len(rows) == 1:
            sums = self.trees.sums(self.encoder.one(rows[0]))
        elif self.packed and len(rows) >= self.packed.least_rows:
            sums = self.packed.sums(self.encoder.keys(rows))
        else:
            sums = self.trees.sums(self.encoder.matrix(rows))
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


def packed_trees(content: bytes, form: CompiledForm) -> PackedForest | None:
    """Return trees packed for many rows; ``None`` where their columns are not of 32 bits, or may be missing.

    :param content: what :class:`Trees` took.
    """
    numbers = [cells for number in form.numbers for cells in (number.missing, number.present)]
    written = [*numbers, *(cells for table in form.tables for cells in table.cells)]
    if not form.rounded or any(value is None for cells in written for _, value in cells):
        return None
    return pack_forest(content, form.width)


def give_back_memory() -> None:
    """Give the system back what reading trees took: ten times their file, which the allocator would keep."""
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # the GNU library has it
    if trim is not None:
        trim(0)


def _columns(shape: Sequence[Any]) -> int:
    if len(shape) != 2 or not isinstance(shape[1], int):
        raise ValueError("trees of another shape")
    return shape[1]
