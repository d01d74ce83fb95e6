"""What counts as an exposure and as an outcome."""

from __future__ import annotations

import pytest

from support.rollout_log import RolloutLog, happened, naive, rollout, shown, told_of


@pytest.fixture
def kept(tmp_path):
    return RolloutLog(tmp_path)


class TestTotals:
    def test_exposures_and_outcomes_of_both_arms_are_counted(self, kept):
        rows = [
            shown("1", unit="a"),
            shown("2", unit="a", minute=2),
            shown("3", unit="b", minute=3, variant="challenger", prediction=True, inference_ms=20.0),
            shown("4", minute=4, variant="challenger"),
            shown("5", unit="c", minute=5, fallback_for="challenger"),
        ]
        said = [happened(prediction_id="1", minute=6), happened(2.5, unit="b", event_id="e", minute=7)]
        kept.write(*rows, *said)
        one = rollout()
        live = told_of(kept.totals(one, 30))
        assert live == naive(one, rows, said)
        kept.archive(90)
        assert told_of(kept.totals(one, 90)) == live
        assert len(kept.kept()) == 2
        assert told_of(kept.totals(one, 95)) == live
