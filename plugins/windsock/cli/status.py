"""``windsock status``: how an installation and its models are, judged at the moment it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import typer

from windsock import __version__
from windsock.cli.airflow_answers import AirflowAccess, RestAirflow, airflow_access
from windsock.cli.console import say
from windsock.cli.output import JsonOption, print_json
from windsock.cli.status_lines import status_lines
from windsock.cli.surroundings import REFUSED, installation, open_ports, open_standing_ports
from windsock.exceptions import SpecError, WindsockError
from windsock.ports import Ports
from windsock.records import (
    INSTALLATION,
    Alert,
    Condition,
    Severity,
    WindowKind,
    champion_of,
    running_rollout,
)
from windsock.records.ledger import LedgerAction
from windsock.records.retraining import open_episode
from windsock.settings import Settings
from windsock.spec import ModelSpec, SharedSpec
from windsock.spec.loader import load_models, load_shared
from windsock.watchdog.airflow_answers import AirflowAnswers, NoAirflow
from windsock.watchdog.bounded import NoAnswer, ask
from windsock.watchdog.findings import SECONDS, Findings, find
from windsock.watchdog.firing import alerts_of
from windsock.watchdog.loop_dags import loop_dags
from windsock.watchdog.system_findings import LOOKED, airflow_condition, looked_condition


class World(NamedTuple):
    """What a status is made of.

    :param broken: one sentence for each model file that cannot be used.
    :param access: how Airflow is reached.
    """

    settings: Settings
    specs: dict[str, ModelSpec]
    broken: tuple[str, ...]
    ports: Ports
    access: AirflowAccess
    airflow: AirflowAnswers


def status(
    name: Annotated[str | None, typer.Argument(help="The model's name; none: all models.")] = None,
    as_json: JsonOption = False,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 where something is wrong.")] = False,
) -> None:
    """Show how the installation and its models are, and what to do about what is wrong.

    What cannot work is judged now, with or without the watchdog, Airflow, MLflow or the server: each has a
    few seconds to answer and is named where it does not. Exit code 0; with --check 1 where something is
    wrong.
    """
    settings = installation()
    # Once there are keys there is an installation, though nothing may have written to its database yet.
    ports = open_ports(settings) if settings.keys_dir.exists() else open_standing_ports(settings)
    world = world_of(settings, ports)
    if name is not None and name not in world.specs and name not in _ledger_models(world.ports):
        from windsock.spec.loader import find_model

        find_model(settings.models_dir, name, shared_file=settings.shared_file)
    content = status_of(world, only=name)
    if as_json:
        print_json(content)
    else:
        for line in status_lines(content):
            say(line)
    if check and content["findings"]:
        raise typer.Exit(REFUSED)


def _ledger_models(ports: Ports) -> tuple[str, ...]:
    answer = ask(ports.ledger.models, SECONDS)
    return () if isinstance(answer, NoAnswer) else answer


def world_of(settings: Settings, ports: Ports) -> World:
    """Return what a status is made of; files that cannot be read are told and raise nothing."""
    broken: list[str] = []
    shared = SharedSpec()
    try:
        shared = load_shared(settings.shared_file)
    except SpecError as error:
        broken.append(f"{error.code}: {error.message}")
    specs, errors = load_models(settings.models_dir, shared)
    broken += [f"{one.code}: {one.message}" for one in errors]
    access = airflow_access(settings)
    airflow: AirflowAnswers = NoAirflow(access.why)
    if not access.why:
        rest = RestAirflow(access.api())
        airflow = NoAirflow(rest.why_not) if rest.why_not else rest
    return World(settings, specs, tuple(broken), ports, access, airflow)


def status_of(world: World, *, only: str | None = None) -> dict[str, Any]:
    """Return how everything is, as plain values.

    :param only: this model alone, and the installation.
    """
    now, ports = world.ports.now(), world.ports
    found = find(list(world.specs.values()), world.broken, ports, world.airflow, only=only)
    why = world.airflow.why if isinstance(world.airflow, NoAirflow) else ""
    found.add(INSTALLATION, airflow_condition(world.access.url, why))
    kept = _kept_alerts(world, found)
    last = next((one for one in kept if one.key == LOOKED), None)
    if kept is not _UNKNOWN:
        found.add(INSTALLATION, looked_condition(last, now))
    names = sorted({*world.specs, *_ledger_models(ports)}) if only is None else [only]
    database = not any(one.key == "watch:database" and one.active for one in found.conditions[INSTALLATION])
    return {
        "windsock": __version__,
        "home": str(world.settings.home),
        "at": now.isoformat(timespec="seconds"),
        "watchdog_looked_at": last.last_at.isoformat(timespec="seconds") if last else None,
        "findings": _findings(found, kept, only),
        "not_asked": list(dict.fromkeys(found.unknown)),
        "models": [_model(world, name, now) for name in names] if database else [],
    }


_UNKNOWN: list[Alert] = []


def _kept_alerts(world: World, found: Findings) -> list[Alert]:
    """Return the rows of the table of all that was looked at; :data:`_UNKNOWN`: nobody knows."""
    monitor = world.ports.monitor
    names = list(found.conditions)
    answer = ask(lambda: [one for name in names for one in monitor.alerts(name)], SECONDS)
    return _UNKNOWN if isinstance(answer, NoAnswer) else [*answer]


def _findings(found: Findings, kept: Sequence[Alert], only: str | None) -> list[dict[str, Any]]:
    """Return what is wrong now, the gravest first: what was judged just now, and other alerts that fire.

    What the table still has as firing, and is over by now, is none.
    """
    known = {(one.model, one.key): one for one in kept if one.state == "firing"}
    judged = {(model, one.key) for model, listed in found.conditions.items() for one in listed}
    wrong = [(model, one) for model, listed in found.conditions.items() for one in listed if one.active]
    listed = [_finding(model, one, known.get((model, one.key))) for model, one in wrong]
    listed += [
        _of_alert(one)
        for (model, key), one in known.items()
        if (model, key) not in judged and only in (None, model)
    ]
    return sorted(
        listed, key=lambda one: (-Severity(one["severity"]).rank, str(one["model"]), str(one["key"]))
    )


def _finding(model: str, one: Condition, kept: Alert | None) -> dict[str, Any]:
    return {
        "model": model,
        "key": one.key,
        "code": one.code,
        "severity": one.severity.value,
        "title": one.title,
        "text": one.text,
        "next": one.next_action,
        "since": kept.first_at.isoformat(timespec="seconds") if kept else None,
        "told": kept.times if kept else 0,
        "pending": kept.pending if kept else False,
        "refusal": kept.refusal if kept else "",
    }


def _of_alert(one: Alert) -> dict[str, Any]:
    return {
        "model": one.model,
        "key": one.key,
        "code": one.code,
        "severity": one.severity.value,
        "title": one.title,
        "text": one.text,
        "next": one.next_action or f"`windsock monitor {one.model}` shows what was judged",
        "since": one.first_at.isoformat(timespec="seconds"),
        "told": one.times,
        "pending": one.pending,
        "refusal": one.refusal,
    }


def _model(world: World, name: str, now: datetime) -> dict[str, Any]:
    """Return how one model is; what cannot be read is said in its place."""
    spec = world.specs.get(name)
    content: dict[str, Any] = {"name": name, "owner": spec.model.owner if spec else None, "fault": ""}
    try:
        content |= _production(world.ports, name, now)
    except WindsockError as error:
        content["fault"] = f"{error.code}: {error.message}"
    content["dags_off"] = _dags_off(world.airflow, spec) if spec else []
    if not isinstance(world.airflow, NoAirflow):
        asked = world.airflow.questions(name)
        content["questions"] = [one.model_dump(mode="json") for one in asked] if asked is not None else None
    else:
        content["questions"] = None
    return content


def _dags_off(airflow: AirflowAnswers, spec: ModelSpec) -> list[str] | None:
    if isinstance(airflow, NoAirflow):
        return None
    return [one.dag_id for one in loop_dags(spec) if airflow.dag(one.dag_id).is_off]


def _production(ports: Ports, name: str, now: datetime) -> dict[str, Any]:
    rows = ports.ledger.rows(name)
    champion, rollout = champion_of(rows), running_rollout(rows)
    commits = [row for row in rows if row.action is LedgerAction.COMMIT]
    since = commits[-1].at if commits else None
    episode = open_episode(ports.monitor.episodes(name))
    last = ports.rollouts.last(name, rollout.experiment) if rollout else None
    kinds: tuple[WindowKind, ...] = ("drift", "performance")
    unsent = [one for one in alerts_of(ports.monitor, [name], resolved=True) if one.pending]
    return {
        "version": champion.version if champion else None,
        "serves_since": since.isoformat(timespec="seconds") if since else None,
        "age_days": round((now - since).total_seconds() / 86_400, 2) if since else None,
        "verdicts": {kind: _last_verdict(ports, name, kind) for kind in kinds},
        "episode": episode.model_dump(mode="json") if episode else None,
        "rollout": {
            "experiment": rollout.experiment,
            "versions": rollout.versions,
            "step": rollout.step + 1,
            "steps": len(rollout.plan.shares),
            "paused": rollout.pause,
            "looked_at": last.judged_at.isoformat(timespec="seconds") if last else None,
            "reason": last.reason if last else "",
            "asked_until": rollout.asked_until.isoformat(timespec="seconds")
            if rollout.asked_until and rollout.asked_until > now
            else None,
        }
        if rollout
        else None,
        "unsent_alerts": len(unsent),
    }


def _last_verdict(ports: Ports, name: str, kind: WindowKind) -> dict[str, Any] | None:
    judged = ports.monitor.windows(name, kind)
    if not judged:
        return None
    last = judged[-1]
    return {
        "status": last.status.value,
        "severity": last.severity.value,
        "window_end": last.window.end.isoformat(timespec="seconds"),
        "reason": last.reason,
    }
