"""``TreesModel``: boosted trees and forests, computed by treelite's inference library in this thread."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from windsock.adapters.compiled.encoder import MatrixEncoder, Values
from windsock.adapters.compiled.form import CompiledForm
from windsock.adapters.compiled.links import LINKS
from windsock.records import InputSchema

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOUBLE = "float64"


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
        self.linked = LINKS[form.link]

    def answers(self, rows: Sequence[Values]) -> list[list[float]]:
        """See :meth:`windsock.ports.CompiledModel.answers`."""
        if len(rows) == 1:
            return self.linked([self.trees.sums(self.encoder.row(rows[0]))])
        return self.linked(self.trees.many_sums(self.encoder.matrix(rows)))


class Trees:
    """A treelite model, with all that its Python wrapper would make anew for each call.

    :param model: the treelite model.
    :raises ValueError: if it is not one of 64-bit numbers.
    """

    def __init__(self, model: Any) -> None:
        from treelite.core import _LIB
        from treelite.gtil.gtil import GTILConfig

        if (model.input_type, model.output_type) != (DOUBLE, DOUBLE) or not model.num_tree:
            raise ValueError("no trees of 64-bit numbers")
        self.model = model
        self.width: int = model.num_feature
        self.config = GTILConfig(nthread=1, predict_type="raw")
        self.handle, self.settings = model.handle.value, self.config.handle.value
        self.predict = _LIB["TreeliteGTILPredict"]  # a function of our own, so that its types are too
        pointer = ctypes.c_void_p
        self.predict.argtypes = (pointer, pointer, ctypes.c_char_p, ctypes.c_uint64, pointer, pointer)
        self.outputs = self._outputs(_LIB)
        self.answer_type = ctypes.c_double * self.outputs

    def _outputs(self, library: Any) -> int:
        """Return how many numbers answer one row.

        :raises ValueError: if there is more than one target.
        """
        shape, count = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        failed = library.TreeliteGTILGetOutputShape(
            self.model.handle, ctypes.c_uint64(1), self.config.handle,
            ctypes.byref(shape), ctypes.byref(count),
        )  # fmt: skip
        sizes = [] if failed else shape[: count.value]
        if len(sizes) != 3 or sizes[:2] != [1, 1] or not 1 <= sizes[2] <= 100_000:
            raise ValueError("trees of another shape")
        return int(sizes[2])

    def sums(self, line: bytes) -> list[float]:
        """Return the trees' sums for one row, given as the bytes of its columns."""
        out = self.answer_type()
        if self.predict(self.handle, line, b"float64", 1, ctypes.addressof(out), self.settings):
            raise ValueError("the trees gave no answer")
        return list(out)

    def many_sums(self, matrix: NDArray[Any]) -> list[list[float]]:
        """Return the trees' sums for rows, given as the 64-bit numbers of their columns, row after row."""
        import numpy as np

        out = np.zeros((len(matrix), self.outputs))
        if self.predict(
            self.handle, matrix.ctypes.data, b"float64", len(matrix), out.ctypes.data, self.settings
        ):
            raise ValueError("the trees gave no answer")
        sums: list[list[float]] = out.tolist()
        return sums
