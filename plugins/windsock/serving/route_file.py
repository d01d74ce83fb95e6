"""The routing table on the disk, in two files, each plan with a seal of the server.

A server is stopped and started, and between the two its files are only files. So each plan carries an HMAC by
the admin token, which is what gives the right to change routes, and the last plans that were written are
kept in a second file. A plan in the first one that the server did not write is passed over for the kept one.

A file without seals may be from before there were any, unless some have been written (``SealNote``).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, ValidationError

from windsock.exceptions import SettingsError, StorageError, WindsockError
from windsock.records import RoutePlan
from windsock.serving.files import locked, replace_file
from windsock.serving.routing import RoutingTable
from windsock.serving.seal_note import SealNote
from windsock.spec import canonical_json

log = logging.getLogger(__name__)

ROUTES_FILE = "routes.json"
KEPT_FILE = "routes.kept.json"
LOCK_FILE = "routes.lock"
PURPOSE = "windsock.route"
FOREIGN = "WS-SERVING-080"
UNSEALED = "WS-SERVING-081"
SEALS_GONE = "WS-SERVING-090"
SEAL = "See `windsock ledger reconcile MODEL`: it seals the plan anew where it is the ledger's."
HEAL = (
    "Find out who wrote there; then copy routes.kept.json over routes.json, or deploy, promote or roll back "
    "the model."
)

Signature = tuple[int, int, int]
"""What tells one version of a file from another: inode, time of change, size."""


class InvalidTableError(SettingsError):
    """The routing table's file holds no routing table; the last valid one stays in use."""

    default_code = "WS-SERVING-005"
    default_next = (
        "Copy routes.kept.json over routes.json, or deploy, promote or roll back any model; where no plan is "
        "served, remove both files, restart the server, and clear the deploy tasks."
    )


class SealedTable(RoutingTable):
    """The content of a file.

    :param seals: for each model the HMAC over its part; files from before seals have none.
    """

    seals: dict[str, str] = Field(default_factory=dict)


class Entry(NamedTuple):
    """A model's part of one file.

    :param seal: as it stands there; empty: none.
    :param is_sealed: whether the seal is the server's own.
    """

    plan: RoutePlan
    seal: str
    is_sealed: bool


@dataclass(frozen=True)
class Read:
    """One file as it was read.

    :param table: its table; empty if there is no file, or none that can be read.
    :param entries: its parts by model.
    :param exists: whether there is such a file.
    :param fault: why it cannot be read.
    """

    table: SealedTable
    entries: Mapping[str, Entry]
    exists: bool
    fault: WindsockError | None = None


class TableState(NamedTuple):
    """What the server is to serve by its files.

    :param table: the plans.
    :param proved: models whose plan has the server's own seal.
    :param faults: what was passed over, with code and next action.
    :param seals: the seals as they stand in the files.
    """

    table: RoutingTable
    proved: frozenset[str]
    faults: tuple[WindsockError, ...]
    seals: Mapping[str, str]


class RouteFile:
    """The routing table on the disk.

    :param folder: the server's state folder.
    :param token: gives the key of the seals, the admin token; one that cannot be read seals nothing.
    :param keys_dir: where it is noted that seals have been written; ``None``: nowhere, as for a table that is
        read alone.
    """

    def __init__(self, folder: Path, token: Callable[[], str] = str, keys_dir: Path | None = None) -> None:
        self.file = folder / ROUTES_FILE
        self.kept = folder / KEPT_FILE
        self.lock = folder / LOCK_FILE
        self._token = token
        self._note = SealNote(keys_dir)

    def signature(self) -> Signature | None:
        """Return what tells this version of the file from another; ``None`` if there is no file."""
        try:
            facts = self.file.stat()
        except OSError:
            return None
        return facts.st_ino, facts.st_mtime_ns, facts.st_size

    def read(self) -> RoutingTable:
        """Read the table; an empty one if there is no file. See :meth:`state`."""
        return self.state().table

    def state(self) -> TableState:
        """Return the last verified plan of each model, and what in the files was passed over.

        :raises InvalidTableError: if the file holds no table, and none was kept.
        :raises StorageError: if it cannot be read, and none was kept.
        """
        key = self._key()
        kept = _read(self.kept, key)  # before the file: its plans are written after those of the file
        main = _read(self.file, key)
        if main.fault is not None and not kept.entries:
            raise main.fault
        chosen: dict[str, str] = {}
        faults = [main.fault] if main.fault is not None else []
        plans, proved, seals = {}, set(), {}
        for model in sorted({*main.entries, *kept.entries}):
            entry, code, why = _choose(
                main.entries.get(model), kept.entries.get(model), kept, can_seal=bool(key)
            )
            if entry is not None and not code and not entry.is_sealed and self._note.exists():
                code, why = SEALS_GONE, _seals_gone(entry)
            if code and (main.fault is None or code != FOREIGN):
                advice = HEAL if code == FOREIGN else SEAL
                faults.append(SettingsError(f"{model}: {why}", code=code, next_action=advice))
            if entry is None:
                continue
            plans[model], seals[model] = entry.plan, entry.seal
            chosen[model] = "kept" if entry is kept.entries.get(model) else "main"
            if entry.is_sealed:
                proved.add(model)
        sources = {"main": main.table, "kept": kept.table}
        table = RoutingTable(
            models=plans,
            champions=_parts("champions", chosen, sources),
            challengers=_parts("challengers", chosen, sources),
        )
        return TableState(table, frozenset(proved), tuple(faults), seals)

    def is_sealed(self, plan: RoutePlan) -> bool:
        """Return whether a plan stands in the files with the server's own seal."""
        try:
            state = self.state()
        except WindsockError:
            return False
        return plan.model in state.proved and state.table.models[plan.model] == plan

    def put(self, plan: RoutePlan) -> RoutingTable:
        """Give a model a new plan; the same plan twice writes nothing.

        What the files hold of other models goes on as it stands: a plan without the server's seal gets none.

        :raises StaleEpochError: if a later or another plan came first.
        :raises MixedRolloutError: if the plan would move units of its rollout.
        :raises InvalidTableError: if the file holds no table: its epochs would be lost.
        :raises StorageError: if it cannot be written; the old table stands then.
        """
        with locked(self.lock):
            state = self.state()
            table = state.table.with_plan(plan)
            known = plan.model in state.proved or not self._key()
            if table == state.table and not state.faults and known:
                return table
            self._write(table, state, plan.model)
            log.info("%s: route of epoch %d written", plan.model, plan.epoch)
            return table

    def _write(self, table: RoutingTable, state: TableState, model: str) -> None:
        raw = table.model_dump(mode="json")
        key = self._key()
        raw["seals"] = {
            name: _seal(key, name, raw) if name == model or name in state.proved else state.seals[name]
            for name in raw["models"]
        }
        content = json.dumps(raw, indent=1, sort_keys=True) + "\n"
        if key:
            self._note.make()
        replace_file(self.file, content)
        try:
            replace_file(self.kept, content)
        except StorageError as error:
            log.error(
                "%s: %s; the plan serves, a damaged %s would lose it", error.code, error.message, ROUTES_FILE
            )

    def _key(self) -> bytes:
        try:
            return self._token().encode()
        except SettingsError:
            return b""


def _parts(
    name: str, chosen: Mapping[str, str], sources: Mapping[str, RoutingTable]
) -> dict[str, tuple[str, ...]]:
    return {
        model: getattr(sources[source], name)[model]
        for model, source in chosen.items()
        if model in getattr(sources[source], name)
    }


def _read(file: Path, key: bytes) -> Read:
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return Read(SealedTable(), {}, exists=False)
    except OSError as error:
        fault: WindsockError = StorageError(f"cannot read {file}: {error.strerror}")
        return Read(SealedTable(), {}, exists=True, fault=fault)
    try:
        table = SealedTable.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "its top level"
        fault = InvalidTableError(f"{file} is no routing table: {place}: {first['msg']}")
        return Read(SealedTable(), {}, exists=True, fault=fault)
    raw = json.loads(text)
    entries = {}
    for model, plan in table.models.items():
        seal = table.seals.get(model, "")
        own = _seal(key, model, raw)
        entries[model] = Entry(plan, seal, bool(own) and hmac.compare_digest(own.encode(), seal.encode()))
    return Read(table, entries, exists=True)


def _seal(key: bytes, model: str, raw: Mapping[str, Any]) -> str:
    """Return the seal of a model's part of a file: over what is stored, not over what this version reads."""
    if not key:
        return ""
    parts = [raw.get(name, {}).get(model) for name in ("models", "champions", "challengers")]
    return hmac.new(key, canonical_json([PURPOSE, 1, model, *parts]).encode(), hashlib.sha256).hexdigest()


def _choose(
    main: Entry | None, kept: Entry | None, file: Read, *, can_seal: bool
) -> tuple[Entry | None, str, str]:
    """Return what a model is served by, and code and reason of what was passed over.

    :param file: the file of what was kept.
    :param can_seal: whether this server has a token; where it writes two files, both have seals then.
    """
    sealed = [entry for entry in (main, kept) if entry is not None and entry.is_sealed]
    if sealed:
        best = max(sealed, key=lambda entry: entry.plan.epoch)
        if best is main:
            return best, "", ""
        serves = f"the last verified plan serves, of epoch {best.plan.epoch}"
        if main is None:
            return best, FOREIGN, f"its plan is gone from {ROUTES_FILE}; {serves}"
        if main.is_sealed:
            return best, FOREIGN, f"its plan in {ROUTES_FILE} went back to epoch {main.plan.epoch}; {serves}"
        return best, FOREIGN, f"the server did not write its plan in {ROUTES_FILE}; {serves}"
    if main is None or kept is None:
        return _only_one(main, kept, file)
    later = max((main, kept), key=lambda entry: entry.plan.epoch)
    if main.plan == kept.plan and not main.seal and not can_seal:
        return main, "", ""
    return later, UNSEALED, _unsealed(later)


def _only_one(main: Entry | None, kept: Entry | None, file: Read) -> tuple[Entry | None, str, str]:
    if main is not None and not main.seal and not file.exists:
        return main, "", ""  # from before seals
    if main is not None and not main.seal and file.fault is None:
        return None, FOREIGN, f"the server did not write its plan in {ROUTES_FILE}; it is not served"
    entry = main or kept
    return entry, UNSEALED, _unsealed(entry) if entry else ""


def _unsealed(entry: Entry) -> str:
    return (
        f"no file holds its plan with the server's seal (edited, or made with another admin token); served "
        f"is epoch {entry.plan.epoch} of {ROUTES_FILE} as far as its versions passed the gate"
    )


def _seals_gone(entry: Entry) -> str:
    return (
        f"its plan in {ROUTES_FILE} has no seal, and this installation has written seals before; served "
        f"is epoch {entry.plan.epoch} of that file as far as its versions passed the gate"
    )
