"""The model bundle: one folder that everything downstream of training uses."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import Field

from windsock.records.base import Digest, Moment, Record
from windsock.records.data import ColumnKind

MODEL_FILE = "model.skops"
SCHEMA_FILE = "schema.json"
GOLDEN_FILE = "golden.json"
PROFILE_FILE = "profile.json"
MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"
COMPILED_FILE = "compiled.json"
TREES_FILE = "trees.bin"
COMPILED_FILES = frozenset({COMPILED_FILE, TREES_FILE})
KNOWN_FILES = frozenset({MODEL_FILE, SCHEMA_FILE, GOLDEN_FILE, PROFILE_FILE}) | COMPILED_FILES


class InputField(Record):
    """One field of a prediction request.

    :param required: whether the field must be in the request at all.
    :param nullable: whether null is accepted (a missing value, imputed as in training).
    :param true_word: for a boolean that was text in training: the word that means true.
    :param false_word: for a boolean that was text in training: the word that means false.
    :param sensitive: whether the spec marks it so: the prediction log encrypts it where there is a key.
    """

    name: str
    kind: ColumnKind
    required: bool = True
    nullable: bool = True
    true_word: str | None = None
    false_word: str | None = None
    sensitive: bool = False


class Answer(StrEnum):
    """What the model answers with."""

    CLASS = "class"
    NUMBER = "number"


class InputSchema(Record):
    """What a request must look like, and what the answer means.

    :param model: the model's name.
    :param fields: the features, in the order the pipeline was fitted with.
    :param answer: a class with probabilities, or a number.
    :param classes: labels in the order of the probabilities; empty for numbers.
    :param positive: label that ``score`` is the probability of; ``None`` for numbers and beyond two classes.
    """

    model: str
    fields: tuple[InputField, ...] = Field(min_length=1)
    answer: Answer
    classes: tuple[str | int | float | bool, ...] = ()
    positive: str | int | float | bool | None = None

    def values_of(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return a feature object's values in the order of the fields; what is absent is ``None``."""
        return tuple([row.get(field.name) for field in self.fields])


class GoldenPredictions(Record):
    """Held-out-free rows with the answers the model gave right after training.

    Their feature values are made up from the schema (medians, common categories, nulls), never rows of data.

    :param rows: feature objects as a client would send them.
    :param scores: for each row the class probabilities in the order of the classes, or the one number.
    :param tolerance: largest absolute difference that counts as equal.
    """

    rows: tuple[dict[str, Any], ...] = Field(min_length=1)
    scores: tuple[tuple[float, ...], ...] = Field(min_length=1)
    tolerance: float = 1e-6


class BundleManifest(Record):
    """Digests of a bundle's files; its own digest is the bundle's identity and what is signed.

    :param files: SHA-256 of each file by name.
    :param key: idempotency key of the training that made it.
    :param types: types the model file asks for beyond the built-in ones; each is on Windsock's allow-list.
    :param facts: what the training found out (parameters used, scores of the folds), as JSON values: a second
        try reads it here instead of fitting again.
    """

    model: str
    key: str
    snapshot_digest: Digest
    spec_digest: Digest
    files: dict[str, Digest] = Field(min_length=1)
    types: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    created_at: Moment


class StoredBundle(Record):
    """Where a bundle lies, and its identity."""

    uri: str
    digest: Digest
