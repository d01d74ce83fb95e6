"""Encodings are read by their mark or as they are named, and never guessed."""

from __future__ import annotations

import pytest

from support.read_files import read_columns, read_source, refused
from windsock.adapters.csv_source import plausible_encodings

pytestmark = pytest.mark.cases
KOREAN = "고객번호,나이,성별,요금제\n" + "K1,43,남,기본\nK2,45,여,프리미엄\n" * 40
JAPANESE = "顧客番号,年齢,性別,料金プラン\n" + "K1,43,男,ベーシック\nK2,45,女,プレミアム\n" * 40
GERMAN = "Kunde,Größe,Straße\n" + "1,3,Hauptstraße\n2,4,Mühlweg\n" * 40
RUSSIAN = "Клиент,Возраст,Город\n" + "1,3,Москва\n2,4,Казань\n" * 40


@pytest.mark.parametrize(
    ("text", "encoding", "named"),
    [
        (KOREAN, "cp949", "cp949"),
        (JAPANESE, "shift_jis", "cp932"),
        (GERMAN, "latin1", "cp1252"),
        (RUSSIAN, "cp1251", "cp1251"),
    ],
)
def test_another_encoding(tmp_path, case, text, encoding, named):
    file = tmp_path / "customers.csv"
    file.write_bytes(text.encode(encoding))
    said = refused(file)
    right = (True, True, True)
    case(
        f"{encoding}: refused, named, with the key",
        right=right,
        got=("WS-DATA-014" in said, named in said, "encoding" in said),
    )
    case(f"{encoding}: the likeliest", right=named, got=plausible_encodings(file)[0])
    read = read_source(file, encoding=encoding)
    case(f"{encoding}: read as named", right=text.splitlines()[0].split(","), got=list(read.frame))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_byte_order_mark(tmp_path, case, encoding):
    file = tmp_path / "customers.csv"
    file.write_bytes(KOREAN.encode(encoding))
    got = read_source(file).frame["요금제"].tolist()[:2]
    case(f"{encoding} by its mark", right=["기본", "프리미엄"], got=got)


@pytest.mark.parametrize(("line", "sign"), [("sep=,", ","), ("sep=;", ";"), ('"sep=|"', "|")])
def test_a_sep_line(tmp_path, case, line, sign):
    file = tmp_path / "rows.csv"
    file.write_text("\n".join([line, sign.join("xky"), *(sign.join(("0.5", "1", "0")) for _ in range(9))]))
    columns = read_columns(file)
    case(line, right=(["x", "k", "y"], 9), got=(list(columns), len(columns["x"].values)))
