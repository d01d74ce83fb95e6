from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from support.serving import FIELDS, ROW
from windsock.records import Answer, ColumnKind, EarlierKind, InputField, InputSchema
from windsock.serving.field_values import WrongKindError, check_features, read_moment, read_value
from windsock.serving.strict_json import Fault, kind_of
from windsock.training.preprocessing import to_features

SCHEMA = InputSchema(model="churn", fields=FIELDS, answer=Answer.NUMBER)


def checked(**changed: Any) -> tuple[dict[str, Any], list[Fault]]:
    values, faults = check_features({**ROW, **changed}, SCHEMA, "features")
    return dict(zip([field.name for field in FIELDS], values, strict=True)), faults


def fault_of(**changed: Any) -> Fault:
    (fault,) = checked(**changed)[1]
    return fault


def test_a_good_row_passes_in_the_order_of_the_schema() -> None:
    values, faults = check_features(dict(reversed(ROW.items())), SCHEMA, "features")
    assert not faults
    assert values == (41.5, 3, "Yes", "basic", "2026-03-01T10:00:00+00:00")


def test_a_missing_required_field() -> None:
    row = {name: value for name, value in ROW.items() if name != "age"}
    assert check_features(row, SCHEMA, "features")[1] == [Fault("features.age", "nothing", "a number")]


def test_an_optional_field_may_be_missing() -> None:
    row = {name: value for name, value in ROW.items() if name != "joined"}
    values, faults = check_features(row, SCHEMA, "features")
    assert not faults
    assert values[-1] is None


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["other"], "1 unknown field: 'other'"),
        (["b", "a"], "2 unknown fields: 'a', 'b'"),
        (["a\nb", "ok\x1b[31m", "<script>", "a\u202eb", "q\u0085"], "5 unknown fields"),
        (["a", "b", "c", "d"], "4 unknown fields: 'a', 'b', 'c' and others"),
        (["x" * 50], f"1 unknown field: '{'x' * 40}'"),
        (["41.5", "me@example.org", "2026-03-01", "\ud800", "a\nb"], "5 unknown fields"),
        (["41.5", "other"], "2 unknown fields: 'other' and others"),
    ],
)
def test_unknown_fields_are_named_where_they_are_names(keys: list[str], said: str) -> None:
    _, (fault,) = check_features({**ROW, **dict.fromkeys(keys, 1)}, SCHEMA, "features[3]")
    assert fault == Fault("features[3]", said, "only age, visits, member, plan, joined")


OLD = InputField(name="region", kind=ColumnKind.CATEGORY, required=False)
WIDER = SCHEMA.replace(
    fields=(
        InputField(
            name="age",
            kind=ColumnKind.NUMBER,
            earlier=(EarlierKind(kind=ColumnKind.CATEGORY), EarlierKind(kind=ColumnKind.BOOLEAN)),
        ),
        *SCHEMA.fields[1:],
    ),
    ignored=(OLD,),
)


@pytest.mark.parametrize("region", ["north", 7, None])
def test_a_field_that_is_not_used_any_more_is_taken_and_dropped(region: Any) -> None:
    values, faults = check_features({**ROW, "region": region}, WIDER, "features")
    assert not faults
    assert values == check_features(ROW, SCHEMA, "features")[0]


def test_the_kind_of_a_field_that_is_not_used_any_more_is_held() -> None:
    assert check_features({**ROW, "region": [1]}, WIDER, "features")[1] == [
        Fault("features.region", "a list", "text of at most 10,000 characters, or a number that is a name")
    ]


@pytest.mark.parametrize(
    ("value", "read"), [(41.5, 41.5), ("41.5", 41.5), ("young", None), ("n/a", None), (True, None)]
)
def test_a_value_of_an_earlier_kind_is_read_by_its_word(value: Any, read: Any) -> None:
    values, faults = check_features({**ROW, "age": value}, WIDER, "features")
    assert (values[0], faults) == (read, [])


@pytest.mark.parametrize(
    ("kind", "earlier", "value", "read"),
    [
        ("category", EarlierKind(kind="boolean", true_word="yes", false_word="no"), True, "yes"),
        ("category", EarlierKind(kind="boolean", true_word="yes", false_word="no"), "no", "no"),
        ("category", EarlierKind(kind="boolean"), True, None),
        ("integer", EarlierKind(kind="number"), 2.5, None),
        ("integer", EarlierKind(kind="category"), "7", 7),
        ("boolean", EarlierKind(kind="category"), "TRUE", True),
        ("boolean", EarlierKind(kind="number"), 1, None),
        ("datetime", EarlierKind(kind="category"), "2026-03-01", "2026-03-01T00:00:00+00:00"),
        ("datetime", EarlierKind(kind="category"), "0000-00-00", None),
        ("number", EarlierKind(kind="datetime"), "2026-03-01T00:00:00Z", None),
    ],
)
def test_words_between_all_kinds(kind: str, earlier: EarlierKind, value: Any, read: Any) -> None:
    field = InputField(name="x", kind=ColumnKind(kind), earlier=(earlier,))
    assert read_value(value, field) == read


def test_a_value_of_no_kind_that_ever_was_is_refused() -> None:
    with pytest.raises(WrongKindError, match="a number"):
        read_value([1], WIDER.fields[0])


def test_null_needs_a_nullable_field() -> None:
    assert checked(age=None)[0]["age"] is None
    assert fault_of(visits=None) == Fault("features.visits", "null", "an integer")


@pytest.mark.parametrize("value", [1, 1.5, -0.0, 1e308, 0, 2**62])
def test_numbers(value: Any) -> None:
    seen = checked(age=value)[0]["age"]
    assert (seen, type(seen)) == (value, float)


def test_a_large_integer_is_a_number_as_a_float() -> None:
    assert isinstance(checked(age=10**300)[0]["age"], float)


@pytest.mark.parametrize("value", [True, "1", "", [], {}, float("inf"), float("nan"), 10**400])
def test_what_is_no_number(value: Any) -> None:
    assert fault_of(age=value) == Fault("features.age", kind_of(value), "a number")


@pytest.mark.parametrize(("value", "read"), [(3, 3), (3.0, 3), (-(2**63) + 1, -(2**63) + 1)])
def test_integers(value: Any, read: int) -> None:
    seen = checked(visits=value)[0]["visits"]
    assert (seen, type(seen)) == (read, int)


@pytest.mark.parametrize("value", [3.5, True, "3", 2**63, 1e300, float("inf"), []])
def test_what_is_no_integer(value: Any) -> None:
    assert fault_of(visits=value).expected == "an integer"


@pytest.mark.parametrize("value", [True, False, "Yes", "No"])
def test_booleans(value: Any) -> None:
    assert checked(member=value)[0]["member"] == value


@pytest.mark.parametrize("value", [1, 0, "yes", "true", "", "Yes ", [], 1.0])
def test_what_is_no_boolean(value: Any) -> None:
    assert fault_of(member=value).expected == "true or false or 'Yes' or 'No'"


@pytest.mark.parametrize("value", ["basic", "", "Zoë", "x" * 10_000, 3, 3.0, 2.5])
def test_categories(value: Any) -> None:
    assert checked(plan=value)[0]["plan"] == value


@pytest.mark.parametrize("value", ["\ud800", "x" * 10_001, True, [], {}, float("inf"), 2**70])
def test_what_is_no_category(value: Any) -> None:
    assert fault_of(plan=value).field == "features.plan"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("2026-03-01", "2026-03-01T00:00:00+00:00"),
        ("2026-03-01T10:00", "2026-03-01T10:00:00+00:00"),
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00+00:00"),
        ("2026-03-01T10:00:00.123456+02:00", "2026-03-01T08:00:00.123456+00:00"),
        ("0001-01-01", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59+00:00"),
    ],
)
def test_times(value: str, read: str) -> None:
    assert checked(joined=value)[0]["joined"] == read


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "",
        "2026-13-01",
        "01.03.2026",
        1_767_000_000,
        True,
        "9999-12-31T23:59:59-10:00",
        "２０２６-03-01",
        "\ud800",
    ],
)
def test_what_is_no_time(value: Any) -> None:
    assert "ISO 8601" in fault_of(joined=value).expected


def test_a_time_may_need_its_zone() -> None:
    assert read_moment("2026-03-01T10:00:00", zone_needed=True) is None
    assert read_moment("2026-03-01T10:00:00+00:00", zone_needed=True) is not None


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats()
    | st.text(max_size=30)
    | st.datetimes().map(str)
    | st.lists(st.integers(), max_size=2)
)


@hypothesis_settings(deadline=None)
@given(st.sampled_from(list(ColumnKind)), SCALARS)
def test_a_value_that_passes_can_be_made_a_feature(kind: ColumnKind, value: Any) -> None:
    field = InputField(name="x", kind=kind, true_word="Yes", false_word="No")
    schema = InputSchema(model="churn", fields=(field,), answer=Answer.NUMBER)
    values, faults = check_features({"x": value}, schema, "features")
    if faults:
        assert kind_of(value) == faults[0].got
    else:
        assert len(to_features([{"x": values[0]}], [field])) == 1
