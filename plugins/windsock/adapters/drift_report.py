"""``EvidentlyReporter``: the drift report that people look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from windsock.records import InputSchema

if TYPE_CHECKING:
    import pandas as pd


class EvidentlyReporter:
    """Writes Evidently's report, and judges by its presets where the spec asks for it."""

    def html(self, reference: pd.DataFrame, current: pd.DataFrame, schema: InputSchema) -> bytes:
        """Return the HTML report."""
        raise NotImplementedError

    def drifted(
        self, reference: pd.DataFrame, current: pd.DataFrame, schema: InputSchema
    ) -> Mapping[str, tuple[bool, float]]:
        """Return for each column whether it drifted, and its statistic."""
        raise NotImplementedError
