from __future__ import annotations

import copy
import unicodedata
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.builders import digest, make_spec, make_validation
from support.fakes import FakeBundles, fake_ports
from windsock.governance.checks import Case, champion_comparison
from windsock.ports import LoadedBundle
from windsock.records import (
    Answer,
    ColumnKind,
    ColumnProfile,
    ColumnRole,
    DriftProfile,
    GateModelInput,
    InputField,
    InputSchema,
    LedgerAction,
    LedgerEntry,
    Status,
)
from windsock.training.champion_rows import seen_words, understood_rows

ROWS, SHOPS = 600, 60
EFFECTS = np.random.default_rng(7).normal(0, 2.5, SHOPS)
KINDS = {"shop": ColumnKind.CATEGORY}
REGRESSION = {"model": {"name": "churn", "task": "regression"}, "data": {"target": "price"}}


def month(seed: int, shops: list[str], *, numeric: bool = False) -> pd.DataFrame:
    """Return a month's typed rows, whose target follows from the shop."""
    draw = np.random.default_rng(seed)
    chosen = draw.integers(0, len(shops), ROWS)
    effect = EFFECTS[:: SHOPS // len(shops)][chosen]
    rows = {
        "customer_id": [f"c{seed}-{number}" for number in range(ROWS)],
        "age": draw.normal(45, 12, ROWS),
        "shop": [shops[number] for number in chosen],
    }
    target = {"price": effect + draw.normal(0, 0.5, ROWS)} if numeric else {"churned": effect > 0}
    return pd.DataFrame({**rows, **target})


def crowned(world: Any) -> Any:
    """Make a model of a world the champion, and return its ports for the next month."""
    candidate = "ridge" if world.spec.task == "regression" else "logistic_regression"
    trained = world.train(candidate)
    entry = LedgerEntry(
        model="churn",
        action=LedgerAction.COMMIT,
        epoch=1,
        version="1",
        digest=trained.bundle_digest,
        actor="scheduler",
        body={"bundle_uri": trained.bundle_uri},
    )
    world.ports.ledger.append(entry, after_seq=0)
    return fake_ports(bundles=world.ports.bundles, ledger=world.ports.ledger)


def _blocks(numeric: bool) -> dict[str, Any]:
    if not numeric:
        return {"kinds": KINDS}
    kinds = {**KINDS, "price": ColumnKind.NUMBER}
    return {"kinds": kinds, "roles": {"price": ColumnRole.TARGET}, **REGRESSION}


@cache
def _first_month(world: Any, shops: tuple[str, ...], numeric: bool) -> Any:
    """Return the ports with the first month's champion, which is trained once for the same shops."""
    return crowned(world(month(1, [*shops], numeric=numeric), **_blocks(numeric)))


def _own(ports: Any) -> Any:
    """Return ports that may be written to, with what is in these."""
    bundles = FakeBundles()
    bundles.by_key, bundles.by_digest = dict(ports.bundles.by_key), dict(ports.bundles.by_digest)
    bundles.documents = dict(ports.bundles.documents)
    return fake_ports(bundles=bundles, ledger=copy.deepcopy(ports.ledger))


def compared(world: Any, before: list[str], now: list[str], *, numeric: bool = False) -> Any:
    """Return the evaluation of the second month's model against the first one's."""
    blocks = _blocks(numeric)
    ports = _own(_first_month(world, tuple(before), numeric))
    second = world(month(2, now, numeric=numeric), ports=ports, **blocks)
    return second.evaluate(second.train("ridge" if numeric else "logistic_regression", key="new"))


def is_promoted(evaluation: Any) -> bool:
    validation = make_validation(snapshot_digest=digest("1"))
    step = GateModelInput(spec=make_spec(), validation=validation, evaluation=evaluation)
    return champion_comparison(Case(step, fake_ports(), evaluation.champion)).status is Status.PASS


PLAIN = [f"shop_{number:02}" for number in range(SHOPS)]
CODES = [f"{number:03}" for number in range(SHOPS)]
ACCENTS = [f"caf\u00e9 {number}" for number in range(SHOPS)]
FEW = ["1", "2", "3", "4", "other"]


@pytest.mark.parametrize(
    ("before", "now", "numeric"),
    [
        (PLAIN, [word.capitalize() for word in PLAIN], False),
        (CODES, [word.lstrip("0") or "0" for word in CODES], False),
        (ACCENTS, [unicodedata.normalize("NFD", word) for word in ACCENTS], False),
        (FEW, ["1.0", "2.0", "3.0", "4.0", "other"], False),
        (PLAIN, [f"{word} " for word in PLAIN], True),
    ],
    ids=["case", "leading zeros", "NFD", "decimals", "regression"],
)
def test_a_champion_that_knows_none_of_the_words_is_never_beaten(
    world, before: list[str], now: list[str], numeric: bool
) -> None:
    evaluation = compared(world, before, now, numeric=numeric)
    against = evaluation.against_champion
    assert (against.value, against.opponent_value) == (None, None)
    assert "have words that the champion never saw, in 'shop' (" in against.error
    assert "write them as before at the source" in against.error
    assert not is_promoted(evaluation)


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5])
def test_rows_with_words_that_it_never_saw_are_left_out_for_both(world, share: float, caplog) -> None:
    caplog.set_level("INFO")
    respelled = [word.upper() if place < share * SHOPS else word for place, word in enumerate(PLAIN)]
    evaluation = compared(world, PLAIN, respelled)
    against = evaluation.against_champion
    if against.value is not None:
        assert against.n == pytest.approx((1 - share) * evaluation.baseline.n, rel=0.2)
        assert "are left out: the champion never saw their words in 'shop' (" in against.note
        assert f"WS-EVALUATION-007: {against.note}" in caplog.text
        assert against.opponent_value > 0.9
        assert against.interval.low < 0.02
    assert (against.value is None) == (share == 0.5)
    assert not is_promoted(evaluation)


def test_a_new_word_of_8_per_cent_does_not_stop_the_comparison(world) -> None:
    now = ["new" if place % 12 == 0 else word for place, word in enumerate(PLAIN)]
    against = compared(world, PLAIN, now).against_champion
    assert against.error == ""
    assert against.note


def test_a_new_word_of_2_per_cent_is_compared_on_all_rows(world) -> None:
    evaluation = compared(world, PLAIN, ["new", *PLAIN[1:]])
    assert evaluation.against_champion.n == evaluation.baseline.n
    assert evaluation.against_champion.note == ""


def champion(counts: dict[str, int], *, other: int = 0, words: list[str] | None = None) -> LoadedBundle:
    """Return a champion of one category with a profile, and an encoder where ``words`` are given."""
    field = InputField(name="x", kind=ColumnKind.CATEGORY)
    rows = sum(counts.values()) + other
    column = ColumnProfile(name="x", kind=field.kind, rows=rows, nulls=0, categories=counts, other=other)
    return LoadedBundle(
        manifest=None,  # type: ignore[arg-type]
        digest="",
        pipeline=_pipeline(words) if words else None,
        schema=InputSchema(model="churn", fields=(field,), answer=Answer.NUMBER),
        golden=None,  # type: ignore[arg-type]
        profile=DriftProfile(rows=rows, columns=(column,)),
    )


def _pipeline(words: list[str]) -> Any:
    from sklearn.pipeline import Pipeline

    from windsock.training.preprocessing import build_preprocessing

    field = InputField(name="x", kind=ColumnKind.CATEGORY)
    frame = pd.DataFrame({"x": pd.Series(words, dtype=object)})
    return Pipeline([("preprocessing", build_preprocessing([field], "linear"))]).fit(frame)


def frame_of(words: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(words, dtype=object)})


def test_new_names_are_no_surprise_where_most_words_stood_once() -> None:
    names = {f"name {number}": 1 for number in range(80)}
    held_out = frame_of([f"new {number}" for number in range(80)] + ["a"] * 20)
    assert understood_rows(held_out, champion({**names, "a": 20}), np.zeros(100)).rows is None


def test_words_that_the_profile_does_not_name_are_known_by_the_encoder() -> None:
    words = [f"w{number}" for number in range(1100)]
    bundle = champion(dict.fromkeys(words[:1000], 6), other=500, words=words * 2)
    assert seen_words(bundle, "x") == set(words)
    assert understood_rows(frame_of(words), bundle, np.zeros(len(words))).rows is None
    respelled = frame_of([word.upper() for word in words])
    with pytest.raises(Exception, match=r"1,100 of 1,100 held-out rows have words .* limit 50%"):
        understood_rows(respelled, bundle, np.zeros(len(words)))


def test_too_few_rows_and_a_class_that_is_gone_are_errors() -> None:
    bundle = champion({"a": 50, "b": 50})
    with pytest.raises(Exception, match="9 are left, at least 10 needed"):
        understood_rows(frame_of(["new"] * 9 + ["a"] * 9), bundle, np.zeros(18))
    classes = LoadedBundle(
        **{**vars(bundle), "schema": bundle.schema.replace(answer=Answer.CLASS, classes=("n", "y"))}
    )
    truth = np.array(["y"] * 8 + ["n"] * 12)
    with pytest.raises(Exception, match="the others lack a class"):
        understood_rows(frame_of(["new"] * 8 + ["a"] * 12), classes, truth)


def test_a_missing_value_is_no_unseen_word() -> None:
    bundle = champion({"a": 50, "7": 50})
    assert understood_rows(frame_of([None] * 50 + ["a", 7.0]), bundle, np.zeros(52)).rows is None
