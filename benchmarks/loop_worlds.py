"""The worlds of the loop's benchmark, and what the right end of each is, written down before any run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from loop_rows import (
    DAY,
    HISTORY,
    TRAINED,
    WEEK,
    Change,
    Pattern,
    State,
    break_visits,
    by_age,
    by_clearness,
    by_hour,
    by_month,
    fewer_leave,
    new_plan,
    older,
    older_then_reverse,
    reverse,
    reverse_for,
)

ONSET = 21
QUIET = 49
"""Days of a history in which nothing changes."""
MOST_SEEDS, FEW_SEEDS = 20, 5
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SLOW = 28.0
"""Days that a slow change takes."""


@dataclass(frozen=True)
class Right:
    """The right end of a world.

    Each world is held to three things: no retrain and no open breaker while nothing has changed, and a
    champion that is as good as a fresh fit at the end.

    :param told: what is right beyond that, in words.
    :param recovered: days within which a champion as good as a fresh fit serves; ``None``: no bar.
    :param share: of the seeds that must be recovered by then, be as good at the end, and have an alert that
        names the setting.
    :param apart: why retrains and breakers of a world in which nothing changes at once are told and held to
        no bar; empty: they are held. Before an onset they always are.
    :param no_end: why nothing as good as a fresh fit can be asked for at the end; empty: it is.
    :param names: what an alert must name: a setting, and with a colon its value, too.
    """

    told: str
    recovered: float | None = None
    share: float = 0.9
    apart: str = ""
    no_end: str = ""
    names: str = ""


HEALTHY = Right("nothing is retrained, no breaker")
FEW = Right("nothing is retrained; the window that holds enough rows is named", names="monitoring.window: ")
BY_DRIFT = "drift asks by its own rule"
ASKS = Right(f"{BY_DRIFT}; nothing becomes worse", apart=BY_DRIFT)
RECOVERS = Right("a version of the new world serves within 5 days", recovered=5)
RECOVERS_LATER = Right("fewer labels a day: a version of the new world within a week", recovered=7)
RECOVERS_IN_WEEKS = Right("told; a version of the new world once 250 labels are there", recovered=21)
RECOVERS_AFTER = Right("a version of the new world a week after the change is complete", recovered=SLOW + 7)
RECOVERS_AT_LAST = Right("each turn is followed within 5 days, the third, 28 days later, too", recovered=33)
RECOVERS_TWICE = Right("the shift uses nothing up: the flip, 14 days later, is followed", recovered=19)
RECOVERS_ON_RETURN = Right("judged when the monitor is back, after 26 days", recovered=31)
RANKED = Right("noticed; fewer leave, and who does is ranked as well as before")
BRIDGED = Right("told as a fault of the data; the version of before goes on")
NO_TIMES = Right(
    "without times no season is known: weekends alarm, and the missing key is named",
    apart="without times every weekend is drift",
    names="data.event_time",
)
NOT_COVERED = Right(
    "too few labels for the share that is asked: the setting is named",
    no_end="nothing can be judged by so few labels until a person sets another share",
    names="monitoring.performance.coverage: ",
)


def late(days: float) -> Right:
    """Return the right end of a world whose labels come late."""
    return Right("told; a version of the new world within 5 days of its first labels", recovered=days + 5)


@dataclass(frozen=True)
class World:
    """A history with known truth.

    :param right: what should come of it.
    :param change: what happens on day ``onset``; ``None``: nothing.
    :param pattern: what recurs.
    :param start: the state without either.
    :param per_day: rows a day.
    :param days: of the history.
    :param delay: days from a row to its label.
    :param coverage: share of the rows that ever get one.
    :param window: of the monitor.
    :param dated: the source has times: the latest rows are held out, not rows drawn by their content; what
        recurs can be learned from times alone.
    :param away: first and last day on which the monitor does not run.
    :param more: further lines of the model's file, under ``monitoring`` and at its end.
    """

    name: str
    right: Right
    change: Change | None = None
    pattern: Pattern | None = None
    start: State = field(default_factory=State)
    per_day: int = 600
    days: int = 63
    onset: int = ONSET
    delay: float = 0.0
    coverage: float = 1.0
    window: timedelta = DAY
    dated: bool = False
    away: tuple[int, int] | None = None
    more: tuple[str, str] = ("", "")
    central: bool = False

    @property
    def seeds(self) -> int:
        """How often it is run."""
        return MOST_SEEDS if self.central else FEW_SEEDS

    @property
    def end(self) -> datetime:
        """End of the history."""
        return HISTORY + self.days * DAY

    @property
    def changed(self) -> datetime:
        """When the change begins; without one, the end."""
        return self.end if self.change is None else HISTORY + self.onset * DAY

    @property
    def runs(self) -> list[datetime] | None:
        """When the monitor runs; ``None``: after each window."""
        if self.away is None:
            return None
        begin, end = (HISTORY + day * DAY for day in (self.away[0], self.away[1] + 1))
        length = self.window
        moments = [HISTORY + number * length for number in range(1, (self.end - HISTORY) // length + 1)]
        return [one + MINUTE for one in moments if not begin < one <= end]

    @property
    def step(self) -> timedelta:
        """How long one state lasts at least."""
        return min(self.window, DAY)

    def state(self, moment: datetime) -> State:
        """Return what customers are like at a time."""
        state = self.start if self.pattern is None else self.pattern(moment, self.start)
        if self.change is None or moment < self.changed:
            return state
        return self.change((moment - self.changed) / DAY, state)

    def states(self, begin: datetime, end: datetime) -> list[tuple[datetime, State]]:
        """Return the stretches of a time, each with its state."""
        count = (end - begin) // self.step
        moments = [begin + number * self.step for number in range(count)]
        return [(moment, self.state(moment)) for moment in moments]

    def training(self) -> list[tuple[datetime, State]]:
        """Return the stretches of the training time."""
        return self.states(TRAINED, HISTORY)

    def history(self) -> list[tuple[datetime, State]]:
        """Return the stretches of the history."""
        return self.states(HISTORY, self.end)


FLIP, SLOW_FLIP = partial(reverse, 0), partial(reverse, SLOW)
HARMLESS, SLOW_HARMLESS = partial(older, 0.5, 0), partial(older, 0.5, SLOW)
HARMFUL, SLOW_HARMFUL = partial(older, 2.5, 0), partial(older, 2.5, SLOW)
BENT, TOWNS = State(bent=True), State(towns=4_000)
BROKEN, RECURRING = partial(break_visits, 3), partial(reverse_for, 14)
FULL, HALF, QUARTER = WEEK["full"], WEEK["half"], WEEK["quarter"]
SHORT = ("retrain: {history: 0.2, recent: 7d}", "")
LESS = ("performance: {coverage: 0.15}", "")
DAILY = ("performance: {window: 1d}", "")
MINIMUM = ("", "minimum: {roc_auc: 0.7}")

CENTRAL = (
    World("steady", HEALTHY, days=QUIET, central=True),
    World("weekly, full", HEALTHY, pattern=FULL, days=QUIET, dated=True, central=True),
    World("weekly, half", HEALTHY, pattern=HALF, days=QUIET, dated=True, central=True),
    World("harmless shift, sudden", ASKS, HARMLESS, central=True),
    World("harmful shift, sudden", RECOVERS, HARMFUL, start=BENT, central=True),
    World("concept flip, sudden", RECOVERS, FLIP, central=True),
    World("concept flip, slow", RECOVERS_AFTER, SLOW_FLIP, central=True),
    World("concept flip, sudden, weekly", RECOVERS, FLIP, FULL, dated=True, central=True),
)
HEALTHY_ONES = (
    World("weekly, quarter", HEALTHY, pattern=QUARTER, days=QUIET, dated=True),
    World("weekly, full, no times", NO_TIMES, pattern=FULL, days=QUIET),
    World("weekends are harder", HEALTHY, pattern=by_clearness, days=QUIET, dated=True),
    World(
        "weekends are harder, look-back 1d",
        HEALTHY,
        pattern=by_clearness,
        days=QUIET,
        dated=True,
        more=DAILY,
    ),
    World("hourly, windows of 1h", HEALTHY, pattern=by_hour, per_day=3_600, days=7, window=HOUR, dated=True),
    World("payday", HEALTHY, pattern=by_month, days=QUIET, dated=True),
    World("trend", ASKS, pattern=by_age, days=QUIET, dated=True),
    World("steady, 20 rows a day", FEW, per_day=20, days=QUIET),
    World("steady, 200 rows a day", HEALTHY, per_day=200, days=QUIET),
    World("steady, 2,000 rows a day", HEALTHY, per_day=2_000, days=QUIET),
    World("4,000 towns", HEALTHY, start=TOWNS, days=QUIET),
    World("4,000 towns, weekly", HEALTHY, pattern=FULL, start=TOWNS, days=QUIET, dated=True),
)
CHANGES = (
    World("harmless shift, slow", ASKS, SLOW_HARMLESS),
    World("harmful shift, slow", RECOVERS_AFTER, SLOW_HARMFUL, start=BENT),
    World("concept flip, recurring", RECOVERS_AT_LAST, RECURRING),
    World("concept flip, dated source", RECOVERS, FLIP, dated=True),
    World("concept flip, short memory", RECOVERS, FLIP, more=SHORT),
    World("concept flip, gate minimum", RECOVERS, FLIP, more=MINIMUM),
    World("label shift", RANKED, fewer_leave),
    World("new category", ASKS, new_plan),
    World("column broken for 3 days", BRIDGED, BROKEN),
    World("shift, then flip", RECOVERS_TWICE, older_then_reverse),
    World("concept flip, the monitor 40 days away", RECOVERS_ON_RETURN, FLIP, days=77, away=(7, 46)),
    World("concept flip, weekends are harder", RECOVERS, FLIP, by_clearness, dated=True),
)
LABELS = (
    *(
        World(
            f"concept flip, labels after {days} days", late(days), FLIP, delay=days, days=63 + days // 28 * 7
        )
        for days in (4, 7, 14, 28)
    ),
    World("concept flip, 20 % labelled", NOT_COVERED, FLIP, coverage=0.2),
    World("concept flip, 20 % labelled, 15 % asked", RECOVERS_LATER, FLIP, coverage=0.2, more=LESS),
    World("concept flip, 50 % labelled", RECOVERS_LATER, FLIP, coverage=0.5),
)
TRAFFIC = (
    World("concept flip, 20 rows a day", RECOVERS_IN_WEEKS, FLIP, per_day=20),
    World("concept flip, 200 rows a day", RECOVERS_LATER, FLIP, per_day=200),
    World("concept flip, 2,000 rows a day", RECOVERS, FLIP, per_day=2_000),
)


def weekly(world: World, **other: Any) -> World:
    """Return a world with the weekly pattern beside what it has."""
    facts = {"name": f"{world.name}, weekly", "pattern": FULL, "dated": True, "central": False, **other}
    return replace(world, **facts)


CROSSED = (
    "harmless shift, sudden",
    "harmful shift, sudden",
    "concept flip, slow",
    *("harmless shift, slow", "harmful shift, slow"),
    *("concept flip, recurring", "label shift", "new category", "column broken for 3 days"),
)
WEEKLY = (
    *(weekly(world) for world in (*CENTRAL, *CHANGES) if world.name in CROSSED),
    weekly(next(world for world in CHANGES if world.name == "shift, then flip"), onset=42, days=77),
    *(weekly(world) for world in (*LABELS, *TRAFFIC)),
)
WORLDS: tuple[World, ...] = (*CENTRAL, *HEALTHY_ONES, *CHANGES, *LABELS, *TRAFFIC, *WEEKLY)
