"""Faults of a spec file: where, which key, what stands there, what may stand there, and the cure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from windsock.exceptions import SpecError
from windsock.texts import shortened

SHOWN_CHARACTERS = 40
SHOWN_FAULTS = 50
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
SECRET_KEY = re.compile(r"(?i)passw|secret|token|credential|api_?key")


class NotAllowedError(ValueError):
    """A validator's no, with what the loader tells the user.

    :param problem: what is wrong, such as ``unknown estimator``.
    :param allowed: the words that may stand there, or one plain description.
    :param cure: what to write instead, where that is not plain; one clause.
    :param at: path of the key at fault below the validator's own place.
    """

    def __init__(
        self,
        problem: str,
        *,
        allowed: Sequence[str] | str = (),
        cure: str = "",
        at: tuple[str | int, ...] = (),
    ) -> None:
        self.problem = problem
        self.words: tuple[str, ...] = () if isinstance(allowed, str) else tuple(allowed)
        self.allowed = allowed if isinstance(allowed, str) else ", ".join(allowed)
        self.cure = cure
        self.at = at
        super().__init__(
            "; ".join(part for part in (problem, self.allowed and f"allowed: {self.allowed}", cure) if part)
        )


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong in a file.

    :param file: the file, as the user named it.
    :param line: 1-based line, where there is one.
    :param key: dotted path of the key as the user wrote it; empty for the whole file.
    :param problem: what is wrong, with the kind and a short form of the value.
    :param allowed: what may stand there.
    :param cure: what to do.
    """

    file: str
    line: int | None
    key: str
    problem: str
    allowed: str = ""
    cure: str = ""

    @property
    def what(self) -> str:
        """The fault without its place."""
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        cure = f"; cure: {self.cure}" if self.cure else ""
        return f"{self.problem}{allowed}{cure}"

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.what}" if self.key else f"{place}: {self.what}"


class SpecFaultsError(SpecError):
    """One file with all its faults.

    ``line`` and ``key`` are those of the first fault; ``faults`` holds them all.
    """

    faults: tuple[Fault, ...] = ()


def faults_error(faults: Iterable[Fault], *, code: str = "WS-SPEC-001") -> SpecFaultsError:
    """Return one error for all faults of a file, in the order of their lines."""
    listed = tuple(sorted(faults, key=lambda fault: (fault.line or 0, fault.key)))
    first = listed[0]
    if len(listed) == 1:
        error = SpecFaultsError(
            first.what, file=first.file, line=first.line, key=first.key or None, code=code
        )
    else:
        lines = [f"  {fault}" for fault in listed[:SHOWN_FAULTS]]
        if len(listed) > SHOWN_FAULTS:
            lines.append(f"  and {len(listed) - SHOWN_FAULTS} more")
        error = SpecFaultsError(f"{len(listed)} faults\n" + "\n".join(lines), file=first.file, code=code)
        error.line, error.key = first.line, first.key or None
    error.faults = listed
    return error


def shown(value: Any, key: str = "") -> str:
    """Return the kind and a short form of a value, without credentials.

    :param key: dotted path it stands at; what stands at a key such as ``password`` is not shown.
    """
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return f"true/false value {str(value).lower()}"
    if isinstance(value, dict):
        return f"a block of {len(value)} key{'' if len(value) == 1 else 's'}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    kind = "text" if isinstance(value, str) else "number"
    if SECRET_KEY.search(key):
        return f"{kind} (not shown)"
    short = CREDENTIALS.sub("***@", value) if isinstance(value, str) else value
    text = repr(short)
    return f"{kind} {shortened(text, SHOWN_CHARACTERS)}"


def closest(word: object, known: Iterable[str]) -> str:
    """Return ``did you mean X?`` for the known word that is most like this one, or an empty text."""
    if not isinstance(word, str) or len(word) > 100:
        return ""
    by_form = {name.lower().replace("-", "_"): name for name in known}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), by_form, n=1, cutoff=0.6)
    return f"did you mean {by_form[found[0]]}?" if found else ""


def dotted(path: Iterable[str | int]) -> str:
    """Return a path as people write it: ``training.candidates[0].estimator``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_bounded(part)}"
    return text.lstrip(".")


def _bounded(key: str) -> str:
    plain = "".join(letter if letter.isprintable() else "?" for letter in key)
    return shortened(plain, SHOWN_CHARACTERS)
