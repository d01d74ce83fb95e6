"""What docs/rollout.md shows is real."""

from __future__ import annotations

import re
import shlex

import pytest
import typer.main

from support.world import world_of
from windsock.adapters.rollout_page_tables import COUNTS
from windsock.cli.app import run
from windsock.cli.rollout import rollout
from windsock.records import RolloutOutcome, RolloutPlan
from windsock.rollout.decision import OWN_CHECKS
from windsock.rollout.outcomes import FEWEST_EVENTS, LOST_SHARE
from windsock.rollout.promotion import PROMOTION
from windsock.rollout.soundness import REPEATED_SHARE, REUSED_SHARE
from windsock.spec.loader import spec_from_bytes
from windsock.spec.rollout_metrics import USUAL_METRICS


@pytest.fixture(scope="module")
def text(project):
    return (project / "docs" / "rollout.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def examples(text):
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


def test_there_is_an_example_of_each_strategy_and_each_loads(examples):
    specs = [spec_from_bytes(example.encode(), "rollout.md") for example in examples]
    assert {spec.rollout.strategy for spec in specs} == {"direct", "canary", "ab", "shadow"}
    for spec in specs:
        if spec.rollout.strategy != "direct":
            assert RolloutPlan.of_spec(spec).shares


def test_the_plan_that_is_shown_is_the_real_one(text, examples, tmp_path, monkeypatch, capsys):
    shown = re.search(r"```text\n\$ windsock (.*?)\n(.*?)```", text, re.DOTALL)
    models = tmp_path / "models"
    models.mkdir()
    offers = next(example for example in examples if "name: offers" in example)
    (models / "offers.yaml").write_text(offers)
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setattr("windsock.cli.rollout.open_standing_ports", lambda settings: world_of(1))
    assert run(shlex.split(shown[1])) == 0
    assert capsys.readouterr().out == shown[2]


def test_every_command_is_explained_and_no_other(text):
    known = set(typer.main.get_command(rollout).commands)
    assert set(re.findall(r"`windsock rollout (\w+) ", text)) == known


def test_every_end_kind_of_metric_and_count_is_explained(text):
    rows = {
        cell for line in text.splitlines() if line.startswith("| ") for cell in re.findall(r"`(\w+)`", line)
    }
    assert {outcome.value for outcome in RolloutOutcome} <= rows
    assert set(USUAL_METRICS) | set(USUAL_METRICS.values()) <= rows
    for name, _ in COUNTS:
        assert name.replace("_", " ") in text


def test_the_checks_are_shown_in_the_order_in_which_they_are_asked_for(text):
    table = text.partition("| | check | rule |")[2].partition("\n\n")[0]
    shown = re.findall(r"^\| \d+ \| `(\w+)`", table, re.MULTILINE)
    assert shown == [*OWN_CHECKS, PROMOTION]


def test_the_limits_that_are_told_are_the_real_ones(text):
    assert f"beyond {LOST_SHARE:.0%}".replace("%", " %") in text
    assert f"beyond {REPEATED_SHARE:.0%} of the exposures".replace("%", " %") in text
    assert f"beyond {REUSED_SHARE:.1%} the rollout holds".replace("%", " %") in text
    assert f"and {FEWEST_EVENTS} to be expected in the smaller one" in text
