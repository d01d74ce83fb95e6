"""The model behind BentoML: one call of ``predict_proba`` on a DataFrame."""

from __future__ import annotations

import os
from typing import Any

import bentoml
import joblib
import pandas as pd


@bentoml.service(workers=1, traffic={"timeout": 60}, metrics={"enabled": True})
class Bench:
    """One worker, one thread, BentoML's defaults otherwise."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCH_EXPORT"])

    @bentoml.api
    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        """Answer rows."""
        return self.model.predict_proba(pd.DataFrame(rows))[:, 1].tolist()
