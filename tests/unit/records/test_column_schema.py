"""A column of a snapshot as it was kept before what does not fit had fields of its own."""

from __future__ import annotations

import pytest

from windsock.records import ColumnKind, ColumnSchema


@pytest.mark.parametrize(
    ("note", "right"),
    [
        (
            "without the contract its values would be read as category; now it would be; write a key",
            ("", "category", "now it would be; write a key"),
        ),
        ("without the contract its values would be read as number; ", ("", "number", "")),
        ("free text", ("free text", "", "")),
        ("", ("", "", "")),
    ],
)
def test_a_note_of_before_is_read(note: str, right: tuple[str, str, str]) -> None:
    kept = {"name": "x", "kind": "number", "unread": 3, "note": note}
    column = ColumnSchema.model_validate(kept)
    assert (column.note, column.freely, column.advice) == right
    assert ColumnSchema.model_validate(column.model_dump(mode="json")) == column
    assert column.kind is ColumnKind.NUMBER
