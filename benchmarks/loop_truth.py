"""What is true of a world and seen by nobody in it: how good a model is in a state, and could be."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any

import loop_code  # noqa: F401  (before windsock: where it is imported from)
import numpy as np
from loop_rows import State, draw_rows
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from windsock.ports import LoadedBundle
from windsock.training.fitting import answer, counted_warnings
from windsock.training.preprocessing import to_features

TESTED, FITTED = 10_000, 10_000
"""Rows that a model is tested on in each state, and rows that a fresh one is fitted on."""


@lru_cache(maxsize=400)
def _rows(state: State, part: str, rows: int) -> Any:
    seed = zlib.crc32(f"{part} {state}".encode())
    return draw_rows(state, rows, np.random.default_rng(seed))


class Truth:
    """The area under the ROC curve of models in states.

    :param first: whose pipeline a fresh fit takes.
    """

    def __init__(self, first: LoadedBundle) -> None:
        self._first = first
        self._known: dict[tuple[str, State], float] = {}

    def of(self, bundle: LoadedBundle, state: State) -> float:
        """Return how good a model is."""
        key = (bundle.digest, state)
        if key not in self._known:
            self._known[key] = _area(bundle, bundle.pipeline, state)
        return self._known[key]

    def fresh(self, state: State) -> float:
        """Return how good a model is that has learned from many rows of this very state."""
        if state not in FRESH:
            rows = _rows(state, "fit", FITTED)
            features = to_features(rows, self._first.schema.fields)
            with counted_warnings():
                pipeline = clone(self._first.pipeline).fit(features, rows["churned"].to_numpy())
                FRESH[state] = _area(self._first, pipeline, state)
        return FRESH[state]


FRESH: dict[State, float] = {}
"""Of this process: states come again in other seeds."""


def _area(bundle: LoadedBundle, pipeline: Any, state: State) -> float:
    rows = _rows(state, "test", TESTED)
    names = [field.name for field in bundle.schema.fields]
    with counted_warnings():
        given = answer(pipeline, to_features(rows, bundle.schema.fields)[names])
    return float(roc_auc_score(rows["churned"].to_numpy(), given[:, 1]))
