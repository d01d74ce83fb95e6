"""Metrics of several workers, while one of them starts."""

from __future__ import annotations

import struct
import subprocess
import sys

import pytest

from windsock.serving import metrics


def test_a_file_that_is_just_being_made_is_read_again(tmp_path):
    empty = tmp_path / "counter_999.db"
    empty.touch()
    code = (
        "import sys; from pathlib import Path; from threading import Timer\n"
        "from windsock.serving.metrics import Metrics\n"
        "made = Metrics(); made.log_dropped(3)\n"
        "Timer(0.05, Path(sys.argv[1]).unlink).start()\n"
        "print(made.dropped())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(empty)],
        env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3"


def test_a_file_that_stays_damaged_is_told(monkeypatch):
    monkeypatch.setattr(metrics, "READ_PAUSE", 0.0)
    seen = []

    def read():
        seen.append(1)
        raise struct.error("too short")

    with pytest.raises(struct.error):
        metrics._steadily(read)
    assert len(seen) == metrics.READ_TRIES
