from __future__ import annotations

import os
import subprocess
from pathlib import Path

from windsock.adapters.own_process import PACKAGE_ROOT, command_of

ASKED = "import sys, windsock\ndef main(): print(windsock.__file__, sys.argv[1:])\n"


def run_with(path: str) -> str:
    """Run a module of another package that tells which Windsock it finds."""
    environment = {**os.environ, "PYTHONPATH": path}
    command = command_of("asked", "one", "two")
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_it_runs_this_package_though_another_one_is_installed(tmp_path: Path) -> None:
    other = tmp_path / "windsock"
    other.mkdir()
    (other / "__init__.py").write_text("")
    (tmp_path / "asked.py").write_text(ASKED)
    said = run_with(str(tmp_path))
    assert said == f"{Path(PACKAGE_ROOT) / 'windsock' / '__init__.py'} ['one', 'two']"


def test_it_runs_this_package_though_another_one_comes_first(tmp_path: Path) -> None:
    other = tmp_path / "windsock"
    other.mkdir()
    (other / "__init__.py").write_text("")
    (tmp_path / "asked.py").write_text(ASKED)
    said = run_with(f"{tmp_path}{os.pathsep}{PACKAGE_ROOT}")
    assert said.startswith(str(Path(PACKAGE_ROOT) / "windsock"))


def test_where_this_package_is_found_by_a_link_nothing_moves(tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(PACKAGE_ROOT)
    (tmp_path / "asked.py").write_text("import sys\ndef main(): print(sys.path[:2])\n")
    path = [str(tmp_path), str(tmp_path / "current")]
    assert run_with(os.pathsep.join(path)) == str(path)


def test_where_this_package_is_found_nothing_moves(tmp_path: Path) -> None:
    (tmp_path / "asked.py").write_text(
        "import sys\n"
        "def main():\n"
        f"    print(sys.path.index({str(tmp_path)!r}), sys.path.index({PACKAGE_ROOT!r}))\n"
    )
    assert run_with(f"{tmp_path}{os.pathsep}{PACKAGE_ROOT}") == "0 1"
