"""What ``windsock doctor`` checks of the installation itself: keys, rights, disk, ports, versions."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import ClassVar, Literal
from uuid import uuid4

from windsock.cli.stack_ports import HOST, StackPorts, is_free, variable
from windsock.exceptions import SettingsError, SpecError
from windsock.locations import Location
from windsock.settings import Settings
from windsock.spec.loader import load_models, load_shared
from windsock.texts import first_of

FULL = 5
"""With so small a part of the limit left a disk is as good as full."""
DISTRIBUTION = "airflow-windsock"
SHOWN = 8


Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found.

    :param what: what was looked at and found.
    :param value: the number or name that was seen; empty: there is none.
    :param limit: what it should be.
    :param next_action: what to do; empty where nothing is to be done.
    """

    RANKS: ClassVar[dict[str, int]] = {"ok": 0, "warn": 1, "fail": 2}

    check: str
    status: Status
    what: str
    value: str = ""
    limit: str = ""
    next_action: str = ""

    @property
    def rank(self) -> int:
        """How bad it is."""
        return self.RANKS[self.status]

    def lines(self) -> Iterator[str]:
        """Yield the lines for people."""
        value = f": {self.value}" if self.value else ""
        limit = f", limit: {self.limit}" if self.limit else ""
        yield f"{self.status:<5} {self.check:<10} {self.what}{value}{limit}"
        if self.next_action:
            yield f"                 next: {self.next_action}"


@dataclass(frozen=True, kw_only=True)
class State:
    """What the checks work with."""

    settings: Settings
    location: Location


Check = Callable[[State], list[Finding]]


def check_home(state: State) -> list[Finding]:
    """Look at the home, and whether a stack runs in it."""
    settings, stack = state.settings, state.location.stack
    if stack is not None:
        what, value = f"`windsock {stack.command}` runs there", f"process {stack.pid}"
        return [Finding(check="home", status="ok", what=what, value=value)]
    if not settings.home.is_dir():
        return [
            Finding(
                check="home",
                status="fail",
                what=f"{settings.home} is not there (named by {settings.home_from})",
                next_action="Name the home with --home or WINDSOCK_HOME, or make one with `windsock up`.",
            )
        ]
    note = state.location.note
    ended = f"; the last one ended {note.ended_at} UTC" if note is not None and note.ended_at else ""
    return [Finding(check="home", status="ok", what=f"no `windsock up` runs there{ended}")]


def check_keys(state: State) -> list[Finding]:
    """See that what this machine signs is verified by it, and that there is an admin token."""
    from windsock.adapters.signing import PRIVATE_KEY, Signer, Verifier

    keys, found = state.settings.keys_dir, []
    probe = b"windsock doctor"
    if (keys / PRIVATE_KEY).exists():
        if not Verifier(keys, own=True).verify(probe, Signer(keys).sign(probe)):
            raise SettingsError(
                f"the public keys in {keys} do not verify what {PRIVATE_KEY} signs",
                next_action="Bring the pair back from its copy, or run `windsock keys rotate`.",
            )
        found.append(
            Finding(check="keys", status="ok", what="the signing key signs, its public key verifies")
        )
    else:
        Verifier(keys).verify(probe, bytes(64))
        found.append(
            Finding(
                check="keys",
                status="warn",
                what=f"no {PRIVATE_KEY} in {keys}: this machine serves, and can sign nothing",
                next_action="Where it should train or roll back, copy the installation's keys folder here.",
            )
        )
    token = state.settings.read_admin_token()
    found.append(Finding(check="keys", status="ok", what="an admin token", value=f"{len(token)} characters"))
    return found


def check_rights(state: State) -> list[Finding]:
    """See that this user can write where it must, and that others cannot read there."""
    settings, found = state.settings, []
    folders = [("home", settings.home)]
    if "://" not in settings.storage_url:
        folders.append(("storage", Path(settings.storage_url)))
    for name, folder in folders:
        if not folder.is_dir():
            continue
        if not os.access(folder, os.W_OK | os.X_OK):
            what, cure = f"this user may not write to {folder}", f"Run as its owner: chown -R USER {folder}"
            found.append(Finding(check="rights", status="fail", what=what, next_action=cure))
        elif others := stat.S_IMODE(folder.stat().st_mode) & 0o007:
            found.append(
                Finding(
                    check="rights",
                    status="warn",
                    what=f"every user of the machine gets into {folder}",
                    value=f"{others:o}",
                    limit="0",
                    next_action=f"Run: chmod o-rwx {folder}",
                )
            )
        else:
            what = f"{name} {folder} can be written, and is closed to others"
            found.append(Finding(check="rights", status="ok", what=what))
    return found


def check_disk(state: State) -> list[Finding]:
    """See how much space is left where it writes, by the limit that `windsock status` goes by."""
    from windsock.adapters.surroundings import InstallationSurroundings
    from windsock.watchdog.system_findings import size

    found = []
    for space in InstallationSurroundings(state.settings).spaces():
        status: Status = "ok"
        cure = ""
        if space.free < space.limit:
            status = "fail" if space.free < space.limit / FULL else "warn"
            cure = (
                f"Free space on the disk of {space.path}: a full one ends retrains, last the prediction log."
            )
        found.append(
            Finding(
                check="disk",
                status=status,
                what=f"free for the {space.what} {space.path}",
                value=size(space.free),
                limit=f"at least {size(space.limit)} (WINDSOCK_MINIMUM_FREE_MB), "
                f"{size(space.limit // FULL)} to work at all",
                next_action=cure,
            )
        )
    return found


def check_storage(state: State) -> list[Finding]:
    """Write a small file to the storage root, read it back and remove it."""
    from windsock.adapters.storage import Storage

    url = state.settings.storage_url
    if "://" not in url and not Path(url).is_dir():
        return [Finding(check="storage", status="ok", what=f"{url} is made by the first snapshot")]
    storage, folder, content = Storage(url), f"doctor-{uuid4().hex}", b"windsock doctor"
    name = f"{folder}/probe"
    storage.write_bytes(name, content)
    try:
        if storage.read_bytes(name) != content:
            raise SettingsError(
                "the storage root gives back other bytes than were written",
                next_action="Check the disk or object store for faults before anything else is written.",
            )
    finally:
        storage.remove(folder)
    return [Finding(check="storage", status="ok", what="a file was written, read and removed")]


def check_ports(state: State) -> list[Finding]:
    """See that the stack's programs listen, or that they could."""
    stack = state.location.stack
    if stack is not None:
        silent = {name: port for name, port in stack.ports.items() if is_free(port)}
        if not silent:
            listed = ", ".join(f"{name} {port}" for name, port in stack.ports.items())
            return [Finding(check="ports", status="ok", what="the stack listens", value=listed)]
        return [
            Finding(
                check="ports",
                status="fail",
                what=f"nothing listens at {HOST} for {name}",
                value=str(port),
                next_action=f"Read the logs in {state.settings.home / 'logs'}; it may still be starting.",
            )
            for name, port in silent.items()
        ]
    taken = StackPorts.from_environment().taken()
    if not taken:
        return [Finding(check="ports", status="ok", what="those of `windsock up` are free")]
    return [
        Finding(
            check="ports",
            status="warn",
            what=f"something listens at {HOST} where `windsock up` would start {name}",
            value=str(port),
            next_action=f"Nothing, if that is yours; else start it with {variable(name)}=PORT windsock up",
        )
        for name, port in taken.items()
    ]


def check_models(state: State) -> list[Finding]:
    """See that the model files can be used."""
    settings = state.settings
    try:
        specs, errors = load_models(settings.models_dir, load_shared(settings.shared_file))
    except SpecError as error:
        specs, errors = {}, (error,)
    if errors:
        return [
            Finding(
                check="models",
                status="fail",
                what=f"{len(errors)} file(s) in {settings.models_dir} cannot be used: {errors[0].message}",
                next_action=errors[0].next_action
                if errors[0].code == "WS-SPEC-005"
                else f"Run: windsock validate {settings.models_dir}",
            )
        ]
    named = f"{settings.models_dir} (named by {settings.models_from})"
    if not specs:
        return [
            Finding(
                check="models",
                status="warn",
                what=f"no model file in {named}",
                next_action="Write one with `windsock init`, or set WINDSOCK_MODELS_DIR to another folder.",
            )
        ]
    return [Finding(check="models", status="ok", what=f"in {named}", value=str(len(specs)))]


def check_versions(state: State) -> list[Finding]:
    """Compare what is installed with what the package asks for, and with what was tested."""
    from packaging.requirements import Requirement

    try:
        asked = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError:
        return [
            Finding(
                check="versions",
                status="warn",
                what=f"{DISTRIBUTION} is not installed as a package, so nobody can tell what it needs",
                next_action=f"Install it: pip install {DISTRIBUTION}",
            )
        ]
    needed = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong, other, tested = [], [], tested_versions()
    for one in needed:
        seen = _installed(one.name)
        if seen is None or not one.specifier.contains(seen, prereleases=True):
            wrong.append(f"{one.name} {seen or 'is missing'} (needs {one.specifier or 'any'})")
        elif (known := tested.get(one.name)) not in (None, seen):
            other.append(f"{one.name} {seen} (tested: {known})")
    if wrong:
        return [
            Finding(
                check="versions",
                status="fail",
                what=first_of(wrong, SHOWN),
                next_action="Install again with the constraints of this release: pip install "
                f"{DISTRIBUTION} -c constraints.txt",
            )
        ]
    if other:
        return [
            Finding(
                check="versions",
                status="warn",
                what=first_of(other, SHOWN),
                next_action="Nothing, while all works; for the tested ones: pip install -c constraints.txt.",
            )
        ]
    against = "as tested" if tested else "in the ranges of the package; no list of tested ones is here"
    return [Finding(check="versions", status="ok", what=against, value=f"{len(needed)} libraries")]


def tested_versions() -> dict[str, str]:
    """Return the versions that this release was tested with; empty where the list is not there."""
    package = Path(__file__).parents[1]
    for file in (package / "constraints.txt", package.parents[1] / "constraints.txt"):
        if file.is_file():
            lines = file.read_text(encoding="utf-8").splitlines()
            return dict(line.split("==", 1) for line in lines if "==" in line and not line.startswith("#"))
    return {}


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


LOCAL: list[tuple[str, Check]] = [
    ("home", check_home),
    ("keys", check_keys),
    ("rights", check_rights),
    ("disk", check_disk),
    ("storage", check_storage),
    ("ports", check_ports),
    ("models", check_models),
    ("versions", check_versions),
]
