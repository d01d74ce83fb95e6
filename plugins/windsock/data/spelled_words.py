"""Words with the digits, blanks and months of other scripts and languages, in the signs that readers know."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from windsock.data.column_text import all_match, matches, replaced

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

LANGUAGES: tuple[str, ...] = (
    "en",
    "de",
    "fr",
    "es",
    "it",
    "nl",
    "pt",
    "sv",
    "da",
    "nb",
    "fi",
    "pl",
    "cs",
    "hu",
    "ro",
    "tr",
)
LANGUAGES += ("ru", "uk", "el")
"""Whose names of months are known; a name that means two months in them is none."""
MONTH = re.compile(r"[^\W\d_]{3,}\.?")
ASCII = r"^[\x00-\x7F]*$"
BLANKS = r"[\x{00A0}\x{2000}-\x{200A}\x{202F}\x{3000}]"
UNSEEN = r"[\x{200B}\x{200E}\x{200F}\x{FEFF}]"
OTHER_DIGITS = r"[^\P{Nd}0-9]"
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
ZONES = {
    "GMT": "+0000", "UTC": "+0000", "UT": "+0000", "EST": "-0500", "EDT": "-0400", "CST": "-0600",
    "CDT": "-0500", "MST": "-0700", "MDT": "-0600", "PST": "-0800", "PDT": "-0700",
}  # fmt: skip
"""Zones that RFC 2822 gives one meaning, for times of that form."""
ZONE = re.compile(r"(?<=\s)[A-Z]{2,3}$")


class _Signs(dict[int, str]):
    """Digits of all scripts, and the signs written among them, as those of ASCII; others are themselves."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        digit = unicodedata.decimal(sign, None)
        self[code] = sign if digit is None else str(digit)
        return self[code]


SIGNS = _Signs(
    {ord(sign) + 0xFEE0: sign for sign in ".,+-%:/'()$TZ"} | {0x066A: "%", 0x066B: ".", 0x066C: ","}
)


def in_plain_signs(words: pa.Array) -> pa.Array:
    """Return the words with blanks as blanks, digits as 0 to 9, and no signs that nobody sees."""
    import pyarrow as pa

    if all_match(words, ASCII):
        return words
    plain = replaced(replaced(words, BLANKS, " "), UNSEEN, "")
    other = matches(plain, OTHER_DIGITS)
    if not other.any():
        return plain
    texts = plain.to_pylist()
    for place in other.nonzero()[0]:
        texts[place] = texts[place].translate(SIGNS)
    return pa.array(texts, type=words.type)


@cache
def _month_names() -> Mapping[str, int]:
    """Return the months that a name may be of, from 0 on."""
    from babel import Locale

    found: dict[str, set[int]] = {}
    for language in LANGUAGES:
        for lengths in Locale(language).months.values():
            for length in ("wide", "abbreviated"):
                for month, name in lengths[length].items():
                    found.setdefault(name.rstrip(".").casefold(), set()).add(month - 1)
    for place, month in enumerate(MONTHS):
        found[month[:3].lower()] = {place}
    return {name: min(months) for name, months in found.items() if len(months) == 1}


def has_month(word: str) -> bool:
    """Return whether a text names a month, in one of the languages that are known."""
    known = _month_names()
    text = unicodedata.normalize("NFC", word)
    return any(found[0].rstrip(".").casefold() in known for found in MONTH.finditer(text))


def in_english(words: list[str], *, full: bool) -> list[str]:
    """Return texts with the months of all languages in English, and a day such as ``1er`` as a number.

    :param full: as ``March`` rather than ``Mar``.
    """
    known = _month_names()

    def english(found: re.Match[str]) -> str:
        month = known.get(found[0].rstrip(".").casefold())
        if month is None:
            return found[0]
        return MONTHS[month] if full else MONTHS[month][:3]

    texts = (unicodedata.normalize("NFC", re.sub(r"^1(er|º|°)(?=\s)", "1", word)) for word in words)
    return [MONTH.sub(english, text) for text in texts]


def with_offset(word: str) -> str:
    """Return a text that ends with the name of a zone, where RFC 2822 knows it, with its offset instead."""
    return ZONE.sub(lambda found: ZONES.get(found[0], found[0]), word)
