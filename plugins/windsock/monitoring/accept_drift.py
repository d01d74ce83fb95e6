"""Drift that a person accepts: the rows that come now are what windows are held against from then on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from windsock.door import looked_at_anew
from windsock.exceptions import MonitoringError, UnverifiedBundleError
from windsock.monitoring.accepted_alerts import end_alerts
from windsock.monitoring.accepted_profile import judge_against, profile_rows
from windsock.monitoring.accepted_reference import read_document
from windsock.ports import LoadedBundle, Ports
from windsock.records import (
    Champion,
    LedgerAction,
    LedgerEntry,
    LedgerRow,
    Span,
    Status,
    WindowVerdict,
)
from windsock.records.accepted_drift import AcceptedDrift, acceptance_of, accepted_windows
from windsock.records.stretches import open_stretch
from windsock.spec import ModelSpec, canonical_json

if TYPE_CHECKING:
    from windsock.monitoring.drift_verdict import WindowJudgement

log = logging.getLogger(__name__)

NOTHING_CODE = "WS-MONITORING-115"
ROWS_CODE = "WS-MONITORING-116"
FOLDER = "accepted_drift"


def accept_drift(spec: ModelSpec, ports: Ports, *, actor: str, reason: str) -> AcceptedDrift:
    """Make the rows of the open stretch of drift what later windows of the version are held against.

    Their profile is a signed document, and its digest is in a row of the ledger. Performance is untouched,
    and another version has its own profile again. Where drift goes on changing, the latest windows of the
    stretch alone are taken: those that its last window is like.

    :param actor: the person who accepts it, as the ledger names them.
    :param reason: why, for the ledger.
    :returns: what is accepted, as it was read back.
    :raises MonitoringError: if no drift of the version that serves is there to be accepted, or its rows are
        too few to hold windows against.
    :raises VerdictError: if rows of the ledger are missing.
    :raises StorageError: if the log cannot be read, or the document not be written.
    """
    champion = ports.ledger.champion(spec.name)
    if champion is None:
        raise _nothing(spec.name, "no version serves, so nothing can have drifted from it")
    bad = _bad_windows(spec.name, ports, champion)
    bundle = ports.bundles.describe(champion.bundle_uri, champion.digest)
    accepted = _reference(spec, ports, bundle, champion, bad)
    content = canonical_json(accepted.model_dump(mode="json")).encode()
    digest = hashlib.sha256(content).hexdigest()
    uri = f"{FOLDER}/{spec.name}/{digest}.json"
    ports.bundles.put_document(uri, content)
    stands = read_document(ports, uri, digest)
    row = looked_at_anew(
        lambda: _write(ports, champion, stands, uri=uri, digest=digest, actor=actor, reason=reason),
        model=spec.name,
    )
    end_alerts(
        spec, ports, "drift".__eq__, f"{actor} has accepted this drift, row {row.seq} of the ledger: {reason}"
    )
    log.info("%s: row %d of the ledger accepts the drift of version %s", spec.name, row.seq, champion.version)
    return stands


def _nothing(model: str, what: str) -> MonitoringError:
    return MonitoringError(
        f"{model}: {what}",
        code=NOTHING_CODE,
        next_action=f"`windsock monitor {model}` shows the judged windows; accept drift while they fail.",
    )


def _bad_windows(model: str, ports: Ports, champion: Champion) -> list[WindowVerdict]:
    """Return the windows of the open stretch of drift from the version that serves.

    What was accepted already is not accepted again, unless its document is not there any more as it was
    signed: then the same windows are.

    :raises MonitoringError: if there are none.
    """
    now = ports.now()
    own = [one for one in ports.monitor.windows(model, "drift") if one.digest == champion.digest]
    row = acceptance_of(ports.ledger.rows(model), champion.digest, now=now)
    if row is not None:
        until = accepted_windows(row).end
        is_there = _is_there(ports, row)
        own = [one for one in own if (one.window.end > until) == is_there]
    stretch = open_stretch(own, "drift", now=now)
    if stretch is not None:
        return [
            one
            for one in own
            if one.status is Status.FAIL and stretch.span.start <= one.window.start and one.window.end <= now
        ]
    accepted = f" since {row.actor} has accepted it (row {row.seq} of the ledger)" if row else ""
    raise _nothing(model, f"version {champion.version} shows no drift{accepted}, so there is none to accept")


def _is_there(ports: Ports, row: LedgerRow) -> bool:
    try:
        read_document(ports, row.body["profile_uri"], row.body["profile_digest"])
    except UnverifiedBundleError as error:
        log.warning("%s: row %d is accepted anew: %s", error.code, row.seq, error.message)
        return False
    return True


def _reference(
    spec: ModelSpec, ports: Ports, bundle: LoadedBundle, champion: Champion, bad: Sequence[WindowVerdict]
) -> AcceptedDrift:
    """Return the profile of the windows, of as many of the latest ones as the last of them is like.

    :raises MonitoringError: if the last window cannot be held against their rows.
    """
    last = bad[-1].window
    while True:
        span = Span(start=bad[0].window.start, end=last.end)
        found = profile_rows(spec, ports, bundle, span)
        if found is None:
            raise _too_few(spec, champion, span, "the log has too few rows of it there")
        profile, unread = found
        verdict = judge_against(spec, ports, bundle, profile, last)
        if verdict.status is not Status.FAIL or len(bad) == 1:
            break
        bad = bad[-(len(bad) // 2) :]
    if verdict.status is not Status.PASS:
        raise _too_few(spec, champion, span, _why(verdict))
    return AcceptedDrift(
        model=spec.name,
        version=champion.version,
        digest=champion.digest,
        windows=span,
        rows=profile.rows,
        profile=profile,
        unread=unread,
    )


def _why(verdict: WindowJudgement) -> str:
    return f"held against them the last window itself is {verdict.status.value}: {verdict.reason}"


def _too_few(spec: ModelSpec, champion: Champion, span: Span, why: str) -> MonitoringError:
    return MonitoringError(
        f"{spec.name}: the rows that version {champion.version} answered from {span.start:%Y-%m-%d %H:%M} to "
        f"{span.end:%Y-%m-%d %H:%M} UTC cannot be what windows are held against: {why}",
        code=ROWS_CODE,
        next_action="Accept the drift again once more windows have failed; where the log is gone, a retrain "
        "makes a version with a profile of its own.",
    )


def _write(
    ports: Ports,
    champion: Champion,
    accepted: AcceptedDrift,
    *,
    uri: str,
    digest: str,
    actor: str,
    reason: str,
) -> LedgerRow:
    rows = ports.ledger.rows(champion.model)
    serving = ports.ledger.champion(champion.model)
    if serving is None or serving.digest != champion.digest:
        raise _nothing(champion.model, f"version {champion.version} does not serve any more")
    windows = accepted.windows.model_dump(mode="json")
    entry = LedgerEntry(
        model=champion.model,
        action=LedgerAction.ACCEPT_DRIFT,
        epoch=0,
        version=champion.version,
        digest=champion.digest,
        actor=actor,
        body={
            "profile_uri": uri,
            "profile_digest": digest,
            "rows": accepted.rows,
            "windows": windows,
            "requester": actor,
            "reason": reason,
        },
    )
    return ports.ledger.append(entry, after_seq=rows[-1].seq if rows else 0)
