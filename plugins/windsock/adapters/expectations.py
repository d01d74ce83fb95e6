"""``GreatExpectationsEngine``: expectation suites from files, or inferred; no value comes into a message."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windsock.adapters.inferred_suite import infer_expectations, structural_part
from windsock.adapters.quiet import quiet_libraries
from windsock.adapters.storage import Storage
from windsock.exceptions import DataRefusedError, UnverifiedSnapshotError
from windsock.ports import Suite
from windsock.records import CheckResult, ColumnSchema, Status
from windsock.spec import MODEL_NAME, canonical_json, digest_of

if TYPE_CHECKING:
    import pandas as pd

PASSED, FAILED, UNDECIDED, RAISED = "WS-DATA-130", "WS-DATA-131", "WS-DATA-132", "WS-DATA-133"
MAY_BE_EMPTY = frozenset(
    {
        "expect_column_to_exist",
        "expect_column_values_to_be_null",
        "expect_column_values_to_not_be_null",
        "expect_column_values_to_be_of_type",
        "expect_column_values_to_be_in_type_list",
    }
)
"""Expectations that mean something on a column without any value."""
COUNTED = frozenset(
    {
        "expect_table_row_count_to_equal",
        "expect_table_row_count_to_be_between",
        "expect_table_column_count_to_equal",
        "expect_table_column_count_to_be_between",
        "expect_column_unique_value_count_to_be_between",
        "expect_column_proportion_of_unique_values_to_be_between",
        "expect_column_mean_to_be_between",
        "expect_column_stdev_to_be_between",
    }
)
"""Expectations whose observed number tells of many rows together; of others it may be a row's own value."""


class GreatExpectationsEngine:
    """Checks frames with Great Expectations in a context of memory: no file is written, nobody is called.

    :param expectations_dir: folder of the suites that people wrote, ``NAME.json`` each.
    :param storage: the storage root, for inferred suites.
    """

    def __init__(self, expectations_dir: Path, storage: Storage) -> None:
        self.expectations_dir = expectations_dir
        self.storage = storage

    def suite(self, model: str) -> Suite | None:
        """Return the suite that people wrote for this model, or ``None``.

        Great Expectations' own export is accepted, and the form of its versions before 1.0.

        :raises DataRefusedError: if the file is no suite, or holds no expectation.
        """
        file = self.expectations_dir / f"{model}.json"
        if not MODEL_NAME.fullmatch(model) or not file.exists():
            return None
        try:
            content = json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_constant)
        except (OSError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
            raise _no_suite(f"{file}{line}", f"it cannot be read as JSON ({type(error).__name__})") from None
        _expectations_of(content, str(file))
        return Suite(content=content, origin="file", uri=None)

    def infer(self, model: str, frame: pd.DataFrame, columns: Sequence[ColumnSchema]) -> Suite:
        """Write a suite that this frame keeps, with some room, for people to adopt and to sharpen.

        :raises StorageError: if it cannot be stored.
        """
        content = {
            "name": model,
            "expectations": infer_expectations(frame, columns),
            "meta": {"inferred": True},
        }
        path = _path(model, digest_of(content))
        pretty = json.dumps(json.loads(canonical_json(content)), indent=2, ensure_ascii=False) + "\n"
        self.storage.write_bytes(path, pretty.encode(), keep_first=True)
        return Suite(content=content, origin="inferred", uri=self.storage.uri(path))

    def accepted(self, model: str, digest: str) -> Suite | None:
        """Return the structural part of a suite that :meth:`infer` kept, or ``None``.

        :raises StorageError: if it cannot be read.
        :raises UnverifiedSnapshotError: if it is not what was written.
        """
        path = _path(model, digest)
        if not self.storage.exists(path):
            return None
        try:
            content = json.loads(self.storage.read_bytes(path).decode(), parse_constant=_no_constant)
        except ValueError:
            content = None
        if digest_of(content) != digest:
            raise UnverifiedSnapshotError(
                f"the expectation suite {self.storage.uri(path)} is not what was written",
                code="WS-DATA-158",
                next_action=(
                    "Find out who changed it and restore it; or write a suite of your own as "
                    f"include/expectations/{model}.json, which comes first."
                ),
            )
        part = {**content, "expectations": structural_part(content["expectations"])}
        return Suite(content=part, origin="accepted", uri=self.storage.uri(path), digest=digest)

    def check(self, frame: pd.DataFrame, suite: Suite) -> tuple[CheckResult, ...]:
        """Run the suite; one result for each expectation, in its order.

        :raises DataRefusedError: if an expectation is not known or its arguments are wrong.
        """
        asked = _expectations_of(suite.content, suite.uri or suite.origin)
        names = _names(asked)
        with quiet_libraries():
            expectations = [_expectation(number, entry) for number, entry in enumerate(asked)]
            try:
                results = _run(frame, expectations)
            except Exception as error:
                results = {}
                why = f"the whole suite raised {type(error).__name__}"
            else:
                why = "it gave no result"
        return tuple(
            _judge(name, entry, results[number], frame)
            if number in results
            else CheckResult(name=name, status=Status.ERROR, code=RAISED, n=len(frame), message=why)
            for number, (name, entry) in enumerate(zip(names, asked, strict=True))
        )


def _path(model: str, digest: str) -> str:
    return f"expectations/{model}/{digest}.json"


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _no_suite(place: str, why: str) -> DataRefusedError:
    return DataRefusedError(
        f"{place} is no expectation suite: {why}",
        code="WS-DATA-030",
        next_action='Write {"name": ..., "expectations": [{"type": "expect_...", "kwargs": {...}}]}.',
    )


def _expectations_of(content: Any, place: str) -> list[dict[str, Any]]:
    """Return type and arguments of each expectation."""
    listed = content.get("expectations") if isinstance(content, Mapping) else None
    if not isinstance(listed, list):
        raise _no_suite(place, "it has no list of expectations")
    if not listed:
        raise _no_suite(place, "it holds no expectation, and would pass anything")
    asked = []
    for number, entry in enumerate(listed, start=1):
        fields = entry if isinstance(entry, Mapping) else {}
        name, kwargs = fields.get("type") or fields.get("expectation_type"), fields.get("kwargs", {})
        if not isinstance(name, str) or not isinstance(kwargs, Mapping):
            raise _no_suite(place, f"expectation {number} has no type, or its kwargs are no object")
        plain = {
            key: value for key, value in kwargs.items() if key not in ("result_format", "catch_exceptions")
        }
        asked.append({"type": name, "kwargs": plain})
    return asked


def _names(asked: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a stable name for each expectation: its type, its columns, and a number where both repeat."""
    names: list[str] = []
    for entry in asked:
        kwargs = entry["kwargs"]
        columns = [str(kwargs[key]) for key in ("column", "column_A", "column_B") if key in kwargs]
        name = ":".join([entry["type"], *columns])
        same = sum(known == name or known.startswith(f"{name}#") for known in names)
        names.append(f"{name}#{same + 1}" if same else name)
    return names


def _expectation(number: int, entry: Mapping[str, Any]) -> Any:
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    try:
        return ExpectationConfiguration(
            type=entry["type"], kwargs=dict(entry["kwargs"]), meta={"windsock": number}
        ).to_domain_obj()
    except Exception as error:
        fields = (
            {".".join(map(str, fault["loc"])) for fault in error.errors()}
            if hasattr(error, "errors")
            else set()
        )
        about = f" at {', '.join(sorted(fields))}" if fields else ""
        raise DataRefusedError(
            f"expectation {number + 1}, {entry['type']!r}, cannot be used ({type(error).__name__}{about})",
            code="WS-DATA-031",
            next_action="Look it up in the gallery of Great Expectations, then mend the suite's file.",
        ) from None


def _run(frame: pd.DataFrame, expectations: Sequence[Any]) -> dict[int, Any]:
    """Return the results by the expectations' numbers; they come in an order of their own."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("windsock").add_dataframe_asset("snapshot")
    batch = asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": frame})
    # No row's value is asked for, so none can come into a message.
    form = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
    found = batch.validate(
        gx.ExpectationSuite(name="windsock", expectations=list(expectations)), result_format=form
    )
    numbered: dict[int, Any] = {}
    for result in found.results:
        asked: Any = result.expectation_config
        numbered[asked.meta["windsock"]] = result
    return numbered


def _judge(name: str, entry: Mapping[str, Any], result: Any, frame: pd.DataFrame) -> CheckResult:
    kwargs, rows = entry["kwargs"], len(frame)
    columns = [kwargs[key] for key in ("column", "column_A", "column_B") if isinstance(kwargs.get(key), str)]
    columns += [column for column in kwargs.get("column_list") or () if isinstance(column, str)]
    if gone := [column for column in columns if column not in frame.columns]:
        return CheckResult(
            name=name,
            status=Status.FAIL,
            code=FAILED,
            n=rows,
            message=f"the data has no column {', '.join(gone)}",
        )
    if raised := _raised(result.exception_info):
        return CheckResult(name=name, status=Status.ERROR, code=RAISED, n=rows, message=f"it raised {raised}")
    details = result.result or {}
    seen = _evaluated(entry["type"], details, columns, frame)
    numbers = {**_share(entry, details), **_observed(entry, details)}
    if not result.success:
        return CheckResult(name=name, status=Status.FAIL, code=FAILED, n=seen, message="not kept", **numbers)
    if seen == 0:
        why = "no value to look at: it would pass on anything"
        return CheckResult(name=name, status=Status.INSUFFICIENT, code=UNDECIDED, n=0, message=why)
    return CheckResult(name=name, status=Status.PASS, code=PASSED, n=seen, message="kept", **numbers)


def _raised(info: Mapping[str, Any] | None) -> str:
    """Return the class of what an expectation raised; its message may quote values."""
    if not info:
        return ""
    single = info if "raised_exception" in info else next(iter(info.values()))
    if not isinstance(single, Mapping):
        return str(type(single).__name__)
    if not single.get("raised_exception"):
        return ""
    last = str(single.get("exception_traceback") or "").strip().splitlines()[-1:]
    word = last[0].partition(":")[0].rpartition(".")[2].strip() if last else ""
    return word if word.isidentifier() else "an exception"


def _evaluated(name: str, details: Mapping[str, Any], columns: Sequence[str], frame: pd.DataFrame) -> int:
    """Return how many values were looked at."""
    counted = details.get("element_count")
    if counted is not None and name != "expect_column_values_to_be_null":
        return max(0, int(counted) - int(details.get("missing_count") or 0))
    if columns and name not in MAY_BE_EMPTY:
        return int(frame[list(columns)].notna().any(axis=1).sum())
    return len(frame)


def _share(entry: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the share of values that keep an expectation about each value, and its limit."""
    seen = int(details.get("element_count") or 0) - int(details.get("missing_count") or 0)
    if details.get("unexpected_count") is None or seen <= 0:
        return {}
    mostly = entry["kwargs"].get("mostly", 1.0)
    limit = float(mostly) if isinstance(mostly, (int, float)) else 1.0
    return {"value": 1 - int(details["unexpected_count"]) / seen, "limit": limit, "relation": ">="}


def _observed(entry: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the number that an expectation about all rows together saw, and the nearer limit."""
    value = details.get("observed_value")
    if entry["type"] not in COUNTED or isinstance(value, bool):
        return {}
    try:
        seen = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return {}
    if not math.isfinite(seen):
        return {}
    kwargs = entry["kwargs"]
    limits = {">=": kwargs.get("min_value"), "<=": kwargs.get("max_value"), "==": kwargs.get("value")}
    given = {relation: float(limit) for relation, limit in limits.items() if isinstance(limit, (int, float))}
    if not given:
        return {"value": seen}
    relation = min(given, key=lambda word: abs(seen - given[word]))
    return {"value": seen, "limit": given[relation], "relation": relation}
