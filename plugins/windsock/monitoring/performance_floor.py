"""The floor under a model's performance: three checks of which none may fail, and the loss they come to.

It is held against the accepted baseline, the gate's minimum, and a model that knows nothing, on the very
rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from windsock.monitoring import performance_checks as checks
from windsock.monitoring.performance_asked import LACKS, asked_of, of_its_like
from windsock.monitoring.performance_case import Case, guard
from windsock.monitoring.performance_checks import (
    CODES,
    DROP,
    KNOWS_NOTHING,
    MINIMUM,
    RELATIVE,
    interval_status,
    result,
)
from windsock.monitoring.performance_metrics import FEWEST, Usable
from windsock.records import (
    CheckResult,
    Interval,
    MetricValue,
    PairedDifference,
    Status,
    baseline_of,
)
from windsock.records.check_text import against_limit, number_text
from windsock.statistics.metrics import Scored, direction
from windsock.statistics.verdict_intervals import compare_models

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAD = 0.5
"""Of the lead that the baseline itself has over a model that knows nothing, so much is asked at most."""
LEAST_ODD, ODD_SHARE = 3, 0.002
"""So many rows may be odd ones; the larger of a number and a share."""
BY_CLASS = ("roc_auc", "balanced_accuracy")
"""Metrics on which knowing nothing is worth the same whatever the classes' shares; the first there is."""


def judge_floor(case: Case, name: str) -> None:
    """Hold a realised metric against all that is asked of it; note the loss among the numbers.

    :param name: the judged metric.
    """
    block, found = case.step.spec.monitoring.performance, case.realised
    case.baseline = baseline_of(case.ledger, name)
    asked, source = of_its_like(case, name, *asked_of(case, name))

    is_lacking = asked is None and case.baseline is not None
    if is_lacking:
        case.numbers[f"{LACKS}:{name}"] = 1.0

    def drop() -> CheckResult:
        return checks.performance_drop(
            name,
            found.metric(name),
            asked,
            block,
            undefined=name in found.undefined,
            source=source,
            lacking=source if is_lacking else "",
        )

    guard(case, f"{DROP}:{name}", CODES[DROP], drop)
    for metric, limit in sorted(case.step.spec.gate.minimum.items()):
        guard(case, f"{MINIMUM}:{metric}", CODES[MINIMUM], partial(_minimum, case, metric, limit))
    guard(case, f"{KNOWS_NOTHING}:{name}", CODES[KNOWS_NOTHING], lambda: _knows_nothing(case, name, asked))
    loss = loss_of(case.checks, name, asked)
    if loss is not None:
        case.numbers[f"{checks.LOSS}:{name}"] = loss


def _minimum(case: Case, name: str, limit: float) -> CheckResult:
    """Check that a realised metric is not worse than what the gate lets in."""
    check, realised = f"{MINIMUM}:{name}", case.realised.metric(name)
    rising = direction(name) > 0
    if realised is None or realised.value is None:
        rows = realised.on_rows if realised else 0
        message = f"{name} is not defined by {rows:,} labelled rows"
        return result(check, Status.INSUFFICIENT, message, n=rows)
    relation, interval = ">=" if rising else "<=", realised.interval
    status = Status.INSUFFICIENT if interval is None else interval_status(interval, limit, least=rising)
    return result(
        check,
        status,
        against_limit(
            name,
            realised.value,
            relation,
            limit,
            status=status,
            interval=interval,
            aside=_aside(interval),
            about="gate.minimum",
            n=realised.on("labelled rows"),
        ),
        value=realised.value,
        limit=limit,
        relation=relation,
        interval=realised.interval,
        n=realised.n,
        unit=realised.unit,
    )


def _knows_nothing(
    case: Case, name: str, asked: MetricValue | None, *, otherwise: float = 0.0
) -> CheckResult:
    """Check that the answers are better than those of a model that knows nothing, on the same rows.

    The margin is the drop that is allowed, but at most half of what the baseline itself is ahead: a model
    that is useful by little is not asked for more than was accepted. Where the rows themselves make knowing
    nothing so good that an allowed drop takes the baseline's lead, such as with few positives, a failure must
    show in a metric that does not go by the classes' shares as well.

    :param otherwise: the margin where the baseline has no value of the metric.
    """
    check, usable = f"{KNOWS_NOTHING}:{name}", case.realised.usable.get(name)
    rows = int(usable.scored.truth.size) if usable else 0
    if usable is None or not rows or name in case.realised.undefined:
        return result(check, Status.INSUFFICIENT, f"{name} is not defined by {rows:,} labelled rows", n=rows)
    if _is_one_class(usable.scored):
        message = f"{rows:,} labelled rows are of one class: who always answers it is right"
        return result(check, Status.INSUFFICIENT, message, n=rows)
    met = _against_nothing(name, usable)
    theirs = met.opponent_value if met else None
    if met is None or met.value is None or theirs is None or (name in RELATIVE and not theirs):
        message = f"{name} of a model that knows nothing is not defined by {rows:,} labelled rows"
        return result(check, Status.INSUFFICIENT, message, n=rows)
    unit = abs(theirs) if name in RELATIVE else 1.0
    value, drop = asked.value if asked else None, case.step.spec.monitoring.performance.drop
    lead = direction(name) * (value - theirs) / unit if value is not None else 0.0
    if value is not None and lead <= 0 and (why := _no_lead(case, usable.scored)):
        message = (
            f"the baseline itself ({name} {value:.4g}) is no better than a model that knows nothing "
            f"({theirs:.4g}), {why}"
        )
        return result(check, Status.INSUFFICIENT, message, n=rows)
    margin = otherwise if value is None else min(drop, max(0.0, LEAD * lead))
    ahead, interval = met.value / unit, None
    if met.interval is not None and rows >= FEWEST:
        interval = met.interval.replace(low=met.interval.low / unit, high=met.interval.high / unit)
    status = Status.INSUFFICIENT if interval is None else interval_status(interval, margin, least=True)
    if status is Status.FAIL and name in RELATIVE and not _fails_without_odd_rows(name, usable, margin):
        status = Status.INSUFFICIENT
    reported = partial(
        against_limit,
        f"lead of {name} over a model that knows nothing",
        ahead,
        ">=",
        margin,
        interval=interval,
        aside=_aside(interval),
        n=met.on("labelled rows"),
    )
    nothing = f"; of that model it is {number_text(theirs)}"
    if status is Status.FAIL and lead < drop and (other := _knows_something(case, name)) is not None:
        told = reported(status=Status.INSUFFICIENT)
        message = f"{told}{nothing}; these rows leave the baseline no room to be ahead, and {other.message}"
        return result(check, Status.INSUFFICIENT, message, n=rows)
    return result(
        check,
        status,
        f"{reported(status=status)}{nothing}",
        value=ahead,
        limit=margin,
        relation=">=",
        interval=interval,
        n=met.n,
        unit=met.unit,
    )


def _is_one_class(scored: Scored) -> bool:
    return bool(scored.classes) and bool((scored.truth == scored.truth[0]).all())


def _no_lead(case: Case, scored: Scored) -> str:
    """Return why a baseline without a lead of its own on these rows is no failure; empty: it may be one."""
    if not case.step.spec.gate.always_meets_baseline:
        return "which the gate does not ask for"
    return "" if scored.classes else "as these rows vary so little"


def _knows_something(case: Case, name: str) -> CheckResult | None:
    """Return the same check by a metric that does not go by the classes' shares, unless it fails as well."""
    other = next((one for one in BY_CLASS if one in case.realised.usable), None)
    if other is None or name in BY_CLASS:
        return None
    drop = case.step.spec.monitoring.performance.drop
    found = _knows_nothing(case, other, asked_of(case, other)[0], otherwise=drop)
    return None if found.status is Status.FAIL else found


def _against_nothing(name: str, usable: Usable) -> PairedDifference | None:
    """Return the lead over a model that knows nothing; ``None`` where a metric of another package raises."""
    theirs = knowing_nothing(name, usable.scored)
    try:
        return compare_models(name, "baseline", ours=usable.scored, theirs=theirs, units=usable.units)
    except (ValueError, TypeError, ArithmeticError, IndexError):
        return None


def _fails_without_odd_rows(name: str, usable: Usable, margin: float) -> bool:
    """Return whether the lead is too small without the rows of the largest errors as well.

    A single odd label makes every model's error the same: such rows carry both sides of the comparison, and
    no interval over rows sees it.
    """
    import numpy as np

    scored = usable.scored
    errors = np.abs(scored.truth - scored.answers)
    odd = max(LEAST_ODD, int(ODD_SHARE * errors.size))
    rest = np.ones(errors.size, dtype=bool)
    rest[np.argsort(errors)[-odd:]] = False
    part = dataclasses.replace(scored, truth=scored.truth[rest], answers=scored.answers[rest])
    met = _against_nothing(name, Usable(part, usable.units.part(rest)))
    if met is None or met.interval is None or not met.opponent_value:
        return False
    unit = abs(met.opponent_value)
    lead = met.interval.replace(low=met.interval.low / unit, high=met.interval.high / unit)
    return interval_status(lead, margin, least=True) is Status.FAIL


def knowing_nothing(name: str, scored: Scored) -> Scored:
    """Return the answers of a model that knows nothing but the target of these very rows.

    The classes' shares and the largest class; of numbers the mean, for mae the median.
    """
    import numpy as np

    rows = scored.truth.size
    if not scored.classes:
        middle = np.median(scored.truth) if name == "mae" else np.mean(scored.truth)
        return dataclasses.replace(scored, answers=np.full(rows, float(middle)))
    counts = np.bincount(scored.truth.astype(np.int64), minlength=scored.classes)
    answers: NDArray[np.float64] = np.zeros((rows, 0))
    if scored.answers.shape[1]:
        answers = np.tile(counts / rows, (rows, 1))
    return dataclasses.replace(scored, answers=answers, predicted=np.full(rows, int(np.argmax(counts))))


def loss_of(made: Sequence[CheckResult], name: str, asked: MetricValue | None) -> float | None:
    """Return how far a metric is below the highest of what is asked of it; negative: it is above all.

    In the metric's unit; of rmse and mae as a share.
    """
    kept = {check.name: check for check in made if check.value is not None}
    found = []
    if (drop := kept.get(f"{DROP}:{name}")) is not None:
        found.append(drop.value)
    if (least := kept.get(f"{MINIMUM}:{name}")) is not None and least.limit is not None:
        base = asked.value if asked is not None and asked.value else least.limit
        unit = abs(base) or 1.0 if name in RELATIVE else 1.0
        found.append(direction(name) * (least.limit - (least.value or 0.0)) / unit)
    if (nothing := kept.get(f"{KNOWS_NOTHING}:{name}")) is not None and nothing.limit is not None:
        found.append(nothing.limit - (nothing.value or 0.0))
    return max((one for one in found if one is not None), default=None)


def _aside(interval: Interval | None) -> str:
    return "" if interval else "without an interval"
