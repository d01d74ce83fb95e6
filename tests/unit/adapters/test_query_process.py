from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from windsock.adapters import query_process
from windsock.adapters.query_limits import QueryLimits
from windsock.adapters.query_process import QueryEndedError, QueryLimitError, QueryRefusedError, ask

pytestmark = pytest.mark.slow
LIMITS = QueryLimits(seconds=20, memory_mb=64, seconds_setting="SECONDS_X", memory_setting="MEMORY_X")
HEAD = """
import os, signal, sys, time
from windsock.adapters.query_process import ROWS, serve
def main():
    serve(work)
def work(asked, payload, answer):
"""


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run some lines as the work of a process of its own."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    def run(*lines: str, limits: QueryLimits = LIMITS, payload: bytes = b"", bare: bool = False) -> list[Any]:
        (tmp_path / "asked_work.py").write_text(HEAD + "".join(f"    {line}\n" for line in lines))
        return list(ask("asked_work", {"word": "hello"}, limits, payload=payload, bare=bare))

    return run


def test_what_it_is_asked_and_given_it_answers(answers: Any) -> None:
    lines = ("answer.begin(asked)", "print('noise')", "answer.send(ROWS, [asked['word'], payload.read()])")
    assert answers(*lines, payload=b"x" * 300_000) == [["hello", b"x" * 300_000]]


def test_the_installation_s_variables_are_not_handed_on(answers: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("WINDSOCK_ADMIN_TOKEN", "t")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "c")
    monkeypatch.setenv("PGSSLMODE", "require")
    line = "answer.send(ROWS, [name for name in ('WINDSOCK_ADMIN_TOKEN', 'AIRFLOW_CONN_SHOP', 'PGSSLMODE') "
    line += "if name in os.environ])"
    assert answers(line) == [["PGSSLMODE"]]
    assert answers(line, bare=True) == [[]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bytearray(200 * 1024 ** 2)", "64 MiB.*MEMORY_X"),
        ("[answer.send(ROWS, 'x' * 2 ** 20) for _ in range(100)]", "answer is larger than 64 MiB.*MEMORY_X"),
        ("os.kill(os.getpid(), signal.SIGABRT)", "64 MiB.*MEMORY_X.*SIGABRT"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "20 s.*SECONDS_X"),
    ],
)
def test_beyond_a_limit_the_setting_is_named(answers: Any, line: str, said: str) -> None:
    with pytest.raises(QueryLimitError, match=said):
        answers("answer.begin(asked)", line)


@pytest.mark.parametrize(
    "line", ["time.sleep(60)", "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(60)"]
)
def test_one_that_sleeps_is_killed_in_time(answers: Any, line: str) -> None:
    limits = QueryLimits(seconds=0.5, memory_mb=64, seconds_setting="SECONDS_X", memory_setting="MEMORY_X")
    with pytest.raises(QueryLimitError, match=r"0\.5 s.*SECONDS_X"):
        answers("answer.begin(asked)", line, limits=limits)


def test_without_a_parent_the_system_ends_it(answers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_process._Clock, "set", lambda self, seconds: None)
    limits = QueryLimits(seconds=0.5, memory_mb=64, seconds_setting="SECONDS_X", memory_setting="MEMORY_X")
    with pytest.raises(QueryLimitError, match="SECONDS_X"):
        answers("answer.begin(asked)", "time.sleep(60)", limits=limits)


def test_an_error_is_words_without_what_an_unknown_one_says(answers: Any) -> None:
    with pytest.raises(QueryRefusedError) as caught:
        answers("raise KeyError('Alice')")
    assert (caught.value.kind, caught.value.message) == ("KeyError", "")


@pytest.mark.parametrize(
    "line",
    [
        "os._exit(3)",
        "answer._stream.write(b'\\x00' * 7 + b'\\x01\\xc1'); answer._stream.flush(); time.sleep(60)",
    ],
)
def test_no_answer_and_nonsense_are_said(answers: Any, line: str) -> None:
    with pytest.raises(QueryEndedError):
        answers(line)


def test_nothing_is_left_behind(answers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    honest = subprocess.Popen

    def noted(*args: Any, **kwargs: Any) -> Any:
        started.append(honest(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(query_process.subprocess, "Popen", noted)
    answers("answer.send(ROWS, 1)", "answer.send(ROWS, 2)")
    assert [process.returncode is not None for process in started] == [True]
