"""How often a sound rollout is held, and one at its edge promoted: small simulations with a fixed seed.

The long ones, of 2,000 tests a cell, are in docs/adr/0030-no-outcome-is-no-evidence.md.
"""

from __future__ import annotations

import numpy as np
import pytest

from support.rollout_cases import after, make_plan, make_rollout, make_totals
from windsock.records import ArmTotals, Moments, Status
from windsock.rollout.coverage import coverage
from windsock.rollout.look import Look

LOOKS, UNITS = 20, 1_000
"""Looks of a test, and new units of an arm between two of them."""


def held(
    generator: np.random.Generator,
    labels: float,
    *,
    visits: int = 1,
    refused: float = 0.0,
    lost: float = 0.0,
) -> bool:
    """Return whether coverage fails at any of the looks."""
    rollout = make_rollout(make_plan("canary", metric="accuracy"))
    sums = np.zeros((2, 5))
    for number in range(1, LOOKS + 1):
        for arm in (0, 1):
            asked = generator.geometric(1 / visits, UNITS)
            silent = generator.binomial(asked, refused * arm)
            known = generator.binomial(asked - silent, labels * (1 - lost * arm))
            sums[arm] += [asked.sum(), silent.sum(), (known > 0).sum(), known.sum(), (known * known).sum()]
        look = Look(
            rollout=rollout,
            totals=make_totals(*(_arm(number * UNITS, *one) for one in sums), step=rollout.step),
            before=(),
            now=after(days=8),
        )
        if coverage(look).status is Status.FAIL:
            return True
    return False


def _arm(whole: int, asked: float, silent: float, units: float, labels: float, squares: float) -> ArmTotals:
    seen = Moments(
        units=int(units), num=labels, den=labels, num_num=squares, den_den=squares, num_den=squares
    )
    return ArmTotals(
        units=whole, exposures=int(asked), unanswered={"invalid": int(silent)}, metrics={"accuracy": seen}
    )


CELLS = {
    "one visit, 30 % labelled": {"labels": 0.3},
    "one visit, 99 % labelled, 1 % refused": {"labels": 0.99, "refused": 0.01},
    "many visits, 90 % labelled, 1 % refused": {"labels": 0.9, "visits": 5, "refused": 0.01},
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_labels_alike_in_both_arms_are_seldom_called_lost(cell):
    generator = np.random.default_rng(11)
    assert sum(held(generator, **cell) for _ in range(60)) <= 2


@pytest.mark.parametrize("cell", [{"labels": 0.3, "lost": 0.15}, {"labels": 0.99, "lost": 0.03}])
def test_labels_that_one_arm_lost_are_missed(cell):
    generator = np.random.default_rng(12)
    assert sum(held(generator, **cell) for _ in range(20)) == 20
