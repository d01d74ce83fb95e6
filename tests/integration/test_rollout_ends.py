"""What is missing ends a rollout as it should: through a real server, its log, the count and the decision.

The right end of each scenario was written down first. Every model has a split of its own in one server; three
more run on it one after the other, with a challenger that fails. The client is httpx.
"""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
from windsock.ports import LoadedBundle
from windsock.records import (
    FallbackAnswer,
    Rollout,
    RolloutAction,
    RolloutDecision,
    RoutePlan,
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
    "canary", steps=[50, 100], minimum_units=200, cycle="1d", promote={"not_worse": 0.2}
)
SHADOW = make_rollout_plan(
    "shadow", metric="accuracy", minimum_units=100, cycle="1d", promote={"not_worse": 0.2}
)
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass
class World:
    """A server and the versions behind it."""

    settings: Settings
    server: Server
    events: ArchiveRolloutEvents

    def begin(self, plan: RoutePlan) -> Rollout:
        """Split the traffic by a plan, and return its rollout."""
        ServerRouter(self.server.address, self.settings.read_admin_token).apply(plan)
        champion, challenger = plan.slots
        since = datetime.now(UTC)
        return rollout(
            SHADOW if challenger.shadow else CANARY,
            model=plan.model,
            experiment=plan.experiment,
            digest=challenger.digest,
            champion_digest=champion.digest,
            step_epoch=plan.epoch,
            step_since=since,
            started_at=since,
            salt=plan.salt,
        )

    def judge(self, one: Rollout) -> tuple[StepTotals, list[RolloutDecision]]:
        """Count what is in the log, and decide on it at both looks."""
        totals = self.events.totals(one, now=datetime.now(UTC))
        for arm in (totals.champion, totals.challenger):
            assert arm.exposures == arm.answered + arm.fallbacks + arm.refused
        return totals, [decide(one, totals, (), number=1, now=one.started_at + after) for after in LOOKS]


@contextmanager
def world(settings: Settings, folder: Path) -> Iterator[World]:
    events = ArchiveRolloutEvents(
        settings.serving_dir,
        Storage(settings.storage_url),
        url=new_control_database(folder),
        roots=(folder,),
        connections=lambda name: name,
    )
    with running(settings) as server:
        yield World(settings, server, events)


@dataclass
class Client:
    """Asks for units of a model, and tells what they did.

    :param statuses: how often its requests were answered with what, by unit.
    """

    address: str
    model: str
    statuses: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http = httpx.Client(timeout=20, verify=NO_CERTIFICATES, trust_env=False)

    def ask(self, units: Sequence[str], ids: Sequence[str] | None = None, age: float = 41.5) -> None:
        """Ask for units in one request."""
        body: dict[str, Any] = {"features": [{**ROW, "age": age}] * len(units), "unit": list(units)}
        if ids is not None:
            body["prediction_id"] = list(ids)
        answer = self.http.post(f"{self.address}/models/{self.model}/predict", json=body)
        self.statuses |= dict.fromkeys(units, answer.status_code)

    def tell(self, unit: str, outcome: Any = True, at: datetime | None = None) -> None:
        """Tell what a unit did."""
        body = {"model": self.model, "unit": unit, "event_id": f"bought {unit}", "outcome": outcome}
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
    spelled: str = "u{}"
    clock: timedelta | None = None
    silent: bool = False
    ids: int = UNITS


SECOND = timedelta(seconds=1)
TOLD = {
    "silent": Told("027", silent=True),
    "word": Told("031", "unusable", outcome="purchase"),
    "spelling": Told("032", "unknown", spelled="U{}"),
    "clock": Told("033", "early", clock=-3_600 * SECOND),
    "behind": Told("", clock=-3 * SECOND),
    "ahead": Told("", clock=3 * SECOND),
    "reused": Told("021", ids=120),
}


def send(client: Client, told: Told) -> None:
    """Ask for all units, then tell of each fourth one that it did something a second later."""
    for start in range(0, UNITS, AT_ONCE):
        numbers = range(start, start + AT_ONCE)
        client.ask([f"u{number}" for number in numbers], [f"p{number % told.ids}" for number in numbers])
        asked = datetime.now(UTC)
        for number in numbers[::EACH] if not told.silent else ():
            clock = None if told.clock is None else asked + SECOND + told.clock
            client.tell(told.spelled.format(number), told.outcome, clock)


def made_for(bundle: LoadedBundle, model: str) -> LoadedBundle:
    """Return a bundle as another model's."""
    return replace(
        bundle,
        manifest=bundle.manifest.model_copy(update={"model": model}),
        schema=bundle.schema.model_copy(update={"model": model}),
    )


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


FAILING = (
    Failing("unanswerable", REFUSES, 422),
    Failing("failed", RAISES, 503, policy="error"),
    Failing("failed", RAISES, 200, shadow=True),
)


class Judged(NamedTuple):
    """What a scenario came to: what its client sent, what was counted, and the two decisions."""

    offered: Counter[tuple[str, int]]
    totals: StepTotals
    decisions: list[RolloutDecision]


def tell(made: World, name: str, bundles: Sequence[LoadedBundle]) -> tuple[Rollout, Client]:
    """Play a scenario of outcomes, on a model of its name."""
    first, second = (store_bundle(made.settings, made_for(bundle, name)) for bundle in bundles)
    plan = make_plan(first, second, shares=(5_000, 5_000), champion=first.digest, model=name)
    one = made.begin(plan.replace(experiment=f"{name}-e1"))
    client = Client(made.server.address, name)
    send(client, TOLD[name])
    return one, client


def fail(
    made: World, epoch: int, first: StoredBundle, second: StoredBundle, url: str
) -> tuple[Rollout, Client]:
    """Play a scenario of a challenger that fails, as the route's next epoch."""
    failing = FAILING[epoch - 1]
    shares = (10_000, 0) if failing.shadow else (5_000, 5_000)
    plan = make_plan(first, second, shares=shares, champion=first.digest, epoch=epoch)
    slots = (plan.slots[0], plan.slots[1].replace(url=url, shadow=failing.shadow))
    fallback = FallbackAnswer(policy=failing.policy)  # type: ignore[arg-type]
    one = made.begin(plan.replace(slots=slots, experiment=f"e{epoch}", fallback=fallback))
    client = Client(made.server.address, "churn")
    for number in range(UNITS // 2 if failing.shadow else UNITS):
        client.ask([f"e{epoch}-{number}"], age=failing.age if number % 3 == 1 else 41.5)
    return one, client


def await_shadow(settings: Settings, rows: int) -> None:
    """Wait until the log holds so many calls of a shadow: it is asked after the answers."""

    def is_all() -> bool:
        files = (settings.serving_dir / "log").rglob("*.ndjson")
        return sum(file.read_bytes().count(b'"shadow"') for file in files) >= rows

    wait_until(is_all, what="the shadow's calls")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Judged]:
    """Every scenario, played on one server and judged, by its name or epoch."""
    folder = tmp_path_factory.mktemp("ends")
    settings = make_settings(folder / "home")
    bundles = make_bundle(), make_bundle(seed=2)
    first, second = (store_bundle(settings, bundle) for bundle in bundles)
    with (
        failing_slot(settings, bundles[1], second, version="2") as slot,
        world(settings, folder) as made,
        ThreadPoolExecutor(3) as senders,
    ):
        told = {name: senders.submit(tell, made, name, bundles) for name in TOLD}
        played: dict[Any, tuple[Rollout, Client]] = {
            epoch: fail(made, epoch, first, second, slot.address) for epoch in range(1, len(FAILING) + 1)
        }
        await_shadow(settings, UNITS // 2)
        played |= {name: future.result() for name, future in told.items()}
        assert made.server.stop() == 0
        return {
            name: Judged(offered_to(one, client), *made.judge(one)) for name, (one, client) in played.items()
        }


def offered_to(one: Rollout, client: Client) -> Counter[tuple[str, int]]:
    """Return how many units of each arm got which status."""
    share = one.share
    arms = Assignment(
        {"challenger": share, "champion": 10_000 - share}, salt=one.salt, experiment=one.experiment
    )
    return Counter((arms.arm(unit), status) for unit, status in client.statuses.items())


@pytest.mark.parametrize("name", TOLD)
def test_outcomes_that_are_missing_or_of_no_use(judged: dict[Any, Judged], name: str) -> None:
    told, (_, totals, (held, last)) = TOLD[name], judged[name]
    sent = 0 if told.silent else UNITS // EACH
    if name != "reused":
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


@pytest.mark.parametrize("epoch", range(1, len(FAILING) + 1), ids=["422", "503", "shadow"])
def test_a_challenger_that_fails_a_third(judged: dict[Any, Judged], epoch: int) -> None:
    failing, (offered, totals, decisions) = FAILING[epoch - 1], judged[epoch]
    assert totals.champion.exposures == totals.champion.answered == offered["champion", 200]
    failed = UNITS // 6 if failing.shadow else offered["challenger", failing.status]
    assert totals.challenger.unanswered == {failing.cause: failed}
    assert failed > 20
    assert failing.shadow or totals.challenger.answered == offered["challenger", 200]
    for decision in decisions:
        assert decision.action is ROLL_BACK, decision.reason
        assert "guardrail:errors" in decision.reason
