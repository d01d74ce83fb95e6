"""``EvidentlyReporter``: the drift report that people look at."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.adapters.drift_page import drift_page
from windsock.adapters.quiet import quiet_libraries
from windsock.exceptions import MonitoringError
from windsock.ports import Distribution
from windsock.records import ColumnKind, DriftReport, InputField, InputSchema
from windsock.texts import one_line

if TYPE_CHECKING:
    import pandas as pd

CODE = "WS-MONITORING-027"
NUMBERS = (ColumnKind.NUMBER, ColumnKind.INTEGER)
MOST_CATEGORIES = 50
"""Categories drawn by name; the rarer ones of both sides are drawn together."""
OTHERS = "(others)"
LOOKALIKES = str.maketrans({"<": "\u2039", ">": "\u203a", "&": "\uff06", "$": "\uff04", "`": "\u02cb"})
"""Evidently writes names and categories into its page's script as they are, and its charts read them as HTML
or as formulas: a report for people has letters there that look the same and do nothing."""


@dataclass(frozen=True, kw_only=True)
class _Comparable:
    """What Evidently can compare.

    :param left_out: for each column that it cannot compare, or must not show: why.
    """

    reference: pd.DataFrame
    current: pd.DataFrame
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    left_out: Mapping[str, str]


class EvidentlyReporter:
    """Writes Evidently's report, and judges by its drift preset where the spec asks for it.

    One column without values makes Evidently refuse the whole report, so such columns are left out and named.
    """

    def html(self, reference: pd.DataFrame, current: pd.DataFrame, schema: InputSchema) -> bytes:
        """Return Evidently's own drift report as one HTML page.

        Sensitive fields are left out: the report shows distributions to whoever may read the tracker.

        :raises MonitoringError: if there is nothing to compare, or Evidently fails.
        """
        chosen = comparable(reference, current, schema, shown=True)
        page = _called(lambda: str(_run(chosen).get_html_str(as_iframe=False)))
        return _with_note(page, chosen).encode()

    def page(
        self, report: DriftReport, shown: Sequence[Distribution], *, other: bytes | None, why: str = ""
    ) -> bytes:
        """Return the page that people look at; see :meth:`windsock.ports.DriftReporter.page`."""
        return drift_page(report, shown, other=other, why=why)

    def drifted(
        self, reference: pd.DataFrame, current: pd.DataFrame, schema: InputSchema
    ) -> Mapping[str, tuple[bool, float]]:
        """Return for each column that Evidently can compare whether it drifted, and its statistic.

        Its defaults choose the statistic by the size of the reference: p-values up to 1,000 rows, distances
        beyond.

        :raises MonitoringError: if there is nothing to compare, or Evidently fails.
        """
        chosen = comparable(reference, current, schema, shown=False)
        told = _called(lambda: _run(chosen).dict())
        found = {}
        for metric in told["metrics"]:
            config, value = metric["config"], metric["value"]
            if "column" not in config or not isinstance(value, int | float) or not math.isfinite(value):
                continue
            threshold = float(config["threshold"])
            small = "p_value" in config["method"]
            found[config["column"]] = (bool(value < threshold if small else value >= threshold), float(value))
        return found


def comparable(
    reference: pd.DataFrame, current: pd.DataFrame, schema: InputSchema, *, shown: bool
) -> _Comparable:
    """Choose the columns that can be compared, and type them as Evidently expects.

    :param reference: training rows: numbers and booleans as floats, categories as text.
    :param current: rows of the window.
    :param shown: whether people will see it: then sensitive fields are left out.
    :raises MonitoringError: if there are none.
    """
    import pandas as pd

    sides: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    left_out: dict[str, str] = {}
    kinds: dict[str, bool] = {}
    for field in schema.fields:
        if reason := _unfit(field, (reference, current), shown=shown):
            left_out[field.name] = reason
            continue
        name = _shown_name(field.name, kinds) if shown else field.name
        kinds[name] = field.kind in NUMBERS
        typed = _typed(field, reference[field.name], current[field.name], shown=shown)
        for side, column in zip(sides, typed, strict=True):
            side[name] = column
    if not kinds:
        raise _failed("no column has values on both sides")
    return _Comparable(
        reference=pd.DataFrame(sides[0]),
        current=pd.DataFrame(sides[1]),
        numbers=tuple(name for name, is_number in kinds.items() if is_number),
        categories=tuple(name for name, is_number in kinds.items() if not is_number),
        left_out=left_out,
    )


def _shown_name(name: str, taken: Mapping[str, bool]) -> str:
    """Return a column's name for people; of two that look the same the second one has a number."""
    wanted = shown = _harmless(name)
    number = 2
    while shown in taken:
        shown, number = f"{wanted} ({number})", number + 1
    return shown


def _harmless(text: object) -> str:
    return one_line(text).translate(LOOKALIKES)


def _unfit(field: InputField, sides: Sequence[pd.DataFrame], *, shown: bool) -> str:
    """Return why a column is left out; empty if it is not."""
    if field.kind is ColumnKind.DATETIME:
        return "dates always move"
    if shown and field.sensitive:
        return "sensitive"
    for side, name in zip(sides, ("the training rows", "the window"), strict=True):
        if field.name not in side.columns:
            return f"not in {name}"
        if not side[field.name].notna().any():
            return f"no values in {name}"
    if field.kind in NUMBERS and not all(side[field.name].dtype.kind in "fiu" for side in sides):
        return "not all values are numbers"
    return ""


def _typed(field: InputField, reference: pd.Series, current: pd.Series, *, shown: bool) -> tuple[Any, Any]:
    """Return both sides of a column: floats, or text; for people, rare categories are brought together."""
    if field.kind in NUMBERS:
        return reference.astype("float64").to_numpy(), current.astype("float64").to_numpy()
    if field.kind is ColumnKind.BOOLEAN:
        words = {0.0: "false", 1.0: "true"}
        return reference.map(words).to_numpy(object), current.map(words).to_numpy(object)
    both = reference.value_counts().add(current.value_counts(), fill_value=0)
    if shown and len(both) > MOST_CATEGORIES:
        kept = both.nlargest(MOST_CATEGORIES - 1).index
        reference, current = (
            side.where(side.isna() | side.isin(kept), OTHERS) for side in (reference, current)
        )
    if shown:
        reference, current = (side.map(_harmless, na_action="ignore") for side in (reference, current))
    return reference.to_numpy(object), current.to_numpy(object)


def _run(chosen: _Comparable) -> Any:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(
        numerical_columns=list(chosen.numbers), categorical_columns=list(chosen.categories)
    )
    current, reference = (
        Dataset.from_pandas(frame, data_definition=definition) for frame in (chosen.current, chosen.reference)
    )
    return Report([DataDriftPreset()]).run(current, reference)


def _called(call: Any) -> Any:
    """Call Evidently without a line in the log.

    :raises MonitoringError: if it fails, however; its own text may hold values, so only its kind is told.
    """
    import numpy as np

    try:
        with quiet_libraries(), np.errstate(all="ignore"):
            return call()
    except Exception as error:
        raise _failed(f"Evidently failed with {type(error).__name__}") from None


def _failed(message: str) -> MonitoringError:
    return MonitoringError(
        message,
        code=CODE,
        next_action="Nothing has to be done: counts judge the window; report it if it stays so.",
    )


def _with_note(page: str, chosen: _Comparable) -> str:
    """Return a page that says what it does not show."""
    if not chosen.left_out:
        return page
    listed = "; ".join(f"{html.escape(name)} ({reason})" for name, reason in chosen.left_out.items())
    note = f'<p style="margin:1em;font-family:sans-serif">Left out: {listed}.</p>'
    head, found, rest = page.partition("<body>")
    return f"{head}{found}{note}{rest}" if found else f"{note}{page}"
