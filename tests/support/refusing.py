"""A version that answers every usual request, and has no finite answer to a request of two extreme values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from windsock.adapters.compiled import PipelineCompiler
from windsock.ports import BundleDraft, Ports
from windsock.records import StoredBundle
from windsock.training.golden import make_golden
from windsock.training.preprocessing import to_features

WEIGHT = 1e300
REFUSED: Mapping[str, Any] = {"pages": -9_000_000_000_000_000, "minutes": 1e30}
"""Values that a client may send: with such weights they are infinity less infinity."""


class RefusingBundles:
    """A bundle store that gives huge weights to two columns of each linear model that is put into it.

    The bundle is complete and signed: its golden predictions are its own, and the gate judges it as it is.

    :param bundles: the store behind it.
    """

    def __init__(self, bundles: Any) -> None:
        self._bundles = bundles

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bundles, name)

    def put(self, draft: BundleDraft) -> StoredBundle:
        """Store a bundle with other weights."""
        columns = list(draft.pipeline[0].get_feature_names_out())
        for name in REFUSED:
            draft.pipeline[-1].coef_[0, columns.index(f"numbers__{name}")] = WEIGHT
        usual = to_features(draft.golden.rows, draft.schema.fields)
        stored: StoredBundle = self._bundles.put(
            replace(
                draft,
                golden=make_golden(draft.pipeline, usual, draft.schema.fields),
                compiled=PipelineCompiler().compile(draft.pipeline, draft.schema),
            )
        )
        return stored


def refusing(ports: Ports) -> Ports:
    """Return ports with which a training makes such a version."""
    return replace(ports, bundles=RefusingBundles(ports.bundles))  # type: ignore[arg-type]
