from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser

import pytest

from support.builders import NOON
from support.rollouts import ab_spec, make_estimate, make_look, make_rollout, make_totals
from support.several import challenger, several_look, several_rollout
from windsock.adapters.rollout_page import RolloutPage
from windsock.adapters.rollout_page_tables import MOST_ROWS
from windsock.adapters.svg_chart import steps_of, thinned
from windsock.records import CheckResult, Interval, RolloutPlan, Status

HOSTILE = "<script>alert('x')</script>\"&"
VOID = {"meta"}
HOUR = timedelta(hours=1)


def page(decisions, rollout=None):
    return RolloutPage().html(rollout or make_rollout(), decisions).decode()


def text_of(html):
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", html.partition("</style>")[2]).split()))


class Balance(HTMLParser):
    """Sees that every element that is opened is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(html):
    reader = Balance()
    reader.feed(html)
    assert reader.open == []
    return reader.tags


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("hold", "Hold: nothing changes"),
        ("advance", "Advance to the next step"),
        ("promote", "Promote version 2"),
        ("keep", "Keep version 1"),
        ("roll_back", "Roll back to version 1"),
    ],
)
def test_the_headline_says_what_it_comes_to_and_why(action, words):
    html = page([make_look(1), make_look(2, action, reason="because 7 is above 5")])
    assert f'<div class="come {action}"><b>{words}</b><p>because 7 is above 5</p>' in html
    assert "Checks of look 2" in html


def test_a_rollout_without_a_look_has_a_page():
    html = page([])
    parsed(html)
    assert "Not judged yet" in html
    assert "No look has a number to draw yet" in html
    assert "<svg" not in html


def test_a_look_without_a_single_value_has_a_page():
    bare = make_look(estimate=make_estimate(), totals=make_totals(0, 0), checks=())
    html = page([bare])
    parsed(html)
    assert "<svg" not in html
    assert "None" not in html
    assert "nan" not in html.lower()


def test_values_may_be_missing_at_some_looks():
    looks = [
        make_look(1, estimate=make_estimate()),
        make_look(2),
        make_look(3, estimate=make_estimate(difference=0.01)),
        make_look(4),
    ]
    html = page(looks)
    parsed(html)
    assert html.count("<svg") == 2
    assert "None" not in html


def test_everything_from_outside_is_escaped():
    check = CheckResult(name=HOSTILE, status=Status.FAIL, code="WS-ROLLOUT-020", message=HOSTILE)
    look = make_look(reason=HOSTILE, checks=(check,), estimate=make_estimate(-0.01, 0.01, metric=HOSTILE))
    html = page([look], make_rollout(paused_by=HOSTILE, version=HOSTILE, experiment=HOSTILE))
    assert "script" not in {tag for tag, _ in parsed(html)}
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 6


def test_nothing_comes_from_elsewhere():
    html = page([make_look(number) for number in range(1, 5)])
    tags = parsed(html)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in tags}
    assert not [
        name
        for _, attributes in tags
        for name in attributes
        if name in ("src", "href", "xlink:href", "onload")
    ]
    assert "url(" not in html.partition("</style>")[0]
    assert "default-src 'none'" in html
    assert "http://" not in html
    assert "https://" not in html


def test_the_same_decisions_give_the_same_bytes():
    looks = [make_look(1), make_look(2, "keep")]
    assert page(looks) == page(looks)


def test_checks_stand_with_number_interval_and_limit():
    checks = (
        CheckResult(
            name="sample_ratio",
            status=Status.FAIL,
            code="WS-ROLLOUT-020",
            value=2.54e-10,
            limit=0.0005,
            relation=">=",
            n=1000,
            message="600 against 400",
        ),
        CheckResult(
            name="guardrail:errors",
            status=Status.PASS,
            code="WS-ROLLOUT-024",
            value=0.001,
            limit=0.01,
            relation="<=",
            interval=Interval(low=-0.002, high=0.004),
            n=12345,
        ),
        CheckResult(name="guardrail:slow", status=Status.ERROR, code="WS-ROLLOUT-024"),
    )
    text = text_of(page([make_look(checks=checks)]))
    assert "sample_ratio fail 2.54e-10 - at least 0.0005 1,000 WS-ROLLOUT-020 600 against 400" in text
    assert "guardrail:errors pass 0.001 [-0.002, 0.004] at most 0.01 12,345" in text
    assert "guardrail:slow error - - - -" in text


def test_what_nothing_is_decided_by_is_marked_so():
    text = text_of(page([make_look(estimate=make_estimate(-0.004, 0.016, variance_ratio=0.75))]))
    assert re.search(r"usual interval \[[^]]+\] information only", text)
    assert "chance of being better 91.0% information only" in text
    assert "variance by CUPED 75.0% of that without the time before: worth +33% units" in text
    assert "difference +0.006 (+6.0% of the champion's) higher is better" in text


def test_a_planned_test_shows_z_against_its_bounds():
    plan = RolloutPlan.of_spec(ab_spec(horizon="14d"))
    looks = [
        make_look(
            number,
            estimate=make_estimate(
                -0.01, 0.03, method="group_sequential", bound=8.0 / number, fraction=number / 4
            ),
            planned_look=number,
        )
        for number in range(1, 5)
    ]
    looks.append(make_look(5, estimate=looks[-1].estimate))
    html = page(looks, make_rollout(plan=plan))
    parsed(html)
    assert html.count('class="bound"') == 2 * 4  # no bound at a look that was not planned
    assert "z at the planned looks, and their bounds" in html
    text = text_of(html)
    assert "bound of this look 2 " in text
    assert "part of the horizon 100.0%" in text
    assert "20 planned in 14d" in text
    margin = RolloutPlan.of_spec(ab_spec(horizon="14d", promote={"not_worse": 0.01}))
    assert "z at the planned looks" not in page(looks, make_rollout(plan=margin))


def test_the_margin_stands_on_the_side_where_losses_are():
    def height_of(**block):
        plan = RolloutPlan.of_spec(ab_spec(promote={"not_worse": 0.01}, **block))
        html = page([make_look(estimate=make_estimate(-0.02, 0.02))], make_rollout(plan=plan))
        zero = float(re.search(r'class="zero" d="M[\d.]+ ([\d.]+)H', html)[1])
        margin = float(re.search(r'class="limit" d="M[\d.]+ ([\d.]+)H', html)[1])
        return margin - zero

    assert height_of() > 0  # further down: below zero
    assert height_of(metric="errors") < 0


def test_a_test_for_better_has_no_margin():
    assert 'class="limit"' not in page([make_look(1), make_look(2)])


def test_steps_of_a_canary_are_told_apart():
    plan = RolloutPlan.of_spec(ab_spec(strategy="canary"))
    looks = [
        make_look(number, step=(number - 1) // 2, share=(500, 2500)[(number - 1) // 2])
        for number in range(1, 5)
    ]
    html = page(looks, make_rollout(plan=plan, step=1))
    assert html.count('class="step"') == 2 * 2
    assert ">5 %</text>" in html
    assert ">25 %</text>" in html
    assert html.count('class="band"') == 2


def test_counts_of_events_are_shown():
    totals = make_totals(repeated_exposures=11, repeated_outcomes=12, early=13, unknown=14, unusable=15)
    text = text_of(page([make_look(totals=totals.model_copy(update={"moved": 16, "strange": 17}))]))
    for name, count in [
        ("repeated exposures", 11),
        ("repeated outcomes", 12),
        ("early", 13),
        ("unknown", 14),
        ("unusable", 15),
        ("moved", 16),
        ("strange", 17),
        ("damaged", 0),
    ]:
        assert f"{name} {count} " in text


def test_a_pause_and_a_question_are_told():
    rollout = make_rollout(paused_by="cli:ann", asked_by="run1", asked_until=NOON + 24 * HOUR)
    text = text_of(page([make_look()], rollout))
    assert "paused by cli:ann: only a guardrail can move it" in text
    assert "a person is asked until 2026-05-02 12:00 UTC" in text
    assert "Only shown (dry run)" in text_of(page([make_look(dry_run=True)]))


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_a_pause_is_told_once_with_its_reason(looks):
    rollout = make_rollout(paused_by="cli:ann", paused_reason="a <b>sale</b>")
    reason = f"{rollout.pause}; only a guardrail acts"
    html = page([make_look(), make_look(2, reason=reason)][:looks], rollout)
    parsed(html)
    head = text_of("</style>" + html.partition("</h1>")[2].partition("<h2>")[0])
    assert head.lower().count("paused by cli:ann (a <b>sale</b>)") == 1


def test_a_long_rollout_keeps_its_page_small_and_loses_no_turn():
    looks = [make_look(number, "advance" if number == 7 else "hold") for number in range(1, 3001)]
    html = page(looks)
    assert len(html) < 700_000
    assert "2,499 earlier looks are not shown" in html
    assert html.count(">advance</td>") == 1
    assert html.count(">hold</td>") == MOST_ROWS


@pytest.mark.parametrize("value", [0.0, 1e-9, -3.0, 1e12])
def test_an_interval_without_width_is_drawn(value):
    estimate = make_estimate(value, value)
    parsed(page([make_look(1, estimate=estimate), make_look(2, estimate=estimate)]))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.013, 0.021), (1e-9, 3e-9), (-5e6, 1e7), (0.1, 0.1001)])
def test_ticks_are_few_round_and_inside(low, high):
    ticks = steps_of(low, high)
    assert 2 <= len(ticks) <= 6
    assert ticks == sorted(ticks)
    slack = (high - low) * 1e-6
    assert all(low - slack <= tick <= high + slack for tick in ticks)


def test_thinning_keeps_both_ends():
    assert thinned(range(5), 10) == [0, 1, 2, 3, 4]
    some = thinned(range(1000), 7)
    assert (len(some), some[0], some[-1]) == (7, 0, 999)
    assert some == sorted(set(some))


def test_what_got_no_answer_is_shown_by_arm_and_cause():
    totals = make_totals(challenger=9_900)
    refused = totals.challenger.replace(unanswered={"failed": 30, "invalid": 70}, fallbacks=5)
    html = page([make_look(totals=totals.replace(challenger=refused), notes=("<b>70</b> were invalid",))])
    text = text_of(html)
    assert "challenger 9,900 19,800 19,695 5 100 70 invalid, 30 failed" in text
    assert "champion 10,000 20,000 20,000 0 0 -" in text
    assert "&lt;b&gt;70&lt;/b&gt; were invalid." in html
    parsed(html)


def test_a_margin_that_is_a_part_is_drawn_where_the_last_look_was_held_to_it():
    plan = RolloutPlan.of_spec(ab_spec(promote={"not_worse": "20%"}))
    check = CheckResult(name="promotion", status=Status.INSUFFICIENT, code="WS-ROLLOUT-026", limit=-0.02)
    looks = [make_look(number, checks=(check,)) for number in (1, 2)]
    html = page(looks, make_rollout(plan=plan))
    assert "not worse by more than 0.2 of the champion's own value: conversion" in text_of(html)
    assert 'class="limit"' in html
    unproved = [look.replace(checks=()) for look in looks]
    assert 'class="limit"' not in page(unproved, make_rollout(plan=plan))


# --- several challengers ----------------------------------------------------------------------------------


def dropped_then_promoted():
    """Return looks of which the second drops version 5 and the last promotes version 6."""
    harm = {5: {"action": "roll_back", "reason": "errors 0.2", "estimate": make_estimate(-0.03, -0.01)}}
    gone = {5: {"withdrawn": True, "reason": "it was dropped by look 2"}}
    return [
        several_look(1, about=6),
        several_look(2, "drop", about=5, looks=harm),
        several_look(3, about=6, looks=gone),
        several_look(4, "promote", about=6, looks={**gone, 6: {"action": "promote"}}),
    ]


def test_all_versions_stand_side_by_side():
    html = page(dropped_then_promoted(), several_rollout(dropped=(5,)))
    parsed(html)
    text = text_of(html)
    assert "Promote version 6" in text
    assert "challengers versions 4, 5 and 6" in text
    assert "dropped version 5" in text
    assert "30 %, 10 % each" in text
    assert "3 serves 70 % 70,000 0.1" in text
    assert "4 tried 10 % 10,000 0.1 +0 [-0.01, 0.01] hold because of 4" in text
    assert "5 dropped 10 % 10,100" in text
    assert "6 tried 10 % 10,200 0.108 +0.008 [-0.002, 0.018] promote because of 6" in text
    assert "The champion answers the units of a version that was dropped." in text


def test_each_has_its_own_chart_up_to_its_drop():
    html = page(dropped_then_promoted(), several_rollout(dropped=(5,)))
    assert re.findall(r"<figcaption>(.*?)</figcaption>", html) == [
        "Version 4 minus champion, by look",
        "Version 5 minus champion, by look",
        "Version 6 minus champion, by look",
        "Units by arm, in the step of the look",
    ]
    figures = html.split("<figure>")[1:]
    assert [figure.count('<circle class="dot') for figure in figures] == [4, 2, 4, 12]
    assert 'class="challenger-2"' in figures[1]
    names = re.findall(r'<clipPath id="([^"]+)"', html)
    assert len(names) == len(set(names)) == 4


def test_each_that_is_judged_has_its_checks_and_estimate():
    html = page(dropped_then_promoted(), several_rollout(dropped=(5,)))
    assert [title for title in re.findall(r"<h2>(.*?)</h2>", html) if title.startswith("Look ")] == [
        "Look 4: version 4",
        "Look 4: version 6",
    ]
    assert html.count("<h3>Estimate: conversion</h3>") == 2


def test_a_drop_is_the_headline_of_its_look():
    html = page(dropped_then_promoted()[:2], several_rollout())
    assert '<div class="come drop"><b>Drop version 5: the champion answers in its place</b>' in html
    assert "5 dropped 10 %" in text_of(html)


def test_the_arms_of_the_counts_and_the_looks_have_their_versions():
    text = text_of(page(dropped_then_promoted(), several_rollout(dropped=(5,))))
    assert "champion, version 3 70,000" in text
    assert "version 6 10,200 20,400" in text
    assert "exposed to more than one arm" in text
    assert "drop 5 70,000 / 10,000 / 10,100 / 10,200 -0.02" in text


def test_several_without_a_look_have_a_page():
    text = text_of(page([], several_rollout()))
    assert "4 tried 10 % - - - -" in text


def test_texts_of_several_are_escaped():
    other = challenger(5).model_copy(update={"version": HOSTILE})
    looks = [several_look(1, looks={5: {"version": HOSTILE, "reason": HOSTILE}})]
    html = page(looks, several_rollout(others=(other, challenger(6))))
    assert "script" not in {tag for tag, _ in parsed(html)}
    assert "<script" not in html


def test_one_challenger_has_nothing_of_several():
    html = page([make_look(1)])
    assert "side by side" not in html
    assert "challenger-2" not in html
    assert "each" not in text_of(html).partition("By look")[0].replace("reach", "")


def test_a_cell_names_its_column_where_a_row_becomes_a_card():
    tags = parsed(page([make_look()]))
    names = {fields.get("data-name") for tag, fields in tags if tag == "td"}
    assert {"check", "n", "message", "look", "why", "no answer"} <= names
