from __future__ import annotations

import typing

import pytest

from support.specs import HEAD, only_fault
from windsock.spec import RolloutBlock
from windsock.spec.loader import spec_from_bytes
from windsock.spec.rollout_metrics import SEEN_BY_SHADOWS, USUAL_METRICS, MetricKind


def block(text=""):
    """Return the rollout block of a model's file."""
    line = f"rollout: {{{text}}}\n" if text else ""
    return spec_from_bytes(f"{HEAD}{line}".encode(), "churn.yaml").rollout


# fmt: off
@pytest.mark.parametrize(
    ("text", "key", "problem", "allowed", "cure"),
    [
        ("strategy: blue", "strategy", "blue", "direct, canary, ab, shadow", ""),
        ("share: 0", "share", "out of range: number 0", "more than 0", ""),
        ("share: 100", "share", "out of range: number 100", "less than 100", ""),
        ("strategy: ab, share: 0.001", "share", "0.001 percent is 0 of 10,000", "0.01 to 99.99", ""),
        ("strategy: ab, share: 99.999", "share", "99.999 percent is 10,000 of", "0.01 to 99.99", ""),
        ("strategy: canary, steps: [0.001, 5]", "steps[0]", "0.001 percent is 0 of 10,000", "0.01", ""),
        ("strategy: canary, steps: [99.999]", "steps[0]", "99.999 percent is 10,000 of", "99.99", ""),
        ("strategy: canary, steps: [5, 5.001]", "steps[1]", "500 of 10,000 buckets after 500", "apart", ""),
        ("strategy: canary, metric: mean", "promote", "a canary by mean has no usual", "better", "own unit"),
        ("strategy: shadow, metric: absolute_error", "promote", "a shadow by abs", "", "promote: better"),
        ("strategy: canary, metric: m, metrics: {m: {kind: mean}}", "promote", "by m has no", "", "unit"),
        ("strategy: canary, cycle: 28d", "deadline", "cycle 28d at that, are longer", "", "leave out steps"),
        ("check: 29d", "check", "check 29d is longer than the deadline 28d", "up to 28d", ""),
        ("check: 241s", "check", "more than 10,000 looks", "242s or more", "shorten the deadline"),
        ("steps: []", "steps", "", "at least 1", ""),
        ("steps: [5, 5, 100]", "steps", "the steps do not grow", "5, 25, 50, 100", ""),
        ("steps: [50, 25]", "steps", "the steps do not grow", "5, 25, 50, 100", ""),
        ("steps: [5, 101]", "steps[1]", "101", "at most 100", ""),
        ("steps: [0, 50]", "steps[0]", "number 0", "more than 0", ""),
        ("strategy: canary, steps: [100]", "steps", "no step below 100", "", "strategy: direct"),
        ("metric: clicks", "metric", "unknown metric clicks", "ctr", ""),
        ("metric: rate", "metric", "unknown metric rate", "ctr", ""),
        ("strategy: shadow, metric: ctr", "metric", "ctr cannot be seen", "accuracy", "strategy: ab"),
        ("strategy: shadow, metric: buys, metrics: {buys: {kind: mean}}", "metric", "buys cannot", "", ""),
        ("strategy: shadow, guardrails: {mean: 1}", "guardrails.mean", "mean cannot be seen", "slow", ""),
        ("metrics: {ctr: {kind: rate}}", "metrics.ctr", "a usual name", "", "name it otherwise"),
        ("metrics: {harm: {kind: rate}}", "metrics.harm", "a usual name", "", "name it otherwise"),
        ("metrics: {buys: {kind: count}}", "metrics.buys.kind", "count", "conversion, rate, mean", ""),
        ("metrics: {buys: {}}", "metrics.buys.kind", "missing", "", "add kind"),
        ("metrics: {buys: {kind: rate, better: more}}", "metrics.buys.better", "more", "higher, lower", ""),
        ("promote: always", "promote", "always", "better", ""),
        ("promote: {not_worse: -0.1}", "promote.not_worse", "-0.1", "at least 0", ""),
        ("promote: {not_worse: 0%}", "promote.not_worse", "text '0%'", "above 0% and below 100%", ""),
        ("promote: {not_worse: 100%}", "promote.not_worse", "text '100%'", "below 100%", ""),
        ("promote: {not_worse: -5%}", "promote.not_worse", "text '-5%'", "a part of the champion's own", ""),
        ("promote: {not_worse: true}", "promote.not_worse", "true/false value true", "at least 0", ""),
        ("promote: {not_worse: few}", "promote.not_worse", "text 'few'", "at least 0", ""),
        ("promote: {not_worse: 51%}", "promote.not_worse", "more than half", "up to 50%", "confirmed: true"),
        ("promote: {not_worse: 1, confirmed: 2}", "promote.confirmed", "2", "", ""),
        ("unit_cap: 0", "unit_cap", "0", "1", ""),
        ("unit_cap: true", "unit_cap", "true", "a whole number", ""),
        ("strategy: ab, challengers: true", "challengers", "true", "a whole number", ""),
        ("alpha: 5e-324", "alpha", "number", "at least 1e-06", ""),
        ("metric: conversion, promote: {not_worse: 1e308}", "promote.not_worse", "a share", "below 1", ""),
        ("promote: {not_worse: ٢٠%}", "promote.not_worse", "out of range", "above 0% and below 100%", ""),
        ("attribution: soon", "attribution", "soon", "", ""),
        ("metrics: {m: {kind: mean, attribution: 1}}", "metrics.m.attribution", "1", "", ""),
        ("promote: {}", "promote.not_worse", "missing", "largest loss", "add not_worse"),
        ("guardrails: {clicks: 0.1}", "guardrails.clicks", "unknown metric clicks", "harm", ""),
        ("guardrails: {errors: -0.01}", "guardrails.errors", "-0.01 is below 0", "0 or more", ""),
        ("minimum_units: 1", "minimum_units", "1", "2", ""),
        ("minimum_units: 1e3", "minimum_units", "1000.0", "a whole number", ""),
        ("bake: 29d", "bake", "bake 29d is longer than the deadline 28d", "up to 28d", ""),
        ("cycle: 5w", "cycle", "cycle 5w is longer than the deadline 28d", "up to 28d", ""),
        ("horizon: 30d", "horizon", "horizon 30d is longer than the deadline 28d", "up to 28d", ""),
        ("horizon: 3d", "cycle", "cycle 7d is longer than the horizon 3d", "up to 3d", ""),
        ("check: 1s", "check", "a check each 1s", "5s or more", ""),
        ("check: soon", "check", "soon", "", ""),
        ("looks: 0", "looks", "0", "1", ""),
        ("looks: 101", "looks", "101", "100", ""),
        ("alpha: 0", "alpha", "number 0", "at least 1e-06", ""),
        ("alpha: 0.5", "alpha", "number 0.5", "less than 0.5", ""),
        ("labels: {kind: table}", "labels.kind", "need `conn_id`", "", "add `conn_id`"),
        ("approve: maybe", "approve", "maybe", "true or false", ""),
        ("stratgy: ab", "stratgy", "unknown key", "strategy", "did you mean strategy?"),
    ],
)
# fmt: on
def test_what_cannot_be_is_refused_with_its_cure(text, key, problem, allowed, cure):
    fault = only_fault(f"{HEAD}rollout: {{{text}}}")
    assert fault.key == (f"rollout.{key}" if key else "rollout")
    assert problem in fault.problem
    assert allowed in (fault.allowed or "")
    assert cure in (fault.cure or "")


def test_the_defaults():
    usual = block()
    assert (usual.strategy, usual.share, usual.steps) == ("direct", 50.0, (5.0, 25.0, 50.0, 100.0))
    assert (usual.check, usual.bake, usual.cycle, usual.deadline) == ("1h", "1h", "7d", "28d")
    assert (usual.minimum_units, usual.looks, usual.alpha) == (10_000, 20, 0.05)
    assert (usual.horizon, usual.metric, usual.pre_period, usual.labels) == (None, None, None, None)
    assert usual.approve is False


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", {"harm": 0.0, "errors": 0.01, "slow": 0.05}),
        ("guardrails: {harm: 0.02}", {"harm": 0.02, "errors": 0.01, "slow": 0.05}),
        ("guardrails: {slow: null, ctr: 0.01}", {"harm": 0.0, "errors": 0.01, "ctr": 0.01}),
        ("guardrails: {harm: null, errors: null, slow: null}", {}),
    ],
)
def test_guardrails_that_are_not_named_stay(text, limits):
    assert block(text).limits == limits


@pytest.mark.parametrize(
    ("text", "margin"),
    [
        ("strategy: ab", None),
        ("strategy: canary", 0.02),
        ("strategy: shadow", 0.02),
        ("strategy: canary, promote: better", None),
        ("strategy: ab, promote: {not_worse: 0.01}", 0.01),
        ("strategy: ab, promote: {not_worse: 0}", 0.0),
    ],
)
def test_what_a_promotion_must_prove(text, margin):
    assert block(text).margin == margin
    assert block(text).relative_margin is None


@pytest.mark.parametrize(
    ("text", "margins"),
    [
        ("strategy: canary, metric: conversion", (0.02, 0.2)),
        ("strategy: canary, metric: ctr", (0.02, 0.2)),
        ("strategy: canary, metric: seen, metrics: {seen: {kind: rate}}", (0.02, 0.2)),
        ("strategy: canary, metric: accuracy", (0.02, None)),
        ("strategy: shadow, metric: errors", (0.02, None)),
        ("strategy: ab, metric: conversion", (None, None)),
        ("strategy: canary, metric: conversion, promote: better", (None, None)),
        ("strategy: canary, metric: conversion, promote: {not_worse: 0.02}", (0.02, None)),
        ("strategy: canary, metric: conversion, promote: {not_worse: 20%}", (None, 0.2)),
        ("strategy: canary, metric: mean, promote: {not_worse: '12.50 %'}", (None, 0.125)),
        ("strategy: ab, promote: {not_worse: 50%}", (None, 0.5)),
        ("strategy: ab, promote: {not_worse: 60%, confirmed: yes}", (None, 0.6)),
    ],
)
def test_a_margin_may_be_a_part_of_what_the_champion_has(text, margins):
    made = block(text)
    assert (made.margin, made.relative_margin) == pytest.approx(margins)
    assert made.confirms_margin is ("confirmed" in text)
    assert RolloutBlock.model_validate(made.model_dump(mode="json")) == made


def test_what_counts_for_how_long_and_how_much():
    assert (block().attribution, block().unit_cap) == ("7d", 100)
    free = block("attribution: null, unit_cap: null, metrics: {m: {kind: mean, attribution: 2d}}")
    assert (free.attribution, free.unit_cap, free.metrics["m"].attribution) == (None, None, "2d")


@pytest.mark.parametrize("strategy", ["canary", "shadow"])
def test_a_regression_says_what_no_harm_is(strategy):
    text = HEAD.replace("name: churn", "name: churn, task: regression") + f"rollout: {{strategy: {strategy}"
    assert "task: regression" in text
    fault = only_fault(f"{text}}}")
    assert fault.key == "rollout.promote"
    assert f"a {strategy} by absolute_error has no usual margin" in fault.problem
    assert "promote: better" in fault.cure
    for said in ("promote: {not_worse: 0.5}", "promote: better", "metric: accuracy"):
        assert spec_from_bytes(f"{text}, {said}}}".encode(), "churn.yaml").rollout.strategy == strategy


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("strategy: canary", (500, 2500, 5000)),
        ("strategy: canary, steps: [0.01, 33.33]", (1, 3333)),
        ("strategy: ab", (5000,)),
        ("strategy: ab, share: 12.5", (1250,)),
        ("strategy: shadow", (0,)),
        ("strategy: shadow, share: 0.001", (0,)),
    ],
)
def test_shares_are_basis_points(text, shares):
    assert block(text).shares == shares


def test_a_metric_of_one_s_own_may_decide_and_guard():
    made = block("metric: orders, metrics: {orders: {kind: mean}}, guardrails: {orders: 0.1}")
    assert made.metric_blocks["orders"].kind == "mean"
    assert set(made.metric_blocks) == {*USUAL_METRICS, "orders"}
    assert made.limits["orders"] == 0.1


@pytest.mark.parametrize(
    "text",
    [
        "metric: accuracy",
        "metric: absolute_error, guardrails: {accuracy: 0.1}, promote: {not_worse: 3}",
        "guardrails: {ctr: null}",
        "metric: late, metrics: {late: {kind: slow}, orders: {kind: mean}}",
    ],
)
def test_a_shadow_shows_what_its_answers_have(text):
    assert block(f"strategy: shadow, {text}").strategy == "shadow"


@pytest.mark.parametrize("kind", [*typing.get_args(MetricKind)])
def test_what_a_shadow_cannot_show_an_ab_test_may(kind):
    text = f"metric: m, metrics: {{m: {{kind: {kind}}}}}"
    assert block(f"strategy: ab, {text}").metric == "m"
    if kind in SEEN_BY_SHADOWS:
        assert block(f"strategy: shadow, promote: better, {text}").metric == "m"
    else:
        assert only_fault(f"{HEAD}rollout: {{strategy: shadow, {text}}}").key == "rollout.metric"


@pytest.mark.parametrize(
    ("kind", "better", "lower"),
    [
        ("conversion", None, False),
        ("rate", None, False),
        ("mean", None, False),
        ("accuracy", None, False),
        ("absolute_error", None, True),
        ("errors", None, True),
        ("slow", None, True),
        ("mean", "lower", True),
        ("slow", "higher", False),
    ],
)
def test_which_way_is_good(kind, better, lower):
    said = f", better: {better}" if better else ""
    made = block(f"metrics: {{m: {{kind: {kind}{said}}}}}")
    assert made.metrics["m"].lower_is_better is lower


@pytest.mark.parametrize("text", [
    "horizon: 28d", "horizon: 7d", "cycle: 28d", "bake: 4w", "check: 28d", "check: 242s",
    "check: 5s, cycle: 1h, deadline: 50000s", "strategy: ab, share: 99.99", "strategy: ab, share: 0.01",
    "strategy: canary, steps: [0.01, 0.02, 99.99, 100]", "strategy: canary, cycle: 27d, bake: 12h",
])  # fmt: skip
def test_what_just_fits_is_taken(text):
    assert isinstance(block(text), RolloutBlock)


@pytest.mark.parametrize("strategy", ["canary", "ab", "shadow"])
def test_failures_without_an_answer_are_counted_so_no_fallback_is_needed(strategy):
    text = f"{HEAD}rollout: {{strategy: {strategy}}}\nserving: {{fallback_answer: error}}\n"
    assert spec_from_bytes(text.encode(), "churn.yaml").serving.fallback_answer == "error"
