"""Gauges of the disks that the server needs: of its state folder, and of a storage root on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from windsock.settings import Settings

SIZE, FREE = "windsock_disk_size_bytes", "windsock_disk_free_bytes"
HELP = {
    SIZE: "Size of the disk that holds a folder of the server.",
    FREE: "Free space on the disk that holds a folder of the server.",
}


def disk_text(settings: Settings) -> bytes:
    """Return size and free space in Prometheus' text form; a folder that cannot be asked about has no line.

    :param settings: name the folders: ``state`` is the server's own, ``storage`` the storage root.
    """
    found = {}
    for place, folder in _folders(settings).items():
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            continue
        found[place] = {SIZE: usage.total, FREE: usage.free}
    lines: list[str] = []
    for name, text in HELP.items():
        if found:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
        lines += [f'{name}{{place="{place}"}} {values[name]}' for place, values in found.items()]
    return "".join(f"{line}\n" for line in lines).encode("utf-8")


def _folders(settings: Settings) -> dict[str, Path]:
    folders = {"state": settings.serving_dir}
    scheme, found, rest = settings.storage_url.partition("://")
    if not found or scheme in ("file", "local"):
        folders["storage"] = Path(rest if found else settings.storage_url).expanduser()
    return folders
