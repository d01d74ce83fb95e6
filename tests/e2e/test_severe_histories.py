"""The three histories on which a loop can fool itself, under a real scheduler and with their time scaled.

A concept change after which useless models could be promoted by crumbs and then be said to pass; a healthy
weekly pattern that could alarm each weekend and lock the model; labels later than half the look-back, by
which nothing could ever be judged.
"""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.scenarios import in_background
from support.severe import REVERSED, Asked
from support.severe_months import (
    BEGIN,
    DAY,
    FLIPPED,
    MEANWHILE,
    MOVED,
    NOW,
    TRAINED,
    judge_meanwhile,
    judge_months,
    train_months,
    write_months,
)
from support.severe_stories import WEEK, FlipStory, Watched, flip_story, fresh_auc, write_short
from support.shifted import clock_at, clock_variables
from support.stack import live_stack
from windsock.records import (
    EpisodeState,
    LedgerAction,
    RetrainDecision,
    RetrainOrder,
    RetrainOutcome,
    Severity,
    Status,
    WindowVerdict,
    baseline_of,
)
from windsock.spec import parse_duration

pytestmark = [pytest.mark.e2e, pytest.mark.acceptance]

USELESS = 0.10
"""A version that has lost so much of its area under the curve."""
AS_GOOD = 0.03
LATE = 0.7 * WEEK
"""Labels come later than half the look-back, which is a week."""


STORIES = {"flipped": flip_story("flipped"), "late": flip_story("late", delay=LATE)}


def write_days(include: Path, project: Path) -> None:
    """Write the models whose days are short."""
    models = write_shared(include, project)
    write_short(models, "flipped", drift=True)
    write_short(models, "late", drift=False)


def write_weeks(include: Path, project: Path) -> None:
    """Write the models whose days are those of the calendar."""
    write_months(write_shared(include, project))


def write_shared(include: Path, project: Path) -> Path:
    """Write what models share; return their folder."""
    models = include / "models"
    models.mkdir(parents=True)
    shutil.copy(project / "include" / "windsock.yaml", include)
    return models


@pytest.fixture(scope="module")
def stories(tmp_path_factory, project):
    """The histories of short days, side by side."""
    with live_stack(tmp_path_factory.mktemp("days"), project, write_days) as live:
        yield {name: in_background(story, live) for name, story in STORIES.items()}


@pytest.fixture(scope="module")
def months(tmp_path_factory, project):
    """Those of the calendar, on a stack that stands still twice, for two weeks each."""
    folder = tmp_path_factory.mktemp("weeks")

    @contextlib.contextmanager
    def stack(moment):
        with clock_at(moment), live_stack(folder, project, write_weeks, clock_variables()) as live:
            yield live

    with stack(TRAINED) as live:
        train_months(live)
    with stack(MEANWHILE) as live:
        healthy = judge_meanwhile(live)
    with stack(NOW) as live:
        yield Months(healthy=healthy, watched=judge_months(live))


@dataclass(frozen=True, kw_only=True)
class Months:
    """What became of the months.

    :param healthy: what was decided on the weekly pattern when nothing had happened.
    """

    healthy: RetrainDecision
    watched: dict[str, Watched]


@pytest.fixture(scope="module")
def flipped(stories) -> FlipStory:
    """Age comes to mean the opposite; labels come at once."""
    return stories["flipped"].result()


@pytest.fixture(scope="module")
def late(stories) -> FlipStory:
    """The same, with labels that come late."""
    return stories["late"].result()


@pytest.fixture(scope="module")
def weekly(months) -> Watched:
    """Weekends differ, as they did in the training time; in the last three days customers are older."""
    return months.watched["weekly"]


@pytest.fixture(scope="module")
def late_days(months) -> Watched:
    """Age comes to mean the opposite; labels come two weeks after their answers."""
    return months.watched["late_days"]


def true_auc(watched: Watched, verdict: WindowVerdict, asked: list[Asked]) -> float:
    """Return how good the answers were that a window was judged by, as those know who asked and told.

    These know between which times the server had a question, and from when on it may have had the truth. So
    all that was judged is among what is looked at here, however long the machine took for it. It was read
    some time before the verdict: of those the first ones that were told, as many as the verdict says.
    """
    from sklearn.metrics import roc_auc_score

    length = parse_duration(watched.spec.monitoring.performance.window)
    until = verdict.lookback.end if verdict.lookback else verdict.window.end
    judged = [
        one
        for one in asked
        if one.sent_at < until
        and one.at >= until - length
        and one.told_at is not None
        and one.told_at <= verdict.judged_at
        and one.version == verdict.version
    ]
    times, versions = [one.at for one in asked], {one.version for one in asked}
    known = f"{len(asked)} answers of {versions} from {min(times)} to {max(times)}"
    labelled = int(verdict.numbers["labelled"])
    assert len(judged) >= labelled > 0, f"{len(judged)} of {known} were told by the time of: {verdict}"
    judged = sorted(judged, key=lambda one: one.told_at)[:labelled]
    return float(roc_auc_score([one.truth for one in judged], [one.score for one in judged]))


def require_no_false_pass(story: FlipStory) -> None:
    """Require that no window passed whose answers were useless."""
    asked_for = story.baseline.metric("roc_auc").value
    for verdict in story.watched.windows(Status.PASS):
        found = true_auc(story.watched, verdict, story.asked)
        assert found > asked_for - USELESS, (found, verdict.model_dump(mode="json"))


def require_learned(story: FlipStory) -> None:
    """Require that what serves in the end is as good as a model that knows the new world alone."""
    assert story.watched.champion.version == story.recovered.version
    assert story.auc > fresh_auc(REVERSED) - AS_GOOD


def test_after_a_flip_what_serves_is_as_good_as_a_fresh_fit(flipped):
    require_learned(flipped)
    claimed = [one for one in flipped.watched.episodes if one.claimed_by]
    assert claimed
    assert all(one.state is EpisodeState.CLOSED for one in claimed)
    assert claimed[-1].outcome is RetrainOutcome.PROMOTED
    for one in claimed:
        assert one.trigger == "performance"
        assert abs((one.onset - flipped.changed).total_seconds()) < 20
        assert one.rows >= 250


def test_after_a_flip_no_window_passes_while_the_answers_are_useless(flipped):
    require_no_false_pass(flipped)
    failed = flipped.watched.windows(Status.FAIL)
    assert failed
    assert all(one.window.end > flipped.changed for one in failed)
    passed = flipped.watched.windows(Status.PASS)
    assert not [one for one in passed if one.version == "1" and one.window.start > flipped.changed]


def test_what_beats_a_broken_champion_is_told_as_that(flipped):
    rows = flipped.watched.rows
    made = [row for row in rows if row.action is LedgerAction.COMMIT and row.at > flipped.changed]
    assert made
    for row in made:
        assert row.body["better_than_broken"]
        assert "baseline" not in row.body
        assert "better than broken" in row.body["reason"]
    assert "better than broken" in promotion_log(flipped)


def promotion_log(story: FlipStory) -> str:
    live, dag_id = story.watched.live, story.watched.retrain
    return "\n".join(
        line.event
        for run in live.admin.runs(dag_id)
        for task, log in live.logs(dag_id, run["dag_run_id"])
        if task.task_id == "promote_model"
        for line in log
    )


def test_the_baseline_stays(flipped):
    now = baseline_of(flipped.watched.rows)
    assert now == flipped.baseline
    assert now.version == "1"


def test_the_loss_is_an_alert_until_the_recovery(flipped):
    told = [one for one in flipped.watched.alerts if one.key == "performance:performance_drop:roc_auc"]
    assert any(one.state == "firing" and one.severity is Severity.CRITICAL for one in told)
    assert told[-1].state == "resolved"
    assert told[-1].resolved_at >= flipped.recovered.judged_at


def days_of(watched: Watched, kind: str, *, since=BEGIN, until=NOW) -> dict[Status, int]:
    """Return how many days have which verdict."""
    found = watched.windows(kind=kind)
    return dict(Counter(one.status for one in found if since <= one.window.start < until))


def test_a_healthy_weekly_pattern_is_no_drift_and_no_loss(weekly):
    for kind in ("drift", "performance"):
        assert days_of(weekly, kind, until=MOVED) == {Status.PASS: 24}
    told = [one for one in weekly.alerts if not one.key.startswith("watch:")]  # schedules are off here
    assert not [one for one in told if one.first_at < NOW]


def test_a_healthy_weekly_pattern_asks_for_no_retrain_and_opens_no_breaker(months, weekly):
    assert months.healthy.order is RetrainOrder.WAIT
    assert not months.healthy.breaker
    assert all(one.opened_at > NOW for one in weekly.episodes)


def test_a_shift_on_top_of_a_weekly_pattern_is_found(weekly):
    assert days_of(weekly, "drift", since=MOVED) == {Status.FAIL: 3}
    assert [one for one in weekly.alerts if one.key == "drift" and one.state == "firing"]
    (episode,) = weekly.episodes
    assert episode.trigger == "drift"
    assert MOVED - 2 * DAY <= episode.onset < MOVED + DAY  # on a Sunday: Saturdays have other scores, too
    assert episode.state is EpisodeState.CLOSED
    assert episode.outcome in (RetrainOutcome.PROMOTED, RetrainOutcome.KEPT, RetrainOutcome.TOO_FEW)
    assert weekly.baseline.version == "1"


def test_labels_that_come_late_are_an_alert_meanwhile(late_days):
    told = [one for one in late_days.alerts if one.key == "insufficient:performance"]
    first = told[0]
    assert first.state == "firing"
    assert MEANWHILE < first.first_at < MEANWHILE + DAY
    assert "label" in first.text


def test_days_whose_labels_come_late_are_judged_in_the_end(late_days):
    waited = [one for one in late_days.windows() if BEGIN <= one.window.start < MEANWHILE - DAY]
    judged = [one for one in waited if one.status in (Status.PASS, Status.FAIL)]
    assert len(judged) >= len(waited) - 4, days_of(late_days, "performance")  # an interval may span its limit
    for one in judged:
        assert [said.status for said in one.earlier] == [Status.INSUFFICIENT]
        assert one.earlier[0].judged_at < MEANWHILE + DAY < one.judged_at
    assert {one.status for one in judged if one.window.end <= FLIPPED} == {Status.PASS}
    assert not [one for one in late_days.windows(Status.PASS) if one.window.end > FLIPPED + DAY]


def test_a_flip_that_labels_tell_two_weeks_later_is_found_and_learned(late_days):
    (episode,) = [one for one in late_days.episodes if one.trigger == "performance"]
    assert episode.outcome is RetrainOutcome.PROMOTED
    assert abs(episode.onset - FLIPPED) < DAY
    assert late_days.auc(REVERSED) > fresh_auc(REVERSED) - AS_GOOD
    made = [row for row in late_days.rows if row.action is LedgerAction.COMMIT][1:]
    assert [bool(row.body["better_than_broken"]) for row in made] == [True]
    assert late_days.baseline.version == "1"


def test_late_labels_in_short_windows_are_judged_in_the_end(late):
    again = [one for one in late.watched.windows(Status.PASS, Status.FAIL) if one.earlier]
    assert again
    assert {said.status for one in again for said in one.earlier} == {Status.INSUFFICIENT}
    assert all(one.window.end > late.changed for one in late.watched.windows(Status.FAIL))


def test_a_flip_under_late_labels_is_found_and_learned(late):
    require_learned(late)
    require_no_false_pass(late)
    assert late.watched.windows(Status.FAIL)
    assert baseline_of(late.watched.rows) == late.baseline
