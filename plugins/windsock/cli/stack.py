"""``Stack``: Airflow, MLflow and Windsock's server on this machine, on loopback only.

Airflow's parts are those that ``airflow standalone`` starts, started one by one: standalone leaves its
children behind when it is ended, and its log servers listen on every interface; logs are read from the disk.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from windsock.adapters.signing import create_keys
from windsock.cli.airflow_rest import AirflowApi, health
from windsock.cli.airflow_settings import fingerprint, read_airflow_settings
from windsock.cli.first_pass import FACTORY_FILE, FirstPass
from windsock.cli.stack_home import PASSWORDS, make_private, own_home, passwords
from windsock.cli.stack_ports import HOST, StackPorts
from windsock.cli.supervisor import Part, Say, Supervisor
from windsock.exceptions import SettingsError
from windsock.locations import NOTED, holds_secret
from windsock.private_files import OWNER, make_folder, rights
from windsock.proxies import no_proxy_variables

AUTH_MANAGER = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
WINDSOCK = (sys.executable, "-m", "windsock.cli")
PRELOADED = "windsock.pipelines.preloaded"
FORKING = ("scheduler", "dag-processor")
PACKAGE_FOLDER = str(Path(__file__).parents[2])
ROLES = {"admin": "admin", "reviewer": "op", "reviewer2": "op"}
"""Logins of Airflow: a version of tier high needs two people beside the one who asked for it."""
START_SECONDS = 240.0
MIGRATE_SECONDS = 180.0
HEALTH_SECONDS = 0.5
ASK_SECONDS = 5.0
# How long a writer waits for SQLite's lock: the DAG processor holds it while it stores all DAGs of a file.
LOCK_SECONDS = 60
PACE = {
    "DAG_PROCESSOR__REFRESH_INTERVAL": 10,
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 10,
    # One file makes the DAGs of all models, and the clock runs while other programs have the cores: with
    # Airflow's own 30 and 50 seconds a hundred models on a busy machine have no DAG at all.
    "CORE__DAGBAG_IMPORT_TIMEOUT": 300,
    "DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": 360,
}
"""Seconds after which a changed file is seen, and that reading it may take, unless the environment has
Airflow's variables of them."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One installation on this machine.

    :param project: the project folder, with ``dags`` and ``plugins``.
    :param home: where everything it writes lies; Windsock's own home, with Airflow's in ``airflow``.
    :param ports: where its programs listen.
    :param models_dir: folder of the model files; default: the project's ``include/models``.
    :param source_roots: folders against which relative file sources are looked up; default: the project,
        the folder above the models' ``include``, the models' own.
    :param windsock: how Windsock's own commands are started.
    :param inherited: the environment to start from; default: this process's.
    :param command: the command that runs it: ``up`` or ``demo``.
    """

    project: Path
    home: Path
    ports: StackPorts
    models_dir: Path | None = None
    source_roots: tuple[Path, ...] = ()
    windsock: tuple[str, ...] = WINDSOCK
    inherited: Mapping[str, str] | None = None
    command: str = "up"

    @property
    def airflow_home(self) -> Path:
        """Airflow's home: its database, passwords and task logs."""
        return self.home / "airflow"

    @property
    def airflow_database(self) -> Path:
        """Airflow's metadata database."""
        return self.airflow_home / "airflow.db"

    @property
    def logs(self) -> Path:
        """The folder of the programs' logs."""
        return self.home / "logs"

    @property
    def models(self) -> Path:
        """The folder of the model files."""
        return self.models_dir or self.project / "include" / "models"

    @property
    def airflow_url(self) -> str:
        """Where Airflow answers."""
        return f"http://{HOST}:{self.ports.airflow}"

    @property
    def mlflow_url(self) -> str:
        """Where MLflow answers."""
        return f"http://{HOST}:{self.ports.mlflow}"

    @property
    def server_url(self) -> str:
        """Where Windsock's server answers."""
        return f"http://{HOST}:{self.ports.server}"

    @property
    def admin_url(self) -> str:
        """Where Windsock's server answers health and admin calls, whatever happens at the other address."""
        return f"http://{HOST}:{self.ports.private}"

    @cached_property
    def logins(self) -> dict[str, str]:
        """Users and passwords of Airflow, made on the first start."""
        return passwords(self.airflow_home / PASSWORDS, ROLES)

    def api(self, user: str = "admin", **options: Any) -> AirflowApi:
        """Return a client of Airflow's REST interface, as one of the users.

        :param options: see :class:`AirflowApi`.
        """
        return AirflowApi(self.airflow_url, user=user, password=self.logins[user], **options)

    def environment(self) -> dict[str, str]:
        """Return the environment of every program of the stack."""
        bin_folder = str(Path(sys.executable).parent)
        given = os.environ if self.inherited is None else self.inherited
        inherited = {name: value for name, value in given.items() if name != "_AIRFLOW__AS_LIBRARY"}
        windsock = {
            "WINDSOCK_HOME": str(self.home),
            "WINDSOCK_MODELS_DIR": str(self.models),
            "WINDSOCK_SOURCE_ROOTS": self._source_roots(given),
            "WINDSOCK_TRACKING_URI": self.mlflow_url,
            "WINDSOCK_SERVER_URL": self.server_url,
            "WINDSOCK_ADMIN_URL": self.admin_url,
            "WINDSOCK_SERVING_PRIVATE": f"{HOST}:{self.ports.private}",
        }
        surroundings = {
            "PATH": os.pathsep.join([bin_folder, given.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join(filter(None, [PACKAGE_FOLDER, given.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
            **no_proxy_variables(dict(given)),
        }
        return {**inherited, **surroundings, **quiet(), **windsock, **self._airflow_environment(given)}

    def facts(self) -> dict[str, Any]:
        """Return what other commands must know of the stack to find its programs; no password is among it."""
        environment = self.environment()
        found = {name: environment[name] for name in NOTED if environment.get(name)}
        urls = [name for name in found if name.endswith(("_URL", "_URI")) and holds_secret(found[name])]
        return {
            "command": self.command,
            "project": str(self.project),
            "airflow_url": self.airflow_url,
            "ports": dict(self.ports.items()),
            "variables": {name: value for name, value in found.items() if name not in urls},
            "hidden": urls,
        }

    def _source_roots(self, given: Mapping[str, str]) -> str:
        if not self.source_roots and given.get("WINDSOCK_SOURCE_ROOTS"):
            return given["WINDSOCK_SOURCE_ROOTS"]
        usual = (self.project, self.models.parent.parent, self.models)
        return os.pathsep.join(dict.fromkeys(map(str, self.source_roots or usual)))

    def _airflow_environment(self, given: Mapping[str, str]) -> dict[str, str]:
        options = {
            **{name: given.get(f"AIRFLOW__{name}", seconds) for name, seconds in PACE.items()},
            "CORE__DAGS_FOLDER": self.project / "dags",
            "CORE__PLUGINS_FOLDER": self.project / "plugins",
            "CORE__LOAD_EXAMPLES": False,
            "CORE__EXECUTOR": "LocalExecutor",
            # More than the slots of the pool `training`: what is urgent always finds one.
            "CORE__PARALLELISM": 6,
            "CORE__AUTH_MANAGER": AUTH_MANAGER,
            "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in ROLES.items()),
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": False,
            "CORE__EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
            "CORE__TEST_CONNECTION": "Enabled",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.airflow_database}?timeout={LOCK_SECONDS}",
            "API__HOST": HOST,
            "API__PORT": self.ports.airflow,
            "API__BASE_URL": self.airflow_url,
            "API__WORKERS": 1,
            "DAG_PROCESSOR__PARSING_PROCESSES": 1,
            "SCHEDULER__ENABLE_HEALTH_CHECK": False,
            "LOGGING__COLORED_CONSOLE_LOG": False,
            "LOGGING__BASE_LOG_FOLDER": self.airflow_home / "logs",
            # Airflow sets these whatever the umask is; its own defaults let everybody read.
            "LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
            "LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
        }
        return {
            "AIRFLOW_HOME": str(self.airflow_home),
            **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
        }

    def _part(self, name: str, command: tuple[str, ...], ready: Callable[[], bool]) -> Part:
        return Part(name=name, command=command, environment=self.environment(), folder=self.home, ready=ready)

    def _airflow(self, *arguments: str) -> tuple[str, ...]:
        # What forks a process for each task or each parse has loaded once what all of them need.
        module = PRELOADED if arguments[0] in FORKING else "airflow"
        return (sys.executable, "-m", module, *arguments)

    def server_part(self) -> Part:
        """Return Windsock's server."""
        listen = ("serve", "--host", HOST, "--port", str(self.ports.server), "--workers", "1")
        address = f"{self.admin_url}/health"
        return self._part("server", (*self.windsock, *listen), lambda: answers(address))

    def mlflow_part(self) -> Part:
        """Return the MLflow server: SQLite and a folder, one worker, no job runner."""
        port = self.ports.mlflow
        command = (
            *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{self.home / 'mlflow.db'}"),
            *("--serve-artifacts", "--artifacts-destination", str(self.home / "mlartifacts")),
            *(
                "--workers",
                "1",
                "--allowed-hosts",
                f"{HOST}:{self.ports.mlflow},localhost:{self.ports.mlflow}",
            ),
        )
        return self._part("mlflow", command, lambda: answers(f"{self.mlflow_url}/health"))

    def first_pass(self) -> FirstPass:
        """Return what tells whether the models' DAGs are stored from now on."""
        # Asked again and again while everything starts: neither a slow answer nor a 5xx is waited for.
        ask = partial(self.api, timeout=ASK_SECONDS, pauses=())
        return FirstPass(dags=self.project / "dags", connect=ask)

    def airflow_parts(self, first_pass: FirstPass | None = None) -> list[Part]:
        """Return Airflow's four parts.

        :param first_pass: what must be over before the DAG processor is ready; ``None``: nothing.
        """
        seen = _HealthOfAirflow(self.airflow_url)
        address = ("--host", HOST, "--port", str(self.ports.airflow))

        def part(name: str, job: str, *arguments: str) -> Part:
            return self._part(f"airflow-{name}", self._airflow(*arguments), lambda: seen.healthy(job))

        processor = part("dag-processor", "dag_processor", "dag-processor")
        return [
            part("api", "metadatabase", "api-server", *address, "--workers", "1"),
            part("scheduler", "scheduler", "scheduler", "--skip-serve-logs"),
            replace(processor, ready=lambda: processor.ready() and (first_pass is None or first_pass.done())),
            part("triggerer", "triggerer", "triggerer", "--skip-serve-logs"),
        ]

    def prepare(self) -> None:
        """Make the folders and the passwords.

        :raises SettingsError: if the project folder is none, or ``airflow_settings.yaml`` cannot be used.
        """
        if not (self.project / "dags").is_dir():
            raise SettingsError(
                f"{self.project} has no folder `dags`: it is not a Windsock project.",
                next_action="Run this in the project folder or below it, or name it with --project.",
            )
        read_airflow_settings(self.settings_file)
        make_private(self.home)
        for folder in (self.airflow_home, self.logs):
            make_folder(folder)
        self.airflow_home.chmod(OWNER)  # it holds Airflow's own secrets: no group reads there
        _ = self.logins

    @property
    def settings_file(self) -> Path:
        """The file of connections and pools."""
        return self.project / "airflow_settings.yaml"

    def start(self, supervisor: Supervisor) -> None:
        """Make the keys on the first start, start every part and wait until all of them answer.

        :raises PartFailedError: if one does not.
        :raises StopSignalError: if the user asked to stop meanwhile.
        """
        if not (self.home / "keys" / "admin_token").exists():
            create_keys(self.home / "keys")
        supervisor.start(self.mlflow_part())
        supervisor.start(self.server_part())
        self._migrate(supervisor)
        first_pass = self.first_pass()
        for part in self.airflow_parts(first_pass):
            supervisor.start(part)
        supervisor.wait_ready(timeout=START_SECONDS)
        if first_pass.is_late:
            log = supervisor.log_file("airflow-dag-processor")
            supervisor.say(f"  the models' DAGs are missing: {FACTORY_FILE} was not parsed; read {log}")
        self.load_settings()

    def _migrate(self, supervisor: Supervisor) -> None:
        """Bring Airflow's database up to date, unless this version of Airflow has done so before."""
        stamp, wanted = self.airflow_home / "migrated", version("apache-airflow-core")
        if stamp.exists() and stamp.read_text() == wanted and self.airflow_database.exists():
            return
        job = self._part("airflow-migrate", self._airflow("db", "migrate"), lambda: True)
        supervisor.run(job, timeout=MIGRATE_SECONDS)
        stamp.write_text(wanted)

    def load_settings(self) -> None:
        """Load ``airflow_settings.yaml`` into Airflow, unless that was done and nothing has changed.

        :raises SettingsError: if the file cannot be used.
        :raises AirflowApiError: if Airflow refuses something in it.
        """
        usual = StackPorts()
        moved = {
            f"http://{HOST}:{usual.mlflow}": self.mlflow_url,
            f"http://{HOST}:{usual.server}": self.server_url,
        }
        entities = read_airflow_settings(self.settings_file).entities(moved)
        mark, wanted = self.airflow_home / "settings_loaded", fingerprint(entities)
        if mark.exists() and mark.read_text() == wanted:
            return
        with self.api() as api:
            for kind, listed in entities.items():
                api.put_all(kind, listed)
        mark.write_text(wanted)


def quiet() -> dict[str, str]:
    """Return the variables that keep the tools from calling home and from starting what is not needed."""
    return {
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


class _HealthOfAirflow:
    """Asks Airflow for its health at most every half second, whoever wants to know."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._asked = 0.0
        self._parts: dict[str, str] = {}

    def healthy(self, part: str) -> bool:
        """Say whether a part is healthy."""
        if time.monotonic() - self._asked > HEALTH_SECONDS:
            self._parts = health(self.url)
            self._asked = time.monotonic()
        return self._parts.get(part) == "healthy"


def answers(url: str) -> bool:
    """Say whether an address answers a GET with success."""
    try:
        return httpx.get(url, timeout=5.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def running_stack(stack: Stack, *, say: Say, handle_signals: bool = True) -> Iterator[Supervisor]:
    """Run the stack as long as the block does; no process is left after it, whatever happens.

    :param say: takes each line for the user.
    :param handle_signals: see :class:`Supervisor`.
    :raises SettingsError: if a port is taken, or a stack runs in this home already.
    """
    before = os.umask(rights().umask)
    try:
        yield from _running(stack, say, handle_signals)
    finally:
        os.umask(before)


def _running(stack: Stack, say: Say, handle_signals: bool) -> Iterator[Supervisor]:
    stack.prepare()
    supervisor = Supervisor(logs=stack.logs, say=say, handle_signals=handle_signals)
    with own_home(stack.home, supervisor.stack_id, stack.facts()):
        stack.ports.require_free()
        with supervisor:
            stack.start(supervisor)
            yield supervisor
