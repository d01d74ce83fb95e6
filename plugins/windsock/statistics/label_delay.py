"""How long labels take, from answers of which many have none yet: the youngest cannot have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST, LEAST_SHARE = 5, 0.02
"""What becomes of fewer answers, or of a smaller share of all, says nothing of the rest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelDelay:
    """The share of answers with a label, by the time since the answer.

    :param hours: times at which labels came, rising.
    :param shares: of all answers, the share with a label by then.
    """

    hours: NDArray[Any]
    shares: NDArray[Any]

    @property
    def final(self) -> float:
        """Share of the answers that ever have a label, as far as was seen."""
        return float(self.shares[-1]) if len(self.shares) else 0.0

    @property
    def longest(self) -> float:
        """The hours in which all labels that come have come, as far as was seen."""
        return float(self.hours[-1]) if len(self.hours) else 0.0

    def quantile(self, share: float) -> float:
        """Return the hours in which such a share of the labels that come has come."""
        import numpy as np

        return float(self.hours[np.searchsorted(self.shares, share * self.final - 1e-9)])


def label_delay(delays: NDArray[Any], ages: NDArray[Any]) -> LabelDelay:
    """Return how long labels take, by Kaplan and Meier: an answer without a label has waited its age so far.

    :param delays: hours from an answer to its label, one for each labelled answer.
    :param ages: hours since the answer, one for each answer without a label.
    """
    import numpy as np

    delays = np.maximum(delays.astype("float64"), 0.0)
    waited = np.sort(np.concatenate([delays, np.maximum(ages.astype("float64"), 0.0)]))
    hours, came = np.unique(delays, return_counts=True)
    waiting = len(waited) - np.searchsorted(waited, hours, "left")
    told = waiting >= max(FEWEST, LEAST_SHARE * len(waited))
    shares = 1 - np.cumprod(1 - came[told] / waiting[told])
    return LabelDelay(hours=hours[told], shares=shares)
