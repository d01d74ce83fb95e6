"""What the demo leaves switched off, and the command that switches it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def switched_off(dags: Sequence[Mapping[str, Any]], model: str) -> tuple[str, ...]:
    """Return the ids of those DAGs of a model's file that are switched off.

    :param dags: what Airflow knows of each; one that a person wrote is none of them.
    """
    off = [str(dag["dag_id"]) for dag in dags if dag["is_paused"]]
    return tuple(sorted(dag_id for dag_id in off if dag_id.startswith(f"{model}__")))


def off_lines(off: Sequence[str], model: str, there: str) -> list[str]:
    """Return what to say of DAGs that are switched off, and which command switches them on.

    :param there: the command's option that names the home; empty where it finds it by itself.
    """
    if not off:
        return []
    return [
        f"Switched off: {', '.join(off)}; a schedule is created so, and starts nothing.",
        f"While `windsock up` runs, `windsock models on {model}{there}` switches all of {model} on.",
    ]
