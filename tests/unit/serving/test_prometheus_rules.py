"""Prometheus' rules: each fires where it must and is silent else, and reads what the server exports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime

import pytest
import yaml

from support.serving import make_plan
from windsock.records import INSTALLATION
from windsock.serving.gauge_files import keep_gauges
from windsock.serving.known_gauges import KNOWN, OF_INSTALLATION, GaugeUpdate, StoredGauge
from windsock.spec.registries import METRICS

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool on this machine")
SERVER = 'job="windsock-serving",instance="a"'
UP = (f"up{{{SERVER}}}", "1x{n}")
LOADED = (f'ml_model_engine_info{{{SERVER},model="churn",model_version="4",engine="x"}}', "1x{n}")
ASKED = (f'ml_predictions_total{{{SERVER},model="churn",model_version="4",variant="champion"}}', "0+600x{n}")
CALLS = (f'ml_prediction_duration_seconds_count{{{SERVER},model="churn"}}', "0+600x{n}")


def of(name, labels, values):
    return (f"{name}{{{SERVER},{labels}}}", values)


def churn(name, values, more=""):
    return of(name, f'model="churn"{more}', values)


def rejected(reason, values):
    return of("ml_requests_rejected_total", f'reason="{reason}"', values)


def buckets(fast, slow):
    """Return what a histogram's buckets hold where so many requests a minute are fast, and so many slow."""
    counts = {"0.01": fast, "0.05": fast, "0.1": fast + slow, "+Inf": fast + slow}
    return [
        churn("ml_prediction_duration_seconds_bucket", f"0+{count}x{{n}}", f',model_version="4",le="{le}"')
        for le, count in counts.items()
    ]


def epochs(one, other):
    return [churn("windsock_route_epoch", f"{epoch}x{{n}}", f',pid="{epoch}"') for epoch in (one, other)]


def disk(free, size=100 * 2**30):
    return [
        of("windsock_disk_free_bytes", 'place="state"', f"{free}x{{n}}"),
        of("windsock_disk_size_bytes", 'place="state"', f"{size}x{{n}}"),
    ]


def fell(name, low, labels="", usual="0.9"):
    """Return a gauge that was as usual for fifteen hours, and is low since."""
    return [churn(name, f"{usual}x30 {low}x20", labels)]


def told_at(name, values):
    return (f"{name}{{{SERVER}}}", values)


def share(version, value):
    return churn("ml_traffic_share", f"{value}x{{n}}", f',model_version="{version}"')


LOOKED = "windsock_watchdog_last_look_timestamp_seconds"
RAN = "windsock_housekeeping_last_run_timestamp_seconds"
WATCHED = (f"{LOOKED}{{{SERVER}}}", "0+1800x{n}")
METRIC = ',metric="roc_auc"'
CASES = {
    "WindsockServerDown": ([(UP[0], "0x{n}")], [UP]),
    "WindsockServerNotScraped": ([], [UP]),
    "WindsockServerDegraded": (
        [of("windsock_server_well", 'x=""', "0x{n}")],
        [of("windsock_server_well", 'x=""', "1x{n}")],
    ),
    "WindsockServesNothing": ([UP], [UP, LOADED]),
    "WindsockEpochsDiffer": (epochs(7, 8), epochs(8, 8)),
    "WindsockDiskFilling": (disk(9 * 2**30), disk(11 * 2**30)),
    "WindsockDiskFull": (disk(255 * 2**20), disk(257 * 2**20)),
    "WindsockErrors": (
        [CALLS, rejected("internal", "0+12x{n}")],
        [CALLS, rejected("internal", "0+3x{n}"), rejected("invalid", "0+100x{n}")],
    ),
    "WindsockRequestsRefused": (
        [CALLS, rejected("invalid", "0+200x{n}")],
        [CALLS, rejected("invalid", "0+100x{n}"), rejected("internal", "0+500x{n}")],
    ),
    "WindsockNoPlaceForRequests": (
        [rejected("memory", "0+1x{n}")],
        [rejected("memory", "5x{n}"), rejected("invalid", "0+9x{n}")],
    ),
    "WindsockSlow": (buckets(900, 100), buckets(1000, 2)),
    "WindsockFallbackAnswers": (
        [churn("ml_fallback_answers_total", "0+1x{n}", ',policy="champion"')],
        [churn("ml_fallback_answers_total", "9x{n}", ',policy="champion"')],
    ),
    "WindsockCircuitOpen": (
        [churn("ml_circuit_open", "1x{n}", ',model_version="4"')],
        [churn("ml_circuit_open", "0x{n}", ',model_version="4"')],
    ),
    "WindsockVersionWithoutTraffic": (
        [share("4", 0.95), share("5", 0.05), ASKED],
        [share("4", 1), share("5", 0), ASKED],
    ),
    "WindsockNoPredictions": (
        [churn("ml_last_prediction_timestamp_seconds", "60x{n}")],
        [churn("ml_last_prediction_timestamp_seconds", "0+1800x{n}")],
    ),
    "WindsockNeverAsked": (
        [share("4", 1)],
        [share("4", 1), churn("ml_last_prediction_timestamp_seconds", "0+1800x{n}")],
    ),
    "WindsockShadowLosesRequests": (
        [of("ml_shadow_requests_lost", 'why="dropped"', "0+1x{n}")],
        [of("ml_shadow_requests_lost", 'why="dropped"', "7x{n}")],
    ),
    "WindsockLogRowsDropped": (
        [of("windsock_log_dropped_total", 'x=""', "0+1x{n}")],
        [of("windsock_log_dropped_total", 'x=""', "3x{n}")],
    ),
    "WindsockLogBehind": (
        [of("windsock_log_waiting", 'x=""', "20001x{n}")],
        [of("windsock_log_waiting", 'x=""', "20000x{n}")],
    ),
    "WindsockDrift": ([churn("ml_drift_ratio", "0.31x{n}")], [churn("ml_drift_ratio", "0.3x{n}")]),
    "WindsockFeatureDrift": (
        [churn("data_drift_score", "0.26x{n}", ',feature="age"')],
        [churn("data_drift_score", "0.25x{n}", ',feature="age"')],
    ),
    "WindsockPerformanceDropped": (
        fell("ml_realised_performance", "0.84", METRIC),
        [
            *fell("ml_realised_performance", "0.86", METRIC),
            *fell("ml_realised_performance", "1.19", ',metric="mae"', "1"),
        ],
    ),
    "WindsockEstimateDropped": (
        fell("ml_estimated_performance", "1.21", ',metric="rmse"', "1"),
        fell("ml_estimated_performance", "0.86", METRIC),
    ),
    "WindsockAccuracyDropped": (
        fell("ml_model_accuracy", "0.84", ',model_version="4"'),
        fell("ml_model_accuracy", "0.86", ',model_version="4"'),
    ),
    "WindsockClicksDropped": (fell("recommendation_ctr", "0.4"), fell("recommendation_ctr", "0.5")),
    "WindsockMonitoringSilent": (
        [churn("ml_last_monitoring_timestamp_seconds", "0x{n}"), ASKED],
        [churn("ml_last_monitoring_timestamp_seconds", "0x{n}")],
    ),
    "WindsockNeverMonitored": ([ASKED], [ASKED, churn("ml_last_monitoring_timestamp_seconds", "0+1800x{n}")]),
    "WindsockGaugeFilesUnreadable": (
        [of("windsock_gauge_files_unreadable", 'x=""', "1x{n}")],
        [of("windsock_gauge_files_unreadable", 'x=""', "0x{n}")],
    ),
    "WindsockWatchdogSilent": ([told_at(LOOKED, "0x{n}")], [told_at(LOOKED, "0+60x{n}")]),
    "WindsockNeverWatched": ([UP], [UP, told_at(LOOKED, "0+1800x{n}")]),
    "WindsockHousekeepingSilent": ([told_at(RAN, "0x{n}")], [told_at(RAN, "0+1800x{n}")]),
    "WindsockAlertsFiring": (
        [of("windsock_alerts_firing", 'severity="high"', "1x{n}")],
        [
            of("windsock_alerts_firing", 'severity="critical"', "0x{n}"),
            of("windsock_alerts_firing", 'severity="medium"', "3x{n}"),
        ],
    ),
}
"""By alert: series with which it fires, and such with which it does not."""
AHEAD = {
    "WindsockNoPredictions": [churn("ml_last_prediction_timestamp_seconds", "{start}+60x{n}")],
    "WindsockMonitoringSilent": [churn("ml_last_monitoring_timestamp_seconds", "{start}+60x{n}"), ASKED],
    "WindsockWatchdogSilent": [told_at(LOOKED, "{start}+60x{n}")],
    "WindsockHousekeepingSilent": [told_at(RAN, "{start}+60x{n}")],
}
"""By alert: times that go on with the clock, from so many seconds after it."""
HOURS = {"WindsockNoPredictions": 7, "WindsockNeverAsked": 7}
HOURS |= {"WindsockNeverWatched": 2, "WindsockHousekeepingSilent": 4}
HOURS |= {"WindsockMonitoringSilent": 49, "WindsockNeverMonitored": 49}
HOURS |= {name: 20 for name in CASES if name.endswith("Dropped") and "Rows" not in name}
"""Hours after which it is looked, where half an hour is not enough; then each half an hour counts."""
TOLD_WITH = """\
summary: Workers serve churn by different routes
description: "The epochs of the workers of churn differ by 1 for 2 minutes; limit: 0."
runbook: docs/runbook.md#windsockepochsdiffer
"""


@pytest.fixture(scope="module")
def rules(project):
    content = yaml.safe_load((project / "include" / "prometheus" / "rules.yaml").read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


def firing(name):
    return f'ALERTS{{alertname="{name}",alertstate="firing"}}'


def case(name, series, expected, *, hours=0):
    """Return a test of promtool: how many alerts of a name, or of all, fire after some time.

    :param hours: seen each half hour; default: half an hour, seen each minute.
    """
    step, minutes = (30, hours * 60) if hours else (1, 30)
    samples = minutes // step + 5
    return {
        "name": name,
        "interval": f"{step}m",
        "input_series": [{"series": one, "values": values.format(n=samples)} for one, values in series],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": f"{minutes}m",
                "exp_samples": [{"labels": labels, "value": 1} for labels in found],
            }
            for expr, found in expected.items()
        ],
    }


def promtool(project, tmp_path, tests):
    """Run tests of one interval."""
    document = {
        "rule_files": [str(project / "include" / "prometheus" / "rules.yaml")],
        "evaluation_interval": tests[0]["interval"],
        "tests": tests,
    }
    file = tmp_path / "rules_test.yaml"
    file.write_text(json.dumps(document))
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(file)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_finds_no_fault_in_the_rules(project):
    folder = project / "include" / "prometheus"
    for words in (("rules", "rules.yaml"), ("config", "prometheus.yml")):
        done = subprocess.run(
            [str(PROMTOOL), "check", words[0], str(folder / words[1])],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.slow
@pytest.mark.parametrize("slow", [False, True], ids=["minutes", "hours"])
def test_each_alert_fires_and_is_silent(project, tmp_path, slow):
    tests = []
    for name, (fires, silent) in CASES.items():
        if (hours := HOURS.get(name, 0)) and not slow or slow and not hours:
            continue
        counted = f"count({firing(name)})"
        tests.append(case(f"{name} fires", fires, {counted: ["{}"]}, hours=hours))
        tests.append(case(f"{name} is silent", silent, {counted: []}, hours=hours))
    promtool(project, tmp_path, tests)


@needs_promtool
@pytest.mark.parametrize(
    ("series", "fires"),
    [
        ([], "WindsockServerNotScraped"),
        ([UP, WATCHED], "WindsockServesNothing"),
        ([UP, LOADED], "WindsockNeverWatched"),
        ([UP, LOADED, WATCHED], None),
    ],
    ids=["nothing", "server", "model", "watched"],
)
def test_absent_series_fire_the_alert_on_their_absence_alone(project, tmp_path, series, fires):
    expr = 'count by (alertname) (ALERTS{alertstate="firing"})'
    found = [f'{{alertname="{fires}"}}'] if fires else []
    promtool(project, tmp_path, [case("absent", series, {expr: found}, hours=72)])


@needs_promtool
def test_a_time_in_the_future_is_no_sign_of_life(project, tmp_path):
    tests = []
    for name, series in AHEAD.items():
        for start, found in ((60, []), (180, ["{}"]), (365 * 86400, ["{}"])):
            dated = [(one, values.replace("{start}", str(start))) for one, values in series]
            tests.append(case(f"{name} {start} s ahead", dated, {f"count({firing(name)})": found}))
    promtool(project, tmp_path, tests)


@needs_promtool
def test_an_alert_says_value_and_limit_in_words(project, tmp_path):
    name = "WindsockEpochsDiffer"
    told = case(name, epochs(7, 8), {})
    labels = {"severity": "critical", "job": "windsock-serving", "model": "churn"}
    expected = [{"exp_labels": labels, "exp_annotations": yaml.safe_load(TOLD_WITH)}]
    told["alert_rule_test"] = [{"eval_time": "30m", "alertname": name, "exp_alerts": expected}]
    promtool(project, tmp_path, [told])


def test_each_alert_has_its_cases(rules):
    assert [rule["alert"] for rule in rules] == list(CASES)


def test_each_alert_leads_to_a_heading_of_the_runbook(project, rules):
    text = (project / "docs" / "runbook.md").read_text(encoding="utf-8")
    anchors = {line.strip("# ").lower() for line in text.splitlines() if line.startswith("#")}
    for rule in rules:
        notes = rule["annotations"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert "$value" in notes["description"], rule["alert"]
        assert "limit: " in notes["description"], rule["alert"]
        page, _, anchor = notes["runbook"].partition("#")
        assert (page, anchor) == ("docs/runbook.md", rule["alert"].lower())
        assert anchor in anchors


def test_each_metric_of_the_rules_is_exported(app, stored, rules):
    """A gauge of monitoring is there once it was told, a sample of a counter once something was counted."""
    assert app.put(make_plan(stored["first"])).status_code == 200
    version = make_plan(stored["first"]).slots[0].version  # gauges of versions without traffic are left out
    gauges = tuple(
        StoredGauge(name, {one: version if one == "model_version" else "x" for one in known.labels}, 0.5)
        for name, known in KNOWN.items()
    )
    settings = app.service.settings
    keep_gauges(settings.serving_dir, "churn", GaugeUpdate(gauges, frozenset(KNOWN)), datetime.now(UTC))
    told = tuple(
        StoredGauge(name, dict.fromkeys(known.labels, "high"), 1.0) for name, known in OF_INSTALLATION.items()
    )
    update = GaugeUpdate(told, frozenset(OF_INSTALLATION))
    keep_gauges(settings.serving_dir, INSTALLATION, update, datetime.now(UTC))
    (settings.serving_dir / "gauges" / "damaged.json").write_text("{")
    app.service.look()
    text = app.client.get("/metrics").text
    families = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    samples = set(re.findall(r"^([a-z_]+)[ {]", text, re.MULTILINE))
    exported = {f"{name}{end}" for name in families for end in ("", "_total", "_bucket", "_count")} | samples
    used = {
        name
        for rule in rules
        for name in re.findall(r"\b(?:ml|windsock|data|recommendation)_[a-z_]+\b", rule["expr"])
    }
    assert len(used) > 15
    assert sorted(used - exported) == []


def test_errors_are_told_from_metrics_by_their_direction(rules):
    lower = sorted(name for name, known in METRICS.items() if not known.greater_is_better)
    found = {word for rule in rules for word in re.findall(r'metric=~"([^"]+)"', rule["expr"])}
    assert [sorted(one.split("|")) for one in found] == [lower]
