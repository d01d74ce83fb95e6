from __future__ import annotations

import pandas as pd
import pytest

from support.builders import NOON
from windsock.records import held_out_mask
from windsock.training.refit import refit


def flipped(typed_rows, rows, *, seed, name):
    """Return rows of other customers, for whom the target is the opposite."""
    frame = typed_rows(rows, seed=seed)
    frame["customer_id"] = [f"{name}{number:05d}" for number in range(rows)]
    frame["churned"] = ~frame["churned"]
    return frame


def since_onset(made, typed_rows, *, before, after):
    """Return a world's rows, recent ones like them, and last recent ones of a world that has turned."""
    recent = typed_rows(before, seed=7)
    recent["customer_id"] = [f"r{number:05d}" for number in range(before)]
    turned = flipped(typed_rows, after, seed=9, name="n")
    frame = pd.concat([made.frame, recent, turned], ignore_index=True)
    marked = {"rows": len(frame), "recent_rows": before + after, "onset_rows": after, "onset": NOON}
    return frame, made.snapshot.model_copy(update={**marked, "digest": "3" * 64})


@pytest.fixture
def champion(world):
    made = world()
    trained = made.train()
    return made, made.ports.bundles.load(trained.bundle_uri, trained.bundle_digest)


def test_few_rows_since_the_onset_are_learned_from_alone(champion, typed_rows):
    made, bundle = champion
    frame, snapshot = since_onset(made, typed_rows, before=1500, after=300)
    result = refit(bundle, bundle, frame, snapshot, made.spec, digest="f" * 64)
    held_out = held_out_mask(frame, made.spec, 1800, 300)
    assert result.learned_from.name == "onset"
    assert result.rows == result.learned_from.rows == int((~held_out[-300:]).sum())
    assert result.judged == int(held_out[-300:].sum())
    assert [one.name for one in result.learned_from.sets] == [
        "all",
        "recent",
        "recent/2",
        "onset",
    ]
    assert result.beats(0.2)
