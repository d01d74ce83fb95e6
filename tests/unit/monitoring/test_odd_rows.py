"""A few rows that are not what they seem: no verdict is led astray, and none ends in an error."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import numpy as np
import pytest

from support.performance import (
    CHAMPION,
    DAY,
    END,
    NUMBER,
    WINDOW,
    Scene,
    answers,
    check_of,
    make_profile,
    metric,
)
from windsock.monitoring.decide_retrain import decide_retrain
from windsock.ports import LabelledRows
from windsock.records import (
    ColumnKind,
    ColumnProfile,
    DecideRetrainInput,
    ReferencePerformance,
    Severity,
    Span,
    Status,
    WindowVerdict,
)
from windsock.statistics.season_finding import windows_of

WEEK = {"start": END - 7 * DAY, "length": 7 * DAY}
OF_NUMBERS = {"rmse": 0.5, "mae": 0.4}


def numbers_scene(name):
    spec = {"model": {"task": "regression"}, "training": {"metric": name}}
    reference = ReferencePerformance(rows=5000, realised=(metric(name, OF_NUMBERS[name]),))
    return Scene(reference, schema=NUMBER, spec=spec)


def numbers(odd_score=None, odd_label=None):
    draw = np.random.default_rng(0)
    truth = draw.normal(0, 1, 1400)
    said = truth + draw.normal(0, 0.5, 1400)
    if odd_score is not None:
        said[700] = odd_score
    if odd_label is not None:
        truth[700] = odd_label
    return answers(truth.tolist(), said.tolist(), said.tolist(), **WEEK)


@pytest.mark.parametrize("name", ["rmse", "mae"])
@pytest.mark.parametrize("score", [1e15, 1e20, 1e29, 1e60, 1e200])
def test_an_absurd_answer_ends_in_no_error_and_fails_nothing(name, score):
    report = numbers_scene(name).look(numbers(odd_score=score))
    assert report.status in (Status.PASS, Status.INSUFFICIENT)
    left_out = [one for one in report.findings if "no usable number as its answer" in one]
    assert bool(left_out) == (score > 1e30)


@pytest.mark.parametrize("label", [1e3, 1e4, 1e9])
def test_one_odd_label_makes_no_model_useless(label):
    report = numbers_scene("rmse").look(numbers(odd_label=label))
    assert check_of(report, "performance_knows_nothing").status is Status.INSUFFICIENT
    assert report.severity is Severity.NONE


def test_a_model_of_numbers_that_knows_nothing_fails_still():
    draw = np.random.default_rng(0)
    truth, said = draw.normal(0, 1, 1400), draw.normal(0, 1, 1400)
    report = numbers_scene("rmse").look(answers(truth.tolist(), said.tolist(), said.tolist(), **WEEK))
    assert check_of(report, "performance_knows_nothing").status is Status.FAIL


@pytest.mark.parametrize("score", [1e60, 1e120, 1e200])
def test_a_retrain_is_decided_on_though_an_answer_is_absurd(score):
    scene = numbers_scene("rmse")
    scene.ports.rows.joined = LabelledRows(frame=numbers(odd_score=score))
    for back in (1, 0):
        window = Span(start=WINDOW.start - back * DAY, end=WINDOW.end - back * DAY)
        bad = {"status": Status.FAIL, "numbers": {"loss:rmse": 2.0}, "judged_at": window.end}
        of = {"model": "churn", "kind": "performance", "version": "1", "digest": CHAMPION}
        scene.ports.monitor.add_window(WindowVerdict(window=window, **of, **bad))
    assert decide_retrain(DecideRetrainInput(spec=scene.spec), scene.ports, "").episode is not None


# --- labels that come for one class


def classes_scene(target, **blocks):
    reference = ReferencePerformance(rows=5000, realised=(metric("accuracy", 0.9),))
    scene = Scene(reference, spec={"training": {"metric": "accuracy"}}, **blocks)
    bundle = scene.ports.bundles.by_digest[CHAMPION]
    profile = make_profile(reference).replace(target=target)
    scene.ports.bundles.by_digest[CHAMPION] = dataclasses.replace(bundle, profile=profile)
    return scene


WORDS = ColumnProfile(
    name="t", kind=ColumnKind.BOOLEAN, rows=1000, nulls=0, categories={"true": 600, "false": 400}
)
DIGITS = ColumnProfile(
    name="t", kind=ColumnKind.INTEGER, rows=1000, nulls=0, edges=(0, 1), below=(0, 400), up_to=(400, 1000)
)


def always_yes(labels_of_no):
    """Answers of a model that always says yes and is right in six of ten, and few labels of the others."""
    truth = np.random.default_rng(0).random(4000) < 0.6
    known = [True if one else None for one in truth]
    for place in np.flatnonzero(~truth)[:labels_of_no]:
        known[place] = False
    return answers(known, [True] * 4000, [0.9] * 4000)


@pytest.mark.parametrize(("target", "of_no"), [(WORDS, 0), (WORDS, 40), (DIGITS, 0), (DIGITS, 40), (None, 0)])
@pytest.mark.parametrize("coverage", [0.5, 0.3])
def test_labels_of_one_class_give_no_verdict(target, of_no, coverage):
    report = classes_scene(target, coverage=coverage).look(always_yes(of_no))
    assert check_of(report, "label_coverage").status is Status.INSUFFICIENT
    assert "late or lost" in check_of(report, "label_coverage").message
    assert report.status is Status.INSUFFICIENT


def test_half_of_the_labels_at_random_give_one():
    draw = np.random.default_rng(3)
    truth = draw.random(4000) < 0.6
    known = [bool(one) if there else None for one, there in zip(truth, draw.random(4000) < 0.6, strict=True)]
    report = classes_scene(WORDS).look(answers(known, truth.tolist(), np.where(truth, 0.9, 0.1).tolist()))
    assert check_of(report, "label_coverage").status is Status.PASS


# --- what was found stays found


@pytest.mark.parametrize("later", [Status.EMPTY, Status.INSUFFICIENT, Status.PASS])
def test_a_window_is_not_judged_anew_by_another_version(later):
    of = {"model": "churn", "kind": "performance", "window": WINDOW, "judged_at": END}
    found = WindowVerdict(version="1", digest=CHAMPION, status=Status.FAIL, **of)
    other = WindowVerdict(version="2", digest="2" * 64, status=later, **of)
    assert found.stands_against(other.replace(judged_at=END + DAY))
    assert not found.stands_against(found.replace(status=Status.PASS, judged_at=END + DAY))


# --- dates


@pytest.mark.parametrize("odd", ["9999-12-31", "2060-01-01", "2031-01-01", "1900-01-01"])
@pytest.mark.parametrize("length", [timedelta(days=1), timedelta(hours=1)])
def test_a_row_dated_far_from_all_others_is_no_part_of_the_history(odd, length):
    hours = np.arange(56 * 24 * 4) * np.timedelta64(15, "m")
    times = np.datetime64("2024-01-01T00:05", "us") + hours
    clean = windows_of(times, length)
    times[-1 if odd > "2024" else 0] = np.datetime64(odd, "us")
    found = windows_of(times, length)
    assert len(found) < 1.3 * len(clean)
    assert set(clean[1:-1]) <= set(found)
