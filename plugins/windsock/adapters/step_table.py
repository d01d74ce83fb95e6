"""``SqlStepRecords``: the first record of each idempotency key, and what each step came to, signed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windsock.adapters.database import at_upgrade, reading, take_turn, writing
from windsock.adapters.signing import Signer, Verifier
from windsock.ports import utc_now
from windsock.spec import canonical_json, digest_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)

PURPOSE = "windsock.step_result"
FORM = 1


class SqlStepRecords:
    """Keeps one record for each key; of two that are added at once, one stands.

    A record that the installation did not sign for is none: who may write to the table alone adds nothing.

    :param url: the control database.
    :param keys_dir: the installation's keys.
    :param now: the clock that dates records.
    """

    def __init__(self, url: str, keys_dir: Path, now: Callable[[], datetime] = utc_now) -> None:
        self._url = url
        self._now = now
        self._signer = Signer(keys_dir)
        self._verifier = Verifier(keys_dir, own=True)
        at_upgrade(url, self._anchor)

    def find(self, key: str) -> dict[str, Any] | None:
        """Return the stored record's JSON, or ``None`` where there is none that was signed for."""
        with reading(self._url) as connection:
            return self._find(connection, key)

    def add(self, key: str, *, step: str, model: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Store a record unless the key has one; return the one that stands.

        :raises ValueError: if the record holds NaN or infinity.
        """
        from sqlalchemy import text

        content = {
            "key": key,
            "step": step,
            "model": model,
            "record": canonical_json(record),
            "created_at": self._now().isoformat(),
        }
        with writing(self._url) as connection:
            take_turn(connection, f"windsock.step {key}")
            if (stands := self._find(connection, key)) is not None:
                return stands
            self._sign_for(connection, step, record, key)
            connection.execute(
                text(
                    "INSERT INTO step_records (key, step, model, record, created_at) "
                    "VALUES (:key, :step, :model, :record, :created_at) ON CONFLICT (key) DO UPDATE SET "
                    "step = excluded.step, model = excluded.model, record = excluded.record, "
                    "created_at = excluded.created_at"
                ),
                content,
            )
        return dict(json.loads(content["record"]))

    def forget(self, key: str) -> None:
        """Remove a key's record, so that its work is done again; a key without one is fine."""
        from sqlalchemy import text

        with writing(self._url) as connection:
            connection.execute(text("DELETE FROM step_records WHERE key = :key"), {"key": key})

    def attest(self, step: str, record: Mapping[str, Any], under: str) -> None:
        """Sign for it that a step came to this very record.

        :param under: what it counts for: a digest of spec and run.
        """
        with writing(self._url) as connection:
            self._sign_for(connection, step, record, under)

    def is_attested(self, step: str, record: Mapping[str, Any], under: str) -> bool:
        """Return whether the installation signed for it that the step came to this record, for this."""
        with reading(self._url) as connection:
            return self._is_attested(connection, step, record, under)

    def _find(self, connection: Connection, key: str) -> dict[str, Any] | None:
        from sqlalchemy import text

        query = text("SELECT step, record FROM step_records WHERE key = :key")
        found = connection.execute(query, {"key": key}).first()
        try:
            record = None if found is None else json.loads(found.record)
        except (ValueError, TypeError, RecursionError):
            return None
        if found is None or not isinstance(record, dict):
            return None
        return record if self._is_attested(connection, found.step, record, key) else None

    def _is_attested(self, connection: Connection, step: str, record: Mapping[str, Any], under: str) -> bool:
        from sqlalchemy import text

        try:
            digest = digest_of([step, record, under])
        except (ValueError, TypeError, RecursionError):  # somebody wrote what no step can have come to
            return False
        query = text("SELECT signature FROM step_results WHERE digest = :digest")
        signature = connection.execute(query, {"digest": digest}).scalar()
        try:
            return self._verifier.verify(_signed_bytes(digest), bytes.fromhex(signature or ""))
        except (ValueError, TypeError):
            return False

    def _sign_for(self, connection: Connection, step: str, record: Mapping[str, Any], under: str) -> None:
        from sqlalchemy import text

        digest = digest_of([step, record, under])
        content = {
            "digest": digest,
            "step": step,
            "model": str(record.get("model", "")),
            "signature": self._signer.sign(_signed_bytes(digest)).hex(),
            "created_at": self._now().isoformat(),
        }
        connection.execute(
            text(
                "INSERT INTO step_results (digest, step, model, signature, created_at) "
                "VALUES (:digest, :step, :model, :signature, :created_at) "
                "ON CONFLICT (digest) DO UPDATE SET signature = excluded.signature"
            ),
            content,
        )

    def _anchor(self, connection: Connection) -> None:
        """Sign for the records from before signatures; part of the upgrade's own transaction."""
        from sqlalchemy import text

        for found in connection.execute(text("SELECT key, step, record FROM step_records")).all():
            try:
                self._sign_for(connection, found.step, json.loads(found.record), found.key)
            except (ValueError, TypeError, RecursionError, AttributeError):
                log.warning("a step record of %s cannot be read and is not signed for", str(found.step)[:40])


def _signed_bytes(digest: str) -> bytes:
    return canonical_json([PURPOSE, FORM, digest]).encode()
