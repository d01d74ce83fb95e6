from __future__ import annotations

import pytest

from support.builders import digest, make_version
from support.fakes import FakeLedger
from windsock.exceptions import StaleEpochError
from windsock.governance.version_numbers import registration_or_free
from windsock.records import LedgerAction, LedgerEntry, numbers_used


def ledger(*rows: tuple[str, str]) -> FakeLedger:
    made = FakeLedger()
    for number, (version, bundle) in enumerate(rows):
        entry = LedgerEntry(
            model="churn",
            action=LedgerAction.REGISTER,
            epoch=0,
            version=version,
            digest=digest(bundle),
            actor="scheduler",
            body={"evidence_digest": digest("e"), "bundle_uri": "memory://bundles/churn/3"},
        )
        made.append(entry, after_seq=number)
    return made


def test_every_number_and_what_it_names() -> None:
    rows = ledger(("1", "a"), ("2", "b"), ("1", "a"), ("1", "c")).rows("churn")
    assert numbers_used(rows) == {"1": {digest("a"), digest("c")}, "2": {digest("b")}}
    assert numbers_used(()) == {}


def test_a_registration_is_found_and_a_free_number_is_free() -> None:
    rows = ledger(("1", "a"), ("2", "b")).rows("churn")
    assert registration_or_free(make_version(version="2", digest=digest("b")))(rows) == rows[1]
    assert registration_or_free(make_version(version="3", digest=digest("c")))(rows) is None
    other_evidence = make_version(version="2", digest=digest("b"), evidence_digest=digest("f"))
    assert registration_or_free(other_evidence)(rows) is None


def test_a_number_that_names_another_bundle_by_now_is_not_written_again() -> None:
    rows = ledger(("1", "a")).rows("churn")
    with pytest.raises(StaleEpochError, match=digest("a")[:12]):
        registration_or_free(make_version(version="1", digest=digest("b")))(rows)
