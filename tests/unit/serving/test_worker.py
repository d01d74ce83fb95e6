from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.serving import ROW, make_plan
from support.serving_app import AllPassed, MemoryFetcher
from support.slots import at_address, make_deployment
from windsock.adapters.slot_secrets import SlotSecretError
from windsock.exceptions import SlotAddressError, StorageError, UnverifiedBundleError
from windsock.records import RoutePlan, StoredBundle
from windsock.serving import worker as worker_module
from windsock.serving import worker_process
from windsock.serving.bundles import BundleShelf
from windsock.serving.route_file import RouteFile
from windsock.serving.routing import RoutingTable
from windsock.serving.served import ServedModel
from windsock.serving.slots import SlotFailedError, golden_values
from windsock.serving.worker import Worker
from windsock.settings import Settings

Stored = dict[str, StoredBundle]
Drive = Callable[[Callable[[Worker], Awaitable[None]]], None]


@pytest.fixture
def drive(settings: Settings, fetcher: MemoryFetcher) -> Drive:
    """Run a scenario with a worker that has been started."""

    def run(scenario: Callable[[Worker], Awaitable[None]]) -> None:
        async def with_worker() -> None:
            worker = Worker(settings, BundleShelf(settings.serving_dir, fetcher, AllPassed()))
            await worker.start()
            try:
                await scenario(worker)
            finally:
                await worker.stop()

        asyncio.run(with_worker())

    return run


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


def test_it_follows_the_file_and_acknowledges(drive: Drive, stored: Stored) -> None:
    async def scenario(worker: Worker) -> None:
        (note,) = worker.notes.living()
        assert (note.pid, note.epochs) == (os.getpid(), {})
        for epoch in (1, 2, 5):
            worker.routes.put(make_plan(stored["first"], epoch=epoch))
            await until(lambda epoch=epoch: worker.notes.living()[0].epochs == {"churn": epoch})
            assert worker.served["churn"].plan.epoch == epoch

    drive(scenario)


def test_the_note_goes_when_it_stops(drive: Drive, settings: Settings) -> None:
    async def scenario(worker: Worker) -> None:
        assert list((settings.serving_dir / "workers").iterdir())

    drive(scenario)
    assert not list((settings.serving_dir / "workers").iterdir())


def test_the_collector_looks_through_all_only_when_other_versions_are_loaded(
    drive: Drive, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes tens of milliseconds, in which nobody is answered: not at every share of a rollout."""
    calls = Counter[str]()
    names = ("unfreeze", "collect", "freeze")
    counted = {name: functools.partial(calls.update, [name]) for name in names}
    monkeypatch.setattr(worker_process, "gc", SimpleNamespace(**counted))
    first, second = stored["first"], stored["second"]

    async def scenario(worker: Worker) -> None:
        look = worker_process.LongLived(worker)
        both = functools.partial(make_plan, first, second, champion=first.digest, experiment="grow")
        plans = [
            (make_plan(first, epoch=1), 2),
            (both(epoch=2, shares=(9_000, 1_000)), 3),
            (both(epoch=3, shares=(5_000, 5_000)), 3),
            (both(epoch=4, shares=(0, 10_000)), 3),
            (make_plan(second, epoch=5), 4),
        ]
        look()
        for plan, looks in plans:
            worker.routes.put(plan)
            await worker.refresh()
            look()
            look()
            assert calls == dict.fromkeys(names, looks)

    drive(scenario)


def test_slots_that_stay_are_not_loaded_again(drive: Drive, stored: Stored, fetcher: MemoryFetcher) -> None:
    async def scenario(worker: Worker) -> None:
        worker.routes.put(make_plan(stored["first"]))
        await worker.refresh()
        before = worker.served["churn"].slots[stored["first"].digest]
        worker.routes.put(make_plan(stored["first"], stored["second"], epoch=2))
        await worker.refresh()
        assert worker.served["churn"].slots[stored["first"].digest] is before
        assert fetcher.loads == [stored["first"].digest, stored["second"].digest]

    drive(scenario)


def test_a_request_goes_on_with_the_table_it_began_with(drive: Drive, stored: Stored) -> None:
    async def scenario(worker: Worker) -> None:
        worker.routes.put(make_plan(stored["first"]))
        await worker.refresh()
        began_with = worker.served["churn"]
        worker.routes.put(make_plan(stored["second"], epoch=2))
        await worker.refresh()
        assert began_with.plan.epoch == 1
        slot = began_with.choose("u")
        assert slot is not None
        assert slot.plan.digest == stored["first"].digest
        assert len(await slot.scores(golden_values(slot))) == len(slot.golden.rows)

    drive(scenario)


@pytest.mark.parametrize("content", ["{", '{"models": {}}', None])
def test_an_invalid_older_or_missing_table_changes_nothing(
    drive: Drive, stored: Stored, content: str | None
) -> None:
    async def scenario(worker: Worker) -> None:
        worker.routes.put(make_plan(stored["first"], epoch=3))
        await worker.refresh()
        whole = worker.routes.file.read_text()
        if content is None:
            worker.routes.file.unlink()
        else:
            worker.routes.file.write_text(content)
        await worker.refresh()
        assert worker.served["churn"].plan.epoch == 3
        assert worker.table_fault
        worker.routes.file.write_text(whole.replace('"epoch": 3', '"epoch": 2'))
        await worker.refresh()
        assert worker.served["churn"].plan.epoch == 3
        assert "WS-SERVING-080" in (worker.table_fault or "")
        worker.routes.file.write_text(whole.replace('"epoch": 3', '"epoch": 4'))
        await worker.refresh()
        assert worker.served["churn"].plan.epoch == 3
        assert "WS-SERVING-080" in (worker.table_fault or "")
        worker.routes.put(make_plan(stored["first"], epoch=4))
        await worker.refresh()
        assert worker.served["churn"].plan.epoch == 4
        assert worker.table_fault is None

    drive(scenario)


def test_a_slot_that_cannot_be_loaded_leaves_the_old_one(
    drive: Drive, stored: Stored, fetcher: MemoryFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "RETRY_SECONDS", 0.05)

    async def scenario(worker: Worker) -> None:
        worker.routes.put(make_plan(stored["first"]))
        worker.routes.put(make_plan(stored["spend"], model="spend"))
        await worker.refresh()
        fetcher.error = StorageError("the store is away")
        worker.routes.put(make_plan(stored["second"], epoch=2))
        await until(lambda: bool(worker.faults))
        assert worker.faults == {"churn": "the store is away"}
        assert worker.served["churn"].plan.epoch == 1
        assert worker.notes.living()[0].epochs == {"churn": 1, "spend": 1}
        fetcher.error = None
        await until(lambda: worker.served["churn"].plan.epoch == 2)
        await until(lambda: worker.notes.living()[0].faults == {})

    drive(scenario)


@pytest.mark.parametrize("lost", ["first", "second"])
def test_a_new_worker_serves_what_it_can_load(
    drive: Drive, stored: Stored, fetcher: MemoryFetcher, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """The version that it cannot load fails when it is asked, and is served as soon as it can be loaded."""
    monkeypatch.setattr(worker_module, "RETRY_SECONDS", 0.05)
    bundle = fetcher.bundles.pop(stored[lost].digest)

    async def scenario(worker: Worker) -> None:
        split = {"shares": (5_000, 5_000), "champion": stored["first"].digest, "experiment": "e"}
        worker.routes.put(make_plan(stored["first"], stored["second"], **split))
        await worker.refresh()
        served = worker.served["churn"]
        absent = served.slots[stored[lost].digest]
        assert absent.engine == "absent"
        assert list(served.absent) == [absent.plan.version]
        assert "churn" in worker.faults
        with pytest.raises(SlotFailedError):
            await absent.scores([tuple(ROW.values())])
        assert worker.served["churn"] is served, "the same is not served anew at each try"
        fetcher.bundles[stored[lost].digest] = bundle
        await until(lambda: not worker.served["churn"].absent)
        await until(lambda: not worker.faults)

    drive(scenario)


def test_a_new_plan_is_served_whole_or_not_at_all(
    drive: Drive, stored: Stored, fetcher: MemoryFetcher
) -> None:
    async def scenario(worker: Worker) -> None:
        worker.routes.put(make_plan(stored["first"]))
        await worker.refresh()
        del fetcher.bundles[stored["second"].digest]
        worker.routes.put(make_plan(stored["first"], stored["second"], epoch=2, shares=(10_000, 0)))
        await worker.refresh()
        assert worker.served["churn"].plan.epoch == 1
        assert "churn" in worker.faults

    drive(scenario)


class TestWithdrawn:
    """Versions that a rollout has dropped: nobody asks them, so they hold nothing up."""

    def plan(self, stored: Stored, epoch: int = 1, **slot: Any) -> RoutePlan:
        made = {"shares": (5_000, 5_000), "champion": stored["first"].digest, "experiment": "e"}
        plan = make_plan(stored["first"], stored["second"], epoch=epoch, **made)
        return plan.replace(slots=(plan.slots[0], plan.slots[1].replace(**slot)))

    def test_one_that_stands_stays(self, drive: Drive, stored: Stored, fetcher: MemoryFetcher) -> None:
        async def scenario(worker: Worker) -> None:
            worker.routes.put(self.plan(stored))
            await worker.refresh()
            before = worker.served["churn"].slots[stored["second"].digest]
            worker.routes.put(self.plan(stored, epoch=2, withdrawn=True))
            await worker.refresh()
            assert worker.served["churn"].slots[stored["second"].digest] is before
            assert len(fetcher.loads) == 2

        drive(scenario)

    def test_a_new_worker_reads_its_schema_and_asks_it_nothing(
        self, drive: Drive, stored: Stored, fetcher: MemoryFetcher
    ) -> None:
        digest = stored["second"].digest
        golden = fetcher.bundles[stored["first"].digest].golden  # of another model: it would be refused
        schema = fetcher.bundles[digest].schema
        schema = schema.replace(fields=schema.fields[:3])
        fetcher.bundles[digest] = replace(fetcher.bundles[digest], golden=golden, schema=schema)

        async def scenario(worker: Worker) -> None:
            worker.routes.put(self.plan(stored, withdrawn=True))
            await worker.refresh()
            slot = worker.served["churn"].slots[digest]
            assert (slot.engine, slot.schema) == ("absent", schema)
            assert worker.faults == worker.served["churn"].absent == {}

        drive(scenario)

    def test_one_that_is_gone_is_no_fault_and_refuses_no_plan(
        self, drive: Drive, stored: Stored, fetcher: MemoryFetcher
    ) -> None:
        del fetcher.bundles[stored["second"].digest]

        async def scenario(worker: Worker) -> None:
            worker.routes.put(make_plan(stored["first"]))
            await worker.refresh()
            for epoch in (2, 3):
                worker.routes.put(self.plan(stored, epoch=epoch, withdrawn=True))
                await worker.refresh()
                assert worker.served["churn"].plan.epoch == epoch
                assert worker.faults == worker.served["churn"].absent == {}
            worker.routes.put(make_plan(stored["first"], stored["second"], epoch=4, shares=(10_000, 0)))
            await worker.refresh()
            assert worker.served["churn"].plan.epoch == 4, "the end of its rollout is not held up"
            assert list(worker.served["churn"].absent) == ["2"]
            worker.routes.put(make_plan(stored["first"], stored["second"], epoch=5))
            await worker.refresh()
            assert worker.served["churn"].plan.epoch == 4, "it is to answer, and cannot"

        drive(scenario)

    def test_its_address_may_be_gone(self, drive: Drive, stored: Stored, fetcher: MemoryFetcher) -> None:
        async def scenario(worker: Worker) -> None:
            plan = self.plan(stored, withdrawn=True, url="http://127.0.0.1:9")  # that nobody has signed
            worker.routes.put(plan)
            await worker.refresh()
            assert worker.served["churn"].plan == plan
            assert worker.faults == {}

        drive(scenario)


def test_clients_are_followed_while_a_bundle_is_loaded(
    drive: Drive, stored: Stored, fetcher: MemoryFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    going_on, looks = threading.Event(), []
    load = fetcher.load_folder

    def slowly(*given: Any, **options: Any) -> Any:
        going_on.wait(10)
        return load(*given, **options)

    async def scenario(worker: Worker) -> None:
        worker.also.append(lambda: looks.append(1))
        monkeypatch.setattr(fetcher, "load_folder", slowly)
        worker.routes.put(make_plan(stored["first"]))
        before = len(looks)
        await until(lambda: len(looks) >= before + 3)
        assert not worker.served
        going_on.set()
        await until(lambda: "churn" in worker.served)

    drive(scenario)


def test_one_bad_model_does_not_hold_up_another(drive: Drive, stored: Stored) -> None:
    async def scenario(worker: Worker) -> None:
        missing = StoredBundle(uri="memory://", digest="f" * 64)
        worker.routes.put(make_plan(missing))
        worker.routes.put(make_plan(stored["spend"], model="spend"))
        await worker.refresh()
        assert list(worker.served) == ["spend"]
        assert "churn" in worker.faults

    drive(scenario)


def test_a_bundle_of_another_model_is_refused(drive: Drive, stored: Stored) -> None:
    async def scenario(worker: Worker) -> None:
        worker.routes.put(make_plan(stored["spend"]))
        await worker.refresh()
        assert "of model spend, not of churn" in worker.faults["churn"]

    drive(scenario)


def test_an_error_of_a_library_is_a_fault_without_its_words(
    drive: Drive, stored: Stored, fetcher: MemoryFetcher
) -> None:
    fetcher.error = RuntimeError("planted")

    async def scenario(worker: Worker) -> None:
        worker.routes.put(make_plan(stored["first"]))
        await worker.refresh()
        assert worker.faults == {"churn": "version 1 could not be loaded (RuntimeError)"}

    drive(scenario)


def test_wrong_golden_predictions_keep_a_slot_out(
    drive: Drive, stored: Stored, fetcher: MemoryFetcher
) -> None:
    bundles = fetcher.bundles
    digest = stored["first"].digest
    crooked = type(bundles[digest])(
        **{**vars(bundles[digest]), "golden": bundles[stored["second"].digest].golden}
    )
    bundles[digest] = crooked

    async def scenario(worker: Worker) -> None:
        worker.routes.put(make_plan(stored["first"]))
        await worker.refresh()
        assert "golden predictions differ" in worker.faults["churn"]

    drive(scenario)


def test_a_worker_serves_though_its_note_cannot_be_written(
    drive: Drive, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(worker: Worker) -> None:
        worker.routes.put(make_plan(stored["first"]))

        def full(note: object) -> None:
            raise StorageError("disk full")

        monkeypatch.setattr(worker.notes, "write", full)
        await until(lambda: "churn" in worker.served)
        await until(lambda: worker.note_fault == "disk full")
        monkeypatch.undo()
        await until(lambda: worker.notes.living()[0].epochs == {"churn": 1})
        assert worker.note_fault is None

    drive(scenario)


def test_units_are_split_by_their_shares(drive: Drive, stored: Stored) -> None:
    async def scenario(worker: Worker) -> None:
        split = {"champion": stored["first"].digest, "experiment": "e1"}
        seen: list[dict[str, str]] = []
        for epoch, share in enumerate((1_000, 4_000), start=1):
            plan = make_plan(
                stored["first"], stored["second"], epoch=epoch, shares=(10_000 - share, share), **split
            )
            worker.routes.put(plan)
            await worker.refresh()
            served = worker.served["churn"]
            chosen = {f"u{n}": served.choose(f"u{n}") for n in range(2_000)}
            variants = {unit: served.plan.variant(slot.plan.digest) for unit, slot in chosen.items() if slot}
            # Binomial: five standard deviations.
            assert Counter(variants.values())["challenger"] == pytest.approx(share / 5, abs=110)
            seen.append(variants)
        flipped = [unit for unit in seen[0] if (seen[0][unit], seen[1][unit]) == ("challenger", "champion")]
        assert not flipped

    drive(scenario)


def test_nobody_is_chosen_before_a_promotion(drive: Drive, stored: Stored) -> None:
    async def scenario(worker: Worker) -> None:
        worker.routes.put(make_plan(stored["first"], shares=(0,)))
        await worker.refresh()
        served: ServedModel = worker.served["churn"]
        assert served.choose("u") is None
        assert served.most.version == "1"

    drive(scenario)


def test_unverified_bundles_do_not_reach_a_slot(drive: Drive, stored: Stored, fetcher: MemoryFetcher) -> None:
    fetcher.error = UnverifiedBundleError("changed")

    async def scenario(worker: Worker) -> None:
        worker.routes.put(make_plan(stored["first"]))
        await worker.refresh()
        assert not worker.served
        assert worker.faults == {"churn": "changed"}

    drive(scenario)


def test_only_needed_copies_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = BundleShelf(tmp_path, MemoryFetcher(), AllPassed())
    for name in ("a" * 64, "b" * 64):
        (shelf.folder / name).mkdir(parents=True)
        os.utime(shelf.folder / name, (1, 1))
    (shelf.folder / ("c" * 64)).mkdir()
    assert shelf.keep_only({"a" * 64}) == 1
    assert sorted(copy.name[0] for copy in shelf.folder.iterdir()) == ["a", "c"]


def test_a_slot_is_made_only_by_a_deployment_that_was_signed(drive: Drive, stored: Stored) -> None:
    async def scenario(worker: Worker) -> None:
        plan = at_address(make_plan(stored["first"]), "http://127.0.0.1:8182").slots[0]
        with pytest.raises(SlotAddressError):
            worker.make_slot("churn", plan)
        deployment = make_deployment(plan.digest, "http://127.0.0.1:8182")
        worker.register.add(deployment)
        with pytest.raises(SlotSecretError):  # no key of the slots on this machine
            worker.make_slot("churn", plan)
        worker.register.key.make()
        slot = worker.make_slot("churn", plan)
        assert (slot.engine, slot.plan) == ("remote", plan)
        worker.register.remove(deployment)
        with pytest.raises(SlotAddressError):
            worker.make_slot("churn", plan)

    drive(scenario)


def test_a_table_from_before_with_an_address_is_answered_by_the_fallback(
    drive: Drive, settings: Settings, stored: Stored
) -> None:
    plan = make_plan(stored["first"], stored["second"], shares=(10_000, 0))
    moved = plan.slots[1].model_copy(update={"url": "http://slot:8181"})
    plan = plan.model_copy(update={"slots": (plan.slots[0], moved)})
    settings.serving_dir.mkdir(parents=True)
    RouteFile(settings.serving_dir).file.write_text(RoutingTable(models={"churn": plan}).model_dump_json())

    async def scenario(worker: Worker) -> None:
        served = worker.served["churn"]
        assert list(served.absent) == ["2"]
        assert "is refused as the address of its slot" in served.absent["2"]
        assert served.stand_in(served.slots[moved.digest]) is served.slots[plan.slots[0].digest]

    drive(scenario)
