"""The model bundle: one folder that everything downstream of training uses."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, model_validator

from windsock.records.base import Digest, Moment, Record
from windsock.records.data import ColumnKind
from windsock.records.value_form import ValueForm

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


class EarlierKind(Record):
    """A kind that a field had in requests to an earlier version; its values are read by their word."""

    kind: ColumnKind
    true_word: str | None = None
    false_word: str | None = None


class InputField(Record):
    """One field of a prediction request.

    :param required: whether the field must be in the request at all.
    :param nullable: whether null is accepted (a missing value, imputed as in training).
    :param true_word: for a boolean that was text in training: the word that means true.
    :param false_word: for a boolean that was text in training: the word that means false.
    :param sensitive: whether the spec marks it so: the prediction log encrypts it where there is a key.
    :param earlier: other kinds that earlier versions took; such a value is still accepted.
    :param form: how its values were written in the training's source; ``None``: not known. Nothing of
        requests.
    """

    name: str
    kind: ColumnKind
    required: bool = True
    nullable: bool = True
    true_word: str | None = None
    false_word: str | None = None
    sensitive: bool = False
    earlier: tuple[EarlierKind, ...] = ()
    form: ValueForm | None = None


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
    :param label_words: for boolean classes that are text in the source: the words that mean true and false.
    :param ignored: fields of earlier versions that this one does not use: requests may still carry them.
    :param order: names of all fields, in which values without names are read; empty: as ``fields``. A later
        version only adds names at its end.
    :param contract: version of the request contract: it goes up only when what a request may hold changes.
    """

    model: str
    fields: tuple[InputField, ...] = Field(min_length=1)
    answer: Answer
    classes: tuple[str | int | float | bool, ...] = ()
    positive: str | int | float | bool | None = None
    label_words: tuple[str, str] | None = None
    ignored: tuple[InputField, ...] = ()
    order: tuple[str, ...] = ()
    contract: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        names = [field.name for field in (*self.fields, *self.ignored)]
        if self.ignored and len(set(names)) < len(names):
            raise ValueError("a field is used and ignored")
        if self.order and sorted(self.order) != sorted(names):
            raise ValueError("the order does not name each field once")
        return self

    @property
    def request_fields(self) -> tuple[InputField, ...]:
        """All fields that a request may hold: those that are used, in their order, then the ignored ones."""
        return (*self.fields, *self.ignored)

    @property
    def in_order(self) -> tuple[InputField, ...]:
        """The fields of a request that names none of its values."""
        if not self.order:
            return self.request_fields
        fields = {field.name: field for field in self.request_fields}
        return tuple(fields[name] for name in self.order)

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
