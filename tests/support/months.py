"""Two months of one source: random tables of text, the second with words that have changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.builders import CARD, make_validation
from support.fakes import FakeSources, fake_ports
from windsock.ports import LoadedBundle
from windsock.records import DataSnapshot, InputSchema, TrainModelInput
from windsock.spec import CandidateBlock, ModelSpec
from windsock.statistics.profiling import build_profile
from windsock.steps import run_step
from windsock.training.comparison import Answered, answered_by_champion
from windsock.training.estimators import build_pipeline
from windsock.training.fitting import answer, fit
from windsock.training.golden import make_golden
from windsock.training.preprocessing import to_features
from windsock.training.target import feature_fields, make_schema, read_labels

if TYPE_CHECKING:
    import pandas as pd

ROWS = 120
TRUTHS = (("yes", "no"), ("true", "false"), ("t", "f"), ("Y", "N"))
NULLS = ("NA", "-", "\\N", "n/k", "free", "", "?", "null")
KINDS = ("price", "count", "flag", "word", "code", "code", "day")


def make_spec(task: str = "classification") -> ModelSpec:
    """Return the spec of both months."""
    return ModelSpec.model_validate(
        {
            "model": {"name": "shop", "task": task},
            "data": {"source": "shop.csv", "target": "answer", "entity": "id"},
            "training": {"candidates": [{"estimator": "logistic_regression"}]},
            "gate": {"card": CARD, "latency_ms": 1000},
        }
    )


def first_month(random: Any, target: str) -> pd.DataFrame:
    """Return a table of text: a column of each kind.

    :param random: numpy's generator.
    :param target: ``words``, ``digits``, ``classes`` or ``stars``.
    """
    import pandas as pd

    yes, no = TRUTHS[random.integers(len(TRUTHS))]
    codes = [["1", "2", "3"], ["01", "02", "17"], ["1.0", "2.0", "other"], ["a", "b", "NA"]]
    price = random.choice([9.9, 19.9, 29.9, 49.5, 12.25, 7.0], ROWS)
    chosen = random.random(ROWS) < 0.5
    odds = (price - 20) / 15 + 1.5 * chosen + random.normal(0, 0.5, ROWS)
    answers = {
        "words": ["no", "yes"],
        "digits": ["0", "1"],
        "classes": ["a", "b", "c"],
        "stars": list("1234"),
    }
    labels = answers[target]
    ranks = (odds.argsort().argsort() * len(labels)) // ROWS
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(random.integers(0, 200, ROWS), unit="D")
    return pd.DataFrame(
        {
            "id": [f"u{number}" for number in range(ROWS)],
            "price": [f"{one:.2f}" for one in price],
            "count": [str(one) for one in random.integers(0, 40, ROWS)],
            "flag": [yes if one else no for one in chosen],
            "word": random.choice(["red", "green", "blue", "grey"], ROWS),
            "code": random.choice(codes[random.integers(len(codes))], ROWS),
            "day": [str(one.date()) for one in days],
            "answer": [labels[rank] for rank in ranks],
        },
        dtype="string",
    )


def change(frame: pd.DataFrame, random: Any, what: str) -> pd.DataFrame:
    """Return the second month: the first one's rows with one change of words.

    :param what: a key of :data:`CHANGES`.
    """
    column = str(random.choice([*KINDS, *(["answer"] if what in OF_TARGETS else [])]))
    return CHANGES[what](frame.copy(), random, column)


def _some(frame: pd.DataFrame, random: Any) -> Any:
    return random.random(len(frame)) < random.choice([0.01, 0.03, 0.1, 0.4])


def _new_word(frame: pd.DataFrame, random: Any, column: str) -> pd.DataFrame:
    frame.loc[_some(frame, random), column] = str(random.choice(["new", "5+", "maybe", "unknown", "99999"]))
    return frame


def _missing_word(frame: pd.DataFrame, random: Any, column: str) -> pd.DataFrame:
    gone = frame[column].iloc[int(random.integers(len(frame)))]
    return frame[frame[column] != gone].reset_index(drop=True)


def _typo(frame: pd.DataFrame, random: Any, column: str) -> pd.DataFrame:
    rows = _some(frame, random)
    frame.loc[rows, column] = frame.loc[rows, column].str.upper() + str(random.choice(["x", ".", "0", " "]))
    return frame


def _null_word(frame: pd.DataFrame, random: Any, column: str) -> pd.DataFrame:
    frame.loc[_some(frame, random), column] = str(random.choice(NULLS))
    return frame


def _decimal_sign(frame: pd.DataFrame, random: Any, column: str) -> pd.DataFrame:
    frame[column] = frame[column].str.replace(".", ",", regex=False)
    return frame


def _leading_zero(frame: pd.DataFrame, random: Any, column: str) -> pd.DataFrame:
    frame[column] = "0" + frame[column]
    return frame


def _whole_float(frame: pd.DataFrame, random: Any, column: str) -> pd.DataFrame:
    frame[column] = frame[column] + ".0"
    return frame


def _reordered(frame: pd.DataFrame, random: Any, column: str) -> pd.DataFrame:
    names = [str(name) for name in random.permutation(list(frame.columns))]
    return frame[names].sample(frac=1, random_state=int(random.integers(1000))).reset_index(drop=True)


def _constant(frame: pd.DataFrame, random: Any, column: str) -> pd.DataFrame:
    return frame[frame[column] == frame[column].mode()[0]].reset_index(drop=True)


def _gone(frame: pd.DataFrame, random: Any, column: str) -> pd.DataFrame:
    return frame.drop(columns=column)


CHANGES: dict[str, Any] = {
    "new word": _new_word,
    "missing word": _missing_word,
    "typo": _typo,
    "null word": _null_word,
    "decimal sign": _decimal_sign,
    "leading zero": _leading_zero,
    "whole float": _whole_float,
    "reordered": _reordered,
    "constant": _constant,
    "column gone": _gone,
}
OF_TARGETS = ("new word", "typo", "leading zero", "whole float")


@dataclass(frozen=True)
class Month:
    """A month's snapshot and its typed rows."""

    snapshot: DataSnapshot
    rows: pd.DataFrame
    source: pd.DataFrame

    @property
    def schema(self) -> InputSchema:
        """The schema of a model of this month."""
        spec = make_spec()
        labels = read_labels(self.rows, self.snapshot, spec)
        fields = feature_fields(self.snapshot, spec)
        return make_schema(spec, fields, labels, self.snapshot.column("answer"))


def take(frame: pd.DataFrame) -> Month:
    """Take a month's snapshot with the step that does it."""
    ports = fake_ports(sources=FakeSources(frame))
    snapshot = run_step("take_snapshot", {"spec": make_spec()}, ports).record
    assert isinstance(snapshot, DataSnapshot)
    return Month(snapshot, ports.snapshots.load(snapshot), frame)


def champion_of(month: Month) -> LoadedBundle:
    """Fit a linear model on all rows of a month, without any judging."""
    spec, schema = make_spec(), month.schema
    features = to_features(month.rows, schema.fields)
    labels = read_labels(month.rows, month.snapshot, spec)
    step = TrainModelInput(
        spec=spec,
        snapshot=month.snapshot,
        validation=make_validation(snapshot_digest=month.snapshot.digest),
        candidate=CandidateBlock(estimator="logistic_regression"),
    )
    pipeline = fit(
        lambda part: build_pipeline(part, schema.fields, step.candidate, spec.task, {}), features, labels
    )
    return LoadedBundle(
        manifest=None,  # type: ignore[arg-type] # nothing of it is asked
        digest="",
        pipeline=pipeline,
        schema=schema,
        golden=make_golden(pipeline, features, schema.fields),
        profile=build_profile(features, schema.fields),
    )


def asked(champion: LoadedBundle, first: Month, second: Month) -> tuple[str, str]:
    """Ask the champion about the second month: ``kept``, ``error`` (and why) or ``wrong``.

    It is wrong where its score on a row whose words have not changed is another one than before.
    """
    import numpy as np

    spec = make_spec()
    truth = read_labels(second.rows, second.snapshot, spec)
    said = answered_by_champion(champion, second.rows, truth, second.schema, second.snapshot, "answer")
    if not isinstance(said, Answered):
        return "error", said
    before = dict(zip(first.source["id"], answer(champion.pipeline, _features(champion, first)), strict=True))
    names = [field.name for field in champion.schema.fields]
    known = first.source.set_index("id")[names]
    for number, row in second.source.iterrows():
        same = all(row.get(name) == known.loc[row["id"], name] for name in names)
        if same and not np.allclose(before[row["id"]], said.answers[number], atol=1e-12):
            return "wrong", ""
    return "kept", ""


def _features(champion: LoadedBundle, month: Month) -> pd.DataFrame:
    return to_features(month.rows, champion.schema.fields)
