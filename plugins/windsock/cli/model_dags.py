"""``windsock models on`` and ``off``: all DAGs of a model at once."""

from __future__ import annotations

from windsock.cli.airflow_rest import AirflowApi
from windsock.cli.console import say
from windsock.exceptions import SettingsError
from windsock.settings import Settings
from windsock.spec.loader import find_model, load_shared

SHARED = ("windsock__watchdog", "windsock__housekeeping")
"""DAGs of the installation without which a model's own DAGs are not started, or not looked after."""


def switch(api: AirflowApi, settings: Settings, name: str, *, on: bool) -> None:
    """Switch every DAG that is made of a model's file on or off, and say what was changed.

    A hand-written DAG that has the model's tag is left as it is.

    To switch on, the pool of its training must be there: in a pool that does not exist a task waits for ever.

    :raises SettingsError: if Airflow has no DAG of the model, or lacks the pool.
    :raises AirflowApiError: if Airflow does not answer or refuses.
    """
    made = [dag for dag in api.dags_of(name) if str(dag["dag_id"]).startswith(f"{name}__")]
    dags = sorted(made, key=lambda dag: str(dag["dag_id"]))
    if not dags:
        raise SettingsError(
            f"Airflow has no DAG of the model {name[:80]!r}",
            code="WS-SETTINGS-008",
            next_action="Name a model of `windsock models`; a new file is read within seconds. "
            "`windsock validate` tells why a file cannot be used.",
        )
    if on:
        _require_pool(api, settings, name)
    changed = [str(dag["dag_id"]) for dag in dags if bool(dag["is_paused"]) is on]
    for dag_id in changed:
        api.set_paused(dag_id, not on)
    word = "on" if on else "off"
    for dag in dags:
        dag_id = str(dag["dag_id"])
        say(f"{dag_id}: {f'switched {word}' if dag_id in changed else f'was {word}'}")
    if on:
        for dag_id in SHARED:
            found = api.dag(dag_id)
            if found is not None and found["is_paused"]:
                api.set_paused(dag_id, False)
                say(f"{dag_id}: switched on, as no model is looked after without it")


def _require_pool(api: AirflowApi, settings: Settings, name: str) -> None:
    shared = load_shared(settings.shared_file)
    spec = find_model(settings.models_dir, name, shared_file=settings.shared_file)
    pool = shared.compute_class(spec.training.compute).pool
    if pool in api.pools():
        return
    raise SettingsError(
        f"the training of {name} runs in the pool {pool!r}, and Airflow has no pool of that name: its tasks "
        "would wait for ever",
        code="WS-WATCH-003",
        next_action=f'Make it with `airflow pools set {pool} 2 "training"`, or on Airflow\'s page Admin > '
        "Pools; or name another one under `compute` in include/windsock.yaml.",
    )


__all__ = ["switch"]
