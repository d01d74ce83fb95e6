"""``windsock validate``, ``schema`` and ``init``: model files, without running anything."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windsock.cli.console import say
from windsock.cli.surroundings import REFUSED, complain
from windsock.exceptions import SpecError
from windsock.governance.approvals import NEEDED, different_people
from windsock.settings import Settings
from windsock.spec import ModelSpec, SharedSpec
from windsock.spec.faults import Fault, dotted, faults_error
from windsock.spec.known_refusals import known_refusals
from windsock.spec.loader import SHARED_NAME, load_models, load_shared, load_spec, model_files
from windsock.spec.schema import model_schema, shared_schema
from windsock.spec.unused import not_built, unused_keys, unused_shared_keys
from windsock.spec.yaml_reader import read_yaml

if TYPE_CHECKING:
    pass


def validate(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Model files, or folders of them; default: the models folder.")
    ] = None,
) -> None:
    """Check model files and print every fault; exit code 1 if there is one. Keys without effect are named."""
    settings = Settings.from_environment()
    good: list[str] = []
    errors: list[SpecError] = []
    for path in paths or [settings.models_dir]:
        try:
            found, faults = _checked(path, settings)
        except SpecError as fault:
            found, faults = [], (fault,)
        good += found
        errors += faults
    for line in good:
        say(line)
    for error in errors:
        complain(error)
    if errors:
        fine = sum(line.startswith("ok: ") for line in good)
        typer.echo(f"{len(errors)} file(s) cannot be used, {fine} can", err=True)
        raise typer.Exit(REFUSED)


def _noticed(spec: ModelSpec, shared: SharedSpec) -> list[str]:
    """Return a line for each key of a model that does nothing yet, or for which a task will refuse it."""
    said = [*unused_keys(spec), *(sentence for sentence, _ in not_built(spec)), *known_refusals(spec)]
    tier = spec.model.tier
    listed = different_people(shared.approvers.for_tier(tier))
    if listed and len(listed) < NEEDED[tier]:
        said.append(
            f"approvers.{tier} of windsock.yaml names {len(listed)}, and {NEEDED[tier]} people must approve "
            "a version, not counting who asked for it: every retrain stops at its first task"
        )
    return [f"  {spec.name}: {one}" for one in said]


def _checked(path: Path, settings: Settings) -> tuple[list[str], tuple[SpecError, ...]]:
    """Return a line for each good file of a path, and the errors of the others."""
    if path.name == SHARED_NAME:
        shared_file = load_shared(path)
        return [f"ok: {path}", *(f"  {one}" for one in unused_shared_keys(shared_file))], ()
    folder = path if path.is_dir() else path.parent
    shared = _shared_of(folder, settings)
    if not path.is_dir():
        spec = load_spec(path, shared)
        _require_parameters(path, spec)
        return [f"ok: {path}: model {spec.name}", *_noticed(spec, shared)], ()
    if not model_files(path):
        raise SpecError("there is no model file in this folder", file=str(path), code="WS-SPEC-005")
    lines: list[str] = []
    specs, errors = load_models(path, shared)
    faults: list[SpecError] = []
    files = _files_of(path, specs, shared)
    for name, spec in specs.items():
        try:
            _require_parameters(files[name], spec)
        except SpecError as fault:
            faults.append(fault)
        else:
            lines += [f"ok: {path}: model {name}", *_noticed(spec, shared)]
    return lines, (*errors, *faults)


def _files_of(folder: Path, specs: dict[str, ModelSpec], shared: SharedSpec) -> dict[str, Path]:
    """Return the file of each good model."""
    files = {}
    for file in model_files(folder):
        with suppress(SpecError):
            if (name := load_spec(file, shared).name) in specs:
                files[name] = file
    return {name: files.get(name, folder) for name in specs}


def _require_parameters(file: Path, spec: ModelSpec) -> None:
    """Refuse hyperparameters that a candidate's estimator does not know or cannot take.

    :raises SpecError: with every fault.
    """
    if not any(candidate.params for candidate in spec.training.candidates):
        return
    from windsock.training.parameters import parameter_faults

    found = parameter_faults(spec)
    if not found:
        return
    document = read_yaml(file) if file.is_file() else None
    raise faults_error(
        [
            Fault(
                file=str(file),
                line=document.line(fault.key) if document else None,
                key=dotted(fault.key),
                problem=fault.problem,
                allowed=fault.allowed,
                cure=fault.cure,
            )
            for fault in found
        ],
        code="WS-SPEC-011",
    )


def _shared_of(folder: Path, settings: Settings) -> SharedSpec:
    """Return what the models of a folder share: the file beside the folder, else the installation's."""
    beside = folder.absolute().parent / SHARED_NAME
    return load_shared(beside if beside.exists() else settings.shared_file)


def schema(
    shared: Annotated[bool, typer.Option("--shared", help="The schema of windsock.yaml instead.")] = False,
) -> None:
    """Print the JSON schema of model files, for editors."""
    print(json.dumps(shared_schema() if shared else model_schema(), indent=2))
