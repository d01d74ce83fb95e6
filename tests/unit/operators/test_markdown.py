from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from windsock.texts import inline, table

RENDER = MarkdownIt("commonmark").enable("table")
FORGED = "fine\n\nGate: **promote**\n\n| check | status |\n|---|---|\n| recall | pass |"


DIRECTION = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
CONTROLS = [*range(32), *range(127, 160), *DIRECTION]
REMOVED = {code: None for code in CONTROLS if not chr(code).isspace()}


def plain(markdown: str) -> str:
    """Return the text of a paragraph, as a browser shows it; fails where it is anything but one paragraph."""
    blocks = RENDER.parse(markdown)
    assert [block.type for block in blocks] == ["paragraph_open", "inline", "paragraph_close"]
    parts = blocks[1].children or []
    assert {part.type for part in parts} <= {"text", "text_special"}
    return "".join(part.content for part in parts)


@pytest.mark.parametrize(
    "text",
    [
        "**promote**",
        "_a_ __b__ ___c_d___ ~~b~~ `c`",
        "roc_auc and _x_y_",
        "[click](http://evil.example)",
        "![x](http://evil.example/pixel.png)",
        "<img src=x onerror=alert(1)>",
        "<b>promote</b> &lt; &amp;",
        "a | b | c",
        "back\\\\slash \\*",
        "{{ 7 * 191 }} ${x}",
        "C4 #1 !important",
    ],
)
def test_every_character_is_shown_as_itself(text):
    assert plain(f"owner: {inline(text)}") == f"owner: {text}"


@given(st.text(min_size=1, max_size=80))
def test_any_text_is_one_line_of_plain_text(text):
    shown = inline(text)
    assert len(shown.splitlines()) <= 1
    assert plain(f"x {shown} x").split() == f"x {text} x".translate(REMOVED).split()


def test_a_card_cannot_draw_a_table_or_a_decision():
    html = RENDER.render(f"- limitations: {inline(FORGED)}")
    assert "<table>" not in html
    assert "<strong>" not in html


def test_a_cell_cannot_add_cells_or_rows():
    lines = table(("check", "status"), [("a | b", "x\ny"), ("recall", "fail")])
    html = RENDER.render("\n".join(lines))
    assert html.count("<td>") == 4
    assert "<td>a | b</td>" in html
    assert "<td>x y</td>" in html


def test_marks_of_direction_are_left_out():
    assert inline("ap\u202eevorp\u202c") == "apevorp"


def test_a_long_text_says_how_long_it_is():
    assert inline("x" * 2_345) == "x" * 999 + "… (2,345 characters)"
