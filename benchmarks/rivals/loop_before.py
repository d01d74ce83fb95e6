"""The rules of the loop as they were before: measured in the worlds of today, and kept as numbers.

The code is that of a commit of this very project, taken from its history: its judging, policy, retrains and
gate's rule, and not one line of it copied. What it came to is in ``loop_before.json``, and is measured anew
only where the worlds change: ``python benchmarks/rivals/loop_before.py``.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

COMMIT = "eec1fdd266b7460ba0e6c781c0eb99efb5d74cd1"
PROJECT = Path(__file__).resolve().parent.parent.parent
KEPT = Path(__file__).resolve().with_suffix(".json")


def main() -> int:
    """Run the benchmark on the code of that commit; further arguments are the benchmark's."""
    command = ["git", "-C", str(PROJECT), "archive", COMMIT, "plugins", "tests/support"]
    packed = subprocess.run(command, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(folder, filter="data")
        environment = {**os.environ, "LOOP_CODE": folder}
        environment.pop("PYTHONPATH", None)
        script = str(PROJECT / "benchmarks" / "loop.py")
        asked = ["--worlds", "central", "--seeds", "5", *sys.argv[1:]]
        arguments = [*asked, "--no-rivals", "--loud", "--keep", str(KEPT)]
        return subprocess.run([sys.executable, script, *arguments], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
