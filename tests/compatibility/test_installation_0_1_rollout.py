"""The rollout that 0.1 left under way goes on: old and new users counted to the unit, then a promotion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from support.released import V0_1
from support.rollout_world import look, same_as_tally
from support.shifted import House, clock_at
from windsock import records as r
from windsock.cli.demo_users import Tally
from windsock.exceptions import RolloutRefusedError
from windsock.steps import run_step

pytestmark = pytest.mark.slow

FACTS = V0_1.facts["rollout"]
CHAMPION, CHALLENGER = "2", "3"
OTHERS = 90
"""Outcomes of the hour before, about answers that belong to no rollout."""


def old_users() -> Tally:
    """Return what the users did until the fixture's clock stopped, as they knew it themselves."""
    tally = Tally(told=FACTS["told"], repeated=FACTS["repeated"])
    tally.version_of.update(FACTS["version_of"])
    tally.answers.update(FACTS["answers"])
    tally.converted.update({version: set(units) for version, units in FACTS["converted"].items()})
    return tally


def joined(old: Tally, new: Tally) -> Tally:
    """Return what two crowds did together; no user is in both."""
    assert not set(old.version_of) & set(new.version_of)
    both = Tally(told=old.told + new.told, repeated=old.repeated + new.repeated)
    both.version_of.update({**old.version_of, **new.version_of})
    both.answers.update(old.answers + new.answers)
    for version in (CHAMPION, CHALLENGER):
        both.converted[version] = old.converted.get(version, set()) | new.converted.get(version, set())
    return both


def same_as_users(totals: r.StepTotals, rollout: r.Rollout, tally: Tally) -> None:
    """Hold a count against what the users know, to the unit."""
    assert totals.unknown == OTHERS
    same_as_tally(totals.model_copy(update={"unknown": 0}), rollout, tally)


def ask_again(house: House) -> dict[str, str]:
    """Ask about the units whose answers were noted; return who answered each."""
    noted = V0_1.facts["noted"]["churn"]
    answers = house.ask("churn", noted["rows"], noted["units"], name="again")
    return {unit: str(answer["version"]) for unit, answer in zip(noted["units"], answers, strict=True)}


@dataclass
class Continued:
    """The installation after new users came, and what both looks at the rollout came to."""

    house: House
    rollout: r.Rollout
    new: Tally
    again: dict[str, str]
    before: r.StepTotals
    state: r.RolloutState
    decision: r.RolloutDecision


@pytest.fixture(scope="module")
def continued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Continued]:
    with V0_1.opened(tmp_path_factory.mktemp("rollout"), later=timedelta(minutes=2)) as house:
        ports, spec = house.ports(), house.spec("churn")
        rollout = r.running_rollout(ports.ledger.rows("churn"))
        assert rollout is not None
        before = ports.events.totals(rollout, now=ports.now())
        with house.serving():
            state = run_step("start_rollout", {"spec": spec}, house.ports()).record
            users = house.users(
                "churn",
                rows=V0_1.facts["noted"]["churn"]["rows"],
                rates={CHAMPION: 0.1, CHALLENGER: 0.6},
                name="later",
                visits=1.5,
                doubled=0.1,
            )
            users.send(200)
            again = ask_again(house)
            users.tally.answers.update(again.values())
        with clock_at(V0_1.now + timedelta(minutes=40)), house.serving():
            decision = look(house.ports(), spec)
            assert decision is not None
            yield Continued(house, rollout, users.tally, again, before, state, decision)


def test_what_was_counted_before_is_counted_the_same(continued):
    same_as_users(continued.before, continued.rollout, old_users())
    assert continued.before.experiment == FACTS["experiment"]


def test_counts_that_nobody_signed_are_refused_where_their_log_is_gone(tmp_path):
    """0.1 did not sign what it kept: with the log it is counted anew, without it units would be lost."""
    with V0_1.opened(tmp_path) as house:
        for kind in ("predictions", "outcomes"):
            (house.home / "storage" / kind / "churn" / "20261102T14.parquet").unlink()
        ports = house.ports()
        rollout = r.running_rollout(ports.ledger.rows("churn"))
        with pytest.raises(RolloutRefusedError) as raised:
            ports.events.totals(rollout, now=ports.now())
        assert raised.value.code == "WS-ROLLOUT-047"


def test_a_run_of_the_new_code_finds_the_rollout_under_way(continued):
    state = continued.state
    assert (state.started, state.rollout.experiment, state.waiting) == (False, "v3-e8", None)
    assert state.look_due < V0_1.now


def test_users_stay_in_their_arms(continued):
    """Who was assigned by 0.1 gets the same version now: half of the units by the same salt."""
    noted = V0_1.facts["noted"]["churn"]
    known = {unit: one["version"] for unit, one in zip(noted["units"], noted["answers"], strict=True)}
    assert continued.again == known
    assert continued.new.moved == []
    assert continued.decision.totals.moved == 0


def test_old_and_new_users_are_counted_together(continued):
    same_as_users(continued.decision.totals, continued.rollout, joined(old_users(), continued.new))
    assert continued.decision.totals.repeated_exposures == 0


def test_the_numbers_of_the_decisions_go_on(continued):
    decisions = continued.house.ports().rollouts.decisions("churn", "v3-e8")
    assert [one.number for one in decisions] == [1, 2]
    old = [known for known in FACTS["decisions"] if known[0] == "v3-e8"]
    assert [decisions[0].action.value, decisions[0].totals.exposures] == old[0][3:]
    assert decisions[1] == continued.decision.model_copy(
        update={"report_uri": decisions[1].report_uri, "unchanged": decisions[1].unchanged}
    )


def test_the_decision_was_carried_out(continued):
    assert continued.decision.action is r.RolloutAction.PROMOTE, continued.decision.reason
    ports = continued.house.ports()
    champion = ports.ledger.champion("churn")
    assert (champion.version, champion.replaced) == (
        CHALLENGER,
        V0_1.facts["models"]["churn"]["champion"]["digest"],
    )
    ended = [(one.experiment, one.outcome.value) for one in r.ended_rollouts(ports.ledger.rows("churn"))]
    assert ended == [("v2-e4", "promoted"), ("v3-e8", "promoted")]
    assert ports.ledger.verify("churn").broken_at is None
    assert ports.registry.alias("churn", "champion") == CHALLENGER


def test_the_promoted_version_answers_everybody(continued):
    noted = V0_1.facts["noted"]["churn"]
    answers = continued.house.ask("churn", noted["rows"], noted["units"], name="after")
    assert {answer["version"] for answer in answers} == {CHALLENGER}
    by_challenger = {
        unit: answer["score"]
        for unit, answer in zip(noted["units"], noted["answers"], strict=True)
        if answer["version"] == CHALLENGER
    }
    again = {unit: answer["score"] for unit, answer in zip(noted["units"], answers, strict=True)}
    assert by_challenger.items() <= again.items()


def test_the_new_decision_has_an_evidence_pack_of_its_own(continued):
    decision, ports = continued.decision, continued.house.ports()
    content = ports.bundles.read_document(decision.evidence_uri, decision.evidence_digest)
    assert b"v3-e8" in content
    assert decision.evidence_uri not in V0_1.facts["evidence"]
