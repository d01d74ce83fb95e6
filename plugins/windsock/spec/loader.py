"""Model files and the shared file -> specs. One bad file never hurts another."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from windsock.exceptions import SpecError
from windsock.spec.faults import Fault, NotAllowedError, closest, faults_error, shown
from windsock.spec.flat_form import flat_to_blocks
from windsock.spec.model import ModelSpec
from windsock.spec.shared import SharedSpec
from windsock.spec.translation import Translator
from windsock.spec.yaml_reader import KeyPath, YamlDocument, parse_yaml, read_yaml

SUFFIXES = (".yaml", ".yml")
SHARED_NAME = "windsock.yaml"

Read = TypeVar("Read", bound=BaseModel)


def load_spec(path: Path | str, shared: SharedSpec | None = None) -> ModelSpec:
    """Read one model file, with the shared words filled in.

    :param path: the file; its name does not matter, the model's name stands in it.
    :param shared: what models share; default: what ships.
    :raises SpecError: one error with every fault of the file.
    """
    return _read_model(str(path), shared or SharedSpec())[0]


def spec_from_bytes(content: bytes, name: str, shared: SharedSpec | None = None) -> ModelSpec:
    """Read a model file that is not on the disk yet.

    :param name: the file's name, for errors.
    :raises SpecError: one error with every fault.
    """
    return _read_document(parse_yaml(content, name), name, shared or SharedSpec())


def load_shared(path: Path | str) -> SharedSpec:
    """Read ``windsock.yaml``; where there is none, the defaults hold.

    :raises SpecError: one error with every fault of the file.
    """
    if _is_absent(path):
        return SharedSpec()
    document = read_yaml(path)
    content = _top_block(document, str(path), empty_is_fine=True)
    content = {
        key: value
        for key, value in content.items()
        if value is not None or key not in SharedSpec.model_fields
    }
    translator = Translator(model=SharedSpec, content=content, document=document, file=str(path), moved={})
    faults: list[Fault] = []
    shared = _validate(SharedSpec, translator, faults)
    if shared is None:
        raise faults_error(faults)
    return shared


def _is_absent(path: Path | str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False  # reading it says why
    return False


def model_files(folder: Path | str) -> tuple[Path, ...]:
    """Return the model files of a folder, sorted by name; hidden files and subfolders are no model files.

    :raises SpecError: if there is no such folder.
    """
    try:
        entries = list(Path(folder).iterdir())
    except OSError as error:
        raise SpecError(
            f"the folder of model files cannot be read: {error.strerror}",
            file=str(folder),
            code="WS-SPEC-005",
            next_action="Make the folder, or set WINDSOCK_MODELS_DIR to the one that holds the model files.",
        ) from error
    files = (entry for entry in entries if entry.suffix in SUFFIXES and not entry.name.startswith("."))
    return tuple(sorted(files, key=lambda entry: entry.name))


def load_models(
    models_dir: Path | str, shared: SharedSpec
) -> tuple[dict[str, ModelSpec], tuple[SpecError, ...]]:
    """Read every model file of a folder.

    :returns: the good models by name, and one error for each file that cannot be used. Two files with
        the same model name are both refused.
    """
    try:
        files = model_files(models_dir)
    except SpecError as error:
        return {}, (error,)
    read: list[tuple[Path, ModelSpec, int | None]] = []
    errors: list[SpecError] = []
    for file in files:
        try:
            spec, line = _read_model(str(file), shared)
            read.append((file, spec, line))
        except SpecError as error:
            errors.append(error)
    by_name: dict[str, list[Path]] = {}
    for file, spec, _ in read:
        by_name.setdefault(spec.name, []).append(file)
    for file, spec, line in read:
        if others := [other.name for other in by_name[spec.name] if other != file]:
            errors.append(_same_name(file, line, spec.name, others))
    good = {spec.name: spec for _, spec, _ in read if len(by_name[spec.name]) == 1}
    return dict(sorted(good.items())), tuple(sorted(errors, key=lambda error: error.file or ""))


def find_model(models_dir: Path | str, name: str, *, shared_file: Path | str | None = None) -> ModelSpec:
    """Return one model of a folder by its name.

    :param shared_file: what models share; default: what ships.
    :raises SpecError: if no file has this model, or the file that should have it is broken.
    """
    model_files(models_dir)
    shared = SharedSpec() if shared_file is None else load_shared(shared_file)
    specs, errors = load_models(models_dir, shared)
    if name in specs:
        return specs[name]
    for error in errors:
        if error.file and name in (Path(error.file).stem, _name_in(error.file)):
            raise error
    known = ", ".join(specs) or "none"
    hint = closest(name, specs)
    raise SpecError(
        f"no file in {models_dir} has the model {shown(name)}; known models: {known}"
        + (f"; {hint}" if hint else ""),
        code="WS-SPEC-007",
        next_action="Name a known model, write its file with `windsock init`, or name another folder with "
        "WINDSOCK_MODELS_DIR.",
    )


def _read_model(name: str, shared: SharedSpec) -> tuple[ModelSpec, int | None]:
    """Return the spec and the line of its ``model.name``."""
    document = read_yaml(name)
    return _read_document(document, name, shared), document.line(("model", "name"))


def _read_document(document: YamlDocument, name: str, shared: SharedSpec) -> ModelSpec:
    content = _top_block(document, name)
    faults: list[Fault] = []
    moved: dict[KeyPath, KeyPath] = {}
    try:
        blocks, flat = flat_to_blocks(content)
        moved = {tuple(here.split(".")): tuple(there.split(".")) for here, there in flat.items()}
    except NotAllowedError as error:
        at = Translator(model=ModelSpec, content=content, document=document, file=name, moved={})
        raise faults_error([at.fault(error.at, error.problem, error.allowed, error.cure)]) from error
    # A block whose lines are all commented out has its defaults.
    blocks = {
        key: value for key, value in blocks.items() if value is not None or key not in ModelSpec.model_fields
    }
    translator = Translator(model=ModelSpec, content=blocks, document=document, file=name, moved=moved)
    faults += _shared_words(blocks, shared, translator)
    spec = _validate(ModelSpec, translator, faults)
    if spec is not None and not faults:
        spec = _apply(shared, spec, translator, faults)
    if spec is None or faults:
        raise faults_error(faults, code=_code_of(faults))
    return spec


def _validate(model: type[Read], translator: Translator, faults: list[Fault]) -> Read | None:
    # Strict: text is never taken for a number. Only from JSON does strict reading take a list for a tuple.
    text = json.dumps(translator.content)
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        faults += translator.faults(error)
        return None


def _apply(
    shared: SharedSpec, spec: ModelSpec, translator: Translator, faults: list[Fault]
) -> ModelSpec | None:
    try:
        return shared.apply(spec)
    except ValidationError as error:
        policy = shown(spec.gate.policy)
        faults += [
            translator.fault(("gate", "policy"), f"{policy} does not fit this model: {fault.what}")
            for fault in translator.faults(error)
        ]
        return None


def _shared_words(blocks: Mapping[str, Any], shared: SharedSpec, translator: Translator) -> list[Fault]:
    """Return a fault for each name that the shared file does not know."""
    known: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {
        ("training", "compute"): ("compute class", shared.compute_classes),
        ("gate", "policy"): ("gate policy", shared.gate_policies),
    }
    if shared.alert_channels:  # without any, every name means the default connection
        known["monitoring", "alert_channel"] = ("alert channel", shared.alert_channels)
    faults = []
    for (block, key), (what, words) in known.items():
        values = blocks.get(block)
        word = values.get(key) if isinstance(values, dict) else None
        if isinstance(word, str) and word not in words:
            allowed = ", ".join(sorted(words)) or f"none; {SHARED_NAME} has no gate_policies"
            cure = closest(word, words) or f"add it to {SHARED_NAME}"
            faults.append(translator.fault((block, key), f"unknown {what}: {shown(word)}", allowed, cure))
    return faults


def _top_block(document: YamlDocument, name: str, *, empty_is_fine: bool = False) -> dict[str, Any]:
    if isinstance(document.value, dict):
        return document.value
    if document.value is None:
        if empty_is_fine:
            return {}
        problem, cure = (
            "the file is empty",
            "`windsock init` writes one; at least model: {name: ...} must stand there",
        )
    else:
        problem, cure = f"wrong kind: {shown(document.value)}", "begin with a line such as model:"
    raise faults_error(
        [
            Fault(
                file=name,
                line=document.line(()),
                key="",
                problem=problem,
                allowed="blocks of keys",
                cure=cure,
            )
        ]
    )


def _code_of(faults: list[Fault]) -> str:
    names_only = all(
        fault.problem.startswith(("unknown compute class", "unknown gate policy", "unknown alert channel"))
        for fault in faults
    )
    return "WS-SPEC-003" if names_only else "WS-SPEC-001"


def _same_name(file: Path, line: int | None, name: str, others: list[str]) -> SpecError:
    fault = Fault(
        file=str(file),
        line=line,
        key="model.name",
        problem=f"the model {name} stands in {', '.join(others[:10])} too",
        allowed="one file for each model",
        cure="rename one of them, or remove the copy",
    )
    return faults_error([fault], code="WS-SPEC-006")


def _name_in(file: str) -> str | None:
    """Return the model's name of a file that is broken elsewhere, where it can be read at all."""
    try:
        value = read_yaml(file).value
    except SpecError:
        return None
    model = value.get("model") if isinstance(value, dict) else None
    name = model.get("name") if isinstance(model, dict) else None
    return name if isinstance(name, str) else None
