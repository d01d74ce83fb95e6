from __future__ import annotations

from dataclasses import replace

from support.fakes import fake_ports
from windsock.cli import season_lines as module
from windsock.cli.season_lines import proposals, season_lines, status_lines
from windsock.exceptions import StorageError
from windsock.settings import Settings

SAID = ("by weekday: age", "weekdays differ: set `monitoring.performance.window: 7d`")


class Serving:
    """A ledger whose champion has a profile with sentences."""

    version, bundle_uri, digest = "3", "bundle://3", "d" * 64

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def champion(self, name):
        if self.error is not None:
            raise self.error
        return self if name == "churn" else None

    def describe(self, uri, digest):
        return self

    @property
    def profile(self):
        return self

    noticed = SAID


def test_what_the_serving_version_noticed():
    serving = Serving()
    ports = replace(fake_ports(), ledger=serving, bundles=serving)
    assert season_lines("churn", ports) == SAID
    assert season_lines("other", ports) == ()


def test_validate_names_proposed_windows_alone(monkeypatch):
    serving = Serving()
    ports = replace(fake_ports(), ledger=serving, bundles=serving)
    monkeypatch.setattr(module, "open_standing_ports", lambda settings: ports)
    (line,) = proposals(["churn", "other"], Settings.from_environment())
    assert line == f"  churn: as its last training says, {SAID[1]}"


def test_a_ledger_that_cannot_be_read_is_named(monkeypatch):
    serving = Serving(StorageError("gone", code="WS-STORAGE-001", next_action="Wait."))
    ports = replace(fake_ports(), ledger=serving, bundles=serving)
    monkeypatch.setattr(module, "open_standing_ports", lambda settings: ports)
    (line,) = proposals(["churn"], Settings.from_environment())
    assert "WS-STORAGE-001: gone" in line
    assert status_lines("churn", ports) == ["training: what it noticed cannot be read: WS-STORAGE-001: gone"]


def test_without_an_installation_there_is_nothing_to_say(monkeypatch, tmp_path):
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path))
    monkeypatch.delenv("WINDSOCK_DATABASE_URL", raising=False)
    assert proposals(["churn"], Settings.from_environment()) == []
