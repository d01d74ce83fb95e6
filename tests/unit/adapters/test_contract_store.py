from __future__ import annotations

import errno
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.builders import digest
from windsock.adapters.contract_store import FileContractStore
from windsock.adapters.storage import Storage
from windsock.exceptions import DataRefusedError, StorageError, UnverifiedSnapshotError
from windsock.records import (
    ColumnKind,
    ColumnRole,
    ContractColumn,
    ContractOrigin,
    DataContract,
    SnapshotStatistics,
    ValueForm,
)
from windsock.records.contract_file import contract_yaml

MOMENT = datetime(2026, 5, 1, tzinfo=UTC)
COLUMNS = (
    ContractColumn(name="kunde: id", kind=ColumnKind.CATEGORY, role=ColumnRole.ENTITY, unique=True),
    ContractColumn(name="나이", kind=ColumnKind.INTEGER, origin=ContractOrigin.CHAMPION),
    ContractColumn(
        name="preis",
        kind=ColumnKind.NUMBER,
        form=ValueForm(decimal=",", thousands=".", unit="currency", nulls=("k.A.", "-")),
    ),
    ContractColumn(name="yes", kind=ColumnKind.BOOLEAN, true_word="yes", false_word="no"),
    ContractColumn(name="2026", kind=ColumnKind.DATETIME, form=ValueForm(dates="%d. %m. %Y")),
    ContractColumn(name="x #1", kind=ColumnKind.CATEGORY, role=ColumnRole.IGNORED),
    ContractColumn(
        name="answer", kind=ColumnKind.INTEGER, role=ColumnRole.TARGET, classes=("1", "2", "true", "a, b")
    ),
)
CONTRACT = DataContract(model="churn", version=3, columns=COLUMNS, positive="1", decided_at=MOMENT)

TWO_ENTITIES = """model: churn
columns:
  a: {kind: category, role: entity}
  b: {kind: category, role: entity}
"""


@pytest.fixture
def store(tmp_path) -> FileContractStore:
    (tmp_path / "contracts").mkdir()
    return FileContractStore(tmp_path / "contracts", Storage(str(tmp_path / "storage")))


def write(store, text: str) -> None:
    (store.contracts_dir / "churn.yaml").write_text(text, encoding="utf-8")


class TestDocuments:
    def test_they_lie_by_their_content_and_come_back(self, store, tmp_path):
        uri, known = store.put(CONTRACT)
        assert uri == str(tmp_path / "storage" / "contracts" / "churn" / "contract" / f"{known}.json")
        assert known == CONTRACT.content_digest()
        assert store.contract(uri, known) == CONTRACT
        assert store.put(CONTRACT) == (uri, known)

    @pytest.mark.parametrize("root", ["/old/storage", "/proc/self/cwd/storage", "s3://bucket/place"])
    def test_of_a_root_that_was_moved_they_are_found_and_verified(self, store, root):
        uri, known = store.put(CONTRACT)
        address = f"{root}/contracts/churn/contract/{known}.json"
        assert store.contract(address, known) == CONTRACT
        with pytest.raises(UnverifiedSnapshotError):
            store.contract(address, digest("0"))

    def test_statistics_too(self, store):
        kept = SnapshotStatistics(
            model="churn", snapshot_digest=digest("1"), rows=9, copies=0, columns=(), taken_at=MOMENT
        )
        assert store.statistics(*store.put(kept)) == kept

    def test_what_was_changed_is_not_believed(self, store, tmp_path):
        uri, known = store.put(CONTRACT)
        file = tmp_path / "storage" / "contracts" / "churn" / "contract" / f"{known}.json"
        file.write_text(file.read_text(encoding="utf-8").replace('"integer"', '"number"'), encoding="utf-8")
        with pytest.raises(UnverifiedSnapshotError) as caught:
            store.contract(uri, known)
        assert caught.value.code == "WS-DATA-073"

    def test_one_of_another_kind_or_none_at_all(self, store):
        uri, known = store.put(CONTRACT)
        with pytest.raises(UnverifiedSnapshotError):
            store.statistics(uri, known)
        with pytest.raises(UnverifiedSnapshotError):
            store.contract(uri.replace(known, digest("0")), known)


class TestPeoplesFile:
    def test_none_is_none_and_an_empty_one_decides_nothing(self, store):
        assert store.written_by_people("churn") is None
        write(store, "# nothing yet\n")
        assert store.written_by_people("churn") is None

    def test_what_is_printed_can_be_saved_as_it_stands(self, store):
        write(store, contract_yaml(CONTRACT))
        read = store.written_by_people("churn")
        by_people = [column.replace(origin=ContractOrigin.PERSON) for column in COLUMNS]
        assert list(read.columns) == by_people
        assert (read.version, read.positive) == (3, "1")

    def test_it_says_who_decided_each_column(self):
        lines = contract_yaml(CONTRACT).splitlines()
        assert lines[-6].endswith("# decided by the champion: it was trained with this")

    def test_five_thousand_columns_fit(self, store):
        many = tuple(ContractColumn(name=f"c{number}", kind=ColumnKind.NUMBER) for number in range(5_000))
        write(store, contract_yaml(CONTRACT.replace(columns=many)))
        assert len(store.written_by_people("churn").columns) == 5_000

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("- a\n", ["no block of keys"]),
            ("model: churn\n", ["columns", "missing"]),
            ("model: churn\ncolumns: {}\n", [":2", "columns", "at least 1"]),
            ("model: other\ncolumns:\n  a: {kind: number}\n", ["'other'", "model: churn"]),
            ("model: churn\nversion: x\ncolumns:\n  a: {kind: number}\n", [":2", "version", "whole number"]),
            ("model: churn\ncolumns:\n  a: {role: feature}\n", [":3", "columns.a.kind", "missing"]),
            ("model: churn\ncolumns:\n  a: {kind: numbr}\n", [":3", "columns.a.kind", "did you mean number"]),
            ("model: churn\ncolumns:\n  a: {kind: number, role: x}\n", ["columns.a.role", "event_time"]),
            ("model: churn\ncolumns:\n  a: {kind: number, decimal: x}\n", ["columns.a.decimal"]),
            ("model: churn\ncolumns:\n  a: {kind: number, decimal: ',', thousands: ','}\n", ["thousands"]),
            ("model: churn\ncolumns:\n  a: {kind: category, decimal: ','}\n", ["decimal", "kind number"]),
            ("model: churn\ncolumns:\n  a: {kind: number, dates: day_first}\n", ["dates", "kind datetime"]),
            ('model: churn\ncolumns:\n  a: {kind: boolean, "true": x}\n', ["columns.a.true", "add"]),
            ('model: churn\ncolumns:\n  a: {kind: boolean, "true": x, "false": X}\n', ["columns.a.false"]),
            ("model: churn\ncolumns:\n  a: {kind: boolean, true: x}\n", ['quote it: "true"']),
            ("model: churn\ncolumns:\n  a: {kind: number, nulls: x}\n", ["columns.a.nulls", "a list"]),
            ("model: churn\ncolumns:\n  a: {kind: number, classes: [1, 1]}\n", ["classes", "twice"]),
            (
                "model: churn\ncolumns:\n  a: {kind: number, unique: x}\n",
                ["columns.a.unique", "true or false"],
            ),
            ("model: churn\ncolumns:\n  a: {kind: number, mean: 3}\n", ["columns.a.mean", "unknown key"]),
            (
                TWO_ENTITIES,
                [":4", "columns.b.role", "2 columns have the role entity"],
            ),
            (
                "model: churn\ncolumns:\n  a: {kind: number}\n  a: {kind: number}\n",
                [":4", "the same key twice"],
            ),
        ],
    )
    def test_nonsense_is_named_by_line_and_key(self, store, text, words):
        write(store, text)
        with pytest.raises(DataRefusedError) as caught:
            store.written_by_people("churn")
        assert caught.value.code == "WS-DATA-070"
        assert [word for word in words if word not in caught.value.message] == []
        assert "windsock data contract churn" in caught.value.next_action


class TestLost:
    def removed(self, file):
        file.unlink()

    def emptied(self, file):
        file.write_bytes(b"")

    def a_folder(self, file):
        file.unlink()
        file.mkdir()

    def a_link_to_itself(self, file):
        file.unlink()
        file.symlink_to(file)

    def without_its_folder(self, file):
        file.unlink()
        file.parent.rmdir()

    @pytest.mark.parametrize(
        "how", ["removed", "emptied", "a_folder", "a_link_to_itself", "without_its_folder"]
    )
    def test_a_document_that_is_not_what_was_written_is_told_from_a_storage_that_is_away(self, store, how):
        uri, known = store.put(CONTRACT)
        getattr(self, how)(Path(uri))
        with pytest.raises(UnverifiedSnapshotError) as caught:
            store.contract(uri, known)
        assert caught.value.code == ("WS-DATA-073" if how == "emptied" else "WS-DATA-074")

    def test_a_storage_that_is_away_is_no_lost_document(self, store, tmp_path):
        uri, known = store.put(CONTRACT)
        (tmp_path / "storage").rename(tmp_path / "elsewhere")
        with pytest.raises(StorageError):
            store.contract(uri, known)

    def test_nor_is_one_that_does_not_answer(self, store, monkeypatch):
        uri, known = store.put(CONTRACT)

        def silent(*_):
            raise OSError(errno.EIO, "no answer")

        monkeypatch.setattr("windsock.adapters.storage_backends.LocalFolder.read", silent)
        with pytest.raises(StorageError):
            store.contract(uri, known)


@pytest.mark.parametrize("target", ["nowhere.yaml", "churn.yaml", "/nonexistent/churn.yaml"])
def test_a_link_that_leads_nowhere_is_no_empty_contract(store, target):
    (store.contracts_dir / "churn.yaml").symlink_to(target)
    with pytest.raises(DataRefusedError, match=r"churn\.yaml is a link") as caught:
        store.written_by_people("churn")
    assert caught.value.code == "WS-DATA-075"
