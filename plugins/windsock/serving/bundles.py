"""The server's own copies of bundles: routes do not wait for the storage root, a roll back needs nothing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Set
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from windsock.exceptions import UnverifiedBundleError
from windsock.ports import LoadedBundle
from windsock.records import Digest, SlotPlan

BUNDLES_FOLDER = "bundles"
YOUNG_SECONDS = 600.0
"""A folder younger than this may belong to a plan that is being checked just now."""


class BundleFetcher(Protocol):
    """What the server needs of the bundle store."""

    def fetch_bundle(self, uri: str, digest: Digest, into: Path, /) -> Path:
        """Copy a bundle to ``into/DIGEST``, verified; a copy that is there already and verifies is left."""
        ...

    def load_folder(self, folder: Path, digest: Digest, /, *, whole: bool = True) -> LoadedBundle:
        """Verify a folder, then load it; if not ``whole``, without a pipeline that has a compiled form."""
        ...


class Evidence(Protocol):
    """What the server needs of the signed evidence packs."""

    def require_yes(self, model: str, digest: Digest, /) -> None:
        """See that the gate said yes to a bundle of a model."""
        ...


class BundleShelf:
    """Copies of bundles in the server's state folder, by digest.

    :param folder: the server's state folder.
    :param fetcher: verifies and loads; nothing is read from a bundle but through it.
    :param evidence: says to which bundles the gate said yes; no other one is loaded, whatever names it.
    """

    def __init__(self, folder: Path, fetcher: BundleFetcher, evidence: Evidence) -> None:
        self.folder = folder / BUNDLES_FOLDER
        self.fetcher = fetcher
        self.evidence = evidence

    def load(self, plan: SlotPlan, model: str, *, whole: bool = False) -> LoadedBundle:
        """Return a slot's bundle, verified; fetch it if there is no copy yet, or a broken one.

        :param whole: whether the fitted pipeline is loaded too where its compiled form serves.
        :raises UnverifiedBundleError: if it is not what was signed, another model's, or no signed evidence
            says that the gate said yes to it.
        :raises StorageError: if it, or its evidence, has to be fetched and cannot be.
        """
        self.evidence.require_yes(model, plan.digest)
        copy = self.fetcher.fetch_bundle(plan.bundle_uri, plan.digest, self.folder)
        with suppress(OSError):
            os.utime(copy)  # it is in use: young for keep_only
        bundle = self.fetcher.load_folder(copy, plan.digest, whole=whole)
        if bundle.manifest.model != model:
            raise UnverifiedBundleError(
                f"bundle {plan.digest[:12]} is of model {bundle.manifest.model}, not of {model}",
                code="WS-SERVING-007",
                next_action="Deploy a version of this model.",
            )
        return bundle

    def keep_only(self, digests: Set[Digest]) -> int:
        """Remove the copies that no route needs; return how many."""
        removed = 0
        with suppress(OSError):
            for copy in list(self.folder.iterdir()):
                if copy.name not in digests and time.time() - copy.stat().st_mtime > YOUNG_SECONDS:
                    shutil.rmtree(copy, ignore_errors=True)
                    removed += 1
        return removed
