from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from windsock.serving.protocols.tensors import DATATYPES, BinaryData, Tensor, read_tensor, to_binary
from windsock.serving.strict_json import RequestRefusedError

NUMPY = {
    "BOOL": "?",
    **{f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
}


def read(binary: bytes = b"", **given: Any) -> Tensor:
    return read_tensor(
        {"name": "age", "shape": [2], "datatype": "FP64", **given},
        "inputs[0]",
        BinaryData(memoryview(binary)),
        rows=1_000,
        columns=4,
    )


class TestJson:
    @pytest.mark.parametrize("data", [[1, 2.5], [1, None], [-0.0, 1e300]])
    def test_one_side(self, data: list[Any]) -> None:
        assert read(data=data).values == data

    @pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]])
    def test_two_sides_flat_or_nested(self, data: list[Any]) -> None:
        assert read(shape=[2, 2], data=data).values == [1, 2, 3, 4]

    def test_a_text_of_no_length_is_missing(self) -> None:
        assert read(datatype="BYTES", data=["", "a"]).values == [None, "a"]

    @pytest.mark.parametrize(
        "given",
        [
            {"name": 1, "data": [1, 2]},
            {"name": None, "data": [1, 2]},
            {"datatype": "BF16", "data": [1, 2]},
            {"datatype": ["FP64"], "data": [1, 2]},
            {"shape": 2, "data": [1, 2]},
            {"shape": [], "data": []},
            {"shape": [0], "data": []},
            {"shape": [-2], "data": [1, 2]},
            {"shape": [True, 2], "data": [1, 2]},
            {"shape": [2.0], "data": [1, 2]},
            {"shape": [1, 1, 2], "data": [1, 2]},
            {"shape": [2**62], "data": [1, 2]},
            {"shape": [1_001], "data": [1] * 1_001},
            {"shape": [2, 5], "data": [1] * 10},
            {"data": [1]},
            {"data": [1, 2, 3]},
            {"data": None},
            {"data": "12"},
            {"data": {"0": 1}},
            {"data": [[1], [2]]},
            {"shape": [2, 2], "data": [[1, 2], [3]]},
            {"shape": [2, 2], "data": [[1, 2], 3]},
            {"shape": [2, 2], "data": [1, 2, 3, [4]]},
            {"data": [1, "2"]},
            {"data": [1, True]},
            {"datatype": "BOOL", "data": [1, 0]},
            {"datatype": "BYTES", "data": ["a", 1]},
            {"datatype": "INT8", "data": [1, 128]},
            {"datatype": "INT64", "data": [1, 2.0]},
            {"datatype": "INT64", "data": [1, 2**63]},
            {"datatype": "UINT8", "data": [1, -1]},
            {"datatype": "UINT8", "data": [1, True]},
            {"data": [1, 2], "parameters": [1]},
            {"data": [1, 2], "parameters": {"binary_data_size": 0}},
            {"parameters": {"shared_memory_region": "r"}},
        ],
    )
    def test_what_is_refused(self, given: dict[str, Any]) -> None:
        with pytest.raises(RequestRefusedError) as refused:
            read(**given)
        assert (refused.value.status, refused.value.code) == (400, "WS-SERVING-044")


class TestBinary:
    @pytest.mark.parametrize("datatype", NUMPY)
    def test_numpys_bytes_are_read(self, datatype: str) -> None:
        values = np.array([[0, 1, 2], [1, 0, 1]]).astype(NUMPY[datatype])
        raw = values.tobytes()
        tensor = read(raw, shape=[2, 3], datatype=datatype, parameters={"binary_data_size": len(raw)})
        assert tensor.values == values.ravel().tolist()

    def test_tritons_texts_are_read(self) -> None:
        raw = serialize_byte_tensor(np.array(["Zoë", "", "b"], dtype=object)).item()
        tensor = read(raw, shape=[3], datatype="BYTES", parameters={"binary_data_size": len(raw)})
        assert tensor.values == ["Zoë", None, "b"]

    def test_a_nan_is_missing(self) -> None:
        raw = struct.pack("<2d", math.nan, math.inf)
        assert read(raw, parameters={"binary_data_size": 16}).values == [None, math.inf]

    @pytest.mark.parametrize(
        ("raw", "given"),
        [
            (b"\x00" * 15, {"parameters": {"binary_data_size": 15}}),
            (b"\x00" * 24, {"parameters": {"binary_data_size": 24}}),
            (b"\x00" * 8, {"parameters": {"binary_data_size": 16}}),
            (b"\x00" * 16, {"parameters": {"binary_data_size": -16}}),
            (b"\x00" * 16, {"parameters": {"binary_data_size": True}}),
            (b"\x00" * 16, {"parameters": {"binary_data_size": "16"}}),
            (b"\x00" * 16, {"parameters": {"binary_data_size": 2**70}}),
            (b"\x00\x00\x00\x00", {"datatype": "BYTES", "parameters": {"binary_data_size": 4}}),
            (b"\x00" * 12, {"datatype": "BYTES", "parameters": {"binary_data_size": 12}}),
            (b"\xff" * 8, {"datatype": "BYTES", "parameters": {"binary_data_size": 8}}),
            (b"\x01\x00\x00\x00\xff" * 2, {"datatype": "BYTES", "parameters": {"binary_data_size": 10}}),
        ],
    )
    def test_what_is_refused(self, raw: bytes, given: dict[str, Any]) -> None:
        with pytest.raises(RequestRefusedError):
            read(raw, **given)

    def test_answers_are_what_clients_read(self) -> None:
        assert np.frombuffer(to_binary([True, False], "BOOL"), "?").tolist() == [True, False]
        assert np.frombuffer(to_binary([-1, 2**62], "INT64"), "<i8").tolist() == [-1, 2**62]
        (one, missing) = np.frombuffer(to_binary([0.5, None], "FP64"), "<f8").tolist()
        assert one == 0.5
        assert math.isnan(missing)
        said = deserialize_bytes_tensor(to_binary(["Zoë", "", "\ud800"], "BYTES")).tolist()
        assert said == ["Zoë".encode(), b"", b"?"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=500, deadline=None)
@given(
    datatype=st.sampled_from(DATATYPES),
    shape=st.lists(st.integers(-1, 4), max_size=3) | JSON_VALUES,
    data=JSON_VALUES,
    size=st.none() | st.integers(-1, 40),
    raw=st.binary(max_size=40),
)
def test_no_tensor_is_more_than_refused(datatype: str, shape: Any, data: Any, size: Any, raw: bytes) -> None:
    data_keys = {"data": data} if size is None else {"parameters": {"binary_data_size": size}}
    try:
        tensor = read(raw, datatype=datatype, shape=shape, **data_keys)
    except RequestRefusedError:
        return
    assert len(tensor.values) == math.prod(tensor.shape)
