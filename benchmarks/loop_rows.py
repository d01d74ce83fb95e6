"""Customers of a made-up world: what they are like in a stretch of time, and rows drawn from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import pairwise
from math import pi, sin

import numpy as np
import pandas as pd

DAY = timedelta(days=1)
TRAINED = datetime(2024, 1, 1, tzinfo=UTC)
"""The first row that the first version learns from: a Monday."""
TRAINING_DAYS, TRAINING_ROWS = 56, 200
"""Days before the history, and rows of each."""
HISTORY = TRAINED + TRAINING_DAYS * DAY
"""The history begins, again on a Monday."""
PLANS = ("basic", "family", "pro", "student")
WORTH = np.array([0.0, 0.4, -0.4, 0.8])
"""What a plan adds to the log odds of leaving."""


@dataclass(frozen=True)
class State:
    """What customers are like, and what makes them leave, while nothing changes.

    :param age: how much older they are than usual, in standard deviations (10 years).
    :param visits: their mean number.
    :param plans: shares of the four plans; nobody has the last one at first.
    :param effect: of age on leaving: 1 is usual, -1 the opposite.
    :param bent: age means the opposite beyond 60, where few customers of the training time are.
    :param leaving: share of those who leave, each kind of them as before; ``None``: as it comes.
    :param broken: visits have no value.
    :param clear: how clearly anything tells who leaves: 1 is usual, 0 not at all.
    :param towns: how many towns they come from; where it says nothing of leaving; 0: it is not asked.
    """

    age: float = 0.0
    visits: float = 4.0
    plans: tuple[float, float, float, float] = (0.6, 0.3, 0.1, 0.0)
    effect: float = 1.0
    bent: bool = False
    leaving: float | None = None
    broken: bool = False
    clear: float = 1.0
    towns: int = 0


Pattern = Callable[[datetime, State], State]
"""What recurs, in training and after: the state at a time."""
Change = Callable[[float, State], State]
"""What happens once: the state so many days after the onset."""


def draw_rows(state: State, rows: int, draw: np.random.Generator) -> pd.DataFrame:
    """Draw customers of a state with their truth."""
    if state.leaving is None:
        return _drawn(state, rows, draw)
    pool = _drawn(state, max(500, 8 * rows), draw)
    leaves = pool["churned"].to_numpy()
    stay, go = np.flatnonzero(~leaves), np.flatnonzero(leaves)
    many = min(int(draw.binomial(rows, state.leaving)), len(go))
    places = draw.permutation(np.r_[go[:many], stay[: rows - many]])
    return pool.iloc[places].reset_index(drop=True)


def _drawn(state: State, rows: int, draw: np.random.Generator) -> pd.DataFrame:
    age = draw.normal(45 + 10 * state.age, 10, rows)
    visits = draw.poisson(state.visits, rows).astype(float)
    plan = draw.choice(len(PLANS), rows, p=np.array(state.plans) / sum(state.plans))
    older = np.where(age < 60, age - 45, 75 - age) if state.bent else age - 45
    logit = state.clear * (state.effect * older / 6 + (visits - 4) / 3 + WORTH[plan])
    leaves = draw.random(rows) < 1 / (1 + np.exp(-logit))
    columns = {
        "age": age.round(2),
        "visits": np.full(rows, np.nan) if state.broken else visits,
        "plan": np.array(PLANS, dtype=object)[plan],
    }
    if state.towns:
        names, shares = _towns(state.towns)
        columns["town"] = names[draw.choice(state.towns, rows, p=shares)]
    return pd.DataFrame({**columns, "churned": leaves})


@lru_cache
def _towns(many: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the names of towns and how many customers each has, by Zipf's law."""
    shares = 1 / np.arange(1, many + 1)
    return np.array([f"town {place}" for place in range(many)], dtype=object), shares / shares.sum()


def dated(states: Sequence[tuple[datetime, State]], end: datetime, per_day: int, seed: int) -> pd.DataFrame:
    """Draw rows of stretches that follow each other, evenly spread over each.

    :param states: when each stretch begins.
    """
    draw = np.random.default_rng(seed)
    borders = [begin for begin, _ in states] + [end]
    parts = []
    for (begin, state), (_, until) in zip(states, pairwise(borders), strict=True):
        rows = round(per_day * ((until - begin) / DAY))
        part = draw_rows(state, rows, draw)
        step = (until - begin) / timedelta(microseconds=1) / rows
        offsets = ((np.arange(rows) + 0.5) * step).astype("timedelta64[us]")
        times = np.datetime64(begin.replace(tzinfo=None), "us") + offsets
        parts.append(part.assign(asked_at=pd.Series(times).dt.tz_localize("UTC")))
    return pd.concat(parts, ignore_index=True)


def by_week(strength: float, moment: datetime, state: State) -> State:
    """Make weekends differ: customers are older, come more often and have other plans."""
    if moment.weekday() < 5:
        return state
    basic, family, pro, student = state.plans
    moved = 0.25 * strength
    plans = (basic - moved, family + moved / 5, pro + 4 * moved / 5, student)
    return replace(state, age=state.age + 0.6 * strength, visits=state.visits + 2 * strength, plans=plans)


def by_clearness(moment: datetime, state: State) -> State:
    """Make weekends harder: nothing tells then as clearly who leaves."""
    return state if moment.weekday() < 5 else replace(state, clear=0.5)


def by_hour(moment: datetime, state: State) -> State:
    """Make evenings differ from mornings."""
    wave = sin(2 * pi * (moment.hour + 0.5) / 24)
    return replace(state, age=state.age + 0.4 * wave, visits=state.visits + wave)


def by_month(moment: datetime, state: State) -> State:
    """Make days of pay, the 25th to the 28th, differ from the others."""
    if not 25 <= moment.day <= 28:
        return state
    return replace(state, age=state.age - 0.4, visits=state.visits + 1.5)


def by_age(moment: datetime, state: State) -> State:
    """Let customers grow older, a thirtieth of a standard deviation a week."""
    weeks = (moment - TRAINED) / DAY / 7
    return replace(state, age=state.age + weeks / 30)


def ramp(days: float, length: float) -> float:
    """Return how much of a slow change has happened."""
    return min(1.0, max(0.0, days / length))


def older(by: float, length: float, days: float, state: State) -> State:
    """Let customers become older, at once or slowly."""
    return replace(state, age=state.age + by * (ramp(days + 1, length) if length else 1.0))


def reverse(length: float, days: float, state: State) -> State:
    """Let age come to mean the opposite, at once or slowly."""
    return replace(state, effect=1 - 2 * (ramp(days + 1, length) if length else 1.0))


def reverse_for(length: float, days: float, state: State) -> State:
    """Let age mean the opposite for some days, then what it meant, and so on."""
    return replace(state, effect=-1.0 if days // length % 2 == 0 else 1.0)


def fewer_leave(days: float, state: State) -> State:
    """Let a fifth leave instead of half; those who do are as before."""
    return replace(state, leaving=0.2)


def break_visits(length: float, days: float, state: State) -> State:
    """Leave a column without values for some days."""
    return replace(state, broken=days < length)


def new_plan(days: float, state: State) -> State:
    """Give a plan that nobody had a fifth of the customers."""
    basic, family, pro, _ = state.plans
    return replace(state, plans=(0.8 * basic, 0.8 * family, 0.8 * pro, 0.2))


def older_then_reverse(days: float, state: State) -> State:
    """Let customers become older; two weeks later age comes to mean the opposite."""
    moved = older(0.5, 0, days, state)
    return moved if days < 14 else reverse(0, days - 14, moved)


WEEK = {"full": partial(by_week, 1.0), "half": partial(by_week, 0.5), "quarter": partial(by_week, 0.25)}
