"""What is asked of disks and model files; servers are asked in the tests of the watchdog's stack."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.serving import make_bundle, make_settings, store_bundle
from windsock.adapters import surroundings
from windsock.adapters.surroundings import InstallationSurroundings


@pytest.fixture
def settings(tmp_path):
    return make_settings(tmp_path)


@pytest.fixture
def stored(settings):
    return store_bundle(settings, make_bundle())


def look(settings, stored, large=False) -> str | None:
    return InstallationSurroundings(settings).broken_bundle(stored.uri, stored.digest, large=large)


def test_a_bundle_that_is_as_it_was_signed(settings, stored):
    assert look(settings, stored) == ""


@pytest.mark.parametrize("name", ["model.skops", "schema.json", "manifest.json"])
def test_a_file_of_it_was_changed(settings, stored, name):
    (file,) = [one for one in Path(stored.uri).iterdir() if one.name.startswith(name)]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert look(settings, stored).startswith("WS-BUNDLE-")


def test_its_folder_is_gone(settings, stored):
    shutil.rmtree(stored.uri)
    assert "is gone" in look(settings, stored)


def test_a_large_one_is_read_where_that_is_asked_for(settings, stored, monkeypatch):
    monkeypatch.setattr(surroundings, "WHOLE_BYTES", 10)
    assert look(settings, stored) is None
    assert look(settings, stored, large=True) == ""


def test_all_can_be_written(settings, stored):
    assert InstallationSurroundings(settings).unwritable() == ()


def test_nothing_was_stored_yet(settings):
    shutil.rmtree(settings.storage_url, ignore_errors=True)
    assert InstallationSurroundings(settings).unwritable() == ()
    assert not Path(settings.storage_url).exists(), "looking makes nothing"


@pytest.mark.parametrize("name", ["predictions", "bundles", "snapshots", "evidence"])
def test_something_lies_in_the_place_of_a_folder(settings, stored, name):
    place = Path(settings.storage_url) / name
    shutil.rmtree(place, ignore_errors=True)
    place.write_text("in the way")
    (said,) = InstallationSurroundings(settings).unwritable()
    assert name in said
    assert said.startswith("WS-STORAGE-")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_this_user_may_not_write(settings, stored):
    place = Path(settings.storage_url) / "bundles"
    place.chmod(0o500)
    try:
        (said,) = InstallationSurroundings(settings).unwritable()
    finally:
        place.chmod(0o700)
    assert "bundles" in said
