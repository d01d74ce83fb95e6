"""The factory: a folder of model files -> their DAGs. One bad file breaks one model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from windsock.exceptions import SpecError
from windsock.pipelines.ab_rollout import ab_rollout_dag
from windsock.pipelines.drift_retrain import drift_retrain_dag
from windsock.pipelines.housekeeping import DAG_ID as HOUSEKEEPING
from windsock.pipelines.housekeeping import housekeeping_dag
from windsock.pipelines.monitor import monitor_dag
from windsock.pipelines.retrain import retrain_dag
from windsock.pipelines.rollback import rollback_dag
from windsock.pipelines.watchdog import DAG_ID as WATCHDOG
from windsock.pipelines.watchdog import pace_of, watchdog_dag
from windsock.settings import Settings
from windsock.spec import ModelSpec, SharedSpec
from windsock.spec.loader import load_models, load_shared


class BrokenSpecsError(SpecError):
    """Every model file that cannot be used, in one error for Airflow's import-error page.

    :param faults: one error for each broken file.
    """

    def __init__(self, faults: tuple[SpecError, ...]) -> None:
        listed = "\n".join(f"- {fault.message}" for fault in faults)
        super().__init__(
            f"{len(faults)} model file(s) cannot be used; the other models go on:\n{listed}",
            code="WS-SPEC-002",
        )
        self.faults = faults


def build_dags(models_dir: Path | None = None) -> dict[str, DAG]:
    """Return the DAGs of every good model file, by DAG id; a broken one is left to :func:`raise_broken`.

    A task that starts builds only its own DAG.

    :param models_dir: folder of the model files; default: the settings'.
    """
    wanted = get_parsing_context().dag_id
    if wanted == WATCHDOG:  # it reads the model files itself, when it runs
        return {WATCHDOG: watchdog_dag()}
    specs, _, shared = _read(models_dir)
    dags: dict[str, DAG] = {}
    for name, spec in specs.items():
        made: dict[str, Callable[[], DAG]] = {
            f"{name}__daily_retrain": partial(retrain_dag, spec, shared),
            f"{name}__rollback": partial(rollback_dag, spec, shared),
        }
        if spec.monitoring.is_on:
            made[f"{name}__monitor"] = partial(monitor_dag, spec, shared)
            made[f"{name}__drift_retrain"] = partial(drift_retrain_dag, spec, shared)
        if spec.rollout.strategy != "direct":
            made[f"{name}__ab_rollout"] = partial(ab_rollout_dag, spec, shared)
        dags |= {dag_id: make() for dag_id, make in made.items() if wanted in (None, dag_id)}
    if wanted in (None, HOUSEKEEPING):
        dags[HOUSEKEEPING] = housekeeping_dag(specs, keep_predictions_days=shared.keep_predictions_days)
    if wanted is None:
        dags[WATCHDOG] = watchdog_dag(pace_of(specs.values()))
    return dags


def raise_broken(models_dir: Path | None = None) -> None:
    """Raise one error that lists every broken model file, if there is one.

    :raises BrokenSpecsError: for Airflow's import-error page.
    """
    _, faults, _ = _read(models_dir)
    if faults:
        raise BrokenSpecsError(faults)


def _read(models_dir: Path | None) -> tuple[dict[str, ModelSpec], tuple[SpecError, ...], SharedSpec]:
    folder = models_dir or Settings.from_environment().models_dir
    shared = load_shared(folder.parent / "windsock.yaml")
    specs, faults = load_models(folder, shared)
    return specs, faults, shared
