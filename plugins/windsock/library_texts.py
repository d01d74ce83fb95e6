"""What a library says of a failure, fit for a log: one short line without values and logins.

Libraries repeat what they were given: scikit-learn the parameter, MLflow and a database the value, an HTTP
client the URL with its password. What is wrong is in the words around it, so those stay and the values go.
"""

from __future__ import annotations

import re

from windsock.texts import shortened

SHOWN_CHARACTERS = 200
HIDDEN = "***"
NAMING = (
    "argument|bindings|catalog|class|column|constraint|database|dialect|experiment|field|function|group|host|index"
    "|key|keyword|model|module|name|near|option|param|parameter|relation|role|run|schema|setting|table|type|user"
    "|version|view"
)
"""Words beside which a quoted text is a name and no value."""

_QUOTED = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`[^`]*`"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # SQLAlchemy: the statement and its parameters; a driver: the row that is in the way.
    (re.compile(r"\[(?:SQL|parameters|raw sql)\b.*", re.DOTALL | re.IGNORECASE), ""),
    (re.compile(r"\(Background on this error at: [^)]*\)"), ""),
    (re.compile(r"(?<==)\(.*\)"), HIDDEN),
    # A login goes up to the last @ of its word: a password may hold one.
    (re.compile(r"://\S*@"), f"://{HIDDEN}@"),
    (re.compile(r"(?<=[?&])([\w.-]+)=[^&\s'\"]+"), rf"\1={HIDDEN}"),
    (
        re.compile(
            r"(?i)\b(\w*(?:passw(?:or)?d|pwd|secret|token|api_?key|credential\w*|authorization|signature)\w*)"
            rf"(['\"]?\s*[=:]\s*)(?:(?:bearer|basic)\s+)?(?:{_QUOTED}|\S+)"
        ),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"\{[^{}]*:.*\}"), HIDDEN),
    (re.compile(r"(?i)\b(got|received|given)(:?) .+?(?= instead\b|$)"), rf"\1\2 {HIDDEN}"),
    (re.compile(rf"(?i)\b(\w*values?)(\s*[=:]\s*)(?:{_QUOTED}|[^\s,;)\]]+)"), rf"\1\2{HIDDEN}"),
)
_NAME = re.compile(
    rf"(?i)(?P<before>\b(?:{NAMING})s?\b[\s=:]*)?(?P<text>{_QUOTED})(?=(?P<after>\s+(?:{NAMING})s?\b)?)"
)


def library_text(error: BaseException | str, *, shown: int = SHOWN_CHARACTERS) -> str:
    """Return the first line of what a library says, without values of parameters, rows, logins and secrets.

    A quoted text stays where a word beside it says that it is a name: ``column "age"``, ``'C' parameter``.

    :param error: the library's exception, or its text.
    :param shown: characters at most.
    """
    lines = str(error).strip().splitlines() or [""]
    text = lines[0][: 20 * shown]  # the rules cost more than their length: a text may be very long
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    text = " ".join(_NAME.sub(_unquoted, text).split())
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shortened(printable, shown)


def _unquoted(found: re.Match[str]) -> str:
    if found["before"] or found["after"]:
        return found[0]
    return HIDDEN
