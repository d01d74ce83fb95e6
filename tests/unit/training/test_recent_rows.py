from __future__ import annotations

import numpy as np
import pytest

from support.builders import make_evaluation
from windsock.exceptions import TrainingRefusedError
from windsock.records import Evaluation, held_out_mask, rows
from windsock.training import evaluate_model as module


def marked(world, recent_rows: int, frame=None):
    """Return a world whose last rows are recent."""
    made = world(frame) if frame is not None else world()
    made.snapshot = made.ports.snapshots.put(
        made.snapshot.model_copy(update={"digest": "2" * 64, "recent_rows": recent_rows}), made.frame
    )
    return made


def test_no_recent_row_held_out_is_no_judgement_on_all(world, typed_rows):
    frame = typed_rows()
    held_out = held_out_mask(frame, world().spec)
    ordered = frame.iloc[sorted(range(len(frame)), key=lambda place: not held_out[place])]
    made = marked(world, 30, ordered.reset_index(drop=True))
    with pytest.raises(TrainingRefusedError, match="none of the 30 recent rows is held out"):
        made.evaluate(made.train())


def test_only_recent_held_out_rows_are_judged(world, monkeypatch):
    made, judged = marked(world, 200), []
    real = module.judge
    monkeypatch.setattr(
        module,
        "judge",
        lambda schema, labels, **known: judged.append(labels) or real(schema, labels, **known),
    )
    evaluation = made.evaluate(made.train())
    held_out = held_out_mask(made.frame, made.spec)
    expected = made.frame["churned"].iloc[400:][held_out[400:]]
    assert judged[0].tolist() == expected.tolist()
    assert evaluation.recent_held_out == len(expected)
    assert {metric.rows for metric in evaluation.overall} == {held_out.sum()}


def test_without_recent_rows_all_held_out_ones_are_judged(world):
    made = world()
    evaluation = made.evaluate(made.train())
    assert (evaluation.recent_held_out, evaluation.overall) == (0, ())
    assert evaluation.judged_on == "held out"


def test_an_evaluation_from_before_is_one_on_all_rows():
    content = make_evaluation().model_dump(mode="json")
    del content["recent_held_out"], content["overall"]
    assert Evaluation.model_validate(content) == make_evaluation()


def test_the_monitors_reference_is_made_of_the_recent_rows_alone(world, monkeypatch, caplog):
    monkeypatch.setattr(rows, "REFERENCE_ROWS", 100)
    made = marked(world, 200)
    held_out = held_out_mask(made.frame, made.spec, 200)
    caplog.set_level("INFO")
    trained = made.train()
    assert "reference: made of the 200 recent rows alone" in caplog.text
    profile = made.ports.bundles.load(trained.bundle_uri, trained.bundle_digest).profile
    assert profile.rows == 200 - held_out[-200:].sum()
    assert {column.rows + column.nulls for column in profile.columns} == {profile.rows}
    assert profile.performance.rows == held_out[-200:].sum()
    assert trained.rows_train == (~held_out).sum()


def test_few_recent_rows_are_no_reference(world, caplog):
    made = marked(world, 200)
    held_out = held_out_mask(made.frame, made.spec, 200)
    caplog.set_level("INFO")
    trained = made.train()
    profile = made.ports.bundles.load(trained.bundle_uri, trained.bundle_digest).profile
    assert profile.rows == (~held_out).sum()
    assert profile.performance.rows == held_out.sum()
    assert "reference: made of all rows: fewer than 500 of the 200 recent rows were trained on" in caplog.text


@pytest.mark.parametrize(("trained", "recent"), [(499, False), (500, True)])
def test_five_hundred_recent_training_rows_are_a_reference(trained, recent):
    held_out = np.r_[np.zeros(1000, dtype=bool), np.zeros(trained, dtype=bool), np.ones(50, dtype=bool)]
    mask = rows.reference_mask(held_out, trained + 50)
    assert mask.sum() == (trained + 50 if recent else held_out.size)
    assert rows.reference_mask(held_out, 0).all()
