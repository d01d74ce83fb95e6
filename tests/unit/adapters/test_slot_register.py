from __future__ import annotations

from pathlib import Path

import pytest

from support.builders import digest
from support.serving import make_settings
from support.slots import make_deployment
from windsock.adapters.signing import RETIRED, replace_signing_key
from windsock.adapters.slot_register import SlotRegister
from windsock.exceptions import SlotAddressError
from windsock.records import SlotPlan

ADDRESS = "http://127.0.0.1:8182"
PLAN = SlotPlan(version="1", digest=digest("a"), bundle_uri="u", share=0, url=ADDRESS)


@pytest.fixture
def register(tmp_path: Path) -> SlotRegister:
    return SlotRegister.of(make_settings(tmp_path))


def test_what_was_signed_is_found(register: SlotRegister) -> None:
    deployment = make_deployment(PLAN.digest, ADDRESS)
    register.add(deployment)
    assert register.find("churn", PLAN) == deployment


def test_the_last_deployment_at_an_address_counts(register: SlotRegister) -> None:
    register.add(make_deployment(PLAN.digest, ADDRESS))
    later = make_deployment(PLAN.digest, ADDRESS)
    register.add(later)
    assert register.find("churn", PLAN) == later


def test_a_deployment_outlives_its_key(register: SlotRegister) -> None:
    deployment = make_deployment(PLAN.digest, ADDRESS)
    register.add(deployment)
    replace_signing_key(register.keys_dir)
    assert register.find("churn", PLAN) == deployment
    for file in (register.keys_dir / RETIRED).iterdir():
        file.unlink()
    with pytest.raises(SlotAddressError, match="not signed by this installation"):
        register.find("churn", PLAN)


def test_what_was_removed_leads_nowhere(register: SlotRegister) -> None:
    deployment = make_deployment(PLAN.digest, ADDRESS)
    register.add(deployment)
    register.remove(deployment)
    register.remove(deployment)
    with pytest.raises(SlotAddressError, match="no deployment made it"):
        register.find("churn", PLAN)


@pytest.mark.parametrize(
    ("model", "change"),
    [
        ("spend", {}),
        ("churn", {"version": "2"}),
        ("churn", {"digest": digest("b")}),
        ("churn", {"url": "http://127.0.0.1:8183"}),
        ("churn", {"url": "http://slot:8181"}),
        ("churn", {"url": None}),
        ("churn", {"digest": "../../keys"}),
        ("../churn", {}),
        ("", {}),
    ],
)
def test_a_slot_that_was_not_deployed(register: SlotRegister, model: str, change: dict[str, str]) -> None:
    register.add(make_deployment(PLAN.digest, ADDRESS))
    with pytest.raises(SlotAddressError) as refused:
        register.find(model, PLAN.model_copy(update=change))
    assert refused.value.code == "WS-SLOT-001"


def test_a_record_that_was_moved_to_another_address(register: SlotRegister, tmp_path: Path) -> None:
    register.add(make_deployment(PLAN.digest, ADDRESS))
    file = next((tmp_path / "storage" / "slots").rglob("8182.signed"))
    file.rename(file.with_name("8183.signed"))
    with pytest.raises(SlotAddressError, match="another version"):
        register.find("churn", PLAN.model_copy(update={"url": "http://127.0.0.1:8183"}))


def test_the_record_holds_no_secret(register: SlotRegister, tmp_path: Path) -> None:
    register.key.make()
    deployment = make_deployment(PLAN.digest, ADDRESS)
    register.add(deployment)
    (file,) = (tmp_path / "storage" / "slots").rglob("*.signed")
    key = (tmp_path / "keys" / "slots.key").read_text().strip()
    assert key not in file.read_text()
    assert register.secret_of(deployment)._key.hex() not in file.read_text()
