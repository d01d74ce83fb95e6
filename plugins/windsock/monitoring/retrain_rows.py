"""What a retrain would learn from: since when the world is another one, and how many labels came since."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from windsock.monitoring.onset import find_onset, searched_from
from windsock.monitoring.performance_case import labelled_of
from windsock.monitoring.performance_metrics import read_labels
from windsock.ports import Ports
from windsock.records import (
    Champion,
    Episode,
    InputSchema,
    RetrainOutcome,
    RowsNeeded,
    Span,
    Status,
    WindowKind,
    WindowVerdict,
)
from windsock.records.accepted_drift import Accepted, is_accepted
from windsock.records.stretches import Stretch, open_stretch
from windsock.spec import ModelSpec, parse_duration

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ROWS = 250
"""A retrain needs so many labelled answers since the onset: a fifth of them is held out, and on these 50 a
model that wins back .13 of AUC is proved in half of all tries, and .34 in 7 of 10."""
FEWEST_OF_CLASS = 125
"""Of two classes it needs so many of the rarer one: some 25 of them are held out, and with fewer than 20 of a
class the gain of an area has no interval, so that no version could win."""
FEWEST_KNOWN = 30
"""Fewer labelled answers do not say how they come."""
CODE = "WS-MONITORING-100"


class Ready(NamedTuple):
    """An episode with what is known of its rows.

    :param waits_for: what its retrain waits for; ``None``: nothing.
    :param told: the same as a sentence.
    """

    episode: Episode
    waits_for: RowsNeeded | None = None
    told: str = ""


@dataclass(frozen=True, kw_only=True)
class RetrainRows:
    """Finds what the retrain of a new episode would learn from.

    :param windows: verdicts, as far back as the policy goes.
    :param accepted_until: up to when a person has accepted drift or loss: a stretch begins after it.
    :param episodes: the model's episodes in the order in which they were opened.
    """

    spec: ModelSpec
    ports: Ports
    champion: Champion
    windows: Sequence[WindowVerdict]
    episodes: Sequence[Episode]
    now: datetime
    accepted_until: Accepted = Accepted()

    def __call__(self, episode: Episode, *, again: bool = False) -> Ready:
        """Return the episode with onset and rows, and what its retrain waits for.

        One that was announced before, or that an event from outside asks for, stays as it is. Where no label
        has come for as long as a retrain mixes rows in, none are waited for.

        :param again: whether the last retrain has won something back: the next one needs twice its rows.
        :raises WindsockError: if the log or the labels cannot be read.
        """
        if episode.trigger == "event" or episode.announced:
            return Ready(episode)
        stretch = self._stretch(episode.trigger)
        if stretch is None:  # a window of another version passed since
            return Ready(episode)
        tries = tries_of(self.episodes, stretch)
        onset = next((one.onset for one in tries), None)
        schema = self.ports.bundles.describe(self.champion.bundle_uri, self.champion.digest).schema
        answers = self._answers(onset or searched_from(stretch, self.spec), schema)
        onset = onset or find_onset(stretch, answers, schema, self.spec)
        labelled = labelled_of(answers)
        if len(labelled) < FEWEST_KNOWN:  # they come late, or not at all
            recent = parse_duration(self.spec.monitoring.retrain.recent)
            labelled = labelled_of(self._answers(self.now - recent, schema))
        learned = labelled if labelled.empty else labelled[labelled["receive_time"] >= onset]
        known = episode.replace(onset=onset, rows=len(learned))
        if labelled.empty:
            return Ready(known)
        return self._ready(known, schema, learned, labelled, _tried(tries, again=again))

    def _stretch(self, kind: WindowKind) -> Stretch | None:
        """Return the open stretch; it may have begun long before the windows that the policy counts."""
        windows = self.windows
        if not any(one.kind == kind and one.status is Status.PASS for one in windows):
            kept = self.ports.monitor.windows(self.spec.name, kind)
            windows = [one for one in kept if not is_accepted(one, self.accepted_until)]
        return open_stretch(windows, kind, now=self.now)

    def _answers(self, since: datetime, schema: InputSchema) -> pd.DataFrame:
        joined = self.ports.rows.labelled(
            self.spec.name,
            Span(start=since, end=self.now),
            self.spec.monitoring.labels,
            schema=schema,
            as_of=self.now,
            features=False,
        )
        return joined.frame if joined.frame.empty else read_labels(joined.frame, schema)[0]

    def _ready(
        self,
        episode: Episode,
        schema: InputSchema,
        learned: pd.DataFrame,
        labelled: pd.DataFrame,
        tried: int,
    ) -> Ready:
        rows, needed, why = len(learned), FEWEST_ROWS, ""
        if schema.positive is not None:
            counts = Counter(learned["label"].tolist())
            rarer = min(counts[one] for one in schema.classes)
            if rarer < FEWEST_OF_CLASS:
                needed = max(needed, rows + 1, math.ceil(rows * FEWEST_OF_CLASS / max(1, rarer)))
                why = (
                    f"; {FEWEST_OF_CLASS} of the rarer class are needed and {rarer:,} are there, "
                    f"so it takes some {needed:,} answers"
                )
        if 2 * tried > needed:
            needed = 2 * tried
            why += f"; the last try had {tried:,}, which were too few: twice as many are needed"
        if rows >= needed or episode.onset is None:
            return Ready(episode)
        expected = expected_at(labelled, rows, needed, onset=episode.onset, now=self.now)
        waits = RowsNeeded(rows=rows, needed=needed, expected_at=expected)
        since = f"{episode.onset:%Y-%m-%d %H:%M} UTC"
        told = f"{CODE}: a retrain waits for labelled answers since {since}: {waits.told}{why}"
        return Ready(episode, waits, told)


def _tried(tries: Sequence[Episode], *, again: bool) -> int:
    """Return the rows of the last try that proved too little."""
    counted = [one.rows or 0 for one in tries if one.outcome is RetrainOutcome.TOO_FEW or again]
    return max(counted, default=0)


def tries_of(episodes: Sequence[Episode], stretch: Stretch) -> list[Episode]:
    """Return the episodes of a stretch that know its onset, in the order in which they were opened."""
    return [
        one
        for one in episodes
        if one.trigger == stretch.kind and one.onset is not None and stretch.span.start < one.span.end
    ]


def expected_at(
    labelled: pd.DataFrame, rows: int, needed: int, *, onset: datetime, now: datetime
) -> datetime | None:
    """Return when there will be as many labelled answers as are needed; ``None`` where none come any more.

    Labels come as they came since the first answer that has one; those of answers since the onset begin as
    late as labels usually are. None came in the latter half of that time: none come.

    :param labelled: labelled answers of before the onset and since.
    """
    begun: datetime = labelled["receive_time"].min().to_pydatetime()
    came = labelled["label_time"].fillna(labelled["receive_time"])
    late: timedelta = max(timedelta(), (came - labelled["receive_time"]).median().to_pytimedelta())
    span = now - late - begun
    if span <= timedelta() or now - came.max().to_pydatetime() > (now - begun) / 2:
        return None
    each = span / len(labelled)
    return max(now + (needed - rows) * each, onset + late + needed * each)
