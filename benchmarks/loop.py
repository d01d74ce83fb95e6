"""The loop that watches, retrains and lets in: what it makes of worlds whose truth is known.

Small tables, a logistic model and fits without tracking; the judging, the episodes, the claims, the retrains,
the gate's rule and the breakers are the product's own. Each world's right end is in ``loop_worlds.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import inf
from multiprocessing import get_context
from pathlib import Path

from harness import RESULTS, Bar, report
from loop_measures import HEADER, Measures, Total, measure
from loop_rivals import RIVALS, kept_totals
from loop_run import Run, by_product, run_world
from loop_table import write_table
from loop_worlds import FEW_SEEDS, WORLDS, World

OURS = "windsock"
RULES = {OURS: by_product, **RIVALS}
MOST_MINUTES = 45


def bars_of(total: Total, world: World) -> list[Bar]:
    """Hold the runs of a world against its right end."""
    right, runs = world.right, total.runs
    bars = [_false_bar(total, world)]
    early, late = total.pairs("lost"), total.pairs("lost_late")
    both = early[0] + late[0], early[1] + late[1]
    for name, (many, passed), limit in (("", both, 10.0), (" from the fifth window on", late, 1.0)):
        if many:
            said = f"{world.name}: passes at a true loss of .10{name}"
            bars.append(Bar(bar=said, value=100 * passed / many, limit=limit, unit=f"% of {many}"))
    if right.recovered is not None:
        said = f"{world.name}: recovered within {right.recovered:g} days"
        bars.append(_share_bar(said, total.within(right.recovered), total, right.share))
    said = f"{world.name}: as good as a fresh fit at the end{_why(right.no_end)}"
    bars.append(
        _share_bar(said, sum(one.as_good for one in runs), total, None if right.no_end else right.share)
    )
    if right.names:
        said = f"{world.name}: an alert names `{right.names.strip()}`"
        named = sum(one.named is not None and one.named < inf for one in runs)
        bars.append(_share_bar(said, named, total, right.share))
    if world.change is not None:
        value = sum(one.mistaken > 0 for one in runs)
        bars.append(
            Bar(bar=f"{world.name}: a useless champion called recovered", value=value, limit=0, unit="seeds")
        )
    bars.append(_breaker_bar(total, world))
    return bars


def _share_bar(said: str, value: int, total: Total, share: float | None) -> Bar:
    many = len(total.runs)
    limit = None if share is None else share * many
    return Bar(bar=said, value=value, limit=limit, unit=f"of {many} seeds", at_most=False)


def _apart(world: World) -> str:
    """Return why what comes of a world's healthy days is told, and held to no bar; empty where it is."""
    return world.right.apart if world.change is None else ""


def _why(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _breaker_bar(total: Total, world: World) -> Bar:
    """Count the seeds with a breaker open at any time while nothing had changed."""
    when = "at any time" if world.change is None else "before the onset"
    value = sum(one.opened is not None and one.opened[0] > 0 for one in total.runs)
    return Bar(
        bar=f"{world.name}: a breaker open {when}{_why(_apart(world))}",
        value=value,
        limit=None if _apart(world) else 0,
        unit=f"of {len(total.runs)} seeds",
    )


def _false_bar(total: Total, world: World) -> Bar:
    days = sum(one.healthy for one in total.runs)
    return Bar(
        bar=f"{world.name}: false retrains{_why(_apart(world))}",
        value=total.false_rate,
        limit=None if _apart(world) else 1.0,
        unit=f"per 100 of {days:g} healthy days",
    )


def overall_bars(totals: Sequence[Total], worlds: Mapping[str, World]) -> list[Bar]:
    """Hold all worlds together against what is asked of the loop as a whole."""
    held = [total for total in totals if not _apart(worlds[total.world])]
    days = sum(one.healthy for total in held for one in total.runs)
    false = sum(one.false for total in held for one in total.runs)
    bars = []
    if days:
        unit = f"per 100 of {days:g} healthy days"
        bars.append(Bar(bar="all worlds: false retrains", value=100 * false / days, limit=1.0, unit=unit))
    early, late = (
        [sum(counts) for counts in zip(*(total.pairs(name) for total in totals), strict=True)]
        for name in ("lost", "lost_late")
    )
    both = [early[0] + late[0], early[1] + late[1]]
    for name, (many, passed), limit in (("", both, 10.0), (" from the fifth window on", late, 1.0)):
        if many:
            said = f"all worlds: passes at a true loss of .10{name}"
            bars.append(Bar(bar=said, value=100 * passed / many, limit=limit, unit=f"% of {many}"))
    return bars


def _ran(task: tuple[World, int, str]) -> Run:
    world, seed, rule = task
    return run_world(world, seed, rule, RULES[rule])


def run_all(tasks: Sequence[tuple[World, int, str]], processes: int) -> Iterable[Run]:
    """Run histories, the long ones first."""
    ordered = sorted(tasks, key=lambda task: -task[0].per_day * task[0].days / task[0].window.total_seconds())
    if processes == 1:
        yield from map(_ran, ordered)
        return
    with get_context("fork").Pool(processes) as pool:
        yield from pool.imap_unordered(_ran, ordered)


def totals_of(runs: Iterable[Run], worlds: Sequence[World], *, loud: bool) -> list[Total]:
    """Measure runs and put those of a world and a rule together, in the order of the worlds."""
    known = {world.name: world for world in worlds}
    found: dict[tuple[str, str], list[Measures]] = {}
    for run in runs:
        made = measure(run, known[run.world])
        found.setdefault((run.world, run.rule), []).append(made)
        if loud:
            told = (
                f"{made.false} false, {made.granted} retrains, {made.lost_days:g} lost days, {made.auc:.3f}"
            )
            print(f"{run.rule}: {run.world}, seed {run.seed}: {told}; {made.cpu:.1f} s", file=sys.stderr)
    return [
        Total(world=world.name, rule=rule, runs=tuple(sorted(found[world.name, rule], key=_seed)))
        for world in worlds
        for rule in RULES
        if (world.name, rule) in found
    ]


def _seed(one: Measures) -> int:
    return one.seed


def tasks_of(worlds: Sequence[World], seeds: int | None, rivals: bool) -> list[tuple[World, int, str]]:
    """Return every run: the product's in all worlds, the rivals' in the central ones."""
    made = []
    for world in worlds:
        most = min(world.seeds, seeds or world.seeds)
        made += [(world, seed, OURS) for seed in range(1, most + 1)]
        if rivals and world.central:
            made += [(world, seed, rule) for rule in RIVALS for seed in range(1, min(most, FEW_SEEDS) + 1)]
    return made


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--worlds", default="", help="names or parts of them, between semicolons; `central`: the eight"
    )
    parser.add_argument("--seeds", type=int, help="at most so many of each world")
    parser.add_argument("--quick", action="store_true", help="the central worlds, one seed, no rivals")
    parser.add_argument("--no-rivals", dest="rivals", action="store_false", help="the product alone")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="write the measures of the product to this file")
    parser.add_argument(
        "--table", type=Path, help="write the product's lines, as a table for readers, into this document"
    )
    parser.add_argument("--loud", action="store_true", help="tell each run once it is done")
    asked = parser.parse_args()
    wanted = [word.strip() for word in asked.worlds.split(";") if word.strip()]
    exact = {world.name for world in WORLDS} & set(wanted)
    asked.chosen = [
        world
        for world in WORLDS
        if not wanted
        or world.name in exact
        or any(word in world.name for word in wanted if word not in exact)
        or ("central" in wanted and world.central)
    ]
    if not asked.chosen:
        parser.error(
            f"no world has one of {wanted} in its name; there are: {'; '.join(w.name for w in WORLDS)}"
        )
    if asked.quick:
        asked.chosen = [world for world in asked.chosen if world.central] or asked.chosen
        asked.seeds, asked.rivals = 1, False
    return asked


def main() -> int:
    """Run the worlds, print the table and hold it against the bars."""
    asked, begun = _asked(), time.perf_counter()
    tasks = tasks_of(asked.chosen, asked.seeds, asked.rivals)
    totals = totals_of(run_all(tasks, asked.processes), asked.chosen, loud=asked.loud)
    ours = [total for total in totals if total.rule == OURS]
    if asked.table is not None:
        write_table(asked.table, ours, {world.name: world for world in asked.chosen})
    if asked.keep is not None:
        _write(asked.keep, ours, beside=True)
        return 0
    kept = kept_totals({world.name for world in asked.chosen}) if asked.rivals else []
    known = {world.name: world for world in asked.chosen}
    bars = [bar for total in ours for bar in bars_of(total, known[total.world])]
    seconds = sum(one.cpu for total in totals for one in total.runs)
    bars += overall_bars(ours, known)
    bars.append(Bar(bar="processor time", value=seconds / 60, unit="min"))
    bars.append(Bar(bar="minutes", value=(time.perf_counter() - begun) / 60, limit=MOST_MINUTES, unit="min"))
    places = {world.name: place for place, world in enumerate(WORLDS)}
    shown = sorted([*totals, *kept], key=lambda total: places[total.world])
    RESULTS.mkdir(exist_ok=True)
    _write(RESULTS / "loop_runs.json", shown)
    title = f"What becomes of {len(asked.chosen)} worlds, {len(tasks)} histories"
    return report("loop", title, HEADER, [total.row() for total in shown], bars)


def _write(path: Path, totals: Sequence[Total], *, beside: bool = False) -> None:
    """Write totals; those of other worlds that are in the file already may stay."""
    made = [asdict(total) for total in totals]
    if beside and path.is_file():
        new = {total.world for total in totals}
        made += [one for one in json.loads(path.read_text(encoding="utf-8")) if one["world"] not in new]
    places = {world.name: place for place, world in enumerate(WORLDS)}
    made = sorted((one for one in made if one["world"] in places), key=lambda one: places[one["world"]])
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
