from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from windsock.exceptions import SpecError
from windsock.records import RolloutPlan
from windsock.spec import MODEL_NAME
from windsock.spec.column_facts import look_at
from windsock.spec.loader import spec_from_bytes
from windsock.spec.starter import model_name, quoted, write_starter
from windsock.spec.yaml_reader import parse_yaml

ROWS = 60


def customers(**changes):
    """A table as a CSV gives it: all text."""
    columns = {
        "customerID": [f"c{number:03}" for number in range(ROWS)],
        "signed_up": [f"2024-01-{number % 28 + 1:02}" for number in range(ROWS)],
        "gender": ["f", "m"] * (ROWS // 2),
        "age": [str(20 + number % 40) for number in range(ROWS)],
        "total": ["" if number == 3 else f"{number * 1.5}" for number in range(ROWS)],
        "plan": ["a", "b", "c"] * (ROWS // 3),
        "churned": ["Yes", "No", "No"] * (ROWS // 3),
        "note": [""] * ROWS,
    }
    return pd.DataFrame({**columns, **changes})


def start(frame, **options):
    return write_starter(frame, source="data/customers.csv", name="churn", **options)


def spec_of(starter):
    return spec_from_bytes(starter.text.encode(), "churn.yaml")


def test_what_it_sees_in_text():
    facts = {column.name: column for column in look_at(customers())}
    assert {name: column.kind for name, column in facts.items()} == {
        "customerID": "text",
        "signed_up": "datetime",
        "gender": "text",
        "age": "integer",
        "total": "number",
        "plan": "text",
        "churned": "boolean",
        "note": "empty",
    }
    assert (facts["total"].blanks, facts["total"].distinct, facts["total"].rows) == (1, ROWS - 1, ROWS)
    assert facts["customerID"].unique
    assert facts["customerID"].words == {"customer", "id"}


def test_what_it_sees_in_types():
    frame = pd.DataFrame(
        {
            "flag": [True, False, None],
            "whole": pd.array([1, 2, None], dtype="Int64"),
            "real": [1.5, float("nan"), float("inf")],
            "moment": pd.to_datetime(["2024-01-01", "2024-01-02", None]),
            "kind": pd.Categorical(["a", "b", "a"]),
            "lists": [[1], [2], None],
            "nothing": [None, None, None],
        }
    )
    assert [column.kind for column in look_at(frame)] == [
        "boolean",
        "integer",
        "number",
        "datetime",
        "text",
        "text",
        "empty",
    ]


def test_a_first_file_says_what_was_guessed_and_loads():
    starter = start(customers())
    spec = spec_of(starter)
    assert (spec.name, spec.task, spec.data.target, spec.data.entity) == (
        "churn",
        "classification",
        "churned",
        "customerID",
    )
    assert (spec.data.sensitive, spec.data.exclude, spec.data.event_time) == (("gender",), ("note",), None)
    assert spec.data.source.path == "data/customers.csv"
    assert starter.notes[0].startswith(
        "target: churned (a guess: correct it if it is wrong; yes or no, 2 different values)"
    )
    assert "# event_time: signed_up" in starter.text
    assert "make them sensitive if not: age" in starter.text
    assert "intended_use" in starter.notes[-1]


def test_each_key_that_it_writes_is_explained():
    for line in start(customers()).text.splitlines():
        if line.startswith("  ") and not line.strip().startswith(
            ("#", "name:", "source:", "intended_use", "limitations")
        ):
            assert "   # " in line, line


def test_the_asked_target_is_taken():
    starter = start(customers(), target="plan", owner="ds-team@company.com")
    spec = spec_of(starter)
    assert (spec.data.target, spec.model.owner) == ("plan", "ds-team@company.com")
    assert "as asked; text, 3 different values" in starter.text


def test_a_number_makes_it_regression():
    spec = spec_of(start(customers(), target="total"))
    assert (spec.task, spec.metric) == ("regression", "r2")
    assert spec_of(start(customers(), target="age")).task == "regression"
    few = customers(age=[str(number % 3) for number in range(ROWS)])
    assert spec_of(start(few, target="age")).task == "classification"


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"churned": [""] * ROWS, "label": ["x", "y", "z"] * 20}, "label"),
        ({"churned": ["", "", ""] * 20, "bought": ["x", "y"] * 30}, "bought"),
        ({"id": ["1", "0"] * 30}, "churned"),
        ({"y_pred": ["1", "0"] * 30}, "churned"),
    ],
)
def test_the_target_is_guessed_by_name_then_by_two_values(changes, target):
    assert spec_of(start(customers(**changes))).data.target == target


def test_an_event_time_is_taken_when_its_name_says_so():
    moments = [f"2024-01-{number % 28 + 1:02}T10:00:00" for number in range(ROWS)]
    spec = spec_of(start(customers(updated_at=moments)))
    assert spec.data.event_time == "updated_at"
    assert spec_of(start(customers(created_at=moments))).data.event_time is None
    assert spec_of(start(customers(updated_at=["", *moments[1:]]))).data.event_time is None


def test_what_may_tell_the_answer_is_named_by_its_values():
    starter = start(
        customers(
            plan=["a", "b"] * 30,
            churned_reason=["a", "b", "c"] * 20,
            churned_plan=["a", "b"] * 30,
            score=[f"0.{number}" for number in range(ROWS)],
        )
    )
    assert (
        "Nearly give the answer away; exclude what is not known in time: churned_reason (AUC 1.000 alone)"
        in starter.text
    )
    assert "churned_plan" not in starter.text


def test_a_column_that_is_filled_only_afterwards_is_named():
    reason = [f"r{number % 4}" if number % 3 == 0 else "" for number in range(ROWS)]
    reason[1], reason[3] = "r1", ""
    starter = start(customers(plan=["a", "b"] * 30, refund=reason))
    assert "exclude what is not known in time: refund (" in starter.text


def test_the_target_in_other_words_and_its_prediction_are_excluded():
    starter = start(
        customers(
            left=["1", "0", "0"] * 20,
            churned_proba=[f"{0.9 if number % 3 == 0 else 0.1 + number / 1000}" for number in range(ROWS)],
        )
    )
    assert set(spec_of(starter).data.exclude) == {"left", "churned_proba", "note"}
    assert "hold the answer: left, churned_proba" in starter.text


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (
            "chrned",
            "there is no column text 'chrned'; columns: customerID, signed_up, .*did you mean churned",
        ),
        ("note", "column note cannot be predicted: no values, 0 values in 60 rows"),
        ("signed_up", "column signed_up cannot be predicted: dates"),
        ("customerID", "column customerID cannot be predicted: text, 60 values in 60 rows"),
    ],
)
def test_a_target_that_cannot_be_is_refused(target, says):
    with pytest.raises(SpecError, match=says) as caught:
        start(customers(), target=target)
    assert caught.value.code == "WS-SPEC-008"
    assert "--target" in caught.value.next_action


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame({"a": []}), pd.DataFrame({"a": ["x"] * 9})])
def test_a_table_without_anything_to_predict_is_refused(frame):
    with pytest.raises(SpecError, match="looks like something to predict"):
        start(frame)


def test_a_name_that_no_model_may_have_is_refused():
    with pytest.raises(SpecError, match=r"model\.name: no model name"):
        write_starter(customers(), source="x", name="Not A Name")


def test_a_column_with_a_control_character_is_refused():
    with pytest.raises(SpecError, match="control character"):
        start(customers().rename(columns={"gender": "gender\0"}))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Telco Churn", "telco_churn"),
        ("2024-sales", "model_2024_sales"),
        ("a__b", "a_b"),
        ("_x_", "x"),
        ("é", "model"),
        ("a" * 90, "a" * 60),
    ],
)
def test_names_from_files(text, name):
    assert model_name(text) == name
    assert MODEL_NAME.fullmatch(name)


@given(st.text(max_size=80))
@settings(deadline=None)
def test_any_file_gives_a_name_that_a_model_may_have(text):
    name = model_name(text)
    assert MODEL_NAME.fullmatch(name)
    assert "__" not in name


WRITABLE = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)


@given(WRITABLE)
@example("no")
@example("010")
@example("1e5")
@example("*a")
@example("# a")
@example('say "x"\\')
@example("a\u2028b\ufeff")
@example("null")
@example("a: b")
@settings(max_examples=500, deadline=None)
def test_any_text_reads_back_as_it_was_quoted(text):
    assert parse_yaml(f"key: {quoted(text)}   # why\n".encode(), "x").value == {"key": text}
    assert parse_yaml(f"key: [{quoted(text)}, b]".encode(), "x").value == {"key": [text, "b"]}
    assert "\n" not in quoted(text)


CELLS = st.sampled_from(
    ["", " ", "1", "0", "yes", "no", "2024-01-01", "x", "1e400", "nan", "9" * 400, "é", "12:30"]
)
TABLES = st.dictionaries(WRITABLE, st.lists(CELLS, min_size=6, max_size=6), min_size=1, max_size=5).map(
    pd.DataFrame
)


@given(TABLES)
@settings(max_examples=200, deadline=None)
def test_any_table_gives_a_file_that_loads_or_a_spec_error(frame):
    try:
        starter = start(frame)
    except SpecError:
        return
    assert spec_of(starter).data.target in frame.columns


@pytest.mark.parametrize(
    ("file", "target", "entity", "sensitive"),
    [
        ("telco_churn.csv", "Churn", "customerID", ("gender",)),
        ("adult_income.csv", "income-per-year", None, ("race", "sex", "race-sex")),
        ("german_credit.csv", "credit", None, ("sex", "sex-age")),
    ],
)
def test_real_tables(shared_data, file, target, entity, sensitive):
    frame = pd.read_csv(shared_data / file, dtype=str, keep_default_na=False)
    data = spec_of(start(frame)).data
    assert (data.target, data.entity, data.sensitive) == (target, entity, sensitive)


@pytest.mark.parametrize(("target", "metric"), [("churned", "accuracy"), ("total", "absolute_error")])
def test_the_rollout_that_is_proposed_is_one(target, metric):
    totals = [str(number) for number in range(ROWS)]
    starter = start(customers(total=totals), target=target)
    assert spec_of(starter).rollout.strategy == "direct"
    asked = starter.text.replace("# rollout:", "rollout:")
    spec = spec_from_bytes(asked.encode(), "churn.yaml")
    assert (spec.rollout.strategy, spec.rollout.metric) == ("canary", metric)
    assert RolloutPlan.of_spec(spec).metric == metric


def test_a_class_with_too_few_rows_for_the_gate_is_named_with_what_is_needed():
    rare = pd.DataFrame({"x": [str(n) for n in range(1000)], "y": ["yes"] * 40 + ["no"] * 960})
    note = next(one for one in start(rare, target="y").notes if one.startswith("the rarest class has"))
    assert "40 of 1,000 rows, so about 8 will be held out; on fewer than 20 the gate refuses" in note
    assert "135 rows of the class" in note
    assert "3,375 rows in all" in note
    enough = pd.DataFrame({"x": [str(n) for n in range(1000)], "y": ["yes"] * 140 + ["no"] * 860})
    assert not any(one.startswith("the rarest class has") for one in start(enough, target="y").notes)
