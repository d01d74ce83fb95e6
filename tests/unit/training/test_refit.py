from __future__ import annotations

import numpy as np
import pytest

from windsock.exceptions import TrainingRefusedError
from windsock.records.rows import held_out_mask
from windsock.training.refit import refit


@pytest.fixture
def champion(world):
    """A world with a trained version, and that version's bundle."""
    made = world()
    trained = made.train()
    return made, made.ports.bundles.load(trained.bundle_uri, trained.bundle_digest)


def mixed(made, rows, *, recent):
    """Return rows with recent ones at their end, and what they are."""
    import pandas as pd

    frame = pd.concat([made.frame, rows], ignore_index=True)
    return frame, made.snapshot.model_copy(update={"rows": len(frame), "recent_rows": recent})


def opposite(typed_rows, rows=1500):
    frame = typed_rows(rows, seed=9)
    frame["customer_id"] = [f"n{number:05d}" for number in range(rows)]
    frame["churned"] = ~frame["churned"]
    return frame


def test_what_is_new_is_learned_and_beats_the_champion(champion, typed_rows):
    made, bundle = champion
    frame, snapshot = mixed(made, opposite(typed_rows), recent=1500)
    result = refit(bundle, bundle, frame, snapshot, made.spec, digest="f" * 64)
    held_out = held_out_mask(frame, made.spec, 1500)
    assert result.rows == int((~held_out).sum())
    assert result.judged == int(held_out[-1500:].sum())
    assert result.beats(0.0)
    assert result.against.value > 0.2
    assert not result.beats(0.9)
    made_bundle = result.bundle
    assert made_bundle.digest == "f" * 64
    assert made_bundle.schema.fields == bundle.schema.fields
    assert made_bundle.profile.rows == 1500 - result.judged
    assert made_bundle.profile.performance is not None


def test_the_same_parameters_and_the_champion_untouched(champion, typed_rows):
    made, bundle = champion
    frame, snapshot = mixed(made, opposite(typed_rows), recent=1500)
    before = bundle.pipeline[-1].coef_.copy()
    result = refit(bundle, bundle, frame, snapshot, made.spec, digest="f" * 64)
    assert np.array_equal(bundle.pipeline[-1].coef_, before)
    assert result.bundle.pipeline is not bundle.pipeline
    assert result.bundle.pipeline[-1].get_params() == bundle.pipeline[-1].get_params()


def test_the_same_rows_beat_nothing(champion):
    made, bundle = champion
    result = refit(bundle, bundle, made.frame, made.snapshot, made.spec, digest="f" * 64)
    assert result.against.value == pytest.approx(0, abs=1e-9)
    assert not result.beats(0.0)
    assert result.beats(-0.05)
    assert not result.beats(-0.01)  # 59 positives alike do not show that no other is ranked differently


def test_the_gates_minimums_are_kept_with_the_whole_interval(world):
    made = world(gate={"minimum": {"roc_auc": 0.99, "accuracy": 0.1}})
    trained = made.train()
    bundle = made.ports.bundles.load(trained.bundle_uri, trained.bundle_digest)
    result = refit(bundle, bundle, made.frame, made.snapshot, made.spec, digest="f" * 64)
    assert len(result.missed) == 1
    assert result.missed[0].startswith("roc_auc 0.")
    assert result.missed[0].partition(": ")[2].startswith("at least 0.99: ")


def test_rows_of_one_side_alone_are_refused(champion):
    made, bundle = champion
    held_out = held_out_mask(made.frame, made.spec)
    for rows in (made.frame[held_out], made.frame[~held_out]):
        with pytest.raises(TrainingRefusedError) as caught:
            refit(bundle, bundle, rows.reset_index(drop=True), made.snapshot, made.spec, digest="f" * 64)
        assert caught.value.code == "WS-TRAINING-008"


def test_without_minimums_the_baseline_is_met_as_at_the_gate(champion, typed_rows):
    made, bundle = champion
    frame, snapshot = mixed(made, opposite(typed_rows), recent=1500)
    better = refit(bundle, bundle, frame, snapshot, made.spec, digest="f" * 64)
    assert better.missed == ()
    noise = opposite(typed_rows)
    noise["churned"] = np.random.default_rng(3).permutation(noise["churned"].to_numpy())
    frame, snapshot = mixed(made, noise, recent=1500)
    for gate, asked in (({}, True), ({"minimum": {"accuracy": 0.0}}, False)):
        spec = made.spec.replace(gate=made.spec.gate.replace(**gate))
        result = refit(bundle, bundle, frame, snapshot, spec, digest="f" * 64)
        told = [one for one in result.missed if "minus that of a model that knows nothing" in one]
        assert bool(told) is asked
        assert spec.gate.always_meets_baseline is asked
