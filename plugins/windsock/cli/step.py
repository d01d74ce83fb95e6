"""``windsock step``: one step of a model's life, from a JSON file to a JSON file."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from windsock.cli.console import say
from windsock.cli.surroundings import (
    exit_code,
    findings_on_stderr,
    installation,
    open_ports,
    user,
    write_whole,
)
from windsock.exceptions import ApprovalRefusedError, SettingsError, WindsockError
from windsock.steps.run import STEPS, run_step
from windsock.steps.verdicts import refusal_of, verdict_of, verdict_of_error


def _known_step(name: str) -> str:
    if name not in STEPS:
        raise typer.BadParameter(f"unknown step; known: {', '.join(STEPS)}")
    return name


def step(
    context: typer.Context,
    name: Annotated[str, typer.Argument(callback=_known_step, help=f"One of {', '.join(STEPS)}.")],
    source: Annotated[
        Path, typer.Option("--input", help="The step's input record as JSON; - reads it from stdin.")
    ],
    output: Annotated[
        Path, typer.Option("--output", help="Where its record goes; written whole or not at all.")
    ],
) -> None:
    """Run one step and end with its verdict; exit code 1 if it says no, 3 if a system did not answer."""
    try:
        content = read_record(source)
        if "run" in STEPS[name].input.model_fields:
            content["run"] = run_of_file(content.get("run"))
        _refuse_answers(name, content)
        with findings_on_stderr():
            result = run_step(name, content, open_ports(installation()))
        text = json.dumps(result.record.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
        write_whole(output, text.encode(), replace=True)
    except Exception as error:
        for line in verdict_of_error(error).lines():
            say(line)
        if not isinstance(error, WindsockError):
            raise
        if context.obj.debug:
            traceback.print_exc()
        raise typer.Exit(exit_code(error)) from error
    for finding in (*getattr(result.record, "findings", ()), *getattr(result.record, "asks", ())):
        print(finding, file=sys.stderr)
    for line in verdict_of(result).lines():
        say(line)
    if (refusal := refusal_of(result)) is not None:
        raise typer.Exit(exit_code(refusal))


def run_of_file(given: Any) -> Any:
    """Return the run that a step is told of: whoever a file says has asked for it is not known.

    :param given: what the file says; ``None``: nothing.
    """
    if given is None:
        return {"requested_by": user()}
    if not isinstance(given, dict) or given.get("requested_by") == user():
        return given
    return {**given, "starter_unknown": True}


def _refuse_answers(name: str, content: dict[str, Any]) -> None:
    """Refuse an approval that stands in a file: who answers must be known from Airflow's server.

    :raises ApprovalRefusedError: if the input holds an answer.
    """
    if name == "approve_model" and content.get("answer") is not None:
        raise ApprovalRefusedError(
            "an approval cannot be given by a file: who answers must be known from the server",
            code="WS-APPROVAL-006",
            next_action="Answer in the Airflow UI, under Required Actions of the approval task.",
        )


def read_record(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file, or on stdin for ``-``.

    :raises SettingsError: if it cannot be read, or is no JSON object.
    """
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        value = json.loads(content, parse_constant=_no_constant)
    except OSError as error:
        raise _unreadable(file, error.strerror or type(error).__name__) from error
    except json.JSONDecodeError as error:
        raise _unreadable(file, f"no JSON at line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise _unreadable(file, "no JSON in UTF-8 with finite numbers") from error
    if not isinstance(value, dict):
        raise _unreadable(file, "no JSON object")
    return value


def _no_constant(word: str) -> float:
    raise ValueError(word)


def _unreadable(file: Path, reason: str) -> SettingsError:
    return SettingsError(
        f"the input {file} cannot be used: {reason}",
        code="WS-SETTINGS-007",
        next_action="Name a file with the step's input record, as the steps before wrote theirs.",
    )
