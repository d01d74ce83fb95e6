"""What the gate's limits need: held-out rows, positives and entities, beside those there are today."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windsock.cli.console import table
from windsock.ports import Ports
from windsock.records import DataSnapshot, LedgerAction, MetricValue, PairedDifference
from windsock.records.rows import held_out_mask, recent_mask
from windsock.spec import HELD_OUT_PERCENT, ModelSpec, metric_facts

if TYPE_CHECKING:
    from windsock.statistics.gate_planning import Mix, Needed

MARGINS = (0.01, 0.02, 0.05)
HEAD = ("limit", "if it truly is", "needs", "held-out rows", "rows in all", "today")
NOTHING_SHOWS = "an evaluation with an interval first: nothing shows yet how it varies"
NEVER = "no number of rows would do: the value itself is not inside the limit"


@dataclass(frozen=True, kw_only=True)
class Today:
    """The held-out rows of the last snapshot.

    :param rows: held-out rows; 0 without a snapshot.
    :param counts: how many there are of what carries a metric.
    """

    rows: int
    counts: dict[str, int]
    mix: Mix
    line: str


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the last evaluation measured.

    :param source: where that is from, in words.
    """

    metrics: dict[str, MetricValue]
    against: PairedDifference | None
    source: str


def plan_lines(spec: ModelSpec, ports: Ports, power: float) -> Iterator[str]:
    """Yield the plan."""
    seen, today = last_seen(spec, ports), count_today(spec, ports)
    yield f"{spec.name}: to pass with probability {power:g}; {HELD_OUT_PERCENT} % of the rows are held out"
    yield f"true values: {seen.source}"
    yield f"today: {today.line}"
    rows = [*_limit_rows(spec, seen, today, power), *_champion_rows(spec, seen, today, power)]
    if rows:
        yield from table(HEAD, rows)
    else:
        yield "no limit is set: write `gate.minimum`, or train a first model to have a champion"


def last_seen(spec: ModelSpec, ports: Ports) -> Seen:
    """Return what the model's last decision at the gate was made from, or else what its champion had."""
    decided = [row for row in ports.ledger.rows(spec.name) if row.action is LedgerAction.DECIDE]
    for row in reversed(decided):
        if "evidence_uri" not in row.body:
            continue
        content = ports.bundles.read_document(row.body["evidence_uri"], row.body["evidence_digest"])
        found: dict[str, Any] = json.loads(content)["evaluation"]
        metrics = [MetricValue.model_validate(one) for one in found["metrics"]]
        against = found.get("against_champion")
        return Seen(
            metrics={one.name: one for one in metrics},
            against=PairedDifference.model_validate(against) if against else None,
            source=f"those of the last evaluation, of {row.at:%Y-%m-%d}",
        )
    margins = ", ".join(f"{margin:g}" for margin in MARGINS)
    return Seen(metrics={}, against=None, source=f"no evaluation yet, so the limits and {margins} better")


def count_today(spec: ModelSpec, ports: Ports) -> Today:
    """Count the held-out rows of the last snapshot, as an evaluation would judge them."""
    from windsock.statistics.gate_planning import Mix

    snapshot, binary = ports.snapshots.latest(spec.name), spec.task == "classification"
    if snapshot is None:
        mix = Mix(0.5 if binary else None, binary)
        line = "no snapshot yet; two classes of equal size are assumed" if binary else "no snapshot yet"
        return Today(rows=0, counts={}, mix=mix, line=line)
    return _count(spec, ports, snapshot)


def _count(spec: ModelSpec, ports: Ports, snapshot: DataSnapshot) -> Today:

    import numpy as np

    from windsock.statistics.gate_planning import Mix
    from windsock.statistics.units import units_of
    from windsock.training.target import positive_class, read_labels

    frame = ports.snapshots.load(snapshot)
    judged = held_out_mask(frame, spec, snapshot.recent_rows) & recent_mask(len(frame), snapshot.recent_rows)
    rows = int(judged.sum())
    entity = spec.data.entity
    units = units_of(frame.loc[judged, entity] if entity else None, rows)
    counts = {"rows": rows}
    parts = [f"snapshot {snapshot.digest[:12]}, {rows:,} held-out rows"]
    positive: float | None = None
    binary = False
    if spec.task == "classification" and rows:
        labels = read_labels(frame, snapshot, spec)
        classes = np.unique(labels).tolist()
        positive_label = positive_class(spec, classes, snapshot.column(spec.data.target))
        binary, labels = positive_label is not None, labels[judged]
        sizes = [int((labels == label).sum()) for label in classes]
        if binary:
            ours = int((labels == positive_label).sum())
            found = {"positives": ours, "negatives": rows - ours}
        else:
            ours = min(sizes)
            found = {"rows of the rarest class": ours}
        positive, counts = ours / rows, counts | found
        parts += [f"{count:,} {name}" for name, count in found.items()]
    if units.clustered:
        counts["entities"] = units.count
        parts.append(f"{units.count:,} entities")
    return Today(
        rows=rows,
        counts=counts,
        mix=Mix(positive, binary, rows / units.count if units.clustered else 1.0),
        line="; ".join(parts),
    )


def _limit_rows(spec: ModelSpec, seen: Seen, today: Today, power: float) -> Iterator[tuple[str, ...]]:
    from windsock.statistics.gate_planning import needed_for_limit

    for metric, limit in sorted(spec.gate.minimum.items()):
        rising = metric_facts(metric).greater_is_better
        known = seen.metrics.get(metric)
        sign = 1 if rising else -1
        values = [limit + sign * margin for margin in MARGINS]
        if known is not None and known.value is not None:
            values = [known.value]
        for true in values:
            if rising and true >= 1 and known is None:
                continue
            needed = needed_for_limit(
                metric, true, limit, rising=rising, mix=today.mix, known=known, power=power
            )
            inside = sign * (true - limit) > 0
            shown = f"{metric} {'>=' if rising else '<='} {limit:g}"
            yield _row(shown, f"{true:.4g}", needed, today, NOTHING_SHOWS if inside else NEVER)


def _champion_rows(spec: ModelSpec, seen: Seen, today: Today, power: float) -> Iterator[tuple[str, ...]]:
    from windsock.statistics.gate_planning import independent_reach, needed_for_difference

    margin, known = spec.gate.against_champion, seen.metrics.get(spec.metric)
    gains: tuple[float, ...] = MARGINS
    shown = f"{spec.metric} above the champion's"
    if margin != "better":
        shown, gains = f"{spec.metric} not worse by {margin.not_worse:g}", (0.0,)
    reach = independent_reach(known) if known else None
    if seen.against is not None and seen.against.interval is not None and seen.against.value is not None:
        reach = seen.against.value - seen.against.interval.low or reach
    for gain in gains:
        needed = None
        room = gain if margin == "better" else margin.not_worse
        if reach and known is not None and room > 0:
            needed = needed_for_difference(spec.metric, reach, known, room, mix=today.mix, power=power)
        yield _row(shown, f"{gain:g} better" if gain else "equal", needed, today, NOTHING_SHOWS)


def _row(limit: str, true: str, needed: Needed | None, today: Today, why: str) -> tuple[str, ...]:
    if needed is None:
        return limit, true, why, "-", "-", "-"
    whole = math.ceil(needed.rows * 100 / HELD_OUT_PERCENT)
    if not today.rows:
        there = "-"
    elif needed.unit in today.counts:
        count = today.counts[needed.unit]
        there = f"{count:,} {needed.unit}: {'enough' if count >= needed.n else 'too few'}"
    else:
        there = f"{today.rows:,} rows: {'enough' if today.rows >= needed.rows else 'too few'}"
    return limit, true, f"{needed.n:,} {needed.unit}", f"{needed.rows:,}", f"{whole:,}", there
