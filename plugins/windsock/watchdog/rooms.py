"""What the watchdog asks of other rooms; the step hands it in, as rooms do not know each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from windsock.ports import Ports
from windsock.records import ModelWork
from windsock.spec import ModelSpec


class Rooms(NamedTuple):
    """The rooms that know what is due.

    :param monitor: closed windows, labels that came, episodes that nobody claimed.
    :param rollout: the next analysis of a rollout, a version that waits, an end that nobody was told of.
    """

    monitor: Callable[[Sequence[ModelSpec], Ports], Callable[[ModelSpec], ModelWork]]
    rollout: Callable[[ModelSpec, Ports], ModelWork]
