"""HistGradientBoosting's trees: their splits of categories become columns of their own.

Such a split sends a set of categories left. Each different set becomes a column that is 0 for the categories
on the left and 1 for the others, missing ones among either; a table fills it. So every node compares a
number, and what happens to unseen, missing and rare categories is read off scikit-learn's own tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from windsock.adapters.compiled.ensemble import Tree
from windsock.adapters.compiled.form import Cells, Table
from windsock.adapters.compiled.probing import Probed
from windsock.exceptions import NotCompilableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 32
HALF = 0.5
Side = tuple[bool, ...]
"""Whether each code goes left, and at the end whether a missing value does."""


class Boosting:
    """A fitted HistGradientBoosting estimator behind Windsock's ``native`` preprocessing.

    :param estimator: the estimator.
    :param probed: what the preprocessing makes of every value; categories are codes, and come first.
    :raises NotCompilableError: if its categories are others than Windsock's codes.
    """

    def __init__(self, estimator: Any, probed: Probed) -> None:
        self.estimator, self.probed = estimator, probed
        self.codes = _codes(estimator)
        self.known, self.known_row = estimator._bin_mapper.make_known_categories_bitsets()
        self.sides: list[dict[Side, int]] = [{} for _ in self.codes]
        self._trees = [
            self._read(predictor, output)
            for predictors in estimator._predictors
            for output, predictor in enumerate(predictors)
        ]

    @property
    def outputs(self) -> int:
        """How many sums it answers with."""
        return int(self.estimator.n_trees_per_iteration_)

    @property
    def base(self) -> list[float]:
        """What each sum begins with."""
        import numpy as np

        return [float(value) for value in np.ravel(self.estimator._baseline_prediction)]

    def trees(self) -> Iterator[Tree]:
        """Yield its trees over the columns of :meth:`columns`."""
        starts = self._starts()
        for tree, places in self._trees:
            for node, (code, order) in places.items():
                tree.column[node] = starts[code] + order
            yield tree

    def columns(self) -> Probed:
        """Return the preprocessing with a column for each set of categories that a tree splits off."""
        tables = []
        for table in self.probed.tables:
            column = _code_column(table, len(self.codes))
            tables.append(table if column is None else self._with_sides(table, column))
        return Probed(
            width=self.probed.width + sum(map(len, self.sides)),
            numbers=self.probed.numbers,
            numbers_at=self.probed.numbers_at,
            tables=tuple(tables),
        )

    def _starts(self) -> list[int]:
        starts, at = [], self.probed.width
        for sides in self.sides:
            starts.append(at)
            at += len(sides)
        return starts

    def _with_sides(self, table: Table, column: int) -> Table:
        start, sides = self._starts()[column], self.sides[column]

        def cells(made: Cells) -> Cells:
            """Return the columns of a value; a code of 0 is in no cell, since 0 is what stands everywhere."""
            code = dict(made).get(column, 0.0)
            place = -1 if code is None else int(code)
            return tuple((start + order, 1.0) for side, order in sides.items() if not side[place])

        return table.replace(
            known={text: cells(made) for text, made in table.known.items()},
            other=cells(table.other),
            missing=cells(table.missing),
        )

    def _read(self, predictor: Any, output: int) -> tuple[Tree, dict[int, tuple[int, int]]]:
        """Return a tree, and for its nodes that split categories which code and which set they look at."""
        import numpy as np

        nodes = predictor.nodes
        is_leaf = nodes["is_leaf"].astype(bool)
        places: dict[int, tuple[int, int]] = {}
        threshold = nodes["num_threshold"].astype("float64")
        for node in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~is_leaf).tolist():
            code = int(nodes["feature_idx"][node])
            if code >= len(self.codes):
                raise NotCompilableError("it splits categories that are none of Windsock's")
            sides = self.sides[code]
            side = self._side(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]], nodes[node], code)
            places[node] = (code, sides.setdefault(side, len(sides)))
            threshold[node] = HALF
        return Tree(
            left=np.where(is_leaf, -1, nodes["left"].astype("int64")),
            right=nodes["right"].astype("int64"),
            column=nodes["feature_idx"].astype("int64"),
            threshold=threshold,
            nan_left=nodes["missing_go_to_left"].astype(bool),
            value=nodes["value"].astype("float64"),
            output=output,
        ), places

    def _side(self, left: NDArray[Any], node: Any, code: int) -> Side:
        """Return which codes a node sends left: those of its set, and the missing way those it never saw."""
        missing = bool(node["missing_go_to_left"])
        known = self.known[self.known_row[code]]
        ways = [
            _has(left, value) or (missing and not _has(known, value)) for value in range(self.codes[code])
        ]
        return (*ways, missing)


def _has(bits: NDArray[Any], value: int) -> bool:
    return bool((int(bits[value // BITS]) >> (value % BITS)) & 1)


def _codes(estimator: Any) -> list[int]:
    """Return how many codes each category has; scikit-learn's own encoder must leave them as they are."""
    import numpy as np

    encoding = getattr(estimator, "_preprocessor", None)
    if encoding is None:
        return []
    (_, encoder, columns), *_ = encoding.transformers_
    places = np.flatnonzero(columns) if np.asarray(columns).dtype == bool else np.asarray(columns)
    if places.tolist() != list(range(len(places))):
        raise NotCompilableError("its categories do not come first")
    counts = []
    for codes in encoder.categories_:
        known = codes[~np.isnan(codes)]
        if known.tolist() != list(range(len(known))):
            raise NotCompilableError("its codes of categories have gaps")
        counts.append(len(known))
    return counts


def _code_column(table: Table, codes: int) -> int | None:
    """Return the column of a category's code; ``None`` if the table is none of a category."""
    if table.part is not None:
        return None
    columns = {column for cells in table.cells for column, _ in cells}
    if len(columns) > 1 or not columns or max(columns) >= codes:
        raise NotCompilableError("a category has not one code")
    return columns.pop()
