"""Searches of what a stack has written, and of what it answers, for texts that must stand nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any

from support.stack import LiveStack

OURS = frozenset({"signing.key", "admin_token"})


def secrets_of(live: LiveStack, password: str) -> dict[str, str]:
    """Return what must be found nowhere, by what it is.

    :param password: of the connection that was planted.
    """
    keys = live.stack.home / "keys"
    pem = (keys / "signing.key").read_text().splitlines()
    return {
        "admin token": (keys / "admin_token").read_text().strip(),
        "signing key": next(line for line in pem if line and not line.startswith("-")),
        "planted password": password,
    }


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file below a folder, but for the keys themselves and Airflow's own passwords."""
    for file in sorted(folder.rglob("*")):
        is_key = file.name in OURS and file.parent.name == "keys"
        if file.is_file() and not file.is_symlink() and not is_key:
            yield str(file.relative_to(folder)), file.read_bytes()


def answered(live: LiveStack, runs: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what Airflow's REST interface says of runs: tasks with their rendered fields, XCom, logs, faults.

    :param runs: run ids by DAG id.
    """
    yield "import errors", json.dumps(live.admin.import_errors())
    for dag_id, run_id in runs.items():
        base = f"/dags/{dag_id}"
        yield f"{dag_id} details", json.dumps(live.admin.request("GET", f"{base}/details"))
        every: dict[str, Any] = live.admin.request(
            "GET", f"{base}/dagRuns/{run_id}/taskInstances", params={"limit": 100}
        )
        yield f"{dag_id} tasks", json.dumps(every)
        for task in every["task_instances"]:
            if task["rendered_fields"]:
                yield f"{dag_id} {task['task_id']} fields", json.dumps(task["rendered_fields"])
            path = f"{base}/dagRuns/{run_id}/taskInstances/{task['task_id']}/xcomEntries"
            entries = live.admin.request("GET", path, params={"map_index": task["map_index"]})["xcom_entries"]
            for entry in entries:
                found = live.admin.request(
                    "GET", f"{path}/{entry['key']}", params={"map_index": task["map_index"]}
                )
                yield f"{dag_id} {task['task_id']} XCom {entry['key']}", json.dumps(found)
        for task, log in live.logs(dag_id, run_id):
            yield f"{dag_id} {task.label} log", "\n".join(line.event for line in log)


def found_in(text: str | bytes, wanted: Mapping[str, str]) -> list[str]:
    """Return which of some texts stand in another one, as they are or as JSON or HTML writes them."""
    raw = text if isinstance(text, bytes) else f"{text}\n{unescape(text)}".encode()
    return [what for what, one in wanted.items() if one.encode() in raw]
