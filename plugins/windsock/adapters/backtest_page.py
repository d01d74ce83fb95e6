"""A backtest as one HTML file: charts as inline SVG, no script, nothing from the network."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from windsock.adapters.pages import DATE, sections, table, whole_page
from windsock.adapters.quiet import quiet_libraries
from windsock.records import MetricValue, RetrainOrder, RetrainOutcome, Status
from windsock.records.backtest import Backtest, BacktestWindow
from windsock.spec.registries import metric_bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    Status.PASS: "#4d9a5f",
    Status.FAIL: "#c2453b",
    Status.INSUFFICIENT: "#c9ccd1",
    Status.ERROR: "#8051a8",
    Status.EMPTY: "#eef0f2",
}
ORDERS = {RetrainOrder.GRANT: "#2463a5", RetrainOrder.HOLD: "#d99a2b", RetrainOrder.WAIT: "#eef0f2"}
BLUE, ORANGE, GREEN, GREY = "#2463a5", "#c8731d", "#2f8f6b", "#6d727b"
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2430;max-width:1080px;margin:24px auto;padding:0 16px}
h1{font-size:22px;margin:0}h2{font-size:17px;margin:28px 0 6px}p{margin:4px 0}svg{width:100%;height:auto}
table{border-collapse:collapse;font-size:13px;width:100%}td,th{text-align:left;padding:3px 8px;
border-bottom:1px solid #e3e6ea;vertical-align:top}.fail{color:#c2453b;font-weight:600}.error{color:#8051a8;
font-weight:600}.insufficient{color:#6d727b}.note{color:#6d727b}.key span{display:inline-block;width:11px;
height:11px;margin:0 4px 0 14px;vertical-align:-1px}.wide{overflow-x:auto}
"""
MOST_DOTTED = 120
"""Windows up to which each one's value is marked with a dot."""


def backtest_page(made: Backtest) -> str:
    """Return the report; the same backtest gives the same text."""
    parts = (
        _summary(made),
        ("Verdicts", _svg(_strip(made)) + _key()),
        ("Drift", _svg(_drift(made))),
        (f"Performance: {escape(_metric(made))}", _svg(_performance(made))),
        _retrains(made),
        ("Windows", _windows(made)),
        ("Notes", _notes(made)),
    )
    title = f"Backtest of {made.model}"
    body = f"<h1>{escape(title)}</h1><p>{escape(made.history)}</p>{sections(parts)}"
    return whole_page(title, body, style=STYLE)


def _metric(made: Backtest) -> str:
    return made.windows[-1].metric


def _summary(made: Backtest) -> tuple[str, str]:
    held = ", ".join(f"{count} by {what}" for what, count in made.held.items() if count)
    rows = (
        ("First drift", _when(made.first_drift)),
        ("First performance alarm", _when(made.first_loss)),
        ("First call for a retrain", _when(made.first_episode)),
        ("Episodes", str(len(made.episodes))),
        ("Retrains granted", str(len(made.trials))),
        ("Windows held back", held or "none"),
    )
    cells = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return "Summary", f"<table>{cells}</table>"


def _when(one: BacktestWindow | None) -> str:
    return f"judged at {one.judged_at:{DATE}} UTC" if one else "none"


def _key() -> str:
    words = [(status.value, colour) for status, colour in COLOURS.items()]
    words += [(order.value, colour) for order, colour in ORDERS.items()]
    shown = "".join(f'<span style="background:{colour}"></span>{word}' for word, colour in words)
    return f'<p class="key">{shown}</p>'


def _ends(windows: Sequence[BacktestWindow]) -> list[datetime]:
    return [one.window.end for one in windows]


def _strip(made: Backtest) -> Figure:
    """Draw a row of cells for drift, performance and decision."""
    from matplotlib.dates import date2num

    figure, axes = _figure(1.7)
    lanes = (
        ("decision", [ORDERS[one.decision.order] for one in made.windows]),
        ("performance", [_colour(one.performance) for one in made.windows]),
        ("drift", [_colour(one.drift) for one in made.windows]),
    )
    starts: list[float] = [date2num(one.window.start) for one in made.windows]  # type: ignore[no-untyped-call]
    ends: list[float] = [date2num(one.window.end) for one in made.windows]  # type: ignore[no-untyped-call]
    widths = [end - start for start, end in zip(starts, ends, strict=True)]
    for place, (_, colours) in enumerate(lanes):
        axes.barh([place] * len(starts), widths, left=starts, color=colours, height=0.8, linewidth=0)
    axes.set_yticks(range(len(lanes)), [name for name, _ in lanes])
    axes.set_ylim(-0.6, len(lanes) - 0.4)
    axes.xaxis_date()
    _retrain_lines(axes, made)
    return figure


def _colour(report: Any) -> str:
    return "#ffffff" if report is None else COLOURS[report.status]


def _drift(made: Backtest) -> Figure:
    """Draw the share of drifted columns and the mean PSI, with their limits."""
    figure = _blank(4.4)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, name, title in (
        (upper, "drift_ratio", "share of columns that drifted"),
        (lower, "drift_score", "mean PSI over the columns"),
    ):
        _line(axes, made, partial(_of_drift, name), BLUE, title)
        if name in made.limits:
            axes.axhline(made.limits[name], color="#c2453b", linestyle="--", linewidth=1, label="limit")
        axes.set_ylim(bottom=0)
        _finish(axes, made)
    return figure


def _of_drift(name: str, one: BacktestWindow) -> float | None:
    value: float | None = getattr(one.drift, name, None)
    return value


def _performance(made: Backtest) -> Figure:
    """Draw estimated and realised metric with their bands, and the retrained models'."""
    figure, axes = _figure(3.6)
    _band(axes, made, lambda one: one.band, ORANGE, "band of the estimate")
    _band(axes, made, lambda one: _interval(one.realised()), BLUE, "interval of the realised")
    _line(axes, made, lambda one: _value(one.estimated()), ORANGE, "estimated, this window")
    _line(axes, made, lambda one: _value(one.realised()), BLUE, "realised, look-back")
    if any(one.compared for one in made.windows):
        kept = lambda one: _value(one.compared.kept) if one.compared else None  # noqa: E731
        new = lambda one: _value(one.compared.retrained) if one.compared else None  # noqa: E731
        _line(axes, made, kept, GREY, "this window, without retraining")
        _line(axes, made, new, GREEN, "this window, retrained")
    _line(axes, made, lambda one: one.baseline, GREY, "held-out rows", linestyle=":", marker="")
    _within(axes, *metric_bounds(_metric(made)))
    _finish(axes, made)
    return figure


def _within(axes: Axes, lowest: float, highest: float) -> None:
    """Let the axis show no values that the metric cannot have; bands may reach further than that."""
    low, high = axes.get_ylim()
    room = 0.02 * (min(high, highest) - max(low, lowest))
    axes.set_ylim(max(low, lowest - room), min(high, highest + room))


def _value(metric: MetricValue | None) -> float | None:
    return metric.value if metric else None


def _interval(metric: MetricValue | None) -> Any:
    return metric.interval if metric else None


def _line(
    axes: Axes,
    made: Backtest,
    value: Callable[[BacktestWindow], float | None],
    colour: str,
    label: str,
    **style: Any,
) -> None:
    """Draw values over the windows' ends; a missing one breaks the line."""
    values = [value(one) for one in made.windows]
    if all(one is None for one in values):
        return
    shown = [float("nan") if one is None else one for one in values]
    usual = {"marker": "o" if len(values) <= MOST_DOTTED else "", "markersize": 3, "linewidth": 1.4}
    axes.plot(_ends(made.windows), shown, color=colour, label=label, **{**usual, **style})  # type: ignore[arg-type]


def _band(
    axes: Axes, made: Backtest, interval: Callable[[BacktestWindow], Any], colour: str, label: str
) -> None:
    found = [interval(one) for one in made.windows]
    if all(one is None for one in found):
        return
    low = [float("nan") if one is None else one.low for one in found]
    high = [float("nan") if one is None else one.high for one in found]
    axes.fill_between(_ends(made.windows), low, high, color=colour, alpha=0.16, linewidth=0, label=label)  # type: ignore[arg-type]


def _retrain_lines(axes: Axes, made: Backtest) -> None:
    for trial in made.trials:
        won = trial.outcome is RetrainOutcome.PROMOTED
        axes.axvline(trial.at, color=GREEN if won else GREY, linewidth=1.2, linestyle="-" if won else ":")  # type: ignore[arg-type]


def _finish(axes: Axes, made: Backtest) -> None:
    _retrain_lines(axes, made)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, loc="best", frameon=False)
    else:
        axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=GREY)


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = _blank(height)
    return figure, figure.add_subplot()


def _blank(height: float) -> Figure:
    with quiet_libraries():
        from matplotlib.figure import Figure

    return Figure(figsize=(10.5, height), layout="constrained")


def _svg(figure: Figure) -> str:
    """Return a figure as an SVG element with text as text."""
    import matplotlib as mpl

    content = io.StringIO()
    with quiet_libraries(), mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "windsock"}):
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    text = content.getvalue()
    return text[text.index("<svg") :]


def _retrains(made: Backtest) -> tuple[str, str]:
    if not made.trials:
        return "Retrains", "<p>None would have been granted.</p>"
    head = ("at (UTC)", "model", "outcome", "rows", "recent", "why")
    rows = [
        (
            f"{trial.at:{DATE}}",
            trial.version or "-",
            trial.told,
            f"{trial.rows:,}",
            f"{trial.recent_rows:,}",
            "; ".join((trial.reason, *trial.findings)),
        )
        for trial in made.trials
    ]
    return "Retrains", table(head, rows)


def _windows(made: Backtest) -> str:
    head = (
        "end (UTC)",
        "rows",
        "version",
        "drift",
        "drifted columns",
        "performance",
        "realised",
        "estimated",
    )
    rows = [
        (
            f"{one.window.end:{DATE}}",
            f"{one.rows:,}",
            one.version or "-",
            one.drift.status.value if one.drift else "-",
            ", ".join(one.drift.drifted if one.drift else ()) or "-",
            one.performance.status.value if one.performance else "-",
            _shown(one.realised()),
            _shown(one.estimated()),
            one.decision.order.value,
            one.decision.reason,
        )
        for one in made.windows
    ]
    return table((*head, "decision", "why"), rows)


def _shown(metric: MetricValue | None) -> str:
    return "-" if metric is None or metric.value is None else f"{metric.value:.4f}"


def _notes(made: Backtest) -> str:
    return "".join(f'<p class="note">{escape(finding)}</p>' for finding in made.findings)
