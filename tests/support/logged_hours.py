"""A prediction log with segments and archive, for tests of what reads it."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from support.builders import NOON, digest
from support.log_rows import line_of
from windsock.adapters.log_format import hour_of, segment_folder
from windsock.adapters.prediction_archive import ParquetPredictionArchive
from windsock.adapters.storage import Storage
from windsock.records import PredictionEvent, Span
from windsock.statistics.counting import ColumnCounts, WindowCounts

DIGEST = digest("b")


def event(identifier: str = "p", *, at: datetime = NOON, **fields: Any) -> PredictionEvent:
    """Return an answered row."""
    made: dict[str, Any] = {
        "prediction_id": identifier,
        "model": "churn",
        "version": "1",
        "digest": DIGEST,
        "variant": "champion",
        "epoch": 1,
        "receive_time": at,
        "features": {"age": 41.5, "plan": "basic"},
        "score": 0.25,
        "prediction": False,
        "inference_ms": 1.5,
    }
    return PredictionEvent(**{**made, **fields})


def span(begin: float, end: float) -> Span:
    """Return a stretch, in hours from noon."""
    return Span(start=NOON + timedelta(hours=begin), end=NOON + timedelta(hours=end))


class LoggedHours:
    """A server's state folder and a storage root.

    :param url: the storage root; default: a folder.
    """

    def __init__(self, folder: Path, *, url: str | None = None, now: datetime | None = None) -> None:
        self.folder = folder / "serving"
        self.storage = Storage(url or str(folder / "storage"))
        self.now = now or NOON + timedelta(days=40)
        self._segments = 0

    def write(
        self, *events: PredictionEvent, tail: bytes = b"", hour: str | None = None, name: str | None = None
    ) -> Path:
        """Write a segment, a line for each event."""
        self._segments += 1
        place = segment_folder(
            self.folder, "predictions", "churn", hour or hour_of(events[0].receive_time if events else NOON)
        )
        place.mkdir(parents=True, exist_ok=True)
        file = place / f"{name or self._segments}.ndjson"
        file.write_bytes(b"".join(line_of(one) for one in events) + tail)
        return file

    def archive(self) -> int:
        """Archive all that is over; return how many segments."""
        return ParquetPredictionArchive(self.folder, self.storage, now=lambda: self.now).close_segments()

    def events(self, count: int, *, hour: float = 0, **fields: Any) -> list[PredictionEvent]:
        """Return rows that are spread over an hour."""
        begin = NOON + timedelta(hours=hour)
        return [
            event(f"{hour}-{number}", at=begin + timedelta(seconds=3600 * number / count), **fields)
            for number in range(count)
        ]


def plain(counts: WindowCounts) -> dict[str, Any]:
    """Return counts as plain values, to be compared."""

    def column(one: ColumnCounts | None) -> Any:
        if one is None:
            return None
        values = {field.name: getattr(one, field.name) for field in fields(one)}
        return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}

    return {
        **{name: getattr(counts, name) for name in ("rows", "fallbacks", "latency", "damaged")},
        "variants": dict(counts.variants),
        "predictions": dict(counts.predictions),
        "columns": {name: column(one) for name, one in counts.columns.items()},
        "scores": column(counts.scores),
    }
