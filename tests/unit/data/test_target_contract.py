"""What is said when a target changes: one cause, one check, and all that settles it at once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from support.builders import make_spec
from support.fakes import FakeSources, fake_ports
from support.months import make_spec as shop_spec
from support.pipeline import retrain
from windsock.data.take_snapshot import take_snapshot
from windsock.data.validate_data import validate_data
from windsock.records import TakeSnapshotInput, ValidateDataInput, ValidationReport
from windsock.spec import ModelSpec

ROWS = 150


def table(seed: int, words: tuple[str, ...]) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer_id": [f"c{seed}-{at}" for at in range(ROWS)],
            "age": draw.integers(18, 80, ROWS).astype(str),
            "churned": draw.choice(words, ROWS),
        }
    ).astype(object)


class House:
    """A model whose target changes."""

    def __init__(self) -> None:
        self.ports = fake_ports(sources=FakeSources())
        self.months = 0

    def month(self, words: tuple[str, ...], **blocks: Any) -> ValidationReport:
        self.months += 1
        self.ports.sources.frame = table(self.months, words)
        spec = make_spec(**blocks)
        snapshot = take_snapshot(TakeSnapshotInput(spec=spec), self.ports, "")
        return validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), self.ports, "")

    @property
    def contract(self) -> Any:
        body = self.ports.ledger.rows("churn")[-1].body
        return self.ports.contracts.contract(body["contract_uri"], body["contract_digest"])


def fragment(report: ValidationReport) -> dict[str, Any]:
    """Return the YAML that the one failed check asks for."""
    (failed,) = report.failed
    (text,) = re.findall(r"write (\{.*\}) into the model's file", failed.message)
    written = yaml.safe_load(text)
    assert isinstance(written, dict)
    return written


@pytest.mark.parametrize(
    ("before", "now", "code"),
    [
        (("Yes", "No"), ("maybe", "never"), "WS-DATA-141"),
        (("1", "2", "3"), ("x1", "x2", "3"), "WS-DATA-141"),
        (("1", "2", "3"), ("1", "2", "5+"), "WS-DATA-141"),
        (("Yes", "No"), ("t", "f"), "WS-DATA-141"),
        (("Yes", "No"), ("1", "0"), "WS-DATA-141"),
        (("good", "bad"), ("gut", "schlecht"), "WS-DATA-143"),
        (("good", "bad"), ("good", "poor"), "WS-DATA-143"),
        (("a", "b", "c"), ("x", "y", "z"), "WS-DATA-143"),
        (("1", "2", "3"), ("1", "2", "4"), "WS-DATA-143"),
    ],
)
def test_other_classes_fail_once_and_what_is_to_be_written_works(
    before: tuple[str, ...], now: tuple[str, ...], code: str
) -> None:
    house = House()
    assert house.month(before).status == "pass"
    report = house.month(now)
    assert [check.code for check in report.failed] == [code]
    assert house.month(now, **fragment(report)).failed == ()
    assert set(now) <= set(house.contract.column("churned").classes)
    assert house.month(now, **fragment(report)).failed == ()


@pytest.mark.parametrize(
    ("before", "now", "positive"),
    [
        (("Yes", "No"), ("t", "f"), "t"),
        (("Yes", "No"), ("1", "0"), "1"),
        (("Yes", "No"), ("ja", "nein"), "ja"),
        (("good", "bad"), ("good", "poor"), "good"),
        (("good", "bad"), ("bad", "great"), "great"),
    ],
)
def test_the_class_that_scores_are_for_goes_on(
    before: tuple[str, ...], now: tuple[str, ...], positive: str
) -> None:
    house = House()
    house.month(before)
    written = fragment(house.month(now))["data"].get("positive", house.contract.positive)
    assert written == positive


def test_what_follows_from_an_unread_target_is_skipped_with_the_reason() -> None:
    house = House()
    house.month(("Yes", "No"))
    report = house.month(("maybe", "never"))
    names = [check.name for check in report.checks]
    assert "target_missing" not in names
    said = next(check.message for check in report.checks if check.name == "target_kind")
    assert "are not counted: its values could not be read" in said


def test_a_class_in_few_rows_is_written_into_no_message() -> None:
    house = House()
    house.month(("a", "b"))
    house.ports.sources.frame = table(2, ("a", "b")).assign(
        churned=lambda frame: frame["churned"].where(frame.index > 2, "Jane Roe")
    )
    spec = make_spec()
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), house.ports, "")
    report = validate_data(ValidateDataInput(spec=spec, snapshot=snapshot), house.ports, "")
    (failed,) = [check for check in report.failed if check.code == "WS-DATA-143"]
    assert "list all in data.columns.churned.classes" in failed.message
    assert "Jane" not in snapshot.model_dump_json() + report.model_dump_json()


@pytest.mark.parametrize(
    ("words", "classes"), [(("a", "b", "c"), "abcd"), (("1", "2", "3"), "1234"), (("a", "b"), "abc")]
)
def test_a_listed_class_that_did_not_come_is_accepted_and_recorded(
    words: tuple[str, ...], classes: str
) -> None:
    listed = {"data": {"columns": {"churned": {"classes": list(classes)}}}}
    house = House()
    assert house.month(words, **listed).status == "pass"
    assert house.contract.column("churned").classes == tuple(classes)
    report = house.month(words, **listed)
    said = " ".join(check.message for check in report.checks if check.code == "WS-DATA-140")
    assert f"churned: 1 of {len(classes)} classes are missing" in said
    assert house.month(tuple(classes)).status == "pass"


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        (("Yes", "No"), ["Yes", "No", "Maybe"]),
        (("1", "2", "3"), ["1", "2", "3", "none of it"]),
        (("t", "f"), ["t", "f", "u"]),
    ],
)
def test_a_listed_class_that_the_target_s_kind_cannot_be_is_named_with_the_key(
    words: tuple[str, ...], classes: list[str]
) -> None:
    listed = {"columns": {"churned": {"classes": classes}}}
    house = House()
    assert [check.code for check in house.month(words, data=listed).failed] == ["WS-DATA-121"]
    assert house.month(words).status == "pass"
    (failed,) = house.month(words, data=listed).failed
    assert (failed.code, "churned.kind: category" in failed.message) == ("WS-DATA-121", True)
    kept = {"columns": {"churned": {"classes": classes, "kind": "category"}}}
    assert house.month(words, data=kept).status == "pass"


def test_a_class_that_the_first_file_has_and_the_list_has_not_fails() -> None:
    listed = {"columns": {"churned": {"classes": ["a", "b"]}}}
    (failed,) = House().month(("a", "b", "c"), data=listed).failed
    assert (failed.code, "by data.columns" in failed.message) == ("WS-DATA-143", True)


def test_with_a_champion_the_run_goes_on_to_a_person() -> None:
    draw = np.random.default_rng(3)
    x = draw.normal(0, 1, 900)

    def month(yes: str, no: str, seed: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "id": [f"u{seed}-{at}" for at in range(900)],
                "x": [f"{one:.3f}" for one in x],
                "answer": np.where(x + draw.normal(0, 0.5, 900) > 0, yes, no),
            },
            dtype="string",
        )

    ports, spec = fake_ports(sources=FakeSources(month("Yes", "No", 1))), shop_spec()
    retrain(ports, spec)
    ports.sources.frame = month("ja", "nein", 2)
    snapshot = take_snapshot(TakeSnapshotInput(spec=spec), ports, "")
    report = validate_data(ValidateDataInput(spec=spec, snapshot=snapshot, dry_run=True), ports, "")
    written = fragment(report)
    assert written["gate"] == {"on_insufficient": "ask"}
    content = spec.model_dump(mode="json", by_alias=True)
    content["data"] |= written["data"]
    content["gate"] |= written["gate"]
    done = retrain(ports, ModelSpec.model_validate(content), people=("ann",))
    champion = ports.ledger.champion("shop")
    assert champion is not None
    assert (done["validate_data"].record.status, champion.version) == ("pass", "2")
