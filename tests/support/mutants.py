"""Mutation testing of a room or of one file, by hand: which changes of the code does no test notice?

``make mutants ROOM=governance/gate_model.py`` runs mutmut in a temporary folder; the work tree is only read.
Its settings stand in pyproject.toml, the room and its tests are put in there for a run. In that folder
``plugins`` is called ``src``: below a folder of that name mutmut knows which module a file is.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = Path("plugins/windsock")
SETTINGS = "\nsource_paths = "


def tests_of(room: str) -> list[str]:
    """Give where the unit tests of a room stand."""
    name = Path(room).parts[0].removesuffix(".py")
    places = (f"tests/unit/{name}", f"tests/unit/test_{name}.py")
    return [place for place in places if (PROJECT / place).exists()]


def lay_out(folder: Path, room: str, tests: list[str]) -> None:
    """Make a folder of links that mutmut takes for the project."""
    for entry in PROJECT.glob("[!.]*"):
        if entry.name != "pyproject.toml":
            (folder / entry.name.replace("plugins", "src")).symlink_to(entry)
    pattern = f"src/windsock/{room}" if room.endswith(".py") else f"src/windsock/{room}/*"
    chosen = f"\nonly_mutate = {[pattern]}\npytest_add_cli_args_test_selection = {tests}"
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(text.replace(SETTINGS, chosen + SETTINGS), encoding="utf-8")


def mutmut(folder: Path, *arguments: str, shown: bool = False) -> str:
    """Run a command of mutmut and give what it prints.

    :raises SystemExit: where it fails; with the end of what it printed.
    """
    run = subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=None if shown else subprocess.PIPE,
        text=True,
        check=False,
    )
    if run.returncode:
        told = (run.stdout or "")[-5000:]
        raise SystemExit(f"{told}\nmutants: mutmut ended with exit code {run.returncode}")
    return run.stdout or ""


def place_of(diff: list[str]) -> str:
    """Give file and line of a change: where the old lines of its diff stand in the file."""
    path = diff[0].split()[1].replace("src/windsock", str(PACKAGE))
    hunk = [line for line in diff[3:] if not line.startswith("+")]
    old = [line[1:].strip() for line in hunk]
    lines = [line.strip() for line in (PROJECT / path).read_text(encoding="utf-8").splitlines()]
    changed = next(at for at, line in enumerate(hunk) if line.startswith("-"))
    found = (start for start in range(len(lines)) if lines[start : start + len(old)] == old)
    return f"{path}:{next(found, -1) + 1 + changed}"


def report(folder: Path) -> None:
    """Print what became of the mutants of each file, and those that no test killed as diffs."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    alive = []
    for line in mutmut(folder, "results", "--all", "true").splitlines():
        mutant, _, status = line.strip().partition(": ")
        found[mutant.rpartition(".")[0]][status] += 1
        if status != "killed":
            alive.append((mutant, status))
    with contextlib.chdir(folder):  # mutmut reads its settings where it is imported
        from mutmut.mutation.diff_apply import get_diff_for_mutant

        diffs = [(status, get_diff_for_mutant(mutant).splitlines()) for mutant, status in alive]
    for status, diff in diffs:
        print(f"\n{place_of(diff)}: {status}", *(line for line in diff[3:] if line[:1] in "+-"), sep="\n")
    print()
    for module, counts in sorted(found.items()):
        told = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        print(f"{module}: {counts.total()} mutants, {told}")


def main() -> None:
    """Mutate what the command line names."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("room", help="a file or a folder below plugins/windsock")
    parser.add_argument("tests", nargs="*", help="more tests to run than the room's own")
    parser.add_argument("--jobs", default="2", help="processes at a time")
    asked = parser.parse_intermixed_args()
    room = asked.room.removeprefix(f"{PACKAGE}/").rstrip("/")
    if not (PROJECT / PACKAGE / room).exists():
        parser.error(f"there is no {PACKAGE / room}")
    if not (tests := [*tests_of(room), *asked.tests]):
        parser.error(f"{room} has no unit tests of its own; name some: ARGS=tests/...")
    with tempfile.TemporaryDirectory(prefix="windsock-mutants-") as name:
        lay_out(Path(name), room, tests)
        mutmut(Path(name), "run", "--max-children", asked.jobs, shown=sys.stdout.isatty())
        report(Path(name))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("mutants: stopped") from None
