from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from windsock.spec.column_leaks import column_leaks
from windsock.spec.column_strength import Column
from windsock.spec.leak_suspects import LeakSuspect, suspects_text, way_out


def named(frame, target, *, numbers=False, **more):
    columns = [
        Column(name=str(name), values=frame[name], number=pd.api.types.is_numeric_dtype(frame[name]))
        for name in frame.columns
    ]
    return {leak.column: leak for leak in column_leaks(columns, target, numbers=numbers, **more)}


def table(rows=400, *, numbers=False, classes=2, seed=1):
    """Return three honest columns and a target."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"a": draw.normal(size=rows), "b": draw.normal(size=rows), "c": draw.normal(size=rows)}
    )
    score = frame["a"] + frame["b"] + draw.normal(size=rows)
    if numbers:
        return frame, score, draw
    return (
        frame,
        pd.Series(pd.qcut(score, classes, labels=[f"k{code}" for code in range(classes)]).astype(str)),
        draw,
    )


class TestCopies:
    @pytest.mark.parametrize("classes", [2, 3, 5])
    def test_in_other_words(self, classes):
        frame, target, _ = table(classes=classes)
        codes = target.str[1:].astype(int)
        frame = frame.assign(
            number=(7 * codes) % 11, word=codes.map(lambda code: "xyzuv"[code]), flag=codes == 1
        )
        leaks = named(frame, target)
        assert {name: leak.kind for name, leak in leaks.items()} == {
            "number": "copy",
            "word": "copy",
            "flag": "copy" if classes == 2 else "one_class",
        }

    @pytest.mark.parametrize("classes", [2, 3, 5])
    def test_with_one_in_a_hundred_rows_wrong(self, classes):
        frame, target, draw = table(1_000, classes=classes)
        wrong = draw.permutation(1_000)[:10]
        copy = target.copy()
        copy.iloc[wrong] = draw.permutation(target)[wrong]
        assert [*named(frame.assign(copy=copy), target)] == ["copy"]

    @pytest.mark.parametrize("change", [lambda y: 3 * y - 7, np.exp, lambda y: -(y**3)])
    def test_of_a_number_by_a_line_or_any_order(self, change):
        frame, target, draw = table(numbers=True)
        leaks = named(frame.assign(copy=change(target)), target, numbers=True)
        assert [*leaks] == ["copy"]
        wrong = change(target)
        wrong.iloc[draw.permutation(400)[:4]] = draw.permutation(wrong)[:4]
        assert [*named(frame.assign(copy=wrong), target, numbers=True)] == ["copy"]


class TestAlone:
    @pytest.mark.parametrize("spread", [0.02, 0.1, 0.2])
    def test_a_score_of_a_model_that_had_seen_the_labels(self, spread):
        frame, target, draw = table()
        score = (target == "k1") + draw.normal(scale=spread, size=400)
        leak = named(frame.assign(score=score), target)["score"]
        assert leak.kind == "alone"
        assert leak.strength > 0.985
        assert leak.next_best < 0.85

    @pytest.mark.parametrize("size", [2, 3, 5])
    def test_the_mean_over_a_group_with_the_row_itself(self, size):
        frame, target, _ = table(numbers=True)
        groups = target.rank().astype(int) // size
        mean = target.groupby(groups).transform("mean")
        assert [*named(frame.assign(mean=mean), target, numbers=True)] == ["mean"]

    def test_values_that_are_there_in_some_rows_only(self):
        frame, target, draw = table(1_000)
        score = pd.Series((target == "k1") + draw.normal(scale=0.1, size=1_000)).where(
            draw.random(1_000) < 0.4
        )
        leak = named(frame.assign(score=score), target)["score"]
        assert leak.kind == "alone"
        assert leak.filled < 500

    def test_it_is_the_same_each_time(self):
        frame, target, draw = table(12_000)
        frame = frame.assign(score=(target == "k1") + draw.normal(scale=0.1, size=12_000))
        assert named(frame, target) == named(frame, target)

    def test_a_rare_class_is_seen_in_many_rows(self):
        draw = np.random.default_rng(3)
        target = pd.Series(draw.random(40_000) < 0.003)
        frame = pd.DataFrame({"a": draw.normal(size=40_000), "copy": target * 2.0})
        assert [*named(frame, target)] == ["copy"]


class TestTogether:
    """Several columns that give the target away do not hide each other."""

    @pytest.mark.parametrize("count", [2, 3])
    def test_near_equal_columns(self, count):
        frame, target, draw = table(1_000)
        frame = frame.assign(**{f"h{place}": draw.normal(size=1_000) for place in range(5)})
        codes = (target == "k1") ^ (draw.random(1_000) < 0.01)
        twins = {f"twin{place}": codes * 10 + draw.integers(0, 10, 1_000) for place in range(count)}
        assert set(named(frame.assign(**twins), target)) == set(twins)
        assert set(named(frame.assign(**twins), target, known=["twin0"])) == set(twins) - {"twin0"}

    def test_two_scores_of_numbers(self):
        frame, target, draw = table(1_000, numbers=True)
        scores = {name: target + draw.normal(scale=0.15, size=1_000) for name in ("first", "second")}
        assert set(named(frame.assign(**scores), target, numbers=True)) == {*scores}

    def test_many_strong_columns_are_none(self):
        draw = np.random.default_rng(5)
        ill = draw.random(1_000) < 0.4
        frame = pd.DataFrame({f"size{place}": draw.normal(size=1_000) + 3.3 * ill for place in range(8)})
        assert named(frame.assign(x=draw.normal(size=1_000)), pd.Series(ill)) == {}


class TestOneClass:
    """A column that gives one of several classes away."""

    @pytest.mark.parametrize("classes", [3, 5])
    def test_a_flag(self, classes):
        frame, target, draw = table(600, classes=classes)
        wrong = draw.random(600) < 0.005
        leaks = named(frame.assign(flag=np.where((target == "k1") ^ wrong, "yes", "no")), target)
        assert [(leak.column, leak.kind) for leak in leaks.values()] == [("flag", "one_class")]
        assert leaks["flag"].strength > 0.985
        assert leaks["flag"].next_best < 0.9
        assert "for one class" in leaks["flag"].sentence

    def test_a_column_for_each_class(self):
        frame, target, _ = table(600, classes=3)
        flags = {f"is_{label}": (target == label).astype(int) for label in ("k0", "k1", "k2")}
        assert set(named(frame.assign(**flags), target)) == {*flags}
        assert set(named(frame.assign(**flags), target, known=["is_k0"])) == {"is_k1", "is_k2"}
        assert named(frame.assign(is_k0=flags["is_k0"]), target, known=["is_k0"]) == {}

    def test_a_class_that_several_columns_give_is_honest(self):
        frame, target, draw = table(600, classes=3)
        sizes = {
            f"size{place}": (target == "k2") * 5 + draw.normal(scale=0.8, size=600) for place in range(4)
        }
        assert named(frame.assign(**sizes), target) == {}


class TestAbsence:
    @pytest.mark.parametrize("filled", ["k0", "k1", "k2"])
    def test_of_classes(self, filled):
        frame, target, draw = table(classes=3)
        values = pd.Series(draw.choice(["x", "y", "z"], 400)).where(target == filled)
        leak = named(frame.assign(reason=values), target)["reason"]
        assert (leak.kind, leak.strength) == ("absence", 1.0)

    def test_of_numbers(self):
        frame, target, draw = table(numbers=True)
        values = pd.Series(draw.normal(size=400)).where(
            target > target.median() + draw.normal(scale=0.2, size=400)
        )
        assert named(frame.assign(paid=values), target, numbers=True)["paid"].kind == "absence"

    def test_a_few_missing_values_say_nothing(self):
        frame, target, _ = table()
        frame.loc[frame.index[target == "k1"][:8], "a"] = np.nan
        assert named(frame, target) == {}


class TestHonestTables:
    @pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
    def test_strong_columns_among_strong_ones(self, load):
        frame = load(as_frame=True).frame
        draw = np.random.default_rng(2)
        for _ in range(5):
            part = frame.iloc[draw.permutation(len(frame))[: len(frame) // 2]]
            assert named(part.drop(columns="target"), part["target"]) == {}

    def test_numbers(self):
        frame = load_diabetes(as_frame=True).frame
        assert named(frame.drop(columns="target"), frame["target"], numbers=True) == {}

    @pytest.mark.parametrize("groups", [30, 50, 200])
    def test_columns_of_customers_whose_label_is_fixed(self, groups):
        draw = np.random.default_rng(groups)
        who = pd.Series(draw.integers(0, groups, 1_000))
        frame = pd.DataFrame({name: draw.normal(size=groups)[who] for name in ("income", "size", "age")})
        target = pd.Series(draw.integers(0, 2, groups)[who])
        assert named(frame, target, groups=who) == {}

    def test_a_level_that_wanders_with_time(self):
        draw = np.random.default_rng(4)
        level = np.cumsum(draw.normal(size=600))
        frame = pd.DataFrame(
            {"cycle": np.arange(600.0) % 50, "counter": np.arange(600.0), "x": draw.normal(size=600)}
        )
        times = pd.Series(pd.date_range("2026-01-01", periods=600, freq="h"))
        assert named(frame, pd.Series(level), numbers=True, times=times) == {}

    def test_a_target_that_others_give_as_well(self):
        draw = np.random.default_rng(6)
        odour = draw.integers(0, 8, 2_000)
        rest = draw.integers(0, 2, 2_000)
        target = pd.Series(np.where(odour == 7, rest, odour % 2))
        frame = pd.DataFrame(
            {"odour": odour.astype(str), "first": odour % 2 + draw.normal(scale=0.12, size=2_000)}
        )
        assert "first" not in named(frame, target)

    def test_a_checked_column_is_named_no_more(self):
        frame, target, draw = table()
        frame = frame.assign(score=(target == "k1") + draw.normal(scale=0.2, size=400))
        assert [*named(frame, target)] == ["score"]
        assert named(frame, target, known=["score"]) == {}


@pytest.mark.parametrize(
    ("frame", "target"),
    [
        (pd.DataFrame({"a": []}), pd.Series([], dtype=object)),
        (pd.DataFrame({"a": [1.0] * 40}), pd.Series(["x", "y"] * 20)),
        (pd.DataFrame({"a": [np.nan] * 90}), pd.Series(["x", "y", "z"] * 30)),
        (pd.DataFrame({"a": [np.inf, 1.0, None] * 30}), pd.Series(["x", "x", "y"] * 30)),
        (pd.DataFrame({"a": [1.0] * 90}), pd.Series(["x"] * 90)),
        (pd.DataFrame({"a": ["x"] * 90}), pd.Series([None] * 90)),
    ],
)
def test_tables_with_nothing_to_measure(frame, target):
    assert isinstance(named(frame, target), dict)


def test_words():
    one = LeakSuspect(column="a", kind="alone", measure="r2", strength=0.99, next_best=0.4, rows=9, filled=9)
    both = LeakSuspect(kind="rows", measure="share", strength=0.12, rows=100, filled=11)
    assert one.sentence == "a: R2 0.990 alone (9 of 9 rows have a value, the next column reaches 0.400)"
    assert both.sentence.startswith("12.0% of 100 held-out rows equal a training row in all features, 11 of")
    assert "data.known_leaks_checked" in way_out([one])
    assert "data.entity" in way_out([both])
    assert suspects_text([one] * 7).endswith("; and 2 more")
