"""An installation whose storage root and database were moved: it serves, rolls back and promotes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from support.released import V0_1
from support.shifted import STORAGE, House
from windsock.exceptions import UnverifiedBundleError
from windsock.records import LedgerAction, RegisteredVersion
from windsock.steps import run_step

pytestmark = pytest.mark.slow

FACTS = V0_1.facts


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The rows know the addresses of the release's root; nothing lies there any more."""
    old, new = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("new")
    V0_1.unpack(old)
    (old / "storage").rename(new / "store")
    (old / "control.db").rename(new / "moved.db")
    shutil.rmtree(old / "serving" / "bundles", ignore_errors=True)
    changed = {"storage_url": str(new / "store"), "database_url": f"sqlite:///{new / 'moved.db'}"}
    with V0_1.standing_at(old, **changed) as house, house.serving():
        yield house


def version_of(house: House, number: str) -> RegisteredVersion:
    rows = house.ports().ledger.rows("delivery")
    found = [row for row in rows if row.action is LedgerAction.REGISTER and row.version == number]
    return RegisteredVersion.of_row(found[0])


def answers(house: House, model: str) -> list[dict[str, object]]:
    noted = FACTS["noted"][model]
    found = house.ask(model, noted["rows"], noted["units"], name="again")
    return [{name: answer[name] for name in noted["answers"][0]} for answer in found]


def test_it_serves_what_it_served(moved: House) -> None:
    for model in ("churn", "delivery"):
        assert answers(moved, model) == FACTS["noted"][model]["answers"]
    assert version_of(moved, "2").bundle_uri.startswith(STORAGE)


def test_it_rolls_back_and_promotes_again(moved: House) -> None:
    ports, spec = moved.ports(), moved.spec("delivery")
    asked = {"model": "delivery", "reason": "a test", "run": {"requested_by": "otto"}}
    assert run_step("roll_back", asked, ports).record.version == "1"
    assert {answer["version"] for answer in answers(moved, "delivery")} == {"1"}
    by_force = {"spec": spec, "version": version_of(moved, "2"), "force": True}
    run_step("deploy_model", by_force, ports)
    assert run_step("promote_model", by_force, ports).record.version == "2"
    assert answers(moved, "delivery") == FACTS["noted"]["delivery"]["answers"]
    assert ports.ledger.verify("delivery").broken_at is None


def test_a_folder_that_lies_there_and_is_another_is_no_bundle(moved: House) -> None:
    bundles, one, other = moved.ports().bundles, version_of(moved, "1"), version_of(moved, "2")
    assert bundles.describe(one.bundle_uri, one.digest).digest == one.digest
    for uri, digest in ((one.bundle_uri, other.digest), (other.bundle_uri, one.digest)):
        with pytest.raises(UnverifiedBundleError):
            bundles.load(uri, digest)
