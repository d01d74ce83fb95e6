"""A pipeline as the model of an MLflow run: skops under Windsock's list, with signature and example."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from windsock import __version__
from windsock.adapters import skops_codec
from windsock.ports import RunDraft

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

MODEL_NAME = "model"
LIBRARIES = ("scikit-learn", "skops", "numpy", "pandas", "scipy")
OUR_DISTRIBUTION = "airflow-windsock"


def ready_model(client: MlflowClient, run: Run) -> LoggedModel | None:
    """Return the finished model of a run, or ``None``."""
    return next((model for model in _models_of(client, run) if _is_ready(model)), None)


def log_model(client: MlflowClient, run: Run, draft: RunDraft) -> None:
    """Give a run its model; of those that earlier tries left, one is completed and the others are removed."""
    from mlflow.entities import LoggedModelOutput

    if not _models_of(client, run):
        client.create_logged_model(
            run.info.experiment_id,
            name=MODEL_NAME,
            source_run_id=run.info.run_id,
            tags={name: value for name, value in draft.tags.items() if name.startswith("windsock.")},
            params=dict(draft.params),
        )
    standing, *others = _models_of(client, run)
    for model in others:
        client.delete_logged_model(model.model_id)
    outputs = run.outputs.model_outputs if run.outputs else []
    if standing.model_id not in {output.model_id for output in outputs}:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(standing.model_id, step=0)])
    if not _is_ready(standing):
        with TemporaryDirectory(prefix="windsock-model-") as folder:
            _save(Path(folder) / MODEL_NAME, run, standing, draft)
            client.log_model_artifacts(standing.model_id, str(Path(folder) / MODEL_NAME))
        client.finalize_logged_model(standing.model_id, "READY")


def _models_of(client: MlflowClient, run: Run) -> list[LoggedModel]:
    """Return the models of a run, the one that stands first: a finished one, else the oldest."""
    found = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
    )
    return sorted(found, key=lambda model: (not _is_ready(model), model.creation_timestamp, model.model_id))


def _is_ready(model: LoggedModel) -> bool:
    return str(model.status) == "READY"


def _save(folder: Path, run: Run, model: LoggedModel, draft: RunDraft) -> None:
    import mlflow.sklearn
    from mlflow.models import Model

    content = skops_codec.dump(draft.pipeline)
    mlflow.sklearn.save_model(
        draft.pipeline,
        str(folder),
        mlflow_model=Model(
            artifact_path=model.artifact_location,
            run_id=run.info.run_id,
            model_uuid=model.model_id,
            model_id=model.model_id,
        ),
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
        skops_trusted_types=list(skops_codec.beyond_skops(content)),
        signature=_signature(draft.pipeline, draft.example),
        input_example=draft.example,
        pip_requirements=requirements(skops_codec.type_names(content)),
    )


def _signature(pipeline: Any, example: pd.DataFrame | None) -> Any:
    """Return the signature of a pipeline; it answers the made-up example rows for that."""
    if example is None:
        return None
    import pandas as pd
    from mlflow.models import infer_signature

    return infer_signature(example, pd.DataFrame({"prediction": pipeline.predict(example)}))


def requirements(types: tuple[str, ...]) -> list[str]:
    """Return what a model needs installed. MLflow would find out by loading it, which takes seven seconds.

    :param types: names of the types in the model.
    """
    needed = [f"{name}=={version(name)}" for name in LIBRARIES]
    if any(name.startswith("windsock.") for name in types):
        needed.append(f"{OUR_DISTRIBUTION}=={__version__}")
    return needed
