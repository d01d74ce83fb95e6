"""One history of a world through the product: its judging, decisions, claims, retrains and their ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import loop_code
import numpy as np
from loop_rows import DAY, HISTORY, TRAINING_ROWS, dated
from loop_truth import Truth

from support.fakes import FakeSources, fake_ports
from support.pipeline import retrain
from windsock.cli.backtest_retrain import WhatIf
from windsock.cli.backtest_worlds import Table, world_of_table
from windsock.cli.backtest_worlds import World as Replayed
from windsock.monitoring.backtest import replay, windows_between
from windsock.records import PerformanceReport, Span, WindowVerdict
from windsock.records.backtest import BacktestWindow
from windsock.spec import ModelSpec, parse_duration
from windsock.spec.loader import spec_from_bytes

if TYPE_CHECKING:
    from loop_worlds import World

MODEL_FILE = """\
model: {{name: churn, owner: ds@company.com}}
data: {{source: churn.csv, target: churned, {data}}}
training: {{candidates: [{{estimator: logistic_regression}}]}}
gate: {{card: {{intended_use: Rank customers., limitations: Made up.}}, {gate}}}
monitoring: {{window: {window}, {monitoring}}}
"""

TIME = "asked_at"


class Again(NamedTuple):
    """What was said of an earlier window once labels had come: that supersedes what was said of it before.

    :param loss: the true one over what it is about, as in ``Seen``.
    :param start: of the window, in days since the history began.
    """

    status: str
    loss: float | None
    labelled: int
    start: float


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One window: what was said of it, and what is true.

    :param start: days since the history began.
    :param at: when it was judged, but for the lateness allowance.
    :param auc: of the version that answered it, in the states of the window.
    :param fresh: of a fresh fit on those.
    :param loss: by how much the version is worse than a fresh fit over the labelled part of the look-back
        that the verdict is about; ``None``: nothing of it is labelled.
    :param again: what the same run said of earlier windows for which labels had come.
    :param order: what was decided after it.
    :param trial: what its retrain came to.
    :param told: alerts that began, became worse or were told again then.
    :param texts: what they said.
    """

    start: float
    at: float
    auc: float
    fresh: float
    loss: float | None = None
    version: str = ""
    drift: str = ""
    performance: str = ""
    labelled: int = 0
    again: tuple[Again, ...] = ()
    told: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    order: str = "wait"
    breaker: bool = False
    trial: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one history came to.

    :param rule: whose.
    :param cpu: seconds of processor time, and the parts of it.
    """

    world: str
    seed: int
    rule: str
    windows: tuple[Seen, ...]
    cpu: dict[str, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """A world that is ready to be replayed."""

    world: World
    spec: ModelSpec
    replayed: Replayed
    truth: Truth


Served = Callable[[Stage], list[tuple[Span, Any, BacktestWindow | None, str]]]
"""A rule: each window with the bundle that answered it, what was judged, and what a retrain came to."""


def spec_of(world: World) -> ModelSpec:
    """Return the model's file, all else as it comes."""
    hours = int(world.window / timedelta(hours=1))
    window = "1d" if hours == 24 else f"{hours}h"
    data = f"event_time: {TIME}" if world.dated else ""
    text = MODEL_FILE.format(window=window, monitoring=world.more[0], gate=world.more[1], data=data)
    return spec_from_bytes(text.replace(", }", "}").encode(), "churn.yaml")


def set_stage(world: World, seed: int) -> Stage:
    """Train the first version by the pipeline's own steps, and lay out the history."""
    spec = spec_of(world)
    trained = dated(world.training(), HISTORY, TRAINING_ROWS, seed=2 * seed)
    trained = trained if world.dated else trained.drop(columns=TIME)
    ports = fake_ports(sources=FakeSources(trained))
    done = retrain(ports, spec)
    if "promote_model" not in done:
        raise RuntimeError(f"{world.name}, seed {seed}: no first version: {done['gate_model'].record.reason}")
    history = dated(world.history(), world.end, world.per_day, seed=2 * seed + 1)
    if world.coverage < 1:
        known = np.random.default_rng(seed).random(len(history)) < world.coverage
        history["churned"] = history["churned"].astype(object).where(known, None)
    windows = windows_between(spec.monitoring, HISTORY, world.end)
    asked = Table(TIME, timedelta(days=world.delay), None)
    replayed = world_of_table(spec, replace(ports, sources=FakeSources(history)), windows, None, asked)
    champion = replayed.ledger.champion(spec.name)
    first = replayed.bundles.load(champion.bundle_uri, champion.digest)
    return Stage(world=world, spec=spec, replayed=replayed, truth=Truth(first))


def by_product(stage: Stage) -> list[tuple[Span, Any, BacktestWindow | None, str]]:
    """Let the product judge, decide and retrain."""
    on = stage.replayed
    what_if = WhatIf(
        stage.spec,
        on.ports,
        bundles=on.bundles,
        ledger=on.ledger,
        history=on.history,
        hindsight=on.hindsight,
    )
    answered: list[Any] = []

    def note(window: BacktestWindow) -> None:
        # A retrain that won serves already: what answered this window is the version that it names.
        digest = (window.drift or window.performance).digest
        answered.append(on.bundles.load("", digest))

    when = {"runs": stage.world.runs} if stage.world.runs else {}
    made = replay(
        stage.spec, on.windows, on.ports, on.clock, history="", retrainer=what_if, progress=note, **when
    )
    return [
        (one.window, bundle, one, one.trial.outcome.value if one.trial else "")
        for one, bundle in zip(made.windows, answered, strict=True)
    ]


def run_world(world: World, seed: int, rule: str, serve: Served) -> Run:
    """Replay a world once, and hold what was said against what is true."""
    loop_code.require_own()
    begun = time.process_time()
    stage = set_stage(world, seed)
    ready = time.process_time()
    served = serve(stage)
    done = time.process_time()
    windows = tuple(_seen(stage, served))
    told = time.process_time()
    cpu = {"set up": ready - begun, "replay": done - ready, "truth": told - done}
    return Run(world=world.name, seed=seed, rule=rule, windows=windows, cpu=cpu)


def _seen(stage: Stage, served: Sequence[tuple[Span, Any, BacktestWindow | None, str]]) -> list[Seen]:
    world, truth = stage.world, stage.truth
    areas = []
    for window, bundle, _, _ in served:
        states = [state for _, state in world.states(window.start, window.end)]
        ours = [truth.of(bundle, state) for state in states]
        areas.append((float(np.mean(ours)), float(np.mean([truth.fresh(state) for state in states]))))
    shown = [
        (window, bundle.digest, fresh - ours)
        for (window, bundle, *_), (ours, fresh) in zip(served, areas, strict=True)
    ]
    made = []
    for place, (window, _, judged, trial) in enumerate(served):
        auc, fresh = areas[place]
        facts = _judged(stage, judged, shown[: place + 1]) if judged else {}
        start = (window.start - HISTORY) / DAY
        known = {"start": start, "at": start + stage.world.window / DAY, "auc": auc, "fresh": fresh}
        made.append(Seen(**{**known, "trial": trial, **facts}))
    return made


Shown = Sequence[tuple[Span, str, float]]
"""Windows so far, the version that answered each, and by how much it is worse than a fresh fit."""


def _judged(stage: Stage, one: BacktestWindow, shown: Shown) -> dict[str, Any]:
    late = stage.spec.monitoring.lateness_allowance
    fired = [alert for alert in getattr(one, "alerts", ()) if alert.state == "firing"]
    return {
        "at": (one.judged_at - late - HISTORY) / DAY,
        "loss": _loss(stage, one.performance, shown),
        "version": one.version,
        "drift": one.drift.status.value if one.drift else "",
        "performance": one.performance.status.value if one.performance else "",
        "labelled": one.performance.labelled if one.performance else 0,
        "again": tuple(_again(stage, made, shown) for made in getattr(one, "again", ())),
        "told": tuple(alert.key for alert in fired),
        "texts": tuple(f"{alert.title} {alert.text}" for alert in fired),
        "order": one.decision.order.value,
        "breaker": one.decision.breaker,
        "reason": one.trial.reason if one.trial else one.decision.reason,
    }


def _again(stage: Stage, made: WindowVerdict, shown: Shown) -> Again:
    start = (made.window.start - HISTORY) / DAY
    return Again(made.status.value, _loss(stage, made, shown), _labelled(made), start)


def _labelled(verdict: WindowVerdict) -> int:
    return round(verdict.numbers.get("coverage", 0.0) * verdict.numbers.get("answers", 0.0))


def _loss(stage: Stage, report: PerformanceReport | WindowVerdict | None, shown: Shown) -> float | None:
    """Return the mean true loss over the labelled part of the stretch that a verdict is about."""
    if report is None:
        return None
    span = judged_span(report, stage.spec)
    until = min(span.end, report.judged_at - timedelta(days=stage.world.delay))
    weights, losses = [], []
    for window, digest, loss in shown:
        inside = (min(window.end, until) - max(window.start, span.start)) / DAY
        if digest == report.digest and inside > 0:
            weights.append(inside)
            losses.append(loss)
    return float(np.average(losses, weights=weights)) if losses else None


def judged_span(report: PerformanceReport | WindowVerdict, spec: ModelSpec) -> Span:
    """Return the stretch that a verdict on performance is about: as its report says, else the look-back."""
    said = getattr(report, "lookback", None)
    if isinstance(said, Span):
        return said
    length = parse_duration(spec.monitoring.performance.window)
    return Span(start=report.window.end - length, end=report.window.end)
