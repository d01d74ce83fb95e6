"""What runs of a world come to: false retrains, days to notice and to recover, passes that are none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import TYPE_CHECKING

from loop_rows import DAY, HISTORY

if TYPE_CHECKING:
    from loop_run import Run, Seen
    from loop_worlds import World

AS_GOOD = 0.03
"""So close to a fresh fit a champion has recovered."""
LOST, SLIPPED = 0.10, 0.05
"""True losses at which nothing may pass, and at which passes are told."""
SETTLED = 4
"""Windows after the onset; from the fifth on hardly anything may pass."""
USELESS = 0.7
"""A champion below this area is none that may be called recovered."""
FEW_LABELS = 30


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Of one run.

    :param healthy: days before the onset, or all.
    :param bad: windows of those that failed.
    :param false: retrains granted after them.
    :param granted: retrains granted after the onset.
    :param noticed: days from the onset to the end of the first window that failed; infinite: none did.
    :param asked: days from the onset to the end of the first window after which a retrain was granted or held
        back; ``None``: not measured.
    :param recovered: days from the onset until a champion as good as a fresh fit serves; ``None``: it was
        never worse than one.
    :param lost_days: days on which the champion was no such one.
    :param lost: windows with labels whose look-back has truly lost 0.10, and how many of them say pass: the
        first four windows after the onset, the later ones.
    :param slipped: the same for a loss of 0.05 to 0.10, over all windows.
    :param quiet: windows whose champion is worse than a fresh fit by 0.10, and how many of them do not fail,
        whatever else they say and whether labels are there or not; ``None``: not measured.
    :param mistaken: verdicts that call a champion below 0.7 recovered, those that supersede earlier ones
        among them.
    :param alerts: that were told before the onset, or ever where there is none; ``None``: not measured.
    :param told: days from the onset until an alert was told.
    :param breaker: whether a breaker is open at the end.
    :param opened: windows before the onset, or all where there is none, with an open breaker, and those after
        it; ``None``: not measured.
    :param named: days from the beginning until an alert named the setting that the world needs; infinite:
        none did; ``None``: it needs none.
    :param auc: of the last champion, and of a fresh fit.
    """

    world: str
    seed: int
    healthy: float
    bad: int
    false: int
    granted: int
    noticed: float
    recovered: float | None
    lost_days: float
    lost: tuple[int, int]
    lost_late: tuple[int, int]
    slipped: tuple[int, int]
    mistaken: int
    breaker: bool
    auc: float
    fresh: float
    cpu: float
    asked: float | None = None
    quiet: tuple[int, int] | None = None
    alerts: int | None = None
    told: float | None = None
    opened: tuple[int, int] | None = None
    named: float | None = None

    @property
    def as_good(self) -> bool:
        """Whether the last champion is as good as a fresh fit."""
        return self.fresh - self.auc <= AS_GOOD


def measure(run: Run, world: World) -> Measures:
    """Return what a run came to."""
    onset, length = (world.changed - HISTORY) / DAY, world.window / DAY
    before = [one for one in run.windows if one.start < onset]
    after = [one for one in run.windows if one.start >= onset]
    early, late = after[:SETTLED], after[SETTLED:]
    worse = [one.start for one in after if one.fresh - one.auc > AS_GOOD]
    last = run.windows[-1]
    return Measures(
        world=run.world,
        seed=run.seed,
        healthy=len(before) * length,
        bad=sum(_failed(one) for one in before),
        false=sum(_granted(one) for one in before),
        granted=sum(_granted(one) for one in after),
        noticed=next((one.at - onset for one in after if _failed(one)), inf),
        recovered=_recovered(after, worse, onset),
        lost_days=len(worse) * length,
        lost=_passes([*before, *early], LOST, inf),
        lost_late=_passes(late, LOST, inf),
        slipped=_passes(run.windows, SLIPPED, LOST),
        mistaken=_mistaken(after),
        breaker=last.breaker,
        auc=last.auc,
        fresh=last.fresh,
        cpu=sum(run.cpu.values()),
        quiet=_quiet(after),
        asked=next((one.at - onset for one in after if one.order != "wait"), inf),
        alerts=sum(len(one.told) for one in before),
        told=next((one.at - onset for one in after if one.told), inf),
        opened=(sum(one.breaker for one in before), sum(one.breaker for one in after)),
        named=_named(run.windows, world.right.names) if world.right.names else None,
    )


def _named(windows: Sequence[Seen], setting: str) -> float:
    """Return when an alert named a setting first."""
    return next((one.at for one in windows if any(setting in text for text in one.texts)), inf)


def _failed(one: Seen) -> bool:
    return "fail" in (one.drift, one.performance, *(status for status, *_ in one.again))


def _granted(one: Seen) -> bool:
    return one.order == "grant"


def _recovered(after: Sequence[Seen], worse: Sequence[float], onset: float) -> float | None:
    """Return when a champion serves that stays as good as a fresh fit for the rest of the history."""
    if not worse:
        return None
    return next((one.start - onset for one in after if one.start > worse[-1]), inf)


def _passes(windows: Iterable[Seen], least: float, most: float) -> tuple[int, int]:
    """Return how many windows have such a loss, as far as labels are there, and how many of them pass."""
    said = [
        verdict for one in windows for verdict in ((one.performance, one.loss, one.labelled, 0.0), *one.again)
    ]
    found = [
        status
        for status, loss, labelled, _ in said
        if loss is not None and least <= loss < most and labelled >= FEW_LABELS
    ]
    return len(found), sum(status == "pass" for status in found)


def _quiet(after: Sequence[Seen]) -> tuple[int, int]:
    """Count windows whose champion has truly lost, and those of them that do not fail."""
    lost = [one for one in after if one.fresh - one.auc >= LOST]
    return len(lost), sum(not _failed(one) for one in lost)


def _mistaken(after: Sequence[Seen]) -> int:
    """Count verdicts after a promotion that pass while the champion is useless: it is called recovered.

    A verdict that supersedes an earlier one counts where the champion of its own window is useless.
    """
    promoted = next((place for place, one in enumerate(after) if one.trial == "promoted"), len(after))
    since = after[promoted + 1 :]
    useless = {one.start for one in since if one.auc < USELESS}
    first = sum(one.performance == "pass" and one.start in useless for one in since)
    later = [said for one in since for said in one.again]
    return first + sum(said.status == "pass" and said.start in useless for said in later)


@dataclass(frozen=True, kw_only=True)
class Total:
    """Of all runs of a world by a rule."""

    world: str
    rule: str
    runs: tuple[Measures, ...]

    @property
    def false_rate(self) -> float:
        """False retrains for each 100 healthy days."""
        days = sum(one.healthy for one in self.runs)
        return 100 * sum(one.false for one in self.runs) / days if days else 0.0

    def within(self, days: float) -> int:
        """Return how many runs recovered within so many days, or were never worse."""
        return sum(one.recovered is None or one.recovered <= days for one in self.runs)

    def pairs(self, name: str) -> tuple[int, int]:
        """Return a pair of counts, summed."""
        found = [getattr(one, name) for one in self.runs]
        return sum(many for many, _ in found), sum(passed for _, passed in found)

    def seeds_opened(self) -> str:
        """Return in how many runs a breaker was open at any time."""
        known = [one.opened for one in self.runs if one.opened is not None]
        return str(sum(any(pair) for pair in known)) if known else "-"

    def row(self) -> tuple[str, ...]:
        """Return a line of the table."""
        runs, changed = self.runs, any(one.granted or one.noticed < inf or one.lost_days for one in self.runs)
        known = [one.recovered for one in runs if one.recovered is not None]
        asked = [one.asked for one in runs if one.asked is not None]
        told = [one.told for one in runs if one.told is not None]
        alerts = [one.alerts for one in runs if one.alerts is not None]
        early, late = self.pairs("lost"), self.pairs("lost_late")
        windows = sum(one.bad for one in runs), sum(one.healthy for one in runs)
        return (
            self.world,
            self.rule,
            str(len(runs)),
            f"{self.false_rate:.2f}",
            f"{100 * windows[0] / windows[1]:.0f}" if windows[1] else "-",
            middle([one.noticed for one in runs]) if changed else "-",
            middle(asked) if changed and asked else "-",
            f"{100 * sum(alerts) / windows[1]:.0f}" if alerts and windows[1] else "-",
            middle(told) if changed and told else "-",
            f"{middle(known)} ({sum(days < inf for days in known)}/{len(known)})" if known else "-",
            f"{median(one.lost_days for one in runs):g}",
            f"{early[1]}/{early[0]}",
            f"{late[1]}/{late[0]}",
            "{1}/{0}".format(*self.pairs("slipped")),
            "{1}/{0}".format(*self.pairs("quiet")) if all(one.quiet for one in runs) else "-",
            f"{sum(one.granted for one in runs) / len(runs):.1f}",
            f"{self.seeds_opened()} / {sum(one.breaker for one in runs)}",
            f"{median(one.auc for one in runs):.3f} ({min(one.auc for one in runs):.2f})",
            f"{median(one.fresh for one in runs):.3f}",
            f"{median(one.cpu for one in runs):.1f}",
        )


HEADER = (
    "world",
    "rule",
    "runs",
    "false/100d",
    "bad/100d",
    "noticed",
    "asked",
    "alerts/100d",
    "told",
    "recovered",
    "lost days",
    "pass at .10",
    "from 5th",
    "at .05",
    "quiet",
    "retrains",
    "breaker: ever / end",
    "AUC (worst)",
    "fresh",
    "CPU s",
)


def middle(days: Sequence[float]) -> str:
    """Return the median of some numbers of days in words."""
    found = median(days)
    return "never" if found == inf else f"{found:.3g} d"
