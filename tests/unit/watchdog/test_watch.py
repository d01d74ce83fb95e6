from __future__ import annotations

from typing import Any

from support.builders import make_spec
from support.fakes import fake_ports
from windsock.exceptions import DatabaseUnavailableError, StorageError
from windsock.records import DueWork, ModelWork, WatchInput, WatchReport
from windsock.steps import verdict_of
from windsock.steps.run import run_step
from windsock.watchdog.rooms import Rooms
from windsock.watchdog.watch import watch

STRATEGIES = {"a": "direct", "b": "canary", "c": "direct"}
SPECS = tuple(make_spec(model={"name": name}, rollout={"strategy": one}) for name, one in STRATEGIES.items())


def work(name: str, kind: Any = "monitor") -> DueWork:
    return DueWork(model=name, kind=kind, key="1", reason="due")


def rooms(**failing: Exception) -> Rooms:
    """Return rooms in which everything is due, but for models whose look fails."""

    def monitor(spec: Any, rows: Any) -> ModelWork:
        if spec.name in failing:
            raise failing[spec.name]
        return ModelWork(due=work(spec.name), emptied=2)

    return Rooms(
        monitor=lambda specs, ports: monitor,
        rollout=lambda spec, rows, ports: ModelWork(due=work(spec.name, "rollout")),
    )


def test_all_models_are_looked_at_in_one_go() -> None:
    report = watch(WatchInput(specs=SPECS), fake_ports(), "", rooms())
    assert report.due == (work("a"), work("b"), work("c"), work("b", "rollout"))
    assert (report.models, report.emptied, report.faults) == (3, 6, ())


def test_a_model_that_cannot_be_looked_at_hides_no_other() -> None:
    failing = rooms(a=StorageError("the disk is away"), c=KeyError("secret"))
    report = watch(WatchInput(specs=SPECS, broken=("d.yaml: bad",)), fake_ports(), "", failing)
    assert report.due == (work("b"), work("b", "rollout"))
    assert report.away == ("WS-STORAGE-001",)
    assert [fault.partition(":")[0] for fault in report.faults] == [
        "d.yaml",
        "the windows of a",
        "the windows of c",
    ]
    assert "secret" not in str(report)


def test_a_ledger_that_does_not_answer_is_no_model_without_a_version(monkeypatch: Any) -> None:
    ports = fake_ports()

    def away(model: str) -> Any:
        raise DatabaseUnavailableError("away")

    monkeypatch.setattr(ports.ledger, "rows", away)
    report = watch(WatchInput(specs=SPECS), ports, "", rooms())
    assert report.due == ()
    assert len(report.faults) == 3


def test_the_step_is_one_door_for_all() -> None:
    result = run_step("watch", WatchInput(specs=SPECS), fake_ports())
    assert result.record == WatchReport(models=3)
    assert verdict_of(result).word == "PASS"


def test_a_fault_is_said_in_the_last_block() -> None:
    faulty = watch(WatchInput(specs=SPECS), fake_ports(), "", rooms(a=StorageError("away")))
    from windsock.steps.watch_verdicts import describe_watch

    block = describe_watch(faulty)
    assert block.word == "FAIL"
    assert "WS-STORAGE-001" in block.why
