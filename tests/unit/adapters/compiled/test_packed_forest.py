"""A packed forest adds the same leaves in the same order as ONNX Runtime; what does not fit is left to it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from windsock.adapters.compiled import batches
from windsock.adapters.compiled.batches import PAIRS, PackedForest, pack_forest, sort_keys
from windsock.adapters.compiled.ensemble import Tree, forest_trees, write_ensemble
from windsock.adapters.compiled.onnx_file import read_node
from windsock.adapters.compiled.trees import Trees
from windsock.records import TREES_FILE

WIDTH = 5


def sums_of_both(content: bytes, rows: np.ndarray, width: int = WIDTH) -> tuple[list, list]:
    """Return the packed sums and those of ONNX Runtime, for rows rounded to 32 bits."""
    rows = rows.astype("float32").astype("float64")
    packed = pack_forest(content, width)
    assert isinstance(packed, PackedForest)
    return packed.sums(sort_keys(rows)), Trees(content).sums(np.ascontiguousarray(rows))


def fitted(kind=RandomForestRegressor, rows=600, **params):
    generator = np.random.default_rng(3)
    features = np.round(generator.normal(size=(rows, WIDTH)), 2)
    target = features[:, 0] * features[:, 1] + generator.normal(size=rows)
    if kind is RandomForestClassifier:
        target = np.digitize(target, [-0.5, 0.5][: params.pop("classes") - 1])
    forest = kind(**{"n_estimators": 12, "random_state": 0, **params}).fit(features, target)
    trees = list(forest_trees(forest))
    return trees, write_ensemble(trees, width=WIDTH, outputs=max(tree.output for tree in trees) + 1)


def stump(threshold: float) -> Tree:
    return Tree(
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        column=np.zeros(3, dtype=int),
        threshold=np.array([threshold, 0.0, 0.0]),
        nan_left=np.array([False] * 3),
        value=np.array([0.0, 1.0, 2.0]),
        output=0,
    )


@pytest.mark.parametrize("rows", [1, 2, 7, 100, PAIRS // 12 - 1, PAIRS // 12, PAIRS // 12 + 1, 3_000])
@pytest.mark.parametrize("depth", [1, 4, None])
def test_sums_are_those_of_onnx_runtime_to_the_last_bit(rows, depth):
    _, content = fitted(max_depth=depth)
    asked = np.round(np.random.default_rng(rows).normal(size=(rows, WIDTH)) * 2, 2)
    packed, expected = sums_of_both(content, asked)
    assert packed == expected
    assert len(packed) == rows


def test_a_forest_of_two_classes():
    _, content = fitted(RandomForestClassifier, classes=2)
    packed, expected = sums_of_both(content, np.random.default_rng(0).normal(size=(300, WIDTH)))
    assert packed == expected


FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(deadline=None)
@given(thresholds=st.lists(st.floats(allow_nan=False), min_size=1, max_size=8), values=st.lists(FLOATS))
def test_any_number_is_held_against_any_threshold_as_in_64_bits(thresholds, values):
    content = write_ensemble([stump(threshold) for threshold in thresholds], width=1, outputs=1)
    near = [np.float32(one) for one in thresholds if abs(one) < 3e38]
    near += [np.nextafter(one, np.float32(way)) for one in near for way in (-np.inf, np.inf)]
    asked = [*values, *map(float, near), 0.0, -0.0, 1e-45, -1e-45, 3e38, -3e38]
    packed, _ = sums_of_both(content, np.array(asked)[:, None], width=1)
    rounded = np.array(asked).astype("float32").astype("float64")
    assert packed == [[float(sum(1 + (one > threshold) for threshold in thresholds))] for one in rounded]


def test_sort_keys_have_the_order_of_the_numbers():
    numbers = np.array([-np.inf, -3e38, -1.5, -1e-45, 0.0, 1e-45, 0.1, 1.5, 3e38, np.inf])
    assert (np.diff(sort_keys(numbers)) > 0).all()
    assert sort_keys(numbers)[-1] < batches.FIRST_LEAF << batches.KEY_BITS


def test_a_tree_that_is_a_lone_leaf():
    trees, _ = fitted()
    lone = Tree(
        left=np.array([-1]),
        right=np.array([-1]),
        column=np.array([0]),
        threshold=np.array([0.0]),
        nan_left=np.array([False]),
        value=np.array([7.0]),
        output=0,
    )
    content = write_ensemble([lone, *trees], width=WIDTH, outputs=1)
    packed, expected = sums_of_both(content, np.random.default_rng(0).normal(size=(50, WIDTH)))
    assert packed == expected


def test_few_rows_are_left_to_onnx_runtime(cases, other_rows, monkeypatch):
    case = cases("random_forest", "regression", 0, n_estimators=20)
    least = case.model.packed.least_rows
    assert 20 * (least - 1) < batches.LEAST_PAIRS <= 20 * least
    values = [case.schema.values_of(row) for row in other_rows]
    few = case.model.answers(values[: least - 1])
    monkeypatch.setattr(case.model.trees, "run", None)
    assert case.model.answers(values)[: least - 1] == few
    with pytest.raises(TypeError):
        case.model.answers(values[: least - 1])


@pytest.mark.parametrize(
    ("estimator", "task", "classes"),
    [("hist_gradient_boosting", "classification", 2), ("random_forest", "classification", 3)],
)
def test_trees_of_64_bit_columns_or_several_outputs_are_not_packed(cases, estimator, task, classes):
    params = {"n_estimators": 20} if estimator == "random_forest" else {}
    assert cases(estimator, task, classes, **params).model.packed is None


def test_a_column_that_may_be_missing_is_left_to_onnx_runtime(cases):
    from windsock.adapters.compiled.form import CompiledForm
    from windsock.adapters.compiled.trees import packed_trees
    from windsock.records import COMPILED_FILE

    case = cases("random_forest", "regression", 0, n_estimators=20)
    form = CompiledForm.model_validate_json(case.files[COMPILED_FILE])
    assert packed_trees(case.files[TREES_FILE], form) is not None
    table = form.tables[0].model_copy(update={"missing": ((0, None),)})
    missing = form.model_copy(update={"tables": (table, *form.tables[1:])})
    assert packed_trees(case.files[TREES_FILE], missing) is None


def changed(content: bytes, **lists) -> bytes:
    """Return the file with other lists of its node."""
    model = onnx.load_from_string(content)
    for attribute in model.graph.node[0].attribute:
        change = lists.get(attribute.name)
        if change is None:
            continue
        if attribute.HasField("t"):
            array = onnx.numpy_helper.to_array(attribute.t).copy()
            attribute.t.CopyFrom(onnx.numpy_helper.from_array(change(array)))
        elif attribute.HasField("i"):
            attribute.i = change(attribute.i)
        else:
            attribute.ints[:] = change(np.array(attribute.ints)).tolist()
    assert model.SerializeToString() != content
    return model.SerializeToString()


def put(place, value):
    def change(array):
        array[place] = value
        return array

    return change


CRAFTED = {
    "a node below itself": {"nodes_truenodeids": put(0, 0), "nodes_trueleafs": put(0, 0)},
    "a child that is not there": {"nodes_falsenodeids": put(3, 10**6)},
    "a negative child": {"nodes_falsenodeids": put(3, -1)},
    "a root that is not there": {"tree_roots": put(-1, 10**6)},
    "a column beyond": {"nodes_featureids": put(0, WIDTH)},
    "a list that is shorter": {"nodes_featureids": lambda columns: columns[:-1]},
    "fewer leaves": {"leaf_weights": lambda weights: weights[:3]},
    "a threshold that is no number": {"nodes_splits": put(0, np.nan)},
    "another comparison": {"nodes_modes": put(0, 1)},
    "the mean of the trees": {"aggregate_function": lambda _: 0},
    "a link": {"post_transform": lambda _: 1},
    "two outputs": {"n_targets": lambda _: 2},
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_trees_are_not_packed(name):
    _, content = fitted()
    assert pack_forest(content, WIDTH) is not None
    assert pack_forest(changed(content, **CRAFTED[name]), WIDTH) is None


def test_trees_that_are_too_deep_are_not_packed(monkeypatch):
    _, content = fitted(max_depth=6)
    monkeypatch.setattr(batches, "DEEPEST", 6)
    assert pack_forest(content, WIDTH) is not None
    monkeypatch.setattr(batches, "DEEPEST", 5)
    assert pack_forest(content, WIDTH) is None


def test_more_columns_and_nodes_than_a_number_holds_are_not_packed():
    _, content = fitted()
    assert pack_forest(content, 2**18) is not None
    assert pack_forest(content, 2**31) is None


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_broken_files_are_never_packed_wrongly(data):
    """Whatever stands there: no other error than none, and no place out of bounds."""
    _, content = fitted(n_estimators=2, max_depth=3)
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        broken = content[:place]
    else:
        broken = bytes([*content[:place], data.draw(st.integers(0, 255)), *content[place + 1 :]])
    packed = pack_forest(broken, WIDTH)
    if packed is not None:
        packed.sums(sort_keys(np.zeros((10, WIDTH))))
        assert ((packed.nodes & packed.column_mask) < WIDTH).all()


def test_a_node_is_read_as_the_library_reads_it():
    _, content = fitted()
    read = read_node(content)
    expected = onnx.load_from_string(content).graph.node[0].attribute
    assert set(read) == {attribute.name for attribute in expected}
    for attribute in expected:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, onnx.TensorProto):
            value = onnx.numpy_helper.to_array(value)
        assert np.array_equal(read[attribute.name], value)


@pytest.mark.parametrize("content", [b"", b"trees", b"\x3a\x00", b"\x3a\x02\x0a\x00", b"\xff" * 40])
def test_what_is_no_model_has_no_node(content):
    assert pack_forest(content, WIDTH) is None
