"""The rate limit of each client over all workers of a server: GCRA on a few bytes of shared memory."""

from __future__ import annotations

import fcntl
import hashlib
import math
import mmap
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from windsock.exceptions import StorageError

RATES_FILE = "rates"
RATES_VARIABLE = "WINDSOCK_RATES_FOLDER"
"""Names the folder in memory that the supervisor made for its workers."""
SLOTS = 16_384
WORD = 8
HEADER_WORDS = 2
"""Number of slots that are taken; whether clients were ever set up."""
FILE_BYTES = WORD * (HEADER_WORDS + 2 * SLOTS)
USED, REQUIRED = 0, 1
SECOND = 1_000_000_000


class RateTable:
    """A word of shared memory for each client: its *theoretical arrival time* on the monotonic clock.

    The kernel's monotonic clock is one for all processes of a machine, so the workers agree on it. An aligned
    word is read and written in one piece. There is no lock: a worker that is halted in the instant between
    its last look and its write takes back what others wrote meanwhile. So a race may let a little more
    through, never less.

    :param file: the file that the workers share, in memory; ``None``: memory of this process alone.
    :raises StorageError: if there is no space for it.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._descriptor: int | None = None
        try:
            if file is None:
                memory = mmap.mmap(-1, FILE_BYTES)
            else:
                self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                # Space is taken now: writing to a mapped hole of a full disk would end the process.
                os.posix_fallocate(self._descriptor, 0, FILE_BYTES)
                memory = mmap.mmap(self._descriptor, FILE_BYTES)
        except OSError as error:
            self.close()
            raise StorageError(
                f"no memory for the rate limits: {error.strerror or type(error).__name__}"
            ) from error
        self.words = memoryview(memory).cast("q")
        self._places: dict[int, int] = {}

    def places(self, names: Iterable[str]) -> dict[str, int]:
        """Return the word of each client; a new name takes the next free one, the same for all workers.

        :raises StorageError: if more names came and went than there are slots.
        """
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            return {name: self._place(_name_word(name)) for name in names}
        finally:
            if self._descriptor is not None:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _place(self, name: int) -> int:
        for number in range(len(self._places), self.words[USED]):  # those that other workers took since
            self._places[self.words[HEADER_WORDS + 2 * number]] = HEADER_WORDS + 2 * number + 1
        known = self._places.get(name)
        if known is not None:
            return known
        number = self.words[USED]
        if number >= SLOTS:
            raise StorageError(
                f"{SLOTS} clients came and went since the server started, and there is no slot for another",
                next_action="Restart the server.",
            )
        self.words[HEADER_WORDS + 2 * number] = name
        self.words[USED] = number + 1
        place = HEADER_WORDS + 2 * number + 1
        self._places[name] = place
        return place

    @property
    def required(self) -> bool:
        """Whether clients were set up at any time since the server started."""
        return bool(self.words[REQUIRED])

    def require(self) -> None:
        """Keep in mind that clients were set up."""
        self.words[REQUIRED] = 1

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class RateLimit:
    """The generic cell rate algorithm (ITU-T I.371, virtual scheduling): a leaky bucket in one number.

    The theoretical arrival time is when the bucket will be empty. In any span of ``t`` seconds at most
    ``burst + rate * t`` requests are admitted, and after a pause ``burst`` at once.

    :param words: the shared words.
    :param place: the client's word.
    :param rate: requests per second in the long run.
    :param burst: requests at once after a pause.
    :param clock: monotonic time in nanoseconds, the same for all processes.
    """

    __slots__ = ("clock", "interval", "place", "span", "words")

    def __init__(
        self,
        words: memoryview,
        place: int,
        *,
        rate: float,
        burst: int,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.words = words
        self.place = place
        self.interval = math.ceil(SECOND / rate)
        self.span = self.interval * burst
        self.clock = clock

    def take(self, cost: int = 1) -> int:
        """Admit a request, or return how many nanoseconds from now on it would be.

        :param cost: how many requests it counts as; more than the burst counts as the burst.
        :returns: 0 if it is admitted.
        """
        words, place = self.words, self.place
        while True:
            now = self.clock()
            seen = arrival = words[place]
            if arrival < now:
                arrival = now
            elif arrival > now + self.span:  # of a slower rate that held before
                arrival = now + self.span
            arrival += min(self.interval * cost, self.span)
            wait = arrival - now - self.span
            if wait > 0:
                return wait
            if words[place] == seen:  # else another worker wrote in between, and its request counts too
                words[place] = arrival
                return 0


def _name_word(name: str) -> int:
    """Return 63 bits of a name's SHA-256; a name's own, for as many names as there are slots."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:WORD], "big") >> 1
