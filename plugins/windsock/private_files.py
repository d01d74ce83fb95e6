"""Who may read what an installation writes: its owner and, if one is named, the members of one group.

Folders have mode 0700 and files 0600, whatever the process's umask is. ``WINDSOCK_FILES_GROUP`` names a group
that may read: then they have 2750 and 0640, and belong to it; a folder hands its group on to what libraries
make in it. The group is one of the machine, so the environment names it, and no connection.
Keys are their owner's alone, always.
"""

from __future__ import annotations

import grp
import logging
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from windsock.exceptions import SettingsError

log = logging.getLogger(__name__)

GROUP_VARIABLE = "WINDSOCK_FILES_GROUP"
NO_GROUP = "WS-SETTINGS-036"
OWNER = 0o700


@dataclass(frozen=True, kw_only=True)
class Rights:
    """The modes of new folders and files, and the number of the group that may read them.

    :param gid: ``None``: the owner alone may.
    """

    gid: int | None = None

    @property
    def folder(self) -> int:
        """Mode of a folder."""
        return OWNER if self.gid is None else stat.S_ISGID | 0o750

    @property
    def file(self) -> int:
        """Mode of a file."""
        return 0o600 if self.gid is None else 0o640

    @property
    def umask(self) -> int:
        """The umask of a program whose files are to have these rights."""
        return 0o077 if self.gid is None else 0o027


def rights(environment: Mapping[str, str] | None = None) -> Rights:
    """Return the rights that the environment asks for.

    :param environment: default: ``os.environ``.
    :raises SettingsError: if it names a group that is not there, or that this process may not give files to.
    """
    given = os.environ if environment is None else environment
    name = given.get(GROUP_VARIABLE, "").strip()
    return _rights_of(name) if name else Rights()


@lru_cache(maxsize=8)
def _rights_of(name: str) -> Rights:
    try:
        gid = grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        raise SettingsError(
            f"{GROUP_VARIABLE} names the group {name[:100]!r}, which this machine does not have",
            code=NO_GROUP,
            next_action="Name one that `getent group` lists, or unset it: then only the owner may read.",
        ) from None
    if os.geteuid() != 0 and gid not in {os.getegid(), *os.getgroups()}:
        raise SettingsError(
            f"{GROUP_VARIABLE} names the group {name[:100]!r}, of which this process is no member,"
            " so it may not give files to it",
            code=NO_GROUP,
            next_action="Name a group that `id -Gn` lists, or add the user to this one and log in again.",
        )
    return Rights(gid=gid)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing; one that is there stays as it is.

    :raises OSError: if it cannot be made.
    """
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        if folder.parent == folder:
            break
        folder = folder.parent
    for one in reversed(missing):
        try:
            os.mkdir(one, OWNER)
        except FileExistsError:  # another process was faster, or it is a file
            if not one.is_dir():
                raise
            continue
        give(one)


def opener(path: str, flags: int) -> int:
    """Open a file as ``open`` does; one that is made has private rights: ``open(FILE, "xb", opener=opener)``.

    :param path: the file.
    :param flags: as for :func:`os.open`.
    :raises OSError: if it cannot be opened.
    """
    if not flags & os.O_CREAT:
        return os.open(path, flags | os.O_CLOEXEC)
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        if flags & os.O_EXCL:
            raise
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        _give(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def make_file(file: Path) -> None:
    """Make an empty file with private rights, for a library to open; one that is there is not touched.

    :raises OSError: if it cannot be made.
    """
    with suppress(FileExistsError), open(file, "xb", opener=opener):
        pass


def give(entry: Path) -> None:
    """Give a file or folder that this process has just made the rights of new ones.

    :raises OSError: if they cannot be given.
    """
    descriptor = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _give(descriptor)
    finally:
        os.close(descriptor)


def _give(descriptor: int) -> None:
    wanted, status = rights(), os.fstat(descriptor)
    if wanted.gid is not None and status.st_gid != wanted.gid:
        os.fchown(descriptor, -1, wanted.gid)
    os.fchmod(descriptor, wanted.folder if stat.S_ISDIR(status.st_mode) else wanted.file)


def tighten(root: Path, *, leave: Collection[Path] = ()) -> int:
    """Take others' rights away: on a file, or on a folder and all that lies in it; links are not followed.

    Rights are taken only: what its owner alone may read stays so, also where a group is named. No file is
    opened, since closing one would end the locks that this process holds on it.

    :param root: a file or folder; one that is not there is fine.
    :param leave: folders that are left as they are, such as those of keys.
    :returns: how many entries have other rights now.
    :raises SettingsError: if the environment names a group that cannot be used.
    """
    wanted, changed, foreign = rights(), 0, 0
    # A folder is private before its entries are looked at, so nobody else can exchange one for a link.
    for entry, status in _entries(root, frozenset(leave)):
        mode, gid = _tightened(status, wanted)
        if (mode, gid) == (stat.S_IMODE(status.st_mode), status.st_gid):
            continue
        try:
            if gid != status.st_gid:
                os.chown(entry, -1, gid)
            os.chmod(entry, mode)
            changed += 1
        except FileNotFoundError:
            continue
        except OSError:
            foreign += 1
    if foreign:
        log.warning(
            "%d entries at %s belong to other users and stay as they are: their owner can run"
            " `chmod -R o-rwx %s`",
            foreign,
            root,
            root,
        )
    return changed


def tighten_old(root: Path, names: Sequence[str]) -> None:
    """Make private what an earlier version wrote to a folder, unless that was done before.

    The last of the names tells: a new version makes it private, and it is the last to be changed. So rights
    that somebody gives afterwards to something else stay.

    :param root: a folder that may hold other things, too.
    :param names: what in it is the installation's own.
    """
    try:
        if not stat.S_IMODE(os.lstat(root / names[-1]).st_mode) & ~rights().folder:
            return
    except FileNotFoundError:
        return
    changed = sum(tighten(root / name) for name in names)
    if changed:
        log.warning("others could read %d files and folders below %s; they are private now", changed, root)


def _entries(root: Path, leave: frozenset[Path]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield files and folders, a folder before what lies in it; no links, sockets and devices."""
    waiting: list[str] = []
    with suppress(OSError):
        status = os.lstat(root)
        if stat.S_ISDIR(status.st_mode):
            waiting.append(str(root))
        if stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode):
            yield str(root), status
    while waiting:
        try:
            with os.scandir(waiting.pop()) as listed:
                found = list(listed)
        except OSError:  # gone, or another user's
            continue
        for entry in found:
            if Path(entry.path) in leave:
                continue
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(entry.path)
                if stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode):
                    yield entry.path, status


def _tightened(status: os.stat_result, wanted: Rights) -> tuple[int, int]:
    """Return the mode and the group that a file or folder should have."""
    allowed = wanted.folder if stat.S_ISDIR(status.st_mode) else wanted.file
    mode = stat.S_IMODE(status.st_mode) & (OWNER | allowed)
    if wanted.gid is None or not mode & 0o070:
        return mode, status.st_gid
    return mode | (allowed & stat.S_ISGID), wanted.gid
