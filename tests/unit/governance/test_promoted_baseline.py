from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.builders import NOON, PACKS, digest, make_pack
from support.performance import metric
from support.rollout_steps import AB, decided, prove, started_world
from support.world import MODEL, back, deploy, promote, version_of, world_of
from windsock.records import (
    Episode,
    EpisodeState,
    LedgerAction,
    LedgerEntry,
    RetrainOutcome,
    Span,
    Status,
    WindowVerdict,
    baseline_of,
)

DAY = timedelta(days=1)
LOST = NOON - 3 * DAY


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that gives a version's signed evidence an evaluation."""

    def give(
        ports: Any, number: int, auc: float, *, gain: float | None = 0.02, met: int | None = None
    ) -> None:
        version = version_of(number)
        registered = version.registration(ports.ledger.rows(MODEL))
        assert registered is not None
        evaluation = {
            "metrics": [
                metric("roc_auc", auc).model_dump(mode="json"),
                {"name": "f1", "value": None, "n": 3, "status": "error"},
            ],
            "champion": {"digest": digest(f"{met:x}")} if met else None,
            "against_champion": {"interval": {"low": gain, "high": 0.1} if gain is not None else None},
        }
        place = (version.evidence_uri, version.evidence_digest)
        monkeypatch.setitem(PACKS, place, make_pack(version, registered.body, evaluation=evaluation))

    return give


def champion_of_auc(evidence: Any, auc: float = 0.8) -> Any:
    """Return a world whose first champion has that value on its held-out rows."""
    ports = world_of(now=lambda: NOON)
    evidence(ports, 1, auc)
    deploy(ports, 1)
    promote(ports, 1)
    return ports


def met_champion(ports: Any, number: int) -> None:
    """Deploy a version that was judged against the present champion."""
    deploy(ports, number)
    registered = version_of(number).registration(ports.ledger.rows(MODEL))
    rows = ports.ledger.kept[MODEL]
    champion = ports.ledger.champion(MODEL)
    body = {**registered.body, "opponent": champion.digest}
    rows[registered.seq - 1] = registered.model_copy(update={"body": body})


def promoted(ports: Any, number: int) -> dict[str, Any]:
    """Promote a version that was judged against the present champion; return the body of its commit."""
    met_champion(ports, number)
    promote(ports, number)
    commit = ports.ledger.rows(MODEL)[-1]
    assert (commit.action, commit.version) == (LedgerAction.COMMIT, str(number))
    return commit.body


def asked(ports: Any) -> tuple[str, float | None] | None:
    found = baseline_of(ports.ledger.rows(MODEL), "roc_auc")
    return (found.version, found.metrics[0].value) if found else None


def window(ports: Any, start: Any, status: Status) -> None:
    ports.monitor.add_window(
        WindowVerdict(
            model=MODEL,
            kind="performance",
            window=Span(start=start, end=start + DAY),
            version="1",
            digest=digest("1"),
            status=status,
            judged_at=start + DAY,
        )
    )


def episode(ports: Any, trigger: Any, **changed: Any) -> None:
    opened = Episode(
        model=MODEL,
        key="stretch",
        digest=digest("1"),
        trigger=trigger,
        span=Span(start=LOST, end=LOST + DAY),
        opened_at=LOST + DAY,
    )
    ports.monitor.kept_episodes.setdefault(MODEL, {})["stretch"] = opened.replace(**changed)


def fake_ports_at(ports: Any, now: Any) -> Any:
    """Return the same world at another time."""
    return replace(ports, now=lambda: now)


class TestQuiet:
    def test_the_first_champion_sets_it(self, evidence: Any) -> None:
        assert asked(champion_of_auc(evidence)) == ("1", 0.8)

    def test_a_version_that_was_proved_better_raises_it(self, evidence: Any) -> None:
        ports = champion_of_auc(evidence)
        evidence(ports, 2, 0.9, met=1)
        assert [one["name"] for one in promoted(ports, 2)["baseline"]] == ["roc_auc"]
        assert asked(ports) == ("2", 0.9)

    @pytest.mark.parametrize(("gain", "met"), [(0.0, 1), (-0.01, 1), (None, 1), (0.02, 7), (0.02, None)])
    def test_one_that_was_not_does_not(self, evidence: Any, gain: float | None, met: int | None) -> None:
        ports = champion_of_auc(evidence)
        evidence(ports, 2, 0.9, gain=gain, met=met)
        body = promoted(ports, 2)
        assert not body.keys() & {"baseline", "better_than_broken", "baseline_digest"}
        assert asked(ports) == ("1", 0.8)

    def test_a_roll_back_never_touches_it(self, evidence: Any) -> None:
        ports = champion_of_auc(evidence)
        evidence(ports, 2, 0.9, met=1)
        promoted(ports, 2)
        back(ports)
        assert ports.ledger.champion(MODEL).version == "1"
        assert asked(ports) == ("2", 0.9)


class TestTrouble:
    def test_a_promotion_during_a_loss_is_better_than_broken(
        self, evidence: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        ports = champion_of_auc(evidence)
        window(ports, LOST, Status.FAIL)
        window(ports, LOST + DAY, Status.INSUFFICIENT)
        evidence(ports, 2, 0.45, met=1)
        body = promoted(ports, 2)
        assert body["better_than_broken"] == LOST.isoformat()
        assert body["reason"].startswith("better than broken: performance has been lost since 20")
        assert "baseline" not in body
        assert asked(ports) == ("1", 0.8)
        assert "version 2 is better than broken: performance has been lost since 20" in caplog.text

    def test_a_clock_that_was_set_back_hides_no_loss(self, evidence: Any) -> None:
        ports = champion_of_auc(evidence)
        window(ports, NOON + DAY, Status.FAIL)
        evidence(ports, 2, 0.9, met=1)
        assert promoted(ports, 2)["better_than_broken"] == (NOON + DAY).isoformat()
        assert asked(ports) == ("1", 0.8)

    def test_the_promotion_says_so(self, evidence: Any) -> None:
        ports = champion_of_auc(evidence)
        met_champion(ports, 2)
        assert promote(ports, 2).better_than_broken is None
        window(ports, LOST, Status.FAIL)
        met_champion(ports, 3)
        assert promote(ports, 3).better_than_broken == LOST
        assert promote(ports, 3).better_than_broken == LOST

    def test_after_a_recovery_the_baseline_rises_again(self, evidence: Any) -> None:
        ports = champion_of_auc(evidence)
        window(ports, LOST, Status.FAIL)
        window(ports, LOST + DAY, Status.PASS)
        evidence(ports, 2, 0.9, met=1)
        promoted(ports, 2)
        assert asked(ports) == ("2", 0.9)

    @pytest.mark.parametrize(
        ("changed", "broken"),
        [
            ({"trigger": "performance"}, True),
            ({"trigger": "performance", "state": EpisodeState.CLAIMED, "onset": LOST - DAY}, True),
            (
                {
                    "trigger": "performance",
                    "state": EpisodeState.CLOSED,
                    "outcome": RetrainOutcome.QUEUED,
                },
                True,
            ),
            ({"trigger": "drift"}, False),
            ({"trigger": "event", "state": EpisodeState.CLAIMED}, False),
        ],
    )
    def test_while_an_episode_is_open_nothing_sets_it(
        self, evidence: Any, changed: dict[str, Any], broken: bool
    ) -> None:
        ports = champion_of_auc(evidence)
        episode(ports, **changed)
        evidence(ports, 2, 0.9, met=1)
        body = promoted(ports, 2)
        assert asked(ports) == ("1", 0.8)
        since = changed.get("onset", LOST).isoformat() if broken else None
        assert body.get("better_than_broken") == since

    def test_a_closed_episode_is_over(self, evidence: Any) -> None:
        ports = champion_of_auc(evidence)
        episode(ports, "performance", state=EpisodeState.CLOSED, outcome=RetrainOutcome.KEPT)
        evidence(ports, 2, 0.9, met=1)
        promoted(ports, 2)
        assert asked(ports) == ("2", 0.9)


class TestAccepted:
    """What a person has accepted is no loss any more, though no window has passed since."""

    def accepted(self, evidence: Any) -> Any:
        ports = champion_of_auc(evidence)
        window(ports, LOST, Status.FAIL)
        rows = ports.ledger.rows(MODEL)
        lost = Span(start=LOST, end=LOST + DAY).model_dump(mode="json")
        body = {"metrics": [metric("roc_auc", 0.6).model_dump(mode="json")], "window": lost}
        entry = LedgerEntry(
            model=MODEL,
            action=LedgerAction.ACCEPT_LOSS,
            epoch=0,
            version="1",
            digest=digest("1"),
            actor="alice",
            body=body,
        )
        row = ports.ledger.append(entry, after_seq=rows[-1].seq)
        ports.ledger.kept[MODEL][-1] = row.model_copy(update={"at": NOON})
        return ports

    def test_a_version_that_is_proved_better_raises_it_from_there(self, evidence: Any) -> None:
        ports = self.accepted(evidence)
        evidence(ports, 2, 0.7, met=1)
        assert "better_than_broken" not in promoted(ports, 2)
        assert asked(ports) == ("2", 0.7)

    def test_a_loss_of_later_is_one(self, evidence: Any) -> None:
        ports = self.accepted(evidence)
        ports = fake_ports_at(ports, NOON + 3 * DAY)
        window(ports, NOON + DAY, Status.FAIL)
        evidence(ports, 2, 0.7, met=1)
        assert promoted(ports, 2)["better_than_broken"] == (NOON + DAY).isoformat()
        assert asked(ports) == ("1", 0.6)


class TestByARollout:
    """The same holds where a rollout has proved the version: what counts is the gate's paired evidence."""

    @pytest.mark.parametrize(("gain", "version"), [(0.02, "2"), (-0.01, None)])
    def test_in_quiet(self, evidence: Any, gain: float, version: str | None) -> None:
        ports = started_world(spec=AB)
        evidence(ports, 2, 0.9, gain=gain, met=1)
        decided(ports, "promote")
        assert prove(ports, 2, "v2-e4", spec=AB).better_than_broken is None
        assert asked(ports) == ((version, 0.9) if version else None)

    def test_during_a_loss(self, evidence: Any) -> None:
        ports = started_world(spec=AB)
        evidence(ports, 1, 0.8)
        evidence(ports, 2, 0.9, met=1)
        episode(ports, "performance", state=EpisodeState.CLOSED, outcome=RetrainOutcome.QUEUED)
        decided(ports, "promote")
        assert prove(ports, 2, "v2-e4", spec=AB).better_than_broken == LOST
        intent, commit = ports.ledger.rows(MODEL)[-2:]
        assert commit.body["reason"].startswith("v2-e4: ")
        assert intent.body["better_than_broken"] == commit.body["better_than_broken"] == LOST.isoformat()
        assert asked(ports) == ("1", 0.8)


class TestLedgersOfBefore:
    def old(self, evidence: Any) -> Any:
        """Return a world whose champion has evidence, and no baseline in its rows."""
        ports = champion_of_auc(evidence)
        rows = ports.ledger.kept[MODEL]
        rows[:] = [
            one.model_copy(update={"body": {k: v for k, v in one.body.items() if k != "baseline"}})
            for one in rows
        ]
        assert asked(ports) is None
        return ports

    def test_what_was_asked_until_now_is_written_down_when_another_takes_over(self, evidence: Any) -> None:
        ports = self.old(evidence)
        window(ports, LOST, Status.FAIL)
        evidence(ports, 2, 0.45, met=1)
        assert promoted(ports, 2)["baseline_digest"] == digest("1")
        assert asked(ports) == ("1", 0.8)

    def test_the_next_proved_version_sets_its_own(self, evidence: Any) -> None:
        ports = self.old(evidence)
        evidence(ports, 2, 0.82, met=1)
        assert "baseline_digest" not in promoted(ports, 2)
        assert asked(ports) == ("2", 0.82)

    def test_lost_evidence_of_the_old_champion_holds_nothing_up(
        self, evidence: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        ports = self.old(evidence)
        evidence(ports, 2, 0.82, gain=None, met=1)
        first = version_of(1)
        monkeypatch.delitem(PACKS, (first.evidence_uri, first.evidence_digest))
        promoted(ports, 2)
        assert asked(ports) is None
        assert "no baseline is known from version 1" in caplog.text
