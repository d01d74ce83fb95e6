from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.drift_windows import count_frame, draw_frame, profile_of
from windsock.monitoring.drift_columns import Judgement
from windsock.monitoring.drift_verdict import WindowJudgement, judge_window, severity_of
from windsock.records import CheckResult, ColumnDrift, ColumnKind, Severity, Status
from windsock.spec import DriftBlock
from windsock.statistics.counting import WindowCounts

PROFILE = profile_of(draw_frame(2_000))
COUNTS = count_frame(PROFILE, draw_frame(500, 2))


def column(name: str, status: Status = Status.PASS, **fields: Any) -> ColumnDrift:
    made = {"kind": ColumnKind.NUMBER, "rows": 500, "effect": 0.02, "limit": 0.05, "psi": 0.1}
    return ColumnDrift(**{**made, "name": name, "status": status, **fields})


def judged(
    *columns: ColumnDrift, counts: WindowCounts = COUNTS, score: ColumnDrift | None = None, **rule: Any
) -> WindowJudgement:
    return judge_window(PROFILE, counts, Judgement(columns=columns, score=score), DriftBlock(**rule))


CALM, MOVED = column("age"), column("visits", Status.FAIL, effect=0.2)
FEW, BROKEN = column("plan", Status.INSUFFICIENT), column("member", Status.ERROR, effect=None)


@pytest.mark.parametrize(
    ("columns", "status"),
    [
        ((CALM, CALM), Status.PASS),
        ((CALM, MOVED), Status.FAIL),
        ((CALM, FEW), Status.PASS),
        ((FEW, FEW), Status.INSUFFICIENT),
        ((CALM, BROKEN), Status.ERROR),
        ((FEW, BROKEN), Status.ERROR),
        ((MOVED, BROKEN), Status.FAIL),
    ],
)
def test_the_columns_make_the_window(columns: tuple[ColumnDrift, ...], status: Status) -> None:
    assert judged(*columns).status is status


def test_why_names_the_worst_columns_with_their_numbers() -> None:
    found = judged(CALM, MOVED, column("income", Status.FAIL, effect=0.3))
    assert found.reason == (
        "WS-MONITORING-020 drifted columns 2, limit: below 1, n=3 columns: fail; "
        "income 0.3, limit: below 0.05: fail; visits 0.2, limit: below 0.05: fail"
    )
    assert judged(CALM, column("visits", effect=0.04)).reason == (
        "none of 2 columns drifted; the closest: visits 0.04, limit: below 0.05: pass"
    )
    many = [column(f"c{place}", Status.FAIL, effect=0.1 + place / 100) for place in range(9)]
    assert judged(*many).reason.endswith(
        "c8 0.18, limit: below 0.05: fail; c7 0.17, limit: below 0.05: fail; "
        "c6 0.16, limit: below 0.05: fail; and 6 more"
    )


def test_the_worst_columns_are_those_farthest_beyond_their_own_limit() -> None:
    drifted = [
        column("unmeasured", Status.FAIL, effect=None),
        column("unknown", Status.FAIL, effect=None, limit=None),
        column("unlimited", Status.FAIL, effect=0.5, limit=None),
        column("wide", Status.FAIL, effect=0.3, limit=0.2),
        column("narrow", Status.FAIL, effect=0.2),
    ]
    assert judged(*drifted).reason == (
        "WS-MONITORING-020 drifted columns 5, limit: below 1, n=5 columns: fail; "
        "narrow 0.2, limit: below 0.05: fail; wide 0.3, limit: below 0.2: fail; "
        "unlimited 0.5, limit: below 0: fail; and 2 more"
    )
    assert judged(*drifted[:3]).reason.endswith(
        "; unlimited 0.5, limit: below 0: fail; unmeasured without a number: fail; "
        "unknown without a number: fail"
    )


def test_the_closest_column_is_one_that_did_not_drift_and_has_a_number() -> None:
    assert judged(CALM, MOVED, columns=2).reason == (
        "1 of 2 columns drifted; the closest: age 0.02, limit: below 0.05: pass"
    )
    assert judged(MOVED, columns=2).reason == "the only column drifted"
    assert judged(column("plan", effect=None)).reason == "the only column did not drift"


@pytest.mark.parametrize(("minimum", "status"), [(500, Status.PASS), (501, Status.INSUFFICIENT)])
def test_as_many_rows_as_are_needed_are_enough(minimum: int, status: Status) -> None:
    first = judged(CALM, minimum_rows=minimum).checks[0]
    assert first == CheckResult(
        name="minimum_rows",
        status=status,
        code="WS-MONITORING-024",
        value=500,
        limit=minimum,
        relation=">=",
        n=500,
        message=f"rows 500, limit: at least {minimum}: {status.value}",
    )


def test_the_count_of_drifted_columns_is_told_against_its_limit() -> None:
    assert judged(CALM, MOVED, FEW, columns=2).checks[1] == CheckResult(
        name="drifted_columns",
        status=Status.PASS,
        code="WS-MONITORING-020",
        value=1,
        limit=2,
        relation="<",
        n=2,
        message="drifted columns 1, limit: below 2, n=2 columns: pass",
    )


def test_a_named_rule_is_told_against_its_limit_which_is_allowed() -> None:
    assert judged(CALM, MOVED, FEW, rules={"drift_ratio": 0.5}).checks[1] == CheckResult(
        name="drift_ratio",
        status=Status.PASS,
        code="WS-MONITORING-022",
        value=0.5,
        limit=0.5,
        relation="<=",
        n=2,
        message="drift_ratio 0.5, limit: at most 0.5, n=2 columns: pass",
    )


@pytest.mark.parametrize(
    ("rule", "name", "code", "limit"),
    [({}, "drifted_columns", "020", 1), ({"rules": {"drift_ratio": 0.3}}, "drift_ratio", "022", 0.3)],
)
def test_why_no_column_could_be_judged_is_told(rule: Any, name: str, code: str, limit: float) -> None:
    expected = CheckResult(
        name=name,
        status=Status.INSUFFICIENT,
        code=f"WS-MONITORING-{code}",
        limit=limit,
        message="no column could be judged",
    )
    assert judged(FEW, **rule).checks[1] == expected
    blind = column("plan", Status.INSUFFICIENT, findings=("few_reference",))
    told = "no column could be judged: too few training rows to show a large shift: plan"
    assert judged(blind, FEW, **rule).checks[1] == expected.model_copy(update={"message": told})


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (Status.FAIL, "scores 0.3, limit: below 0.05: fail; they are not distributed as on held-out rows"),
        (Status.PASS, "scores 0.3, limit: below 0.05 (so it may be chance): pass"),
    ],
)
def test_the_scores_are_told_against_their_limit(status: Status, message: str) -> None:
    assert judged(CALM, score=column("score", status, effect=0.3)).checks[-1] == CheckResult(
        name="prediction_drift",
        status=status,
        code="WS-MONITORING-023",
        value=0.3,
        limit=0.05,
        relation="<",
        n=500,
        message=message,
    )


def test_what_keeps_a_window_from_passing_is_told_against_its_limit() -> None:
    *_, uncounted, damage = judged(CALM, BROKEN, counts=replace(COUNTS, rows=475, damaged=25)).checks
    assert uncounted == CheckResult(
        name="countable_columns",
        status=Status.ERROR,
        code="WS-MONITORING-025",
        value=1,
        limit=0,
        relation="<=",
        n=2,
        message="could not be counted: member",
    )
    assert damage == CheckResult(
        name="log_damage",
        status=Status.PASS,
        code="WS-MONITORING-026",
        value=0.05,
        limit=0.05,
        relation="<=",
        n=500,
        message="damaged lines of the log 5 %, limit: at most 5 %, n=25 of 500, left out: pass",
    )


@pytest.mark.parametrize("missing", ["effect", "limit"])
def test_scores_without_a_number_or_a_limit_are_told_without_them(missing: str) -> None:
    score = column("score", Status.FAIL, **{missing: None})
    told = "WS-MONITORING-023 scores are not distributed as on held-out rows"
    assert judged(CALM, score=score).reason == told


def test_all_that_failed_is_told() -> None:
    assert judged(CALM, MOVED, score=column("score", Status.FAIL, effect=0.3)).reason == (
        "WS-MONITORING-020 drifted columns 1, limit: below 1, n=2 columns: fail; "
        "visits 0.2, limit: below 0.05: fail; scores 0.3, limit: below 0.05: fail; "
        "they are not distributed as on held-out rows"
    )


def test_so_many_columns_must_drift_as_the_spec_says() -> None:
    assert judged(CALM, MOVED, columns=2).status is Status.PASS
    assert judged(MOVED, MOVED, columns=2).status is Status.FAIL


def test_the_named_rules_decide_in_place_of_the_columns() -> None:
    columns = [column("a", psi=0.6), column("b", Status.FAIL, psi=0.1), column("c", psi=None)]
    score = judged(*columns, rules={"drift_score": 0.25})
    assert (score.status, score.drift_score) == (Status.FAIL, pytest.approx(0.35))
    assert score.reason == "WS-MONITORING-021 drift_score 0.35, limit: at most 0.25, n=3 columns: fail"
    assert [check.name for check in score.checks] == ["minimum_rows", "drift_score"]
    assert judged(*columns, rules={"drift_score": 0.4}).status is Status.PASS
    ratio = judged(*columns, rules={"drift_ratio": 0.3})
    assert (ratio.status, ratio.drift_ratio) == (Status.FAIL, pytest.approx(1 / 3))
    assert ratio.checks[1].code == "WS-MONITORING-022"
    both = judged(*columns, rules={"drift_score": 0.4, "drift_ratio": 0.3})
    assert both.status is Status.FAIL


def test_the_ratio_is_of_the_columns_that_were_judged() -> None:
    assert judged(CALM, MOVED, FEW, FEW).drift_ratio == 0.5
    assert judged(FEW).drift_ratio is None
    assert judged(FEW, rules={"drift_ratio": 0.3}).status is Status.INSUFFICIENT


def test_too_few_rows_are_insufficient_whatever_the_columns_say() -> None:
    found = judged(MOVED, counts=replace(COUNTS, rows=20))
    assert (found.status, found.severity) == (Status.INSUFFICIENT, Severity.NONE)
    assert found.reason.startswith("WS-MONITORING-024 rows 20, limit: at least ")
    assert judged(FEW, counts=replace(COUNTS, rows=0)).status is Status.INSUFFICIENT


def test_a_damaged_log_does_not_pass() -> None:
    assert judged(CALM, counts=replace(COUNTS, damaged=5)).status is Status.PASS
    found = judged(CALM, counts=replace(COUNTS, damaged=100))
    assert (found.status, found.checks[-1].code) == (Status.ERROR, "WS-MONITORING-026")
    assert "n=100 of 600, left out: error" in found.reason
    assert judged(FEW, counts=replace(COUNTS, rows=0, damaged=9)).status is Status.ERROR
    assert judged(MOVED, counts=replace(COUNTS, damaged=100)).status is Status.FAIL


def test_a_column_that_cannot_be_counted_is_named() -> None:
    assert judged(CALM, BROKEN).reason == "WS-MONITORING-025 could not be counted: member"
    broken = [column(name, Status.ERROR, effect=None) for name in "abcdefghijk"]
    told = "WS-MONITORING-025 could not be counted: a, b, c, d, e, f, g, h, i, j"
    assert judged(*broken[:10]).reason == told
    assert judged(*broken).reason == f"{told} and 1 more"


def test_scores_make_a_window_fail_only_where_they_count() -> None:
    score = column("score", Status.FAIL, effect=0.3)
    found = judged(CALM, score=score)
    assert (found.status, found.severity) == (Status.FAIL, Severity.HIGH)
    assert found.reason == (
        "WS-MONITORING-023 scores 0.3, limit: below 0.05: fail; they are not distributed as on held-out rows"
    )
    assert judged(CALM, score=score, predictions=False).status is Status.PASS
    assert judged(CALM, score=column("score", Status.INSUFFICIENT)).status is Status.PASS


@pytest.mark.parametrize(
    ("effect", "importance", "severity"),
    [
        (0.06, None, Severity.LOW),
        (0.1, None, Severity.MEDIUM),
        (0.2, None, Severity.HIGH),
        (0.06, 0.3, Severity.MEDIUM),
        (0.2, 0.1, Severity.CRITICAL),
        (0.2, 0.05, Severity.HIGH),
        (0.2, 0.01, Severity.HIGH),
        (0.2, 0.001, Severity.MEDIUM),
        (0.06, 0.0, Severity.LOW),
    ],
)
def test_severity_weighs_the_effect_by_importance(
    effect: float, importance: float | None, severity: Severity
) -> None:
    calm = column("a", Status.FAIL, effect=0.05, importance=0.0)
    assert severity_of([calm, column("b", Status.FAIL, effect=effect, importance=importance)]) is severity


def test_drift_without_a_limit_is_great_and_without_an_effect_small() -> None:
    assert severity_of([column("a", Status.FAIL, limit=None)]) is Severity.HIGH
    assert severity_of([column("a", Status.FAIL, limit=0.0)]) is Severity.HIGH
    assert severity_of([column("a", Status.FAIL, effect=None)]) is Severity.LOW


def test_a_window_that_fails_without_a_drifted_column_is_of_low_severity() -> None:
    found = judged(column("a", psi=0.6), rules={"drift_score": 0.25})
    assert (found.status, found.severity) == (Status.FAIL, Severity.LOW)


def test_scores_that_do_not_count_make_nothing_more_severe() -> None:
    small, score = column("a", Status.FAIL, effect=0.06), column("score", Status.FAIL, effect=0.3)
    assert judged(small, score=score).severity is Severity.HIGH
    assert judged(small, score=score, predictions=False).severity is Severity.LOW
    assert judged(small, score=column("score", effect=0.3)).severity is Severity.LOW


def test_only_a_failed_window_is_severe() -> None:
    assert judged(CALM).severity is Severity.NONE
    assert judged(CALM, MOVED).severity is Severity.HIGH
    assert judged(CALM, MOVED, columns=2).severity is Severity.NONE
