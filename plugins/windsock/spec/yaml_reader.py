"""Strict YAML: plain values with their lines, and nothing that could surprise or blow up.

The meaning of plain words is YAML 1.2's: ``no``, ``on`` and ``12:30:00`` are text, ``010`` is text and no
octal number, ``1e5`` is a number. Aliases, anchors, merge keys, tags, duplicate keys and second documents
are refused.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from windsock.exceptions import SpecError
from windsock.spec.faults import Fault, dotted, faults_error, shown

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 5_000
UNREADABLE = "WS-SPEC-005"
NOT_YAML = "WS-SPEC-004"

KeyPath = tuple[str | int, ...]

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,39})")
NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,9})?")
WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
NOT_FINITE = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
BREAKS = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
HASH_TEXT = re.compile(r"[ \t]+#[^\s#]")

CURES = (
    ("while scanning an alias", "quote a text that begins with *, such as schedule: '*/5 * * * *'"),
    ("while scanning an anchor", "quote a text that begins with &"),
    ("while scanning a directive", "quote a text that begins with %"),
    (
        "cannot start any token",
        "quote the text if it begins with @ or `; indent with spaces, never with tabs",
    ),
    (
        "mapping values are not allowed",
        "quote the text if it holds ': ', and indent the keys of a block alike",
    ),
    ("could not find expected ':'", "write KEY: VALUE with a space after the colon"),
    ("did not find expected key", "indent the keys of a block alike"),
    ("found unexpected end of stream", "close the quotation mark"),
    ("unexpected end", "close the quotation mark"),
    ("did not find expected ',' or", "close the bracket, and put commas between its items"),
)


@dataclass(frozen=True, kw_only=True)
class YamlDocument:
    """What a file says.

    :param value: plain values: text, numbers, true/false, null, lists, dicts with text keys.
    :param positions: for each key path the 1-based line and column of its key (of its item, in a list).
    """

    value: Any
    positions: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)

    def line(self, path: KeyPath) -> int | None:
        """Return the line of a key path, or of its nearest parent that stands in the file."""
        for length in range(len(path), -1, -1):
            if (found := self.positions.get(path[:length])) is not None:
                return found[0]
        return None


def read_yaml(path: Path | str, *, most_bytes: int = MAX_BYTES, most_values: int = MAX_NODES) -> YamlDocument:
    """Read one YAML file.

    :param most_bytes: a larger file is refused.
    :param most_values: a file of more values is refused.

    :raises SpecError: if it is missing, no plain file, too large, not UTF-8 or not strict YAML.
    """
    name = str(path)
    try:
        # A pipe or a device would block the reader for ever.
        plain = stat.S_ISREG(Path(path).stat().st_mode)
        content = _first_bytes(Path(path), most_bytes) if plain else b""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SpecError(f"the file cannot be read: {reason}", file=name, code=UNREADABLE) from error
    if not plain:
        raise SpecError("this is no plain file", file=name, code=UNREADABLE)
    return parse_yaml(content, name, most_bytes=most_bytes, most_values=most_values)


def _first_bytes(path: Path, most: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(most + 1)


def parse_yaml(
    content: bytes, name: str, *, most_bytes: int = MAX_BYTES, most_values: int = MAX_NODES
) -> YamlDocument:
    """Read YAML from bytes.

    :param content: the file's content.
    :param name: the file, as the user named it, for errors.
    :param most_bytes: a larger file is refused.
    :param most_values: a file of more values is refused.
    :raises SpecError: if it is too large, not UTF-8 or not strict YAML.
    """
    return _Reader(_text(content, name, most_bytes), name, most_values).document()


def _text(content: bytes, name: str, most: int) -> str:
    if len(content) > most:
        raise SpecError(
            f"the file has more than {most:,} bytes; cure: keep data out of it",
            file=name,
            code=UNREADABLE,
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpecError(
            f"byte {error.start + 1} is not UTF-8; cure: save the file as UTF-8",
            file=name,
            line=line,
            code=NOT_YAML,
        ) from error
    if (found := CONTROL.search(text)) is not None:
        line = len(BREAKS.findall(text, 0, found.start())) + 1
        raise SpecError(
            f"the character U+{ord(found[0]):04X} may not stand in a file; cure: remove it",
            file=name,
            line=line,
            code=NOT_YAML,
        )
    return text


class _Reader:
    """Builds values from the parser's events, so that hostile input is refused before it is expanded."""

    def __init__(self, text: str, name: str, most: int) -> None:
        self.most = most
        self.text = text
        self.name = name
        self.nodes = 0
        self.positions: dict[KeyPath, tuple[int, int]] = {}
        self.events: Iterator[Any] = iter(())

    def document(self) -> YamlDocument:
        try:
            self.events = yaml.parse(self.text, Loader=LOADER)
            return YamlDocument(value=self._stream(), positions=self.positions)
        except yaml.YAMLError as error:
            raise self._syntax(error) from error

    def _stream(self) -> Any:
        value: Any = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refuse(
                        event, (), "a second document", "keep one document in a file: remove the ---"
                    )
                if event.tags:
                    raise self._refuse(event, (), "a %TAG directive", "remove it")
                first = next(self.events)
                self._mark(first, ())
                value = self._node(first, (), 0)
        return value

    def _node(self, event: Any, path: KeyPath, depth: int) -> Any:
        self._check(event, path, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path, depth)
        return self._block(path, depth)

    def _check(self, event: Any, path: KeyPath, depth: int) -> None:
        self.nodes += 1
        if self.nodes > self.most:
            raise self._refuse(event, path, f"more than {self.most:,} values", "split the file")
        if depth > MAX_DEPTH:
            raise self._refuse(event, (), f"blocks nested more than {MAX_DEPTH} deep", "flatten the file")
        if isinstance(event, yaml.AliasEvent):
            raise self._refuse(
                event, path, "an alias (*name)", "write the value out, or quote a text that begins with *"
            )
        if event.anchor is not None:
            raise self._refuse(
                event, path, "an anchor (&name)", "remove it, or quote a text that begins with &"
            )
        if event.tag is not None:
            raise self._refuse(event, path, "a tag (!name)", "remove it, or quote a text that begins with !")

    def _list(self, path: KeyPath, depth: int) -> list[Any]:
        items: list[Any] = []
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            place = (*path, len(items))
            self._mark(event, place)
            items.append(self._node(event, place, depth + 1))
        return items

    def _block(self, path: KeyPath, depth: int) -> dict[str, Any]:
        block: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, path, depth)
            place = (*path, key)
            if key in block:
                first = self.positions[place][0]
                raise self._refuse(
                    event, place, f"the same key twice (first in line {first})", "keep one of the two"
                )
            self._mark(event, place)
            block[key] = self._node(next(self.events), place, depth + 1)
        return block

    def _key(self, event: Any, path: KeyPath, depth: int) -> str:
        self._check(event, path, depth)
        if not isinstance(event, yaml.ScalarEvent):
            raise self._refuse(event, path, "a list or a block as a key", "write a word before the colon")
        if event.implicit[0] and event.value == "<<":
            raise self._refuse(event, path, "a merge key (<<)", "write the keys out")
        key = self._scalar(event, path)
        if not isinstance(key, str):
            cure = f'quote it: "{event.value}"' if event.value else "write a word before the colon"
            raise self._refuse(event, path, f"{shown(key)} as a key", cure)
        return key

    def _scalar(self, event: Any, path: KeyPath) -> Any:
        if not event.implicit[0]:
            if CONTROL.search(event.value):
                raise self._refuse(
                    event, path, "a text with a control character", "remove the backslash escape"
                )
            return event.value
        if event.value == "" and self._hash_follows(event.start_mark.index):
            raise self._refuse(
                event,
                path,
                "no value, but a comment without a space",
                'quote a text that begins with #: "#name"',
            )
        return plain_value(event.value)

    def _hash_follows(self, index: int) -> bool:
        return HASH_TEXT.match(self.text, index) is not None

    def _mark(self, event: Any, path: KeyPath) -> None:
        self.positions[path] = (event.start_mark.line + 1, event.start_mark.column + 1)

    def _refuse(self, event: Any, path: KeyPath, problem: str, cure: str) -> SpecError:
        fault = Fault(
            file=self.name,
            line=event.start_mark.line + 1,
            key=dotted(path),
            problem=f"refused: {problem}",
            cure=cure,
        )
        return faults_error([fault], code=NOT_YAML)

    def _syntax(self, error: yaml.YAMLError) -> SpecError:
        mark = getattr(error, "problem_mark", None)
        said = " ".join(
            str(part) for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part
        )
        cure = next((cure for words, cure in CURES if words in said), "")
        problem = f"this is no YAML: {said or 'unreadable characters'}"
        line = None if mark is None else mark.line + 1
        return faults_error(
            [Fault(file=self.name, line=line, key="", problem=problem, cure=cure)], code=NOT_YAML
        )


def plain_value(text: str) -> Any:
    """Return what an unquoted word means: null, true/false, a number, or the text itself."""
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if NUMBER.fullmatch(text):
        return float(text)
    if text.lower() in NOT_FINITE:
        return float(NOT_FINITE[text.lower()])
    return text
