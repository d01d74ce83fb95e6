"""What a text makes of a page: the elements of Markdown and HTML, without the words in them."""

from __future__ import annotations

from html.parser import HTMLParser

from markdown_it import MarkdownIt

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def of_markdown(text: str) -> list[str]:
    """Return the blocks of a Markdown text, and what is in them beside words."""
    found: list[str] = []
    for token in MARKDOWN.parse(text):
        found.append(f"{token.type} {token.tag} {token.level}")
        inner = [child.type for child in token.children or () if child.type not in ("text", "text_special")]
        found += inner
    return found


def of_html(text: str) -> list[str]:
    """Return the elements of a page with the names of their attributes, and what links lead to."""
    return _Elements(text).found


class _Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name if name not in ("href", "src") else f"{name}={value}" for name, value in attrs]
        self.found.append(f"{tag} {' '.join(names)}")

    def handle_endtag(self, tag: str) -> None:
        self.found.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.found.append("comment")

    def handle_pi(self, data: str) -> None:
        self.found.append("instruction")
