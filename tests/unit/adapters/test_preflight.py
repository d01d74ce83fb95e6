from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from windsock.adapters import storage as storage_module
from windsock.adapters.mlflow_client import MlflowService
from windsock.adapters.preflight import InstallationPreflight
from windsock.adapters.server_client import ServerRouter
from windsock.adapters.signing import create_keys, replace_signing_key
from windsock.adapters.storage import Storage
from windsock.exceptions import (
    ServerUnavailableError,
    SettingsError,
    StorageError,
    TrackingUnavailableError,
    WindsockError,
)
from windsock.settings import Settings


@pytest.fixture
def settings(tmp_path):
    """An installation with keys, and nothing that answers at its server's address."""
    made = Settings.from_environment(
        {"WINDSOCK_HOME": str(tmp_path / "home"), "WINDSOCK_SERVER_URL": "http://127.0.0.1:1"}
    )
    create_keys(made.keys_dir)
    return made


def look(settings, *, deploys=False):
    return InstallationPreflight(settings, Storage(settings.storage_url)).check("churn", deploys=deploys)


def test_a_whole_installation_lacks_nothing_and_nothing_stays_of_the_look(settings):
    assert look(settings) == ()
    left = [path for path in Path(settings.storage_url).rglob("*") if path.is_file()]
    assert left == []


@pytest.mark.parametrize(
    ("lost", "code", "cure"),
    [
        (("signing.key",), "WS-SETTINGS-032", "`windsock keys rotate`"),
        (("signing.key", "signing.pub"), "WS-SETTINGS-032", "move "),
        (("signing.key", "signing.pub", "admin_token"), "WS-SETTINGS-032", "Run `windsock keys init`."),
        (("signing.pub",), "WS-SETTINGS-035", "Run `windsock keys init`: it makes what is missing"),
    ],
)
def test_a_key_that_is_missing_is_named_with_what_works(settings, lost, code, cure):
    for name in lost:
        (settings.keys_dir / name).unlink()
    with pytest.raises(SettingsError) as refused:
        look(settings)
    assert refused.value.code == code
    assert cure in refused.value.next_action


def test_what_next_says_of_a_lost_signing_key_works(settings):
    (settings.keys_dir / "signing.key").unlink()
    replace_signing_key(settings.keys_dir)
    assert look(settings) == ()


def test_what_next_says_of_a_lost_public_key_works(settings):
    public = settings.keys_dir / "signing.pub"
    kept = public.read_bytes()
    public.unlink()
    create_keys(settings.keys_dir)  # as `windsock keys init`
    assert public.read_bytes() == kept
    assert look(settings) == ()


def test_what_next_says_of_a_lost_folder_works(settings):
    shutil.rmtree(settings.keys_dir)
    with pytest.raises(SettingsError, match="keys init"):
        look(settings)
    create_keys(settings.keys_dir)
    assert look(settings) == ()


def test_a_key_that_others_may_read_and_one_that_is_none(settings):
    key = settings.keys_dir / "signing.key"
    key.chmod(0o644)
    with pytest.raises(SettingsError) as refused:
        look(settings)
    assert refused.value.code == "WS-SETTINGS-033"
    key.chmod(0o600)
    key.write_text("no key")
    with pytest.raises(SettingsError) as refused:
        look(settings)
    assert refused.value.code == "WS-SETTINGS-034"


def test_keys_of_two_installations_are_no_pair(settings, tmp_path):
    other = create_keys(tmp_path / "other")
    shutil.copy(other / "signing.pub", settings.keys_dir / "signing.pub")
    with pytest.raises(SettingsError) as refused:
        look(settings)
    assert refused.value.code == "WS-SETTINGS-040"


def test_a_lost_admin_token_is_needed_for_the_server_alone_and_made_anew(settings):
    (settings.keys_dir / "admin_token").unlink()
    assert look(settings) == ()
    with pytest.raises(SettingsError) as refused:
        look(settings, deploys=True)
    assert refused.value.code == "WS-SETTINGS-002"
    kept = (settings.keys_dir / "signing.key").read_bytes()
    create_keys(settings.keys_dir)  # as `windsock keys init`
    assert (settings.keys_dir / "signing.key").read_bytes() == kept
    assert settings.read_admin_token()


def test_a_storage_root_that_cannot_be_made(settings):
    Path(settings.storage_url).write_text("a file")
    with pytest.raises(StorageError):
        look(settings)


def test_a_folder_of_the_model_that_may_not_be_written(settings, monkeypatch):
    folder = Path(settings.storage_url) / "bundles" / "churn"
    folder.mkdir(parents=True)
    monkeypatch.setattr(storage_module.os, "access", lambda place, rights: Path(place) != folder)
    with pytest.raises(StorageError) as refused:
        look(settings)
    assert refused.value.code == "WS-STORAGE-003"
    assert str(folder) in refused.value.message


def test_an_object_store_is_tried_by_an_object_that_goes_again():
    store = Storage("memory://preflight")
    store.require_writable("bundles")
    assert store.names("probes") == ()


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "postgresql://u:secret@127.0.0.1:1/m"])
def test_an_mlflow_that_does_not_answer(settings, address):
    with pytest.raises(TrackingUnavailableError) as refused:
        look(settings.model_copy(update={"tracking_uri": address}))
    assert "secret" not in str(refused.value)


def test_a_login_in_the_address_of_mlflow_is_not_shown(tmp_path):
    service = MlflowService("http://ann:secret@127.0.0.1:1", tmp_path)
    with pytest.raises(TrackingUnavailableError) as refused:
        service.require_answer("number versions")
    assert "secret" not in str(refused.value)


def test_a_server_that_does_not_answer_is_told_and_refuses_nothing(settings):
    (found,) = look(settings, deploys=True)
    assert "http://127.0.0.1:1" in found
    assert "deploy_model will need it" in found


@pytest.mark.parametrize(
    ("fault", "refused"),
    [(SettingsError("wrong token"), True), (ServerUnavailableError("busy"), False)],
    ids=["token", "busy"],
)
def test_what_the_server_says(settings, monkeypatch, fault, refused):
    def answer(self, model, *, seconds):
        raise fault

    monkeypatch.setattr(ServerRouter, "state", answer)
    if refused:
        with pytest.raises(WindsockError, match="wrong token"):
            look(settings, deploys=True)
    else:
        assert "busy" in look(settings, deploys=True)[0]
