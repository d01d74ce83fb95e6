"""The form in which a row of the ledger is hashed and signed.

It is made of the columns as they are stored, texts and whole numbers alone, and has a number of its own: code
and records may be renamed, and what was signed stays what can be verified.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from windsock.spec.base import canonical_json, digest_of

UNSIGNED_FORM = 0
"""Rows from before signatures: the SHA-256 of an object of the columns, the body as JSON within it."""
FORM = 1
"""Rows of today: a list of the columns in the order of :data:`COLUMNS`, the body as the stored text."""
COLUMNS = ("model", "seq", "action", "epoch", "version", "digest", "actor", "body", "at", "previous")
columns_of = itemgetter(*COLUMNS)
PURPOSE = "windsock.ledger"
"""First item of what is signed: a signature made for anything else is none for a row."""


def signed_bytes(raw: Mapping[str, Any]) -> bytes:
    """Return what the signature of a row is made over.

    :param raw: the stored columns of a row; its own hash and signature are not among them.
    """
    return canonical_json([PURPOSE, FORM, *columns_of(raw)]).encode()


def hash_of(raw: Mapping[str, Any]) -> str:
    """Return the hash that a row must have, by its form.

    :param raw: the stored columns of a row, its ``form`` among them.
    :raises ValueError: if this version does not know the form, or the body is no JSON.
    """
    if raw["form"] == FORM:
        return hashlib.sha256(signed_bytes(raw)).hexdigest()
    if raw["form"] == UNSIGNED_FORM:
        columns = {column: raw[column] for column in COLUMNS}
        return digest_of({**columns, "body": json.loads(raw["body"])})
    raise ValueError(f"form {raw['form']!r} of a ledger's row is not known; known: {UNSIGNED_FORM}, {FORM}")
