"""The routing table: one file, replaced whole, whose epochs only ever grow."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from windsock.exceptions import SettingsError, StaleEpochError, StorageError
from windsock.records import BASIS_POINTS, Digest, Record, RoutePlan
from windsock.serving.files import locked, replace_file
from windsock.spec import MODEL_NAME

log = logging.getLogger(__name__)

ROUTES_FILE = "routes.json"
LOCK_FILE = "routes.lock"
DIGEST = re.compile(r"[0-9a-f]{64}")
KEPT_CHAMPIONS = 2

Signature = tuple[int, int, int]
"""What tells one version of a file from another: inode, time of change, size."""


class InvalidTableError(SettingsError):
    """The routing table's file holds no routing table; the last valid one stays in use."""

    default_code = "WS-SERVING-005"
    default_next = (
        "Put back a whole routes.json, or remove it and restart the server, then clear the deploy tasks."
    )


class RoutingTable(Record):
    """What the server shall serve.

    :param models: plan by model name.
    :param champions: bundles that had all of a model's traffic, last first; the server keeps their copies.
    """

    models: dict[str, RoutePlan] = Field(default_factory=dict)
    champions: dict[str, tuple[Digest, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for name, plan in self.models.items():
            if name != plan.model or not MODEL_NAME.fullmatch(name):
                raise ValueError("a plan stands under a name that is not its model's")
            if not all(DIGEST.fullmatch(slot.digest) for slot in plan.slots):
                raise ValueError("a digest is not 64 hexadecimal digits")
        return self

    def with_plan(self, plan: RoutePlan) -> Self:
        """Return the table with a model's new plan.

        :raises StaleEpochError: if the table's plan is of a later epoch, or of the same one and different.
        """
        self.require_newer(plan)
        champions = list(self.champions.get(plan.model, ()))
        for slot in plan.slots:
            if slot.share == BASIS_POINTS:
                champions = [slot.digest, *(known for known in champions if known != slot.digest)]
        return self.model_copy(
            update={
                "models": {**self.models, plan.model: plan},
                "champions": {**self.champions, plan.model: tuple(champions[:KEPT_CHAMPIONS])},
            }
        )

    def require_newer(self, plan: RoutePlan) -> None:
        """See that a plan may replace the one that stands: later epoch, or the very same plan.

        :raises StaleEpochError: if not.
        """
        stands = self.models.get(plan.model)
        if stands is None or plan.epoch > stands.epoch or plan == stands:
            return
        seen = (
            "another plan has this epoch"
            if plan.epoch == stands.epoch
            else f"the server is at {stands.epoch}"
        )
        raise StaleEpochError(f"{plan.model}: epoch {plan.epoch} is refused: {seen}", code="WS-SERVING-006")

    def digests(self) -> frozenset[Digest]:
        """Return the bundles whose copies the server keeps: those in slots and the last champions."""
        slots = {slot.digest for plan in self.models.values() for slot in plan.slots}
        return frozenset(slots.union(*self.champions.values()))


class RouteFile:
    """The routing table on the disk.

    :param folder: the server's state folder.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / ROUTES_FILE
        self.lock = folder / LOCK_FILE

    def signature(self) -> Signature | None:
        """Return what tells this version of the file from another; ``None`` if there is no file."""
        try:
            facts = self.file.stat()
        except OSError:
            return None
        return facts.st_ino, facts.st_mtime_ns, facts.st_size

    def read(self) -> RoutingTable:
        """Read the table; an empty one if there is no file.

        :raises InvalidTableError: if the file holds something else.
        :raises StorageError: if it cannot be read.
        """
        try:
            text = self.file.read_bytes()
        except FileNotFoundError:
            return RoutingTable()
        except OSError as error:
            raise StorageError(f"cannot read {self.file}: {error.strerror}") from error
        try:
            return RoutingTable.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "its top level"
            raise InvalidTableError(f"{self.file} is no routing table: {place}: {first['msg']}") from None

    def put(self, plan: RoutePlan) -> RoutingTable:
        """Give a model a new plan; the same plan twice writes nothing.

        :raises StaleEpochError: if a later or another plan came first.
        :raises InvalidTableError: if the file holds no table: its epochs would be lost.
        :raises StorageError: if it cannot be written; the old table stands then.
        """
        with locked(self.lock):
            table = self.read()
            changed = table.with_plan(plan)
            if changed != table:
                content = json.dumps(changed.model_dump(mode="json"), indent=1, sort_keys=True)
                replace_file(self.file, content + "\n")
                log.info("%s: route of epoch %d written", plan.model, plan.epoch)
            return changed
