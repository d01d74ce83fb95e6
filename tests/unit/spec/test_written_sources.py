"""Keys of ``data.source`` that say how a source's text stands for values."""

from __future__ import annotations

import pytest

from windsock.adapters.sources import SourceReaders
from windsock.data.reading import read_column
from windsock.exceptions import WindsockError
from windsock.spec.loader import spec_from_bytes

FILE = "model: {{name: a}}\ndata: {{source: {{kind: file, path: x.csv, {keys}}}, target: y}}\n"


def load(keys: str):
    return spec_from_bytes(FILE.format(keys=keys).encode(), "a.yaml").data.source


def test_every_key_loads_and_is_heeded(tmp_path):
    source = load(
        "encoding: latin-1, delimiter: ';', decimal: ',', thousands: '.', "
        "dates: '%d.%m.%y', nulls: [weiß, -9]"
    )
    assert source.nulls == ("weiß", "-9")
    rows = "preis;tag;y\n1.234,5;01.02.26;a\nweiß;02.02.26;b\n-9;weiß;a\n"
    (tmp_path / "x.csv").write_bytes(rows.encode("latin-1"))
    read = SourceReaders((tmp_path,), str).read(source)
    prices = read_column(read.frame["preis"], "preis", form=read.form)
    days = read_column(read.frame["tag"], "tag", form=read.form)
    assert prices.values.isna().tolist() == [False, True, True]
    assert prices.values[0] == 1234.5
    assert (days.kind.value, days.values[0].isoformat()) == ("datetime", "2026-02-01T00:00:00+00:00")
    assert days.values.isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    "keys",
    [
        "nulls: x",
        "nulls: [[a]]",
        "dates: yesterday",
        "dates: '%Y-%m-%d %'",
        "dates: '%d-%d'",
        "dates: '%U %Y'",
        "dates: '100%'",
        "dates: '%%'",
        "encoding: klingon",
        "encoding: rot13",
        "encoding: hex",
        "encoding: base64",
        "decimal: ';'",
        "delimiter: ''",
        "delimiter: é",
        "delimiter: '\"'",
        "delimiter: '”'",
    ],
)
def test_what_means_nothing_is_a_fault_with_its_line(keys):
    with pytest.raises(WindsockError) as caught:
        load(keys)
    assert f"a.yaml:2: data.source.{keys.partition(':')[0]}" in str(caught.value)


@pytest.mark.parametrize(
    "pattern",
    ["%d.%m.%y", "%Y%m%d", "%H:%M", "%Y-%m", "%d %B %Y %I:%M %p", "%Y-%m-%dT%H:%M:%S%z", "%G-W%V-%u"],
)
def test_patterns_of_times(pattern):
    assert load(f"dates: '{pattern}'").dates == pattern
