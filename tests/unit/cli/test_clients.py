from __future__ import annotations

import re
from datetime import timedelta

import pytest

from support.builders import NOON
from windsock.cli.app import run
from windsock.cli.clients import client_rows
from windsock.records.clients import Client, ClientKey
from windsock.serving.client_file import ClientRegistry

KEY = re.compile(r"^wsk_[a-z0-9]+_[A-Za-z0-9_-]{43}$", re.MULTILINE)


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Run a command; return its exit code, output and errors."""
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path))
    (tmp_path / "keys").mkdir()

    def call(*arguments):
        code = run(["clients", *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def registry(tmp_path):
    return ClientRegistry(tmp_path / "keys" / "clients.json")


def test_the_life_of_a_client(said, tmp_path):
    code, out, _ = said(
        "add", "shop", "--scope", "predict", "--model", "churn", "--rate", "100", "--burst", "200"
    )
    first = KEY.findall(out)
    assert (code, len(first)) == (0, 1)
    assert "shown this once" in out
    assert "Authorization: Bearer KEY" in out

    code, out, _ = said("rotate", "shop", "--grace", "2h")
    second = KEY.findall(out)
    assert (code, len(second)) == (0, 1)
    assert second != first
    assert "taken for 2h more" in out

    code, out, _ = said("list")
    assert code == 0
    head, _, *rows = out.splitlines()
    assert head.split() == ["client", "scopes", "models", "rate/s", "burst", "key", "age", "state"]
    assert rows[0].split()[:6] == ["shop", "predict", "churn", "100", "200", first[0].split("_")[1]]
    assert "valid until" in rows[0]
    assert rows[1].split()[0] == second[0].split("_")[1]
    assert rows[1].endswith("valid")

    assert said("revoke", "shop", "--key", first[0].split("_")[1])[:2] == (
        0,
        "revoked 1 key of shop; workers refuse them within a second\n",
    )
    assert said("revoke", "shop")[0] == 0
    assert "no key" in said("list")[1]
    code, out, _ = said("remove", "shop")
    assert code == 0
    assert "no client is left: every call is refused" in out
    assert str(tmp_path / "keys" / "clients.json") in out


def test_no_command_but_the_one_that_makes_a_key_shows_it(said, tmp_path):
    secrets = [KEY.findall(said("add", f"c{number}", "--rate", "5")[1])[0] for number in range(3)]
    secrets.append(KEY.findall(said("rotate", "c0")[1])[0])
    text = "".join(
        "".join(said(*arguments)[1:])
        for arguments in (
            ["list"],
            ["add", "c0"],
            ["revoke", "c1", "--key", "nokey"],
            ["rotate", "nobody"],
            ["revoke", "c1"],
            ["remove", "c2"],
            ["list"],
        )
    )
    digests = [key.sha256 for client in registry(tmp_path).list() for key in client.keys]
    assert digests
    for hidden in (*(secret.split("_", 2)[2] for secret in secrets), *digests):
        assert hidden not in text


def test_without_clients(said, tmp_path):
    file = tmp_path / "keys" / "clients.json"
    assert said("list") == (
        0,
        f"no client is set up in {file}; `windsock clients add NAME` makes one\n",
        "",
    )


def test_a_grace_of_nothing(said, tmp_path):
    said("add", "shop")
    assert "refused from now on" in said("rotate", "shop", "--grace", "0")[1]
    assert len(registry(tmp_path).list()[0].keys) == 1


def test_a_key_that_ends_by_itself(said, tmp_path):
    said("add", "shop", "--expires", "90d")
    (key,) = registry(tmp_path).list()[0].keys
    assert key.expires == key.created + timedelta(days=90)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["add", "Shop"], "WS-SETTINGS-013"),
        (["add", "shop", "--scope", "admin"], "WS-SETTINGS-013"),
        (["add", "shop", "--model", "../x"], "WS-SETTINGS-013"),
        (["add", "shop", "--rate", "0"], "WS-SETTINGS-013"),
        (["add", "shop", "--burst", "5"], "WS-SETTINGS-013"),
        (["add", "shop", "--expires", "soon"], "WS-SETTINGS-013"),
        (["rotate", "shop", "--grace", "-1h"], "WS-SETTINGS-013"),
        (["rotate", "shop"], "WS-SETTINGS-010"),
        (["revoke", "shop"], "WS-SETTINGS-010"),
        (["remove", "shop"], "WS-SETTINGS-010"),
    ],
)
def test_what_cannot_be_done_is_told_in_two_lines(said, tmp_path, arguments, code):
    exit_code, out, err = said(*arguments)
    assert (exit_code, out) == (1, "")
    assert err.startswith(f"error: {code}: ")
    assert err.splitlines()[1].startswith("next: ")
    assert len(err.splitlines()) == 2
    assert registry(tmp_path).list() == ()


def test_wrong_usage(said):
    assert said("add")[0] == 2
    assert said("add", "shop", "--rate", "many")[0] == 2


def test_another_file(said, tmp_path, monkeypatch):
    monkeypatch.setenv("WINDSOCK_CLIENTS_FILE", str(tmp_path / "clients.json"))
    assert said("add", "shop")[0] == 0
    assert (tmp_path / "clients.json").exists()
    assert list((tmp_path / "keys").iterdir()) == []


def test_a_broken_file_is_told_and_left(said, tmp_path):
    file = tmp_path / "keys" / "clients.json"
    file.write_text("{")
    file.chmod(0o600)
    for arguments in (["list"], ["add", "shop"]):
        code, _, err = said(*arguments)
        assert code == 1
        assert "error: WS-SERVING-029: " in err
    assert file.read_text() == "{"


def test_ages_and_ends_of_keys():
    def key(number, age, expires=None):
        return ClientKey(id=f"key{number}", sha256=f"{number:064x}", created=NOON - age, expires=expires)

    client = Client(
        name="shop",
        scopes=frozenset({"predict", "monitor"}),
        keys=(
            key(1, timedelta(days=400), NOON),
            key(2, timedelta(hours=5), NOON + timedelta(hours=1)),
            key(3, timedelta(minutes=4)),
            key(4, timedelta(seconds=-3)),
        ),
    )
    rows = list(client_rows(client, NOON))
    assert [row[:5] for row in rows] == [("shop", "monitor,predict", "*", "-", "-"), *[("",) * 5] * 3]
    assert [row[6] for row in rows] == ["400d", "5h", "4m", "0s"]
    assert [row[7].split()[0] for row in rows] == ["expired", "valid", "valid", "valid"]
    assert rows[1][7] == f"valid until {NOON + timedelta(hours=1):%Y-%m-%d %H:%M} UTC"
