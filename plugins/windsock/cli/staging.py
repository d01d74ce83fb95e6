"""One model file from anywhere -> a folder of model files of its own, for one run."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from windsock.spec import ModelSpec
from windsock.spec.loader import SHARED_NAME, load_shared, load_spec

EXPECTATIONS = "expectations"


@dataclass(frozen=True, kw_only=True)
class StagedModel:
    """A model that a stack can run.

    :param models_dir: folder of model files to run it from; ``None``: the project's own.
    :param source_roots: folders for relative file sources.
    """

    spec: ModelSpec
    file: Path
    models_dir: Path | None
    source_roots: tuple[Path, ...]


def stage_model(file: Path, *, project: Path, home: Path) -> StagedModel:
    """Make a model file runnable: one of the project as it is, any other in a folder of its own.

    What the project's models share (``windsock.yaml``, expectation suites) holds for both.

    :param home: the stack's home, where the folder is made.
    :raises SpecError: if the file cannot be used.
    """
    include = project / "include"
    spec = load_spec(file, load_shared(include / SHARED_NAME))
    if file.resolve().parent == (include / "models").resolve():
        return StagedModel(spec=spec, file=file, models_dir=None, source_roots=(project,))
    staged = home / "demo" / "include"
    shutil.rmtree(staged, ignore_errors=True)
    (staged / "models").mkdir(parents=True)
    shutil.copy(file, staged / "models" / f"{spec.name}.yaml")
    if (include / SHARED_NAME).exists():
        shutil.copy(include / SHARED_NAME, staged / SHARED_NAME)
    if (include / EXPECTATIONS).is_dir():
        shutil.copytree(include / EXPECTATIONS, staged / EXPECTATIONS)
    roots = (file.resolve().parent, project)
    return StagedModel(spec=spec, file=file, models_dir=staged / "models", source_roots=roots)
