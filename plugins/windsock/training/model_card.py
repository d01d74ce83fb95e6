"""The model card: what a person wrote, and what is known from the snapshot and the evaluation."""

from __future__ import annotations

import re
from collections.abc import Sequence

from windsock.records import DataSnapshot, Evaluation, MetricValue, ModelCard, PairedDifference, TrainedModel
from windsock.records.training import rows_since_onset
from windsock.spec import ModelSpec
from windsock.texts import inline, paragraph, table

MOST_WRITTEN = 10_000
"""Characters of a paragraph: as many as a model's file may hold."""
PARAGRAPH = re.compile(r"\n\s*\n")


def make_card(
    spec: ModelSpec,
    snapshot: DataSnapshot,
    chosen: TrainedModel,
    metrics: Sequence[MetricValue],
    *,
    since_onset: int = 0,
) -> ModelCard:
    """Return the card: the spec's own words, and sentences from the numbers where it has none.

    :param since_onset: held-out rows since the onset; the metrics are on the latest of them.
    """
    written = spec.gate.card
    results = written.evaluation_results or _results(snapshot, chosen, metrics, since_onset)
    return ModelCard(
        intended_use=written.intended_use,
        limitations=written.limitations,
        training_data_description=written.training_data_description or _data(spec, snapshot, chosen),
        evaluation_results=results,
    )


def _data(spec: ModelSpec, snapshot: DataSnapshot, chosen: TrainedModel) -> str:
    span = ""
    if snapshot.window_start and snapshot.window_end:
        span = f", {snapshot.window_start:%Y-%m-%d} to {snapshot.window_end:%Y-%m-%d}"
    recent = ""
    if snapshot.recent_start and snapshot.recent_end:
        recent = (
            f"; {snapshot.recent_rows:,} of the rows are recent: answers of "
            f"{snapshot.recent_start:%Y-%m-%d} to {snapshot.recent_end:%Y-%m-%d} with their labels"
        )
    if snapshot.onset:
        recent += f", {snapshot.onset_rows:,} of them since {snapshot.onset:%Y-%m-%d %H:%M} UTC"
    if chosen.learned_from:
        recent += f"; learned from {chosen.learned_from.words}, by which it did best on rows since then"
    return (
        f"{snapshot.rows:,} rows and {len(snapshot.columns)} columns from {snapshot.source}{span} "
        f"(snapshot {snapshot.digest}); target {spec.data.target}; "
        f"{chosen.rows_train:,} rows for training, {chosen.rows_held_out:,} held out{recent}."
    )


def _results(
    snapshot: DataSnapshot, chosen: TrainedModel, metrics: Sequence[MetricValue], since_onset: int
) -> str:
    shown = "; ".join(metric_text(metric) for metric in metrics)
    rows = f"{chosen.rows_held_out:,} held-out rows"
    if snapshot.recent_rows:
        kind = "recent held-out rows"
        if snapshot.onset:
            kind = rows_since_onset(snapshot.onset, metrics[0].on_rows, since_onset)
        rows = f"{metrics[0].on_rows:,} {kind}, of {rows}"
    return f"{chosen.candidate.label} on {rows}, 95 % intervals: {shown}."


def metric_text(metric: MetricValue) -> str:
    """Return a metric with its interval, such as ``roc_auc 0.846 [0.824, 0.867]``."""
    if metric.value is None:
        return f"{metric.name} not defined on these rows"
    interval = f" [{metric.interval.low:.4g}, {metric.interval.high:.4g}]" if metric.interval else ""
    if not interval and metric.reason:
        interval = f" (no interval: {metric.reason})"
    return f"{metric.name} {metric.value:.4g}{interval}"


def difference_text(difference: PairedDifference) -> str:
    """Return a difference with its interval, or why there is none."""
    if difference.value is None:
        return f"{difference.metric} against the {difference.opponent}: {difference.error}"
    interval = difference.interval
    shown = (
        f" [{interval.low:+.4g}, {interval.high:+.4g}]"
        if interval
        else f" (no interval: {difference.reason or difference.error})"
    )
    note = f"; {difference.note}" if difference.note else ""
    return f"{difference.metric} against the {difference.opponent}: {difference.value:+.4g}{shown}{note}"


def card_markdown(spec: ModelSpec, evaluation: Evaluation) -> str:
    """Return the card as a page for people, in Markdown: numbers first, then what people wrote, escaped."""
    card, chosen = evaluation.card, evaluation.chosen
    differences = [evaluation.baseline, evaluation.against_champion]
    measured = [(metric, metric.name) for metric in evaluation.metrics]
    measured += [(metric, f"{metric.name}, on all held-out rows") for metric in evaluation.overall]
    rows = [(name, _number(metric.value), _interval(metric), metric.on()) for metric, name in measured]
    made = f"{inline(chosen.candidate.label)}; bundle {chosen.bundle_digest}"
    lines = [
        f"# Model card: {spec.name}",
        "",
        f"Owner {inline(spec.model.owner)}; {spec.task}; {made}.",
        "",
        *table(("metric", "value", "95 % interval", "on"), rows),
        "",
        *(f"- {paragraph(difference_text(difference))}" for difference in differences if difference),
        f"- training minus held out: {_number(evaluation.gap)}",
        f"- {evaluation.latency.ms_per_sample:.3g} ms per sample, {evaluation.latency.rows} rows in one call",
        *_section("Intended use", card.intended_use),
        *_section("Limitations", card.limitations),
        *_section("Training data", card.training_data_description),
        *_section("Evaluation", card.evaluation_results),
        "",
    ]
    return "\n".join(lines)


def _section(title: str, text: str) -> tuple[str, ...]:
    """Return a heading and what a person wrote below it: one paragraph for each of its own, all escaped."""
    parts = [paragraph(part, MOST_WRITTEN) for part in PARAGRAPH.split(text) if part.strip()]
    return ("", f"## {title}", "", "\n\n".join(parts) or "Not written yet.")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _interval(metric: MetricValue) -> str:
    return f"{metric.interval.low:.4g} to {metric.interval.high:.4g}" if metric.interval else "none"
