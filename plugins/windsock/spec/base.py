"""What every model of the vocabulary shares: frozen, no unknown keys, a digest of its content."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN.

    :param value: anything that ``json`` can write.
    :raises ValueError: if it holds NaN or infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


class Frozen(BaseModel):
    """Base of the spec's blocks and of the records: frozen, closed, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    def content_digest(self) -> str:
        """Return the SHA-256 of this object's canonical JSON."""
        return digest_of(self.model_dump(mode="json"))
