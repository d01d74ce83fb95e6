"""``docs/steps.md`` says what each step takes, as the code has it."""

from __future__ import annotations

from support.step_page import PAGE, page


def test_the_page_is_what_the_records_say() -> None:
    assert PAGE.read_text() == page(), "run `python tests/support/step_page.py`"
