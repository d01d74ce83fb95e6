"""The gate's check that no feature gives the target away, unless a person has answered for it."""

from __future__ import annotations

from collections.abc import Sequence

from windsock.records import CheckResult, Status
from windsock.spec.leak_suspects import LeakSuspect, suspects_text, way_out

LEAK_SUSPECTS = "leak_suspects"
LEAKS_CODE = "WS-GATE-018"


def known_leaks(suspects: Sequence[LeakSuspect]) -> CheckResult:
    """Return insufficient where anything is suspected: numbers cannot show what is known at prediction time.

    :param suspects: what the validation of the data named.
    """
    message = "no column nearly gives the target away"
    if suspects:
        message = f"may not be known at prediction time: {suspects_text(suspects)}; {way_out(suspects)}"
    return CheckResult(
        name=LEAK_SUSPECTS,
        status=Status.INSUFFICIENT if suspects else Status.PASS,
        code=LEAKS_CODE,
        value=len(suspects),
        limit=0,
        relation="<=",
        message=message,
    )
