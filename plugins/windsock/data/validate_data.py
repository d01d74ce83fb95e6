"""``validate_data``: may this snapshot be trained on? Structure, what was accepted before, the suite."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from windsock.data.acceptance import accept
from windsock.data.accepted_documents import AcceptedStatistics, accepted_statistics
from windsock.data.contract import InForce, contract_in_force
from windsock.data.contract_checks import hold_against
from windsock.data.leaks import leak_suspects
from windsock.data.memory import memory_checks
from windsock.data.roles import listed
from windsock.data.statistics import snapshot_statistics
from windsock.data.structure import structural_checks
from windsock.exceptions import UnverifiedSnapshotError
from windsock.ports import Ports, Suite
from windsock.records import (
    CheckResult,
    ColumnRole,
    DataSnapshot,
    SnapshotStatistics,
    Status,
    ValidateDataInput,
    ValidationReport,
)
from windsock.spec import digest_of

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

CARRIED = (ColumnRole.FEATURE, ColumnRole.TARGET, ColumnRole.EVENT_TIME)
"""Columns that recent rows have from requests and labels."""
NAMING = ("column", "column_A", "column_B", "column_list", "column_set")
"""Arguments by which an expectation names columns."""


def validate_data(
    step: ValidateDataInput, ports: Ports, key: str, read: InForce | None = None
) -> ValidationReport:
    """Check a snapshot's structure, hold it against accepted snapshots, then check the expectation suite.

    Every check is in the report. It passes only if every check ran and passed: an empty suite, or one that
    gives no result, does not. The suite is the one that people wrote for the model; else what is structural
    in the last accepted snapshot's; else one that is inferred from these very rows. That one is run so that
    people can see and adopt it, but its results are remarks and no evidence.

    The snapshot is held against the data contract, too. One that passes is accepted, unless this is a dry
    run: its contract and its statistics are kept, and a row of the ledger says so. Where documents of
    accepted snapshots are lost, checks name them and a person is asked. What gives the target away is named
    where the snapshot passes; the gate asks a person about it.

    :param read: the contract in force, where it has been read for the key already.
    :raises StorageError: if the snapshot or the accepted suite cannot be read, or nothing answers.
    :raises UnverifiedSnapshotError: if the snapshot is not what was written.
    :raises DataRefusedError: if the suite, or the contract that people wrote, is none.
    :raises StaleEpochError: if another snapshot was accepted meanwhile.
    """
    frame = ports.snapshots.load(step.snapshot)
    force = read or contract_in_force(step.spec, ports, judged=step.snapshot.digest)
    compared = hold_against(force, step.spec, step.snapshot, frame)
    kept_before = accepted_statistics(force.history, ports)
    accepted = kept_before.found
    checks = [
        *structural_checks(step.spec, step.snapshot, frame, said=compared.failed, unread=compared.unread),
        *compared.checks,
    ]
    checks += _lost_documents(force, kept_before)
    suite, suite_lost = _suite(step, frame, accepted, ports)
    if suite_lost:
        checks.append(_lost("suite_lost", "WS-DATA-159", suite_lost))
    digest = suite.digest or digest_of(suite.content)
    statistics = None
    if len(frame) and not any(check.name == "column_names" and not check.passed for check in checks):
        statistics = snapshot_statistics(step.snapshot, frame, suite_digest=digest)
        used = {column.name for column in step.snapshot.columns if column.role is not ColumnRole.IGNORED}
        used -= {*compared.failed, *force.renamed}
        held = tuple(column for column in statistics.columns if column.name in used)
        judged = statistics.replace(columns=held)
        remembered = memory_checks(step.spec, judged, accepted, lost=kept_before.asks)
        # Rows of which a column could not be read look like copies of each other.
        checks += [check for check in remembered if not (compared.unread and check.name == "copies")]
    asked = _without(compared.unread, suite)
    is_left = asked is suite or asked.content["expectations"]
    kept = _run_suite(asked, frame, step.snapshot, ports) if is_left else ()
    checks.append(_suite_ran(len(kept), suite, asked, compared.unread))
    remarks = tuple(check for check in kept if check.passed and suite.origin == "inferred")
    checks += [check for check in kept if check not in remarks]
    status = overall_status(checks)
    unproven = tuple(dict.fromkeys((*force.unproven, *kept_before.asks, *filter(None, [suite_lost]))))
    if status is Status.PASS and statistics is not None and not step.dry_run:
        accept(step, ports, force, compared, frame, statistics, unproven)
    return ValidationReport(
        model=step.spec.name,
        snapshot_digest=step.snapshot.digest,
        status=status,
        checks=tuple(checks),
        remarks=remarks,
        suite_digest=digest,
        suite_origin=suite.origin,
        suite_uri=suite.uri,
        asks=(*unproven, *compared.asks),
        suspects=leak_suspects(step.spec, step.snapshot, frame) if status is Status.PASS else (),
    )


def _lost_documents(force: InForce, statistics: AcceptedStatistics) -> list[CheckResult]:
    """Name the documents that cannot be read: nothing of the data is wrong, and a person is asked."""
    said = [("contract_lost", "WS-DATA-146", force.lost), ("statistics_lost", "WS-DATA-147", statistics.lost)]
    return [_lost(name, code, message) for name, code, message in said if message]


def _lost(name: str, code: str, message: str) -> CheckResult:
    return CheckResult(name=name, status=Status.PASS, code=code, message=message)


def _suite(
    step: ValidateDataInput, frame: pd.DataFrame, accepted: Sequence[SnapshotStatistics], ports: Ports
) -> tuple[Suite, str]:
    """Return the suite that counts, and which accepted ones are not what was written; empty: none is."""
    model, there = step.spec.name, set(map(str, frame.columns))
    if (written := ports.expectations.suite(model)) is not None:
        return written, ""
    lost: list[str] = []
    for digest in dict.fromkeys(one.suite_digest for one in accepted if one.suite_digest):
        try:
            kept = ports.expectations.accepted(model, digest)
        except UnverifiedSnapshotError as error:
            log.warning("%s: %s", error.code, error.message)
            lost.append(digest)
            continue
        expectations = kept.content["expectations"] if kept else ()
        if kept and (part := [one for one in expectations if _columns_of(one) <= there]):
            return replace(kept, content={**kept.content, "expectations": part}), _suites_lost(lost, digest)
        if not lost:
            break
    return ports.expectations.infer(model, frame, step.snapshot.columns), _suites_lost(lost, None)


def _suites_lost(lost: Sequence[str], instead: str | None) -> str:
    if not lost:
        return ""
    holds = f"suite {instead[:12]} of an earlier one holds" if instead else "none of before is left"
    return f"expectation suite {lost[0][:12]} of an accepted snapshot is not what was written; {holds}"


def _run_suite(
    suite: Suite, frame: pd.DataFrame, snapshot: DataSnapshot, ports: Ports
) -> tuple[CheckResult, ...]:
    """Check the suite on all rows; what it says of columns that no request carries, on the source's rows."""
    before, asked = len(frame) - snapshot.recent_rows, suite.content.get("expectations")
    if not snapshot.recent_rows or not before or not asked:
        return ports.expectations.check(frame, suite)
    carried = {column.name for column in snapshot.columns if column.role in CARRIED}
    uncarried = {column.name for column in snapshot.columns} - carried
    of_source = [one for one in asked if _columns_of(one) & uncarried]
    of_all = [one for one in asked if not _columns_of(one) & uncarried]
    kept: list[CheckResult] = []
    for part, rows in ((of_all, frame), (of_source, frame.iloc[:before])):
        if part:
            content = {**suite.content, "expectations": part}
            kept += ports.expectations.check(rows, replace(suite, content=content))
    return tuple(kept)


def _columns_of(expectation: Any) -> set[str]:
    given = expectation.get("kwargs") if isinstance(expectation, Mapping) else None
    named = [given.get(name) for name in NAMING] if isinstance(given, Mapping) else []
    listed = [name for one in named for name in (one if isinstance(one, list | tuple) else [one])]
    return {str(name) for name in listed if name is not None}


def overall_status(checks: Sequence[CheckResult]) -> Status:
    """Return error if a check errored, else fail, else insufficient; pass if all passed, and some ran."""
    seen = {check.status for check in checks}
    for status in (Status.ERROR, Status.FAIL, Status.INSUFFICIENT):
        if status in seen:
            return status
    return Status.PASS if seen else Status.ERROR


def _without(unread: frozenset[str], suite: Suite) -> Suite:
    """Return a suite without what it says of columns whose values could not be read."""
    given = suite.content.get("expectations")
    if not unread or not given:
        return suite
    kept = [one for one in given if not _columns_of(one) & unread]
    return replace(suite, content={**suite.content, "expectations": kept})


def _suite_ran(results: int, suite: Suite, asked: Suite, unread: frozenset[str]) -> CheckResult:
    expectations = len(asked.content.get("expectations", ()))
    skipped = len(suite.content.get("expectations", ())) - expectations
    about = f"; {skipped:,} about {listed(sorted(unread))} are skipped: its values could not be read"
    complete = results >= max(0 if skipped else 1, expectations)
    return CheckResult(
        name="expectations_ran",
        status=Status.PASS if complete else Status.ERROR,
        code="WS-DATA-120",
        value=results,
        limit=max(0 if skipped else 1, expectations),
        relation=">=",
        message=f"{results:,} results for {expectations:,} expectations{about if skipped else ''}",
    )
