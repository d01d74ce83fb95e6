"""A champion whose bundle is gone from the storage is named, and a person may let the next one replace it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.fakes import FakeSources, fake_ports
from support.months import make_spec
from support.pipeline import retrain
from windsock.adapters.bundle_store import SignedBundleStore
from windsock.adapters.signing import create_keys
from windsock.adapters.storage import Storage
from windsock.exceptions import LostBundleError, StorageError, UnverifiedBundleError
from windsock.records import Outcome
from windsock.steps import verdict_of

ROWS = 900


def month(seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    x = draw.normal(0, 1, ROWS)
    answers = np.where(x + draw.normal(0, 0.5, ROWS) > 0, "Yes", "No")
    ids = [f"u{seed}-{at}" for at in range(ROWS)]
    return pd.DataFrame({"id": ids, "x": [f"{one:.3f}" for one in x], "answer": answers}, dtype="string")


class House:
    """A model with a champion whose bundle lies in a real storage."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "storage"
        store = SignedBundleStore(Storage(str(self.root)), create_keys(folder / "keys"))
        self.ports = fake_ports(sources=FakeSources(month(1)), bundles=store)
        self.spec = make_spec()
        retrain(self.ports, self.spec)

    @property
    def champion(self) -> Any:
        found = self.ports.ledger.champion("shop")
        assert found is not None
        return found

    def again(self, seed: int, *, asks: bool = False, people: tuple[str, ...] = ()) -> Any:
        self.ports.sources.frame = month(seed)
        gate = self.spec.gate.model_copy(update={"on_insufficient": "ask" if asks else "refuse"})
        return retrain(self.ports, self.spec.model_copy(update={"gate": gate}), people=people)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_the_run_goes_on_and_a_person_may_say_yes(house: House) -> None:
    shutil.rmtree(house.champion.bundle_uri)
    done = house.again(2)
    named = [one for one in done["take_snapshot"].record.findings if "its bundle is gone" in one]
    assert len(named) == 1
    verdict = verdict_of(done["gate_model"])
    assert (done["gate_model"].record.outcome, house.champion.version) == (Outcome.REFUSE, "1")
    assert "WS-GATE-012" in verdict.why
    assert "is gone" in verdict.why
    assert "on_insufficient: ask" in verdict.next_action
    done = house.again(2, asks=True, people=("ann",))
    assert house.champion.version == "2"
    assert "its clients may be refused" in done["evaluate_model"].record.contract_changes[0]
    done = house.again(3, asks=True)
    assert not any("is gone" in one for one in done["take_snapshot"].record.findings)


def test_one_that_was_brought_back_is_compared_with_again(house: House, tmp_path: Path) -> None:
    shutil.move(house.champion.bundle_uri, tmp_path / "backup")
    assert house.again(2)["evaluate_model"].record.against_champion.value is None
    shutil.move(tmp_path / "backup", house.champion.bundle_uri)
    assert house.again(2)["evaluate_model"].record.against_champion.value is not None


def test_what_is_lost_what_is_broken_and_what_does_not_answer(house: House, tmp_path: Path) -> None:
    champion, bundles = house.champion, house.ports.bundles
    (Path(champion.bundle_uri) / "manifest.json").unlink()
    with pytest.raises(UnverifiedBundleError) as broken:
        bundles.describe(champion.bundle_uri, champion.digest)
    assert not isinstance(broken.value, LostBundleError)
    shutil.rmtree(champion.bundle_uri)
    for read in (bundles.describe, bundles.load):
        with pytest.raises(LostBundleError, match="WS-BUNDLE-001.*is gone"):
            read(champion.bundle_uri, champion.digest)
    shutil.rmtree(house.root)
    with pytest.raises(StorageError):
        bundles.describe(champion.bundle_uri, champion.digest)
