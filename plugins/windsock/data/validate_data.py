"""``validate_data``: may this snapshot be trained on? Structure first, then the expectation suite."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.data.structure import structural_checks
from windsock.ports import Ports
from windsock.records import CheckResult, Status, ValidateDataInput, ValidationReport
from windsock.spec import digest_of


def validate_data(step: ValidateDataInput, ports: Ports, key: str) -> ValidationReport:
    """Check a snapshot's structure, then the suite that people wrote for the model, or an inferred one.

    Every check is in the report. It passes only if every check ran and passed: an empty suite, or one that
    gives no result, does not. An inferred suite is run so that people can see and adopt it; as it was made
    from these very rows, its results are remarks and no evidence.

    :raises StorageError: if the snapshot cannot be read.
    :raises UnverifiedSnapshotError: if it is not what was written.
    :raises DataRefusedError: if the suite is none.
    """
    frame = ports.snapshots.load(step.snapshot)
    checks = [*structural_checks(step.spec, step.snapshot, frame)]
    suite = ports.expectations.suite(step.spec.name)
    if suite is None:
        suite = ports.expectations.infer(step.spec.name, frame, step.snapshot.columns)
    kept = ports.expectations.check(frame, suite)
    checks.append(_suite_ran(len(kept), len(suite.content.get("expectations", ()))))
    remarks = tuple(check for check in kept if check.passed and suite.origin == "inferred")
    checks += [check for check in kept if check not in remarks]
    return ValidationReport(
        model=step.spec.name,
        snapshot_digest=step.snapshot.digest,
        status=overall_status(checks),
        checks=tuple(checks),
        remarks=remarks,
        suite_digest=digest_of(suite.content),
        suite_origin=suite.origin,
        suite_uri=suite.uri,
    )


def overall_status(checks: Sequence[CheckResult]) -> Status:
    """Return error if a check errored, else fail, else insufficient; pass if all passed, and some ran."""
    seen = {check.status for check in checks}
    for status in (Status.ERROR, Status.FAIL, Status.INSUFFICIENT):
        if status in seen:
            return status
    return Status.PASS if seen else Status.ERROR


def _suite_ran(results: int, expectations: int) -> CheckResult:
    complete = results >= max(1, expectations)
    return CheckResult(
        name="expectations_ran",
        status=Status.PASS if complete else Status.ERROR,
        code="WS-DATA-120",
        value=results,
        limit=max(1, expectations),
        relation=">=",
        message=f"{results:,} results for {expectations:,} expectations",
    )
