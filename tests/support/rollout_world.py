"""A rollout on real parts: the control database, the prediction log, and where asked a server."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from support.builders import make_registration, make_version, stored_evidence
from support.fakes import FakeRouter, fake_ports
from support.ledgers import sql_ledger, sql_rollouts
from support.log_rows import line_of
from support.rollouts import ab_spec
from support.serving import make_bundle, make_settings, store_bundle
from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.prediction_archive import hour_of, segment_folder
from windsock.adapters.rollout_events import ArchiveRolloutEvents
from windsock.adapters.storage import Storage
from windsock.cli.demo_users import Tally
from windsock.ports import Ports, utc_now
from windsock.records import (
    DeployModelInput,
    JudgeRolloutInput,
    OutcomeEvent,
    PredictionEvent,
    PromoteModelInput,
    RegisteredVersion,
    Rollout,
    RolloutDecision,
    StartRolloutInput,
    StepTotals,
    StoredBundle,
    running_rollout,
)
from windsock.rollout.assignment import Assignment
from windsock.settings import Settings
from windsock.spec import ModelSpec
from windsock.steps import run_step
from windsock.steps.rollout_moves import move_of

MODEL = "churn"


def quick_spec(**block: Any) -> ModelSpec:
    """Return an A/B test that may be decided at once."""
    quick = {"check": "5s", "cycle": "1s", "bake": "1s", "deadline": "12h", "minimum_units": 200}
    return ab_spec(**{**quick, "guardrails": {"errors": 0.05, "slow": None}, **block})


class RolloutWorld:
    """An installation in which version 1 serves and version 2 waits for its rollout.

    :param home: its folder.
    :param url: its control database; default: a file in the folder.
    :param router: the server; default: one in memory.
    """

    def __init__(
        self,
        home: Path,
        *,
        spec: ModelSpec,
        settings: Settings | None = None,
        router: Any = None,
        url: str = "",
    ) -> None:
        self.spec = spec
        self.settings = settings or make_settings(home)
        self.url = url or self.settings.database_url
        self.storage = Storage(self.settings.storage_url)
        bundles = [store_bundle(self.settings, make_bundle(seed=seed)) for seed in (1, 2)]
        store = SignedBundleStore(self.storage, self.settings.keys_dir)
        self.versions = [
            stored_evidence(store, _version(number, stored)) for number, stored in enumerate(bundles, start=1)
        ]
        self.shared: dict[str, Any] = {
            "router": router or FakeRouter(),
            "bundles": store,
            "now": utc_now,
        }
        kept = fake_ports()
        self.shared |= {name: getattr(kept, name) for name in ("registry", "tracker", "records")}
        self._prepare()

    def ports(self, **replaced: Any) -> Ports:
        """Return the outside world as a new process meets it."""
        return fake_ports(
            **{
                **self.shared,
                "ledger": sql_ledger(self.url),
                "rollouts": sql_rollouts(self.url),
                "events": self.events(),
                **replaced,
            }
        )

    def events(self) -> ArchiveRolloutEvents:
        """Return what counts the log."""
        return ArchiveRolloutEvents(
            self.settings.serving_dir,
            self.storage,
            url=self.url,
            keys_dir=self.settings.keys_dir,
            roots=(),
            connections=lambda conn_id: conn_id,
        )

    def _prepare(self) -> None:
        ports = self.ports()
        opponent = None
        for version in self.versions:
            entry = make_registration(version, opponent=opponent)
            ports.ledger.append(entry, after_seq=len(ports.ledger.rows(MODEL)))
            run_step("deploy_model", DeployModelInput(spec=self.spec, version=version), ports)
            run_step("promote_model", PromoteModelInput(spec=self.spec, version=version), ports)
            opponent = version.digest

    def begin(self) -> Rollout:
        """Start the rollout of version 2."""
        run_step("start_rollout", StartRolloutInput(spec=self.spec), self.ports())
        return self.rollout()

    def rollout(self) -> Rollout:
        """Return what is under way."""
        found = running_rollout(self.ports().ledger.rows(MODEL))
        assert found is not None
        return found


def _version(number: int, stored: StoredBundle) -> RegisteredVersion:
    return make_version(version=str(number), digest=stored.digest, bundle_uri=stored.uri)


def look(ports: Ports, spec: ModelSpec) -> RolloutDecision | None:
    """Do what one run of the rollout's DAG does; return the decision, ``None`` if nothing is under way."""
    state = run_step("start_rollout", StartRolloutInput(spec=spec), ports).record
    if state.rollout is None:
        return None
    return judge_and_move(ports, spec)


def judge_and_move(ports: Ports, spec: ModelSpec) -> RolloutDecision:
    """Judge what is under way and carry the decision out."""
    decision = run_step("judge_rollout", JudgeRolloutInput(spec=spec), ports).record
    move = move_of(decision, spec, ports.ledger.rows(spec.name))
    if move is not None:
        run_step(*move, ports)
    return decision


# --- a log of several hours


@dataclass
class LoggedUsers:
    """Users whose answers and outcomes lie in the log, written hour by hour without a server.

    Some come in several hours; answers and outcomes are repeated, in the same hour and in later ones.

    :param tally: what they did, each thing once.
    :param repeated: answers and outcomes that stand in the log again.
    """

    rollout: Rollout
    hours: int = 6
    units: int = 1_200
    seed: int = 1
    rates: tuple[float, float] = (0.1, 0.2)
    tally: Tally = field(default_factory=Tally)
    lines: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)

    def write(self, state_folder: Path) -> None:
        """Write all of it, as segments of two workers."""
        draw = random.Random(self.seed)  # noqa: S311
        share = self.rollout.share
        shares = {"challenger": share, "champion": 10_000 - share}
        arms = Assignment(shares, salt=self.rollout.salt, experiment=self.rollout.experiment)
        for number in range(self.units):
            self._user(draw, f"unit-{number}", arms.arm(f"unit-{number}"))
        for (kind, hour), lines in self.lines.items():
            folder = segment_folder(state_folder, kind, MODEL, hour)
            folder.mkdir(parents=True, exist_ok=True)
            for worker in (0, 1):
                (folder / f"{worker + 1}-001.ndjson").write_bytes(b"".join(lines[worker::2]))

    @property
    def begins(self) -> datetime:
        """The first full hour after the rollout's step began."""
        since = self.rollout.step_since
        return since.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)

    @property
    def ends(self) -> datetime:
        """When the last hour is over, and known to be."""
        return self.begins + timedelta(hours=self.hours + 1)

    def _user(self, draw: random.Random, unit: str, arm: str) -> None:
        is_new = arm == "challenger"
        version = self.rollout.version if is_new else self.rollout.champion_version
        times = sorted(self._moment(draw) for _ in range(1 + int(draw.expovariate(1))))
        self.tally.version_of[unit] = version
        for visit, moment in enumerate(times):
            event = self._answer(unit, f"{unit}.{visit}", version, arm, moment)
            self._add("predictions", moment, event)
            self.tally.answers[version] += 1
            if draw.random() < 0.05:
                again = min(moment + timedelta(hours=draw.choice([0, 1])), self._last)
                self._add("predictions", again, event.model_copy(update={"receive_time": again}))
        if draw.random() < self.rates[is_new]:
            self._convert(draw, unit, version, times[0])

    def _convert(self, draw: random.Random, unit: str, version: str, since: datetime) -> None:
        moment = min(since + timedelta(minutes=draw.choice([1, 20, 90])), self._last)
        names = draw.choice([{"prediction_id": f"{unit}.0"}, {"unit": unit, "event_id": f"{unit}.bought"}])
        event = OutcomeEvent(model=MODEL, outcome=True, receive_time=moment, **names)
        self._add("outcomes", moment, event)
        self.tally.converted.setdefault(version, set()).add(unit)
        self.tally.told += 1
        if draw.random() < 0.2:
            again = min(moment + timedelta(minutes=draw.choice([2, 70])), self._last)
            self._add("outcomes", again, event.model_copy(update={"receive_time": again}))
            self.tally.repeated += 1

    @property
    def _last(self) -> datetime:
        return self.begins + timedelta(hours=self.hours, seconds=-1)

    def _moment(self, draw: random.Random) -> datetime:
        return self.begins + timedelta(seconds=draw.uniform(1, self.hours * 3600 - 2))

    def _answer(self, unit: str, name: str, version: str, arm: str, moment: datetime) -> PredictionEvent:
        is_new = arm == "challenger"
        return PredictionEvent(
            prediction_id=name,
            model=MODEL,
            version=version,
            digest=self.rollout.digest if is_new else self.rollout.champion_digest,
            variant=arm,
            experiment=self.rollout.experiment,
            unit=unit,
            epoch=self.rollout.step_epoch,
            receive_time=moment,
            features={"age": 41.5, "plan": "basic"},
            score=0.25,
            prediction=False,
            inference_ms=1.5,
        )

    def _add(self, kind: str, moment: datetime, event: Any) -> None:
        self.lines.setdefault((kind, hour_of(moment)), []).append(line_of(event))


# --- what must be the same


def counted(totals: StepTotals) -> dict[str, Any]:
    """Return what of a count must not depend on when and how often it was taken."""
    kept = totals.model_dump(mode="json", exclude={"counted_until"})
    for arm in ("champion", "challenger"):
        kept[arm]["metrics"] = {
            name: {key: round(value, 6) for key, value in sums.items()}
            for name, sums in kept[arm]["metrics"].items()
        }
    return kept


def same_as_tally(totals: StepTotals, rollout: Rollout, tally: Tally) -> None:
    """Hold a count against what the users know they did, to the unit."""
    for arm, version in (
        (totals.champion, rollout.champion_version),
        (totals.challenger, rollout.version),
    ):
        sums = arm.metrics["conversion"]
        seen = (arm.units, arm.exposures, sums.units, sums.num)
        known = tally.units(version), tally.answers[version], tally.units(version), tally.conversions(version)
        assert seen == known, f"version {version}"
    assert totals.outcomes == tally.told
    assert totals.repeated_outcomes == tally.repeated
    nothing = (totals.early, totals.unknown, totals.unusable, totals.moved, totals.strange, totals.damaged)
    assert nothing == (0,) * 6


def told_once(ports: Ports, decisions: Sequence[RolloutDecision]) -> None:
    """See that each number has one decision, the chain is whole, and each epoch has one row of a kind."""
    assert [one.number for one in decisions] == list(range(1, len(decisions) + 1))
    rows = ports.ledger.rows(MODEL)
    assert ports.ledger.verify(MODEL).broken_at is None
    told = Counter((row.action.value, row.epoch) for row in rows if row.epoch)
    assert max(told.values()) == 1, told


__all__ = [
    "MODEL",
    "LoggedUsers",
    "RolloutWorld",
    "counted",
    "judge_and_move",
    "look",
    "quick_spec",
    "same_as_tally",
    "told_once",
]
