"""A label means the same to the counts of a rollout as to the monitoring."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest

from support.rollout_log import CHAMPION, EXPERIMENT, RolloutLog, happened, plan, rollout, shown
from support.rollout_recount import naive, told_of
from windsock.adapters.rollout_events.engine import open_engine
from windsock.adapters.rollout_events.intake import Intake, json_text
from windsock.adapters.rollout_events.scope import Scope
from windsock.adapters.rollout_events.sums import difference
from windsock.records import Answer, ColumnKind, InputField, InputSchema
from windsock.statistics.labels import plain_label, reader_of

FIELDS = (InputField(name="age", kind=ColumnKind.NUMBER),)
WIDE = 2**53
SETS: list[tuple[Any, ...]] = [
    (False, True),
    (0, 1),
    (2, 3, 7),
    (0.5, 1.5, 100.0),
    (7, WIDE, WIDE + 1, WIDE + 2),
    ("1", "01", "001"),
    ("7", "007", "leave", "2+"),
    ("1000", "1_000", "1E3", "1e3"),
    ("100", "1E2", "1.0"),
    ("nan", "inf", "Infinity", "NaN"),
    ("9007199254740992", "9007199254740993", "9007199254740994"),
    ("true", "false", "True"),
    ("stay", "Stay", "yes"),
]
LABELS: list[Any] = [
    *(0, 1, 2, 3, 7, 100, 1000, -7, 0.5, 1.5, 1.0, 7.0, 100.0, WIDE, WIDE + 1, WIDE + 2, float(WIDE), 1e31),
    *("0", "1", "01", "001", "+1", "1.0", "1.", "1e0", "10e-1", ".5", "0.50", "7", "007", "7.0", "-7"),
    *("1000", "1_000", "1E3", "1e3", "100", "1E2", "1e2", "100.0", "0x7", "1e400", "1e31", "--1", "1 000"),
    *("nan", "NaN", "NAN", "inf", "Infinity", "-inf", "infinity", "null"),
    *(str(WIDE), str(WIDE + 1), f" {WIDE + 2} ", f"{WIDE + 1}.0", f"00{WIDE + 1}", f"+{WIDE}"),
    *(True, False, "true", "True", "TRUE", "false", "yes", "No", "n", "T", "f", "maybe"),
    *("stay", "Stay", "\tstay\n", "\u00a0leave\u3000", "leave", " 7\u00a0", "2+", "\u2003yes", "st ay", ""),
]


def found_of(folder: Any, pairs: list[tuple[Any, Any]]) -> list[bool | None]:
    """Return of each answer whether its label says that it was right, as the counts have it."""
    scope = Scope.of(rollout(plan("accuracy")))
    ids = [f"p{place}" for place in range(len(pairs))]
    with open_engine(folder) as connection:
        intake = Intake(connection, scope)
        same = {"variant": "champion", "digest": CHAMPION, "experiment": EXPERIMENT}
        asked = {name: [value] * len(ids) for name, value in same.items()}
        asked |= {"prediction_id": ids, "receive_time": [1] * len(ids), "epoch": [7] * len(ids)}
        intake.add_exposures(pa.table({**asked, "prediction": [json_text(answer) for answer, _ in pairs]}))
        told = {"prediction_id": ids, "receive_time": [2] * len(ids)}
        intake.add_outcomes(pa.table({**told, "outcome": [json_text(label) for _, label in pairs]}))
        intake.settle(())
        difference(connection, scope, frozenset())
        connection.register("ids", pa.table({"name": ids}))
        rows = connection.execute(
            "SELECT name, correct FROM ids LEFT JOIN labels ON answer = key_of('', 'p', name)"
        ).fetchall()
    right = dict(rows)
    return [right[name] for name in ids]


def test_a_label_means_what_it_means_to_the_monitoring(tmp_path):
    pairs, wanted = [], []
    for classes in SETS:
        meant = reader_of(InputSchema(model="churn", fields=FIELDS, answer=Answer.CLASS, classes=classes))
        for label in LABELS:
            plain = plain_label(label)
            means = None if plain is None else meant(plain)
            pairs += [(one, label) for one in classes]
            wanted += [means is not None and means == one for one in classes]
    found = found_of(tmp_path, pairs)
    unlike = [
        (pair, want) for pair, want, got in zip(pairs, wanted, found, strict=True) if want != (got is True)
    ]
    assert unlike == []


@pytest.mark.parametrize(
    ("answer", "label", "right"),
    [
        ("leave", "7", False),  # a class may be called so
        ("leave", 7, None),  # a number is none of the words
        ("leave", True, None),
        ("7", 8, False),
        ("7", "leave", False),
        (7, "leave", None),
        (WIDE + 1, 7, False),
        (WIDE + 1, float(WIDE), None),
        (True, "maybe", None),
    ],
)
def test_a_label_of_another_kind_says_nothing(tmp_path, answer, label, right):
    assert found_of(tmp_path, [(answer, label)]) == [right]


@pytest.mark.parametrize(
    "words", [("1", "01", "001"), ("7", "007", "1_000"), ("9007199254740993", "9007199254740992", "nan")]
)
def test_a_version_that_confuses_classes_with_like_names_is_wrong(tmp_path, words):
    log, draw, one = RolloutLog(tmp_path), random.Random(3), rollout(plan("accuracy", "rate"))  # noqa: S311
    asked, outcomes = [], []
    for n in range(120):
        truth, is_new = n % 3, draw.random() < 0.5
        said = words[(truth + is_new) % 3]  # the challenger is always wrong
        variant = "challenger" if is_new else "champion"
        asked.append(shown(f"p{n}", unit=f"u{n}", minute=1 + n / 10, prediction=said, variant=variant))
        outcomes.append(happened(words[truth], prediction_id=f"p{n}", minute=20 + n / 10))
    log.write(*asked, *outcomes)
    for minute in (60, 130):
        totals = log.totals(one, minute)
        assert told_of(totals) == naive(one, asked, outcomes)
        right = [arm.metrics["accuracy"] for arm in (totals.champion, totals.challenger)]
        assert [moments.num / moments.den for moments in right] == [1, 0]
