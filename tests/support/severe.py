"""A world of known truth for long histories: customers, what makes them leave, and who asks about them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pandas as pd

FEATURES = ("age", "visits", "plan")
PLANS = ("basic", "family", "pro")


@dataclass(frozen=True, kw_only=True)
class Customers:
    """What customers are like.

    :param age: how many years older than usual they are.
    :param visits: their mean number.
    :param plans: shares of the plans.
    :param effect: of age on leaving: 1 is usual, -1 the opposite.
    """

    age: float = 0.0
    visits: float = 4.0
    plans: tuple[float, float, float] = (0.6, 0.3, 0.1)
    effect: float = 1.0

    def drawn(self, rows: int, draw: np.random.Generator) -> pd.DataFrame:
        """Return customers, and who of them leaves."""
        age = draw.normal(45 + self.age, 10, rows)
        visits = draw.poisson(self.visits, rows)
        plan = draw.choice(PLANS, rows, p=self.plans)
        logit = self.effect * (age - 45) / 6 + (visits - 4) / 3 + 0.4 * (plan == "family")
        leaves = draw.random(rows) < 1 / (1 + np.exp(-logit))
        return pd.DataFrame({"age": age.round(2), "visits": visits, "plan": plan, "churned": leaves})


USUAL = Customers()
REVERSED = Customers(effect=-1.0)
WEEKEND = Customers(age=6, visits=6, plans=(0.35, 0.35, 0.3))


def by_week(day: datetime) -> Customers:
    """Return what customers of a day are like where weekends differ."""
    return WEEKEND if day.weekday() >= 5 else USUAL


def dated(
    like: Callable[[datetime], Customers], start: datetime, days: int, *, per_day: int, seed: int
) -> pd.DataFrame:
    """Return customers of some days in the order in which they came, evenly spread over each day.

    :param like: what those of a day are like.
    """
    draw, parts = np.random.default_rng(seed), []
    for day in (start + number * timedelta(days=1) for number in range(days)):
        times = [day + (number + 0.5) * timedelta(days=1) / per_day for number in range(per_day)]
        asked_at = [f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}" for moment in times]
        parts.append(like(day).drawn(per_day, draw).assign(asked_at=asked_at))
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One answered question and its truth, as far as the one who asked knows its times.

    :param sent_at: before it was sent; the server has it some time between this and ``at``.
    :param at: when its answer was there.
    :param told_at: before its truth was sent; ``None``: it was not told.
    """

    sent_at: datetime
    at: datetime
    told_at: datetime | None
    version: str
    score: float
    truth: bool


@dataclass
class Callers(threading.Thread):
    """Ask a running server about customers, some each second, and tell their truth after a while.

    :param customers: what they are like now; may be changed at any time.
    :param delay: from an answer to its truth.
    """

    server_url: str
    model: str
    customers: Customers = USUAL
    each_second: int = 30
    delay: timedelta = timedelta()
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(name=f"callers of {self.model}", daemon=True)
        self._over = threading.Event()
        self._draw = np.random.default_rng(11)
        self._untold: list[tuple[float, str, int]] = []
        self.fault: BaseException | None = None

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Ask and tell until it is over."""
        try:
            with httpx.Client(base_url=self.server_url, timeout=30.0, trust_env=False) as client:
                while not self._over.is_set():
                    begun = time.monotonic()
                    self._ask(client)
                    self._tell(client)
                    self._over.wait(max(0.0, 1.0 - (time.monotonic() - begun)))
        except BaseException as error:
            self.fault = error

    def require_well(self) -> None:
        """Fail where a question or a truth was refused."""
        if self.fault is not None:
            raise self.fault

    def end(self) -> None:
        """Stop."""
        self._over.set()
        self.join(timeout=60)

    def _ask(self, client: httpx.Client) -> None:
        frame = self.customers.drawn(self.each_second, self._draw)
        rows = frame[list(FEATURES)].astype(object).to_dict("records")
        sent_at = self.now()
        answer = client.post(f"/models/{self.model}/predict", json={"features": rows})
        content: dict[str, Any] = answer.raise_for_status().json()
        at, due = self.now(), time.monotonic() + self.delay.total_seconds()
        for one, truth in zip(content["predictions"], frame["churned"].tolist(), strict=True):
            known = {"version": one["version"], "score": one["score"], "truth": truth}
            self._untold.append((due, one["prediction_id"], len(self.asked)))
            self.asked.append(Asked(sent_at=sent_at, at=at, told_at=None, **known))

    def _tell(self, client: httpx.Client) -> None:
        ripe = [one for one in self._untold if one[0] <= time.monotonic()][: 4 * self.each_second]
        del self._untold[: len(ripe)]
        for _, prediction_id, place in ripe:
            one = self.asked[place] = replace(self.asked[place], told_at=self.now())
            told = {"model": self.model, "prediction_id": prediction_id, "outcome": one.truth}
            client.post("/outcomes", json=told).raise_for_status()
