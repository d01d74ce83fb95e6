"""Users for the demo and the tests: they ask, come back, and convert by a known truth."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from windsock.exceptions import ServerUnavailableError

SEED = 42
SENDERS = 4
AT_ONCE = 25
USUAL_VISITS = 2.0
MOST_VISITS = 12
RETRY_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody who is asked about.

    :param visits: how often they come.
    :param luck: 0 to 1; they convert where the rate of the version that answers is above it.
    """

    unit: str
    visits: int
    luck: float


@dataclass
class Tally:
    """What users were answered and what they told: the truth that a count is held against.

    :param version_of: version that a unit's first visit was answered by.
    :param answers: answered visits by version.
    :param converted: units that converted, by the version of their first visit.
    :param told: outcomes that the server has taken, repeated ones not counted.
    :param repeated: outcomes that were sent and taken a second time.
    :param moved: unit, version before and version now, where another version answered a later visit.
    """

    version_of: dict[str, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    converted: dict[str, set[str]] = field(default_factory=dict)
    told: int = 0
    repeated: int = 0
    moved: list[tuple[str, str, str]] = field(default_factory=list)

    def units(self, version: str) -> int:
        """Return how many units a version was the first to answer."""
        return sum(1 for known in self.version_of.values() if known == version)

    def conversions(self, version: str) -> int:
        """Return how many of them converted."""
        return len(self.converted.get(version, ()))


class Users:
    """Users of one model; the same seed makes the same ones. They do not know which arm they are in.

    :param rows: what they are asked with: rows of features.
    :param rates: part of the users that convert, by the version that answers their first visit.
    :param visits: mean number of visits; some come once, a few often.
    :param name: begins each unit's name; another name, other units.
    :param at_once: users in a request.
    :param skips: units that a broken client never asks for.
    :param doubled: part of the outcomes that are sent twice.
    :param patience_seconds: how long a request is sent again, under the same ids, that was not answered.
    """

    def __init__(
        self,
        *,
        server_url: str,
        model: str,
        rows: Sequence[Mapping[str, Any]],
        rates: Mapping[str, float],
        visits: float = USUAL_VISITS,
        name: str = "user",
        seed: int = SEED,
        at_once: int = AT_ONCE,
        skips: Callable[[str], bool] = lambda unit: False,
        doubled: float = 0.0,
        patience_seconds: float = 0.0,
    ) -> None:
        self.server_url, self.model, self.rows, self.rates = server_url, model, rows, rates
        self.visits, self.name, self.seed, self.at_once = visits, name, seed, at_once
        self.skips, self.doubled, self.patience_seconds = skips, doubled, patience_seconds
        self.tally = Tally()
        self._lock = threading.Lock()
        self._made = 0
        self._visits: Counter[str] = Counter()

    def send(self, users: int) -> None:
        """Let that many new users make all their visits, and wait for their end.

        :raises ServerUnavailableError: if the server does not answer, or refuses.
        """
        self._all(self._groups(self._new(users)))

    def come_again(self) -> None:
        """Let every user who was answered come once more.

        :raises ServerUnavailableError: if the server does not answer, or refuses.
        """
        back = [User(unit=unit, visits=1, luck=1.0) for unit in list(self.tally.version_of)]
        self._all(self._groups(back))

    @contextmanager
    def coming(self, *, per_second: float) -> Iterator[Tally]:
        """Let new users come all the time while the block runs; no faster than the server answers.

        :raises ServerUnavailableError: at the block's end, if the server did not answer, or refused.
        """
        stopping = threading.Event()
        failures: list[Exception] = []
        coming = threading.Thread(target=self._come, args=(stopping, per_second, failures))
        coming.start()
        try:
            yield self.tally
        finally:
            stopping.set()
            coming.join()
        if failures:
            raise failures[0]

    def _come(self, stopping: threading.Event, per_second: float, failures: list[Exception]) -> None:
        due = time.monotonic()
        try:
            with self._client() as client, ThreadPoolExecutor(SENDERS) as senders:
                busy: list[Future[None]] = []
                while True:  # some come in any case
                    users = self._new(self.at_once)
                    busy.append(senders.submit(self._visit, client, users))
                    if len(busy) >= SENDERS:
                        busy.pop(0).result()
                    due = max(due + self.at_once / per_second, time.monotonic())
                    if stopping.wait(due - time.monotonic()):
                        break
                for one in busy:
                    one.result()
        except Exception as error:  # told where the block ends
            failures.append(error)

    def _all(self, groups: Sequence[Sequence[User]]) -> None:
        with self._client() as client, ThreadPoolExecutor(SENDERS) as senders:
            list(senders.map(lambda group: self._visit(client, group), groups))

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.server_url, timeout=30.0, trust_env=False)

    def _new(self, count: int) -> list[User]:
        users: list[User] = []
        while len(users) < count:
            self._made += 1
            unit = f"{self.name}-{self._made}"
            if self.skips(unit):
                continue
            draw = self._chance(unit)
            visits = 1
            while visits < MOST_VISITS and draw.random() > 1 / self.visits:
                visits += 1
            users.append(User(unit=unit, visits=visits, luck=draw.random()))
        return users

    def _chance(self, *words: object) -> random.Random:
        return random.Random(":".join(map(str, (self.seed, *words))))  # noqa: S311

    def _groups(self, users: Sequence[User]) -> list[Sequence[User]]:
        return [users[start : start + self.at_once] for start in range(0, len(users), self.at_once)]

    def _visit(self, client: httpx.Client, users: Sequence[User]) -> None:
        """Let users make their visits, one after the other; who converts does it after the first one."""
        for visit in range(max(user.visits for user in users)):
            here = [user for user in users if user.visits > visit]
            for user, answer in zip(here, self._ask(client, here), strict=True):
                if visit == 0 and user.luck < self.rates.get(answer["version"], 0.0):
                    self._convert(client, user, answer)

    def _ask(self, client: httpx.Client, users: Sequence[User]) -> list[dict[str, Any]]:
        ids, rows = [], []
        for user in users:
            with self._lock:
                self._visits[user.unit] += 1
                number = self._visits[user.unit]
            ids.append(f"{user.unit}.{number}")
            rows.append(self.rows[self._chance(user.unit, number).randrange(len(self.rows))])
        body = {"features": rows, "unit": [user.unit for user in users], "prediction_id": ids}
        answers: list[dict[str, Any]] = self._post(client, f"/models/{self.model}/predict", body)[
            "predictions"
        ]
        with self._lock:
            for user, answer in zip(users, answers, strict=True):
                version = str(answer["version"])
                self.tally.answers[version] += 1
                first = self.tally.version_of.setdefault(user.unit, version)
                if first != version:
                    self.tally.moved.append((user.unit, first, version))
        return answers

    def _convert(self, client: httpx.Client, user: User, answer: Mapping[str, Any]) -> None:
        """Tell that a user has converted: one half by prediction id, the other by unit and event id."""
        draw = self._chance(user.unit, "outcome")
        body: dict[str, Any] = {"model": self.model, "outcome": True}
        if draw.random() < 0.5:
            body["prediction_id"] = answer["prediction_id"]
        else:
            body |= {"unit": user.unit, "event_id": f"{user.unit}.bought"}
        twice = draw.random() < self.doubled
        for _ in range(1 + twice):
            self._post(client, "/outcomes", body)
        with self._lock:
            self.tally.converted.setdefault(str(answer["version"]), set()).add(user.unit)
            self.tally.told += 1
            self.tally.repeated += twice

    def _post(self, client: httpx.Client, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        until = time.monotonic() + self.patience_seconds
        while True:
            try:
                answer = client.post(path, json=body)
            except httpx.HTTPError as error:
                fault = f"{path} did not answer ({type(error).__name__})"
            else:
                if answer.is_success:
                    content: dict[str, Any] = answer.json()
                    return content
                fault = f"{path} answered with {answer.status_code}: {answer.text[:300]}"
                if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    raise ServerUnavailableError(fault)
            if time.monotonic() >= until:
                raise ServerUnavailableError(fault)
            time.sleep(RETRY_SECONDS)
