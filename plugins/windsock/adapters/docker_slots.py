"""``DockerSlots``: the serving target ``docker``: a container for each version, on loopback only."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from windsock.adapters.slot_folder import write_slot_folder
from windsock.adapters.slot_register import SlotRegister
from windsock.adapters.slot_secrets import PROOF_HEADER, READY_PATH, SLOT_FILE, SlotSecret, read_slot_file
from windsock.exceptions import (
    DeploymentRefusedError,
    ServerUnavailableError,
    SettingsError,
    SlotAddressError,
    StorageError,
    WindsockError,
)
from windsock.ports import utc_now
from windsock.records import SLOT_HOST, RegisteredVersion, RoutePlan, SlotDeployment, SlotPlan
from windsock.settings import Settings

log = logging.getLogger(__name__)

LABEL = "windsock.slot"
INSIDE = "/run/windsock-slot"
"""Where the slot's folder is mounted in its container."""
PORT_INSIDE = 8181
READY_SECONDS = 90.0
LOOK_SECONDS = 0.1
ENGINE_SECONDS = 60
ATTEMPTS = 5
IMAGE_USER = 10001
LAST_WORDS = 300
HEALTH = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT_INSIDE}/health', timeout=4)"


class DockerSlots:
    """Starts slots as containers, signs where they are, and ends those that no plan needs.

    The slot's secret, its bundle and the public key lie in a folder of its own below ``home/slots`` that is
    mounted read-only: neither the container's settings nor its log hold a secret. The engine must see the
    same files as this process.

    :param settings: the installation.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = settings.home / "slots"
        self.register = SlotRegister.of(settings)

    def address(self, version: RegisteredVersion) -> str:
        """Return where a version's slot answers; start one where none does.

        :raises ServerUnavailableError: if no Docker engine answers.
        :raises SettingsError: if the image is not there.
        :raises DeploymentRefusedError: if the container does not answer as this version.
        """
        for slot, known in self._slots(version.model):
            if (known.version, known.digest) == (version.version, version.digest):
                if self._answers(slot, known):
                    return known.address
                self._end(slot, known)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._start(version)
            except _PortTakenError:
                log.info("port taken by another process, try %d of %d", attempt, ATTEMPTS)
        raise ServerUnavailableError(f"no free port for a slot after {ATTEMPTS} tries", code="WS-SLOT-005")

    def require(self, model: str, slot: SlotPlan) -> None:
        """See that a slot's address is one that a deployment of this installation made.

        :raises SlotAddressError: if it is not.
        """
        self.register.find(model, slot)

    def keep_only(self, model: str, plan: RoutePlan) -> int:
        """End the slots of a model that its plan does not name; return how many.

        One that cannot be ended just now is left to the next deployment.
        """
        ended = 0
        for slot, known in self._slots(model):
            named = plan.slot(known.digest)
            if named is not None and known.is_of(model, named):
                continue
            try:
                self._end(slot, known)
            except WindsockError as error:  # what serves is right; the next deployment ends it
                log.warning("%s: %s: a slot is left over: %s", error.code, model, error.message)
                continue
            ended += 1
        return ended

    def _slots(self, model: str) -> list[tuple[Path, SlotDeployment]]:
        """Return the slots that this target has started for a model, as their own folders say."""
        found = []
        for folder in sorted(self.folder.glob("*/")) if self.folder.is_dir() else ():
            with suppress(SettingsError):
                known, _ = read_slot_file(folder / SLOT_FILE)
                if known.model == model:
                    found.append((folder, known))
        return found

    def _answers(self, folder: Path, known: SlotDeployment) -> bool:
        """Return whether a slot that was started before still answers, by a deployment that still counts."""
        named = SlotPlan(
            version=known.version, digest=known.digest, bundle_uri=str(folder), share=0, url=known.address
        )
        try:
            return self.register.find(known.model, named) == known and _ready(
                known, self.register.secret_of(known)
            )
        except SlotAddressError:
            return False

    def _start(self, version: RegisteredVersion) -> str:
        deployment = SlotDeployment(
            slot=uuid4().hex,
            model=version.model,
            version=version.version,
            digest=version.digest,
            address=f"http://{SLOT_HOST}:{_free_port()}",
            made_at=utc_now(),
        )
        self.register.key.make()
        secret = self.register.secret_of(deployment)
        folder = self.folder / deployment.slot
        try:
            write_slot_folder(self.settings, folder, deployment, secret, version.bundle_uri)
            user = _give_to_its_user(folder)
            with self._engine() as engine:
                container = self._run(engine, folder, deployment, user)
                self._wait(container, deployment, secret)
            # Signed only now: the address has proved that it holds the secret of this very deployment.
            self.register.add(deployment)
        except BaseException:
            # Where that fails too, the folder stays: the next deployment finds the slot by it and ends it.
            with suppress(ServerUnavailableError, StorageError):
                self._end(folder, deployment)
            raise
        log.info("%s: version %s answers at %s", version.model, version.version, deployment.address)
        return deployment.address

    def _run(self, engine: Any, folder: Path, deployment: SlotDeployment, user: str) -> Any:
        from docker.errors import APIError, ImageNotFound

        own = dict(zip(("uid", "gid"), user.split(":"), strict=True))
        options = ",".join(f"{name}={number}" for name, number in own.items())
        try:
            container = engine.containers.create(  # never pulled: what runs is what was built
                self.settings.slot_image,
                ["--slot", INSIDE, "--host", "0.0.0.0", "--port", str(PORT_INSIDE)],  # noqa: S104 - inside
                name=f"windsock-slot-{deployment.slot}",
                labels={LABEL: deployment.slot, f"{LABEL}.model": deployment.model},
                user=user,
                ports={f"{PORT_INSIDE}/tcp": (SLOT_HOST, int(deployment.address.rpartition(":")[2]))},
                volumes={str(folder): {"bind": INSIDE, "mode": "ro"}},
                read_only=True,
                tmpfs={"/tmp": "", "/var/lib/windsock": options},  # noqa: S108 - in the container's memory
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                pids_limit=128,
                restart_policy={"Name": "unless-stopped"},
                healthcheck={"test": ["CMD", "python", "-c", HEALTH], "interval": 30_000_000_000},
            )
        except ImageNotFound as error:
            raise SettingsError(
                f"the Docker engine has no image {self.settings.slot_image}",
                code="WS-SLOT-006",
                next_action="Build it as docs/serving.md says, or name yours by WINDSOCK_SLOT_IMAGE.",
            ) from error
        try:
            container.start()
        except APIError as error:
            if "port is already allocated" in str(error) or "address already in use" in str(error):
                raise _PortTakenError from None
            raise
        return container

    def _wait(self, container: Any, deployment: SlotDeployment, secret: SlotSecret) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not _ready(deployment, secret):
            container.reload()
            dead = container.status in ("exited", "dead", "restarting")
            if dead or time.monotonic() >= deadline:
                said = container.logs(tail=3).decode(errors="replace").strip()[-LAST_WORDS:]
                why = f"ended: {said}" if dead else f"did not answer within {READY_SECONDS:g} s"
                raise DeploymentRefusedError(
                    f"{deployment.model} version {deployment.version}: its container {why}",
                    code="WS-SLOT-004",
                    next_action="Look at the image and at the engine's mounts: the engine must see the files "
                    "of this machine. Then clear this task.",
                )
            time.sleep(LOOK_SECONDS)

    def _end(self, folder: Path, deployment: SlotDeployment) -> None:
        """Forget the address, remove the container, then the folder by which it is found again."""
        from docker.errors import NotFound

        self.register.remove(deployment)
        with self._engine() as engine, suppress(NotFound):
            engine.containers.get(f"windsock-slot-{deployment.slot}").remove(force=True, v=True)
        shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _engine(self) -> Iterator[Any]:
        import docker
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        engine: Any = None
        try:
            engine = docker.from_env(timeout=ENGINE_SECONDS)
            yield engine
        except (DockerException, RequestException) as error:
            raise ServerUnavailableError(
                f"the Docker engine did not do what was asked of it ({type(error).__name__})",
                code="WS-SLOT-005",
                next_action="See that `docker version` answers for this user, then clear this task.",
            ) from error
        finally:
            if engine is not None:
                engine.close()


def _give_to_its_user(folder: Path) -> str:
    """Return the user that a slot's container runs as: this one, but never root."""
    if os.geteuid() != 0:
        return f"{os.geteuid()}:{os.getegid()}"
    for path in (folder, *folder.rglob("*")):
        os.chown(path, IMAGE_USER, IMAGE_USER, follow_symlinks=False)
    return f"{IMAGE_USER}:{IMAGE_USER}"


class _PortTakenError(Exception):
    """Another process took the port between looking and starting."""


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind((SLOT_HOST, 0))
        return int(listening.getsockname()[1])


def _ready(deployment: SlotDeployment, secret: SlotSecret) -> bool:
    """Return whether the very slot answers at its address."""
    import httpx

    nonce, headers = secret.request_headers("GET", READY_PATH, b"")
    try:
        with httpx.Client(timeout=5.0, trust_env=False, follow_redirects=False) as client:
            answer = client.get(deployment.address + READY_PATH, headers=headers)
    except httpx.HTTPError:
        return False
    proof = answer.headers.get(PROOF_HEADER)
    if answer.status_code != 200 or not secret.proves_answer(proof, nonce, 200, answer.content):
        return False
    said = json.loads(answer.content)
    return (said["digest"], said["version"]) == (deployment.digest, deployment.version)
