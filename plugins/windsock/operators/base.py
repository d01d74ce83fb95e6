"""``StepOperator``: the thin skin that every step's operator shares."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped
from pydantic import ValidationError

from windsock.adapters.quiet import quiet_libraries
from windsock.exceptions import SpecError
from windsock.hooks.windsock import WindsockHook
from windsock.operators.links import MlflowRunLink, MlflowVersionLink
from windsock.operators.origin import origin_of, was_cleared
from windsock.records import Record, RunContext
from windsock.spec import ModelSpec
from windsock.spec.faults import dotted
from windsock.steps import (
    STEPS,
    StepResult,
    Verdict,
    read_input,
    refusal_of,
    run_step,
    verdict_of,
    verdict_of_error,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from windsock.ports import Ports

log = logging.getLogger("windsock.task")

GREEN = ("on_success_callback", "on_skipped_callback")
RED = ("on_failure_callback", "on_retry_callback")
WELL = ("PASS", "UNCHANGED", "KEEP", "DRY RUN")
"""Verdicts that no red task has."""


class StepOperator(BaseOperator):
    """Run one step: check its input, run it, log what it found, push its record, and only then say no.

    A subclass names its ``step`` (and, with ``makes_version``, that a version comes of it) and collects the
    step's input in :meth:`step_input`. The record goes to XCom as
    JSON; frames and models never do. The last block of the task's log is VERDICT, WHY, NEXT, IDS, whatever
    happens.

    :param spec: the model: its name in the models folder, its content, or a :class:`ModelSpec`.
    :param windsock_conn_id: connection of type ``windsock``; where there is none, the environment's
        settings hold.
    :param mlflow_conn_id: connection of type ``mlflow``; likewise.
    """

    step: ClassVar[str]
    makes_version: ClassVar[bool] = False
    ui_color = "#e8f0fe"
    template_fields: Sequence[str] = ()
    operator_extra_links: tuple[BaseOperatorLink, ...] = (MlflowRunLink(), MlflowVersionLink())

    def __init__(
        self,
        *,
        spec: ModelSpec | Mapping[str, Any] | str,
        windsock_conn_id: str = "windsock_default",
        mlflow_conn_id: str = "mlflow_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.windsock_conn_id = windsock_conn_id
        self.mlflow_conn_id = mlflow_conn_id
        self.links: dict[str, str] = {}
        self.verdict: Verdict | None = None

    @property
    def hook(self) -> WindsockHook:
        """The hook that turns connections into settings and ports."""
        return WindsockHook(self.windsock_conn_id, mlflow_conn_id=self.mlflow_conn_id)

    def step_input(self, context: Context) -> dict[str, Any]:
        """Return the step's input as JSON content, without ``spec``, ``run`` and ``nonce``."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Run the step; see the class."""
        result = self.run(context, self.step_input(context))
        return self.finish(context, result)

    def run(self, context: Context, content: Mapping[str, Any], *, step: str | None = None) -> StepResult:
        """Run the step on its input and log what it came to.

        :param step: another step than the operator's own; default: its own.
        :raises WindsockError: what the step raises, after its block was set.
        """
        self._end_with_verdict()
        name = step or self.step
        try:
            ports = self.hook.ports()
            given = read_input(name, {**self._shared_input(context, name), **content})
            log.info("%s: %s", name, self.announce(given))
            with quiet_libraries():
                result = run_step(name, given, ports)
        except Exception as error:
            self.verdict = verdict_of_error(error, {"model": self._model_name()})
            raise
        self.report(result)
        self._keep_links(ports, result)
        self.verdict = verdict_of(result)
        return result

    def finish(self, context: Context, result: StepResult) -> Any:
        """Push the record, then raise if it says no.

        :raises WindsockError: for a record that says no, or whose work must be tried again; the record is in
            XCom by then.
        """
        pushed = result.record.model_dump(mode="json")
        if (refusal := refusal_of(result)) is not None:
            context["ti"].xcom_push(key="return_value", value=pushed)
            raise refusal
        return pushed

    def announce(self, step: Record) -> str:
        """Return the first line of the log: what this task will do."""
        return f"model {self._model_name()}"

    def report(self, result: StepResult) -> None:
        """Log the findings of the record, one a line."""

    def _model_name(self) -> str:
        if isinstance(self.spec, ModelSpec):
            return self.spec.name
        if isinstance(self.spec, str):
            return self.spec
        block = self.spec.get("model", {})
        return str(block.get("name", "")) if isinstance(block, Mapping) else ""

    def model_spec(self) -> ModelSpec:
        """Return the spec, read from the models folder where only its name was given.

        :raises SpecError: if there is no such model or its file is broken.
        """
        if isinstance(self.spec, ModelSpec):
            return self.spec
        if isinstance(self.spec, str):
            return self.hook.model_spec(self.spec)
        try:
            return ModelSpec.model_validate(dict(self.spec))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise SpecError(
                f"the spec handed to task {self.task_id} is not valid: {first['msg']}",
                key=dotted(first["loc"]),
            ) from error
        except (ValueError, TypeError) as error:
            raise SpecError(f"the spec handed to task {self.task_id} is no block of keys") from error

    def _shared_input(self, context: Context, step: str) -> dict[str, Any]:
        """Return what every step is given that has a place for it."""
        fields = frozenset(STEPS[step].input.model_fields)
        shared: dict[str, Any] = {"run": run_context(context, by_clearing=self.makes_version)}
        if "spec" in fields:
            shared["spec"] = self.model_spec()
        if "nonce" in fields:
            shared["nonce"] = str(context["run_id"]) if param(context, "force") else None
        if "force" in fields:
            shared["force"] = bool(param(context, "force"))
        return shared

    def _keep_links(self, ports: Ports, result: StepResult) -> None:
        record = result.record
        model = str(getattr(record, "model", ""))
        chosen = getattr(record, "chosen", record)
        run_id, version = getattr(chosen, "run_id", None), getattr(record, "version", None)
        if run_id and (link := ports.tracker.run_link(model, str(run_id))):
            self.links["run"] = link
        if version and (link := ports.tracker.version_link(model, str(version))):
            self.links["version"] = link

    def _end_with_verdict(self) -> None:
        """Make the verdict the last block of the log: Airflow calls these after its own last lines."""
        for name in (*GREEN, *RED):
            given = getattr(self, name, None) or []
            callbacks = list(given) if isinstance(given, list | tuple) else [given]
            ours = self._log_red_verdict if name in RED else self._log_verdict
            if ours not in callbacks:  # an approval comes by here twice
                setattr(self, name, [*callbacks, ours])

    @contextmanager
    def _verdict_on_error(self) -> Iterator[None]:
        """Make what the body raises the verdict; Airflow's own signals, such as to skip, are none."""
        self._end_with_verdict()
        try:
            yield
        except (AirflowSkipException, DownstreamTasksSkipped):
            raise
        except Exception as error:
            self.verdict = verdict_of_error(error, {"model": self._model_name()})
            raise

    def _log_verdict(self, context: Context) -> None:
        if self.verdict is not None:
            log.info("::endgroup::")
            log_verdict(self.verdict, red=False)

    def _log_red_verdict(self, context: Context) -> None:
        """Log the block of a red task; what failed after a good verdict is the verdict then."""
        error = context.get("exception")
        if self.verdict is not None and self.verdict.word in WELL and isinstance(error, BaseException):
            self.verdict = verdict_of_error(error, {"model": self._model_name()})
        if self.verdict is not None:
            log.info("::endgroup::")
            log_verdict(self.verdict, red=True)


def log_verdict(verdict: Verdict, *, red: bool) -> None:
    """Log a task's last block, all of it at the level that its outcome has.

    :param red: whether the task ends red.
    """
    for line in verdict.lines():
        log.log(verdict.level(red=red), "%s", line)


def param(context: Context, name: str) -> Any:
    """Return a DAG param, or ``None`` where the DAG does not have it."""
    params = context.get("params") or {}
    return params.get(name)


def run_context(context: Context, *, by_clearing: bool = False) -> RunContext:
    """Return who and what runs this task, from the server's own record of the run.

    :param by_clearing: whether a cleared run counts as started by somebody unknown: where a version is made,
        it was somebody, and not always who started the run, who had it made again.
    """
    dag_run = context["dag_run"]
    origin = origin_of(context)
    cleared = by_clearing and was_cleared(context)
    return RunContext(
        dag_id=dag_run.dag_id,
        run_id=dag_run.run_id,
        requested_by=origin.person,
        logical_date=dag_run.logical_date,
        starter_unknown=origin.unknown or cleared,
    )


def by_hand(context: Context) -> bool:
    """Return whether a person, or another system, started this run; else a schedule or an event did."""
    kind = getattr(context["dag_run"], "run_type", None)
    return getattr(kind, "value", kind) == "manual"


def as_list(value: Any) -> list[Any]:
    """Return a mapped task's outputs, or one output, as a list."""
    return [dict(value)] if isinstance(value, Mapping) else list(value)
