"""``windsock monitor NAME --accept-drift`` and ``--accept-loss``: what a person accepts of the findings."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from windsock.cli.console import say
from windsock.cli.surroundings import findings_on_stderr, user
from windsock.exceptions import UnverifiedBundleError
from windsock.monitoring.accept_drift import accept_drift
from windsock.monitoring.accept_loss import accept_loss
from windsock.monitoring.accepted_reference import accepted_reference, told_of
from windsock.ports import Ports
from windsock.records import MetricValue, Span, Status
from windsock.records.retraining import open_episode
from windsock.spec import ModelSpec

LONGEST_REASON = 200


def why_of(reason: str | None, question: str) -> str:
    """Return a person's reason on one line; a terminal is asked where none was given.

    :raises typer.BadParameter: if it is empty or too long.
    """
    if reason is None:
        reason = typer.prompt(question)
    why = " ".join(reason.split())
    if not why or len(why) > LONGEST_REASON:
        raise typer.BadParameter(f"write why, in 1 to {LONGEST_REASON} characters", param_hint="--reason")
    return why


def accept_drift_of(spec: ModelSpec, ports: Ports, why: str) -> None:
    """Accept the open stretch of drift, and say what windows are held against from now on."""
    with findings_on_stderr():
        accepted = accept_drift(spec, ports, actor=user(), reason=why)
    span = accepted.windows
    say(
        f"{spec.name}: the drift of version {accepted.version} from {span.start:%Y-%m-%d %H:%M} to "
        f"{span.end:%Y-%m-%d %H:%M} UTC is accepted: {why}"
    )
    say(
        f"later windows of version {accepted.version} are held against these {accepted.rows:,} rows and need "
        f"{accepted.profile.minimum_rows:,} each; performance is judged as before"
    )
    if accepted.unread:
        say(f"not read, so held against the training rows as before: {', '.join(accepted.unread)}")


def accept_loss_of(spec: ModelSpec, ports: Ports, why: str) -> None:
    """Accept the loss of the latest judged window, and say what performance is held against from now on."""
    with findings_on_stderr():
        baseline = accept_loss(spec, ports, actor=user(), reason=why, show=_show)
    metrics = ", ".join(_metric(one) for one in baseline.metrics)
    say(f"{spec.name}: the loss of version {baseline.version} is accepted: {why}")
    say(f"later performance is held against {metrics}; drift is judged as before")
    if told := _open_episode(spec, ports):
        say(told)
    last = next(reversed(ports.monitor.windows(spec.name, "performance")), None)
    if last is not None and last.status is not Status.PASS:
        end = f"{last.window.end:%Y-%m-%d %H:%M} UTC"
        say(f"the window to {end}, judged again, is still {last.status.value}: {last.reason}")


def _open_episode(spec: ModelSpec, ports: Ports) -> str:
    """Return what becomes of a retrain that the accepted loss has asked for."""
    episode = open_episode(ports.monitor.episodes(spec.name))
    if episode is None or episode.trigger != "performance":
        return ""
    claimed = episode.claimed_by is not None
    follows = "its retrain is under way and goes on" if claimed else "the next decision closes it without one"
    return f"episode {episode.key}, asked for by this loss, is {episode.state.value}: {follows}"


def _show(lookback: Span, metrics: Sequence[MetricValue]) -> None:
    say(
        f"answers from {lookback.start:%Y-%m-%d %H:%M} to {lookback.end:%Y-%m-%d %H:%M} UTC, computed "
        f"anew; to be accepted: {', '.join(_metric(one) for one in metrics)}"
    )


def _metric(metric: MetricValue) -> str:
    value = "no value" if metric.value is None else f"{metric.value:.4f}"
    interval = metric.interval
    return f"{metric.name} {value}" + (f" [{interval.low:.4f}, {interval.high:.4f}]" if interval else "")


def reference_lines(spec: ModelSpec, ports: Ports) -> list[str]:
    """Return what drift is held against, where that is not the training rows."""
    champion = ports.ledger.champion(spec.name)
    if champion is None:
        return []
    now = ports.now()
    try:
        found = accepted_reference(ports, champion, Span(start=now - spec.monitoring.window_length, end=now))
    except UnverifiedBundleError as error:
        return [f"drift: {error.code}: {error.message}", f"next: {error.next_by_hand}"]
    return [] if found is None else [f"drift: {told_of(*found)}"]
