"""The servers that Windsock is compared with, each in an environment of its own, and what they are asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from serving_models import BATCH, Trained
from serving_servers import BenchFailedError, Questions, Running, free_port, started

HERE = Path(__file__).resolve().parent / "serving_rivals"
INSTALL_SECONDS = 900.0
SHARED = ("scikit-learn", "numpy", "pandas", "joblib")
"""The rivals get the very versions that the model was fitted with: they load the same pipeline."""
ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    "flask": ("flask==3.1.3", "gunicorn==26.2.0"),
    "mlflow": ("mlflow==3.17.2",),
    "bentoml": ("bentoml==1.4.39",),
    "mlserver": ("mlserver==1.7.1",),
}
BARE = "bare ASGI"
FLASK = "Flask + gunicorn"
MLFLOW = "mlflow models serve"
BENTOML = "BentoML"
MLSERVER = "MLServer"
FULL = (FLASK, MLFLOW, BENTOML, MLSERVER)
QUICK = (FLASK,)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the rivals live.

    :param environments: folder of their virtual environments, kept from run to run.
    :param folder: folder of this run.
    """

    environments: Path
    folder: Path

    def tool(self, environment: str, name: str) -> str:
        """Return a program of an environment, which is made first if it is not there."""
        folder = self.environments / environment
        wanted = [*(f"{package}=={version(package)}" for package in SHARED), *ENVIRONMENTS[environment]]
        note = folder / "bench-installed.txt"
        if not note.exists() or note.read_text(encoding="utf-8").split() != wanted:
            _install(folder, wanted)
            note.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        return str(folder / "bin" / name)


def environments_folder() -> Path:
    """Return the folder of the rivals' environments: ``$WINDSOCK_BENCH_CACHE`` or one below the home."""
    return Path(
        os.environ.get("WINDSOCK_BENCH_CACHE") or Path.home() / ".cache" / "windsock-bench"
    ).absolute()


def _install(folder: Path, wanted: list[str]) -> None:
    print(f"installing {' '.join(wanted)}", file=sys.stderr, flush=True)
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *wanted],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        if done.returncode:
            raise BenchFailedError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")


@contextmanager
def serve(name: str, trained: Trained, place: Place) -> Iterator[tuple[Running, Questions]]:
    """Run one of the servers with a model."""
    start = {BARE: _bare, FLASK: _flask, MLFLOW: _mlflow, BENTOML: _bentoml, MLSERVER: _mlserver}[name]
    with start(trained, place) as both:
        yield both


def batches(rows: list[Any]) -> list[list[Any]]:
    """Return different lists of 100 rows."""
    doubled = rows + rows
    return [doubled[begin : begin + BATCH] for begin in range(0, len(rows), 10)]


def as_json(value: Any) -> bytes:
    """Return JSON as clients write it."""
    return json.dumps(value).encode()


@contextmanager
def _bare(trained: Trained, place: Place) -> Iterator[tuple[Running, Questions]]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bare_asgi:app", "--port", str(port), "--app-dir", str(HERE)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--lifespan", "off"]
    questions = Questions(
        path="/",
        single=[as_json({"features": row}) for row in trained.rows],
        batch=[as_json({"features": rows}) for rows in batches(trained.rows)],
    )
    with started("bare", command, folder=place.folder, port=port, ready="/docs", env={}) as running:
        yield running, questions


@contextmanager
def _flask(trained: Trained, place: Place) -> Iterator[tuple[Running, Questions]]:
    port = free_port()
    command = [place.tool("flask", "gunicorn"), "-w", "1", "-b", f"127.0.0.1:{port}", "--chdir", str(HERE)]
    questions = Questions(
        path="/predict",
        single=[as_json(row) for row in trained.rows],
        batch=[as_json(rows) for rows in batches(trained.rows)],
        read=lambda answer: json.loads(answer)["probabilities"],
    )
    env = {"BENCH_EXPORT": str(trained.export)}
    with started(
        "flask", [*command, "flask_app:app"], folder=place.folder, port=port, ready="/", env=env
    ) as running:
        yield running, questions


@contextmanager
def _mlflow(trained: Trained, place: Place) -> Iterator[tuple[Running, Questions]]:
    port, saved = free_port(), place.folder / f"mlflow-{trained.name}"
    tool = place.tool("mlflow", "mlflow")
    if not saved.exists():
        save = [
            str(Path(tool).parent / "python"),
            str(HERE / "mlflow_save.py"),
            str(trained.export),
            str(saved),
        ]
        done = subprocess.run(
            save, capture_output=True, text=True, check=False, cwd=place.folder, timeout=300
        )
        if done.returncode:
            raise BenchFailedError(f"the model could not be saved for mlflow:\n{done.stderr[-3000:]}")

    def body(rows: list[dict[str, Any]]) -> bytes:
        split = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
        return as_json({"dataframe_split": split})

    questions = Questions(
        path="/invocations",
        single=[body([row]) for row in trained.rows],
        batch=[body(rows) for rows in batches(trained.rows)],
        read=lambda answer: [pair[1] for pair in json.loads(answer)["predictions"]],
    )
    command = [
        tool,
        "models",
        "serve",
        "-m",
        str(saved),
        "-p",
        str(port),
        "--env-manager",
        "local",
        "-w",
        "1",
    ]
    env = {"PATH": f"{Path(tool).parent}{os.pathsep}{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with started("mlflow", command, folder=place.folder, port=port, ready="/ping", env=env) as running:
        yield running, questions


@contextmanager
def _bentoml(trained: Trained, place: Place) -> Iterator[tuple[Running, Questions]]:
    port = free_port()
    questions = Questions(
        path="/predict",
        single=[as_json({"rows": [row]}) for row in trained.rows],
        batch=[as_json({"rows": rows}) for rows in batches(trained.rows)],
        read=json.loads,
    )
    command = [place.tool("bentoml", "bentoml"), "serve", "bento_service:Bench", "--port", str(port)]
    command += ["--host", "127.0.0.1", "--working-dir", str(HERE)]
    env = {
        "BENCH_EXPORT": str(trained.export),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(place.folder / "bentoml"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with started("bentoml", command, folder=place.folder, port=port, ready="/readyz", env=env) as running:
        yield running, questions


@contextmanager
def _mlserver(trained: Trained, place: Place) -> Iterator[tuple[Running, Questions]]:
    port, folder = free_port(), place.folder / f"mlserver-{trained.name}"
    folder.mkdir(exist_ok=True)
    facts = {
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "host": "127.0.0.1",
        "parallel_workers": 0,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(facts), encoding="utf-8")
    model = {"name": "bench", "implementation": "mlserver_runtime.Bench"}
    (folder / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")

    def body(rows: list[dict[str, Any]]) -> bytes:
        inputs = [
            {
                "name": name,
                "shape": [len(rows), 1],
                "datatype": "BYTES" if isinstance(value, str) else "FP64",
                "data": [row[name] for row in rows],
                **({"parameters": {"content_type": "str"}} if isinstance(value, str) else {}),
            }
            for name, value in rows[0].items()
        ]
        return as_json({"inputs": inputs})

    questions = Questions(
        path="/v2/models/bench/infer",
        single=[body([row]) for row in trained.rows],
        batch=[body(rows) for rows in batches(trained.rows)],
        read=lambda answer: json.loads(answer)["outputs"][0]["data"],
    )
    command = [place.tool("mlserver", "mlserver"), "start", str(folder)]
    env = {"BENCH_EXPORT": str(trained.export), "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    with started(
        "mlserver", command, folder=place.folder, port=port, ready="/v2/models/bench/ready", env=env
    ) as running:
        yield running, questions
