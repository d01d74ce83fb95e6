"""Prediction ids that the server makes."""

from __future__ import annotations

import os
import secrets
from itertools import count

ID_BYTES = 10


class IdMaker:
    """Makes ids that no other process makes: a random part of 80 bits for each process, then a number.

    Asking the system for random bytes at each prediction would cost more than reading its request.
    """

    def __init__(self) -> None:
        self._prefix = ""
        self._numbers = count()
        self.renew()

    def renew(self) -> None:
        """Take another random part, as a child process must."""
        self._prefix = secrets.token_hex(ID_BYTES)
        self._numbers = count()

    def __call__(self) -> str:
        """Return an id that was never made before."""
        return f"{self._prefix}{next(self._numbers):012x}"


new_id = IdMaker()
os.register_at_fork(after_in_child=new_id.renew)
