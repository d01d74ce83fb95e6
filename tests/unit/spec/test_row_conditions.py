from __future__ import annotations

import pytest

from windsock.exceptions import SpecError
from windsock.spec import RangeBlock
from windsock.spec.loader import spec_from_bytes


def data_of(text):
    return spec_from_bytes(f"model: {{name: a}}\ndata:\n  {text}\n".encode(), "a.yaml").data


def test_conditions_are_plain_data():
    where = data_of(
        'where: {x: 1.5, y: yes, z: [1, a, true], t: {min: "2026-05-01"}, "{{ x }}": "{{ y }}"}'
    ).where
    assert where == {
        "x": 1.5,
        "y": "yes",
        "z": (1, "a", True),
        "t": RangeBlock(min="2026-05-01"),
        "{{ x }}": "{{ y }}",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("where: a > 3", "data.where: wrong kind"),
        ("where: {x: null}", "data.where.x: wrong kind"),
        ("where: {x: []}", "data.where.x: wrong length"),
        ("where: {x: {mn: 1}}", "data.where.x.mn: unknown key.*did you mean min"),
        ("where: {x: {}}", "data.where.x: a range without an end"),
        ("where: {x: {min: 3, max: 1}}", "data.where.x.min: min 3 is more than max 1"),
        ('where: {x: {min: 3, max: "2026-05-01"}}', "data.where.x: min and max are of two kinds"),
        ("where: {x: [1, null]}", r"data.where.x\[1\]: wrong kind"),
        ("unlabelled: skip", "data.unlabelled: unknown word.*fail, drop"),
    ],
)
def test_a_fault_has_its_line_and_key(text, says):
    with pytest.raises(SpecError, match=f"a.yaml:3: {says}"):
        data_of(text)


def test_what_chooses_rows_is_left_to_the_snapshot_s_digest():
    spec = spec_from_bytes(b"model: {name: a}\ndata: {where: {x: 1}, unlabelled: drop}\n", "a.yaml")
    plain = spec_from_bytes(b"model: {name: a}\n", "a.yaml")
    assert spec.section_digest("data") == plain.section_digest("data")
