"""The table in docs/commands.md is that of the real commands, and each finds its installation alike."""

from __future__ import annotations

import json
import re

import pytest

from support.fakes import fake_ports
from support.world import MODEL, world_of
from windsock.cli import app
from windsock.cli.app import run
from windsock.cli.exit_codes import EXIT_1

ROW = re.compile(r"^\| `([a-z ]+)` \| ([^|]+) \| (yes)? ?\| ([^|]+) \|$", re.MULTILINE)


def leaves(command, words=()):
    inner = getattr(command, "commands", {})
    if not inner:
        yield " ".join(words), command
    for name, one in inner.items():
        yield from leaves(one, (*words, name))


COMMANDS = dict(leaves(app._commands()))


@pytest.fixture(scope="module")
def documented(project):
    text = (project / "docs" / "commands.md").read_text()
    return {row[0]: row[1:] for row in ROW.findall(text)}


def test_every_command_is_in_the_table_and_no_other(documented):
    assert sorted(documented) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_row_says_what_the_command_has(documented, name):
    what, as_json, refused = documented[name]
    command = COMMANDS[name]
    options = {text for option in command.params for text in option.opts}
    assert (as_json == "yes") == ("--json" in options)
    assert refused == EXIT_1[name]
    assert f"1 {refused};" in command.epilog
    assert what == command.help.splitlines()[0].strip()
    assert "--home" in options


def test_no_code_is_of_a_command_that_is_no_more():
    assert set(EXIT_1) == set(COMMANDS)


# --- where they look


@pytest.fixture
def installation(tmp_path, monkeypatch):
    """A folder of models, and a home in which nothing has run."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "a.yaml").write_text(f"model: {{name: {MODEL}, owner: ann}}\ndata: {{source: a.csv}}")
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_home_is_named_before_or_after_the_command(installation, capsys, place):
    home = ["--home", str(installation / "there")]
    command = ["ledger", MODEL]
    assert run([*home, *command] if place == "before" else [*command, *home]) == 1
    shown = capsys.readouterr().err
    assert f"{installation / 'there'} (named by --home)" in shown
    assert "WINDSOCK_HOME" in shown
    assert run(command) == 1  # the next one is asked anew
    assert "there (named" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["gate", "plan", MODEL],
        ["rollout", "plan", MODEL, "--baseline", "0.1", "--units-per-day", "1000"],
        ["models"],
        ["validate"],
    ],
)
def test_what_only_reads_needs_no_installation_and_makes_none(installation, capsys, command):
    home = installation / "home"
    assert run([*command, "--home", str(home), "--json"]) == 0
    json.loads(capsys.readouterr().out)
    assert not home.exists()


def test_a_contract_that_is_nowhere_is_told_with_where_it_was_looked_for(installation, capsys):
    assert run(["data", "contract", MODEL, "--home", str(installation / "none")]) == 1
    shown = capsys.readouterr().err
    assert "WS-DATA-072" in shown
    assert f"{installation / 'none'} (named by --home)" in shown


# --- JSON


@pytest.fixture
def ports(monkeypatch):
    made = world_of(1, 2)
    for module in ("models", "ledger", "rollout", "monitor"):
        for name in ("open_ports", "open_standing_ports"):
            monkeypatch.setattr(f"windsock.cli.{module}.{name}", lambda settings: made, raising=False)
    return made


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (["models"], {"models_dir", "models"}),
        (["ledger", MODEL], {"model", "champion", "chain", "rows"}),
        (["rollout", "status", MODEL], {"model", "champion", "running", "waiting", "ended", "arms"}),
        (["monitor", MODEL], {"model", "champion", "judged", "open_episode", "alerts", "waiting"}),
        (["clients", "list"], {"file", "clients"}),
    ],
)
def test_json_is_all_that_stdout_holds(installation, ports, capsys, command, keys):
    (installation / ".windsock").mkdir()
    (installation / ".windsock" / "control.db").touch()
    assert run([*command, "--home", str(installation / ".windsock"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert keys <= set(found)
    champion = found.get("champion")
    assert champion is None or champion["version"] == "2"


def test_an_error_stays_text_on_stderr(installation, monkeypatch, capsys):
    monkeypatch.setattr("windsock.cli.ledger.open_standing_ports", lambda settings: fake_ports())
    assert run(["ledger", "other", "--json"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: WS-SETTINGS-008: ")


def test_a_file_that_cannot_be_used_is_told_in_json_and_on_stderr(installation, capsys):
    (installation / "models" / "b.yaml").write_text("model: {name: b, tier: x}")
    assert run(["validate", "--json"]) == 1
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert (found["ok"], found["files"][0]["model"]) == (False, MODEL)
    assert found["errors"][0]["key"] == "model.tier"
    assert "model.tier" in shown.err
