from __future__ import annotations

import hashlib
import json
import re
import stat
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.builders import NOON
from support.serving import PLUGINS
from windsock.exceptions import SettingsError
from windsock.records.clients import MAX_CLIENTS, Client, Clients
from windsock.serving.client_file import ClientFile, ClientFileError, ClientRegistry

KEY = re.compile(r"wsk_([a-z0-9]{10})_[A-Za-z0-9_-]{43}")
DAY = timedelta(days=1)


class World:
    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self.file = folder / "clients.json"
        self.registry = ClientRegistry(self.file, now=self.clock)

    def clock(self) -> datetime:
        return self.now

    def client(self, name: str = "shop") -> Client:
        found = Clients.model_validate_json(self.file.read_bytes()).find(name)
        assert found is not None
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_key_is_random_and_only_its_digest_is_kept(world: World) -> None:
    secrets = [world.registry.add(f"client-{number}") for number in range(20)]
    assert len({secret[-43:] for secret in secrets}) == 20
    text = world.file.read_text()
    for number, secret in enumerate(secrets):
        named = KEY.fullmatch(secret)
        assert named is not None
        (key,) = world.client(f"client-{number}").keys
        assert (key.id, key.sha256) == (named[1], hashlib.sha256(secret.encode()).hexdigest())
        assert secret[-43:] not in text
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    assert [file.name for file in world.file.parent.iterdir() if file.name.startswith(".")] == []


def test_what_is_asked_for_is_kept(world: World) -> None:
    world.registry.add(
        "shop", scopes=["monitor"], models=["churn", "churn"], rate=2.5, burst=9, lifetime=90 * DAY
    )
    client = world.client()
    assert (client.scopes, client.models) == ({"monitor"}, ("churn",))
    assert (client.rate_per_second, client.burst) == (2.5, 9)
    assert (client.keys[0].created, client.keys[0].expires) == (NOON, NOON + 90 * DAY)


def test_what_is_not_asked_for(world: World) -> None:
    world.registry.add("shop")
    client = world.client()
    assert (client.scopes, client.models) == ({"predict", "outcomes"}, ("*",))
    assert (client.rate_per_second, client.burst, client.keys[0].expires) == (None, None, None)
    world.registry.add("slow", rate=0.1)
    world.registry.add("fast", rate=100)
    assert (world.client("slow").burst, world.client("fast").burst) == (1, 200)


@pytest.mark.parametrize(
    ("name", "fields", "named"),
    [
        ("", {}, "name: allowed"),
        ("Shop", {}, "name: allowed"),
        ("a" * 61, {}, "name: allowed"),
        ("shop\n", {}, "name: allowed"),
        ("shop", {"scopes": ["admin"]}, "scopes: allowed is one or more of predict, outcomes, monitor"),
        ("shop", {"scopes": []}, "scopes"),
        ("shop", {"models": ["../x"]}, "models"),
        ("shop", {"models": []}, "models"),
        ("shop", {"rate": 0.0}, "rate: allowed"),
        ("shop", {"rate": -1.0}, "rate: allowed"),
        ("shop", {"rate": float("nan")}, "rate"),
        ("shop", {"rate": float("inf")}, "rate"),
        ("shop", {"rate": 1.0, "burst": 0}, "burst: allowed"),
        ("shop", {"burst": 3}, "a burst needs a rate"),
    ],
)
def test_what_is_not_allowed(world: World, name: str, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as refused:
        world.registry.add(name, **fields)
    assert refused.value.code == "WS-SETTINGS-013"
    assert not world.file.exists()


def test_a_name_is_taken_once(world: World) -> None:
    world.registry.add("shop")
    before = world.file.read_bytes()
    with pytest.raises(SettingsError, match="already") as refused:
        world.registry.add("shop")
    assert refused.value.code == "WS-SETTINGS-011"
    assert world.file.read_bytes() == before


def test_rotation_leaves_the_old_key_its_grace(world: World) -> None:
    world.registry.add("shop")
    (old,) = world.client().keys
    world.now = NOON + DAY
    secret = world.registry.rotate("shop", grace=timedelta(hours=2))
    first, second = world.client().keys
    assert (first.id, first.expires) == (old.id, NOON + DAY + timedelta(hours=2))
    assert (second.id, second.expires) == (secret.split("_")[1], None)
    world.now += timedelta(hours=1)
    world.registry.rotate("shop", grace=5 * DAY, lifetime=30 * DAY)
    keys = world.client().keys
    assert keys[0].expires == NOON + DAY + timedelta(hours=2)  # no grace prolongs an end that is set
    assert keys[1].expires == world.now + 5 * DAY
    assert keys[2].expires == world.now + 30 * DAY


def test_rotation_forgets_keys_that_have_expired(world: World) -> None:
    world.registry.add("shop")
    world.registry.rotate("shop", grace=timedelta(hours=1))
    world.now += timedelta(hours=1)
    world.registry.rotate("shop", grace=DAY)
    assert len(world.client().keys) == 2
    world.registry.rotate("shop", grace=timedelta(0))
    assert len(world.client().keys) == 1


def test_rotating_again_and_again_stays_within_the_file(world: World) -> None:
    world.registry.add("shop")
    for _ in range(105):
        last = world.registry.rotate("shop", grace=DAY)
    keys = world.client().keys
    assert len(keys) <= 100
    assert keys[-1].id == last.split("_")[1]


def test_revoking_one_key_or_all(world: World) -> None:
    first = world.registry.add("shop").split("_")[1]
    second = world.registry.rotate("shop", grace=DAY).split("_")[1]
    assert world.registry.revoke("shop", first) == 1
    assert [key.id for key in world.client().keys] == [second]
    world.registry.rotate("shop", grace=DAY)
    assert world.registry.revoke("shop") == 2
    assert world.client().keys == ()
    assert world.registry.revoke("shop") == 0
    with pytest.raises(SettingsError, match="no key of that id") as refused:
        world.registry.revoke("shop", "abcdef")
    assert refused.value.code == "WS-SETTINGS-010"


def test_removing(world: World) -> None:
    world.registry.add("shop")
    world.registry.add("till")
    assert world.registry.remove("shop") == 1
    assert [client.name for client in world.registry.list()] == ["till"]
    assert world.registry.remove("till") == 0
    assert world.file.exists()  # without it the server would be open


def test_a_client_that_is_not_there(world: World) -> None:
    for call in (
        lambda: world.registry.rotate("shop", grace=DAY),
        lambda: world.registry.revoke("shop"),
        lambda: world.registry.remove("shop"),
    ):
        with pytest.raises(SettingsError, match="no client of that name") as refused:
            call()
        assert refused.value.code == "WS-SETTINGS-010"


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """``windsock keys init`` makes the keys folder in one piece, and only where there is none."""
    with pytest.raises(SettingsError, match="keys") as refused:
        ClientRegistry(tmp_path / "keys" / "clients.json").add("shop")
    assert refused.value.code == "WS-SETTINGS-012"
    assert not (tmp_path / "keys").exists()


def test_one_client_too_many(world: World) -> None:
    made = {"scopes": ["predict"], "keys": []}
    everybody = [{"name": f"c{number}", **made} for number in range(MAX_CLIENTS)]
    world.file.write_text(json.dumps({"clients": everybody}))
    world.file.chmod(0o600)
    with pytest.raises(SettingsError, match=str(MAX_CLIENTS)):
        world.registry.add("shop")


AT_ONCE = """
import json, os, sys, traceback
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from windsock.serving.client_file import ClientRegistry

def change(process):
    registry = ClientRegistry(Path(sys.argv[2]))
    for number in range(10):
        registry.add(f"c{process}-{number}")

children = []
for process in range(3):
    children.append(os.fork())
    if not children[-1]:
        code = 1
        try:
            change(process)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]))
"""
"""Three processes that are forks of one which has imported all, and change the file at once."""


def test_changes_of_several_processes_at_once_are_all_kept(world: World) -> None:
    run = subprocess.run(
        [sys.executable, "-c", AT_ONCE, str(PLUGINS), str(world.file)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(run.stdout) == [0, 0, 0], run.stderr
    assert len(world.registry.list()) == 30


GOOD = {"name": "a", "scopes": ["predict"], "keys": []}
A_KEY = {"id": "abcd", "sha256": "0" * 64, "created": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"clients": null}',
        '{"clients": [], "more": 1}',
        json.dumps({"clients": [GOOD, GOOD]}),
        json.dumps({"clients": [{**GOOD, "scopes": ["all"]}]}),
        json.dumps({"clients": [{**GOOD, "scopes": []}]}),
        json.dumps({"clients": [{**GOOD, "keys": [A_KEY, A_KEY]}]}),
        json.dumps(
            {"clients": [{**GOOD, "keys": [A_KEY]}, {**GOOD, "name": "b", "keys": [{**A_KEY, "id": "x"}]}]}
        ),
        json.dumps({"clients": [{**GOOD, "keys": [{**A_KEY, "sha256": "PLANTED-SECRET"}]}]}),
        json.dumps({"clients": [{**GOOD, "keys": [{**A_KEY, "created": "2026-01-01T00:00:00"}]}]}),
        json.dumps({"clients": [{**GOOD, "rate_per_second": 1}]}),
        json.dumps({"clients": [{**GOOD, "rate_per_second": 0, "burst": 1}]}),
    ],
)
def test_a_file_of_something_else_is_refused_without_its_content(world: World, content: str) -> None:
    world.file.write_text(content)
    world.file.chmod(0o600)
    with pytest.raises(ClientFileError, match="no file of clients") as refused:
        ClientFile(world.file).read()
    assert "PLANTED" not in str(refused.value)
    assert refused.value.code == "WS-SERVING-029"
    with pytest.raises(ClientFileError):
        world.registry.add("shop")
    assert world.file.read_text() == content


@settings(max_examples=200, deadline=None, derandomize=True)
@given(content=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_no_content_makes_a_client_of_nothing(tmp_path_factory: Any, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any-clients.json"
    file.write_bytes(content)
    file.chmod(0o600)
    try:
        clients = ClientFile(file).read()
    except ClientFileError:
        return
    assert clients == Clients()  # nobody is let in by it


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(world: World, mode: int) -> None:
    world.registry.add("shop")
    world.file.chmod(mode)
    with pytest.raises(ClientFileError, match=f"{mode:04o}") as refused:
        ClientFile(world.file).read()
    assert "chmod 600" in refused.value.next_action


def test_no_file_is_no_client(world: World) -> None:
    assert ClientFile(world.file).read() is None
    assert ClientFile(world.file).signature() is None
    assert world.registry.list() == ()


def test_a_folder_in_its_place(world: World) -> None:
    world.file.mkdir()
    with pytest.raises(ClientFileError, match="cannot be read"):
        ClientFile(world.file).read()
