"""What the watchdog asks of other rooms; the step hands it in, as rooms do not know each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from windsock.ports import Ports
from windsock.records import LedgerRow, ModelWork
from windsock.spec import ModelSpec

Look = Callable[[ModelSpec, Sequence[LedgerRow]], ModelWork]
"""Says of a model, by its ledger, what a DAG has to do."""


class Rooms(NamedTuple):
    """The rooms that know what is due.

    :param monitor: reads for all models at once what says of each which windows, labels and episodes wait.
    :param rollout: the next analysis of a rollout, a version that waits, an end that nobody was told of.
    """

    monitor: Callable[[Sequence[ModelSpec], Ports], Look]
    rollout: Callable[[ModelSpec, Sequence[LedgerRow], Ports], ModelWork]
