"""How far a number of a new snapshot may lie from the same number of the accepted ones.

The method is that of Deequ (Schelter et al., "Automating large-scale data quality verification", VLDB 2018,
section 3.4): a metric of each accepted snapshot is kept, and the next one is held against their history. As
in Redyuk et al., "Automating data quality validation for dynamic data ingestion" (EDBT 2021), what has been
accepted is the only example: nobody labels faults.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

FEW = 5
"""With fewer snapshots the wide tolerance holds: how much they differ is not known yet."""
NORMAL_MAD = 1.4826
"""The median absolute deviation times this is a normal distribution's standard deviation."""
STEPS = 3.0
"""So many robust standard deviations of the difference between two successive snapshots are allowed."""
REACH = 4.5
"""Standard errors that sampling alone may explain: 7 of a million, for columns and months are many."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far one number may move, on the scale on which it is compared.

    :param narrow: always allowed, however little snapshots have differed.
    :param wide: allowed while there are few snapshots; the most that later ones are allowed.
    :param jump: a step between two accepted snapshots that is larger was accepted on purpose: what is older
        is another history.
    """

    narrow: float
    wide: float
    jump: float


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What accepted snapshots make of a new one.

    :param low: the least that was seen and may come again.
    :param high: the most.
    :param room: what may be added on either side.
    :param snapshots: how many accepted snapshots it goes by.
    """

    low: float
    high: float
    room: float
    snapshots: int


def what_was_seen(history: Sequence[float], tolerance: Tolerance) -> Seen:
    """Return the span that accepted snapshots have shown, and the room beside it.

    The span begins at the last accepted number and reaches as far as numbers have come back in the past: a
    season that was seen may come again, while a table that has only ever grown may not shrink. The room goes
    by the median absolute successive difference, which one odd snapshot does not move (a robust form of the
    mean square successive difference, von Neumann et al. 1941; Rousseeuw and Croux 1993 for the median).

    :param history: the number in the accepted snapshots, newest first; one at least.
    """
    kept = [history[0]]
    for older in history[1:]:
        if abs(kept[-1] - older) > tolerance.jump:
            break
        kept.append(older)
    last, forward = kept[0], kept[::-1]
    fallen = max((forward[i] - min(forward[i:]) for i in range(len(kept))), default=0.0)
    risen = max((max(forward[i:]) - forward[i] for i in range(len(kept))), default=0.0)
    return Seen(
        low=max(min(kept), last - fallen),
        high=min(max(kept), last + risen),
        room=_room(kept, tolerance),
        snapshots=len(kept),
    )


def _room(kept: Sequence[float], tolerance: Tolerance) -> float:
    if len(kept) < FEW:
        return tolerance.wide
    steps = [abs(one - other) for one, other in zip(kept[1:], kept, strict=False)]
    usual = STEPS * NORMAL_MAD * median(steps)
    return min(tolerance.wide, max(tolerance.narrow, usual))


def error_of_share(share: float, rows: float, other_rows: float) -> float:
    """Return how far two samples' shares may lie apart by chance: REACH standard errors of their difference.

    The pooled two-sample test of proportions (Fleiss, Levin and Paik 2003, section 3.2).
    """
    inside = min(max(share, 0.0), 1.0)
    return REACH * math.sqrt(inside * (1 - inside) * (1 / max(rows, 1) + 1 / max(other_rows, 1)))


def expected_copies(copies: float, rows: int, other_rows: int) -> float:
    """Return the share of copies to expect in more or fewer rows of the same kind.

    Rows fall into K equally likely contents (the occupancy problem; Feller 1968, IV.2): ``n`` rows show
    ``K (1 - exp(-n / K))`` of them. Contents that are not equally likely repeat less than that as rows grow.
    """
    if copies <= 0 or rows <= 0 or other_rows <= 0:
        return 0.0
    low, high = 1e-12, 1.0 / max(1e-12, 1 - copies)  # n / K, found by halving
    for _ in range(100):
        middle = (low + high) / 2
        if -math.expm1(-middle) / middle > 1 - copies:
            low = middle
        else:
            high = middle
    load = low * other_rows / rows
    return 1 + math.expm1(-load) / load
