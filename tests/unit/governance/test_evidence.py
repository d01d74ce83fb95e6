from __future__ import annotations

import csv
import io
import json

import pytest

from support.builders import (
    CARD,
    digest,
    make_check,
    make_decision,
    make_evaluation,
    make_spec,
    make_validation,
)
from windsock.governance.evidence import build_evidence, evidence_bytes, evidence_uri, gate_table
from windsock.records import Interval, Status

VERSIONS = {"windsock": "0.1.0", "scikit-learn": "1.9.1", "python": "3.11.9"}


def make_evidence() -> dict[str, object]:
    decision = make_decision(validation=make_validation(), requested_by="alice")
    return build_evidence(
        spec=make_spec(), decision=decision, evaluation=make_evaluation(), versions=VERSIONS
    )


def test_the_pack_holds_inputs_by_hash_numbers_card_decision_and_people() -> None:
    pack = json.loads(evidence_bytes(make_evidence()))
    assert pack["inputs"] == {
        "snapshot": digest("1"),
        "bundle": digest("b"),
        "bundle_uri": "memory://bundles/churn/3",
        "spec": make_spec().content_digest(),
        "policy": digest("4"),
        "tracking_run": "run1",
        "training_key": digest("3"),
    }
    assert pack["spec"]["model"]["name"] == "churn"
    assert pack["validation"]["status"] == "pass"
    assert pack["evaluation"]["metrics"][0]["interval"] == {"low": 0.8, "high": 0.88, "level": 0.95}
    assert pack["model_card"]["intended_use"] == CARD["intended_use"]
    assert pack["decision"]["outcome"] == "promote"
    assert pack["decision"]["checks"][0]["name"] == "latency"
    assert pack["versions"] == VERSIONS
    assert pack["requested_by"] == "alice"


def test_the_same_decision_gives_the_same_bytes() -> None:
    assert evidence_bytes(make_evidence()) == evidence_bytes(make_evidence())


def test_a_number_that_is_none_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        evidence_bytes({"auc": float("nan")})


def test_each_decision_on_the_same_bundle_has_a_name_of_its_own() -> None:
    told = evidence_uri("churn", digest("b"), digest("d"))
    assert told == f"evidence/churn/{digest('b')}-{digest('d')[:12]}.json"


def test_the_table_has_a_line_for_each_check() -> None:
    checks = (
        make_check(
            "performance_minimum:f1",
            Status.FAIL,
            value=0.7,
            relation=">=",
            limit=0.8,
            interval=Interval(low=0.6, high=0.75),
            n=200,
            message='f1, "held out"',
        ),
        make_check("model_card"),
    )
    rows = list(csv.DictReader(io.StringIO(gate_table(checks).decode())))
    assert [row["check"] for row in rows] == ["performance_minimum:f1", "model_card"]
    assert rows[0]["low"] == "0.6"
    assert rows[0]["message"] == 'f1, "held out"'
    assert rows[1]["value"] == ""
