from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from support.fake_kept import FakeKept
from support.world import MODEL, world_of
from windsock.cli.app import run
from windsock.exceptions import TrackingUnavailableError
from windsock.records.retention import StoredThing


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Version 1 is champion; two trainings never became a version, one of them is old."""
    made = world_of(1)
    things = [
        StoredThing(kind="bundles", model=MODEL, name=name, made_at=made.now() - timedelta(days=days))
        for name, days in (("old", 100), ("young", 10))
    ]
    made = replace(made, kept=FakeKept(*things))
    monkeypatch.setattr("windsock.cli.housekeeping.open_standing_ports", lambda settings: made)
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(tmp_path / "include" / "models"))
    (tmp_path / "include" / "models").mkdir(parents=True)
    return made


def test_a_dry_run_says_what_would_go_and_why_the_rest_stays(world, capsys):
    assert run(["housekeeping", "run", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "would be removed:" in shown
    (line,) = [line.split() for line in shown.splitlines() if "old" in line.split()]
    assert line[:3] == ["trainings", MODEL, "old"]
    assert "younger than the policy removes" in shown
    assert len(world.kept.stored) == 2


def test_a_dry_run_as_json(world, capsys):
    assert run(["housekeeping", "run", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["kind"], one["name"], one["bytes"]) for one in told["removals"]] == [
        ("trainings", "old", 100)
    ]
    assert {"model": MODEL, "kind": "trainings", "why": "younger than the policy removes", "count": 1} in (
        told["kept"]
    )


def test_it_is_done_though_it_was_done_today(world, capsys):
    old = world.kept.stored["bundles", MODEL, "old"]
    for name in ("old", "another"):
        world.kept.stored.setdefault(("bundles", MODEL, name), old.replace(name=name))
        assert run(["housekeeping", "run"]) == 0
        assert [name for _, _, name in world.kept.stored] == ["young"]
        assert "trainings removed: 1" in capsys.readouterr().out
    assert run(["housekeeping", "run", "--json"]) == 0
    assert "removed" not in json.loads(capsys.readouterr().out)


def test_what_the_shared_file_keeps_for_ever_stays(world, tmp_path, capsys):
    (tmp_path / "include" / "windsock.yaml").write_text("retention: {trainings: null, reports: null}\n")
    assert run(["housekeeping", "run", "--dry-run"]) == 0
    assert "nothing would be removed" in capsys.readouterr().out


def test_a_system_that_does_not_answer_ends_with_three(world, monkeypatch, capsys):
    def away(model):
        raise TrackingUnavailableError("no answer")

    monkeypatch.setattr(world.tracker, "tracked_runs", away)
    assert run(["housekeeping", "run", "--dry-run"]) == 3
    assert "nothing would be removed" in capsys.readouterr().out
    assert run(["housekeeping", "run"]) == 3
    assert len(world.kept.stored) == 2


@pytest.mark.parametrize("text", ["23h", "0d", "90", "-1d"])
def test_what_is_younger_than_a_day_is_never_removed(world, tmp_path, capsys, text):
    (tmp_path / "include" / "windsock.yaml").write_text(f"retention: {{snapshots: {text}}}\n")
    assert run(["housekeeping", "run", "--dry-run"]) == 1
    assert "retention.snapshots" in capsys.readouterr().err
