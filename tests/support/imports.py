"""What an import loads: every proof in one process, which forks for each before it has loaded anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.shared import once_per_run

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
OPERATORS = sorted(path.stem for path in (PLUGINS / "windsock" / "operators").glob("[a-z]*.py"))
SUITE = '{"name": "churn", "expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "a"}}]}'
MLFLOW_MODULES = ("mlflow_client", "mlflow_model", "mlflow_registry", "mlflow_tracking")

NOT_SERVED = ("yaml", "airflow", "mlflow", "pyarrow", "sqlalchemy", "evidently", "great_expectations")
"""What the image that serves does not have; ``None`` in its place is an error wherever it is imported."""

PROOFS = {
    "vocabulary": "import windsock.spec, windsock.settings",
    "records": "import windsock.records, windsock.ports",
    "pipelines": "import windsock.pipelines, windsock.pipelines.factory",
    "preloaded": "import windsock.pipelines.preloaded as preloaded; preloaded.load('dag-processor')",
    "plugin": "import windsock.provider_info, windsock.plugin",
    "operators": f"import {', '.join(f'windsock.operators.{name}' for name in OPERATORS)}",
    "training": "import windsock.training.train_model, windsock.training.evaluate_model",
    "command line": "import windsock.cli",
    "a command": "from windsock.cli.app import run; run(['schema'])",
    "serving": (
        "import windsock.serving.server, windsock.serving.worker_process, windsock.serving.app;"
        "import windsock.serving.check_bundle, windsock.adapters.bundle_store;"
        "import windsock.adapters.server_client, windsock.adapters.prediction_archive"
    ),
    "serving image": (
        f"import sys; sys.modules.update(dict.fromkeys({NOT_SERVED!r}))\n"
        "import importlib, pkgutil, windsock.serving as serving\n"
        "for one in pkgutil.walk_packages(serving.__path__, 'windsock.serving.'):\n"
        "    importlib.import_module(one.name)\n"
        "import windsock.adapters.bundle_store, windsock.adapters.compiled, windsock.adapters.skops_codec"
    ),
    "worker": "import windsock.serving.worker_process, windsock.serving.app, windsock.serving.service",
    **{name: f"import windsock.adapters.{name}" for name in MLFLOW_MODULES},
    "charts": "import windsock.adapters.charts",
    "a chart": "from windsock.adapters.charts import MatplotlibCharts as C; C().residuals([1.0], [0.0])",
    "skops codec": "import windsock.adapters.skops_codec as codec; codec.allowed_types()",
    "tables": (
        "import windsock.adapters.ledger_table, windsock.adapters.step_table, windsock.adapters.monitor_table"
    ),
    "expectation suite": (
        "import tempfile; from pathlib import Path\n"
        "from windsock.adapters.expectations import GreatExpectationsEngine\n"
        "from windsock.adapters.storage import Storage\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        f"    (Path(folder) / 'churn.json').write_text({SUITE!r})\n"
        "    assert GreatExpectationsEngine(Path(folder), Storage('x')).suite('churn').origin == 'file'"
    ),
}
"""What is done in a fresh interpreter, by name."""

FORKED = {
    "import airflow": ("pipelines", "preloaded", "plugin", "operators"),
    "import windsock.records": (
        *("training", "command line", "a command", "serving", "worker"),
        *("mlflow_model", "mlflow_registry", "mlflow_tracking", "tables", "expectation suite"),
    ),
}
"""What proofs do first in any case: once for all of them, before they are forked."""


def modules_after(factory: pytest.TempPathFactory, name: str) -> frozenset[str]:
    """Return the modules that are loaded after a proof of :data:`PROOFS`.

    :raises AssertionError: if it failed; with its traceback.
    """
    found = once_per_run(factory, "imports", lambda _: _prove_all())[name]
    assert "error" not in found, found["error"]
    return frozenset(found["modules"])


def _prove_all() -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(PLUGINS)}
    forked = {name: first for first, names in FORKED.items() for name in names}
    groups: dict[str, dict[str, str]] = {}
    for name, code in PROOFS.items():
        groups.setdefault(forked.get(name, ""), {})[name] = code
    run = subprocess.run(
        [sys.executable, "-c", PROVER],
        input=json.dumps(groups), capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return dict(json.loads(run.stdout))


PROVER = """
import gc, json, os, sys, traceback

def answer(code, then):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            exec(code, {"__name__": "proof"})
            said = then()
        except SystemExit as ended:
            said = {"error": f"exit code {ended.code}"} if ended.code else then()
        except BaseException:
            said = {"error": traceback.format_exc()}
        with open(writing, "w") as stream:
            json.dump(said, stream)
        os._exit(0)
    os.close(writing)
    with open(reading) as stream:
        said = json.load(stream)
    os.waitpid(child, 0)
    return said

def modules():
    return {"modules": sorted(sys.modules)}

gc.disable()
found = {}
for first, proofs in json.load(sys.stdin).items():
    said = answer(first, lambda: {name: answer(code, modules) for name, code in proofs.items()})
    found |= dict.fromkeys(proofs, said) if "error" in said else said
print(json.dumps(found))
"""
