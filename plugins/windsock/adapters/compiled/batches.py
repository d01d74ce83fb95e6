"""``PackedForest``: a forest that answers many rows at once, level by level through all trees.

ONNX Runtime keeps 32 bytes for a node and follows one row through one tree at a time: a forest of hundreds
of thousands of nodes comes from main memory again and again. Here a node is one number of 64 bits, the nodes
of a level lie side by side, and each step takes all rows through all trees one level down. The comparisons
and the order of the sums are the same, so the answers are too, bit for bit.

A node's number holds, from its high bits down: the threshold's sort key (32 bits), the place of its left
child (its right one is the next), its column. A leaf has a key above that of any number, and in it which
value it adds. A row's value, as a sort key in the high bits, is above a node's number just if it is above its
threshold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windsock.adapters.compiled.ensemble import LEAST_OR_EQUAL, NO_LINK, SUM
from windsock.adapters.compiled.onnx_file import read_node

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY_BITS = 32
FIRST_LEAF = 0x7F800001
"""The sort key of the first leaf: infinity has the one below it."""
LEAVES_KEYS = 2**31 - FIRST_LEAF
DEEPEST = 200
"""Levels of the deepest forest that is packed: each is a step for all rows."""
PAIRS = 16_000
"""Rows times trees that are taken down at once: what a step needs then fits into a core's cache."""
LEAST_PAIRS = 2_000
"""Rows times trees below which ONNX Runtime is faster."""
FIRST_LOOK, LOOK_EVERY = 12, 3
"""From which level on, and how often, those that have reached a leaf are taken out."""


def sort_keys(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return sort keys of numbers rounded to 32 bits, none of them NaN: in the high bits of int64."""
    bits = numbers.astype("float32", copy=False).view("int32")
    keys: NDArray[Any] = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype("int64")
    keys <<= KEY_BITS
    return keys


class PackedForest:
    """Trees of one output whose columns are numbers of 32 bits, never NaN.

    :param nodes: a number for each node and leaf; the trees' roots come first.
    :param trees: how many there are.
    :param values: what leaves add.
    :param levels: how deep the deepest leaf is; 0 where all trees are lone leaves.
    :param column_bits: how many low bits of a node are its column.
    """

    def __init__(
        self, nodes: NDArray[Any], trees: int, values: NDArray[Any], levels: int, column_bits: int
    ) -> None:
        self.nodes, self.trees, self.values, self.levels = nodes, trees, values, levels
        self.column_bits, self.column_mask = column_bits, (1 << column_bits) - 1
        self.child_mask = (1 << (KEY_BITS - column_bits)) - 1
        self.looks = frozenset(range(FIRST_LOOK, levels, LOOK_EVERY))
        self.least_rows = max(2, -(-LEAST_PAIRS // trees))
        """The fewest rows for which this is the faster way."""

    def sums(self, keys: NDArray[Any]) -> list[list[float]]:
        """Return the trees' sums for rows of sort keys, shape (rows, columns)."""
        rows = max(1, PAIRS // self.trees)
        sums: list[list[float]] = []
        for start in range(0, len(keys), rows):
            sums += self._sums(keys[start : start + rows])[:, None].tolist()
        return sums

    def _sums(self, keys: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        rows, width = keys.shape
        found = self._leaves(keys.ravel(), np.arange(0, rows * width, width))
        found >>= KEY_BITS
        found -= FIRST_LEAF
        added: NDArray[Any] = self.values.take(found).reshape(self.trees, rows)
        # Tree after tree, as ONNX Runtime adds them; a single row would be added up pairwise.
        sums: NDArray[Any] = np.add.reduce(added, axis=0) if rows > 1 else np.add.accumulate(added)[-1]
        return sums

    def _leaves(self, keys: NDArray[Any], rows: NDArray[Any]) -> NDArray[Any]:
        """Return the leaf that each row reaches in each tree, tree after tree.

        Out of all places none is out of bounds; ``wrap`` is what NumPy takes fastest with.

        :param keys: the rows' sort keys, one row after the other.
        :param rows: where each row begins.
        """
        import numpy as np

        node = np.repeat(self.nodes[: self.trees], len(rows))
        row = np.tile(rows, self.trees)
        place, key, right = np.empty_like(node), np.empty_like(node), np.empty(len(node), dtype=bool)
        leaves, under_way = node, None
        for level in range(self.levels):
            if level in self.looks:
                alive = np.flatnonzero(node < FIRST_LEAF << KEY_BITS)
                if under_way is None:
                    leaves, under_way = node, alive
                else:
                    leaves[under_way] = node
                    under_way = under_way[alive]
                node, row, count = node[alive], row[alive], len(alive)
                place, key, right = place[:count], key[:count], right[:count]
                if not count:
                    return leaves
            np.bitwise_and(node, self.column_mask, out=place)
            np.add(place, row, out=place)
            keys.take(place, out=key, mode="wrap")
            np.greater(key, node, out=right)
            np.right_shift(node, self.column_bits, out=node)
            np.bitwise_and(node, self.child_mask, out=node)
            np.add(node, right, out=place)
            self.nodes.take(place, out=node, mode="wrap")
        if under_way is not None:
            leaves[under_way] = node
            return leaves
        return node


def pack_forest(content: bytes, width: int) -> PackedForest | None:
    """Return the trees of a file, packed; ``None`` if they are not such as can be.

    :param content: an ONNX model that ONNX Runtime has taken.
    :param width: number of columns.
    """
    try:
        return _packed(read_node(content), width)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return None


def _packed(node: dict[str, Any], width: int) -> PackedForest:
    import numpy as np

    splits, roots, weights = node["nodes_splits"], node["tree_roots"], node["leaf_weights"]
    inner, column, column_bits = len(splits), node["nodes_featureids"], max(1, (width - 1).bit_length())
    size = 2 * inner + len(roots)
    values, value_of = np.unique(weights, return_inverse=True)
    if (
        (node["aggregate_function"], node["post_transform"], node["n_targets"]) != (SUM, NO_LINK, 1)
        or (node["nodes_modes"] != LEAST_OR_EQUAL).any()
        or (column >= width).any()
        or np.isnan(splits).any()
        or size > 1 << (KEY_BITS - column_bits)
        or len(values) > LEAVES_KEYS
    ):
        raise ValueError("not such trees")
    numbers = sort_keys(_rounded_down(splits)) | column
    leaves = (value_of.astype("int64") + FIRST_LEAF) << KEY_BITS
    left = node["nodes_truenodeids"] + inner * (node["nodes_trueleafs"] != 0)
    right = node["nodes_falsenodeids"] + inner * (node["nodes_falseleafs"] != 0)
    nodes, levels = _levels(numbers, leaves, np.stack([left, right], axis=1), roots, column_bits)
    return PackedForest(nodes, len(roots), values, levels, column_bits)


def _levels(
    numbers: NDArray[Any], leaves: NDArray[Any], children: NDArray[Any], roots: NDArray[Any], column_bits: int
) -> tuple[NDArray[Any], int]:
    """Return nodes and leaves level by level, each with its place or that of its children, and the levels.

    :param children: of each node the left and the right one; leaves are counted on after the nodes.
    :raises ValueError: if these are no trees, or they are too deep.
    :raises IndexError: if a node names another that is not there.
    """
    import numpy as np

    inner, size = len(numbers), 2 * len(numbers) + len(roots)
    nodes = np.empty(size, dtype="int64")
    level, at, levels = roots, 0, 0
    while True:
        is_node = level < inner
        place = at + np.arange(len(level))
        at += len(level)
        below = level[is_node]
        if at + 2 * len(below) > size or levels > DEEPEST:
            raise ValueError("no trees, or too deep ones")
        nodes[place[is_node]] = numbers[below] | ((at + 2 * np.arange(len(below))) << column_bits)
        nodes[place[~is_node]] = leaves[level[~is_node] - inner] | (place[~is_node] << column_bits)
        if not len(below):
            return nodes[:at], levels
        level, levels = children[below].ravel(), levels + 1


def _rounded_down(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return the largest numbers of 32 bits that are no larger.

    A value of 32 bits is at most both, or above both.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        short = numbers.astype("float32")
    above = short > numbers
    short[above] = np.nextafter(short[above], np.float32(-np.inf))
    return short + np.float32(0)  # -0 is 0: a sort key tells them apart, a comparison does not
