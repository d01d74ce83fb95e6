"""The rows that 0.1 left in the control database: all there, all readable, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from support.ledgers import BODIES, sql_ledger
from support.postgres import restartable_server
from support.released import V0_1
from support.shifted import House
from windsock import records as r
from windsock.adapters.database import HEAD, open_database, reading, writing
from windsock.adapters.ledger_table import SqlLedger
from windsock.adapters.monitor_table import SqlMonitor
from windsock.adapters.rollout_events.records import Kept
from windsock.door.approvals import answerer, answers_of, needed_for
from windsock.exceptions import StaleEpochError
from windsock.ports import utc_now
from windsock.steps.run import STEPS

FACTS = V0_1.facts
MODELS = FACTS["models"]
ON_POSTGRES = pytest.param("postgresql", marks=(pytest.mark.postgres, pytest.mark.slow))
KEPT_RECORDS = {
    "alerts": r.Alert,
    "alert_history": r.Alert,
    "monitor_windows": r.WindowVerdict,
    "retrain_episodes": r.Episode,
    "rollout_counts": Kept,
    "rollout_decisions": r.RolloutDecision,
}
"""Tables whose rows hold one record each."""


NewDatabase = Callable[[], str]


@pytest.fixture(scope="module", params=["sqlite", ON_POSTGRES])
def new_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewDatabase]:
    """Give what makes further control databases with the rows of 0.1."""
    if request.param == "sqlite":
        yield lambda: f"sqlite:///{V0_1.unpack(tmp_path_factory.mktemp('rows')) / 'control.db'}"
        return
    with restartable_server() as server:
        yield lambda: V0_1.load_dump(server)


@pytest.fixture(scope="module")
def house(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    url = new_database()
    with V0_1.opened(tmp_path_factory.mktemp("home"), database_url=url) as house:
        house.ports().ledger.models()  # the upgrade, which signs for the old rows
        yield house
    open_database(url).dispose()


@pytest.fixture(scope="module", params=sorted(MODELS))
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def raw_rows(house: House, table: str) -> list[dict[str, object]]:
    with reading(house.settings.database_url) as connection:
        query = sa.text(f'SELECT * FROM "{table}"')  # noqa: S608
        return [dict(row) for row in connection.execute(query).mappings()]


def holds(record: object, written: object) -> bool:
    """Say whether a record still says all that was written; it may have learned to say more."""
    if isinstance(written, dict) and isinstance(record, dict):
        return all(name in record and holds(record[name], value) for name, value in written.items())
    if isinstance(written, list) and isinstance(record, list):
        return len(record) == len(written) and all(map(holds, record, written))
    return record == written


def test_the_migrations_lose_no_row(house):
    ledger = house.ports().ledger
    kept = {table: count for table, count in FACTS["tables"].items() if table != "ledger_heads"}
    anchors = len(ledger.models())
    found = {table: len(raw_rows(house, table)) for table in kept}
    assert found == {**kept, "ledger": kept["ledger"] + anchors}
    assert [row["version_num"] for row in raw_rows(house, "windsock_schema")] == [HEAD]


def test_the_ledger_is_whole_and_says_what_it_said(house, model):
    ledger, known = house.ports().ledger, MODELS[model]
    *rows, anchor = ledger.rows(model)
    assert [[row.action.value, row.version, row.epoch, row.actor] for row in rows] == known["ledger"]
    assert (rows[-1].hash, len(rows)) == (known["head"], len(known["ledger"]))
    assert (anchor.action.value, anchor.previous, anchor.body["rows"]) == ("anchor", known["head"], len(rows))
    assert ledger.verify(model) == r.ChainCheck(model=model, rows=len(rows) + 1)


def test_the_upgrade_signs_once(house, new_database, model):
    assert [row.action.value for row in SqlLedger.of(house.settings).rows(model)].count("anchor") == 1
    url = new_database()
    again = sql_ledger(url)
    again.models()
    with writing(url) as connection:
        connection.execute(
            sa.text(
                "INSERT INTO ledger SELECT model, seq + 1, 'approve', 0, version, digest, 'eve', body, at, "
                "hash, 'f' || hash, 0, '' FROM ledger WHERE model = :model ORDER BY seq DESC LIMIT 1"
            ),
            {"model": model},
        )
    check = again.verify(model)
    assert (check.broken_at, [left.seq for left in check.left_out]) == (None, [check.rows + 1])


def test_the_champion_is_who_it_was(house, model):
    known = r.Champion.model_validate(MODELS[model]["champion"])
    ledger = house.ports().ledger
    assert ledger.champion(model) == known
    assert r.champion_of(ledger.rows(model)) == known


def test_every_step_record_is_the_record_of_its_step(house):
    rows = raw_rows(house, "step_records")
    for row in rows:
        record = STEPS[row["step"]].output.model_validate_json(row["record"])
        assert holds(record.model_dump(mode="json"), json.loads(row["record"]))
        assert house.ports().records.find(row["key"]) == json.loads(row["record"])
    assert Counter(f"{row['model']} {row['step']}" for row in rows) == FACTS["step_records"]


@pytest.mark.parametrize("table", sorted(KEPT_RECORDS))
def test_every_kept_record_is_read_as_it_was_written(house, table):
    rows = raw_rows(house, table)
    for row in rows:
        record = KEPT_RECORDS[table].model_validate_json(row["record"])
        assert holds(record.model_dump(mode="json"), json.loads(row["record"]))
    assert len(rows) == FACTS["tables"][table] > 0


def test_the_monitor_knows_its_windows_episodes_and_alerts(house, model):
    monitor, known = house.ports().monitor, MODELS[model]
    windows = monitor.windows(model)
    seen = [[one.kind, one.window.end.isoformat(), one.version, one.status.value] for one in windows]
    episodes = [[one.key, one.trigger, one.state.value, one.outcome.value] for one in monitor.episodes(model)]
    alerts = [[one.key, one.state, one.severity.value] for one in monitor.alerts(model)]
    assert (seen, episodes, alerts) == (known["windows"], known["episodes"], known["alerts"])
    assert len(monitor.alert_history(model)) == known["alert_history"]


def test_nobody_holds_a_claim_and_the_next_run_gets_it(house, new_database, model):
    url = new_database()
    sql_ledger(url)  # signs for the old rows at the upgrade
    monitor = SqlMonitor(url)
    claim = monitor.claim(house.spec(model), episode_key=None, holder="dag/run", now=utc_now())
    assert (claim.granted, claim.episode) == (True, None)


def test_the_rollouts_stand_as_they_stood(house):
    known, ports = FACTS["rollout"], house.ports()
    rows = ports.ledger.rows("churn")
    running = r.running_rollout(rows)
    assert running is not None
    assert (running.experiment, running.version, running.champion_version) == ("v3-e8", "3", "2")
    assert (running.paused_by, running.share, running.plan.strategy) == (None, 5_000, "ab")
    assert (running.asked_by, running.asked_until < V0_1.now) == ("r", True)
    ended = [(one.experiment, one.outcome.value) for one in r.ended_rollouts(rows)]
    assert ended == [("v2-e4", "promoted")]
    seen = [
        [one.experiment, one.number, one.step, one.action.value, one.totals.exposures]
        for experiment in ("v2-e4", "v3-e8")
        for one in ports.rollouts.decisions("churn", experiment)
    ]
    assert seen == known["decisions"]
    assert r.running_rollout(ports.ledger.rows("delivery")) is None


def test_a_promotion_names_the_decision_that_proved_it(house):
    ports = house.ports()
    promoted = ports.rollouts.last("churn", "v2-e4")
    intent = next(row for row in ports.ledger.rows("churn") if row.body.get("decision_evidence"))
    assert intent.body["decision"] == r.decision_digest(promoted)
    assert intent.body["decision_evidence"] == promoted.evidence_digest


def test_answers_of_people_stand(house):
    rows = house.ports().ledger.rows("delivery")
    for version, approved, rejected in (("2", ("rita",), ()), ("3", (), ("rita",)), ("4", (), ())):
        registered = next(
            row for row in rows if row.action is r.LedgerAction.REGISTER and row.version == version
        )
        said = answers_of(rows, r.RegisteredVersion.of_row(registered))
        assert (said.approvers, said.rejecters) == (approved, rejected)
        assert needed_for(house.spec("delivery"), registered) == 1


def test_an_answer_names_its_person_by_name_and_by_id(house):
    rows = house.ports().ledger.rows("delivery")
    people = [row for row in rows if row.action in (r.LedgerAction.APPROVE, r.LedgerAction.REJECT)]
    assert [answerer(row) for row in people] == [("rita", "rita")] * 3


def test_a_rollout_s_end_is_the_end_of_the_retrain_that_made_its_version(house):
    rows = house.ports().ledger.rows("churn")
    ((run, outcome),) = r.retrains_by_rollout(rows).items()
    queued = next(row for row in rows if row.action is r.LedgerAction.QUEUE)
    assert outcome is r.RetrainOutcome.PROMOTED
    assert run == r.RunContext(**queued.body["run"]).label != r.RunContext().label


def test_an_answer_about_a_promotion_is_none_about_the_registration(house):
    rows = house.ports().ledger.rows("churn")
    third = [row for row in rows if row.action is r.LedgerAction.REGISTER][-1]
    version = r.RegisteredVersion.of_row(third)
    assert answers_of(rows, version, experiment="v3-e8").approvers == ("eve",)
    assert answers_of(rows, version).approvers == ()


def test_a_roll_back_held_its_version_until_a_person_forced_it(house):
    rows, second = house.ports().ledger.rows("delivery"), MODELS["delivery"]["bundles"]["2"][1]
    back = next(row for row in rows if row.action is r.LedgerAction.ROLL_BACK)
    assert r.was_rolled_back(rows[: back.seq], second)
    assert not r.was_rolled_back(rows, second)
    assert [row.version for row in r.champion_line(rows[: back.seq + 1])] == ["1"]
    assert [row.version for row in r.champion_line(rows)] == ["1", "2"]


def test_the_chain_goes_on_with_new_rows(new_database, model):
    ledger = sql_ledger(new_database())
    rows = ledger.rows(model)
    last = rows[-1].model_dump(include={"model", "version", "digest", "actor"})
    pause = r.LedgerEntry(**last, action=r.LedgerAction.PAUSE, epoch=0, body=BODIES[r.LedgerAction.PAUSE])
    row = ledger.append(pause, after_seq=len(rows))
    assert (row.seq, row.previous) == (len(rows) + 1, rows[-1].hash)
    assert rows[-1].previous == MODELS[model]["head"]
    assert ledger.verify(model) == r.ChainCheck(model=model, rows=len(rows) + 1)


def test_an_epoch_that_was_taken_is_taken(new_database, model):
    ledger = sql_ledger(new_database())
    rows = ledger.rows(model)
    last = rows[-1].model_dump(include={"model", "version", "digest", "actor"})
    deploy = r.LedgerAction.DEPLOY
    entry = r.LedgerEntry(**last, action=deploy, epoch=MODELS[model]["epoch"], body=BODIES[deploy])
    with pytest.raises(StaleEpochError):
        ledger.append(entry, after_seq=len(rows))
    assert ledger.rows(model) == rows
