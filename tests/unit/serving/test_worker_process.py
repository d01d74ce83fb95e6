from __future__ import annotations

import asyncio
import logging
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.certificates import Authority
from windsock.adapters.tls import TlsFiles
from windsock.serving.server import THREAD_VARIABLES
from windsock.serving.worker_process import CertificateFollower

HEAVY = {"pandas", "sklearn", "scipy", "numpy", "skops", "onnx", "onnxruntime", "mlflow", "pyarrow"}


def test_a_worker_loads_no_numerical_library_before_it_needs_one(
    modules_after: Callable[[str], frozenset[str]],
) -> None:
    assert modules_after("worker") & HEAVY == set()


def test_the_environment_of_a_worker_holds_every_pool_to_one_thread() -> None:
    code = (
        "import sklearn.linear_model, scipy.linalg; from threadpoolctl import threadpool_info;"
        "found = threadpool_info(); assert found; print({pool['num_threads'] for pool in found})"
    )
    seen = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")},
    )
    assert seen.stdout.strip() == "{1}"


class Handshake:
    """Both sides of TLS in memory: which serial number does a new connection see?"""

    def __init__(self, authority: Authority, server: ssl.SSLContext) -> None:
        self.server = server
        self.client = ssl.create_default_context(cafile=str(authority.file))

    def serial(self) -> str:
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.client.wrap_bio(back, there, server_hostname="localhost")
        server = self.server.wrap_bio(there, back, server_side=True)
        for _ in range(4):
            for side in (client, server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        seen = client.getpeercert()
        assert seen
        return str(seen["serialNumber"])


def move_on(file: Path) -> None:
    """Give a file a time of change of its own, however coarse the clock of the file system is."""
    facts = file.stat()
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000_000_000))


def test_a_renewed_certificate_is_taken_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue()
    files = TlsFiles(cert=pair.cert, key=pair.key)
    context = files.context()
    follow = CertificateFollower(files, context)
    handshake = Handshake(authority, context)
    first = handshake.serial()
    with caplog.at_level(logging.INFO):
        asyncio.run(follow())
        assert caplog.records == []
        before = pair.cert.read_bytes(), pair.key.read_bytes()
        authority.issue()
        renewed = pair.cert.read_bytes(), pair.key.read_bytes()
        pair.key.write_bytes(before[1])  # half of it is there
        move_on(pair.cert)
        for _ in range(2):
            asyncio.run(follow())
        assert handshake.serial() == first
        pair.key.write_bytes(renewed[1])
        move_on(pair.key)
        asyncio.run(follow())
        second = handshake.serial()
        assert second != first
        pair.cert.unlink()
        asyncio.run(follow())
        assert handshake.serial() == second
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO", "ERROR"]
    assert "no pair" in caplog.text
