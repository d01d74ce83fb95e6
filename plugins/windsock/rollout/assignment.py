"""Sticky assignment: which arm a unit belongs to, the same for the server and for every later analysis."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from json.encoder import encode_basestring

from windsock.records import BASIS_POINTS, largest_share
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


class Assignment:
    """Arms and their shares, made ready to assign many units: the cost of a unit is that of its hash.

    The last arm is the champion, and has what is left. Each of the *k* others, its challengers, has a lane of
    ``10,000 // k`` buckets that it fills from the start. So an arm whose share grows only gains units from
    the champion, and no unit ever moves between two challengers, as long as the arms and their order stay.

    >>> Assignment({"b": 500, "a": 9500}, salt="churn", experiment="").arm("customer-1")
    'a'

    :param shares: basis points by arm; they sum to 10,000.
    :param salt: see :func:`bucket`.
    :param experiment: see :func:`bucket`.
    :raises ValueError: if the shares do not sum to 10,000, one is negative, or a challenger's is greater
        than its lane.
    """

    def __init__(self, shares: Mapping[str, int], *, salt: str, experiment: str) -> None:
        if sum(shares.values()) != BUCKETS or min(shares.values()) < 0:
            raise ValueError(f"shares must be 0 or more and sum to {BUCKETS}, got {list(shares.values())}")
        *challengers, champion = shares
        lane = largest_share(len(challengers))
        self._arms: list[str] = []  # by bucket
        for arm in challengers:
            if shares[arm] > lane:
                raise ValueError(
                    f"share {shares[arm]}: of {len(challengers)} challengers each may have {lane} at most"
                )
            self._arms += [arm] * shares[arm] + [champion] * (lane - shares[arm])
        self._arms += [champion] * (BUCKETS - len(self._arms))
        # The hash of what all units have in common; a unit's text is written as canonical_json writes it.
        self._begun = hashlib.sha256(canonical_json([salt, experiment, ""])[:-3].encode())

    def arm(self, unit: str) -> str:
        """Return the arm of a unit."""
        digest = self._begun.copy()
        digest.update(f"{encode_basestring(unit)}]".encode())
        return self._arms[int.from_bytes(digest.digest()[:8], "big") % BUCKETS]


def assign(unit: str, *, salt: str, experiment: str, shares: Mapping[str, int]) -> str:
    """Return the arm of one unit; for many units make one :class:`Assignment`.

    :raises ValueError: as :class:`Assignment` does.
    """
    return Assignment(shares, salt=salt, experiment=experiment).arm(unit)
