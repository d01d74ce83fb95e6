from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from support.builders import digest
from windsock.adapters.ledger_marks import LedgerMarks
from windsock.adapters.signing import create_keys
from windsock.adapters.storage import Storage
from windsock.exceptions import StorageError
from windsock.records import LedgerMark


@pytest.fixture
def marks(tmp_path: Path) -> LedgerMarks:
    return LedgerMarks(Storage(str(tmp_path / "storage")), create_keys(tmp_path / "keys"))


def mark(seq: int, model: str = "churn") -> LedgerMark:
    return LedgerMark(model=model, seq=seq, hash=digest("a"), epoch=seq)


def test_a_mark_comes_back_and_only_goes_forward(marks: LedgerMarks) -> None:
    assert marks.find("churn") is None
    for seq, stands in ((3, 3), (2, 3), (3, 3), (4, 4)):
        marks.put(mark(seq))
        found = marks.find("churn")
        assert found is not None
        assert found.seq == stands
    assert marks.models() == ("churn",)


@pytest.mark.parametrize("change", [{"seq": 1}, {"hash": "0" * 64}, {"epoch": 0}, {"model": "other"}])
def test_a_mark_that_was_changed_is_not_used(
    marks: LedgerMarks, tmp_path: Path, change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    marks.put(mark(5))
    file = tmp_path / "storage" / "ledger" / "churn.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "mark": {**content["mark"], **change}}))
    with caplog.at_level(logging.WARNING):
        assert marks.find("churn") is None
    assert "WS-LEDGER-003" in caplog.text


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"mark": 1, "signature": "x"}'])
def test_what_is_no_mark_is_not_used(marks: LedgerMarks, tmp_path: Path, content: str) -> None:
    file = tmp_path / "storage" / "ledger" / "churn.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert marks.find("churn") is None
    marks.put(mark(1))
    assert marks.find("churn") == mark(1)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "x" * 99, "A"])
def test_what_is_no_model_s_name_has_no_mark(marks: LedgerMarks, name: str) -> None:
    assert marks.find(name) is None


def test_a_storage_that_is_away_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Away(Storage):
        def exists(self, path: str) -> bool:
            raise StorageError("it does not answer")

        def write_bytes(self, path: str, content: bytes, *, keep_first: bool = False) -> bool:
            raise StorageError("it does not answer")

        def names(self, path: str) -> tuple[str, ...]:
            raise StorageError("it does not answer")

    away = LedgerMarks(Away(str(tmp_path)), create_keys(tmp_path / "keys"))
    with caplog.at_level(logging.WARNING):
        assert away.find("churn") is None
        away.put(mark(1))
        assert away.models() == ()
    assert caplog.text.count("does not answer") >= 3
