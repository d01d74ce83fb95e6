"""What the gate's limits need: held-out rows, positives and entities, beside those there are today."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from windsock.cli.console import table
from windsock.ports import Ports
from windsock.records import DataSnapshot, LedgerAction, MetricValue, PairedDifference
from windsock.records.check_text import LIMIT, limit_words
from windsock.records.rows import held_out_mask
from windsock.spec import HELD_OUT_PERCENT, ModelSpec, metric_facts

if TYPE_CHECKING:
    from windsock.statistics.gate_planning import Mix, Needed

MARGINS = (0.01, 0.02, 0.05)
GAINS = (0.05, 0.1, 0.2)
"""How much better than one that knows nothing a first model is taken to be: a useful one is far better."""
HEAD = ("limit", "if it truly is", "needs", "held-out rows", "rows in all", "today")
FIRST = "at least {}, for an interval at all; then plan with that evaluation"
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

    :param baseline: the comparison with a model that knows nothing.
    :param source: where that is from, in words.
    """

    metrics: dict[str, MetricValue]
    against: PairedDifference | None
    baseline: PairedDifference | None = None
    source: str


@dataclass(frozen=True, kw_only=True)
class GatePlan:
    """What the limits of a model need.

    :param true_values: where the values come from that are taken to be true.
    :param today: the rows there are.
    :param is_first: whether no champion is there yet.
    :param needs: a row of the table each, by the names of its columns.
    """

    model: str
    power: float
    held_out_percent: int
    true_values: str
    today: str
    is_first: bool
    needs: tuple[dict[str, str], ...]

    def facts(self) -> dict[str, Any]:
        """Return the plan for programs: counts as numbers, what there is none of as ``null``."""
        needs = [{name.replace("-", "_").replace(" ", "_"): _fact(cell) for name, cell in need.items()}
                 for need in self.needs]  # fmt: skip
        return {**asdict(self), "needs": needs}


def _fact(cell: str) -> str | int | None:
    """Return what a cell of the table says."""
    whole = cell.replace(",", "")
    return None if cell == "-" else int(whole) if whole.isdigit() else cell


def plan_of(spec: ModelSpec, ports: Ports, power: float) -> GatePlan:
    """Return what the gate's limits need, beside what there is."""
    seen, today = last_seen(spec, ports), count_today(spec, ports)
    first = ports.ledger.champion(spec.name) is None
    rows = [
        *_limit_rows(spec, seen, today, power),
        *(_baseline_rows(spec, seen, today, power) if first or not spec.gate.minimum else ()),
        *_champion_rows(spec, seen, today, power),
    ]
    return GatePlan(
        model=spec.name,
        power=power,
        held_out_percent=HELD_OUT_PERCENT,
        true_values=seen.source,
        today=today.line,
        is_first=first,
        needs=tuple(dict(zip(HEAD, row, strict=True)) for row in rows),
    )


def plan_lines(plan: GatePlan) -> Iterator[str]:
    """Yield the plan for people."""
    yield (
        f"{plan.model}: to pass with probability {plan.power:g}; {plan.held_out_percent} % of the rows are "
        "held out"
    )
    yield f"true values: {plan.true_values}"
    yield f"today: {plan.today}"
    if plan.is_first:
        yield "no champion yet: this model must beat one that knows nothing, every later one its champion"
    yield from table(HEAD, [tuple(need.values()) for need in plan.needs])


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
            baseline=PairedDifference.model_validate(found["baseline"]) if found.get("baseline") else None,
            source=f"those of the last evaluation, of {row.at:%Y-%m-%d}",
        )
    margins = ", ".join(f"{margin:g}" for margin in MARGINS)
    gains = ", ".join(f"{gain:g}" for gain in GAINS)
    source = (
        f"no evaluation yet, so {margins} better than the limits, and {gains} better than knowing nothing"
    )
    return Seen(metrics={}, against=None, source=source)


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
    from windsock.statistics.gate_planning import Mix
    from windsock.statistics.units import units_of
    from windsock.training.target import judged_rows

    frame = ports.snapshots.load(snapshot)
    marked = snapshot.recent_rows, snapshot.onset_rows
    judged = judged_rows(frame, held_out_mask(frame, spec, *marked), snapshot, spec)
    rows = int(judged.sum())
    entity = spec.data.entity
    units = units_of(frame.loc[judged, entity] if entity else None, rows)
    counts = {"rows": rows}
    parts = [f"snapshot {snapshot.digest[:12]}, {rows:,} held-out rows"]
    mix = Mix(None, False)
    if spec.task == "classification" and rows:
        mix, masks = _classes(spec, frame, snapshot, judged)
        for name, mask in masks.items():
            counts[name] = int(mask.sum())
            parts.append(f"{counts[name]:,} {name}")
            if units.clustered:
                counts[f"entities with {name}"] = units.among(mask)
    if units.clustered:
        counts["entities"] = units.effective
        parts.append(f"{units.count:,} entities")
        mix = mix._replace(each=rows / units.count)
    return Today(rows=rows, counts=counts, mix=mix, line="; ".join(parts))


def _classes(spec: ModelSpec, frame: Any, snapshot: DataSnapshot, judged: Any) -> tuple[Mix, dict[str, Any]]:
    """Return the classes' shares, and which held-out rows are of what carries a metric.

    The share of a class of which few rows are held out is that of all rows.
    """
    import numpy as np

    from windsock.statistics.areas import LEAST_OF_CLASS
    from windsock.statistics.gate_planning import Mix
    from windsock.training.target import positive_class, read_labels

    every = read_labels(frame, snapshot, spec)
    classes = np.unique(every).tolist()
    positive = positive_class(spec, classes, snapshot.column(spec.data.target))
    labels = every[judged]
    rarest = min(classes, key=lambda label: int((labels == label).sum()))
    ours = rarest if positive is None else positive
    some = min(int((labels == ours).sum()), int((labels == rarest).sum())) >= LEAST_OF_CLASS
    mix = Mix(float(((labels if some else every) == ours).mean()), positive is not None)
    masks = {mix.name: labels == ours}
    return mix, masks | ({"negatives": labels != ours} if mix.binary else {})


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
            shown = f"{metric}{LIMIT}{limit_words('>=' if rising else '<=', limit)}"
            why = _first(metric, today.mix) if inside else NEVER
            yield _row(shown, f"{true:.4g}", needed, today, why)


def _baseline_rows(spec: ModelSpec, seen: Seen, today: Today, power: float) -> Iterator[tuple[str, ...]]:
    """Yield what the comparison needs that every first model must pass."""
    from windsock.statistics.gate_planning import baseline_value, needed_beside, needed_for_difference

    metric, known = spec.metric, seen.baseline
    shown = f"{metric} better than knowing nothing"
    if known is not None and known.value is not None:
        why = _first(metric, today.mix) if known.value > 0 else NEVER
        needed = None
        if known.interval is not None and known.value > 0:
            reach = known.value - known.interval.low
            needed = needed_for_difference(metric, reach, known, known.value, mix=today.mix, power=power)
        elif known.value > 0 and known.opponent_value is not None:
            needed = needed_beside(
                metric, known.opponent_value, known.value, alike=0.5, mix=today.mix, power=power
            )
        yield _row(shown, f"{known.value:.4g} better", needed, today, why)
        return
    value = baseline_value(metric, today.mix)
    for gain in GAINS:
        needed = None
        if value is not None:
            needed = needed_beside(metric, value, gain, alike=0.5, mix=today.mix, power=power)
        yield _row(shown, _better(gain, value), needed, today, _first(metric, today.mix))


def _champion_rows(spec: ModelSpec, seen: Seen, today: Today, power: float) -> Iterator[tuple[str, ...]]:
    from windsock.statistics.gate_planning import (
        USUAL,
        independent_reach,
        needed_beside,
        needed_for_difference,
    )

    metric, margin, alone = spec.metric, spec.gate.against_champion, seen.metrics.get(spec.metric)
    gains: tuple[float, ...] = MARGINS
    shown = f"{metric} above the champion's"
    if margin != "better":
        shown, gains = f"{metric} not worse by {margin.not_worse:g} than the champion's", (0.0,)
    known: MetricValue | PairedDifference | None = alone
    reach, other = independent_reach(alone) if alone else None, spec.gate.minimum.get(metric, USUAL)
    if alone is not None and alone.value is not None:
        other = alone.value
    if seen.against is not None and seen.against.interval is not None and seen.against.value is not None:
        reach = seen.against.value - seen.against.interval.low or reach
        known = seen.against
    for gain in gains:
        allowed = 0.0 if margin == "better" else margin.not_worse
        if reach and known is not None:
            yield _row(
                shown,
                _better(gain, None),
                needed_for_difference(metric, reach, known, gain or allowed, mix=today.mix, power=power),
                today,
                "",
            )
            continue
        needed = needed_beside(metric, other, gain, margin=allowed, mix=today.mix, power=power)
        yield _row(shown, _better(gain, other if needed else None), needed, today, _first(metric, today.mix))


def _better(gain: float, other: float | None) -> str:
    than = "" if other is None else f" {'than' if gain else 'at'} {other:.4g}"
    return f"{gain:g} better{than}" if gain else f"equal{than}"


def _first(metric: str, mix: Mix) -> str:
    """Return what is needed before the metric's spread can be measured."""
    from windsock.statistics.gate_planning import needed_for_interval

    needed = needed_for_interval(metric, mix)
    count = f"{needed.n:,} {needed.unit}"
    if needed.unit != "rows":
        count += f" ({needed.rows:,} held-out rows)"
    return FIRST.format(count)


def _row(limit: str, true: str, needed: Needed | None, today: Today, why: str) -> tuple[str, ...]:
    if needed is None:
        return limit, true, why, "-", "-", "-"
    whole = math.ceil(needed.rows * 100 / HELD_OUT_PERCENT)
    return limit, true, f"{needed.n:,} {needed.unit}", f"{needed.rows:,}", f"{whole:,}", _there(needed, today)


def _there(needed: Needed, today: Today) -> str:
    """Return how many there are of what is needed, in its own unit; about as many where only answers tell."""
    if not today.rows:
        return "-"
    count = today.counts.get(needed.unit)
    about = ""
    if count is None:
        count, about = today.rows * needed.n // needed.rows, "about "
    return f"{about}{count:,} {needed.unit}: {'enough' if count >= needed.n else 'too few'}"
