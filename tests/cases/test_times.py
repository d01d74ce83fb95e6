"""Times as programs and people write them are times, or the key that settles them is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from support.read_files import failed, read_columns, validated
from windsock.exceptions import DataRefusedError

pytestmark = pytest.mark.cases
ROWS = 600
START = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = [START + timedelta(minutes=37 * row) for row in range(ROWS)]


def put(folder: Path, written, name: str = "at") -> Path:
    rows = [f"u{row},{written(moment)},{row % 7},{row % 2}" for row, moment in enumerate(MOMENTS)]
    file = folder / "times.csv"
    file.write_text("\n".join([f"id,{name},x,y", *rows]))
    return file


def unpadded(moment: datetime) -> str:
    return f"{moment.year}-{moment.month}-{moment.day} {moment.hour}:{moment:%M}"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("+02", lambda moment: f"{moment + timedelta(hours=2):%Y-%m-%d %H:%M:%S}+02"),
        ("+0200", lambda moment: f"{moment + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}+0200"),
        ("UTC", lambda moment: f"{moment:%Y-%m-%d %H:%M:%S} UTC"),
        ("UTC+1", lambda moment: f"{moment + timedelta(hours=1):%Y-%m-%d %H:%M:%S} UTC+1"),
        ("GMT-03:30", lambda moment: f"{moment - timedelta(minutes=210):%d.%m.%Y %H:%M:%S} GMT-03:30"),
        ("[zone]", lambda moment: f"{moment + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}+01:00[Europe/Paris]"),
        ("am/pm", lambda moment: f"{moment:%m/%d/%Y %I:%M:%S %p}"),
        ("unpadded", unpadded),
        ("epoch seconds", lambda moment: str(int(moment.timestamp()))),
        ("epoch milliseconds", lambda moment: str(int(moment.timestamp() * 1000))),
        ("epoch microseconds", lambda moment: str(int(moment.timestamp()) * 10**6)),
        ("epoch nanoseconds", lambda moment: str(int(moment.timestamp()) * 10**9)),
        ("31.12.2026 with a clock", lambda moment: f"{moment:%d.%m.%Y %H:%M}"),
        ("31-Dec-2026", lambda moment: f"{moment:%d %b %Y %H:%M}:00"),
    ],
)
def test_forms(tmp_path, case, name, written):
    file = put(tmp_path, written)
    read = read_columns(file)["at"]
    right = (("datetime", True, 0), "event_time", "pass")
    snapshot, report = validated(file, "y", event_time="at")
    as_feature, _ = validated(file, "y")
    assert as_feature.column("at").role.value == "feature"
    same = read.values.equals(pd.Series(MOMENTS, dtype="datetime64[us, UTC]", name="at"))
    got = ((read.kind.value, same, read.unread), snapshot.column("at").role.value, report.status.value)
    case(name, right=right, got=got)


def test_day_and_month_that_nothing_decides(tmp_path, case):
    file = put(tmp_path, lambda moment: f"{moment.day % 12 + 1:02}/{moment.month:02}/2026")
    message = failed(validated(file, "y")[1]).get("WS-DATA-117", "")
    case(
        "01/02/2026 as a feature", right=True, got="data.source.dates" in message and "99/99/9999" in message
    )
    with pytest.raises(DataRefusedError, match=r"WS-DATA-021.*data.source.dates"):
        validated(file, "y", event_time="at")
    read = read_columns(file, dates="month_first")["at"]
    case("... with dates: month_first", right=("datetime", 0), got=(read.kind.value, read.unread))


def test_epoch_seconds_under_a_name_that_does_not_say_time(tmp_path, case):
    file = put(tmp_path, lambda moment: str(int(moment.timestamp())), name="serial")
    case("numbers under another name", right="integer", got=read_columns(file)["serial"].kind.value)
    snapshot, _ = validated(file, "y", event_time="serial")
    case("... named as event time", right="datetime", got=snapshot.column("serial").kind.value)


def test_years_of_two_digits(tmp_path, case):
    file = put(tmp_path, lambda moment: f"{moment:%d.%m.%y}")
    message = failed(validated(file, "y")[1]).get("WS-DATA-117", "")
    case("31.12.26", right=True, got="data.source.dates" in message)
    read = read_columns(file, dates="%d.%m.%y")["at"]
    case("... with a pattern", right="datetime", got=read.kind.value)


@pytest.mark.parametrize(
    ("name", "written", "key"),
    [
        ("2026-01-05 10:33 CET", lambda moment: f"{moment:%Y-%m-%d %H:%M} CET", '"%Y-%m-%d %H:%M CET"'),
        ("05-JAN-26 10:33", lambda moment: f"{moment:%d-%b-%y %H:%M}".upper(), '"%d-%b-%y %H:%M"'),
        ("21h05", lambda moment: f"{moment:%Hh%M}", "`data.columns.k.kind: category`"),
        ("2h 50m", lambda moment: f"{moment.hour}h {moment.minute}m", "`data.columns.k.kind: category`"),
    ],
)
def test_times_that_cannot_be_read_with_certainty(tmp_path, case, name, written, key):
    file = put(tmp_path, written, name="k")
    message = failed(validated(file, "y")[1]).get("WS-DATA-117", "")
    case(name, right=True, got="k is read as datetime" in message and key in message)
    _, report = validated(file, "y", columns={"k": {"kind": "category"}})
    case(f"... {name} as a category", right="pass", got=report.status.value)
    if "%" in key:
        _, report = validated(file, "y", columns={"k": {"dates": key.strip('"')}})
        case(f"... {name} with the pattern", right="pass", got=report.status.value)


def test_month_first_beside_a_key_of_day_first(tmp_path, case):
    file = put(tmp_path, lambda moment: f"{moment:%m/%d/%Y %H:%M}", name="k")
    message = failed(validated(file, "y", source={"dates": "day_first"})[1]).get("WS-DATA-117", "")
    case("01/13/2026 under day_first", right=True, got='{dates: "month_first"}' in message)
    blocks = {"source": {"dates": "day_first"}, "columns": {"k": {"dates": "month_first"}}}
    case("... with its own key", right="pass", got=validated(file, "y", **blocks)[1].status.value)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("4. Januar 2026", lambda moment: f"{moment.day}. {('Januar', 'Februar')[moment.month - 1]} 2026"),
        ("4 de enero de 2026", lambda m: f"{m.day} de {('enero', 'febrero')[m.month - 1]} de 2026"),
        ("2026年1月4日", lambda moment: f"2026年{moment.month}月{moment.day}日"),
        ("2026년 1월 4일", lambda moment: f"2026년 {moment.month}월 {moment.day}일"),
        ("31.12.2025, 03:03", lambda moment: f'"{moment:%d.%m.%Y, 00:00}"'),
        ("Thu, 01 Jan 2026 00:00:00 GMT", lambda moment: f'"{moment:%a, %d %b %Y} 00:00:00 GMT"'),
    ],
)
def test_dates_of_other_languages(tmp_path, case, name, written):
    column = read_columns(put(tmp_path, written))["at"]
    right = pd.Series(MOMENTS, dtype="datetime64[us, UTC]").dt.floor("D").tolist()
    case(name, right=(True, 0), got=(column.values.tolist() == right, column.unread))


def test_a_clock_of_half_a_day(tmp_path, case):
    column = read_columns(put(tmp_path, lambda moment: f"{moment:%I:%M %p}", name="k"))["k"]
    right = [60 * moment.hour + moment.minute for moment in MOMENTS]
    case("9:05 PM", right=True, got=column.values.tolist() == right)


@pytest.mark.parametrize("pattern", ["%Y-%m-%d", "%d/%m/%Y", "%Y-%m-%dT%H:%M:%SZ", "%d %b %Y"])
def test_years_of_the_thai_calendar_are_in_doubt(tmp_path, case, pattern):
    ahead = pattern.replace("%Y", "2567")
    file = put(tmp_path, lambda moment: moment.strftime(ahead), name="k")
    message = failed(validated(file, "y")[1]).get("WS-DATA-117", "")
    case(f"2567 as {pattern}", right=True, got="`data.columns.k.dates`" in message or message)
    if pattern == "%Y-%m-%d":
        blocks = {"columns": {"k": {"dates": pattern}}}
        case("... with a pattern", right="pass", got=validated(file, "y", **blocks)[1].status.value)
