"""``windsock validate``, ``schema`` and ``init``: model files, without running anything."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from windsock.cli.console import say
from windsock.cli.output import JsonOption, print_json
from windsock.cli.season_lines import proposals
from windsock.cli.surroundings import REFUSED, complain, installation
from windsock.door.approvals import NEEDED, different_people
from windsock.exceptions import SpecError
from windsock.settings import Settings
from windsock.spec import ModelSpec, SharedSpec
from windsock.spec.faults import Fault, dotted, faults_error
from windsock.spec.known_refusals import known_refusals
from windsock.spec.loader import SHARED_NAME, load_models, load_shared, load_spec, model_files
from windsock.spec.schema import model_schema, shared_schema
from windsock.spec.unused import not_built, unused_keys, unused_shared_keys
from windsock.spec.yaml_reader import read_yaml


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A file that can be used.

    :param path: as the user named it, or the folder that it is in.
    :param model: ``None``: it is the file of what models share.
    :param notes: what in it does nothing, or is refused later.
    """

    path: str
    model: str | None
    notes: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The lines for people."""
        head = f"ok: {self.path}" + (f": model {self.model}" if self.model else "")
        return [head, *(f"  {self.model}: {note}" if self.model else f"  {note}" for note in self.notes)]


def validate(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Model files, or folders of them; default: the models folder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check model files and print every fault; exit code 1 if there is one. Keys without effect are named.

    Where this installation has trained a model, windows that its training proposed are named too.
    """
    settings = installation(editing=True)
    good: list[Checked] = []
    errors: list[SpecError] = []
    for path in paths or [settings.models_dir]:
        try:
            found, faults = _checked(path, settings)
        except SpecError as fault:
            found, faults = [], (fault,)
        good += found
        errors += faults
    proposed = proposals([one.model for one in good if one.model], settings)
    if as_json:
        print_json({"ok": not errors, "files": good, "proposals": [line.strip() for line in proposed],
                    "errors": [_fault(error) for error in errors]})  # fmt: skip
    else:
        for line in [*(line for one in good for line in one.lines), *proposed]:
            say(line)
    for error in errors:
        complain(error)
    if errors:
        typer.echo(f"{len(errors)} file(s) cannot be used, {len(good)} can", err=True)
        raise typer.Exit(REFUSED)


def _fault(error: SpecError) -> dict[str, str | int | None]:
    """Return an error for programs."""
    return {"code": error.code, "message": error.message, "file": error.file, "line": error.line,
            "key": error.key, "next": error.next_by_hand}  # fmt: skip


def _noticed(spec: ModelSpec, shared: SharedSpec) -> tuple[str, ...]:
    """Return a line for each key of a model that does nothing yet, or for which a task will refuse it."""
    said = [*unused_keys(spec), *(sentence for sentence, _ in not_built(spec)), *known_refusals(spec)]
    tier = spec.model.tier
    listed = different_people(shared.approvers.for_tier(tier))
    if listed and len(listed) < NEEDED[tier]:
        said.append(
            f"approvers.{tier} of windsock.yaml names {len(listed)}, and {NEEDED[tier]} people must approve "
            "a version, not counting who asked for it: every retrain stops at its first task"
        )
    return tuple(said)


def _good(path: Path, spec: ModelSpec, shared: SharedSpec) -> Checked:
    """Return a good file, with each key that does nothing yet, or that the model's first task will refuse."""
    return Checked(path=str(path), model=spec.name, notes=_noticed(spec, shared))


def _checked(path: Path, settings: Settings) -> tuple[list[Checked], tuple[SpecError, ...]]:
    """Return the good files of a path, and the errors of the others."""
    if path.name == SHARED_NAME:
        shared_file = load_shared(path)
        return [Checked(path=str(path), model=None, notes=tuple(unused_shared_keys(shared_file)))], ()
    folder = path if path.is_dir() else path.parent
    shared = _shared_of(folder, settings)
    if not path.is_dir():
        spec = load_spec(path, shared)
        _require_parameters(path, spec)
        _require_query(path, spec)
        return [_good(path, spec, shared)], ()
    if not model_files(path):
        raise SpecError(
            f"there is no model file in this folder{_named_by(path, settings)}",
            file=str(path),
            code="WS-SPEC-005",
            next_action="Name files or a folder, or set WINDSOCK_MODELS_DIR; `windsock init` writes one.",
        )
    good: list[Checked] = []
    specs, errors = load_models(path, shared)
    faults: list[SpecError] = []
    files = _files_of(path, specs, shared)
    for name, spec in specs.items():
        try:
            _require_parameters(files[name], spec)
            _require_query(files[name], spec)
        except SpecError as fault:
            faults.append(fault)
        else:
            good.append(_good(path, spec, shared))
    return good, (*errors, *faults)


def _named_by(path: Path, settings: Settings) -> str:
    """Return what named the models folder, where nobody has named another one."""
    return f" (named by {settings.models_from})" if path == settings.models_dir else ""


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


def _require_query(file: Path, spec: ModelSpec) -> None:
    """Refuse a query of the business that is no SQL; whether its columns are there only its rows can tell.

    :raises SpecError: naming its line.
    """
    business = spec.monitoring.performance.business
    if business is None:
        return
    from windsock.adapters.business_query import syntax_fault

    if (problem := syntax_fault(business.sql)) is None:
        return
    key = ("monitoring", "performance", "business", "sql")
    fault = Fault(
        file=str(file),
        line=read_yaml(file).line(key) if file.is_file() else None,
        key=dotted(key),
        problem=f"no SQL that DuckDB can read: {problem}",
        cure="Correct the query; docs/labels.md has examples.",
    )
    raise faults_error([fault], code="WS-SPEC-011")


def _shared_of(folder: Path, settings: Settings) -> SharedSpec:
    """Return what the models of a folder share: the file beside the folder, else the installation's."""
    beside = folder.absolute().parent / SHARED_NAME
    return load_shared(beside if beside.exists() else settings.shared_file)


def schema(
    shared: Annotated[bool, typer.Option("--shared", help="The schema of windsock.yaml instead.")] = False,
) -> None:
    """Print the JSON schema of model files, for editors."""
    print(json.dumps(shared_schema() if shared else model_schema(), indent=2))
