"""The open segments of one writer: appended to by whole lines, brought to the disk, closed by the hour."""

from __future__ import annotations

import fcntl
import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from windsock.adapters.log_format import OPENING_SUFFIX, SEGMENT_SUFFIX, hour_of, segment_folder
from windsock.private_files import make_folder, opener
from windsock.serving.files import sync_folder
from windsock.serving.log_lines import HOUR_SECONDS, Place


@dataclass
class _Segment:
    """An open file; what lies past ``size`` is not known to be on the disk."""

    file: Path
    stream: FileIO
    size: int = 0


class Segments:
    """The segments that this process holds open, each with a lock that keeps the archive off.

    :param state_folder: the server's state folder.
    """

    def __init__(self, state_folder: Path) -> None:
        self.state_folder = state_folder
        self._open: dict[Place, _Segment] = {}
        self._broken: list[_Segment] = []

    def append(self, place: Place, content: bytes | bytearray) -> None:
        """Append whole lines and bring them to the disk.

        :raises OSError: if they are not there; they are taken back and may be appended again.
        """
        segment = self._open.get(place) or self._begin(place)
        try:
            left = memoryview(content)
            while left:
                left = left[segment.stream.write(left) :]
            os.fdatasync(segment.stream.fileno())
        except OSError:
            # Nobody knows what is on the disk now: take the lines back and go on in another file.
            self._broken.append(self._open.pop(place))
            self.mend()
            raise
        segment.size += len(content)

    def mend(self) -> None:
        """Cut what is not known to be on the disk off broken segments and close them.

        One that cannot be cut stays open and locked, so that the archive does not read its lines twice.
        """
        left = []
        for segment in self._broken:
            try:
                segment.stream.truncate(segment.size)
            except OSError:
                left.append(segment)
                continue
            self._end(segment)
        self._broken = left

    def close_before(self, hour: int | None) -> None:
        """Close the segments of hours before one, so that they can be archived; ``None``: all."""
        for place in [place for place in self._open if hour is None or place.hour < hour]:
            self._end(self._open.pop(place))

    def _begin(self, place: Place) -> _Segment:
        hour = hour_of(datetime.fromtimestamp(place.hour * HOUR_SECONDS, UTC))
        folder = segment_folder(self.state_folder, place.kind, place.model, hour)
        make_folder(folder)
        file = folder / f"{os.getpid()}-{uuid.uuid4().hex}{SEGMENT_SUFFIX}"
        opening = file.with_suffix(OPENING_SUFFIX)
        stream = FileIO(opening, "xb", opener=opener)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)
            opening.rename(file)  # from here on the archive sees it, and sees that it is open
            sync_folder(folder)
        except OSError:
            stream.close()
            for left in (opening, file):
                with suppress(OSError):
                    left.unlink()
            raise
        segment = self._open[place] = _Segment(file=file, stream=stream)
        return segment

    @staticmethod
    def _end(segment: _Segment) -> None:
        if segment.size == 0:  # while its lock is held: the archive never meets an empty one
            with suppress(OSError):
                segment.file.unlink()
        with suppress(OSError):
            segment.stream.close()
