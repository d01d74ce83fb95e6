from __future__ import annotations

import pytest
from pydantic import ValidationError

from support.builders import digest
from support.slots import make_deployment
from windsock.records import SlotPlan, slot_port

ADDRESS = "http://127.0.0.1:8182"


@pytest.mark.parametrize(("address", "port"), [(ADDRESS, 8182), ("http://127.0.0.1:1", 1)])
def test_an_address_that_the_target_can_make(address: str, port: int) -> None:
    assert slot_port(address) == port
    assert make_deployment(digest("a"), address).address == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:8182",
        "http://127.0.0.1",
        "http://127.0.0.1:",
        "http://127.0.0.1:0",
        "http://127.0.0.1:08182",
        "http://127.0.0.1:65536",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:8182/",
        "http://127.0.0.1:8182?a",
        "http://127.0.0.1:8182#a",
        "http://127.0.0.1:8182\n",
        " http://127.0.0.1:8182",
        "https://127.0.0.1:8182",
        "HTTP://127.0.0.1:8182",
        "http://me@127.0.0.1:8182",
        "http://127.0.0.1:8182@elsewhere",
        "http://127.0.0.2:8182",
        "http://localhost:8182",
        "http://[::1]:8182",
        "http://127x0x0x1:8182",
        "http://127.0.0.1:８１８２",
        "http://slot:8181",
    ],
)
def test_every_other_text_is_no_address(address: str) -> None:
    assert slot_port(address) is None
    with pytest.raises(ValidationError):
        make_deployment(digest("a"), address)


@pytest.mark.parametrize(
    "change", [{"version": "2"}, {"digest": digest("b")}, {"url": "http://127.0.0.1:1"}, {"url": None}]
)
def test_a_deployment_is_of_one_slot(change: dict[str, str | None]) -> None:
    plan = SlotPlan(version="1", digest=digest("a"), bundle_uri="u", share=0, url=ADDRESS)
    deployment = make_deployment(plan.digest, ADDRESS)
    assert deployment.is_of("churn", plan)
    assert not deployment.is_of("spend", plan)
    assert not deployment.is_of("churn", plan.model_copy(update=change))
