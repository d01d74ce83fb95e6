"""The serving image: built from wheels without a network, run as an ordinary user without any right."""

from __future__ import annotations

import grp
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.builders import make_registration, make_spec, make_version
from support.docker_base import base_image, docker
from support.fakes import fake_ports
from support.serving import (
    ROW,
    make_bundle,
    make_plan,
    make_settings,
    running,
    store_bundle,
    wait_until,
)
from support.slots import Listener, at_address
from windsock.adapters.docker_slots import DockerSlots
from windsock.adapters.server_client import ServerRouter
from windsock.deployment.deploy_model import deploy_model
from windsock.exceptions import SettingsError, SlotAddressError
from windsock.ports import Ports
from windsock.private_files import GROUP_VARIABLE
from windsock.records import Deployment, DeployModelInput, RegisteredVersion
from windsock.serving.client_file import ClientRegistry

pytestmark = [pytest.mark.docker, pytest.mark.slow]
IMAGE = "windsock-test/serve"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def answers() -> str | None:
    """Return why no Docker engine answers, or ``None``."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    try:
        found = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=20,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "the Docker engine hangs"
    return None if found.returncode == 0 else "no Docker engine answers"


@pytest.fixture(scope="module")
def image(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if why := answers():
        pytest.skip(why)
    context = tmp_path_factory.mktemp("context")
    for file in ("include/serving/Dockerfile", "include/serving/requirements.txt", "constraints.txt"):
        shutil.copy(project / file, context)
    wheels = [*PIP, "wheel", "--wheel-dir", str(context)]
    subprocess.run([*wheels, "--no-deps", "--no-build-isolation", str(project)], check=True)
    pinned = ["-r", "requirements.txt", "-c", "constraints.txt"]
    subprocess.run([*wheels, *pinned], check=True, cwd=context)
    options = [
        "--network",
        "none",
        "--build-arg",
        f"BASE_IMAGE={base_image()}",
        "--build-arg",
        "PIP_OPTIONS=--no-index",
    ]
    # The first stage gets a name too, so that it can be removed.
    for arguments in (["--target", "packages", "--tag", f"{IMAGE}-packages"], ["--tag", IMAGE]):
        built = docker("build", *options, *arguments, str(context))
        assert built.returncode == 0, (built.stdout + built.stderr)[-4000:]
    yield IMAGE
    docker("image", "rm", "--force", IMAGE, f"{IMAGE}-packages")


def add_client(home: Path) -> str:
    """Set a client up in a folder that the container sees; return its key."""
    file = home / "clients" / "clients.json"
    file.parent.mkdir(exist_ok=True)
    file.parent.chmod(0o755)
    return ClientRegistry(file).add("test")


@pytest.fixture
def container(image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A hardened container that serves nothing yet: name and home of its installation.

    Its user reads what is mounted as a member of the installation's group, and by nothing else.
    """
    monkeypatch.setenv(GROUP_VARIABLE, grp.getgrgid(os.getegid()).gr_name)
    home = tmp_path / "home"
    make_settings(home)
    (home / "test.key").write_text(add_client(home))
    store_bundle(make_settings(home), make_bundle())
    name = f"windsock-test-{uuid.uuid4().hex[:12]}"
    started = docker(
        *("run", "--detach", "--name", name, "--publish", "127.0.0.1::8181"),
        *("--read-only", "--tmpfs", "/tmp", "--tmpfs", "/var/lib/windsock:uid=10001,gid=10001"),
        *(
            "--cap-drop",
            "ALL",
            "--security-opt",
            "no-new-privileges",
            "--memory",
            "600m",
            "--pids-limit",
            "128",
        ),
        *("--group-add", str(os.getegid())),
        *("--volume", f"{home}/storage:/storage:ro", "--env", "WINDSOCK_STORAGE_URL=/storage"),
        *("--volume", f"{home}/keys/signing.pub:/var/lib/windsock/keys/signing.pub:ro"),
        *("--volume", f"{home}/clients:/var/lib/windsock/clients:ro"),
        *("--env", "WINDSOCK_CLIENTS_FILE=/var/lib/windsock/clients/clients.json"),
        *("--env", f"WINDSOCK_ADMIN_TOKEN={make_settings(home).read_admin_token()}"),
        image,
    )
    try:
        assert started.returncode == 0, started.stderr
        yield name, home
    finally:
        docker("rm", "--force", "--volumes", name)


def address_of(name: str, *, seconds: float = 60) -> str:
    """Return the container's address once it answers."""
    port = docker("port", name, "8181/tcp").stdout.strip().rpartition(":")[2]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200:
                return f"http://127.0.0.1:{port}"
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(docker("logs", name).stderr[-4000:])


def test_it_serves_a_signed_bundle_as_nobody_in_particular(container: tuple[str, Path]) -> None:
    name, home = container
    address = address_of(name)
    settings = make_settings(home)
    stored = store_bundle(settings, make_bundle())
    seen_inside = stored.model_copy(update={"uri": stored.uri.replace(str(home / "storage"), "/storage")})
    router = ServerRouter(address, settings.read_admin_token)
    assert router.apply(make_plan(seen_inside)).workers == 1
    assert router.probe("churn", stored.digest).matched
    assert httpx.post(f"{address}/predict", json={"features": ROW}).status_code == 401
    key = {"Authorization": f"Bearer {(home / 'test.key').read_text()}"}
    answer = httpx.post(f"{address}/predict", json={"features": ROW}, headers=key)
    assert (answer.status_code, answer.json()["version"]) == (200, "1")
    assert httpx.get(f"{address}/ready").status_code == 200
    heavy = "[name for name in ('airflow', 'mlflow') if u.find_spec(name)]"
    inside = f"import os, importlib.util as u; print(os.getuid(), {heavy})"
    assert docker("exec", name, "python", "-c", inside).stdout.strip() == "10001 []"
    began = time.monotonic()
    assert docker("stop", "--time", "20", name).returncode == 0
    assert time.monotonic() - began < 19  # it ends by itself; Docker would kill it after 20
    state = json.loads(docker("inspect", "--format", "{{json .State}}", name).stdout)
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)


def test_without_clients_it_does_not_start_unless_told_to(image: str) -> None:
    refused = docker("run", "--rm", "--tmpfs", "/var/lib/windsock:uid=10001,gid=10001", image)
    assert refused.returncode == 1
    assert "WS-SERVING-030" in refused.stderr


def test_the_health_check_of_the_image_answers(image: str, container: tuple[str, Path]) -> None:
    name, _ = container
    address_of(name)
    check = json.loads(docker("image", "inspect", "--format", "{{json .Config.Healthcheck}}", image).stdout)
    assert check["Test"][0] == "CMD"
    assert docker("exec", name, *check["Test"][1:]).returncode == 0


def test_the_image_holds_no_key_and_stays_small(image: str) -> None:
    facts = json.loads(docker("image", "inspect", image).stdout)[0]
    base = json.loads(docker("image", "inspect", base_image()).stdout)[0]
    assert facts["Config"]["User"] == "10001:10001"
    assert not any("TOKEN" in variable for variable in facts["Config"]["Env"])
    assert facts["Size"] - base["Size"] < 450e6


@pytest.fixture
def slots(image: str, tmp_path: Path) -> Iterator[DockerSlots]:
    """The target docker of an installation whose one bundle is stored; its containers are gone afterwards."""
    settings = make_settings(tmp_path / "home", slot_image=image)
    made = DockerSlots(settings)
    yield made
    made.keep_only("churn", make_plan(store_bundle(settings, make_bundle())))
    assert containers_of(made) == []


def containers_of(slots: DockerSlots) -> list[str]:
    """Return the names of the containers that a target has started, as its folders name them."""
    folders = [folder.name for folder in slots.folder.glob("*/")] if slots.folder.exists() else []
    known = docker("ps", "--all", "--format", "{{.Names}}").stdout.split()
    return [name for name in known if name.removeprefix("windsock-slot-") in folders]


def deploy(ports: Ports, version: RegisteredVersion) -> Deployment:
    step = DeployModelInput(spec=make_spec(serving={"target": "docker"}), version=version)
    return deploy_model(step, ports, "")


def test_a_version_in_a_container_of_its_own(slots: DockerSlots) -> None:
    settings = slots.settings
    stored = store_bundle(settings, make_bundle())
    version = make_version(version="1", digest=stored.digest, bundle_uri=stored.uri)
    with running(settings) as server:
        router = ServerRouter(server.address, settings.read_admin_token)
        ports = fake_ports(router=router, slots=slots)
        ports.ledger.append(make_registration(version), after_seq=0)
        deployed = deploy(ports, version)
        assert (deployed.target, deployed.share) == ("docker", 0)
        (slot,) = router.state("churn").plan.slots
        router.apply(at_address(make_plan(stored, epoch=2), slot.url))
        answer = httpx.post(f"{server.address}/predict", json={"features": ROW}).json()
        assert answer["version"] == "1"
        assert "remote" in httpx.get(f"{server.address}/models/churn").text

        token = settings.read_admin_token()
        for headers in (
            {},
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"Windsock-Slot {token}"},
        ):
            refused = httpx.post(f"{slot.url}/slot/scores", json={"rows": [[1]]}, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (401, "WS-SLOT-003")
        admin = {"Authorization": f"Bearer {token}"}
        assert httpx.put(f"{slot.url}/admin/routes/churn", headers=admin).status_code == 404

        (name,) = containers_of(slots)
        secret = slots.register.secret_of(slots.register.find("churn", slot))._key.hex()
        key = (settings.keys_dir / "slots.key").read_text().strip()
        private = (settings.keys_dir / "signing.key").read_text().splitlines()[1]
        logs = docker("logs", name)
        shown = {
            "inspect": docker("inspect", name).stdout,
            "log of the slot": logs.stdout + logs.stderr,
            "log of the server": server.said(),
            "ledger": "".join(row.model_dump_json() for row in ports.ledger.rows("churn")),
            "what goes to XCom": deployed.model_dump_json(),
            "table": (settings.serving_dir / "routes.json").read_text(),
            "processes": docker("top", name).stdout,
        }
        for place, text in shown.items():
            assert text
            assert not any(word in text for word in (token, secret, key, private)), place
        inside = (
            "import os; f = '/run/windsock-slot'; print(os.getuid(), sorted(os.listdir(f)), "
            "oct(os.stat(f + '/slot.json').st_mode), dict(os.environ))"
        )
        said = docker("exec", name, "python", "-c", inside).stdout
        assert "['bundles', 'keys', 'slot.json'] 0o100600" in said
        assert not said.startswith("0 ")
        assert not any(word in said for word in (token, secret, key, private))

        assert docker("restart", "--time", "5", name).returncode == 0
        wait_until(lambda: router.probe("churn", stored.digest).matched, what="the restarted slot")
        assert deploy(ports, version).unchanged


def test_a_container_that_is_gone_is_started_anew(
    slots: DockerSlots,
) -> None:
    settings = slots.settings
    stored = store_bundle(settings, make_bundle())
    version = make_version(version="1", digest=stored.digest, bundle_uri=stored.uri)
    with running(settings) as server:
        router = ServerRouter(server.address, settings.read_admin_token)
        ports = fake_ports(router=router, slots=slots)
        ports.ledger.append(make_registration(version), after_seq=0)
        deploy(ports, version)
        (before,) = router.state("churn").plan.slots
        (name,) = containers_of(slots)
        docker("rm", "--force", name)
        assert not router.probe("churn", stored.digest).matched
        stranger = Listener(port=int(before.url.rpartition(":")[2]))
        try:
            assert not router.probe("churn", stored.digest).matched
            assert [(path, body) for path, _, body in stranger.received] == [("/slot/ready", b"")]
            stranger.received.clear()
            deploy(ports, version)
            assert {body for _, _, body in stranger.received} <= {b""}
        finally:
            stranger.stop()
        (after,) = router.state("churn").plan.slots
        assert after.url != before.url
        assert router.probe("churn", stored.digest).matched
        assert len(containers_of(slots)) == 1
        with pytest.raises(SlotAddressError):
            slots.require("churn", before)


def test_an_image_that_is_not_there_is_named(image: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home", slot_image="windsock-test/none")
    stored = store_bundle(settings, make_bundle())
    slots = DockerSlots(settings)
    with pytest.raises(SettingsError) as refused:
        slots.address(make_version(version="1", digest=stored.digest, bundle_uri=stored.uri))
    assert refused.value.code == "WS-SLOT-006"
    assert list(slots.folder.iterdir()) == []
    assert not list((tmp_path / "home" / "storage").rglob("*.signed"))
