"""``windsock demo``: the daily retrain of one model, from data to served answer, through Airflow."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from windsock.adapters.ledger_table import SqlLedger
from windsock.cli.airflow_rest import AirflowApi, AirflowApiError
from windsock.cli.console import say, table
from windsock.cli.demo_agree import await_agreement
from windsock.cli.demo_drift import DriftChapter, with_short_windows
from windsock.cli.demo_off import off_lines, switched_off
from windsock.cli.demo_rollout import RolloutChapter, with_quick_rollout
from windsock.cli.follow import RunFollower
from windsock.cli.stack import Stack, running_stack
from windsock.cli.stack_ports import StackPorts
from windsock.cli.staging import StagedModel, stage_model
from windsock.cli.supervisor import StopSignalError, Supervisor
from windsock.cli.surroundings import location, open_ports
from windsock.cli.up import (
    INTERRUPTED,
    AirflowPort,
    MlflowPort,
    PrivatePort,
    ProjectOption,
    ServerPort,
    addresses,
    logins,
)
from windsock.exceptions import WindsockError
from windsock.locations import locate
from windsock.records import Champion, GateDecision, InputSchema
from windsock.records.check_text import measured_text
from windsock.settings import Settings
from windsock.spec import ModelSpec

SAMPLE = Path("include/models/churn.yaml")
PARSE_SECONDS = 240.0
ACTIVE = ("queued", "running")

SpecOption = Annotated[
    Path | None,
    typer.Option(
        "--spec", help="A model file; default: the bundled churn model.", exists=True, dir_okay=False
    ),
]
KeepHomeOption = Annotated[
    Path | None,
    typer.Option("--keep-home", "--home", help="Where everything is kept; default: as for `windsock up`."),
]


class DemoFailedError(WindsockError):
    """The demo did not end with a served prediction of a promoted version."""

    default_code = "WS-CORE-021"
    default_next = "Do what the block above says, then run the demo again."


def demo(
    spec: SpecOption = None,
    home: KeepHomeOption = None,
    project: ProjectOption = None,
    airflow_port: AirflowPort = None,
    mlflow_port: MlflowPort = None,
    server_port: ServerPort = None,
    private_port: PrivatePort = None,
) -> None:
    """Run the daily retrain of a model through Airflow, from data to a served answer, then stop everything.

    :raises DemoFailedError: if the run is red or the promoted version does not answer.
    :raises WindsockError: if the model file cannot be used or the stack does not come up.
    """
    begun = datetime.now(UTC)
    place, wanted = location(home=home, project=project), project
    project, home = place.project, place.home
    staged = stage_model((spec or project / SAMPLE).absolute(), project=project, home=home, change=in_a_hurry)
    model = staged.spec.model
    say(f"Model    {model.name}: owner {model.owner}, tier {model.tier}, {staged.file}")
    say(f"Rows     {describe_source(staged.spec)}")
    stack = Stack(
        project=project,
        home=home,
        ports=_free_ports(
            StackPorts.from_environment(
                airflow=airflow_port, mlflow=mlflow_port, server=server_port, private=private_port
            )
        ),
        models_dir=staged.models_dir,
        source_roots=staged.source_roots,
        command="demo",
    )
    try:
        with running_stack(stack, say=say) as supervisor:
            off = Demo(stack=stack, staged=staged, supervisor=supervisor, begun=begun).tell()
    except StopSignalError as error:
        say("Stopped; no process is left.")
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt:  # before the supervisor takes signals, or after it
        say("Stopped; no process is left.")
        raise typer.Exit(INTERRUPTED) from None
    say(f"Done after {seconds_since(begun):.0f} s; everything is stopped.")
    elsewhere = locate(project=wanted)
    again, there = "windsock up", ""
    if (elsewhere.home, elsewhere.project) != (home, project) or wanted is not None:
        again, there = f"windsock up --project {project} --home {home}", f" --home {home}"
    say(f"`{again}` brings it all back, with what was made in it:")
    for line in [
        *addresses(Stack(project=project, home=home, ports=StackPorts.from_environment())),
        *logins(stack),
    ]:
        say(line)
    if not staged.is_own:
        say(f"To keep {staged.spec.name}, copy {staged.file} to {project / 'include' / 'models'},")
        say(f"and what its sources name, relative to it, to {project}; or write whole paths.")
    for line in off_lines(off, model.name, there):
        say(line)


def _free_ports(wanted: StackPorts) -> StackPorts:
    ports = wanted.moved()
    for (name, before), (_, after) in zip(wanted.items(), ports.items(), strict=True):
        if before != after:
            say(f"Port     {before} is taken: {name} gets {after} this time")
    return ports


def describe_source(spec: ModelSpec) -> str:
    """Return where the model's rows come from, in a few words."""
    source = spec.data.source
    if source is None:
        return "no source is named"
    fields = source.model_dump(mode="json", exclude_none=True)
    place = next((fields[key] for key in ("path", "table", "view", "url") if key in fields), "")
    via = f" of connection {fields['conn_id']}" if "conn_id" in fields else ""
    return f"{fields['kind']} {place or 'by a query' if fields['kind'] == 'sql' else place}{via}".rstrip()


class Demo:
    """The chapters after the stack is up.

    :param begun: when the command was started.
    """

    def __init__(self, *, stack: Stack, staged: StagedModel, supervisor: Supervisor, begun: datetime) -> None:
        self.stack = stack
        self.spec, self.model = staged.spec, staged.spec.name
        self.supervisor = supervisor
        self.begun = begun
        self.dag_id = f"{self.model}__daily_retrain"
        self.settings = Settings.from_environment(stack.environment())

    def tell(self) -> tuple[str, ...]:
        """Tell every chapter in turn.

        :returns: the model's DAGs that are switched off at the end.
        :raises DemoFailedError: where one does not end as it must.
        """
        say(f"Stack    Airflow, MLflow and the server are up ({seconds_since(self.begun):.0f} s)")
        for line in [*addresses(self.stack), *logins(self.stack)]:
            say(line)
        with self.stack.api() as api:
            decision = self.retrain(api, self.await_dag(api))
            champion = self.read_champion()
            self.show_gate(decision)
            schema = self.predict(champion)
            self.show_ledger(champion)
            champion = self.renew(api, schema)
            self.predict(champion)
            self.show_ledger(champion)
            ports = open_ports(self.settings)
            seconds = await_agreement(ports, self.model, api, self.supervisor.pause)
            say(
                "Agree    ledger, server, MLflow's alias and runs, the rollout's report and Airflow's runs "
                f"say the same ({seconds:.0f} s after the end)"
            )
            return switched_off(api.dags_of(self.model), self.model)

    def await_dag(self, api: AirflowApi) -> dict[str, Any]:
        """Wait until Airflow has parsed the model's DAG in this stack, and return what it knows of it."""
        deadline = time.monotonic() + PARSE_SECONDS
        while time.monotonic() < deadline:
            found = api.dag(self.dag_id)
            if found and not found["is_stale"] and parsed_after(found, self.begun):
                return found
            self.supervisor.pause(0.5)
        for error in api.import_errors():
            say(f"  {error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}")
        raise DemoFailedError(
            f"Airflow did not show the DAG {self.dag_id} within {PARSE_SECONDS:.0f} s.",
            next_action=f"Read {self.stack.logs}/airflow-dag-processor.log.",
        )

    def retrain(self, api: AirflowApi, dag: dict[str, Any]) -> GateDecision:
        """Run the retrain DAG to its end and return the gate's decision.

        :param dag: what Airflow knows of the DAG.
        :raises DemoFailedError: if the run is red.
        """
        was_paused = bool(dag["is_paused"])
        if was_paused:
            self._end_open_runs(api)
        run_id = api.trigger(self.dag_id)
        api.set_paused(self.dag_id, paused=False)
        say(f"Run      {self.dag_id}, triggered through REST: {run_id}")
        follower = RunFollower(
            api=api,
            dag_id=self.dag_id,
            run_id=run_id,
            say=say,
            pause=self.supervisor.pause,
            reviewer_note=f"for a person: sign in as reviewer or reviewer2 at "
            f"{self.stack.airflow_url}, Required Actions",
        )
        try:
            state = follower.follow()
        finally:
            if was_paused:
                with suppress(AirflowApiError):  # what ended the run may have ended Airflow, too
                    api.set_paused(self.dag_id, paused=True)
        if state != "success":
            self._show_failure(follower)
        return GateDecision.model_validate(api.xcom(self.dag_id, run_id, "gate_model"))

    def _end_open_runs(self, api: AirflowApi) -> None:
        """End the runs that an interrupted demo left open; they would be run first."""
        for run in api.runs(self.dag_id):
            if run["state"] in ACTIVE:
                api.fail_run(self.dag_id, run["dag_run_id"])

    def _show_failure(self, follower: RunFollower) -> None:
        for task in follower.failed_tasks():
            say(f"The last block of {task.label}:")
            for line in follower.block_of(task) or ["(none: read its log in Airflow)"]:
                say(f"  {line}")
        raise DemoFailedError(f"the run of {self.dag_id} is red.")

    def show_gate(self, decision: GateDecision) -> None:
        """Print the gate's decision and its table."""
        say(f"Gate     {decision.outcome.value}: {decision.reason}")
        rows = [
            (
                check.name,
                check.status.value,
                measured_text(check),
            )
            for check in decision.checks
        ]
        for line in table(("check", "status", "what was seen, with its 95 % interval and its limit"), rows):
            say(line)

    @property
    def ledger(self) -> SqlLedger:
        """The installation's ledger."""
        return SqlLedger.of(self.settings)

    def read_champion(self) -> Champion:
        """Return the version that serves by the ledger.

        :raises DemoFailedError: if there is none.
        """
        champion = self.ledger.champion(self.model)
        if champion is None:
            raise DemoFailedError(f"the ledger has no champion of {self.model}.")
        return champion

    def renew(self, api: AirflowApi, schema: InputSchema) -> Champion:
        """Tell the chapters on drift and on the rollout that follows; return the version that serves."""
        shared: dict[str, Any] = {
            "api": api,
            "spec": self.spec,
            "settings": self.settings,
            "pause": self.supervisor.pause,
        }
        learned = DriftChapter(schema=schema, **shared).tell()
        return RolloutChapter(learned=learned, **shared).tell()

    def predict(self, champion: Champion) -> InputSchema:
        """Ask the server with the made-up row of its own description, and see that the champion answers.

        :returns: what the model is asked with.
        :raises DemoFailedError: if it does not.
        """
        address = f"{self.stack.server_url}/models/{self.model}"
        described = ask_server("GET", address)
        asked = described["example"]
        say(f"Predict  POST {address}/predict")
        say(f"  made-up row  {json.dumps(asked['features'])}")
        answer = ask_server("POST", f"{address}/predict", asked)
        say(f"  answer       {json.dumps(answer)}")
        if str(answer.get("version")) != champion.version:
            raise DemoFailedError(
                f"version {answer.get('version')} answered; the ledger's champion is {champion.version}."
            )
        return InputSchema.model_validate(described["schema"])

    def show_ledger(self, champion: Champion) -> None:
        """Print the ledger's row of the champion, and whether the chain is whole."""
        ledger = self.ledger
        row = next(row for row in reversed(ledger.rows(self.model)) if row.epoch == champion.epoch)
        chain = ledger.verify(self.model)
        whole = "whole" if chain.broken_at is None else f"broken at row {chain.broken_at}"
        say(
            f"Ledger   row {row.seq}: {row.action.value} version {row.version}, epoch {row.epoch}, "
            f"by {row.actor}, {row.at:%Y-%m-%d %H:%M:%S} UTC, hash {row.hash[:12]}; "
            f"the chain of {chain.rows} rows is {whole}"
        )
        if chain.broken_at is not None:
            raise DemoFailedError(f"the ledger of {self.model} is broken at row {chain.broken_at}.")


def in_a_hurry(spec: ModelSpec) -> ModelSpec:
    """Return a model whose windows and rollouts are short enough to be waited for."""
    return with_quick_rollout(with_short_windows(spec))


def ask_server(method: str, address: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the server's JSON answer.

    :raises DemoFailedError: if it does not answer, or refuses.
    """
    try:
        answer = httpx.request(method, address, json=body, timeout=10.0, trust_env=False)
    except httpx.HTTPError as error:
        raise DemoFailedError(f"{address} did not answer ({type(error).__name__}).") from error
    if not answer.is_success:
        raise DemoFailedError(f"{address} answered with {answer.status_code}.")
    content: dict[str, Any] = answer.json()
    return content


def seconds_since(moment: datetime) -> float:
    """Return the seconds from a moment until now."""
    return (datetime.now(UTC) - moment).total_seconds()


def parsed_after(dag: dict[str, Any], moment: datetime) -> bool:
    """Say whether Airflow has parsed a DAG since a moment."""
    parsed = dag.get("last_parsed_time")
    return parsed is not None and datetime.fromisoformat(parsed) > moment
