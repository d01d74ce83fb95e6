"""A window's verdict told: gauges for Prometheus, a report for people. Nothing here can lose the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from windsock.exceptions import WindsockError
from windsock.monitoring.drift_rows import Samples
from windsock.ports import MODEL_VERSION, NOTE, Distribution, Ports, RunDraft
from windsock.records import DriftReport, InputSchema, Status
from windsock.texts import inline

CODE = "WS-MONITORING-029"
REPORT_FILE = "drift/report.html"
RECORD_FILE = "drift/verdict.json"
MOST_GAUGES = 500
"""Features that are told to Prometheus; beyond it, those that moved most."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What became of telling.

    :param report_uri: where people find the HTML report.
    :param run_id: the tracking run that holds it.
    """

    findings: tuple[str, ...] = ()
    report_uri: str | None = None
    run_id: str | None = None

    def __add__(self, other: Told) -> Told:
        return Told(
            findings=self.findings + other.findings,
            report_uri=self.report_uri or other.report_uri,
            run_id=self.run_id or other.run_id,
        )


def tell_gauges(report: DriftReport, ports: Ports) -> Told:
    """Set the gauges ``data_drift_score`` (PSI of each feature) and ``ml_drift_ratio``.

    What a judged window has no value of is cleared.
    """
    if report.status not in (Status.PASS, Status.FAIL):
        return Told()
    moved = sorted(
        ((column.psi, column.name) for column in report.columns if column.psi is not None), reverse=True
    )
    samples: dict[str, list[tuple[dict[str, str], float]]] = {
        "data_drift_score": [({"feature": name}, psi) for psi, name in moved[:MOST_GAUGES]],
        "ml_drift_ratio": [] if report.drift_ratio is None else [({}, report.drift_ratio)],
    }
    try:
        ports.gauges.set(report.model, samples)
    except WindsockError as error:
        return Told(findings=(f"{CODE} the server's gauges were not set: {error.code} {error}",))
    return Told()


def write_report(
    report: DriftReport,
    ports: Ports,
    schema: InputSchema,
    samples: Callable[[], Samples],
    shown: Callable[[], Sequence[Distribution]] = tuple,
) -> Told:
    """Write the HTML report of a drifted window to a tracking run of its own, with the verdict beside it.

    The verdict is in it whatever else fails. The run is found again by the window and the version: a second
    try makes no second one.

    :param samples: gives the rows that the other tool's report is made of.
    :param shown: gives the distributions that are drawn.
    """
    findings: tuple[str, ...] = ()
    other, why = None, ""
    files = {RECORD_FILE: report.model_dump_json(indent=2).encode()}
    try:
        rows = samples()
        other = ports.reporter.html(rows.reference, rows.current, schema)
    except Exception as error:
        why = _failed("the report of another method was not written", error)
        findings = (why,)
    try:
        files[REPORT_FILE] = ports.reporter.page(report, shown(), other=other, why=why)
    except Exception as error:
        findings = (*findings, _failed("the drift report was not written", error))
    try:
        run_id = ports.tracker.record_run(_draft(report, files))
        link = ports.tracker.artifact_link(report.model, run_id, REPORT_FILE)
    except Exception as error:
        return Told(findings=(*findings, _failed("the drift report is not in the tracker", error)))
    if REPORT_FILE not in files:
        return Told(findings=findings, run_id=run_id)
    return Told(findings=findings, report_uri=link or f"runs:/{run_id}/{REPORT_FILE}", run_id=run_id)


def _failed(what: str, error: Exception) -> str:
    told = f"{error.code} {error}" if isinstance(error, WindsockError) else type(error).__name__
    return f"{CODE} {what}: {told}"


def _draft(report: DriftReport, files: dict[str, bytes]) -> RunDraft:
    window = f"{report.window.start:%Y-%m-%dT%H:%M:%SZ}/{report.window.end:%Y-%m-%dT%H:%M:%SZ}"
    numbers = {"drift_score": report.drift_score, "drift_ratio": report.drift_ratio}
    told = {name: value for name, value in numbers.items() if value is not None}
    return RunDraft(
        key=f"drift:{report.model}:{report.digest[:16]}:{window}:{report.method}",
        model=report.model,
        run_name=f"{report.model} drift {report.window.end:%Y-%m-%d %H:%M}",
        metrics={"rows": float(report.rows), "drifted": float(len(report.drifted)), **told},
        tags={
            "windsock.kind": "drift",
            "windsock.model": report.model,
            MODEL_VERSION: report.version,
            "windsock.bundle": report.digest,
            "windsock.status": report.status.value,
            "windsock.window": window,
            "windsock.severity": report.severity.value,
            NOTE: f"{report.status.value}, severity {report.severity.value}: {inline(report.reason)}",
        },
        files=files,
    )
