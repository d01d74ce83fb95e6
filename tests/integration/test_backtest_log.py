"""``windsock backtest`` and ``windsock monitor`` on a real installation: database, bundles, log, archive."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from support.backtest import (
    CHANGED,
    HISTORY,
    MODEL_FILE,
    dated_frame,
    first_version,
    training_frame,
    write_log,
)
from support.fakes import FakeRegistry, FakeRouter, FakeTracker
from windsock.adapters.ledger_table import SqlLedger
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.adapters.storage import Storage
from windsock.cli.app import run
from windsock.cli.backtest_retrain import answers_of
from windsock.cli.surroundings import open_ports
from windsock.settings import Settings
from windsock.spec.loader import spec_from_bytes
from windsock.training import importances
from windsock.training.preprocessing import to_features

PER_DAY = 300
SPAN = ("--from", "2024-04-01", "--to", "2024-04-11")


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """A home with a control database, a first version that served all along, and ten days of its log."""
    folder = tmp_path_factory.mktemp("installation")
    patch = pytest.MonkeyPatch()
    patch.setattr(importances, "MOST_SHUFFLES", 1)
    models = folder / "include" / "models"
    models.mkdir(parents=True)
    (models / "churn.yaml").write_text(MODEL_FILE)
    training_frame().to_csv(models.parent.parent / "churn.csv", index=False)
    patch.setenv("WINDSOCK_HOME", str(folder / "home"))
    patch.setenv("WINDSOCK_MODELS_DIR", str(models))
    assert run(["keys", "init"]) == 0
    settings = Settings.from_environment()
    ports = replace(
        open_ports(settings),
        router=FakeRouter(),
        tracker=FakeTracker(),
        registry=FakeRegistry(),
        pause=lambda seconds: None,
        ledger=SqlLedger.of(settings, now=lambda: HISTORY - timedelta(hours=1)),
    )
    first_version(ports, spec_from_bytes(MODEL_FILE.encode(), "churn.yaml"))
    champion = ports.ledger.champion("churn")
    bundle = ports.bundles.load(champion.bundle_uri, champion.digest)
    frame = dated_frame(HISTORY, 10, per_day=PER_DAY)
    scores, _ = answers_of(bundle, to_features(frame, bundle.schema.fields))
    write_log(
        settings.serving_dir,
        frame,
        scores,
        version=champion.version,
        digest=champion.digest,
        label_delay=timedelta(hours=6),
    )
    # Half of the log is archived, the other half is in the server's segments.
    storage = Storage(settings.storage_url)
    assert ParquetPredictionArchive(settings.serving_dir, storage, now=lambda: CHANGED).close_segments() > 100
    yield settings
    patch.undo()


def tables(settings):
    """Return every row of the control database."""
    from sqlalchemy import create_engine, inspect, text

    engine = create_engine(settings.database_url)
    with engine.connect() as connection:
        names = inspect(engine).get_table_names()
        return {name: connection.execute(text(f"SELECT * FROM {name}")).fetchall() for name in names}  # noqa: S608


def test_the_prediction_log_is_replayed_against_the_champion_of_its_time(installation, tmp_path, capsys):
    before = tables(installation)
    report = tmp_path / "report.html"
    assert run(["backtest", "churn", *SPAN, "--output", str(report)]) == 0
    out = capsys.readouterr().out
    rows = {line[:10]: line for line in out.splitlines() if re.match(r"2024-04-\d\d 00:00 ", line)}
    assert len(rows) == 10
    assert all(f"  {PER_DAY}  " in row for row in rows.values()), out
    assert all(" fail " not in rows[f"2024-04-{day:02d}"] for day in range(2, 7)), out
    assert "first drift: judged at 2024-04-07 00:01 UTC" in out
    assert "first performance alarm: judged at 2024-04-0" in out
    # Two thirds of the first retrain's rows are older than the change: it beats the champion, not surely a
    # model that knows nothing, which the gate asks for without a minimum.
    assert "grant: kept" in rows["2024-04-08"], out
    assert "against a model that knows nothing is not surely > 0" in out
    assert "grant: promoted" in rows["2024-04-10"], out
    gained = re.search(r"would have changed: roc_auc (0\.\d+) -> (0\.\d+) \(\+", out)
    assert gained, out
    assert float(gained[1]) < 0.45 < 0.55 < float(gained[2])
    assert tables(installation) == before
    assert report.read_text().count("<svg") == 3
    # The log holds what the first version answered, so it goes on being judged.
    assert "fail" in rows["2024-04-11"]


def test_table_and_log_of_the_same_rows_have_the_same_verdicts(installation, tmp_path, capsys):
    file = tmp_path / "history.csv"
    dated_frame(HISTORY, 10, per_day=PER_DAY).to_csv(file, index=False)
    span = ("--from", "2024-04-01", "--to", "2024-04-09", "--no-retrain")
    assert run(["backtest", "churn", *span]) == 0
    of_log = capsys.readouterr().out
    assert run(["backtest", "churn", *span, "--data", str(file), "--label-delay", "6h"]) == 0
    of_table = capsys.readouterr().out
    found = [
        [line.split() for line in text.splitlines() if re.match(r"2024-04-\d\d 00:00 ", line)]
        for text in (of_log, of_table)
    ]
    assert len(found[0]) == 8
    assert found[0] == found[1]


def test_a_span_without_a_log_and_one_before_the_first_version(installation, capsys):
    assert run(["backtest", "churn", "--from", "2024-06-01", "--to", "2024-06-04"]) == 1
    assert "WS-MONITORING-076" in capsys.readouterr().err
    assert run(["backtest", "churn", "--from", "2024-01-01", "--to", "2024-01-04"]) == 1
    assert "the first went live at 2024-03-31 23:00:00" in capsys.readouterr().err


def test_monitor_judges_a_window_shows_it_and_resets(installation, capsys):
    for day in ("2024-04-07", "2024-04-08"):
        assert run(["monitor", "churn", "--check", "--window-end", day]) == 0
        assert "VERDICT: FAIL" in capsys.readouterr().out
    assert run(["monitor", "churn"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("churn: version 1 serves; windows of 1d, ")
    assert re.search(r"2024-04-07 00:00:00  drift +1 +fail", out)
    assert re.search(r"2024-04-08 00:00:00  performance +1 +", out)
    assert "breaker: closed; next retrain: possible now" in out
    assert run(["monitor", "churn", "--check", "--window-end", "2024-04-07T12:00"]) == 1
    assert "WS-MONITORING-071" in capsys.readouterr().err
