"""The lines of ``windsock status``: what is wrong first, then each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from windsock.cli.console import table
from windsock.records import INSTALLATION

HEAD = ("model", "version", "age", "drift", "performance", "episode", "rollout", "questions", "DAGs off")


def status_lines(content: Mapping[str, Any]) -> list[str]:
    """Return the lines of a status."""
    looked = content["watchdog_looked_at"]
    seen = f"looked {_time(looked)}" if looked else "never looked"
    head = f"windsock {content['windsock']}, {content['home']}, {_time(content['at'])}"
    lines = [f"{head}; the watchdog {seen}"]
    found = content["findings"]
    lines.append(f"findings: {len(found)}" if found else "findings: none; nothing is known to be wrong")
    lines += [line for one in found for line in finding_lines(one)]
    models = content["models"]
    if len(models) == 1:
        return [*lines, *model_lines(models[0])]
    if models:
        lines += ["", *table(HEAD, [_row(one) for one in models], indent="")]
    return lines


def finding_lines(one: Mapping[str, Any]) -> list[str]:
    """Return a finding's lines: what, the values, since when and whom it reached, what to do."""
    code = f"{one['code']} " if one["code"] else ""
    about = "" if one["model"] == INSTALLATION or one["model"] in one["title"] else f"{one['model']}: "
    lines = [f"[{str(one['severity']).upper()}] {code}{about}{one['title']}", f"    {one['text']}"]
    lines.append(f"    {_told(one)}")
    if one["next"]:
        lines.append(f"    NEXT: {one['next']}")
    return lines


def _told(one: Mapping[str, Any]) -> str:
    if one["since"] is None:
        return "seen now; the watchdog has not told it yet"
    since = f"since {_time(one['since'])}"
    if one["pending"]:
        why = f": {one['refusal']}" if one["refusal"] else ""
        return f"{since}; not taken by its channel yet{why}"
    return f"{since}; told {one['told']} times" if one["told"] else f"{since}; kept only"


def model_lines(one: Mapping[str, Any]) -> list[str]:
    """Return the lines about one model."""
    name = one["name"]
    if one["fault"]:
        return ["", f"{name}: not known: {one['fault']}"]
    serves = (
        f"version {one['version']} serves since {_time(one['serves_since'])} ({_age(one)})"
        if one["version"]
        else "no version serves"
    )
    lines = ["", f"{name}: {serves}; owner {one['owner'] or 'not known, it has no file'}"]
    for kind, last in one["verdicts"].items():
        said = (
            f"{last['status']}, window to {_time(last['window_end'])}: {last['reason']}" if last else "none"
        )
        lines.append(f"  last verdict on {kind}: {said}")
    episode = one["episode"]
    lines.append(
        f"  open episode: {episode['key']}, {episode['trigger']}, {episode['state']} since "
        f"{_time(episode['opened_at'])}"
        if episode
        else "  open episode: none"
    )
    lines.append(f"  rollout: {_rollout(one['rollout'])}")
    lines.append(f"  open questions: {_questions(one['questions'])}")
    lines.append(f"  DAGs that are off: {_list(one['dags_off'])}")
    lines.append(f"  alerts that no channel took: {one['unsent_alerts']}")
    return lines


def _rollout(rollout: Mapping[str, Any] | None) -> str:
    if rollout is None:
        return "none"
    looked = f"last looked at {_time(rollout['looked_at'])}" if rollout["looked_at"] else "not looked at yet"
    paused = f"; {rollout['paused']}" if rollout["paused"] else ""
    reason = f"; {rollout['reason']}" if rollout["reason"] else ""
    return (
        f"{rollout['experiment']}, version {rollout['versions']}, step {rollout['step']} of "
        f"{rollout['steps']}, {looked}{paused}{reason}"
    )


def _questions(questions: Sequence[Mapping[str, Any]] | None) -> str:
    if questions is None:
        return "not known, Airflow did not say"
    if not questions:
        return "none"
    return "; ".join(
        f"{one['about']} (until {_time(one['until']) if one['until'] else 'not known'}): {one['task']}"
        for one in questions
    )


def _list(names: Sequence[str] | None) -> str:
    if names is None:
        return "not known, Airflow did not say"
    return ", ".join(names) or "none"


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    if one["fault"]:
        return (one["name"], "not known", *("",) * (len(HEAD) - 2))
    verdicts = [one["verdicts"][kind]["status"] if one["verdicts"][kind] else "-" for kind in one["verdicts"]]
    off, questions = one["dags_off"], one["questions"]
    return (
        one["name"],
        one["version"] or "none",
        _age(one) if one["version"] else "-",
        *verdicts,
        one["episode"]["state"] if one["episode"] else "-",
        one["rollout"]["experiment"] if one["rollout"] else "-",
        "?" if questions is None else str(len(questions)) if questions else "-",
        "?" if off is None else ", ".join(dag.partition("__")[2] for dag in off) or "-",
    )


def _age(one: Mapping[str, Any]) -> str:
    days = float(one["age_days"])
    return f"{days:.0f} d" if days >= 2 else f"{days * 24:.1f} h"


def _time(text: str) -> str:
    return f"{text[:10]} {text[11:16]} UTC"
