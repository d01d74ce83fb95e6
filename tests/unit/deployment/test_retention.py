from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.builders import digest
from support.fake_kept import FakeKept
from support.fakes import FakeTracker
from support.ledgers import forge, sql_ledger
from support.world import MODEL, VERSIONS, version_of, world_of
from windsock.deployment import remove_old as module
from windsock.deployment.keep_house import keep_house
from windsock.deployment.retention import (
    EPISODE,
    FOREIGN,
    LATEST,
    NAMED,
    NO_ROW,
    NOT_WHOLE,
    OF_A_TRAINING,
    OF_A_VERSION,
    OPEN,
    UNDER_WAY,
    YOUNG,
    Plan,
    families,
    plan_retention,
)
from windsock.exceptions import TrackingUnavailableError
from windsock.records import (
    Episode,
    HousekeepingInput,
    HousekeepingReport,
    LedgerAction,
    LedgerEntry,
    RetrainOutcome,
    Span,
)
from windsock.records.retention import RetentionPolicy, StoredThing, TrackedRun
from windsock.records.retraining import Lease

POLICY = RetentionPolicy(trainings=90, reports=180, snapshots=180, evidence=30)
DAY = timedelta(days=1)


class Tracker(FakeTracker):
    """Has runs that are told, and notes what is removed."""

    def __init__(self, *runs: TrackedRun) -> None:
        super().__init__()
        self.told = {run.run_id: run for run in runs}

    def tracked_runs(self, model: str) -> tuple[TrackedRun, ...]:
        return tuple(self.told.values())

    def mark_for_removal(self, run_id: str, told: str) -> None:
        if run_id in self.told:
            self.told[run_id] = self.told[run_id].replace(being_removed=True)

    def remove_run(self, run_id: str) -> int:
        return 1_000 if self.told.pop(run_id, None) else 0


class World:
    """Version 1 is the champion; what else there is a test says by its age in days."""

    def __init__(self) -> None:
        self.ports: Any = replace(world_of(1), kept=FakeKept(), tracker=Tracker())
        self.kept, self.tracker = self.ports.kept, self.ports.tracker

    def bundle(self, name: str, days: float, *, of: str = "9", digest_: str = "f" * 64) -> None:
        self.thing("bundles", name, days, digest=digest_, snapshot=digest(of))

    def thing(self, kind: Any, name: str, days: float | None, **fields: Any) -> None:
        made = None if days is None else self.ports.now() - days * DAY
        thing = StoredThing(kind=kind, model=MODEL, name=name, made_at=made, **fields)
        self.kept.stored[(kind, MODEL, name)] = thing

    def run(self, run_id: str, days: float, *, bundle: str = "", **fields: Any) -> None:
        uri = f"memory://bundles/{MODEL}/{bundle}" if bundle else ""
        known = {"key": bundle or run_id, "begun_at": self.ports.now() - days * DAY, "bundle_uri": uri}
        self.tracker.told[run_id] = TrackedRun(run_id=run_id, **{**known, **fields})

    def training(self, name: str, days: float, **fields: Any) -> None:
        self.bundle(name, days)
        self.run(f"run-{name}", days, bundle=name, **fields)

    def plan(self, policy: RetentionPolicy = POLICY) -> Plan:
        return plan_retention(policy, self.ports, MODEL, self.ports.now())

    def gone(self, policy: RetentionPolicy = POLICY) -> list[tuple[str, str]]:
        return [(one.kind, one.name) for one in self.plan(policy).removals]

    def why(self, kind: str) -> list[str]:
        return [why for of, why in self.plan().kept if of == kind]

    def keep_house(self, **fields: Any) -> HousekeepingReport:
        made = {"models": (MODEL,), "retention": POLICY, **fields}
        return keep_house(HousekeepingInput(**made), self.ports, "")

    def claim(self) -> None:
        now = self.ports.now()
        self.ports.monitor.leases[MODEL] = Lease(holder="a/b", claimed_at=now, until=now + DAY / 24)


@pytest.fixture
def world() -> World:
    return World()


class TestTrainings:
    def test_an_old_one_goes_with_its_run_and_a_young_one_stays(self, world: World) -> None:
        world.training("old", 91)
        world.training("young", 89)
        assert world.gone() == [("trainings", "old")]
        assert world.plan().removals[0].runs == ("run-old",)
        assert world.why("trainings") == [YOUNG]

    def test_the_age_is_that_of_its_youngest_part(self, world: World) -> None:
        world.bundle("a", 200)
        world.run("again", 5, bundle="a")
        world.bundle("b", 5)
        world.run("old", 200, bundle="b")
        assert world.gone() == []

    def test_a_bundle_without_a_run_and_a_run_without_a_bundle_go_too(self, world: World) -> None:
        world.bundle("alone", 91)
        world.run("lost", 91, bundle="lost")
        assert sorted(world.gone()) == [("trainings", "alone"), ("trainings", "lost")]

    @pytest.mark.parametrize(
        "number", VERSIONS, ids=lambda number: "champion" if number == 1 else "registered only"
    )
    def test_a_version_stays_for_ever(self, world: World, number: int) -> None:
        world.bundle(str(number), 4_000, digest_=digest("9"))
        world.bundle("moved", 4_000, digest_=version_of(number).digest)
        world.run("r", 4_000, bundle=str(number))
        assert world.gone() == []
        assert world.why("trainings") == [OF_A_VERSION]

    def test_the_run_that_a_version_is_registered_from_stays_with_its_family(self, world: World) -> None:
        register(world.ports, LedgerAction.REGISTER, run_id="child", outcome="promote")
        world.run("parent", 200)
        world.run("child", 200, parent="parent")
        world.run("trial", 200, parent="child")
        assert world.gone() == []

    @pytest.mark.parametrize(("outcome", "stays"), [("promote", True), ("keep", False), ("refuse", False)])
    def test_what_the_gate_said_yes_to_stays(self, world: World, outcome: str, stays: bool) -> None:
        register(world.ports, LedgerAction.DECIDE, outcome=outcome, snapshot_digest=digest("d"))
        world.bundle("decided", 100, digest_=digest("c"))
        world.thing("snapshots", digest("d"), 200)
        assert (world.gone() == []) is stays

    def test_a_family_goes_as_a_whole_those_that_prove_whose_it_is_last(self, world: World) -> None:
        world.run("parent", 91)
        world.run("a", 91, parent="parent", bundle="a")
        world.run("trial", 91, parent="a")
        world.bundle("a", 91)
        (removal,) = world.plan().removals
        assert removal.runs == ("parent", "trial", "a")
        assert [one.name for one in removal.things] == ["a"]

    def test_a_family_with_a_young_member_stays(self, world: World) -> None:
        world.run("parent", 91)
        world.run("a", 89, parent="parent", bundle="a")
        assert world.gone() == []

    def test_runs_of_others_stay(self, world: World) -> None:
        world.run("theirs", 4_000, key="")
        world.run("another root", 4_000, bundle_uri="s3://elsewhere/bundles/churn/x")
        assert world.gone() == []
        assert world.why("trainings") == [FOREIGN]

    def test_what_was_begun_goes_on_though_its_bundle_is_gone(self, world: World) -> None:
        world.run("half", 91, key="half", being_removed=True)
        world.thing("bundles", "half-bundle", None)
        assert sorted(world.gone()) == [("trainings", "half"), ("trainings", "half-bundle")]

    def test_nothing_goes_while_a_retrain_is_under_way(self, world: World) -> None:
        world.training("old", 91)
        world.thing("snapshots", digest("d"), 200)
        world.claim()
        assert world.gone() == []
        assert (world.why("trainings"), world.why("snapshots")) == ([UNDER_WAY], [UNDER_WAY])

    def test_an_open_run_stays(self, world: World) -> None:
        world.training("old", 91, is_open=True)
        assert (world.gone(), world.why("trainings")) == ([], [OPEN])


def register(ports: Any, action: LedgerAction, **body: Any) -> None:
    last = ports.ledger.rows(MODEL)[-1]
    entry = LedgerEntry(
        model=MODEL, action=action, epoch=0, version="-", digest=digest("c"), actor="scheduler", body=body
    )
    ports.ledger.append(entry, after_seq=last.seq)


class TestReports:
    def key(self, letter: str = "1") -> str:
        return f"drift:{MODEL}:{letter * 16}:window:method"

    def test_an_old_one_of_this_installation_goes(self, world: World) -> None:
        world.run("old", 181, key=self.key())
        world.run("young", 179, key=self.key())
        world.run("theirs", 400, key=self.key("b"))
        assert world.gone() == [("reports", self.key())]
        assert sorted(world.why("reports")) == sorted([YOUNG, FOREIGN])
        assert world.plan().removals[0].keys == ()

    def test_all_stay_while_an_episode_is_open(self, world: World) -> None:
        world.run("old", 181, key=self.key())
        now = world.ports.now()
        episode = Episode(
            model=MODEL,
            key="e",
            digest=digest("1"),
            trigger="drift",
            span=Span(start=now - DAY, end=now),
            opened_at=now,
        )
        world.ports.monitor.kept_episodes[MODEL] = {"e": episode}
        assert (world.gone(), world.why("reports")) == ([], [EPISODE])
        closed = episode.replace(closed_at=now, outcome=RetrainOutcome.KEPT)
        world.ports.monitor.kept_episodes[MODEL] = {"e": closed}
        assert world.gone() != []


class TestSnapshots:
    def test_an_old_one_goes_and_others_stay_for_a_reason(self, world: World) -> None:
        world.bundle("kept", 5, of="d")
        for letter, days in (("d", 400), ("8", 400), ("9", 400), ("b", 100)):
            world.thing("snapshots", digest(letter), days, digest=digest(letter))
        champion = version_of(1)
        world.thing("snapshots", champion.snapshot_digest, 400)
        world.ports = replace(world.ports, snapshots=Latest(digest("8")))
        assert world.gone() == [("snapshots", digest("9"))]
        assert sorted(world.why("snapshots")) == sorted([OF_A_TRAINING, LATEST, YOUNG, OF_A_VERSION])

    def test_one_of_a_training_that_goes_now_goes_the_next_time(self, world: World) -> None:
        world.training("old", 400)
        world.thing("snapshots", digest("9"), 400)
        assert world.gone() == [("trainings", "old")]
        world.keep_house()
        assert world.gone() == [("snapshots", digest("9"))]

    def test_all_of_trainings_that_are_kept_for_ever_stay(self, world: World) -> None:
        world.training("old", 400)
        world.thing("snapshots", digest("9"), 400)
        assert world.gone(RetentionPolicy(snapshots=180)) == []


class Latest:
    def __init__(self, digest_: str) -> None:
        self.digest = digest_

    def latest(self, model: str) -> Any:
        return self


def test_evidence_goes_only_where_no_row_names_it(world: World) -> None:
    orphan, young = f"{'d' * 64}-{'1' * 12}.json", f"{'d' * 64}-{'2' * 12}.json"
    of_version = f"{version_of(1).digest}-{'3' * 12}.json"
    register(world.ports, LedgerAction.DECIDE, outcome="refuse", evidence_uri=f"evidence/{MODEL}/named.json")
    world.thing("evidence", "named.json", 400)
    world.thing("evidence", orphan, 31)
    world.thing("evidence", young, 29)
    world.thing("evidence", of_version, 400, digest=version_of(1).digest)
    assert world.gone() == [("evidence", orphan)]
    assert sorted(world.why("evidence")) == sorted([NAMED, YOUNG, OF_A_VERSION])


class TestLedgersThatCannotTell:
    def fill(self, world: World) -> None:
        world.training("old", 400)
        world.thing("snapshots", digest("d"), 400)
        world.thing("evidence", f"{'d' * 64}-{'1' * 12}.json", 400)

    def test_a_lost_one_removes_nothing(self, world: World) -> None:
        self.fill(world)
        world.ports.ledger.kept.clear()
        assert (world.gone(), world.why("trainings")) == ([], [NO_ROW])

    def test_one_with_a_row_that_is_not_believed_removes_nothing(self, world: World, tmp_path: Any) -> None:
        url = f"sqlite:///{tmp_path / 'control.db'}"
        world.ports = replace(world_of(1, ledger=sql_ledger(url)), kept=world.kept, tracker=world.tracker)
        self.fill(world)
        assert world.gone() != []
        forge(url, MODEL, action="roll_back", epoch=99, actor="eve")
        assert (world.gone(), world.why("trainings")) == ([], [NOT_WHOLE])


class TestHousekeeping:
    def test_what_was_removed_is_counted_and_noted(self, world: World) -> None:
        world.training("old", 91)
        world.ports.records.kept["old"] = {"model": MODEL}
        report = world.keep_house()
        assert [(one.kind, one.items, one.bytes) for one in report.removed] == [("trainings", 1, 1_100)]
        assert "old" not in world.ports.records.kept
        note = world.kept.notes[("bundles", MODEL, "old")]
        assert note.told == f"removed by retention on {world.ports.now():%Y-%m-%d}, policy 90 days"

    def test_old_logs_go_and_are_counted(self, world: World) -> None:
        world.kept.logs = [world.ports.now() - days * DAY for days in (40, 31, 5)]
        policy = RetentionPolicy(logs=30)
        report = world.keep_house(retention=policy)
        assert [(one.kind, one.items, one.bytes) for one in report.removed] == [("logs", 2, 200)]
        assert world.keep_house(retention=policy, remove_at_once=True).removed == ()
        assert len(world.kept.logs) == 1

    def test_it_is_done_once_a_day_or_at_once(self, world: World) -> None:
        assert world.keep_house().removed == ()
        world.training("old", 91)
        assert world.keep_house().removed == ()
        assert len(world.keep_house(remove_at_once=True).removed) == 1

    def test_a_clock_that_was_ahead_stops_nothing(self, world: World) -> None:
        world.kept.last = world.ports.now() + 400 * DAY
        world.training("old", 91)
        assert len(world.keep_house().removed) == 1

    def test_a_run_removes_so_many_and_the_next_one_goes_on(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST", 2)
        for number in range(5):
            world.training(f"old{number}", 91)
        reports = [world.keep_house() for _ in range(3)]
        assert [(one.removed[0].items, one.removal_goes_on) for one in reports] == [
            (2, True),
            (2, True),
            (1, False),
        ]

    def test_without_a_policy_all_stays_and_the_record_is_what_it_was(self, world: World) -> None:
        world.training("old", 4_000)
        report = world.keep_house(retention=RetentionPolicy())
        assert len(world.kept.stored) == 1
        assert {"removed", "removal_goes_on"} & report.model_dump().keys() == set()
        assert "retention" not in HousekeepingInput(models=()).model_dump()

    def test_an_mlflow_that_is_away_is_told_and_tried_again(self, world: World) -> None:
        class Away(Tracker):
            def tracked_runs(self, model: str) -> tuple[TrackedRun, ...]:
                raise TrackingUnavailableError("no answer")

        world.training("old", 91)
        ports = world.ports
        world.ports = replace(ports, tracker=Away())
        report = world.keep_house()
        assert (report.away, report.removed) == (("WS-TRACKING-001",), ())
        assert len(world.kept.stored) == 1
        world.ports = ports
        assert len(world.keep_house().removed) == 1

    def test_a_retrain_that_begins_meanwhile_stops_it(self, world: World) -> None:
        world.training("old", 91)
        (removal,) = world.plan().removals
        world.claim()
        assert module.remove_one(removal, world.ports, world.ports.now()) == -1
        assert len(world.kept.stored) == 1


def test_runs_of_a_circle_or_of_a_parent_that_is_gone_are_families() -> None:
    begun = world_of(1).now()
    runs = [
        TrackedRun(run_id=run_id, begun_at=begun, parent=parent)
        for run_id, parent in (("a", "b"), ("b", "a"), ("c", "gone"), ("d", "gone"), ("e", ""))
    ]
    assert sorted(sorted(run.run_id for run in family) for family in families(runs)) in (
        [["a"], ["b"], ["c", "d"], ["e"]],
        [["a", "b"], ["c", "d"], ["e"]],
    )
