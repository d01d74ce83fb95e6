from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from windsock.records import Answer, ColumnKind, EarlierKind, InputField, InputSchema
from windsock.records.request_contract import RequestContract, contract_changes, next_contract

NUMBER, INTEGER = ColumnKind.NUMBER, ColumnKind.INTEGER
BOOLEAN, CATEGORY, DATETIME = ColumnKind.BOOLEAN, ColumnKind.CATEGORY, ColumnKind.DATETIME


def field(name: str, kind: ColumnKind = NUMBER, **said: Any) -> InputField:
    return InputField(name=name, kind=kind, **said)


def schema_of(contract: RequestContract, **said: Any) -> InputSchema:
    made = {"answer": Answer.CLASS, "classes": (False, True), "positive": True, **said}
    return contract.put_into(InputSchema(model="m", fields=contract.fields, **made))


FIRST = schema_of(next_contract([field("a"), field("b", CATEGORY), field("c", BOOLEAN)], None))


def after(*fields: InputField, champion: InputSchema = FIRST, required: tuple[str, ...] = ()) -> InputSchema:
    return schema_of(next_contract(fields, champion, required))


def test_a_first_version_requires_what_it_uses() -> None:
    assert (FIRST.contract, FIRST.ignored, FIRST.order) == (1, (), ())
    assert all(one.required for one in FIRST.fields)


def test_the_same_columns_are_the_same_contract_whatever_their_order() -> None:
    same = after(field("c", BOOLEAN), field("b", CATEGORY), field("a"))
    assert same == FIRST
    assert contract_changes(FIRST, same) == ()


def test_a_field_that_is_gone_is_ignored_and_comes_back_as_an_optional_one() -> None:
    second = after(field("a"), field("c", BOOLEAN))
    assert [one.name for one in second.fields] == ["a", "c"]
    assert second.ignored == (field("b", CATEGORY, required=False),)
    assert [one.name for one in second.in_order] == ["a", "b", "c"]
    assert second.contract == 2
    assert contract_changes(FIRST, second) == ("field 'b' is not used any more; requests may still hold it",)
    third = after(field("a"), champion=second)
    assert [one.name for one in third.ignored] == ["b", "c"]
    fourth = after(field("b", CATEGORY), field("a"), champion=third)
    assert [(one.name, one.required) for one in fourth.fields] == [("a", True), ("b", False)]
    assert (fourth.contract, [one.name for one in fourth.in_order]) == (4, ["a", "b", "c"])
    assert contract_changes(third, fourth) == ("field 'b' is used again; requests may leave it out",)


def test_trained_again_on_the_same_columns_it_is_its_own() -> None:
    second = after(field("new"), field("a", INTEGER), field("c", CATEGORY))
    assert after(field("new"), field("a", INTEGER), field("c", CATEGORY), champion=second) == second


def test_a_new_field_comes_last_and_is_optional_until_a_person_lists_it() -> None:
    fields = (field("new", nullable=False), *FIRST.fields)
    second = after(*fields)
    assert second.fields[-1] == field("new", required=False, nullable=True)
    assert contract_changes(FIRST, second) == ("field 'new' is new; requests may leave it out",)
    must = after(*fields, required=("new",))
    assert contract_changes(FIRST, must) == ("field 'new' is new; requests must hold it",)
    assert contract_changes(second, after(*fields, champion=second, required=("new",))) == (
        "requests must hold field 'new' from now on",
    )


@pytest.mark.parametrize(
    ("before", "now", "kind", "asks"),
    [
        (INTEGER, NUMBER, NUMBER, False),
        (NUMBER, INTEGER, NUMBER, False),
        (NUMBER, CATEGORY, CATEGORY, False),
        (INTEGER, CATEGORY, CATEGORY, False),
        (DATETIME, CATEGORY, CATEGORY, False),
        (CATEGORY, NUMBER, NUMBER, True),
        (CATEGORY, DATETIME, DATETIME, True),
        (BOOLEAN, NUMBER, NUMBER, True),
        (BOOLEAN, CATEGORY, CATEGORY, True),  # its words are not known
        (NUMBER, BOOLEAN, BOOLEAN, True),
    ],
)
def test_kinds_widen_and_a_narrower_one_is_asked_about(
    before: ColumnKind, now: ColumnKind, kind: ColumnKind, asks: bool
) -> None:
    champion = schema_of(next_contract([field("x", before)], None))
    second = after(field("x", now), champion=champion)
    (made,) = second.fields
    assert made.kind is kind
    if kind is not before:
        assert made.earlier == (EarlierKind(kind=before),)
        assert second.contract == 2
    said = contract_changes(champion, second)
    assert bool(said) == asks
    if asks:
        assert said[0].startswith(f"field 'x' is a {kind.value}, it was a {before.value}")


def test_a_boolean_with_words_that_becomes_a_category_only_widens() -> None:
    champion = schema_of(next_contract([field("x", BOOLEAN, true_word="yes", false_word="no")], None))
    second = after(field("x", CATEGORY), champion=champion)
    assert second.fields[0].earlier == (EarlierKind(kind=BOOLEAN, true_word="yes", false_word="no"),)
    assert contract_changes(champion, second) == ()


def test_other_words_of_a_boolean_are_asked_about_and_the_old_ones_taken() -> None:
    champion = schema_of(next_contract([field("x", BOOLEAN, true_word="yes", false_word="no")], None))
    second = after(field("x", BOOLEAN, true_word="t", false_word="f"), champion=champion)
    assert second.fields[0].earlier == (EarlierKind(kind=BOOLEAN, true_word="yes", false_word="no"),)
    assert len(contract_changes(champion, second)) == 1


def test_kinds_of_all_versions_before_are_inherited() -> None:
    champion = schema_of(next_contract([field("x", INTEGER)], None))
    second = after(field("x", CATEGORY), champion=champion)
    third = after(field("x", DATETIME), champion=second)
    assert [one.kind for one in third.fields[0].earlier] == [INTEGER, CATEGORY]
    back = after(field("x", INTEGER), champion=third)
    assert [one.kind for one in back.fields[0].earlier] == [CATEGORY, DATETIME]


def test_a_schema_that_was_made_for_another_champion_is_asked_about() -> None:
    other = schema_of(next_contract([field("b", CATEGORY), field("a")], None))
    assert contract_changes(FIRST, other) == (
        "requests with field 'c' would be refused",
        "values without names would be read in another order",
    )


def test_other_answers_are_asked_about() -> None:
    contract = next_contract(FIRST.fields, FIRST)
    number = schema_of(contract, answer=Answer.NUMBER, classes=(), positive=None)
    assert contract_changes(FIRST, number) == ("answers are numbers, they were classes",)
    assert contract_changes(FIRST, schema_of(contract, positive=False)) == (
        "the score is the probability of another class than before",
    )


@pytest.mark.parametrize(
    "said", [{"ignored": (field("a"),)}, {"order": ("a",)}, {"order": ("a", "b", "c", "d")}]
)
def test_a_schema_that_contradicts_itself_is_none(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InputSchema(model="m", fields=FIRST.fields, answer=Answer.NUMBER, **said)


def test_a_schema_of_an_earlier_release_is_the_first_contract() -> None:
    old = {"model": "m", "fields": [{"name": "a", "kind": "number"}], "answer": "number"}
    read = InputSchema.model_validate(old)
    assert (read.contract, read.request_fields, read.in_order) == (1, read.fields, read.fields)
