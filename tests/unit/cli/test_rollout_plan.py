from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from support.builders import NOON
from support.rollouts import ab_spec
from support.world import world_of
from windsock.cli.app import run
from windsock.cli.rollout_plan import Asked, goal_of, plan_lines
from windsock.ports import Traffic
from windsock.records import Moments, RolloutPlan, Span
from windsock.rollout.planning import Goal, span_text
from windsock.rollout.planning import needed as need_of
from windsock.rollout.traffic_ahead import World
from windsock.statistics.planning import DESIGNS, Baseline

MODEL_FILE = "model: {{name: churn, owner: ann}}\nrollout: {rollout}\n"
SPAN = Span(start=NOON - timedelta(days=7), end=NOON)
BY_HAND = ["--baseline", "0.1", "--units-per-day", "4000"]


def world(by_day=(4000.0,), value=0.1, **block):
    plan = RolloutPlan.of_spec(ab_spec(**{"minimum_units": 2, "cycle": "1m", **block}))
    return World(
        model="churn",
        plan=plan,
        baseline=Baseline(value, value * (1 - value)),
        by_day=tuple(map(float, by_day)),
        source="a test",
    )


def needed(world, design, effect, power):
    need = need_of(world, design, Goal(distance=effect, is_gain=True), power)
    return need.units, need.days


def effect_of(text, world):
    return goal_of(text, world).distance


@pytest.fixture
def use(tmp_path, monkeypatch):
    models = tmp_path / "include" / "models"
    models.mkdir(parents=True)
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    ports = world_of(1)
    monkeypatch.setattr("windsock.cli.rollout.open_standing_ports", lambda settings: ports)

    def set_up(rollout="{strategy: ab, metric: conversion}", traffic=None):
        (models / "churn.yaml").write_text(MODEL_FILE.format(rollout=rollout))
        ports.events.told = traffic
        return ports

    return set_up


def traffic(rate=0.1, units=28_000, by_day=(4000,) * 7, name="conversion"):
    hits = units * rate
    sums = Moments(units=units, num=hits, den=units, num_num=hits, den_den=units, num_den=hits)
    return Traffic(span=SPAN, units=units, by_day=by_day, metrics={name: sums})


def long_note(capsys):
    """Return what is said of a plan that does not fit into its time."""
    (note,) = [line for line in capsys.readouterr().out.splitlines() if "it would mostly end" in line]
    return note


def rows_of(out):
    lines = out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.split()[:2] == ["design", "units"])
    return [line.strip() for line in lines[start + 2 : start + 2 + len(DESIGNS)]]


# --- the numbers ----------------------------------------------------------------------------------------


def test_a_fixed_test_needs_what_the_textbook_says():
    units, days = needed(world(), "fixed", 0.01, 0.8)
    both = (0.1 * 0.9 + 0.11 * 0.89 + 2 * 0.11 * 0.89) / 2  # by chance either arm is the smaller one
    textbook = 2 * (1.959964 + 0.841621) ** 2 * both / 0.01**2
    assert units == pytest.approx(textbook, rel=0.01)  # two-sided, both arms; the true spread is 1 % smaller
    assert units > 2 * (1.959964 + 0.841621) ** 2 * 2 * 0.1 * 0.9 / 0.01**2  # the champion's alone: 28,256
    assert days == pytest.approx(units / 4000, rel=1e-3)


def test_looking_costs_units_and_a_horizon_costs_the_fewest():
    sizes = {design: needed(world(), design, 0.01, 0.8)[0] for design in DESIGNS}
    assert sizes["fixed"] < sizes["group_sequential"] < sizes["sequential"]
    assert sizes["group_sequential"] < 1.1 * sizes["fixed"]
    assert 1.2 * sizes["fixed"] < sizes["sequential"] < 2.5 * sizes["fixed"]


def test_a_small_share_needs_more_units():
    half, tenth = (needed(world(share=share), "fixed", 0.01, 0.8)[0] for share in (50.0, 10.0))
    assert tenth / half == pytest.approx(0.25 / 0.09, rel=0.03)  # its own variance weighs more


def test_a_shadow_counts_each_unit_in_both_arms():
    beside, split = world(strategy="shadow", metric="accuracy"), world()
    assert needed(beside, "fixed", 0.01, 0.8)[0] == needed(split, "fixed", 0.01, 0.8)[0]
    assert needed(beside, "fixed", 0.01, 0.8)[1] == pytest.approx(needed(split, "fixed", 0.01, 0.8)[1] / 2)


def test_neither_minimum_nor_cycle_is_fallen_short_of():
    units, days = needed(world(minimum_units=10_000, cycle="7d"), "fixed", 0.5, 0.8)
    assert (units, days) == (28_000, 7.0)  # those of a whole cycle
    assert needed(world(by_day=(1_000,), cycle="1m", minimum_units=5_000), "fixed", 0.5, 0.8) == (5_000, 5.0)


@pytest.mark.parametrize(("units", "days"), [(0, 0), (500, 0.5), (1000, 1), (1200, 2), (1250, 3), (1350, 5)])
def test_days_follow_the_new_units_of_each_day(units, days):
    shrinking = world(by_day=(1000, 200, 50))
    assert shrinking.days_for(units) == pytest.approx(days)
    assert shrinking.units_in(days) == pytest.approx(units)


def test_a_day_without_anybody_is_waited_through():
    assert world(by_day=(100, 0, 100)).days_for(150) == pytest.approx(2.5)


# --- what is asked for ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "effect"), [(None, 0.01), ("10%", 0.01), ("10 %", 0.01), ("0.02", 0.02), (" 5% ", 0.005)]
)
def test_an_effect_is_a_part_or_a_number(text, effect):
    assert effect_of(text, world()) == pytest.approx(effect)


def test_a_margin_is_what_is_to_be_found_unless_another_effect_is_asked_for():
    with_margin = world(promote={"not_worse": 0.03})
    assert effect_of(None, with_margin) == 0.03
    assert effect_of("0.01", with_margin) == 0.01
    assert effect_of(None, world(promote={"not_worse": 0.0})) == pytest.approx(0.01)


@pytest.mark.parametrize("text", ["0", "-1%", "ten", "nan", "inf", "", "%"])
def test_no_effect_is_wrong_usage(use, text):
    use(traffic=traffic())
    assert run(["rollout", "plan", "churn", "--effect", text]) == 2


def test_no_design_is_certain():
    assert run(["rollout", "plan", "churn", "--power", "1.0"]) == 2


# --- what is said ---------------------------------------------------------------------------------------


def test_the_plan_names_the_champion_the_traffic_and_three_designs(use, capsys):
    use(traffic=traffic())
    assert run(["rollout", "plan", "churn"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == "churn: ab by conversion, 50 % of the units; from 28,000 units of the last 7 days"
    assert lines[1] == ("champion: conversion 0.1, standard deviation over units 0.3; 4,000 new units a day")
    assert lines[2] == (
        "to see a gain of 0.01 (10.0% of it) with probability 0.8, at most 0.05 false promotions:"
    )
    fixed, sequential, group = rows_of(out)
    assert fixed.split()[:2] == ["fixed", "29,944"]  # the variance is that of both arms
    assert sequential.endswith("looks at any time; this plan")
    assert group.startswith("group sequential ")
    assert "note: whatever is seen: 10,000 units (minimum_units) and 7d (cycle) at least" in out
    assert "note: with a horizon of 9d the test takes about 8.0 days" in out


def test_numbers_by_hand_need_no_traffic(use, capsys):
    use()
    assert run(["rollout", "plan", "churn", *BY_HAND, "--effect", "20%"]) == 0
    out = capsys.readouterr().out
    assert "from numbers given by hand" in out
    assert "gain of 0.02 (20.0% of it)" in out


def test_a_gain_that_is_too_small_for_the_deadline_is_told(use, capsys):
    use()
    asked = ["--baseline", "0.1", "--units-per-day", "100"]
    assert run(["rollout", "plan", "churn", *asked]) == 0
    note = long_note(capsys)
    assert "days is longer than the deadline of 28d: it would mostly end as `kept`" in note
    assert note.endswith("look for a larger gain, give it more time (`deadline`), or a `pre_period`")


def test_a_horizon_makes_it_the_planned_design(use, capsys):
    use("{strategy: ab, metric: conversion, horizon: 14d}", traffic())
    assert run(["rollout", "plan", "churn"]) == 0
    out = capsys.readouterr().out
    assert rows_of(out)[2].endswith("planned looks up to a horizon; this plan")
    assert " in 14d" in out


def test_a_canary_tells_of_the_steps_before_the_last(use, capsys):
    use("{strategy: canary, metric: conversion}", traffic())
    assert run(["rollout", "plan", "churn"]) == 0
    out = capsys.readouterr().out
    assert "to see that it loses less than 0.02 (20.0% of it)" in out
    assert "a canary's 2 steps before the last come on top: each 10,000 units, 5.0 days together" in out


def test_a_direct_model_is_planned_as_an_ab(use, capsys):
    use("{strategy: direct, metric: conversion}", traffic())
    assert run(["rollout", "plan", "churn"]) == 0
    assert "note: rollout.strategy is direct: this is what an ab would need" in capsys.readouterr().out


def test_a_metric_that_is_no_share_needs_its_spread_by_hand(use, capsys):
    use("{strategy: ab, metric: mean}")
    by_hand = ["--baseline", "12.5", "--units-per-day", "4000"]
    assert run(["rollout", "plan", "churn", *by_hand]) == 2
    assert run(["rollout", "plan", "churn", *by_hand, "--sd", "30"]) == 0
    assert "standard deviation over units 30;" in capsys.readouterr().out


@pytest.mark.parametrize(
    "by_hand",
    [
        ["--baseline", "0", "--units-per-day", "10"],
        ["--baseline", "1.5", "--units-per-day", "10"],
        ["--baseline", "nan", "--units-per-day", "10"],
        ["--baseline", "0.1", "--units-per-day", "0"],
        ["--baseline", "0.1", "--units-per-day", "nan"],
        ["--baseline", "0.1", "--units-per-day", "10", "--sd", "0"],
    ],
    ids=" ".join,
)
def test_nonsense_by_hand_is_wrong_usage(use, by_hand):
    use()
    assert run(["rollout", "plan", "churn", *by_hand]) == 2


@pytest.mark.parametrize(
    "told",
    [
        None,
        traffic(units=0, by_day=()),
        traffic(name="another"),
        traffic(units=1, by_day=(1,)),
        traffic(by_day=(28_000, 0, 0, 0)),
    ],
    ids=["nothing", "no units", "no such metric", "one unit", "nobody lately"],
)
def test_too_little_traffic_says_how_to_go_on(use, told, capsys):
    use(traffic=told)
    assert run(["rollout", "plan", "churn"]) == 1
    error = capsys.readouterr().err
    assert "WS-ROLLOUT-071" in error
    assert "--baseline and --units-per-day" in error


def test_a_champion_who_never_converts_is_still_planned_for(use, capsys):
    use(traffic=traffic(rate=0.0))
    assert run(["rollout", "plan", "churn"]) == 2  # ten percent of nothing
    assert run(["rollout", "plan", "churn", "--effect", "0.01"]) == 0
    assert "of it)" not in capsys.readouterr().out


def test_days_before_the_first_unit_are_no_days_to_come(use, capsys):
    use(traffic=traffic(by_day=(0, 0, 0, 4000, 4000, 4000, 4000)))
    assert run(["rollout", "plan", "churn"]) == 0
    assert "4,000 new units a day" in capsys.readouterr().out


def test_what_a_design_finds_shrinks_with_the_time():
    def found(deadline):
        line = list(plan_lines(world(deadline=deadline, cycle="1m"), Asked(effect=None, power=0.8)))[5]
        return float(line.split()[4])

    assert found("4d") / found("16d") == pytest.approx(2.0, rel=0.03)


def test_a_margin_above_half_of_what_the_champion_has_is_warned_about(use, capsys):
    use("{strategy: canary, metric: conversion, promote: {not_worse: 0.02}}", traffic(rate=0.002))
    assert run(["rollout", "plan", "churn"]) == 0
    out = capsys.readouterr().out
    assert "that it loses less than 0.02 (1000.0% of it)" in out
    assert "note: the margin of 0.02 is 1,000% of the champion's conversion of 0.002" in out
    use("{strategy: canary, metric: conversion}", traffic(rate=0.002))
    assert run(["rollout", "plan", "churn"]) == 0
    out = capsys.readouterr().out
    assert "that it loses less than 0.0004 (20.0% of it)" in out
    assert "note: the margin" not in out


def test_requests_without_a_unit_are_warned_about(use, capsys):
    use(traffic=replace(traffic(), exposures=50_000, unitless=10_000))
    assert run(["rollout", "plan", "churn"]) == 0
    assert "note: 20% of the requests had no `unit`" in capsys.readouterr().out


def test_a_guardrail_that_needs_the_most_units_is_named(use, capsys):
    seen = traffic(rate=0.5, by_day=(400,) * 7, units=2_800)
    late = Moments(units=2_800, num=840, den=2_800, num_num=840, den_den=2_800, num_den=840)
    use(
        "{strategy: ab, metric: conversion, cycle: 1h, minimum_units: 500}",
        replace(seen, metrics={**seen.metrics, "slow": late}),
    )
    assert run(["rollout", "plan", "churn", "--effect", "50%"]) == 0
    assert "guardrail:slow inside its limit of 0.05 needs the most units" in capsys.readouterr().out


def test_several_challengers_are_said_with_what_each_needs(use, capsys):
    use("{strategy: ab, metric: conversion, share: 75, challengers: 3}")
    assert run(["rollout", "plan", "churn", *BY_HAND]) == 0
    out = capsys.readouterr().out
    assert "churn: ab by conversion, 25 % of the units for each of 3 challengers" in out
    assert (
        "with 0.05 / 3 false promotions: units are those of the champion and one of them, 50% of all" in out
    )


# --- what helps, where it does not fit into its time -----------------------------------------------------

SHORT = "cycle: 1m, check: 1m, deadline: 20m, minimum_units: 500"


def guarded(rate=0.5, a_day=400):
    """Return traffic of which 30 % of the answers are slow: `slow` needs the most units."""
    units = 7 * a_day
    seen = traffic(rate=rate, by_day=(a_day,) * 7, units=units)
    late = Moments(
        units=units, num=0.3 * units, den=units, num_num=0.3 * units, den_den=units, num_den=0.3 * units
    )
    return replace(seen, metrics={**seen.metrics, "slow": late})


@pytest.mark.parametrize(
    ("rollout", "asked"),
    [
        (f"strategy: ab, metric: conversion, {SHORT}", ["--effect", "50%"]),
        (f"strategy: ab, metric: conversion, {SHORT}, promote: {{not_worse: 0.4, confirmed: true}}", []),
        (f"strategy: ab, share: 20, metric: conversion, {SHORT}", ["--effect", "50%"]),
    ],
)
def test_where_a_guardrail_needs_the_units_they_are_advised(use, rollout, asked, capsys):
    use(f"{{{rollout}}}", guarded())
    assert run(["rollout", "plan", "churn", *asked]) == 0
    note = long_note(capsys)
    assert "larger gain" not in note
    assert "larger margin" not in note
    assert "give it more time (`deadline`)" in note
    assert note.endswith("or more units a day")
    assert ("a larger share" in note) is ("share: 20" in rollout)


@pytest.mark.parametrize("margin", [0.05, 0.02, 0.018])
@pytest.mark.parametrize("strategy", ["ab", "canary"])
def test_where_a_margin_is_too_large_nothing_advises_a_larger_one(use, margin, strategy, capsys):
    bake = ", bake: 1m" if strategy == "canary" else ""
    use(
        f"{{strategy: {strategy}, metric: conversion, {SHORT}{bake}, promote: {{not_worse: {margin}}}}}",
        traffic(rate=0.032),
    )
    assert run(["rollout", "plan", "churn"]) == 0
    out = capsys.readouterr().out
    assert "Write a smaller `promote: {not_worse: ...}`" in out
    assert "it would mostly end as `kept`" in out
    assert "larger margin" not in out
    assert "larger one" not in out
    assert "larger gain" not in out


def test_a_margin_that_is_not_large_may_be_larger(use, capsys):
    use("{strategy: ab, metric: conversion, promote: {not_worse: 0.005}}", traffic(by_day=(700,) * 7))
    assert run(["rollout", "plan", "churn"]) == 0
    assert "write a larger margin, give it more time (`deadline`)" in long_note(capsys)


@pytest.mark.parametrize(
    ("more", "advice"),
    [
        ("cycle: 1m, minimum_units: 5000", "or fewer `minimum_units`"),
        ("cycle: 19m, minimum_units: 400", "or a shorter `cycle`"),
    ],
)
def test_a_key_that_needs_the_most_is_advised_about(use, more, advice, capsys):
    block = "strategy: canary, metric: conversion, check: 1m, deadline: 20m, bake: 1m, steps: [25, 50, 100]"
    use(f"{{{block}, {more}}}", traffic(rate=0.5, by_day=(40_000,) * 7, units=280_000))
    assert run(["rollout", "plan", "churn", "--effect", "90%"]) == 0
    assert long_note(capsys).endswith(advice)


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0.0, "1 minute"),
        (20 / 1440, "20 minutes"),
        (1 / 24, "1.0 hours"),
        (0.3, "7.2 hours"),
        (1.0, "1.0 days"),
        (13.06, "13.1 days"),
        (1234.5, "1,234 days"),
    ],
)
def test_a_span_is_told_in_a_unit_that_shows_it(days, text):
    assert span_text(days) == text


def test_spans_below_a_day_are_in_hours_or_minutes(use, capsys):
    use(f"{{strategy: ab, metric: conversion, {SHORT}}}", traffic(by_day=(400_000,) * 7, units=2_800_000))
    assert run(["rollout", "plan", "churn"]) == 0
    out = capsys.readouterr().out
    assert "0 days" not in out
    assert "0.0 days" not in out
    assert " hours is longer than the deadline of 20m" in out
