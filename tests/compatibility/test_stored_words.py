"""Every word that 0.1 could write into a row, a record or a log is still known, written or not."""

from __future__ import annotations

from enum import Enum

import pytest

from windsock import records as r

WORDS: dict[type[Enum], set[str]] = {
    r.Answer: {"class", "number"},
    r.ColumnKind: {"boolean", "category", "datetime", "integer", "number"},
    r.ColumnRole: {"entity", "event_time", "feature", "ignored", "sensitive", "target"},
    r.EpisodeState: {"announced", "claimed", "closed"},
    r.LedgerAction: {
        "abandon",
        "approve",
        "ask",
        "commit",
        "deploy",
        "intend",
        "pause",
        "queue",
        "register",
        "reject",
        "resume",
        "roll_back",
        "shift",
    },
    r.Outcome: {"keep", "promote", "refuse"},
    r.RetrainOrder: {"grant", "hold", "wait"},
    r.RetrainOutcome: {"failed", "kept", "promoted", "queued", "refused", "superseded"},
    r.RolloutAction: {"advance", "hold", "keep", "promote", "roll_back"},
    r.RolloutOutcome: {"broken_off", "kept", "promoted", "rolled_back", "stopped"},
    r.Severity: {"critical", "high", "low", "medium", "none"},
    r.Status: {"error", "fail", "insufficient", "pass"},
}


@pytest.mark.parametrize("kind", WORDS, ids=lambda kind: kind.__name__)
def test_every_stored_word_is_known(kind: type[Enum]) -> None:
    assert {kind(word).value for word in WORDS[kind]} == WORDS[kind]
