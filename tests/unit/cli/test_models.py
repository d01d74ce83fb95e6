from __future__ import annotations

import pytest

from support.fakes import fake_ports
from support.rollout_steps import started_world
from support.several import several_under_way
from support.world import MODEL, shares, world_of
from windsock.cli.app import run
from windsock.cli.models import rollback_question
from windsock.exceptions import DatabaseUnavailableError


@pytest.fixture
def use(monkeypatch):
    def set_ports(ports):
        for name in ("open_ports", "open_standing_ports"):
            monkeypatch.setattr(f"windsock.cli.models.{name}", lambda settings: ports)
        monkeypatch.setattr("windsock.cli.ledger.open_standing_ports", lambda settings: ports)
        return ports

    return set_ports


@pytest.fixture
def folder(tmp_path, monkeypatch):
    made = tmp_path / "models"
    made.mkdir()
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(made))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    return made


def test_models_are_listed_with_owner_champion_and_schedule(use, folder, capsys):
    use(world_of(1, 2))
    (folder / "a.yaml").write_text(f"model: {{name: {MODEL}, owner: ann}}\ntraining: {{schedule: 0 2 * * 0}}")
    (folder / "b.yaml").write_text("model: {name: other}\ntraining: {schedule: 0 6 * * 1}")
    assert run(["models"]) == 0
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells[0] == ["model", "owner", "champion", "schedule"]
    assert cells[2:] == [[MODEL, "ann", "version 2", "weekly"], ["other", "unknown", "none yet", "0 6 * * 1"]]


def test_a_broken_file_is_named_and_the_others_are_listed(use, folder, capsys):
    use(fake_ports())
    (folder / "a.yaml").write_text("model: {name: a, tier: x}")
    (folder / "b.yaml").write_text("model: {name: b}")
    assert run(["models"]) == 1
    shown = capsys.readouterr()
    assert "b " in shown.out
    assert "a.yaml:1: model.tier" in shown.err


def test_no_models_yet(use, folder, capsys):
    use(fake_ports())
    assert run(["models"]) == 0
    assert "windsock init" in capsys.readouterr().out


def test_a_ledger_with_its_champion_and_chain(use, folder, capsys):
    ports = use(world_of(1, 2))
    assert run(["ledger", MODEL]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = ports.ledger.rows(MODEL)
    assert lines[0].split() == [
        "row",
        "time",
        "(UTC)",
        "action",
        "version",
        "epoch",
        "by",
        "bundle",
        "reason",
    ]
    assert [line.split()[0] for line in lines[2 : 2 + len(rows)]] == [str(row.seq) for row in rows]
    assert [line.split()[3] for line in lines[2 : 2 + len(rows)]] == [row.action.value for row in rows]
    assert lines[-2:] == [f"champion: version 2, epoch {rows[-1].epoch}", f"chain: whole, {len(rows)} rows"]


def test_a_broken_chain_ends_with_1(use, folder, capsys):
    ports = use(world_of(1, 2))
    rows = ports.ledger.kept[MODEL]
    rows[1] = rows[1].model_copy(update={"actor": "mallory"})
    assert run(["ledger", MODEL]) == 1
    assert "chain: BROKEN at row 2" in capsys.readouterr().out


def test_a_model_without_rows_is_bad_input(use, folder, capsys):
    use(world_of(1))
    assert run(["ledger", MODEL + "x"]) == 1
    shown = capsys.readouterr().err
    assert f"models with rows: {MODEL}" in shown
    assert f"next: Did you mean {MODEL}?" in shown


def test_a_database_that_is_away_ends_with_3(use, folder, capsys):
    class Away:
        def rows(self, model):
            raise DatabaseUnavailableError("the control database does not answer")

        champion = verify = rows

    use(fake_ports(ledger=Away()))
    (folder / "a.yaml").write_text("model: {name: a}")
    assert run(["ledger", "a"]) == 3
    assert run(["models"]) == 3
    assert "WS-DATABASE-001" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["ledger", MODEL], ["rollback", MODEL, "--reason", "x"]])
def test_a_folder_where_nothing_ever_ran_is_said_and_left_as_it_is(folder, tmp_path, capsys, command):
    assert run(command) == 1
    assert "WS-SETTINGS-009" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_rollback_of_an_unknown_model_names_the_known(use, folder, capsys):
    use(world_of(1, 2))
    assert run(["rollback", "nope", "--reason", "x"]) == 1
    said = capsys.readouterr().err
    assert "WS-SETTINGS-008" in said
    assert MODEL in said


def test_rollback_goes_through_the_same_door_as_the_dag(use, folder, capsys, monkeypatch):
    ports = use(world_of(1, 2))
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    assert run(["rollback", MODEL, "--reason", " it answers nonsense "]) == 0
    assert shares(ports) == {"1": 10_000, "2": 0}
    row = ports.ledger.rows(MODEL)[-1]
    assert row.actor == "cli:ann"
    assert ports.ledger.rows(MODEL)[-2].body["reason"] == "it answers nonsense"
    shown = capsys.readouterr()
    assert shown.out.startswith("VERDICT: PASS\nWHY: version 1 serves instead of version 2")


def test_a_person_is_shown_what_serves_and_may_stop(use, folder, capsys, monkeypatch):
    ports = use(world_of(1, 2))
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda text, abort: asked.append(text))
    assert run(["rollback", MODEL, "--reason", "x"]) == 0
    assert "version 2 of" in asked[0]
    assert run(["rollback", MODEL, "--to", "2", "--reason", "x", "--yes"]) == 0
    assert len(asked) == 1
    assert ports.ledger.champion(MODEL).version == "2"


@pytest.mark.parametrize(
    ("to", "ends"),
    [
        (None, "End the rollout, so that version 2 serves alone?"),
        ("2", "End the rollout, so that version 2 serves alone?"),
        ("1", "End the rollout and serve version 1 instead?"),
    ],
)
def test_a_person_is_told_that_a_rollout_ends(to, ends):
    rows = started_world(1, 2, starts=3).ledger.rows(MODEL)
    question = rollback_question(MODEL, rows, to)
    assert (
        question
        == f"version 2 of {MODEL} serves now, and version 3 is tried against it by rollout v3-e6. {ends}"
    )


def test_rollback_ends_the_rollout_and_goes_no_version_back(use, folder, capsys):
    ports = use(started_world(1, 2, starts=3))
    assert run(["rollback", MODEL, "--reason", "errors", "--yes"]) == 0
    assert ports.ledger.champion(MODEL).version == "2"
    assert "version 2 serves instead of version 3" in capsys.readouterr().out
    assert run(["ledger", MODEL]) == 0
    shown = capsys.readouterr().out
    assert "v3-e6: step 1 of 2, 5 %" in shown
    assert "waits for its canary rollout" in shown


def test_rollback_to_a_named_version(use, folder):
    ports = use(world_of(1, 2, 3))
    assert run(["rollback", MODEL, "--to", "1", "--reason", "x"]) == 0
    assert ports.ledger.champion(MODEL).version == "1"


@pytest.mark.parametrize("arguments", [["churn"], ["churn", "--reason", "  "], ["--reason", "x"]])
def test_rollback_asks_for_a_model_and_a_reason(use, folder, capsys, arguments):
    use(fake_ports())
    assert run(["rollback", *arguments]) == 2


def test_nothing_to_roll_back_to_ends_with_1(use, folder, capsys):
    use(world_of(1))
    assert run(["rollback", MODEL, "--reason", "x"]) == 1
    assert "WS-ROLLBACK-001" in capsys.readouterr().err


def test_a_person_is_told_of_all_versions_of_the_rollout_that_ends():
    rows = several_under_way(world_of(3)).ledger.rows(MODEL)
    assert rollback_question(MODEL, rows, None) == (
        f"version 3 of {MODEL} serves now, and versions 4, 5 and 6 are tried against it by rollout v4-e9. "
        "End the rollout, so that version 3 serves alone?"
    )
