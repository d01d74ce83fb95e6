"""What the HTML pages have in common: one file, no script, nothing from the network, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from windsock.records import Status

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
DATE = "%Y-%m-%d %H:%M"
WORDS = frozenset(status.value for status in Status)


def whole_page(title: str, body: str, *, style: str, head: str = "") -> str:
    """Return a page.

    :param title: plain text.
    :param body: HTML.
    :param head: further HTML for its head.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">{head}'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>{body}</body></html>\n"
    )


def sections(parts: Iterable[tuple[str, str]]) -> str:
    """Return parts under their titles; an empty one is left out.

    :param parts: title and content, both as HTML.
    """
    return "".join(f"<h2>{title}</h2>{content}" for title, content in parts if content)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, cards: bool = False) -> str:
    """Return a table of plain text; a cell that is a status has its colour.

    :param cards: whether each cell names its column, so that a narrow page can show a row as a card.
    """
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    names = [f' data-name="{escape(cell)}"' if cards else "" for cell in head]
    lines = "".join(f"<tr>{''.join(map(_cell, row, names))}</tr>" for row in rows)
    kind = "wide cards" if cards else "wide"
    return f'<div class="{kind}"><table><tr>{top}</tr>{lines}</table></div>'


def _cell(text: str, name: str) -> str:
    kind = f' class="{text}"' if text in WORDS else ""
    return f"<td{kind}{name}>{escape(text)}</td>"


__all__ = ["DATE", "POLICY", "sections", "table", "whole_page"]
