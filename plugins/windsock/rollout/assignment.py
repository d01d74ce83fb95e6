"""Sticky assignment: which arm a unit belongs to, the same for the server and for every later analysis."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from windsock.records import BASIS_POINTS
from windsock.spec import canonical_json

BUCKETS = BASIS_POINTS
"""One bucket is one basis point of traffic."""


def bucket(unit: str, *, salt: str, experiment: str) -> int:
    """Return a unit's bucket, 0 to 9,999: SHA-256 of salt, experiment and unit.

    >>> bucket("customer-1", salt="churn", experiment="")
    8446

    :param unit: the person or thing; any text that UTF-8 can write.
    :param salt: salt of the model's route, so that two models do not share their buckets.
    :param experiment: the rollout, so that two rollouts do not share theirs; empty outside of one.
    """
    text = canonical_json([salt, experiment, unit])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % BUCKETS


def assign(unit: str, *, salt: str, experiment: str, shares: Mapping[str, int]) -> str:
    """Return the arm of a unit.

    The arms take ranges of buckets from 0 upwards in the order of ``shares``; the last one has what is left.
    So name the champion last: while the arms before it stand still, an arm whose share grows only gains units
    from the champion, and no unit ever moves between two others.

    :param shares: basis points by arm; they sum to 10,000.
    :raises ValueError: if they do not, or one is negative.
    """
    if sum(shares.values()) != BUCKETS or min(shares.values()) < 0:
        raise ValueError(f"shares must be 0 or more and sum to {BUCKETS}, got {list(shares.values())}")
    left = bucket(unit, salt=salt, experiment=experiment)
    for arm, share in shares.items():
        if left < share:
            return arm
        left -= share
    raise AssertionError("unreachable: the shares cover every bucket")
