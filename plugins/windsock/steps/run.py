"""``run_step``: the single door to every step, for operators, the CLI and containers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from pydantic import ValidationError

from windsock import records as r
from windsock.exceptions import GateRefusedError, SettingsError
from windsock.ports import Ports
from windsock.spec import digest_of
from windsock.steps import keys
from windsock.steps.claimed import require_claimed
from windsock.steps.watching import watched_rooms

StepFunction = Callable[..., r.Record]
"""A step's input, the ports and its key; and what :attr:`Step.reads` has read, where it reads anything."""


class Step(NamedTuple):
    """One step.

    :param room: the room its function lives in; the function has the step's name.
    :param input: record it takes.
    :param output: record it returns.
    :param parts: what its key is made of; ``None`` where the world itself (the snapshot store, the ledger)
        tells whether the work was done.
    :param reads: what both its key and its function need of the world; it is read once for both, so that the
        work is done on what its key says. Of a step without a key: what its function needs of other rooms.
    """

    room: str
    input: type[r.Record]
    output: type[r.Record]
    parts: Callable[..., dict[str, str]] | None = None
    reads: Callable[[Any, Ports], Any] | None = None


STEPS: dict[str, Step] = {
    "take_snapshot": Step("data", r.TakeSnapshotInput, r.DataSnapshot),
    "validate_data": Step(
        "data", r.ValidateDataInput, r.ValidationReport, keys.validate_parts, keys.validate_reads
    ),
    "train_model": Step("training", r.TrainModelInput, r.TrainedModel, keys.train_parts),
    "evaluate_model": Step("training", r.EvaluateModelInput, r.Evaluation, keys.evaluate_parts),
    "gate_model": Step("governance", r.GateModelInput, r.GateDecision, keys.gate_parts),
    "register_model": Step("governance", r.RegisterModelInput, r.RegisteredVersion, keys.register_parts),
    "approve_model": Step("governance", r.ApproveModelInput, r.Approval),
    "deploy_model": Step("deployment", r.DeployModelInput, r.Deployment),
    "promote_model": Step("governance", r.PromoteModelInput, r.Promotion),
    "roll_back": Step("deployment", r.RollBackInput, r.RollBack),
    "check_drift": Step("monitoring", r.CheckDriftInput, r.DriftReport),
    "check_performance": Step("monitoring", r.CheckPerformanceInput, r.PerformanceReport),
    "decide_retrain": Step("monitoring", r.DecideRetrainInput, r.RetrainDecision),
    "claim_retrain": Step("monitoring", r.ClaimRetrainInput, r.RetrainClaim),
    "close_retrain": Step("monitoring", r.CloseRetrainInput, r.RetrainEnd),
    "start_rollout": Step("rollout", r.StartRolloutInput, r.RolloutState),
    "judge_rollout": Step("rollout", r.JudgeRolloutInput, r.RolloutDecision),
    "shift_traffic": Step("rollout", r.ShiftTrafficInput, r.TrafficShift),
    "steer_rollout": Step("rollout", r.SteerRolloutInput, r.RolloutState),
    "keep_house": Step("deployment", r.HousekeepingInput, r.HousekeepingReport),
    "watch": Step("watchdog", r.WatchInput, r.WatchReport, reads=watched_rooms),
}


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step came to.

    :param step: its name.
    :param record: the record; the first one of its key stands.
    :param key: the idempotency key; empty where the step has none.
    :param unchanged: whether the work had been done before and nothing was done now.
    """

    step: str
    record: r.Record
    key: str
    unchanged: bool


def step_function(name: str) -> StepFunction:
    """Return the function behind a step.

    :raises SettingsError: if there is no such step.
    """
    if name not in STEPS:
        raise SettingsError(
            f"unknown step {name!r}; known: {', '.join(STEPS)}", next_action="Call one of the known steps."
        )
    module = import_module(f"windsock.{STEPS[name].room}.{name}")
    function: StepFunction = getattr(module, name)
    return function


def read_input(name: str, content: Mapping[str, Any]) -> r.Record:
    """Build a step's input record from JSON content.

    :raises SettingsError: if the step is unknown or the content does not fit its input.
    """
    step_function(name)
    try:
        return STEPS[name].input.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"the input of {name} is not valid at {place or 'its top level'}: {first['msg']}",
            next_action="Hand over the records of the steps before as they were written.",
        ) from None  # its text repeats what was given


def _is_final(record: r.Record) -> bool:
    if isinstance(record, r.ValidationReport):
        return record.status is not r.Status.ERROR
    if isinstance(record, r.GateDecision):
        return not record.has_error
    if isinstance(record, r.Evaluation):
        return not record.faults
    return True


def run_step(name: str, step: r.Record | Mapping[str, Any], ports: Ports) -> StepResult:
    """Run a step, or return the record that its first run left.

    :param name: such as ``train_model``.
    :param step: its input record, or that record's JSON content.
    :param ports: the outside world.
    :raises WindsockError: whatever the step raises; a verdict is not raised here but returned in the record.
    """
    function = step_function(name)
    known = STEPS[name]
    given = step if isinstance(step, r.Record) else read_input(name, step)
    _require_attested(name, given, ports)
    if isinstance(given, r.TakeSnapshotInput):
        require_claimed(given, ports)
    if known.parts is None:
        begun = ports.now()
        read = (known.reads(given, ports),) if known.reads else ()
        record = function(given, ports, "", *read)
        _attest(name, given, record, ports)
        taken = getattr(record, "taken_at", None)
        seen_before = taken is not None and taken < begun
        return StepResult(
            step=name,
            record=record,
            key="",
            unchanged=bool(getattr(record, "unchanged", False) or seen_before),
        )
    read = (known.reads(given, ports),) if known.reads else ()
    key = keys.idempotency_key(name, given, known.parts(given, ports, *read))
    if (stored := ports.records.find(key)) is not None:
        record = known.output.model_validate(stored)
        _attest(name, given, record, ports)
        return StepResult(step=name, record=record, key=key, unchanged=True)
    record = function(given, ports, key, *read)
    if _is_final(record):
        model = str(getattr(record, "model", ""))
        content = ports.records.add(key, step=name, model=model, record=record.model_dump(mode="json"))
        record = known.output.model_validate(content)
    _attest(name, given, record, ports)
    return StepResult(step=name, record=record, key=key, unchanged=False)


HANDED_ON: dict[type[r.Record], str] = {
    r.DataSnapshot: "take_snapshot",
    r.ValidationReport: "validate_data",
    r.TrainedModel: "train_model",
    r.Evaluation: "evaluate_model",
    r.GateDecision: "gate_model",
}
"""Records that a later step believes, and the step that makes each."""


def _attest(name: str, given: r.Record, record: r.Record, ports: Ports) -> None:
    if type(record) in HANDED_ON:
        ports.records.attest(name, record.model_dump(mode="json"), _made_under(given))


def _made_under(given: r.Record) -> str:
    """Return what a step's record counts for: this very spec, in this very run.

    A spec that is edited between two steps, and a record of another run, are other ones.
    """
    spec, run = getattr(given, "spec", None), getattr(given, "run", None)
    return digest_of(
        {
            "spec": spec.content_digest() if spec is not None else None,
            "run": [run.dag_id, run.run_id] if run is not None else None,
        }
    )


def _require_attested(name: str, given: r.Record, ports: Ports) -> None:
    """See that the records handed over are those that the steps before came to, to the letter.

    They pass through XCom and input files, which others than the steps may write.

    :raises GateRefusedError: if one is not, or was made under another spec or in another run.
    """
    under = _made_under(given)
    for field, maker, record in handed_over(given):
        if not ports.records.is_attested(maker, record.model_dump(mode="json"), under):
            raise GateRefusedError(
                f"{field} as it was handed to {name} is not what {maker} came to under this spec in this "
                "run: the model's file was edited or Windsock was upgraded since, or somebody else wrote or "
                "changed it",
                code="WS-GATE-013",
                next_action="Clear take_snapshot and all that follows it, so that the run uses its own "
                "records; what was trained on the same data is found again.",
            )


def handed_over(given: r.Record) -> Iterator[tuple[str, str, r.Record]]:
    """Give each record of an input that a step before made: its field, that step, and itself."""
    for field in type(given).model_fields:
        value = getattr(given, field)
        for record in value if isinstance(value, tuple) else (value,):
            if (maker := HANDED_ON.get(type(record))) is not None:
                yield field, maker, record
