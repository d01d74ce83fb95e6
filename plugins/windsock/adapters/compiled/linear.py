"""``LinearModel``: logistic and ridge regression as sums of what each field contributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from windsock.adapters.compiled.encoder import Columns, Lookup, Values
from windsock.adapters.compiled.form import Cells, CompiledForm
from windsock.adapters.compiled.links import LINKS
from windsock.records import InputSchema
from windsock.records.values import LARGEST

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LinearModel:
    """A linear estimator behind its tables. A table holds what a value adds to the sum, not its columns.

    :param form: the compiled form, which fits the schema.
    :param schema: what the rows look like, and what the answer means.
    """

    engine = "linear"

    def __init__(self, form: CompiledForm, schema: InputSchema) -> None:
        import numpy as np

        self.coefficients: NDArray[Any] = np.array(form.coefficients, dtype="float64").T
        """Shape (columns, outputs)."""
        self.linked = LINKS[form.link]
        self.columns = Columns(form, schema)
        self.lookups = [Lookup(table) for table in self.columns.tables]
        present = [self._added(number.present) for number in form.numbers]
        self.start = np.array(form.intercepts, dtype="float64") + sum(present)
        self.mean = np.array([number.mean for number in form.numbers])
        self.scale = np.array([number.scale for number in form.numbers])
        self.weights = self.coefficients[form.numbers_at : form.numbers_at + len(form.numbers)]
        missing = [
            self._added(number.missing) - there for number, there in zip(form.numbers, present, strict=True)
        ]
        self.missing = np.array(missing).reshape(len(form.numbers), form.outputs)
        """What a missing number adds, instead of its value and its flag."""
        self.added = [np.array([self._added(cells) for cells in lookup.entries]) for lookup in self.lookups]
        """For each table what its entries add."""
        self.one = _OneSum(self) if form.outputs == 1 else None

    def _added(self, cells: Cells) -> NDArray[Any]:
        import numpy as np

        parts = [self.coefficients[column] * value for column, value in cells if value is not None]
        return np.sum(parts, axis=0) if parts else np.zeros(self.coefficients.shape[1])

    def answers(self, rows: Sequence[Values]) -> list[list[float]]:
        """See :meth:`windsock.ports.CompiledModel.answers`."""
        if self.one and len(rows) == 1:
            return self.linked([[self.one.total(rows[0])]])
        return self.linked(self._totals(rows).tolist())

    def _totals(self, rows: Sequence[Values]) -> NDArray[Any]:
        import numpy as np

        numbers = self.columns.number_matrix(rows)
        gone = np.isnan(numbers)
        scaled = (numbers - self.mean) / self.scale
        totals: NDArray[Any]
        if gone.any():
            scaled[gone] = 0.0
            totals = self.start + scaled @ self.weights + gone @ self.missing
        else:
            totals = self.start + scaled @ self.weights
        if self.lookups:
            keyed = zip(*[self.columns.keys(values) for values in rows], strict=True)
            parts = [
                added.take(lookup.places(keys), axis=0)
                for keys, lookup, added in zip(keyed, self.lookups, self.added, strict=True)
            ]
            totals += np.sum(parts, axis=0)
        return totals


class _OneSum:
    """The sum of one row, for one output: plain Python is faster than arrays of one row.

    :param model: the model whose numbers are taken over.
    """

    def __init__(self, model: LinearModel) -> None:
        self.columns, self.lookups, self.start = model.columns, model.lookups, float(model.start[0])
        self.numbers = list(
            zip(
                *(
                    part.tolist()
                    for part in (model.mean, model.scale, model.weights[:, 0], model.missing[:, 0])
                ),
                strict=True,
            )
        )
        self.added = [added[:, 0].tolist() for added in model.added]

    def total(self, values: Values) -> float:
        """Return the sum of what each field adds."""
        total = self.start
        for value, (mean, scale, weight, missing) in zip(
            self.columns.given(values), self.numbers, strict=True
        ):
            if value is not None and -LARGEST <= value <= LARGEST:
                total += (value - mean) / scale * weight
            else:
                total += missing
        for key, lookup, added in zip(self.columns.keys(values), self.lookups, self.added, strict=True):
            total += added[lookup[key]]
        return total
