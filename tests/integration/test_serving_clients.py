"""The server in a process of its own: keys that two workers share, TLS, client certificates, renewal."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from support.certificates import Authority
from support.serving import (
    PLUGINS,
    ROW,
    make_bundle,
    make_plan,
    make_settings,
    read_json_file,
    store_bundle,
    wait_until,
)
from windsock.adapters.server_client import ServerRouter, server_health
from windsock.exceptions import SettingsError, WindsockError
from windsock.serving.client_file import ClientRegistry
from windsock.settings import Settings

pytestmark = pytest.mark.slow


@contextmanager
def serving(settings: Settings, *arguments: str, verify: ssl.SSLContext | bool = True) -> Iterator[str]:
    """Run ``python -m windsock.serving`` and give its address once both workers answer."""
    log = (settings.home / "server.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "windsock.serving", "--port", "0", "--workers", "2", *arguments],
        env={**os.environ, "PYTHONPATH": str(PLUGINS), "WINDSOCK_HOME": str(settings.home)},
        stderr=log,
    )
    try:
        facts = settings.serving_dir / "server.json"

        def answers() -> bool:
            assert process.poll() is None, said(settings)
            address = read_json_file(facts).get("address")
            if not address or len(list((settings.serving_dir / "workers").glob("*.json"))) < 2:
                return False
            try:
                return httpx.get(f"{address}/health", timeout=5, verify=verify).status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(answers, seconds=60, what="the server")
        yield read_json_file(facts)["address"]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(20)
        log.close()


def said(settings: Settings) -> str:
    return (settings.home / "server.log").read_text()


def ask(address: str, key: str | None, header: str = "Authorization") -> httpx.Response:
    """Ask on a new connection, so that any worker may answer."""
    headers = {} if key is None else {header: f"Bearer {key}" if header == "Authorization" else key}
    return httpx.post(f"{address}/models/churn/predict", json={"features": ROW}, headers=headers, timeout=30)


def statuses(address: str, key: str | None, times: int = 12) -> set[int]:
    return {ask(address, key).status_code for _ in range(times)}


def test_keys_are_asked_for_and_follow_the_file_without_a_restart(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    registry = ClientRegistry(settings.clients_file)
    with serving(settings) as address:
        ServerRouter(address, settings.read_admin_token).apply(
            make_plan(store_bundle(settings, make_bundle()))
        )
        assert statuses(address, None) == {200}  # loopback, and no client yet
        secret = registry.add("shop")
        wait_until(lambda: statuses(address, None) == {401}, what="asking for keys")
        wait_until(lambda: statuses(address, secret) == {200}, what="the key")
        assert ask(address, secret, "X-API-Key").status_code == 200
        assert ask(address, None).headers["www-authenticate"] == "Bearer"
        assert statuses(address, secret[:-1]) == {401}
        other = registry.add("other", scopes=["outcomes"])
        wait_until(lambda: statuses(address, other) == {403}, what="a client without the scope")
        slow = registry.add("slow", rate=0.001, burst=5)
        wait_until(lambda: ask(address, slow).status_code != 401, what="the slow client")
        answers = [ask(address, slow) for _ in range(20)]
        assert sum(answer.status_code == 200 for answer in answers) <= 4  # over both workers
        wait_until(lambda: ask(address, slow).status_code == 429, what="the rate in both workers")
        assert int(answers[-1].headers["retry-after"]) >= 1
        rotated = registry.rotate("shop", grace=timedelta(0))
        wait_until(lambda: statuses(address, secret) == {401}, what="the end of the old key")
        assert statuses(address, rotated) == {200}
        settings.clients_file.unlink()
        wait_until(lambda: statuses(address, rotated) == {503}, what="closing without the file")
        assert statuses(address, None) == {503}
        shown = httpx.get(f"{address}/health", timeout=30).text
    for hidden in (secret, other, slow, rotated):
        assert hidden[-43:] not in said(settings) + shown + "".join(answer.text for answer in answers)


def test_https_with_the_authority_and_nothing_less(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    pair = authority.issue()
    trust = ssl.create_default_context(cafile=str(authority.file))
    arguments = ("--tls-cert", str(pair.cert), "--tls-key", str(pair.key))
    with serving(settings, *arguments, verify=trust) as address:
        assert address.startswith("https://127.0.0.1:")
        known = settings.model_copy(update={"server_url": address, "server_ca": authority.file})
        router = ServerRouter.of(known)
        assert router.apply(make_plan(store_bundle(settings, make_bundle()))).workers == 2
        assert server_health(address, known).endswith("1 models served")
        answer = httpx.post(f"{address}/predict", json={"features": ROW}, verify=trust, timeout=30)
        assert answer.status_code == 200
        with pytest.raises(SettingsError, match="not trusted") as refused:
            ServerRouter.of(known.model_copy(update={"server_ca": other.file})).state("churn")
        assert refused.value.code == "WS-SERVING-032"
        with pytest.raises(httpx.HTTPError):
            httpx.get(address.replace("https", "http") + "/health", timeout=10)
        old = ssl.create_default_context(cafile=str(authority.file))
        old.set_ciphers("ALL:@SECLEVEL=0")  # else the client itself would refuse TLS 1.1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/health", verify=old, timeout=10)


def test_client_certificates_are_asked_for(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    authority, people = Authority(tmp_path), Authority(tmp_path, "people")
    pair, airflow, stranger = authority.issue(), people.issue("airflow"), authority.issue("stranger")
    trust = ssl.create_default_context(cafile=str(authority.file))
    trust.load_cert_chain(airflow.cert, airflow.key)
    arguments = (
        "--tls-cert",
        str(pair.cert),
        "--tls-key",
        str(pair.key),
        "--tls-client-ca",
        str(people.file),
    )
    with serving(settings, *arguments, verify=trust) as address:
        known = settings.model_copy(
            update={
                "server_url": address,
                "server_ca": authority.file,
                "server_client_cert": airflow.cert,
                "server_client_key": airflow.key,
            }
        )
        assert server_health(address, known).startswith("status ok")
        for changes in (
            {"server_client_cert": None, "server_client_key": None},
            {"server_client_cert": stranger.cert, "server_client_key": stranger.key},
        ):
            with pytest.raises(WindsockError) as refused:
                server_health(address, known.model_copy(update=changes))
            assert refused.value.code in ("WS-SERVING-032", "WS-SERVING-001")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--host", "0.0.0.0"), "WS-SERVING-030"),  # noqa: S104 - it is refused
        (("--tls-cert", "/no/such/file", "--tls-key", "/no/such/file"), "WS-SERVING-031"),
    ],
)
def test_what_is_set_up_wrongly_is_told_at_the_start(
    tmp_path: Path, arguments: tuple[str, ...], code: str
) -> None:
    settings = make_settings(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "windsock.serving", "--port", "0", *arguments],
        env={**os.environ, "PYTHONPATH": str(PLUGINS), "WINDSOCK_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{code}: ")
    assert "Traceback" not in ended.stderr
