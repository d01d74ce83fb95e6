"""Ports: the serving app and its prediction log, seen from outside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from windsock.exceptions import NotBuiltError, SlotAddressError
from windsock.records import ProbeResult, RegisteredVersion, RoutePlan, RouteState, SlotPlan


class Router(Protocol):
    """The serving app, seen from outside: its routing table and its slots."""

    def state(self, model: str) -> RouteState | None:
        """Return what is served for a model, or ``None`` if nothing is.

        :raises ServerUnavailableError: if the server does not answer.
        """
        ...

    def apply(self, plan: RoutePlan) -> RouteState:
        """Hand over a plan; answers once every worker serves by it. The same plan twice changes nothing.

        :raises StaleEpochError: if the server already serves by a later epoch.
        :raises DeploymentRefusedError: if a slot's bundle does not verify, load or match its golden
            predictions.
        :raises ServerUnavailableError: if the server does not answer.
        """
        ...

    def probe(self, model: str, digest: str) -> ProbeResult:
        """Ask one slot for its golden predictions, past the shares.

        :raises DeploymentRefusedError: if the server has no such slot.
        :raises ServerUnavailableError: if the server does not answer.
        """
        ...


class SlotTarget(Protocol):
    """What starts versions behind addresses of their own, and knows which addresses it made."""

    def address(self, version: RegisteredVersion) -> str:
        """Return where a version's slot answers; start one where none does.

        :raises ServerUnavailableError: if what runs slots does not answer.
        :raises DeploymentRefusedError: if the slot does not answer as this version.
        """
        ...

    def require(self, model: str, slot: SlotPlan) -> None:
        """See that a slot's address is one that a deployment of this installation made.

        :raises SlotAddressError: if it is not: nothing may be sent there.
        """
        ...

    def keep_only(self, model: str, plan: RoutePlan) -> int:
        """End the slots of a model that its plan does not name; return how many."""
        ...


class NoSlots:
    """A target that starts nothing: no address is its own."""

    def address(self, version: RegisteredVersion) -> str:
        """See :meth:`SlotTarget.address`: it is refused."""
        raise NotBuiltError(f"{version.model}: nothing here starts slots behind addresses")

    def require(self, model: str, slot: SlotPlan) -> None:
        """See :meth:`SlotTarget.require`: every address is refused."""
        raise SlotAddressError(f"{model} version {slot.version}: nothing here starts slots behind addresses")

    def keep_only(self, model: str, plan: RoutePlan) -> int:
        """See :meth:`SlotTarget.keep_only`: there are none."""
        return 0


class PredictionArchive(Protocol):
    """Closed segments of the prediction log."""

    def close_segments(self) -> int:
        """Turn the segments of hours that are over into Parquet under the storage root; return how many."""
        ...

    def remove_older(self, than: datetime, *, needed: Mapping[str, datetime] | None = None) -> int:
        """Remove closed segments of hours before a time; return how many.

        :param needed: of models the time from which on their hours stay, however old they are.
        """
        ...
