"""From fitted trees to one ONNX node: the operator TreeEnsemble of ``ai.onnx.ml`` 5, all in 64 bits.

ONNX Runtime computes it several times faster than scikit-learn and than treelite's inference library, one row
and many. Its other tree operators round to 32 bits and cannot be used: decisions would flip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.exceptions import NotCompilableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

INPUT, OUTPUT = "rows", "sums"
LEAST_OR_EQUAL, SUM, NO_LINK = 0, 1, 0
"""Of the operator: the mode of a node, the aggregate, the function behind it."""
ML_VERSION, ONNX_VERSION, IR_VERSION = 5, 18, 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """A binary tree; node 0 is its root. A row goes left where its value is at most the node's threshold.

    :param left: left child of each node; a negative one marks a leaf.
    :param right: right child.
    :param column: which column a node looks at.
    :param threshold: what it is held against.
    :param nan_left: whether a missing value goes left.
    :param value: what a leaf adds.
    :param output: the output it adds that to.
    """

    left: NDArray[Any]
    right: NDArray[Any]
    column: NDArray[Any]
    threshold: NDArray[Any]
    nan_left: NDArray[Any]
    value: NDArray[Any]
    output: int


def write_ensemble(trees: Sequence[Tree], *, width: int, outputs: int) -> bytes:
    """Return trees as an ONNX model: ``rows`` of float64 (any, width) -> ``sums`` of float64 (any, outputs).

    The trees of an output are summed in their order, as scikit-learn does.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    parts = _Parts()
    for tree in trees:
        parts.add(tree)
    joined = {name: np.concatenate(pieces) for name, pieces in parts.pieces.items()}
    node = helper.make_node(
        "TreeEnsemble",
        [INPUT],
        [OUTPUT],
        domain="ai.onnx.ml",
        tree_roots=parts.roots,
        nodes_featureids=joined["column"].tolist(),
        nodes_splits=numpy_helper.from_array(joined["threshold"].astype("float64"), "splits"),
        nodes_modes=numpy_helper.from_array(np.full(parts.nodes, LEAST_OR_EQUAL, dtype="uint8"), "modes"),
        nodes_missing_value_tracks_true=joined["nan_left"].astype("int64").tolist(),
        nodes_truenodeids=joined["left"].tolist(),
        nodes_trueleafs=joined["left_is_leaf"].tolist(),
        nodes_falsenodeids=joined["right"].tolist(),
        nodes_falseleafs=joined["right_is_leaf"].tolist(),
        leaf_targetids=joined["output"].tolist(),
        leaf_weights=numpy_helper.from_array(joined["value"].astype("float64"), "weights"),
        n_targets=outputs,
        aggregate_function=SUM,
        post_transform=NO_LINK,
    )
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info(INPUT, TensorProto.DOUBLE, [None, width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.DOUBLE, [None, outputs])],
    )
    versions = [helper.make_opsetid("ai.onnx.ml", ML_VERSION), helper.make_opsetid("", ONNX_VERSION)]
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=versions, producer_name="windsock")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Parts:
    """The operator's lists: nodes and leaves of all trees are numbered through, each on their own."""

    def __init__(self) -> None:
        names = ("column", "threshold", "nan_left", "left", "left_is_leaf", "right", "right_is_leaf")
        self.pieces: dict[str, list[Any]] = {name: [] for name in (*names, "output", "value")}
        self.roots: list[int] = []
        self.nodes = self.leaves = 0

    def add(self, tree: Tree) -> None:
        import numpy as np

        is_leaf = tree.left < 0
        inner, leaves = np.flatnonzero(~is_leaf), np.flatnonzero(is_leaf)
        number = np.empty(len(is_leaf), dtype="int64")
        number[inner] = self.nodes + np.arange(len(inner))
        number[leaves] = self.leaves + np.arange(len(leaves))
        left, right, column = tree.left[inner], tree.right[inner], tree.column[inner]
        threshold, nan_left = tree.threshold[inner], tree.nan_left[inner]
        if not len(inner):  # a lone leaf: the operator's roots are nodes, so both ways lead to it
            left = right = leaves
            column = threshold = nan_left = np.zeros(1)
        self.roots.append(self.nodes)
        added = {
            "column": column.astype("int64"),
            "threshold": threshold,
            "nan_left": nan_left,
            "left": number[left],
            "left_is_leaf": is_leaf[left].astype("int64"),
            "right": number[right],
            "right_is_leaf": is_leaf[right].astype("int64"),
            "output": np.full(len(leaves), tree.output),
            "value": tree.value[leaves],
        }
        for name, piece in added.items():
            self.pieces[name].append(piece)
        self.nodes += max(1, len(inner))
        self.leaves += len(leaves)


def forest_trees(forest: Any) -> Iterator[Tree]:
    """Yield a random forest's trees, once for each output: one for numbers and for two classes."""
    import numpy as np

    classes = len(forest.classes_) if hasattr(forest, "classes_") else 1
    for fitted in forest.estimators_:
        tree = fitted.tree_
        if tree.n_outputs != 1:
            raise NotCompilableError("it has several targets")
        for output in range(classes) if classes > 2 else (0,):
            answer = 1 if classes == 2 else output
            yield Tree(
                left=tree.children_left,
                right=tree.children_right,
                column=np.maximum(tree.feature, 0),
                threshold=tree.threshold,
                nan_left=tree.missing_go_to_left.astype(bool),
                value=tree.value[:, 0, answer],
                output=output,
            )
