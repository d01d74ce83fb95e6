from __future__ import annotations

import copy
import re
from dataclasses import replace

import pytest

from support.backtest import HISTORY, MODEL_FILE, dated_frame, first_version, training_frame
from support.fakes import FakeSources, fake_ports
from windsock.cli.app import run
from windsock.exceptions import DatabaseUnavailableError
from windsock.spec.loader import spec_from_bytes
from windsock.training import importances

TEN_DAYS = ("--from", "2024-04-01", "--to", "2024-04-16")


@pytest.fixture(scope="module")
def trained():
    """The ports of an installation with a first version, and the history that it will meet."""
    patch = pytest.MonkeyPatch()
    patch.setattr(importances, "MOST_SHUFFLES", 1)
    ports = fake_ports(sources=FakeSources(training_frame()))
    first_version(ports, spec_from_bytes(MODEL_FILE.encode(), "churn.yaml"))
    yield ports, dated_frame(HISTORY, 15)
    patch.undo()


@pytest.fixture
def installation(trained, tmp_path, monkeypatch):
    """``installation(frame=None, **ports)``: the CLI's ports, with a history as every file's content."""
    models = tmp_path / "include" / "models"
    models.mkdir(parents=True)
    (models / "churn.yaml").write_text(MODEL_FILE)
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(importances, "MOST_SHUFFLES", 1)
    ports, history = trained

    def set_up(frame=None, **replaced):
        sources = FakeSources(history if frame is None else frame)
        made = replace(ports, **{"sources": sources, **replaced})
        monkeypatch.setattr("windsock.cli.backtest.open_standing_ports", lambda settings: made)
        return made

    return set_up


def traces(ports):
    """Return all that a command could have left behind."""
    return copy.deepcopy(
        (
            ports.ledger.kept,
            ports.records.kept,
            list(ports.tracker.runs),
            ports.tracker.added,
            ports.registry.versions,
            ports.router.plans,
            ports.monitor.kept_windows,
            ports.monitor.kept_episodes,
            ports.gauges.samples,
            list(ports.bundles.by_digest),
            ports.bundles.documents,
            list(ports.snapshots.stored),
        )
    )


def windows_in(text):
    """Return the table's rows by their day."""
    rows = [line for line in text.splitlines() if re.match(r"2024-\d\d-\d\d 00:00 ", line)]
    return {line[:10]: line for line in rows}


def test_a_history_shows_the_change_the_retrain_and_what_it_gains(installation, tmp_path, capsys):
    ports = installation()
    before = traces(ports)
    report = tmp_path / "report.html"
    assert run(["backtest", "churn", *TEN_DAYS, "--data", "h.csv", "--output", str(report)]) == 0
    out = capsys.readouterr().out
    rows = windows_in(out)
    assert len(rows) == 15
    assert all(" fail " not in rows[f"2024-04-{day:02d}"] for day in range(2, 7)), out
    assert "fail" in rows["2024-04-07"]
    assert "age" in rows["2024-04-07"]
    assert "grant: promoted" in rows["2024-04-08"], out
    assert "first drift: judged at 2024-04-07 00:01 UTC, 6.0 days after the start" in out
    # Age means the opposite from the 6th on: the old version is worse than none, the new one learns it.
    gained = re.search(r"would have changed: roc_auc (0\.\d+) -> (0\.\d+) \(\+", out)
    assert gained, out
    assert float(gained[1]) < 0.45
    assert float(gained[2]) > 0.7
    assert traces(ports) == before
    page = report.read_text()
    assert page.count("<svg") == 3
    assert "Backtest of churn" in page


def test_without_retraining_nothing_is_fitted_and_drift_goes_on(installation, capsys):
    installation()
    assert run(["backtest", "churn", *TEN_DAYS, "--data", "h.csv", "--no-retrain"]) == 0
    out = capsys.readouterr().out
    assert "what retraining would have changed: not tried" in out
    assert "no retrain was tried" in out
    assert "fail" in windows_in(out)["2024-04-16"]
    assert "hold" not in "".join(row for row in windows_in(out).values() if "breaker" in row)


def test_labels_that_come_late_are_not_known_in_time(installation, capsys):
    installation()
    assert run(["backtest", "churn", *TEN_DAYS, "--data", "h.csv", "--label-delay", "30d"]) == 0
    out = capsys.readouterr().out
    assert "not known; no retrain could be tried for want of labelled rows" in out
    assert "WS-DATA-060" in out
    # Drift needs no labels.
    assert "first drift: judged at 2024-04-07" in out


def test_a_table_without_its_target_is_judged_by_drift_and_estimates(installation, capsys):
    installation(dated_frame(HISTORY, 15).drop(columns=["churned"]))
    assert run(["backtest", "churn", *TEN_DAYS, "--data", "h.csv"]) == 0
    out = capsys.readouterr().out
    assert "note: the table has no column 'churned': nothing is known of realised performance" in out
    assert "first drift: judged at 2024-04-07" in out


def test_the_models_own_source(installation, capsys):
    installation(training_frame())
    assert run(["backtest", "churn", "--from", "2024-03-20", "--to", "2024-03-25", "--source"]) == 0
    out = capsys.readouterr().out
    assert "500 rows of the version's own snapshot are of the history's time" in out
    assert "episodes: 0; retrains granted: 0" in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--from", "2024-04-16", "--to", "2024-04-01"], "WS-MONITORING-070", "no length"),
        (["--from", "soon", "--to", "2024-04-01"], "WS-MONITORING-070", "--from 'soon' is no time"),
        (["--from", "0001-01-01", "--to", "2024-04-01"], "WS-MONITORING-070", "is no time"),
        (
            ["--from", "2024-04-01T06:00", "--to", "2024-04-02T05:00Z"],
            "WS-MONITORING-071",
            "0 whole windows of 1d",
        ),
        (["--from", "1990-01-01", "--to", "2024-04-01"], "WS-MONITORING-071", "1 to 5,000"),
        ([*TEN_DAYS, "--event-time", "nothing"], "WS-MONITORING-075", "no column 'nothing'"),
        ([*TEN_DAYS, "--event-time", "plan"], "WS-MONITORING-075", "holds category values"),
        (
            ["--from", "2023-01-01", "--to", "2023-02-01"],
            "WS-MONITORING-076",
            "rows are of 2024-04-01 00:00 to 2024-04-15",
        ),
        ([*TEN_DAYS, "--version", "7"], "WS-MONITORING-073", "champions so far: 1"),
    ],
)
def test_bad_input_is_named(installation, capsys, arguments, code, said):
    installation()
    assert run(["backtest", "churn", "--data", "h.csv", *arguments]) == 1
    shown = capsys.readouterr().err
    assert f"error: {code}: " in shown
    assert said in shown
    assert "next: " in shown


def test_an_unknown_model_and_one_that_is_not_watched(installation, tmp_path, capsys):
    installation()
    assert run(["backtest", "chrun", *TEN_DAYS]) == 1
    assert "WS-MONITORING-072" in capsys.readouterr().err
    off = "model: {name: quiet}\nmonitoring: {data_drift: false, performance_tracking: false}\n"
    (tmp_path / "include" / "models" / "quiet.yaml").write_text(off)
    assert run(["backtest", "quiet", *TEN_DAYS]) == 1
    assert "WS-MONITORING-078" in capsys.readouterr().err


def test_a_broken_model_file_is_told_as_such(installation, tmp_path, capsys):
    installation()
    (tmp_path / "include" / "models" / "churn.yaml").write_text("model: {name: churn, tier: x}")
    assert run(["backtest", "churn", *TEN_DAYS]) == 1
    assert "churn.yaml:1: model.tier" in capsys.readouterr().err


def test_no_version_yet_says_what_is_needed(installation, capsys):
    made = fake_ports()
    installation(ledger=made.ledger)
    for history in (["--data", "h.csv"], []):
        assert run(["backtest", "churn", *TEN_DAYS, *history]) == 1
        shown = capsys.readouterr().err
        assert "WS-MONITORING-073" in shown
        assert "let the retrain DAG promote a first version" in shown


def test_a_version_without_a_profile(installation, trained, capsys):
    ports, _ = trained
    bundles = copy.copy(ports.bundles)
    bundles.by_digest = {
        digest: replace(one, profile=None) for digest, one in ports.bundles.by_digest.items()
    }
    installation(bundles=bundles)
    assert run(["backtest", "churn", *TEN_DAYS, "--data", "h.csv"]) == 1
    assert "WS-MONITORING-074" in capsys.readouterr().err


def test_a_snapshot_that_is_gone_stops_the_retrain_alone(installation, capsys):
    installation(snapshots=fake_ports().snapshots)
    assert run(["backtest", "churn", *TEN_DAYS, "--data", "h.csv"]) == 0
    out = capsys.readouterr().out
    assert "WS-MONITORING-077" in out
    assert "first drift: judged at 2024-04-07" in out


def test_a_database_that_does_not_answer_ends_with_3(installation, capsys):
    class Away:
        def rows(self, model):
            raise DatabaseUnavailableError("the control database does not answer")

    installation(ledger=Away())
    assert run(["backtest", "churn", *TEN_DAYS, "--data", "h.csv"]) == 3
    assert "WS-DATABASE-001" in capsys.readouterr().err


def test_wrong_usage_ends_with_2(installation, capsys):
    installation()
    assert run(["backtest", "churn", *TEN_DAYS, "--data", "h.csv", "--source"]) == 2
    assert run(["backtest", "churn", *TEN_DAYS, "--data", "h.csv", "--label-delay", "soon"]) == 2
    assert run(["backtest", "churn", "--from", "2024-04-01"]) == 2


def test_no_installation_makes_none(tmp_path, monkeypatch, capsys):
    models = tmp_path / "include" / "models"
    models.mkdir(parents=True)
    (models / "churn.yaml").write_text(MODEL_FILE)
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setenv("WINDSOCK_HOME", str(tmp_path / "home"))
    assert run(["backtest", "churn", *TEN_DAYS]) == 1
    assert "WS-SETTINGS-009" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()
