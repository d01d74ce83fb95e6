from __future__ import annotations

import json

from support.builders import NOON
from windsock.records import Answer, ColumnKind, InputField, InputSchema
from windsock.serving.answers import RowAnswer, ScoreReader, write_answers
from windsock.serving.documentation import PredictionAnswer, PredictionAnswers

FIELD = InputField(name="age", kind=ColumnKind.NUMBER)
ANSWER = RowAnswer(True, {"false": 0.25, "true": 0.75}, 0.75, "churn", "3", "champion", "id", 0.02, NOON)


class TestScores:
    def test_two_classes(self) -> None:
        schema = InputSchema(
            model="m", fields=(FIELD,), answer=Answer.CLASS, classes=(False, True), positive=True
        )
        assert ScoreReader(schema).read((0.7, 0.3)) == (False, {"false": 0.7, "true": 0.3}, 0.3)
        assert ScoreReader(schema).read((0.4, 0.6)) == (True, {"false": 0.4, "true": 0.6}, 0.6)

    def test_three_classes_have_no_score(self) -> None:
        schema = InputSchema(model="m", fields=(FIELD,), answer=Answer.CLASS, classes=("a", "b", "c"))
        assert ScoreReader(schema).read((0.2, 0.5, 0.3)) == ("b", {"a": 0.2, "b": 0.5, "c": 0.3}, None)

    def test_a_number(self) -> None:
        schema = InputSchema(model="m", fields=(FIELD,), answer=Answer.NUMBER)
        assert ScoreReader(schema).read((12.5,)) == (12.5, None, 12.5)

    def test_the_positive_label_may_be_the_first(self) -> None:
        schema = InputSchema(model="m", fields=(FIELD,), answer=Answer.CLASS, classes=(1, 2), positive=1)
        assert ScoreReader(schema).read((0.7, 0.3)) == (1, {"1": 0.7, "2": 0.3}, 0.7)

    def test_of_equal_ones_the_first_wins(self) -> None:
        schema = InputSchema(
            model="m", fields=(FIELD,), answer=Answer.CLASS, classes=("a", "b"), positive="b"
        )
        assert ScoreReader(schema).read((0.5, 0.5))[0] == "a"


def test_answers_are_what_the_documentation_says() -> None:
    one, several = write_answers([ANSWER], single=True), write_answers([ANSWER, ANSWER], single=False)
    assert PredictionAnswer.model_validate_json(one).model_dump(mode="json") == json.loads(one)
    assert PredictionAnswers.model_validate_json(several).model_dump(mode="json") == json.loads(several)
    assert set(json.loads(one)) == set(PredictionAnswer.model_fields)
