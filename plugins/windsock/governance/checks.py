"""The gate's own checks: each turns evidence into one result, pass, fail, insufficient or error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from windsock.exceptions import WindsockError
from windsock.governance.answered_classes import ANSWERED_CLASSES, ANSWERED_CODE, answered_classes
from windsock.governance.known_leaks import LEAK_SUSPECTS, LEAKS_CODE, known_leaks
from windsock.ports import Ports
from windsock.records import (
    Champion,
    CheckResult,
    GateModelInput,
    Interval,
    MetricValue,
    PairedDifference,
    Status,
)
from windsock.records.check_text import against_limit
from windsock.records.request_contract import contract_changes
from windsock.spec import ModelSpec, extension, metric_facts
from windsock.spec.registries import CHECKS
from windsock.statistics.needed import needed_text
from windsock.texts import first_of

Relation = Literal[">=", "<=", ">", "<", "=="]

DATA_VALIDATION = "data_validation"
PERFORMANCE_MINIMUM = "performance_minimum"
BASELINE_COMPARISON = "baseline_comparison"
CHAMPION_COMPARISON = "champion_comparison"
REQUEST_CONTRACT = "request_contract"
LATENCY = "latency"
MODEL_CARD = "model_card"

CODES = {
    DATA_VALIDATION: "WS-GATE-002",
    PERFORMANCE_MINIMUM: "WS-GATE-003",
    BASELINE_COMPARISON: "WS-GATE-004",
    LATENCY: "WS-GATE-005",
    CHAMPION_COMPARISON: "WS-GATE-006",
    MODEL_CARD: "WS-GATE-007",
    REQUEST_CONTRACT: "WS-GATE-016",
    ANSWERED_CLASSES: ANSWERED_CODE,
    LEAK_SUSPECTS: LEAKS_CODE,
}
EXTENSION_CODE = "WS-GATE-008"
SILENT_CODE = "WS-GATE-012"
"""Of a champion that cannot answer the new rows: nothing shows whether it is beaten."""
ALWAYS_ASKED = (REQUEST_CONTRACT, LEAK_SUSPECTS)
"""Checks that are a person's to answer, whatever ``gate.on_insufficient`` says."""
LEVEL = 0.95
ASKS_SHOWN = 5
"""So many of the sentences that a person is asked about are shown."""


class Case(NamedTuple):
    """Everything that a check may look at.

    :param step: the gate's input.
    :param champion: the version that the ledger says must be beaten; ``None`` for the first model.
    """

    step: GateModelInput
    ports: Ports
    champion: Champion | None


def required_checks(
    spec: ModelSpec,
    *,
    first_model: bool,
    silent_champion: bool = False,
    asked: bool = False,
    unanswered: bool = False,
    suspects: bool = False,
) -> tuple[str, ...]:
    """Return the names of the checks that the policy asks for; never empty.

    :param first_model: whether there is no champion to beat; a baseline takes its place.
    :param silent_champion: whether the champion cannot answer the new rows; the baseline is met as well.
    :param asked: whether the validation of the data asks a person something.
    :param unanswered: whether there are classes that the model never answered with.
    :param suspects: whether the validation of the data names what may give the target away.
    """
    names = [DATA_VALIDATION, *(f"{PERFORMANCE_MINIMUM}:{metric}" for metric in sorted(spec.gate.minimum))]
    if first_model or silent_champion or spec.gate.always_meets_baseline:
        names.append(BASELINE_COMPARISON)
    if not first_model:
        names.append(CHAMPION_COMPARISON)
    if asked or not first_model:
        names.append(REQUEST_CONTRACT)
    if unanswered:
        names.append(ANSWERED_CLASSES)
    if suspects:
        names.append(LEAK_SUSPECTS)
    names += [LATENCY, MODEL_CARD]
    # Of its own checks the gate asks for most already; the rest are other packages' words.
    always = (BASELINE_COMPARISON, ANSWERED_CLASSES, LEAK_SUSPECTS)
    further = [name for name in spec.gate.checks if name in always or name not in CHECKS]
    return tuple(dict.fromkeys([*names, *further]))


def run_check(name: str, case: Case) -> CheckResult:
    """Run one required check; an exception inside it is status error, never a pass.

    :param name: as :func:`required_checks` gives it.
    """
    own, _, metric = name.partition(":")
    code = CODES.get(own, EXTENSION_CODE)
    try:
        if own == PERFORMANCE_MINIMUM:
            return performance_minimum(case, metric)
        if own in OWN_CHECKS:
            return OWN_CHECKS[own](case)
        result = extension("checks", name)(case.step, case.ports)
        if not isinstance(result, CheckResult):
            return _error(
                name, code, f"the check answered with {type(result).__name__}, not with a CheckResult"
            )
    except WindsockError as error:
        return _error(name, code, f"the check could not be computed: {error.code}: {error.message}")
    except Exception as error:
        return _error(name, code, f"the check raised {type(error).__name__}")
    else:
        return result


def data_validation(case: Case) -> CheckResult:
    """Check that the very snapshot that the model was judged on passed every check of the data."""
    validation, evaluation = case.step.validation, case.step.evaluation
    snapshots = {validation.snapshot_digest, evaluation.snapshot_digest, evaluation.chosen.snapshot_digest}
    models = {case.step.spec.name, validation.model, evaluation.model, evaluation.chosen.model}
    code = CODES[DATA_VALIDATION]
    if len(snapshots) > 1 or len(models) > 1:
        what = "snapshots" if len(snapshots) > 1 else "models"
        return _error(DATA_VALIDATION, code, f"the validation and the evaluation are of different {what}")
    failed = validation.failed
    status = validation.status
    if status is Status.PASS and failed:
        status = Status.FAIL
    names = first_of([check.name for check in failed], 10)
    return CheckResult(
        name=DATA_VALIDATION,
        status=status,
        code=code,
        value=len(validation.checks) - len(failed),
        limit=len(validation.checks),
        relation=">=",
        message=validation.counted + (f"; not: {names}" if names else ""),
    )


def performance_minimum(case: Case, metric: str) -> CheckResult:
    """Check that the whole interval of a held-out metric is on the right side of its limit."""
    name, code = f"{PERFORMANCE_MINIMUM}:{metric}", CODES[PERFORMANCE_MINIMUM]
    limit = case.step.spec.gate.minimum[metric]
    relation: Relation = ">=" if metric_facts(metric).greater_is_better else "<="
    seen = case.step.evaluation.metric(metric)
    if seen is None or seen.value is None or seen.status is not Status.PASS:
        return _error(name, code, f"the evaluation has no value of {metric}", limit=limit, relation=relation)
    exact = metric if seen.rows is not None else None  # records of before count all rows
    return _judged(name, code, seen, metric, relation, limit, rows=seen.on(_rows(case)), metric=exact)


def baseline_comparison(case: Case) -> CheckResult:
    """Check that the model beats one that knows nothing, with the whole interval."""
    return _compared(case, BASELINE_COMPARISON, case.step.evaluation.baseline, "baseline", 0.0)


def champion_comparison(case: Case) -> CheckResult:
    """Check that the model beats the champion, or is not worse by more than the margin, on the same rows."""
    code = CODES[CHAMPION_COMPARISON]
    evaluation, champion = case.step.evaluation, case.champion
    margin = case.step.spec.gate.against_champion
    limit = 0.0 if margin == "better" else -margin.not_worse
    met = evaluation.champion.digest if evaluation.champion else None
    if champion is None or met != champion.digest:
        seen = f"version {evaluation.champion.version}" if evaluation.champion else "no champion"
        due = f"version {champion.version}" if champion else "no champion"
        what = f"the evaluation met {seen}, by the ledger it must meet {due}: evaluate again"
        return _error(CHAMPION_COMPARISON, code, what)
    if evaluation.against_champion is None:
        return _error(CHAMPION_COMPARISON, code, "the evaluation has no comparison with the champion")
    if is_silent(evaluation.against_champion):
        asks = case.step.spec.gate.on_insufficient == "ask"
        return CheckResult(
            name=CHAMPION_COMPARISON,
            status=Status.INSUFFICIENT if asks else Status.ERROR,
            code=SILENT_CODE,
            message=evaluation.against_champion.error,
        )
    return _compared(case, CHAMPION_COMPARISON, evaluation.against_champion, "champion", limit)


def is_silent(against: PairedDifference | None) -> bool:
    """Return whether a met champion could not answer: neither a difference nor a value of its own."""
    if against is None or against.opponent != "champion":
        return False
    return against.value is None and against.opponent_value is None


def request_contract(case: Case) -> CheckResult:
    """Check that the champion's clients are answered as before; a person answers for what changes.

    What the validation of the data asks a person is asked here, too.
    """
    asks = (*_contract_changes(case), *case.step.validation.asks)
    return CheckResult(
        name=REQUEST_CONTRACT,
        status=Status.INSUFFICIENT if asks else Status.PASS,
        code=CODES[REQUEST_CONTRACT],
        value=len(asks),
        limit=0,
        relation="<=",
        message=first_of(asks, ASKS_SHOWN, separator="; ")
        if asks
        else "requests that the champion answers are answered as before",
    )


def latency(case: Case) -> CheckResult:
    """Check that the prediction time per sample is within the limit."""
    measured, limit = case.step.evaluation.latency, case.step.spec.gate.latency_ms
    code = CODES[LATENCY]
    if measured.rows < 1 or measured.repeats < 1 or measured.ms_per_sample < 0:
        return _error(LATENCY, code, "the prediction time was not measured", limit=limit, relation="<=")
    value, n = measured.ms_per_sample, measured.rows * measured.repeats
    status = Status.PASS if value <= limit else Status.FAIL
    return CheckResult(
        name=LATENCY,
        status=status,
        code=code,
        value=value,
        limit=limit,
        relation="<=",
        n=n,
        message=against_limit("time per sample", value, "<=", limit, status=status, n=n, unit=" ms"),
    )


def model_card(case: Case) -> CheckResult:
    """Check that the model card says everything that a reader must know."""
    missing = case.step.evaluation.card.missing
    return CheckResult(
        name=MODEL_CARD,
        status=Status.FAIL if missing else Status.PASS,
        code=CODES[MODEL_CARD],
        value=len(missing),
        limit=0,
        relation="<=",
        message=f"missing on the model card: {', '.join(missing)}; write them under gate.card"
        if missing
        else "the model card is complete",
    )


def _contract_changes(case: Case) -> tuple[str, ...]:
    """Return what the evaluation found; where it is of an earlier release, what the two bundles say."""
    evaluation, champion = case.step.evaluation, case.champion
    if champion is None:
        return ()
    if evaluation.contract_changes is not None:
        return evaluation.contract_changes
    describe, chosen = case.ports.bundles.describe, evaluation.chosen
    theirs = describe(champion.bundle_uri, champion.digest)
    return contract_changes(theirs.schema, describe(chosen.bundle_uri, chosen.bundle_digest).schema)


OWN_CHECKS: dict[str, Callable[[Case], CheckResult]] = {
    DATA_VALIDATION: data_validation,
    BASELINE_COMPARISON: baseline_comparison,
    CHAMPION_COMPARISON: champion_comparison,
    REQUEST_CONTRACT: request_contract,
    ANSWERED_CLASSES: lambda case: answered_classes(case.step.spec, case.step.evaluation.unanswered),
    LEAK_SUSPECTS: lambda case: known_leaks(case.step.validation.suspects),
    LATENCY: latency,
    MODEL_CARD: model_card,
}


def interval_status(interval: Interval, relation: Relation, limit: float) -> Status:
    """Return pass when the whole interval is inside the limit, fail when outside, else insufficient."""
    low, high = interval.low, interval.high
    if relation in ("<=", "<"):
        low, high, limit = -high, -low, -limit
    strict = relation in ("<", ">")
    if low > limit or (low == limit and not strict):
        return Status.PASS
    if high < limit or (high == limit and strict):
        return Status.FAIL
    return Status.INSUFFICIENT


def _compared(case: Case, name: str, met: PairedDifference, opponent: str, limit: float) -> CheckResult:
    code, metric = CODES[name], case.step.spec.metric
    if met.opponent != opponent or met.metric != metric:
        return _error(
            name,
            code,
            f"the evaluation compared {met.metric} with the {met.opponent}, not {metric} with the {opponent}",
        )
    if met.error or met.value is None:
        return _error(
            name, code, met.error or f"the difference of {metric} has no value", limit=limit, relation=">"
        )
    what = f"{metric} minus the {opponent}'s"
    return _judged(name, code, met, what, ">", limit, rows=met.on(_rows(case)), note=met.note)


def _rows(case: Case) -> str:
    """Return what the rows are called that numbers are on."""
    evaluation = case.step.evaluation
    return evaluation.judged_rows if evaluation.recent_held_out else "rows"


def _judged(
    name: str,
    code: str,
    seen: MetricValue | PairedDifference,
    what: str,
    relation: Relation,
    limit: float,
    *,
    rows: str,
    metric: str | None = None,
    note: str = "",
) -> CheckResult:
    """Return the verdict on a number by its interval; where it is none, which n would do.

    :param seen: has a value.
    :param rows: what carries it, in words.
    :param metric: of a model alone; ``None`` for a difference.
    :param note: what else is to be known of the number.
    """
    value, interval = float(seen.value or 0.0), seen.interval
    aside, more = "", ""
    if interval is None:
        status, aside = Status.INSUFFICIENT, "without an interval"
        more = f"; {seen.reason}" if seen.reason else ""
    elif interval.level < LEVEL or interval.low > interval.high:
        status, aside = Status.ERROR, f"with an interval that is none of {LEVEL:.0%}"
    else:
        status = interval_status(interval, relation, limit)
        if status is Status.INSUFFICIENT:
            rising = relation in (">=", ">")
            needed = needed_text(
                metric, value, interval, limit, n=seen.n, unit=seen.unit, of=seen.on_rows, rising=rising
            )
            more = f"; {needed}"
    return CheckResult(
        name=name,
        status=status,
        code=code,
        value=value,
        limit=limit,
        relation=relation,
        interval=interval,
        n=seen.n,
        unit=seen.unit,
        message=against_limit(
            what,
            value,
            relation,
            limit,
            status=status,
            interval=None if aside else interval,
            aside=aside,
            n=rows,
        )
        + more
        + (f"; {note}" if note else ""),
    )


def _error(
    name: str, code: str, message: str, *, limit: float | None = None, relation: Relation | None = None
) -> CheckResult:
    return CheckResult(
        name=name, status=Status.ERROR, code=code, limit=limit, relation=relation, message=message
    )
