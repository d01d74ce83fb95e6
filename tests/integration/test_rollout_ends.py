"""What is missing ends a rollout as it should: through a real server, its log, the count and the decision.

The right end of each scenario was written down first. The rollouts of one model run one after the other on
one server. The client is httpx; it finds the arm of each of its units by itself.
"""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from support.failing_slot import RAISES, REFUSES, failing_slot
from support.ledgers import new_control_database
from support.rollout_cases import make_plan as make_rollout_plan
from support.rollout_log import rollout
from support.serving import (
    ROW,
    Server,
    make_bundle,
    make_plan,
    make_settings,
    running,
    store_bundle,
    wait_until,
)
from windsock.adapters.rollout_events import ArchiveRolloutEvents
from windsock.adapters.server_client import ServerRouter
from windsock.adapters.storage import Storage
from windsock.records import (
    FallbackAnswer,
    Rollout,
    RolloutAction,
    RolloutDecision,
    StepTotals,
    StoredBundle,
)
from windsock.rollout.assignment import Assignment
from windsock.rollout.decision import decide
from windsock.settings import Settings

pytestmark = pytest.mark.slow

HOLD, ROLL_BACK = RolloutAction.HOLD, RolloutAction.ROLL_BACK
UNITS, AT_ONCE, EACH = 240, 24, 4
LOOKS = (timedelta(days=2), timedelta(days=28))
"""Once with time enough for a promotion, once at the deadline."""
CANARY = make_rollout_plan(
    "canary",
    steps=[50, 100],
    minimum_units=200,
    cycle="1d",
    guardrails={"slow": None},
    promote={"not_worse": 0.2},
)
SHADOW = make_rollout_plan(
    "shadow",
    metric="accuracy",
    minimum_units=100,
    cycle="1d",
    guardrails={"slow": None},
    promote={"not_worse": 0.2},
)
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass
class World:
    """A server, the two versions behind it, and what counts its log."""

    settings: Settings
    server: Server
    events: ArchiveRolloutEvents
    champion: StoredBundle
    challenger: StoredBundle
    challenger_url: str
    http: httpx.Client
    epoch: int = 0

    def begin(self, *, policy: Any = "champion", shadow: bool = False) -> Rollout:
        """Begin the next rollout of the model."""
        self.epoch += 1
        shares = (10_000, 0) if shadow else (5_000, 5_000)
        plan = make_plan(
            self.champion, self.challenger, shares=shares, champion=self.champion.digest, epoch=self.epoch
        )
        slots = (plan.slots[0], plan.slots[1].replace(url=self.challenger_url, shadow=shadow))
        plan = plan.replace(slots=slots, experiment=f"e{self.epoch}", fallback=FallbackAnswer(policy=policy))
        ServerRouter(self.server.address, self.settings.read_admin_token).apply(plan)
        since = datetime.now(UTC)
        return rollout(
            SHADOW if shadow else CANARY,
            experiment=plan.experiment,
            digest=self.challenger.digest,
            champion_digest=self.champion.digest,
            step_epoch=plan.epoch,
            step_since=since,
            started_at=since,
            salt=plan.salt,
        )

    def judge(self, one: Rollout, rows: int) -> tuple[StepTotals, list[RolloutDecision]]:
        """Count when so many rows are in the log, and decide at both looks."""
        seen: list[StepTotals] = []

        def is_all() -> bool:
            seen.append(self.events.totals(one, now=datetime.now(UTC)))
            exposures = seen[-1].champion.exposures + seen[-1].challenger.exposures
            return exposures + seen[-1].repeated_exposures >= rows

        wait_until(is_all, what="every row in the log")
        for arm in (seen[-1].champion, seen[-1].challenger):
            assert arm.exposures == arm.answered + arm.fallbacks + arm.refused
        looks = [decide(one, seen[-1], (), number=1, now=one.started_at + after) for after in LOOKS]
        return seen[-1], looks


@contextmanager
def world(folder: Path) -> Iterator[World]:
    settings = make_settings(folder / "home")
    bundle = make_bundle(seed=2)
    first, second = store_bundle(settings, make_bundle()), store_bundle(settings, bundle)
    events = ArchiveRolloutEvents(
        settings.serving_dir,
        Storage(settings.storage_url),
        url=new_control_database(folder),
        keys_dir=settings.keys_dir,
        roots=(folder,),
        connections=lambda name: name,
    )
    with (
        failing_slot(settings, bundle, second, version="2") as slot,
        running(settings) as server,
        httpx.Client(timeout=20, verify=NO_CERTIFICATES, trust_env=False) as http,
    ):
        yield World(settings, server, events, first, second, slot.address, http)


@dataclass
class Client:
    """Asks for units of a rollout, and tells what they did.

    :param statuses: what the requests of each unit were answered with.
    """

    address: str
    http: httpx.Client
    statuses: dict[str, int] = field(default_factory=dict)

    def ask(self, units: Sequence[str], ids: Sequence[str] | None = None, age: float = 41.5) -> None:
        """Ask for units in one request."""
        body: dict[str, Any] = {"features": [{**ROW, "age": age}] * len(units), "unit": list(units)}
        if ids is not None:
            body["prediction_id"] = list(ids)
        answer = self.http.post(f"{self.address}/predict", json=body)
        self.statuses |= dict.fromkeys(units, answer.status_code)

    def tell(self, unit: str, outcome: Any = True, at: datetime | None = None) -> None:
        """Tell what a unit did."""
        body = {"model": "churn", "unit": unit, "event_id": f"bought {unit}", "outcome": outcome}
        if at is not None:
            body["event_time"] = at.isoformat()
        self.http.post(f"{self.address}/outcomes", json=body).raise_for_status()


@dataclass(frozen=True)
class Told:
    """What the client tells of each fourth unit, in its own way, and what must come of it.

    :param code: of what holds the rollout; empty: nothing that has to do with outcomes.
    :param count: the count in which these outcomes are; empty: they count.
    """

    code: str
    count: str = ""
    outcome: Any = True
    spelled: str = "u"
    clock: timedelta | None = None
    silent: bool = False
    ids: int = UNITS


SECOND = timedelta(seconds=1)
TOLD = {
    "silent": Told("027", silent=True),
    "behind": Told("", clock=-3 * SECOND),
    "ahead": Told("", clock=3 * SECOND),
    "reused": Told("021", ids=UNITS // 2),
    "clock": Told("033", "early", clock=-3_600 * SECOND),
    "spelling": Told("032", "unknown", spelled="U"),
    "word": Told("031", "unusable", outcome="purchase"),
}
"""What a later one reads of those before it is sound, but for the last two."""


@dataclass(frozen=True)
class Failing:
    """How a challenger fails, and what the log then says.

    :param status: what its requests are answered with.
    """

    cause: str
    age: float
    status: int
    policy: str = "champion"
    shadow: bool = False


FAILING = {
    "422": Failing("unanswerable", REFUSES, 422),
    "503": Failing("failed", RAISES, 503, policy="error"),
    "shadow": Failing("failed", RAISES, 200, shadow=True),
}


class Judged(NamedTuple):
    """What a scenario came to: what its client was answered, what was counted, and the two decisions."""

    offered: Counter[tuple[str, int]]
    totals: StepTotals
    decisions: list[RolloutDecision]


def tell(made: World, told: Told) -> Judged:
    """Ask for all units, then tell of each fourth one that it did something a second later."""
    one, client = made.begin(), Client(made.server.address, made.http)
    name = one.experiment
    for start in range(0, UNITS, AT_ONCE):
        numbers = range(start, start + AT_ONCE)
        ids = [f"{name} {number % told.ids}" for number in numbers]
        client.ask([f"{name} u{number}" for number in numbers], ids)
        asked = datetime.now(UTC)
        for number in numbers[::EACH] if not told.silent else ():
            clock = None if told.clock is None else asked + SECOND + told.clock
            client.tell(f"{name} {told.spelled}{number}", told.outcome, clock)
    return Judged(offered_to(one, client), *made.judge(one, UNITS))


def fail(made: World, failing: Failing) -> Judged:
    """Ask for units one by one; the challenger cannot bear a third of them."""
    one = made.begin(policy=failing.policy, shadow=failing.shadow)
    client, units = Client(made.server.address, made.http), UNITS // 2 if failing.shadow else UNITS
    for number in range(units):
        client.ask([f"{one.experiment} {number}"], age=failing.age if number % 3 == 1 else 41.5)
    return Judged(offered_to(one, client), *made.judge(one, UNITS))  # a shadow has each of them, too


def offered_to(one: Rollout, client: Client) -> Counter[tuple[str, int]]:
    """Return how many units of each arm got which status."""
    share = one.share
    arms = Assignment(
        {"challenger": share, "champion": 10_000 - share}, salt=one.salt, experiment=one.experiment
    )
    return Counter((arms.arm(unit), status) for unit, status in client.statuses.items())


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[Failing | Told, Judged]:
    """Every scenario, played on one server and judged, in this order."""
    with world(tmp_path_factory.mktemp("ends")) as made:
        failed = {failing: fail(made, failing) for failing in FAILING.values()}
        return {**failed, **{told: tell(made, told) for told in TOLD.values()}}


@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD)
def test_outcomes_that_are_missing_or_of_no_use(judged: dict[Any, Judged], told: Told) -> None:
    _, totals, (held, last) = judged[told]
    sent = 0 if told.silent else UNITS // EACH
    if told.ids == UNITS:
        assert totals.units == UNITS
        assert totals.outcomes == (0 if told.count else sent)
        assert not told.count or getattr(totals, told.count) == sent
    if told.code:
        assert (held.action, last.action) == (HOLD, ROLL_BACK)
        for decision in (held, last):
            assert f"WS-ROLLOUT-{told.code}" in decision.reason
    else:
        arms = (totals.champion, totals.challenger)
        assert sum(arm.metrics["conversion"].num for arm in arms) == sent
        assert {check.name: check.passed for check in held.checks}["outcomes"]


@pytest.mark.parametrize("failing", FAILING.values(), ids=FAILING)
def test_a_challenger_that_fails_a_third(judged: dict[Any, Judged], failing: Failing) -> None:
    offered, totals, decisions = judged[failing]
    assert totals.champion.exposures == totals.champion.answered == offered["champion", 200]
    failed = UNITS // 6 if failing.shadow else offered["challenger", failing.status]
    assert totals.challenger.unanswered == {failing.cause: failed}
    assert failed > 20
    assert failing.shadow or totals.challenger.answered == offered["challenger", 200]
    for decision in decisions:
        assert decision.action is ROLL_BACK, decision.reason
        assert "guardrail:errors" in decision.reason
