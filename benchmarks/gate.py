"""How often the gate passes what is only at its limit, what it takes to pass, and what the intervals cost.

Held-out rows are drawn (or, for shares, all that can be drawn are weighed), measured as the evaluation does,
and judged by the gate's own rule: the whole 95 % interval on the right side. Beside it stands the rule
before, a percentile bootstrap of rows for every metric.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
from gate_rival import RESAMPLES, interval_of, resample, share_low
from gate_worlds import (
    KINDS,
    UNEQUAL,
    apart_for,
    equal_models,
    scores,
    three_classes,
    true_area,
    two_classes,
    unequal_sizes,
)
from harness import Bar, report
from scipy.stats import beta, binom

from windsock.governance.checks import interval_status
from windsock.records import Status
from windsock.statistics.metrics import Scored, make_scorer
from windsock.statistics.units import Units
from windsock.statistics.verdict_intervals import METHODS, compare_models, measure, measure_all

RUNS, QUICK_RUNS = 4_000, 200
RIVAL_RUNS, RIVAL_RESAMPLES = 100, 200
PROCESSES = 2
LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
NOMINAL = 2.5
AREAS_MOST, EQUAL_MOST, POWER_LEAST, COST_MOST = 4.0, 5.0, 80.0, 1.3
KNOWN = ("300 entities of lognormal size", 0.9)
"""The worst of the unequal worlds, which misses the bar in five metrics, as docs/methods.md says."""
KNOWN_MOST = 7.5
AREA_SIZES = ((20, 20), (20, 180), (180, 20), (50, 450), (200, 800))
AREAS = (0.7, 0.85, 0.95)
ALL_ROWS = 200


class Cell(NamedTuple):
    """One line: what was drawn, how often each rule passed it, and the bar."""

    what: str
    ours: float
    before: float | None
    limit: float | None
    at_most: bool = True


def most(runs: int, rate: float = NOMINAL) -> float:
    """Return up to which share so many draws may pass at the limit: a rate, and three standard errors."""
    return rate + 3 * (rate * (100 - rate) / runs) ** 0.5


def passes(found: Any, limit: float) -> bool:
    """Return whether the gate passes a metric at a limit."""
    return found.interval is not None and interval_status(found.interval, ">=", limit) is Status.PASS


def _share_rows(name: str, hits: int, carrying: int) -> Scored:
    """Return rows of which so many carry a share: all for accuracy, positives for recall."""
    rows = carrying if name == "accuracy" else max(ALL_ROWS, 2 * carrying)
    truth = np.zeros(rows, dtype="int64")
    truth[:carrying] = name != "accuracy"
    answered = truth.copy()
    answered[hits:carrying] = 1 - answered[hits:carrying]
    return Scored(truth=truth, answers=np.eye(2)[answered], classes=2, positive=1, predicted=answered)


def _passing(name: str, carrying: int) -> list[Any]:
    """Return what is found for each number of right rows."""
    found = []
    for hits in range(carrying + 1):
        scored = _share_rows(name, hits, carrying)
        found.append(METHODS[name].found(METHODS[name].of(scored), Units(rows=scored.truth.size)))
    return found


def share_cell(name: str, carrying: int) -> list[Cell]:
    """Return the worst limit's chance that a share at the limit passes, exactly."""
    found, hits = _passing(name, carrying), np.arange(carrying + 1)
    ours, before = [], []
    for limit in LIMITS:
        chance = binom.pmf(hits, carrying, limit)
        ours.append(100 * sum(chance[place] for place in hits if passes(found[place], limit)))
        before.append(100 * sum(chance[place] for place in hits if share_low(place, carrying) >= limit))
    what = f"{name} at the limit, {carrying:,} {'rows' if name == 'accuracy' else 'positives'}"
    return [Cell(what, max(ours), max(before), NOMINAL)]


def share_power_cell(rows: int, true: float, limit: float) -> list[Cell]:
    """Return the chance that a true accuracy above the limit passes, exactly."""
    found, hits = _passing("accuracy", rows), np.arange(rows + 1)
    chance = binom.pmf(hits, rows, true)
    ours = 100 * sum(chance[place] for place in hits if passes(found[place], limit))
    before = 100 * sum(chance[place] for place in hits if share_low(place, rows) >= limit)
    return [Cell(f"accuracy {true} against {limit}, {rows:,} rows", ours, before, POWER_LEAST, at_most=False)]


def _before(name: str, scored: Scored, seed: int) -> tuple[float, float] | None:
    rows = scored.truth.size
    scorer = make_scorer(name, scored)
    return interval_of(resample({name: scorer}, rows, resamples=RIVAL_RESAMPLES, seed=seed)[name])


def _rate(
    runs: int, name: str, limit: float, drawn: Callable[[np.random.Generator], Scored], seed: int
) -> tuple[float, float]:
    """Return how often each rule passes, in percent; the one before on fewer draws."""
    draw, ours, before = np.random.default_rng(seed), 0, 0
    least = min(runs, RIVAL_RUNS)
    for run in range(runs):
        scored = drawn(draw)
        ours += passes(measure(name, scored, Units(rows=scored.truth.size)), limit)
        if run < least:
            interval = _before(name, scored, run)
            before += interval is not None and interval[0] >= limit
    return 100 * ours / runs, 100 * before / least


def area_cell(name: str, kind: str, area: float, size: tuple[int, int], runs: int) -> list[Cell]:
    """Return how often an area at the limit passes."""
    apart = apart_for(kind, area)
    true = true_area(kind, apart, *size, roc=name == "roc_auc")
    drawn = partial(_scores, kind, apart, size)
    ours, before = _rate(runs, name, true, drawn, 7)
    what = f"{name} {true:.3f} at the limit, {kind}, {size[0]} of {sum(size):,} positive"
    limit = AREAS_MOST if runs >= RUNS else most(runs, AREAS_MOST)
    return [Cell(what, ours, before, limit)]


def _scores(kind: str, apart: float, size: tuple[int, int], draw: np.random.Generator) -> Scored:
    return scores(draw, kind, apart, *size)


def few_cell(name: str, runs: int) -> list[Cell]:
    """Return how often 19 rows of a class pass, which is too few: never."""
    drawn = partial(_scores, "binormal", 3.0, (19, 181))
    ours, before = _rate(min(runs, 200), name, 0.5, drawn, 8)
    return [Cell(f"{name} with 19 positives passes 0.5", ours, before, 0.0)]


def area_power_cell(runs: int) -> list[Cell]:
    """Return how often a true area of 0.85 on 1,000 rows, 300 of them positive, passes 0.80."""
    drawn = partial(_scores, "binormal", apart_for("binormal", 0.85), (300, 700))
    ours, before = _rate(runs, "roc_auc", 0.8, drawn, 9)
    return [Cell("roc_auc 0.85 against 0.8, 1,000 rows", ours, before, POWER_LEAST, at_most=False)]


def mean_cell(name: str, rows: int, right: float, runs: int) -> list[Cell]:
    """Return how often a mean over three classes at the limit passes."""
    limit = make_scorer(name, three_classes(np.random.default_rng(5), 2_000_000, right))(None)
    ours, before = _rate(runs, name, limit, lambda draw: three_classes(draw, rows, right), 10)
    return [Cell(f"{name} {limit:.3f} of three classes at the limit, {rows} rows", ours, before, most(runs))]


def binary_cell(name: str, rows: int, runs: int) -> list[Cell]:
    """Return how often a share of a changing number of rows, or a mean of two, passes at the limit."""

    def drawn(draw: np.random.Generator, count: int = rows) -> Scored:
        truth = (draw.random(count) < 0.2).astype("int64")
        return two_classes(truth, draw.normal(-1.0 + 2.6 * truth, 1.0))

    limit = make_scorer(name, drawn(np.random.default_rng(5), 2_000_000))(None)
    ours, before = _rate(runs, name, limit, drawn, 12)
    return [Cell(f"{name} {limit:.3f} at the limit, {rows} rows", ours, before, most(runs))]


EQUAL_NAMES = ("accuracy", "recall", "f1", "balanced_accuracy", "roc_auc", "average_precision", "log_loss")


def equal_cell(shared: float, runs: int) -> list[Cell]:
    """Return how often one of two equal models of 50 entities with 10 rows each is taken to be better."""
    ours, before = _promoted(EQUAL_NAMES, lambda draw: np.full(50, 10), shared, runs)
    least = min(runs, RIVAL_RUNS)
    return [
        Cell(
            f"equal models, {name}, 50 entities x 10 rows that share {shared:.0%}",
            100 * ours[name] / runs,
            100 * before[name] / least,
            EQUAL_MOST if runs >= RUNS // 2 else most(runs, EQUAL_MOST),
        )
        for name in EQUAL_NAMES
    ]


def unequal_cell(kind: str, shared: float, runs: int) -> list[Cell]:
    """Return up to how often one of two equal models is taken to be better, of entities of unequal size.

    The number is the upper 95 % limit of the share of the draws; without an interval nothing is promoted.
    """
    names = (*EQUAL_NAMES, "f1_weighted")
    ours, before = _promoted(names, partial(unequal_sizes, kind), shared, runs)
    bar = KNOWN_MOST if (kind, shared) == KNOWN else EQUAL_MOST
    return [
        Cell(
            f"equal models, {name}, {kind}, rows share {shared:.0%}, upper limit",
            100 * upper_share(ours[name], runs),
            100 * before[name] / min(runs, RIVAL_RUNS),
            bar if runs >= RUNS // 2 else most(runs, bar),
        )
        for name in names
    ]


def upper_share(hits: int, runs: int) -> float:
    """Return the upper limit of the one-sided 95 % interval of a share (Clopper-Pearson)."""
    return float(beta.ppf(0.95, hits + 1, runs - hits)) if hits < runs else 1.0


def _promoted(
    names: tuple[str, ...], sizes: Callable[[np.random.Generator], Any], shared: float, runs: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Count how often each rule takes the first of two equal models to be better, by metric."""
    draw = np.random.default_rng(11)
    ours, before = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for run in range(runs):
        one, other, units = equal_models(draw, sizes(draw), shared=shared)
        for name in names:
            found = compare_models(name, "champion", ours=one, theirs=other, units=units)
            ours[name] += found.interval is not None and found.interval.low > 0
            if run < RIVAL_RUNS:
                pair = {"one": make_scorer(name, one), "other": make_scorer(name, other)}
                values = resample(pair, units.rows, resamples=RIVAL_RESAMPLES, seed=run)
                sign = -1 if name == "log_loss" else 1
                interval = interval_of(sign * (values["one"] - values["other"]))
                before[name] += interval is not None and interval[0] > 0
    return ours, before


def cost_cell(rows: int) -> list[Cell]:
    """Return the processor time of all intervals of an evaluation, as a part of the rule before."""
    draw = np.random.default_rng(13)
    one, other, _ = equal_models(draw, np.full(rows // 10, 10), shared=0.0)
    names, units = [name for name in METHODS if name not in ("r2", "rmse", "mae")], Units(rows=rows)
    begun = time.process_time()
    measure_all(names, one, units)
    for opponent in ("baseline", "champion"):
        compare_models("roc_auc", opponent, ours=one, theirs=other, units=units)
    ours = time.process_time() - begun
    scorers = {name: make_scorer(name, one) for name in names}
    scorers |= {f"{name}:": make_scorer("roc_auc", other) for name in ("baseline", "champion")}
    begun = time.process_time()
    resample(scorers, rows, resamples=RESAMPLES // 20, seed=1)
    before = 20 * (time.process_time() - begun)
    return [
        Cell(
            f"intervals of an evaluation of {rows:,} rows, times the rule before",
            ours / before,
            1.0,
            COST_MOST,
        )
    ]


def _name(cell: partial[list[Cell]]) -> str:
    return " ".join(map(str, (cell.func.__name__, *cell.args)))


def _cells(runs: int) -> Iterable[partial[list[Cell]]]:
    yield partial(cost_cell, 100_000)
    for shared in (0.0, 0.5, 0.9):
        yield partial(equal_cell, shared, runs // 2)
    for kind in UNEQUAL:
        for shared in (0.0, 0.9):
            yield partial(unequal_cell, kind, shared, runs // 2)
    yield partial(area_power_cell, runs)
    for name in ("roc_auc", "average_precision"):
        yield partial(few_cell, name, runs)
        for kind, size, area in product(KINDS, AREA_SIZES, AREAS):
            yield partial(area_cell, name, kind, area, size, runs)
    yield from _share_cells(runs)


def _share_cells(runs: int) -> Iterable[partial[list[Cell]]]:
    for name in ("f1", "f1_weighted", "balanced_accuracy", "precision", "recall"):
        for rows, right in ((60, 0.9), (300, 0.8), (300, 0.97)):
            yield partial(mean_cell, name, rows, right, runs)
    for name in ("f1", "f1_weighted", "precision", "balanced_accuracy"):
        for rows in (50, 200, 1_000):
            yield partial(binary_cell, name, rows, runs)
    for rows in (10, 20, 50, 200, 1_000):
        yield partial(share_cell, "accuracy", rows)
    for positives in (3, 5, 20):
        yield partial(share_cell, "recall", positives)
    yield partial(share_power_cell, 1_000, 0.85, 0.80)


def _run(cell: Callable[[], list[Cell]]) -> list[Cell]:
    return cell()


def main() -> int:
    """Run all cells and hold them against their bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few simulations, for a first look")
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="only cells whose function or values have it"
    )
    asked = parser.parse_args()
    chosen = [cell for cell in _cells(QUICK_RUNS if asked.quick else RUNS) if asked.only in _name(cell)]
    if not chosen:
        parser.error(f"no cell has {asked.only!r} in its function's name or its values")
    begun = time.perf_counter()
    with get_context("fork").Pool(PROCESSES) as pool:
        cells = [cell for found in pool.imap(_run, chosen) for cell in found]
    rows, bars = [], []
    for cell in cells:
        unit = "x" if "times" in cell.what else "%"
        before = "-" if cell.before is None else f"{cell.before:.2f} {unit}"
        rows.append((cell.what, f"{cell.ours:.2f} {unit}", before, f"{cell.limit:.3g} {unit}"))
        bars.append(
            Bar(bar=cell.what, value=float(cell.ours), limit=cell.limit, unit=unit, at_most=cell.at_most)
        )
    bars.append(Bar(bar="minutes", value=(time.perf_counter() - begun) / 60, limit=20, unit="min"))
    return report("gate", "What the gate passes", ("what", "windsock", "rule before", "bar"), rows, bars)


if __name__ == "__main__":
    sys.exit(main())
