"""A server's log of answers, and labels for them wherever they arrive."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from support.builders import NOON
from support.log_rows import answered, events_of, line_of, row
from windsock.adapters.prediction_archive import hour_of, segment_folder
from windsock.adapters.prediction_rows import ArchivePredictionRows
from windsock.adapters.storage import Storage
from windsock.ports import LabelledRows
from windsock.records import InputSchema, OutcomeEvent, Span
from windsock.spec import LabelsBlock

SPAN = Span(start=NOON, end=NOON + timedelta(hours=1))


class LabelLog:
    """Answers of one hour, and what reads them.

    :param folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "project"
        self.root.mkdir()
        self.rows = ArchivePredictionRows(
            folder,
            Storage(str(folder / "storage")),
            keys_dir=None,
            roots=(self.root,),
            connections=lambda conn_id: f"sqlite:///{folder / conn_id}.db",
        )

    def answer(self, *identifiers: str) -> None:
        """Answer once for each id, at noon; its unit is ``of ID``."""
        rows = [row(one, unit=f"of {one}") for one in identifiers]
        self._write("predictions", line_of(*events_of(*answered(*rows))))

    def post(self, *labels: tuple[str, Any], by: str = "prediction_id", **fields: Any) -> None:
        """Post labels, all received at one time.

        :param by: what they name: ``prediction_id`` or ``unit``.
        """
        shared = {"model": "churn", "receive_time": NOON + timedelta(minutes=5), **fields}
        events = [OutcomeEvent.model_validate({by: one, "outcome": label, **shared}) for one, label in labels]
        self._write("outcomes", b"".join(line_of(event) for event in events))

    def project(self, name: str, text: str) -> None:
        """Write a file of labels."""
        (self.root / name).write_text(text, encoding="utf-8")

    def labelled(self, labels: LabelsBlock, *, schema: InputSchema) -> LabelledRows:
        """Join the answers to their labels, a minute after the hour."""
        as_of = SPAN.end + timedelta(minutes=1)
        return self.rows.labelled("churn", SPAN, labels, schema=schema, as_of=as_of, features=False)

    def _write(self, kind: str, content: bytes) -> None:
        place = segment_folder(self.folder, kind, "churn", hour_of(NOON))
        place.mkdir(parents=True, exist_ok=True)
        (place / "1-001.ndjson").write_bytes(content)
