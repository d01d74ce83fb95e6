"""A base image for Docker tests, made of the running interpreter: nothing is pulled.

``base_image()`` gives the name of an image with Python, pip, a shell and a few file tools. It is made once; a
label with the digest of what it was made of tells whether it is still the right one. Build with
``DOCKER_BUILDKIT=0``: BuildKit asks a registry for the base image first.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from importlib import metadata
from pathlib import Path

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
IMAGE = f"windsock-test/python:{VERSION}"
LABEL = "windsock.test.digest"
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

# Debian's interpreter looks for packages in places of its own and stays where it is.
DEBIAN = sys.base_prefix == "/usr"
PREFIX = "/usr" if DEBIAN else "/usr/local"
SITE = f"/usr/local/lib/python{VERSION}/{'dist' if DEBIAN else 'site'}-packages"
OTHER_LIBRARIES = "/usr/lib"  # the loader looks there even with an empty environment

# fmt: off
TOOLS = [
    "cat", "chmod", "chown", "cp", "date", "echo", "env", "false", "grep", "head", "id", "kill", "ln",
    "ls", "mkdir", "mv", "rm", "sed", "sleep", "sort", "tail", "tar", "touch", "true", "uname", "wc",
]
# Loaded by name at run time, or asked for by wheels; ldd does not tell.
COMPANIONS = [
    "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libgomp.so.1", "libm.so.6", "libnss_dns.so.2",
    "libnss_files.so.2", "libpthread.so.0", "libresolv.so.2", "librt.so.1", "libstdc++.so.6",
    "libutil.so.1", "libz.so.1",
]
# fmt: on
SKIPPED = re.compile(
    r"(^|/)(test|tests|idlelib|turtledemo|tkinter|lib2to3|__pycache__|site-packages|dist-packages|config-\d[^/]*"
    r"|EXTERNALLY-MANAGED|_tkinter[^/]*|[^/]*\.a)$"
)
TEXTS = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
SCRIPTS = {
    "/usr/local/bin/pip": '#!/bin/sh\nexec python3 -m pip "$@"\n',
    "/usr/local/bin/pip3": '#!/bin/sh\nexec python3 -m pip "$@"\n',
}
CHANGES = (
    "ENV PATH=/usr/local/bin:/usr/bin:/bin",
    f"ENV LD_LIBRARY_PATH={OTHER_LIBRARIES}",
    "ENV LANG=C.UTF-8",
    f"ENV SSL_CERT_FILE={CA_BUNDLE}",
    f"ENV PIP_CERT={CA_BUNDLE}",
    'CMD ["python3"]',
)


def base_image() -> str:
    """Give the name of the base image, after making it where it is missing or out of date.

    :return: name and tag, for ``--build-arg BASE_IMAGE=...`` or ``docker run``.
    :raises RuntimeError: where the engine does not answer or refuses the import; with its own words.
    """
    digest = _digest()
    if _label_of_image() != digest:
        _import(digest)
    return IMAGE


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the docker client with the classic builder; look at the result's ``returncode``."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, env=environment
    )


def _label_of_image() -> str:
    found = docker("image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', IMAGE)
    return found.stdout.strip() if found.returncode == 0 else ""


def _interpreter() -> Path:
    """Find the interpreter that the virtual environment was made from."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def _digest() -> str:
    facts = _interpreter().stat()
    made_of = (
        Path(__file__).read_bytes(),
        sys.version,
        facts.st_size,
        facts.st_mtime_ns,
        metadata.version("pip"),
    )
    return hashlib.sha256(repr(made_of).encode()).hexdigest()


def _import(digest: str) -> None:
    command = ["docker", "import", "--change", f"LABEL {LABEL}={digest}"]
    for change in CHANGES:
        command += ["--change", change]
    with subprocess.Popen(
        [*command, "-", IMAGE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as run:
        # A client that gives up says why in what it prints.
        with contextlib.suppress(BrokenPipeError):
            _write_root(run.stdin)
        said = run.communicate()[0].decode(errors="replace").strip()
    if run.returncode != 0:
        raise RuntimeError(f"docker import of {IMAGE} failed with exit code {run.returncode}: {said}")


def _write_root(stream: object) -> None:
    """Write the image's root folder to ``stream`` as a tar."""
    with tarfile.open(fileobj=stream, mode="w|", dereference=True) as tar:  # type: ignore[call-overload]
        for folder in ("/tmp", "/var/tmp"):
            _add_folder(tar, folder, 0o1777)
        for folder in ("/root", "/proc", "/sys", "/dev"):
            _add_folder(tar, folder, 0o755)
        for path, text in TEXTS.items():
            _add_text(tar, path, text, 0o644)
        for path, text in SCRIPTS.items():
            _add_text(tar, path, text, 0o755)
        for path, source in sorted(_files().items()):
            tar.add(source, path, filter=_keep, recursive=True)


def _files() -> dict[str, Path]:
    """Give the place in the image of each file or folder that is copied."""
    stdlib, python = Path(sysconfig.get_path("stdlib")), _interpreter()
    files = {
        f"{PREFIX}/bin/python{VERSION}": python,
        f"{PREFIX}/bin/python3": python,
        f"{PREFIX}/bin/python": python,
        f"{PREFIX}/lib/python{VERSION}": stdlib,
        "/bin/sh": Path("/bin/sh").resolve(),
        **_pip(),
    }
    files |= {f"/bin/{tool}": Path(found) for tool in TOOLS if (found := shutil.which(tool))}
    if Path(CA_BUNDLE).is_file():
        files[CA_BUNDLE] = Path(CA_BUNDLE)
    programs = [path for path in files.values() if path.is_file() and path.suffix != ".crt"]
    programs += [path for path in stdlib.glob("lib-dynload/*.so") if not SKIPPED.search(path.name)]
    return files | _libraries(programs)


def _pip() -> dict[str, Path]:
    """Find pip's package and its metadata, by which it knows its own version."""
    files = metadata.distribution("pip").files or []
    folders = {file.parts[0] for file in files if file.parts[0].startswith("pip")}
    place = Path(str(metadata.distribution("pip").locate_file("")))
    return {f"{SITE}/{folder}": place / folder for folder in folders}


def _libraries(programs: list[Path]) -> dict[str, Path]:
    """Ask ldd what ``programs`` load; system libraries keep their place."""
    said = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    found = set(re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", said, flags=re.MULTILINE))
    folders = {str(Path(path).parent) for path in found}
    found |= {f"{folder}/{name}" for folder in folders for name in COMPANIONS if Path(folder, name).is_file()}
    return {_library_place(path): Path(path) for path in found}


def _library_place(path: str) -> str:
    system = path.startswith(("/lib", "/usr/lib"))
    return path if system else f"{OTHER_LIBRARIES}/{Path(path).name}"


def _keep(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what no test needs, and let root own the rest."""
    if SKIPPED.search(entry.name):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _add_folder(tar: tarfile.TarFile, path: str, mode: int) -> None:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def _add_text(tar: tarfile.TarFile, path: str, text: str, mode: int) -> None:
    data = text.encode()
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    sys.stdout.write(base_image() + "\n")
