"""One model file from anywhere -> a folder of model files of its own, for one run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from windsock.cli.stack_home import require_writable
from windsock.private_files import make_folder
from windsock.spec import ModelSpec
from windsock.spec.loader import SHARED_NAME, load_shared, load_spec

EXPECTATIONS = "expectations"


@dataclass(frozen=True, kw_only=True)
class StagedModel:
    """A model that a stack can run.

    :param spec: the model as it is run.
    :param file: the file that it was read from.
    :param is_own: whether that is one of the project's own models.
    :param models_dir: folder of model files to run it from.
    :param source_roots: folders for relative file sources.
    """

    spec: ModelSpec
    file: Path
    is_own: bool
    models_dir: Path
    source_roots: tuple[Path, ...]


def stage_model(
    file: Path, *, project: Path, home: Path, change: Callable[[ModelSpec], ModelSpec]
) -> StagedModel:
    """Make a model file runnable in a folder of its own, without touching it.

    What the project's models share (``windsock.yaml``, expectation suites) holds for it.

    :param home: the stack's home, where the folder is made.
    :param change: what is asked of the model there instead of what its file says.
    :raises SpecError: if the file cannot be used.
    """
    import yaml

    include = project / "include"
    spec = change(load_spec(file, load_shared(include / SHARED_NAME)))
    require_writable(home)
    staged = home / "demo" / "include"
    shutil.rmtree(staged, ignore_errors=True)
    make_folder(staged / "models")
    content = spec.model_dump(mode="json", exclude_unset=True)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (staged / "models" / f"{spec.name}.yaml").write_text(text, encoding="utf-8")
    if (include / SHARED_NAME).exists():
        shutil.copy(include / SHARED_NAME, staged / SHARED_NAME)
    if (include / EXPECTATIONS).is_dir():
        shutil.copytree(include / EXPECTATIONS, staged / EXPECTATIONS)
    return StagedModel(
        spec=spec,
        file=file,
        is_own=file.resolve().parent == (include / "models").resolve(),
        models_dir=staged / "models",
        source_roots=(file.resolve().parent, project),
    )
