from __future__ import annotations

import json
import threading
import time
from collections import Counter

import httpx
import pytest

from windsock.cli import demo_users
from windsock.cli.demo_users import Users
from windsock.exceptions import ServerUnavailableError
from windsock.rollout.assignment import assign

SHARES = {"2": 5_000, "1": 5_000}
RATES = {"1": 0.1, "2": 0.2}
ROWS = [{"age": number} for number in range(10)]


class FakeServer:
    """Answers by the unit's bucket, and keeps what it was told; fails as often as a test asks."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.told: list[dict[str, object]] = []
        self.failing = 0
        self.status = 503
        self.version: str | None = None
        self.lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        with self.lock:
            if self.failing:
                self.failing -= 1
                return httpx.Response(self.status, text="not now")
            if request.url.path == "/outcomes":
                self.told.append(body)
                return httpx.Response(202, json={})
            self.asked += zip(body["unit"], body["prediction_id"], strict=True)
        answers = [
            {"prediction_id": known, "version": self.version_of(unit)}
            for unit, known in zip(body["unit"], body["prediction_id"], strict=True)
        ]
        return httpx.Response(200, json={"predictions": answers})

    def version_of(self, unit: str) -> str:
        return self.version or assign(unit, salt="churn", experiment="v2-e3", shares=SHARES)


@pytest.fixture
def server(monkeypatch):
    fake = FakeServer()
    monkeypatch.setattr(
        Users,
        "_client",
        lambda self: httpx.Client(base_url="http://server", transport=httpx.MockTransport(fake)),
    )
    monkeypatch.setattr(demo_users, "RETRY_SECONDS", 0.0)
    return fake


def make_users(**options) -> Users:
    return Users(**{"server_url": "http://server", "model": "churn", "rows": ROWS, "rates": RATES, **options})


def test_the_tally_is_what_the_server_saw(server):
    users = make_users()
    users.send(2_000)
    tally = users.tally
    units = {unit for unit, _ in server.asked}
    assert set(tally.version_of) == units
    assert len(units) == 2_000
    assert tally.units("1") + tally.units("2") == 2_000
    assert sum(tally.answers.values()) == len(server.asked) == len({known for _, known in server.asked})
    assert tally.told == len(server.told) == tally.conversions("1") + tally.conversions("2")
    assert tally.moved == []


def test_users_convert_by_the_rate_of_their_version_and_come_differently_often(server):
    users = make_users()
    users.send(4_000)
    for version, rate in RATES.items():
        assert users.tally.conversions(version) / users.tally.units(version) == pytest.approx(rate, abs=0.03)
    visits = Counter(unit for unit, _ in server.asked)
    assert len(server.asked) / 4_000 == pytest.approx(2.0, abs=0.15)
    assert max(visits.values()) > 6
    assert Counter(visits.values())[1] > 1_500


def test_the_same_seed_makes_the_same_users(server):
    first, again, other = make_users(), make_users(), make_users(seed=43)
    for users in (first, again, other):
        users.send(500)
    assert first.tally.version_of == again.tally.version_of
    assert first.tally.converted == again.tally.converted
    assert first.tally.converted != other.tally.converted


def test_outcomes_name_the_prediction_or_the_unit_and_some_come_twice(server):
    users = make_users(doubled=0.5)
    users.send(1_000)
    by_id = [told for told in server.told if "prediction_id" in told]
    by_unit = [told for told in server.told if "event_id" in told]
    assert len(by_id) > 30
    assert len(by_unit) > 30
    assert len(server.told) == users.tally.told + users.tally.repeated
    assert 0.3 < users.tally.repeated / users.tally.told < 0.7
    assert len({json.dumps(told) for told in server.told}) == users.tally.told


def test_who_comes_again_is_the_same_unit_under_a_new_prediction(server):
    users = make_users()
    users.send(100)
    before = len(server.asked)
    users.come_again()
    back = server.asked[before:]
    assert {unit for unit, _ in back} == set(users.tally.version_of)
    assert len({known for _, known in server.asked}) == before + 100
    assert users.tally.moved == []
    server.version = "2"
    users.come_again()
    assert {(was, now) for _, was, now in users.tally.moved} == {("1", "2")}
    assert len(users.tally.moved) == users.tally.units("1")


def test_a_broken_client_never_asks_for_what_it_skips(server):
    def is_unlucky(unit):
        return server.version_of(unit) == "2" and unit.endswith(("1", "2", "3"))

    users = make_users(skips=is_unlucky)
    users.send(600)
    assert not [unit for unit, _ in server.asked if is_unlucky(unit)]
    assert users.tally.units("2") < 0.45 * 600


def test_an_unanswered_request_is_sent_again_under_the_same_ids(server):
    server.failing = 5
    users = make_users(patience_seconds=20)
    users.send(100)
    assert len({known for _, known in server.asked}) == len(server.asked) == sum(users.tally.answers.values())


def test_without_patience_a_failure_is_told(server):
    server.failing = 1
    with pytest.raises(ServerUnavailableError, match="503"):
        make_users().send(100)


def test_a_refusal_is_told_whatever_the_patience(server):
    server.failing, server.status = 1, 422
    with pytest.raises(ServerUnavailableError, match="422"):
        make_users(patience_seconds=60).send(100)


def test_users_come_until_the_block_ends(server):
    users = make_users()
    with users.coming(per_second=100_000) as tally:
        while len(tally.version_of) < 300:
            time.sleep(0.001)
    after = len(server.asked)
    assert len(tally.version_of) == len({unit for unit, _ in server.asked})
    assert len(server.asked) == after


def test_a_failure_while_they_come_is_told_at_the_end(server):
    server.failing = 1
    with pytest.raises(ServerUnavailableError), make_users().coming(per_second=1_000):
        pass
