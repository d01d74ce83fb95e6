"""What every model of the vocabulary shares: frozen, no unknown keys, a digest of its content."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def is_none(value: object) -> bool:
    """Return whether a field has no value: such fields, of later versions, are left out of what is stored."""
    return value is None


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN.

    :param value: anything that ``json`` can write.
    :raises ValueError: if it holds NaN or infinity.
    """
    return ENCODER.encode(value)


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


class Frozen(BaseModel):
    """Base of the spec's blocks and of the records: frozen, closed, finite numbers only."""

    # A value may be a secret or a row of data, so the text of an error never repeats it. What reads and
    # writes a model is built when it is first used: a process uses few of some two hundred models.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        protected_namespaces=(),
        hide_input_in_errors=True,
        defer_build=True,
    )

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values in some fields, validated as a whole.

        What was left to its default stays so, unless it is among the changes.

        :param changes: new values by field name.
        :raises TypeError: if a name is no field.
        :raises pydantic.ValidationError: if a value is none that its field may hold, or the fields do not fit
            each other.
        """
        cls = type(self)
        if unknown := sorted(changes.keys() - cls.model_fields.keys()):
            raise TypeError(
                f"{cls.__name__} has no field {', '.join(unknown)};"
                f" its fields are {', '.join(cls.model_fields)}"
            )
        values = {name: getattr(self, name) for name in cls.model_fields}
        replaced = cls.model_validate({**values, **changes})
        object.__setattr__(replaced, "__pydantic_fields_set__", self.model_fields_set | changes.keys())
        return replaced

    def content_digest(self) -> str:
        """Return the SHA-256 of this object's canonical JSON."""
        return digest_of(self.model_dump(mode="json"))
