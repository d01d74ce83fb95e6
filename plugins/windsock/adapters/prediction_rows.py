"""``ArchivePredictionRows``: rows of the prediction log, with the labels that arrived for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from windsock.adapters.storage import Storage
from windsock.ports import LabelledRows
from windsock.records import InputField, InputSchema, Span
from windsock.spec import LabelsBlock

if TYPE_CHECKING:
    import pandas as pd


class ArchivePredictionRows:
    """Reads answered rows, from the archive and from segments that are not archived yet.

    :param state_folder: the server's state folder.
    :param storage: the storage root.
    :param keys_dir: the installation's keys, for sensitive values.
    :param roots: folders that label files may lie in.
    :param connections: turns an Airflow connection id into a SQLAlchemy URL, for labels in a table.
    """

    def __init__(
        self,
        state_folder: Path,
        storage: Storage,
        *,
        keys_dir: Path | None,
        roots: tuple[Path, ...],
        connections: Callable[[str], str],
    ) -> None:
        self.state_folder = state_folder
        self.storage = storage
        self.keys_dir = keys_dir
        self.roots = roots
        self.connections = connections

    def sample(
        self, model: str, span: Span, *, schema: InputSchema, digest: str | None = None, limit: int, seed: int
    ) -> pd.DataFrame:
        """Return rows; see :class:`~windsock.ports.PredictionRows`."""
        raise NotImplementedError

    def labelled(
        self,
        model: str,
        span: Span,
        labels: LabelsBlock,
        *,
        digest: str | None = None,
        as_of: datetime,
        features: Sequence[InputField] = (),
    ) -> LabelledRows:
        """Join answers to labels; see :class:`~windsock.ports.PredictionRows`."""
        raise NotImplementedError
