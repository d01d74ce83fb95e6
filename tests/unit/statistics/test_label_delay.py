from __future__ import annotations

import numpy as np
import pytest

from windsock.statistics.label_delay import label_delay


def seen(delays, ages):
    """Return what is known of answers with these delays, so many hours old."""
    known = delays <= ages
    return label_delay(delays[known], ages[~known])


@pytest.mark.parametrize("delay", [0.0, 1.0, 96.0, 300.0])
def test_a_fixed_delay_is_found_though_young_answers_have_no_label(delay):
    found = seen(np.full(4000, delay), np.linspace(0, 400, 4000))
    assert found.quantile(0.5) == found.quantile(0.9) == delay
    assert found.final == 1.0
    assert found.longest == delay


def test_delays_longer_than_most_answers_are_old_are_not_underrated():
    draw = np.random.default_rng(1)
    delays = draw.exponential(100, 20_000)
    found = seen(delays, draw.uniform(0, 300, 20_000))
    assert found.shares[np.searchsorted(found.hours, 100) - 1] == pytest.approx(1 - np.exp(-1), abs=0.02)


def test_a_delay_that_has_just_become_longer_is_seen():
    """The labels of 30 days came at once; those since come after ten days, the first of them now."""
    ages = np.linspace(0, 42, 4200) * 24
    found = seen(np.where(ages > 12 * 24, 1.0, 240.0), ages)
    assert (found.quantile(0.5), found.longest, found.final) == (1.0, 240.0, 1.0)
    missing = seen(np.where(ages > 12 * 24, 1.0, np.inf), ages)
    assert missing.longest == 1.0


def test_a_straggler_is_not_the_longest_delay():
    ages = np.linspace(0, 100, 5000)
    delays = np.where(np.arange(5000) == 4990, 99.0, 1.0)
    assert seen(delays, ages).longest == 1.0


def test_labels_that_never_come_are_a_share():
    draw = np.random.default_rng(2)
    delays = np.where(draw.random(5000) < 0.3, 5.0, np.inf)
    found = seen(delays, draw.uniform(0, 200, 5000))
    assert found.final == pytest.approx(0.3, abs=0.03)
    assert found.quantile(0.9) == 5.0


def test_no_label_and_no_answer_have_no_share():
    for ages in (np.arange(50.0), np.array([])):
        found = label_delay(np.array([]), ages)
        assert found.final == 0.0
        assert found.longest == 0.0
