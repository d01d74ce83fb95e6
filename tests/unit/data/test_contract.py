from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from support.builders import digest, make_spec
from support.fakes import FakeContracts, FakeSources, fake_ports
from windsock.data.contract import columns_of_champion, contract_in_force, require_contract
from windsock.data.reading import read_column
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.exceptions import DataRefusedError, StaleEpochError
from windsock.ports import LoadedBundle
from windsock.records import (
    Answer,
    ColumnKind,
    ColumnRole,
    ContractColumn,
    ContractOrigin,
    DataContract,
    InputField,
    InputSchema,
    LedgerAction,
    LedgerEntry,
    TakeSnapshotInput,
    ValidateDataInput,
    ValueForm,
)
from windsock.steps import run_step

ROWS = 200
ON_PURPOSE = {"accept_changes_until": "2026-06-01"}


def rows(seed: int = 1, **columns) -> pd.DataFrame:
    """Return rows as a CSV gives them; name columns that differ, ``None`` to leave one out."""
    draw = np.random.default_rng(seed)
    made = {
        "customer_id": [f"c{seed}-{number}" for number in range(ROWS)],
        "age": draw.integers(18, 80, ROWS).astype(str),
        "colour": draw.choice(["blue", "red"], ROWS),
        "churned": draw.choice(["Yes", "No"], ROWS),
        **columns,
    }
    return pd.DataFrame({name: given for name, given in made.items() if given is not None}).astype(object)


class House:
    """A model whose months come one after the other."""

    def __init__(self, **blocks) -> None:
        self.ports = fake_ports(sources=FakeSources())
        self.spec = make_spec(**blocks)

    def month(self, frame, *, dry_run=False, **blocks):
        """Take and validate a month's snapshot; return both."""
        self.ports.sources.frame = frame
        spec = make_spec(**blocks) if blocks else self.spec
        snapshot = take_snapshot(TakeSnapshotInput(spec=spec), self.ports, "")
        given = ValidateDataInput(spec=spec, snapshot=snapshot, dry_run=dry_run)
        return snapshot, validate_data(given, self.ports, "")

    @property
    def accepted(self):
        """The rows by which snapshots were accepted."""
        return [row for row in self.ports.ledger.rows("churn") if row.action is LedgerAction.ACCEPT]

    @property
    def contract(self):
        """The contract of the last accepted snapshot."""
        body = self.accepted[-1].body
        return self.ports.contracts.contract(body["contract_uri"], body["contract_digest"])


@pytest.fixture
def house() -> House:
    made = House()
    _, report = made.month(rows())
    assert report.status == "pass"
    return made


def codes(report) -> list[str]:
    return sorted(check.code for check in report.failed)


class TestAcceptance:
    def test_the_first_snapshot_decides(self, house):
        contract = house.contract
        assert (contract.version, contract.positive) == (1, "Yes")
        assert [(column.name, column.kind.value, column.role.value) for column in contract.columns] == [
            ("customer_id", "category", "entity"),
            ("age", "integer", "feature"),
            ("colour", "category", "feature"),
            ("churned", "boolean", "target"),
        ]
        assert contract.column("customer_id").unique
        assert contract.column("colour").words == ("blue", "red")
        assert contract.column("churned").classes == ("No", "Yes")
        body = house.accepted[0].body
        statistics = house.ports.contracts.statistics(body["statistics_uri"], body["statistics_digest"])
        assert (statistics.rows, statistics.column("age").nulls) == (ROWS, 0)

    def test_the_same_snapshot_is_accepted_once_and_judged_alike(self, house):
        _, first = house.month(rows())
        assert len(house.accepted) == 1
        assert first.checks == House().month(rows())[1].checks

    def test_another_snapshot_with_nothing_new_keeps_the_version(self, house):
        snapshot, report = house.month(rows(2))
        assert (report.status, snapshot.contract, house.contract.version) == ("pass", 1, 1)
        assert len(house.accepted) == 2
        assert house.accepted[1].body["contract_digest"] == house.accepted[0].body["contract_digest"]

    def test_a_dry_run_and_a_no_accept_nothing(self, house):
        house.month(rows(2), dry_run=True)
        _, report = house.month(rows(3, age=["old"] * ROWS))
        assert (report.status, len(house.accepted)) == ("fail", 1)

    def test_a_dry_run_does_not_stand_for_a_real_one(self):
        ports = fake_ports(sources=FakeSources(rows()))
        spec = make_spec()
        snapshot = run_step("take_snapshot", {"spec": spec}, ports).record
        given = {"spec": spec, "snapshot": snapshot}
        assert not run_step("validate_data", {**given, "dry_run": True}, ports).unchanged
        assert ports.ledger.rows("churn") == ()
        assert not run_step("validate_data", given, ports).unchanged
        assert [row.action for row in ports.ledger.rows("churn")] == [LedgerAction.ACCEPT]
        assert run_step("validate_data", given, ports).unchanged

    def test_one_that_was_judged_by_an_older_contract_comes_too_late(self, house, monkeypatch):
        old = contract_in_force(house.spec, house.ports)
        house.month(rows(2))
        monkeypatch.setattr("windsock.data.validate_data.contract_in_force", lambda *_, **__: old)
        with pytest.raises(StaleEpochError, match="another snapshot was accepted"):
            house.month(rows(3))


class TestChanges:
    def test_words_widen_and_are_recorded(self, house):
        _, report = house.month(rows(2, colour=["green", *["red"] * 9] * (ROWS // 10)), data=ON_PURPOSE)
        assert report.status == "pass"
        assert house.contract.version == 2
        assert house.contract.column("colour").words == ("blue", "green", "red")
        assert house.contract.changes == (
            "colour: 1 words that were never seen before",
            "colour: 1 of 2 words are missing",
        )

    def test_whole_numbers_may_get_decimals(self, house):
        snapshot, report = house.month(rows(2, age=["20.5", "31"] * (ROWS // 2)))
        assert (report.status, snapshot.column("age").kind) == ("pass", ColumnKind.NUMBER)
        assert house.contract.column("age").kind is ColumnKind.NUMBER

    def test_a_column_of_names_now_fails_with_both_readings(self, house):
        _, report = house.month(rows(2, age=["old", "31"] * (ROWS // 2)))
        (failed,) = report.failed
        assert (failed.code, failed.value, failed.limit) == ("WS-DATA-141", 0.5, 0.05)
        assert "age is integer by contract 1" in failed.message
        assert "read as category" in failed.message
        assert "look like aaa" in failed.message
        assert len(house.accepted) == 1

    def test_a_column_that_changes_in_the_middle_of_the_file_fails(self, house):
        _, report = house.month(rows(2, age=["40"] * 150 + ["2026-01-01"] * 50))
        assert codes(report) == ["WS-DATA-141"]

    def test_typed_columns_are_held_too(self, house):
        house.month(rows(2).assign(age=pd.Series(range(ROWS), dtype="int64")))
        assert house.contract.column("age").kind is ColumnKind.INTEGER
        _, report = house.month(rows(3).assign(age=pd.to_datetime(["2026-01-01"] * ROWS)))
        assert codes(report) == ["WS-DATA-141"]

    def test_an_entity_that_repeats_fails_until_a_person_allows_it(self, house):
        repeated = rows(2, customer_id=[f"c{number // 2}" for number in range(ROWS)])
        assert codes(house.month(repeated)[1]) == ["WS-DATA-144"]
        allowed = {"columns": {"customer_id": {"unique": False}}}
        assert house.month(repeated, data=allowed)[1].status == "pass"
        assert not house.contract.column("customer_id").unique

    def test_a_new_class_fails_and_a_missing_one_is_recorded(self):
        house = House()
        draw = np.random.default_rng(0)
        house.month(rows(churned=draw.choice(["a", "b", "c"], ROWS)))
        _, report = house.month(rows(2, churned=draw.choice(["a", "b"], ROWS)))
        assert "churned: 1 of 3 classes are missing" in " ".join(check.message for check in report.checks)
        assert house.contract.column("churned").classes == ("a", "b", "c")
        wider = rows(3, churned=draw.choice(["a", "b", "d"], ROWS))
        assert codes(house.month(wider)[1]) == ["WS-DATA-143"]
        listed = {"columns": {"churned": {"classes": ["a", "b", "c", "d"]}}}
        assert house.month(wider, data=listed)[1].status == "pass"

    def test_a_column_gone_and_one_new_are_asked_about_each_time(self, house):
        changed = {"colour": None, "plan": ["s", "m"] * (ROWS // 2)}
        for seed in (2, 3):
            _, report = house.month(rows(seed, **changed))
            assert report.status == "pass"
            assert [ask.split(":")[0] for ask in report.asks] == [
                "column colour is gone",
                "column plan is new",
            ]
        assert house.contract.version == 1

    def test_what_the_model_s_file_names_was_decided_by_a_person(self, house):
        _, report = house.month(rows(2, plan=["s", "m"] * (ROWS // 2)), data={"exclude": ["plan"]})
        assert report.asks == ()

    def test_a_first_file_that_says_what_a_column_means_asks_nothing(self):
        house = House(data={"columns": {"age": {"kind": "number"}}})
        _, report = house.month(rows())
        assert (report.status, report.asks) == ("pass", ())
        assert {column.name for column in house.contract.columns} == {
            "customer_id",
            "age",
            "colour",
            "churned",
        }
        _, report = house.month(rows(2, plan=["s", "m"] * (ROWS // 2)))
        assert [ask.split(":")[0] for ask in report.asks] == ["column plan is new"]


class TestRoles:
    def test_a_constant_feature_stays_one(self, house):
        snapshot, _ = house.month(rows(2, colour=["red"] * ROWS))
        assert snapshot.column("colour").role is ColumnRole.FEATURE

    def test_an_ignored_column_stays_ignored_until_the_file_says_otherwise(self):
        house = House()
        house.month(rows(flag=["1"] * ROWS))
        varied = rows(2, flag=["1", "2"] * (ROWS // 2))
        assert house.month(varied)[0].column("flag").role is ColumnRole.IGNORED
        named = {"columns": {"flag": {"role": "feature"}}}
        assert house.month(varied, data=named)[0].column("flag").role is ColumnRole.FEATURE

    def test_a_sensitive_column_stays_so_and_an_exclusion_ends_with_its_key(self):
        house = House()
        plan = ["s", "m"] * (ROWS // 2)
        house.month(rows(plan=plan), data={"sensitive": ["colour"], "exclude": ["age"]})
        snapshot, _ = house.month(rows(2, plan=plan), data={"sensitive": []})
        assert snapshot.column("colour").role is ColumnRole.SENSITIVE
        assert snapshot.column("age").role is ColumnRole.FEATURE


class TestPrecedence:
    def written(self, **column) -> DataContract:
        kept = ContractColumn(name="age", origin=ContractOrigin.PERSON, **column)
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        return DataContract(model="churn", version=1, columns=(kept,), decided_at=moment)

    def test_the_model_s_file_over_the_contract_s_over_the_accepted_one(self, house):
        house.ports.contracts.written = self.written(kind=ColumnKind.NUMBER)
        assert house.month(rows(2))[0].column("age").kind is ColumnKind.NUMBER
        told = {"columns": {"age": {"kind": "category"}}}
        snapshot, report = house.month(rows(3), data=told)
        assert (snapshot.column("age").kind, report.status) == (ColumnKind.CATEGORY, "pass")
        assert house.contract.column("age").origin is ContractOrigin.PERSON

    def test_two_readings_are_settled_by_a_person(self):
        house = House(data={"columns": {"age": {"kind": "number", "decimal": ","}}})
        snapshot, report = house.month(rows(age=["20,5", "31,25"] * (ROWS // 2)))
        assert report.status == "pass"
        assert house.ports.snapshots.load(snapshot)["age"].tolist()[:2] == [20.5, 31.25]

    def test_a_role_against_the_model_s_file_is_refused(self, house):
        house.ports.contracts.written = self.written(kind=ColumnKind.NUMBER, role=ColumnRole.TARGET)
        with pytest.raises(DataRefusedError) as caught:
            house.month(rows(2))
        assert caught.value.code == "WS-DATA-071"

    def test_another_positive_class_in_the_file_is_named(self, house):
        written = self.written(kind=ColumnKind.INTEGER).replace(positive="No")
        house.ports.contracts.written = written
        assert codes(house.month(rows(2))[1]) == ["WS-DATA-145"]

    def test_a_champion_from_before_contracts_is_one(self):
        fields = (
            InputField(name="age", kind=ColumnKind.INTEGER),
            InputField(name="ok", kind=ColumnKind.BOOLEAN, true_word="ja", false_word="nein"),
        )
        schema = InputSchema(model="churn", fields=fields, answer=Answer.CLASS, classes=(1, 2, 3))
        columns = {column.name: column for column in columns_of_champion(schema, make_spec())}
        assert columns["ok"].true_word == "ja"
        assert columns["churned"].kind is ColumnKind.INTEGER
        assert columns["churned"].classes == ("1", "2", "3")
        assert {column.origin for column in columns.values()} == {ContractOrigin.CHAMPION}

    @pytest.mark.parametrize("words", [("Yes", "No"), ("true", "false"), None])
    def test_so_are_the_words_of_its_target(self, words):
        fields = (InputField(name="age", kind=ColumnKind.INTEGER),)
        schema = InputSchema(
            model="churn", fields=fields, answer=Answer.CLASS, classes=(False, True), label_words=words
        )
        target = columns_of_champion(schema, make_spec())[-1]
        assert (target.kind, target.true_word, target.false_word) == (
            ColumnKind.BOOLEAN,
            *(words or (None, None)),
        )

    def test_what_an_old_champion_was_trained_with_is_how_rows_are_read(self):
        house = House()
        self.champion_of(house, InputField(name="age", kind=ColumnKind.CATEGORY))
        snapshot, report = house.month(rows())
        assert (snapshot.column("age").kind, snapshot.contract) == (ColumnKind.CATEGORY, 1)
        assert [ask.split(":")[0] for ask in report.asks] == ["column colour is new"]
        assert house.contract.column("age").origin is ContractOrigin.CHAMPION

    def test_a_promotion_settles_what_was_asked(self, house):
        changed = {"colour": None, "plan": ["s", "m"] * (ROWS // 2)}
        assert len(house.month(rows(2, **changed))[1].asks) == 2
        fields = [InputField(name=name, kind=ColumnKind.CATEGORY) for name in ("age", "plan")]
        self.champion_of(house, *fields)
        assert house.month(rows(3, **changed))[1].asks == ()
        assert [column.name for column in house.contract.columns] == ["customer_id", "age", "churned", "plan"]
        assert house.month(rows(4, **changed))[1].asks == ()
        assert house.contract.version == 2

    def test_a_champion_that_cannot_be_verified_is_named(self, house):
        self.champion_of(house, InputField(name="age", kind=ColumnKind.CATEGORY), broken=True)
        snapshot, _ = house.month(rows(2))
        assert "the champion's schema does not count: WS-BUNDLE-001" in " ".join(snapshot.findings)

    def champion_of(self, house, *fields, broken=False) -> None:
        """Let a champion with these fields serve."""
        schema = InputSchema(model="churn", fields=fields, answer=Answer.CLASS, classes=(False, True))
        entry = LedgerEntry(
            model="churn", action=LedgerAction.COMMIT, epoch=2, version="1", digest=digest("1"),
            actor="scheduler", body={"bundle_uri": "memory://1"},
        )  # fmt: skip
        house.ports.ledger.append(entry, after_seq=len(house.ports.ledger.rows("churn")))
        if not broken:
            bundle = LoadedBundle(
                manifest=None, digest=digest("1"), pipeline=None, schema=schema, golden=None
            )
            house.ports.bundles.by_digest[digest("1")] = bundle

    def test_without_any_there_is_none_to_show(self):
        with pytest.raises(DataRefusedError) as caught:
            require_contract(make_spec(), fake_ports(contracts=FakeContracts()))
        assert caught.value.code == "WS-DATA-072"


def held(kind: str, **fields) -> ContractColumn:
    return ContractColumn(name="x", kind=ColumnKind(kind), **fields)


@pytest.mark.parametrize(
    ("column", "given", "values", "unread"),
    [
        (held("number"), ["1.5", "free", "NA", ""], [1.5, None, None, None], 1),
        (held("integer"), ["01", "2", "x"], [1, 2, None], 1),
        (held("boolean", true_word="ja", false_word="nein"), ["JA", "nein", "yes"], [True, False, None], 1),
        (held("boolean"), ["t", "F", "x"], [True, False, None], 1),
        (held("category"), ["1.0", "NA", ""], ["1.0", "NA", None], 0),
        (held("category", form=ValueForm(nulls=("x",))), ["a", "x", "X"], ["a", None, "X"], 0),
        (held("number", form=ValueForm(decimal=",", thousands=".")), ["1.234,5", "7"], [1234.5, 7.0], 0),
        (held("number", form=ValueForm(unit="percent")), ["95%", "7 %"], [95.0, 7.0], 0),
    ],
)
def test_a_column_is_read_by_its_meaning(column, given, values, unread):
    read = read_column(pd.Series(given, dtype=object), "x", held=column)
    got = [None if pd.isna(value) else value for value in read.values.tolist()]
    assert (got, read.unread, read.kind) == (values, unread, column.kind)


@pytest.mark.parametrize(
    ("dates", "given"),
    [
        ("", "2026-12-31"),
        ("day_first", "31.12.2026"),
        ("month_first", "12/31/2026"),
        ("epoch_s", "1798675200"),
    ],
)
def test_times_are_read_by_their_form(dates, given):
    column = held("datetime", form=ValueForm(dates=dates))
    read = read_column(pd.Series([given, "soon"], dtype=object), "x", held=column)
    assert read.values[0] == pd.Timestamp("2026-12-31", tz="UTC")
    assert (read.unread, read.shapes) == (1, ("aaaa",))
