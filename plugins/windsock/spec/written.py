"""Text as a model file has it: bare where every reader takes it for text, else in quotation marks."""

from __future__ import annotations

import json
import re

from windsock.spec.yaml_reader import plain_value

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
YAML_1_1_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def quoted(text: str) -> str:
    """Return a text as YAML: bare where every reader takes it for text, else in quotation marks."""
    bare = PLAIN.fullmatch(text) and text.lower() not in YAML_1_1_WORDS and isinstance(plain_value(text), str)
    if bare:
        return text
    letters = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in letters)


def _escaped(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
