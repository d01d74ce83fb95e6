"""The prediction log and the monitor's windows of 0.1: all rows are read, and new ones join them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow.parquet as pq
import pytest

from support.released import V0_1
from support.shifted import House, clock_at
from windsock import records as r
from windsock.monitoring.pending_windows import pending_windows
from windsock.ports import LabelledRows
from windsock.steps import run_step

pytestmark = pytest.mark.slow

FACTS = V0_1.facts
MODELS = FACTS["models"]
LOG = FACTS["log"]
DAY = V0_1.now.replace(hour=0, minute=0)
WHOLE_DAY = r.Span(start=DAY, end=DAY + timedelta(days=1))
NEW_UNITS = [f"new-{number}" for number in range(60)]


def hour(number: int) -> datetime:
    return DAY + timedelta(hours=number)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The installation as it was left; nothing is changed in it."""
    with V0_1.opened(tmp_path_factory.mktemp("old")) as house:
        yield house


@dataclass
class Continued:
    """The installation half an hour later: new answers and outcomes came, and the hour was archived."""

    house: House
    report: r.HousekeepingReport


@pytest.fixture(scope="module")
def continued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Continued]:
    with V0_1.opened(tmp_path_factory.mktemp("continued")) as house:
        with house.serving():
            house.ask("churn", FACTS["noted"]["churn"]["rows"] * 5, NEW_UNITS, name="new")
            house.tell("churn", {f"{unit}.new": "Yes" for unit in NEW_UNITS[:10]})
            asked = house.ask("delivery", FACTS["noted"]["delivery"]["rows"] * 5, NEW_UNITS, name="new")
            house.tell("delivery", {one["prediction_id"]: one["prediction"] + 1 for one in asked[:50]})
        with clock_at(hour(16) + timedelta(minutes=5)):
            report = run_step("keep_house", {"models": sorted(MODELS)}, house.ports()).record
            yield Continued(house, report)


def rows_of(house: House, model: str) -> LabelledRows:
    """Read a day of the log with its labels, as the monitor does."""
    ports, labels = house.ports(), house.spec(model).monitoring.labels
    champion = ports.ledger.champion(model)
    schema = ports.bundles.describe(champion.bundle_uri, champion.digest).schema
    return ports.rows.labelled(model, WHOLE_DAY, labels, schema=schema, as_of=ports.now())


def archived(house: House, kind: str, model: str) -> int:
    folder = house.home / "storage" / kind / model
    return sum(pq.read_metadata(file).num_rows for file in folder.glob("*.parquet"))


def seen(kind: str, model: str) -> int:
    """How many rows 0.1 has written, wherever they lie."""
    return LOG.get(f"archived {kind} {model}", 0) + LOG.get(f"open {kind} {model}", 0)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_answer_is_read_wherever_it_lies(old, model):
    found = rows_of(old, model)
    assert len(found.frame) == seen("predictions", model)
    assert (found.damaged, found.unusable, found.unknown, found.repeated) == (0, 0, 0, 0)
    noted = FACTS["noted"][model]
    frame = found.frame.set_index("prediction_id")
    for unit, answer in zip(noted["units"], noted["answers"], strict=True):
        kept = frame.loc[f"{unit}.noted"]
        assert (kept.version, kept.variant, kept.score) == (
            answer["version"],
            answer["variant"],
            answer["score"],
        )
        assert (kept.unit, kept.prediction) == (unit, answer["prediction"])


def test_what_was_encrypted_is_read(old):
    """Labelled rows of the archive and of the open hour: their sensitive column is there again."""
    frame = rows_of(old, "churn").frame
    told = frame[frame.outcome.notna() & frame.features.notna()]
    genders = [row["gender"] for row in told.features]
    assert set(genders) == {"f", "m"}
    assert len(genders) > 300
    open_log = old.home / "serving" / "log" / "predictions" / "churn"
    assert all(b"fernet:" in file.read_bytes() for file in open_log.rglob("*.ndjson"))
    assert len((old.home / "keys" / "log.key").read_text().split()) == 2  # one for what is older


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_outcome_finds_its_answer(old, model):
    found = rows_of(old, model)
    by_answer = int(found.frame.outcome.notna().sum())
    assert by_answer + found.duplicates == seen("outcomes", model)
    assert found.duplicates == {"churn": FACTS["repeated_outcomes"], "delivery": 0}[model]


@pytest.mark.parametrize("model", sorted(MODELS))
def test_new_rows_are_archived_beside_the_old_ones(continued, model):
    # No server runs any more: it is all that housekeeping misses.
    assert [fault.partition(":")[0] for fault in continued.report.faults] == ["the server's gauges"]
    assert archived(continued.house, "predictions", model) == seen("predictions", model) + 60
    told = {"churn": 10, "delivery": 50}[model]
    assert archived(continued.house, "outcomes", model) == seen("outcomes", model) + told
    found = rows_of(continued.house, model)
    assert len(found.frame) == seen("predictions", model) + 60
    assert sum(str(name).endswith(".new") for name in found.frame.prediction_id) == 60


def test_housekeeping_finds_everything_in_order(continued):
    report = continued.report
    assert (report.broken_ledgers, report.unattended, report.runs_closed) == ((), (), 0)
    assert report.aliases_repaired == ()
    assert report.segments_closed > 0
    assert list((continued.house.home / "serving" / "log" / "predictions").rglob("*.ndjson")) == []


@pytest.mark.parametrize("model", sorted(MODELS))
def test_only_the_windows_that_came_since_wait(continued, model):
    ports, spec = continued.house.ports(), continued.house.spec(model)
    windows = pending_windows(
        spec.monitoring,
        ports.monitor.windows(model),
        since=r.live_since(ports.ledger.rows(model)),
        now=ports.now(),
    )
    assert [(one.start, one.end) for one in windows] == [(hour(14), hour(15)), (hour(15), hour(16))]


@pytest.fixture(scope="module")
def judged(continued: Continued) -> dict[tuple[str, str], r.DriftReport | r.PerformanceReport]:
    """Judge the hour in which 0.1 stopped."""
    ports, window = continued.house.ports(), r.Span(start=hour(15), end=hour(16))
    return {
        (model, step): run_step(step, {"spec": continued.house.spec(model), "window": window}, ports).record
        for model in MODELS
        for step in ("check_drift", "check_performance")
    }


@pytest.mark.parametrize("model", sorted(MODELS))
def test_the_next_window_is_judged_over_old_and_new_rows(continued, judged, model):
    report = judged[model, "check_drift"]
    assert (report.version, report.digest) == ("2", MODELS[model]["champion"]["digest"])
    assert report.rows == LOG[f"open predictions {model}"] + 60
    assert report.status is r.Status.FAIL  # a dozen rows asked again and again
    kept = continued.house.ports().monitor.windows(model, "drift")
    assert len(kept) == sum(kind == "drift" for kind, *_ in MODELS[model]["windows"]) + 1
    assert (kept[-1].window, kept[-1].status) == (report.window, report.status)


def test_performance_is_judged_by_old_and_new_labels(judged):
    report = judged["delivery", "check_performance"]
    assert (report.rows, report.labelled) == (LOG["open predictions delivery"] + 60, 50)
    assert report.status is r.Status.PASS, report.reason
    assert next(one.value for one in report.baseline if one.name == "r2") == pytest.approx(0.938, abs=0.05)


def test_a_window_that_was_judged_keeps_its_verdict(continued):
    """It is counted once more, by what 0.1 stored; the first verdict stands."""
    ports, spec = continued.house.ports(), continued.house.spec("churn")
    window = r.Span(start=hour(13), end=hour(14))
    before = [one for one in ports.monitor.windows("churn", "drift") if one.window == window]
    again = run_step("check_drift", {"spec": spec, "window": window}, ports).record
    after = [one for one in ports.monitor.windows("churn", "drift") if one.window == window]
    assert (before, len(before)) == (after, 1)
    assert again.status == before[0].status
    assert (
        before[0].reason == "none of 4 columns drifted; the closest, age: 0.104 against 0.05"
    )  # as 0.1 said it
    assert (again.rows, again.drift_score) == (120, before[0].numbers["drift_score"])


def test_the_trigger_policy_goes_on_from_the_old_episode(continued, judged):
    """The retrain of the old episode is long enough ago, and it helped: a new drift may ask for another.

    It waits for labelled answers since the drift began; what an outside event asks for does not.
    """
    ports, spec = continued.house.ports(), continued.house.spec("churn")
    decision = run_step("decide_retrain", {"spec": spec}, ports).record
    assert (decision.order, decision.breaker) == (r.RetrainOrder.WAIT, False)
    assert decision.waits_for.rows < decision.waits_for.needed
    assert f"since {judged['churn', 'check_drift'].window.start:%Y-%m-%d %H:%M} UTC" in decision.reason
    known = [key for key, *_ in MODELS["churn"]["episodes"]]
    assert [one.key for one in ports.monitor.episodes("churn")] == known
    run = {"dag_id": "churn__drift_retrain", "run_id": "drift-2"}
    claim = run_step("claim_retrain", {"spec": spec, "event_id": "a", "run": run}, ports).record
    assert (claim.granted, claim.holder) == (True, "churn__drift_retrain/drift-2")
    assert [one.key for one in ports.monitor.episodes("churn")] == [*known, claim.episode.key]


def test_an_episode_that_is_closed_is_not_claimed_again(continued):
    ports, spec = continued.house.ports(), continued.house.spec("churn")
    key = MODELS["churn"]["episodes"][0][0]
    asked = {"spec": spec, "episode_key": key, "run": {"run_id": "drift-3"}}
    assert not run_step("claim_retrain", asked, ports).record.granted
