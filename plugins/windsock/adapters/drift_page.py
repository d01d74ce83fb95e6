"""The drift report that people look at: Windsock's verdict first, the report of another tool below it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from windsock.adapters.pages import DATE, sections, table, whole_page
from windsock.adapters.rollout_page_style import HEAD
from windsock.ports import Bar, Distribution
from windsock.records import CheckResult, ColumnDrift, DriftReport, Interval, Status
from windsock.texts import one_line

ORDER = (Status.FAIL, Status.ERROR, Status.INSUFFICIENT, Status.PASS)
LIMITS = {"<": "below", "<=": "at most", ">=": "at least", ">": "above"}
MOST_COLUMNS = 200
"""Columns in the table, the worst first."""
WIDTH, HEIGHT, FOOT = 420, 150, 22
ROW, NAMES = 19, 150
STYLE = """
.ws{--ink:#1d2430;--soft:#5f6672;--panel:#f5f6f8;--rule:#e1e4e9;--now:#2463a5;--before:#b9bec7;
--pass:#2c7a45;--fail:#b8352b;--error:#7746a0;font:15px/1.5 system-ui,sans-serif;color:var(--ink);
background:#fff;max-width:1080px;margin:0 auto;padding:20px 16px 24px;text-align:left}
.ws *{box-sizing:border-box}.ws h1{font-size:21px;line-height:1.3;margin:0 0 10px;font-weight:600}
.ws h2{font-size:16px;margin:26px 0 8px;font-weight:600}.ws p{margin:4px 0}
.ws .note{color:var(--soft);font-size:13px}
.ws .come{border-left:5px solid var(--soft);background:var(--panel);padding:10px 14px;margin:10px 0}
.ws .come b{display:block;font-size:18px}.ws .come.fail{border-color:var(--fail)}
.ws .come.error{border-color:var(--error)}.ws .come.pass{border-color:var(--pass)}
.ws .come,.ws .come *{font-weight:400;color:var(--ink)}.ws .come b{font-weight:600}
.ws .wide{overflow-x:auto}.ws table{border-collapse:collapse;font-size:13px;width:100%}
.ws td,.ws th{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid var(--rule);
vertical-align:top;font-variant-numeric:tabular-nums}.ws th{color:var(--soft);font-weight:500}
.ws .pass{color:var(--pass);font-weight:600}.ws .fail{color:var(--fail);font-weight:600}
.ws .error{color:var(--error);font-weight:600}.ws .insufficient{color:var(--soft);font-weight:600}
.ws .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:20px}
.ws figure{margin:0}.ws figcaption{font-size:13px;margin-bottom:2px}
.ws svg{width:100%;height:auto;max-width:520px;display:block}
.ws svg text{font:11.5px system-ui,sans-serif;fill:var(--soft)}.ws svg .now{fill:var(--now)}
.ws svg .before{fill:var(--before)}.ws .key i{display:inline-block;width:11px;height:11px;
margin:0 5px 0 12px;vertical-align:-1px}.ws .key i:first-child{margin-left:0}
.ws .key .now{background:var(--now)}.ws .key .before{background:var(--before)}
.ws.other{border-top:3px solid var(--rule);padding-bottom:8px}
"""
OTHER = (
    "For a second look: Evidently's own report on a sample of the same rows. It chooses a test of its own "
    "for each column, and calls the dataset drifted only where at least half of its columns are. "
    "Its headline is not Windsock's verdict, and the two may differ."
)
ASKED = " The model's file says `method: evidently`: its tests of single columns have decided above, too."


def drift_page(
    report: DriftReport, shown: Sequence[Distribution], *, other: bytes | None, why: str = ""
) -> bytes:
    """Return the page; see :meth:`windsock.ports.DriftReporter.page`."""
    ours = f'<div class="ws">{_ours(report, shown)}</div>'
    told = f"<p>{OTHER}{ASKED if report.method == 'evidently' else ''}</p>"
    if other is None:
        told = f"<p>There is no report of another method: {escape(why or 'none was made')}.</p>"
    below = f'<div class="ws other"><h2>Another method: Evidently</h2>{told}</div>'
    if other is None:
        return whole_page(_title(report), ours + below, style=STYLE, head=HEAD).encode()
    head, found, rest = other.decode().partition("<body>")
    style = f"<style>{STYLE}</style>"
    if not found:
        return f"{style}{ours}{below}{head}".encode()
    return f"{head}<body>{style}{ours}{below}{rest}".encode()


def _title(report: DriftReport) -> str:
    return f"Drift of {one_line(report.model)}, window to {report.window.end:{DATE}} UTC"


def _ours(report: DriftReport, shown: Sequence[Distribution]) -> str:
    parts = (
        ("Checks", _checks(report.checks)),
        ("Columns", _columns(report)),
        ("Distributions", _distributions(report, shown)),
        ("Noticed", "".join(f'<p class="note">{escape(one)}</p>' for one in report.findings)),
    )
    return f"<h1>{escape(_title(report))}</h1>{_headline(report)}{sections(parts)}"


def _headline(report: DriftReport) -> str:
    severity = f", severity {report.severity.value}" if report.status is Status.FAIL else ""
    word = {
        Status.FAIL: "Drift: fail",
        Status.PASS: "No drift: pass",
        Status.INSUFFICIENT: "No verdict: insufficient",
        Status.ERROR: "No verdict: error",
    }.get(report.status, report.status.value)
    score = "" if report.drift_score is None else f"; mean PSI {report.drift_score:.3g}"
    judged = sum(one.status in (Status.PASS, Status.FAIL) for one in report.columns)
    facts = (
        f"{report.rows:,} rows from {report.window.start:{DATE}} to {report.window.end:{DATE}} UTC, held "
        f"against version {report.version} ({report.digest[:12]}) by {report.method}; {len(report.drifted)} "
        f"of {judged} judged columns drifted{score}; judged {report.judged_at:{DATE}} UTC"
    )
    return (
        f'<div class="come {report.status.value}"><b>{word}{severity}</b>'
        f'<p>{escape(report.reason)}</p><p class="note">{escape(facts)}</p></div>'
    )


def _checks(checks: Sequence[CheckResult]) -> str:
    rows = (
        (
            check.name,
            check.status.value,
            _number(check.value),
            f"{LIMITS.get(check.relation or '', '')} {_number(check.limit)}".strip()
            if check.limit is not None
            else "-",
            "-" if check.n is None else f"{check.n:,}",
            check.code,
            check.message,
        )
        for check in checks
    )
    return table(("check", "verdict", "value", "limit", "n", "code", "message"), rows) if checks else ""


def _columns(report: DriftReport) -> str:
    """Return all columns, the worst first; scores and outcomes come before the features."""
    apart = [one for one in (report.score, report.target) if one is not None]
    ranked = sorted(report.columns, key=lambda one: (ORDER.index(_rank(one)), -_nearness(one)))
    if not apart and not ranked:
        return ""
    head = ("column", "verdict", "effect", "limit", "p", "PSI", "n", "no value: now", "then", "importance")
    rows = [_row(one) for one in (*apart, *ranked[:MOST_COLUMNS])]
    more = len(ranked) - MOST_COLUMNS
    left = f'<p class="note">and {more:,} more columns, none of them worse</p>' if more > 0 else ""
    rule = (
        '<p class="note">effect: Kolmogorov-Smirnov distance of a number, Cramer\'s V of a category. A '
        "column drifts where its test rejects after Benjamini-Hochberg over all columns and its effect "
        "reaches the limit.</p>"
    )
    return table((*head, "noticed"), rows) + left + rule


def _rank(one: ColumnDrift) -> Status:
    return one.status if one.status in ORDER else Status.INSUFFICIENT


def _nearness(one: ColumnDrift) -> float:
    return (one.effect or 0.0) / one.limit if one.limit else 0.0


def _row(one: ColumnDrift) -> tuple[str, ...]:
    return (
        one_line(one.name),
        one.status.value,
        _number(one.effect) + _interval(one.effect_interval),
        "-" if one.limit is None else f"below {_number(one.limit)}",
        _number(one.p),
        _number(one.psi),
        f"{one.rows:,}",
        _share(one.null_share),
        _share(one.reference_null_share),
        _share(one.importance),
        ", ".join(one.findings),
    )


def _distributions(report: DriftReport, shown: Sequence[Distribution]) -> str:
    if not shown:
        return ""
    known = {one.name: one for one in (*report.columns, report.score, report.target) if one is not None}
    key = (
        '<p class="key note"><i class="before"></i>what it is held against<i class="now"></i>this window; '
        "shares of all rows. Sensitive columns and dates are not drawn.</p>"
    )
    drawn = "".join(_figure(one, known.get(one.name)) for one in shown)
    return f'{key}<div class="charts">{drawn}</div>'


def _figure(one: Distribution, judged: ColumnDrift | None) -> str:
    verdict = f' <span class="{judged.status.value}">{judged.status.value}</span>' if judged else ""
    rows = f"{one.reference_rows:,} rows then, {one.current_rows:,} now"
    name = escape(one_line(one.name))
    draw = _columns_svg if one.is_ordered else _rows_svg
    label = escape(f"{one_line(one.name)}: {rows}")
    return f"<figure><figcaption><b>{name}</b>{verdict} · {rows}</figcaption>{draw(one.bars, label)}</figure>"


def _columns_svg(bars: Sequence[Bar], label: str) -> str:
    """Return two bars beside each other for each range, from left to right."""
    top = _largest(bars)
    step, room = WIDTH / max(1, len(bars)), HEIGHT - FOOT - 4
    every = -(-len(bars) // 4)
    parts = []
    for place, bar in enumerate(bars):
        for lane, (share, style) in enumerate(((bar.reference, "before"), (bar.current, "now"))):
            height = room * share / top
            x = step * (place + 0.1 + 0.4 * lane)
            parts.append(_bar(style, x, HEIGHT - FOOT - height, step * 0.4, height))
        if place % every == 0 or place == len(bars) - 1:
            text, is_last = escape(_short(bar.label, 14)), place == len(bars) - 1
            at = f'text-anchor="end" x="{WIDTH}"' if is_last else f'x="{step * (place + 0.1):.1f}"'
            parts.append(f'<text {at} y="{HEIGHT - 6}">{text}</text>')
    return _svg(HEIGHT, label, parts)


def _rows_svg(bars: Sequence[Bar], label: str) -> str:
    """Return two bars above each other for each category, with its name and both shares."""
    top, room = _largest(bars), WIDTH - NAMES - 95
    parts = []
    for place, bar in enumerate(bars):
        y = place * ROW + 3
        parts.append(f'<text x="0" y="{y + 11}">{escape(_short(bar.label, 22))}</text>')
        parts.append(_bar("before", NAMES, y, room * bar.reference / top, 6))
        parts.append(_bar("now", NAMES, y + 7, room * bar.current / top, 6))
        shares = f"{bar.reference:.1%} → {bar.current:.1%}"
        parts.append(f'<text x="{WIDTH}" y="{y + 11}" text-anchor="end">{shares}</text>')
    return _svg(len(bars) * ROW + 6, label, parts)


def _bar(style: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _svg(height: int, label: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _largest(bars: Sequence[Bar]) -> float:
    return max((max(bar.reference, bar.current) for bar in bars), default=0.0) or 1.0


def _short(text: str, most: int) -> str:
    shown = one_line(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _interval(found: Interval | None) -> str:
    return "" if found is None or found.low == found.high else f" [{found.low:.3g}, {found.high:.3g}]"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


__all__ = ["drift_page"]
