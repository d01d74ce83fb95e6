"""What ``windsock doctor`` asks of others: database, MLflow, server, Airflow, clocks, alert channels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import metadata

import httpx

from windsock.cli.airflow_answers import airflow_access
from windsock.cli.doctor_alerts import check_alerts
from windsock.cli.doctor_checks import Check, Finding, State, Status
from windsock.exceptions import ServerUnavailableError, WindsockError
from windsock.locations import when_down
from windsock.proxies import host_of, is_local, through_proxy

SECONDS = 8.0
WARN_CLOCK, FAIL_CLOCK = 5.0, 60.0
NAMING = ("WINDSOCK_AIRFLOW_URL", "WINDSOCK_AIRFLOW_PORT")
JOBS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def check_database(state: State) -> list[Finding]:
    """See that the control database answers, is of this version, and lets its role work."""
    from windsock.adapters.database_probe import probe_database

    if state.settings.lacking:
        named = ", ".join(state.settings.lacking)
        what = f"the stack was started with {named}, which this process does not have"
        cure = f"Set {named} to the same value, then run it again."
        return [Finding(check="database", status="fail", what=what, next_action=cure)]
    seen = probe_database(state.settings.database_url)
    if seen.revision is None:
        what = f"{seen.shown} has no tables yet: the first command or task that writes makes them"
        return [Finding(check="database", status="ok", what=what)]
    if seen.revision != seen.needed:
        return [
            Finding(
                check="database",
                status="warn" if seen.revision < seen.needed else "fail",
                what=f"{seen.shown} is of schema revision",
                value=seen.revision,
                limit=seen.needed,
                next_action="The next command upgrades it; back it up first."
                if seen.revision < seen.needed
                else "Install the Windsock version that the rest of the installation uses.",
            )
        ]
    return [
        Finding(
            check="database",
            status="ok",
            what=f"{seen.shown} answers and can be written, schema {seen.revision}",
            value=f"{seen.seconds:.2f} s",
        )
    ]


def check_tracking(state: State) -> list[Finding]:
    """Ask MLflow for a sign of life, and for its version."""
    from windsock.adapters.mlflow_client import MlflowService

    uri = state.settings.tracking_uri
    service = MlflowService(uri, state.settings.home)
    if not service.is_server:
        what = f"no MLflow server: {service.shown} is opened by each task itself"
        return [Finding(check="tracking", status="ok", what=what)]
    shown = service.shown + through_proxy(uri)
    try:
        with httpx.Client(timeout=SECONDS, trust_env=not is_local(host_of(uri))) as client:
            answer = client.get(f"{uri.rstrip('/')}/health")
            version = client.get(f"{uri.rstrip('/')}/version").text.strip()[:40]
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        cure = when_down(state.settings.home, "mlflow", "Start it, or `windsock up`.", address=uri)
        what = f"MLflow at {shown} does not answer ({type(error).__name__})"
        return [Finding(check="tracking", status="fail", what=what, next_action=cure)]
    if not answer.is_success:
        return [
            Finding(
                check="tracking",
                status="fail",
                what=f"MLflow at {shown} answers /health with",
                value=str(answer.status_code),
                limit="200",
                next_action="See that WINDSOCK_TRACKING_URI is MLflow's address, and its login is right.",
            )
        ]
    own = metadata.version("mlflow")
    if version != own:
        return [
            Finding(
                check="tracking",
                status="warn",
                what=f"MLflow at {shown} is of another version than the client",
                value=version or "unknown",
                limit=own,
                next_action="Nothing, while all works; else run the same version on both sides.",
            )
        ]
    return [Finding(check="tracking", status="ok", what=f"MLflow at {shown} answers", value=version)]


def check_server(state: State) -> list[Finding]:
    """Ask the server for its health, and whether it takes the admin token."""
    from windsock.adapters.server_client import ServerRouter, server_health

    settings = state.settings
    address = settings.admin_address
    try:
        health = server_health(address, settings)
        ServerRouter.of(settings).state("windsock-doctor")
    except ServerUnavailableError as error:
        running = state.location.stack is not None
        cure = when_down(settings.home, "server", error.next_by_hand, address=address)
        status: Status = "fail" if running or "WINDSOCK_SERVER_URL" in os.environ else "warn"
        return [Finding(check="server", status=status, what=error.message, next_action=cure)]
    return [Finding(check="server", status="ok", what=f"{address} takes the admin token; {health}")]


def check_airflow(state: State) -> list[Finding]:
    """Ask Airflow for the health of its parts."""
    url = _airflow_url(state)
    if not url:
        what = "not checked: no stack runs here, and WINDSOCK_AIRFLOW_URL names no Airflow"
        cure = "Set WINDSOCK_AIRFLOW_URL to Airflow's address, or run this where `windsock up` runs."
        return [Finding(check="airflow", status="warn", what=what, next_action=cure)]
    try:
        answer = _get(f"{url}/api/v2/monitor/health")
        parts = answer.raise_for_status().json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        cure = when_down(
            state.settings.home, "airflow-api", "See that Airflow's API server is up.", address=url
        )
        what = f"Airflow at {url} does not answer ({type(error).__name__})"
        return [Finding(check="airflow", status="fail", what=what, next_action=cure)]
    seen = {job: str((parts.get(job) or {}).get("status")) for job in JOBS}
    bad = [job for job, status in seen.items() if status != "healthy"]
    if not bad:
        return [Finding(check="airflow", status="ok", what=f"all parts at {url} are healthy")]
    return [
        Finding(
            check="airflow",
            status="fail",
            what=f"Airflow's {job} is",
            value=seen[job],
            limit="healthy",
            next_action=when_down(
                state.settings.home,
                f"airflow-{job.replace('_', '-')}",
                f"Start Airflow's {job.replace('_', '-')} again and read its log.",
                address=url,
            ),
        )
        for job in bad
    ]


def check_clock(state: State) -> list[Finding]:
    """Compare this machine's clock with those of database, server and Airflow."""
    found = []
    for name, ahead in _clocks(state):
        status: Status = "ok" if abs(ahead) <= WARN_CLOCK else "warn" if abs(ahead) <= FAIL_CLOCK else "fail"
        found.append(
            Finding(
                check="clock",
                status=status,
                what=f"that of the {name} is {'ahead' if ahead >= 0 else 'behind'}",
                value=f"{abs(ahead):.1f} s",
                limit=f"{WARN_CLOCK:g} s, {FAIL_CLOCK:g} s at most",
                next_action=""
                if status == "ok"
                else "Set both clocks by NTP (`timedatectl set-ntp true`): windows and looks go by them.",
            )
        )
    return found or [
        Finding(check="clock", status="ok", what="nothing with a clock of its own answers; not compared")
    ]


def _clocks(state: State) -> Iterator[tuple[str, float]]:
    """Yield how many seconds the clocks of others are ahead; within a second where they say whole ones."""
    from windsock.adapters.database_probe import probe_database
    from windsock.adapters.server_client import ServerRouter

    settings = state.settings
    if not settings.lacking and not settings.database_url.startswith("sqlite"):
        try:
            ahead = probe_database(settings.database_url).clock_ahead
        except WindsockError:
            ahead = None
        if ahead is not None:
            yield "database", ahead
    try:
        if (now := ServerRouter.of(settings).clock()) is not None:
            yield "server", _ahead(now)
    except WindsockError:
        pass
    if url := _airflow_url(state):
        try:
            yield "Airflow", _ahead(parsedate_to_datetime(_get(f"{url}/api/v2/version").headers["date"]))
        except (httpx.HTTPError, KeyError, ValueError):
            return


def _ahead(now: datetime) -> float:
    """Return how far a clock that says whole seconds is ahead at least; what rounding explains is none."""
    seconds = (now - datetime.now(UTC)).total_seconds()
    return 0.0 if -1.5 <= seconds <= 0.5 else seconds


def _airflow_url(state: State) -> str:
    """Return where Airflow answers, as `windsock status` finds it; empty: nothing names it."""
    if state.location.stack is None and not any(os.environ.get(name) for name in NAMING):
        return ""
    return airflow_access(state.settings).url.rstrip("/")


def _get(url: str) -> httpx.Response:
    with httpx.Client(timeout=SECONDS, trust_env=not is_local(host_of(url))) as client:
        return client.get(url)


SERVICES: list[tuple[str, Check]] = [
    ("database", check_database),
    ("tracking", check_tracking),
    ("server", check_server),
    ("airflow", check_airflow),
    ("clock", check_clock),
    ("alerts", check_alerts),
]
