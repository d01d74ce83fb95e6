"""``gate_model``: let nothing through without evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from windsock.governance.checks import (
    ALWAYS_ASKED,
    BASELINE_COMPARISON,
    CHAMPION_COMPARISON,
    SILENT_CODE,
    Case,
    is_silent,
    required_checks,
    run_check,
)
from windsock.governance.decisions import keep_decision
from windsock.ports import Ports
from windsock.records import (
    Champion,
    CheckResult,
    GateDecision,
    GateModelInput,
    LedgerAction,
    Outcome,
    Status,
    champion_by,
)
from windsock.records.check_text import first_checks

SHOWN = 3


class Judgement(NamedTuple):
    """What the checks come to.

    :param asks: insufficient checks that a person is asked about.
    :param reason: one sentence: what decided.
    """

    outcome: Outcome
    asks: tuple[str, ...]
    reason: str


def gate_model(step: GateModelInput, ports: Ports, key: str) -> GateDecision:
    """Run the checks that the policy asks for, decide, and keep the decision with its evidence.

    :raises TrackingUnavailableError: if MLflow does not answer.
    :raises DatabaseUnavailableError: if the ledger does not answer: this is never "no champion".
    """
    champion = opponent_by_ledger(step, ports)
    first_model = champion is None and step.evaluation.champion is None
    silent = is_silent(step.evaluation.against_champion)
    asked = bool(step.validation.asks)
    required = required_checks(
        step.spec,
        first_model=first_model,
        silent_champion=silent,
        asked=asked,
        unanswered=bool(step.evaluation.unanswered),
        suspects=bool(step.validation.suspects),
    )
    case = Case(step, ports, champion)
    checks = tuple(run_check(name, case) for name in required)
    judgement = decide(required, checks, step.spec.gate.on_insufficient)
    reason = judgement.reason
    if step.evaluation.recent_held_out and judgement.outcome is Outcome.PROMOTE:
        reason += f"; judged {step.evaluation.judged_on}"
    decision = GateDecision(
        model=step.spec.name,
        outcome=judgement.outcome,
        required=required,
        checks=checks,
        first_model=first_model,
        asks=judgement.asks,
        policy_digest=step.spec.section_digest("gate"),
        snapshot_digest=step.evaluation.snapshot_digest,
        bundle_digest=step.evaluation.chosen.bundle_digest,
        run_id=step.evaluation.chosen.run_id,
        reason=reason,
        decided_at=ports.now(),
        validation=step.validation,
        requested_by=step.run.requested_by,
        opponent=step.evaluation.champion.digest if step.evaluation.champion else None,
    )
    return decision if step.dry_run else keep_decision(step, decision, ports, key)


def opponent_by_ledger(step: GateModelInput, ports: Ports) -> Champion | None:
    """Return the champion that this model must have met; ``None`` for the first model.

    Where the model is the champion already, it is the one that it replaced (the evaluation that made it
    champion stands), or itself (it was evaluated again, and does not beat itself).
    """
    champion, met = ports.ledger.champion(step.spec.name), step.evaluation.champion
    if champion is None or champion.digest != step.evaluation.chosen.bundle_digest:
        return champion
    if met is not None and met.digest == champion.digest:
        return champion
    rows = ports.ledger.rows(step.spec.name)
    commits = [row for row in rows if row.action is LedgerAction.COMMIT and row.digest == champion.replaced]
    return champion_by(commits[-1]) if commits else None


def decide(
    required: Sequence[str], checks: Sequence[CheckResult], on_insufficient: Literal["refuse", "ask"]
) -> Judgement:
    """Decide by the checks alone.

    Promote only if the checks that ran are exactly the required ones and each passed; with ``ask``, a check
    without enough evidence is handed to a person instead. A champion that is not beaten is kept; one that
    cannot answer the new rows is a person's to replace, by a model that beats the baseline. A changed request
    contract, and what may give the target away, is always a person's to answer for.

    :param required: names that the policy asks for.
    :param checks: the results.
    :param on_insufficient: what an insufficient check means.
    """
    if fault := _fault_in_the_set(required, checks):
        return Judgement(Outcome.REFUSE, (), fault)
    refused = [check for check in checks if _refuses(check, on_insufficient)]
    if refused:
        return Judgement(Outcome.REFUSE, (), _told(refused))
    unbeaten = [check for check in checks if _is_champion_check(check) and not check.passed]
    if unbeaten:
        return Judgement(Outcome.KEEP, (), f"the champion is not beaten: {_told(unbeaten)}")
    asked = [check for check in checks if not check.passed]
    if asked:
        names = tuple(check.name for check in asked)
        return Judgement(Outcome.PROMOTE, names, f"a person is asked about: {_told(asked)}")
    return Judgement(Outcome.PROMOTE, (), f"all {len(checks)} required checks passed")


def _fault_in_the_set(required: Sequence[str], checks: Sequence[CheckResult]) -> str:
    names = [check.name for check in checks]
    if not required or not names:
        return "no check ran; a gate without checks lets nothing through"
    if missing := sorted(set(required) - set(names)):
        return f"required checks did not run: {', '.join(missing)}"
    if extra := sorted(set(names) - set(required)):
        return f"checks ran that the policy does not ask for: {', '.join(extra)}"
    if len(names) != len(set(names)):
        return "a check ran more than once"
    if any(check.code == SILENT_CODE for check in checks) and BASELINE_COMPARISON not in names:
        return "the champion cannot answer these rows, and the model did not meet the baseline"
    return ""


def _is_champion_check(check: CheckResult) -> bool:
    """Return whether a check says that the champion is beaten or is not."""
    return check.name == CHAMPION_COMPARISON and check.code != SILENT_CODE


def _refuses(check: CheckResult, on_insufficient: str) -> bool:
    if check.status is Status.PASS:
        return False
    if check.status in (Status.ERROR, Status.EMPTY):  # a check of the gate is never about an empty window
        return True
    if check.name in ALWAYS_ASKED:
        return check.status is Status.FAIL
    if _is_champion_check(check):
        return False
    return check.status is Status.FAIL or on_insufficient != "ask"


def _told(checks: Sequence[CheckResult]) -> str:
    return first_checks(checks, SHOWN)
