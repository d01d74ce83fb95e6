"""A log whose answers mean the contrary from some time on: a concept that has flipped."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from support.builders import digest
from support.fakes import FakeRows
from support.retraining import DAY, MIDNIGHT
from windsock import records as r
from windsock.ports import LabelledRows

FLIP = MIDNIGHT + 5 * DAY + timedelta(hours=6)
"""On the sixth day."""


def history(
    days: int = 7,
    *,
    a_day: int = 200,
    flip: datetime | None = FLIP,
    positives: float = 0.5,
    late: timedelta = timedelta(hours=1),
    labelled: bool = True,
    seed: int = 7,
) -> pd.DataFrame:
    """Return answers of a model whose scores mean the contrary from some time on, with their labels."""
    chance = np.random.default_rng(seed)
    count = days * a_day
    received = pd.Series(pd.to_datetime([MIDNIGHT + place * DAY / a_day for place in range(count)], utc=True))
    truth = chance.random(count) < positives
    right = truth if flip is None else np.where(received >= pd.Timestamp(flip), ~truth, truth)
    scores = np.clip(np.where(right, 0.75, 0.25) + chance.normal(0, 0.1, count), 0, 1)
    return pd.DataFrame(
        {
            "prediction_id": [f"p{place}" for place in range(count)],
            "unit": pd.Series([None] * count, dtype=object),
            "receive_time": received.astype("datetime64[us, UTC]"),
            "version": "1",
            "digest": digest("a"),
            "variant": "champion",
            "score": scores,
            "prediction": pd.Series((scores > 0.5).tolist(), dtype=object),
            "outcome": pd.Series(truth.tolist() if labelled else [None] * count, dtype=object),
            "truth": truth,
            "label_time": (received + late).astype("datetime64[us, UTC]"),
        }
    )


class Log(FakeRows):
    """Shows of a history what is known at a time.

    :param frame: as :func:`history` makes it.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        super().__init__()
        self.whole = frame

    def labelled(self, model: str, span: r.Span, labels: Any, **asked: Any) -> LabelledRows:
        self.asked.append(span)
        received = self.whole["receive_time"]
        own = self.whole["digest"] == (asked.get("digest") or self.whole["digest"])
        frame = self.whole[own & (received >= span.start) & (received < span.end)].copy()
        unknown = frame["label_time"] > asked["as_of"]
        frame.loc[unknown, "outcome"] = None
        frame.loc[unknown, "label_time"] = pd.NaT
        return LabelledRows(frame=frame.reset_index(drop=True))

    def serve(self, bundle: str, since: datetime, *, right: float, seed: int = 8) -> None:
        """Let another version answer from some time on, that is right in a part of the rows."""
        chance = np.random.default_rng(seed)
        own = (self.whole["receive_time"] >= pd.Timestamp(since)).to_numpy()
        truth = self.whole.loc[own, "truth"].to_numpy(dtype=bool)
        said = np.where(chance.random(len(truth)) < right, truth, ~truth)
        scores = np.clip(np.where(said, 0.75, 0.25) + chance.normal(0, 0.1, len(truth)), 0, 1)
        self.whole.loc[own, "digest"] = bundle
        self.whole.loc[own, "score"] = scores
        self.whole["prediction"] = self.whole["score"] > 0.5
