from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest

from windsock.adapters.database import open_database, writing
from windsock.adapters.signing import create_keys
from windsock.adapters.surroundings import InstallationSurroundings
from windsock.cli import doctor_checks, doctor_services
from windsock.cli.airflow_answers import airflow_access
from windsock.cli.app import run
from windsock.cli.doctor import examine
from windsock.cli.doctor_checks import Finding, State
from windsock.exceptions import SettingsError
from windsock.locations import locate
from windsock.records import Severity
from windsock.settings import Settings
from windsock.watchdog.system_findings import space_condition


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    models = tmp_path / "models"
    models.mkdir()
    (models / "a.yaml").write_text("model: {name: a}\ndata: {source: a.csv}")
    monkeypatch.setenv("WINDSOCK_HOME", str(folder))
    monkeypatch.setenv("WINDSOCK_MODELS_DIR", str(models))
    monkeypatch.setenv("WINDSOCK_SERVER_URL", "http://127.0.0.1:9")
    create_keys(folder / "keys")
    return folder


@pytest.fixture
def state(home) -> State:
    return State(settings=Settings.from_environment(), location=locate())


def statuses(found: list[Finding]) -> list[str]:
    return [one.status for one in found]


def test_a_sound_installation_but_for_its_server(home, capsys):
    open_database(f"sqlite:///{home}/control.db")
    assert run(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    by_status = {one["check"]: one["status"] for one in found["checks"]}
    assert found["status"] == "fail"
    assert [name for name, status in by_status.items() if status == "fail"] == ["server"]
    assert all(one["next_action"] for one in found["checks"] if one["status"] != "ok")


def test_lines_for_people_name_the_cure(home, capsys):
    (home / "keys" / "signing.key").unlink()
    (home / "keys" / "signing.pub").unlink()
    assert run(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "fail  keys       WS-SETTINGS-035" in shown
    assert f"move {home / 'keys'} away. Run `windsock keys init`" in shown


def test_keys_that_do_not_fit_are_found(state, tmp_path):
    other = create_keys(tmp_path / "other")
    (state.settings.keys_dir / "signing.pub").write_bytes((other / "signing.pub").read_bytes())
    with pytest.raises(SettingsError, match="do not verify"):
        doctor_checks.check_keys(state)
    (state.settings.keys_dir / "signing.key").unlink()
    assert statuses(doctor_checks.check_keys(state)) == ["warn", "ok"]


def test_what_others_may_read_and_a_full_disk_are_told(state, home, monkeypatch):
    assert statuses(doctor_checks.check_rights(state)) == ["ok"]
    home.chmod(0o755)
    (found,) = doctor_checks.check_rights(state)
    assert (found.status, found.next_action) == ("warn", f"Run: chmod o-rwx {home}")


@pytest.mark.parametrize("limit", [None, "200000", "0"])
@pytest.mark.parametrize("part", [10.0, 1.0, 0.99, 0.21, 0.19])
def test_a_disk_is_full_where_status_says_it(home, monkeypatch, limit, part):
    if limit:
        monkeypatch.setenv("WINDSOCK_MINIMUM_FREE_MB", limit)
    settings = Settings.from_environment()
    free = int(part * settings.minimum_free_mb * 2**20)
    usage = SimpleNamespace(free=free, total=2**50)
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage)
    (found,) = doctor_checks.check_disk(State(settings=settings, location=locate()))
    judged = space_condition(InstallationSurroundings(settings).spaces())
    graves = {Severity.HIGH: "warn", Severity.CRITICAL: "fail"}
    assert found.status == (graves[judged.severity] if judged.active else "ok")
    assert "WINDSOCK_MINIMUM_FREE_MB" in found.limit
    assert bool(found.next_action) is judged.active


def test_airflow_is_asked_where_status_asks_it(state, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://127.0.0.1:7")
    (found,) = doctor_services.check_airflow(state)
    assert (found.status, "WINDSOCK_AIRFLOW_URL" in found.next_action) == ("warn", True)
    asked = []

    def get(url):
        asked.append(url)
        raise httpx.ConnectError("no")

    monkeypatch.setattr(doctor_services, "_get", get)
    monkeypatch.setenv("WINDSOCK_AIRFLOW_PORT", "8")
    assert doctor_services.check_airflow(state)[0].status == "fail"
    monkeypatch.setenv("WINDSOCK_AIRFLOW_URL", "http://127.0.0.1:9/")
    (found,) = doctor_services.check_airflow(state)
    assert "Airflow at http://127.0.0.1:9 does not answer" in found.what
    assert asked == [f"http://127.0.0.1:{port}/api/v2/monitor/health" for port in (8, 9)]
    assert airflow_access(state.settings).url == "http://127.0.0.1:9/"


def test_the_storage_is_tried_and_left_as_it_was(state, home):
    (home / "storage").mkdir()
    assert statuses(doctor_checks.check_storage(state)) == ["ok"]
    assert [one.name for one in (home / "storage").iterdir()] == [".scratch"]


def test_a_database_is_looked_at_and_not_made(state, home):
    url = f"sqlite:///{home}/control.db"
    (found,) = doctor_services.check_database(state)
    assert found.status == "ok"
    assert not (home / "control.db").exists()
    open_database(url)
    assert "can be written" in doctor_services.check_database(state)[0].what
    for revision, status in (("0001", "warn"), ("9999", "fail")):
        with writing(url) as connection:
            connection.exec_driver_sql(f"UPDATE windsock_schema SET version_num = '{revision}'")  # noqa: S608
        assert statuses(doctor_services.check_database(state)) == [status]
    hidden = replace(state, settings=state.settings.replace(lacking=("WINDSOCK_DATABASE_URL",)))
    assert "WINDSOCK_DATABASE_URL" in doctor_services.check_database(hidden)[0].next_action


@pytest.mark.parametrize(("ahead", "status"), [(-4.0, "ok"), (30.0, "warn"), (-120.0, "fail")])
def test_clocks_that_differ_are_told(state, monkeypatch, ahead, status):
    monkeypatch.setattr(doctor_services, "_clocks", lambda state: iter([("server", ahead)]))
    (found,) = doctor_services.check_clock(state)
    assert found.status == status
    assert ("NTP" in found.next_action) == (status != "ok")


def test_versions_are_held_against_the_ranges_and_the_tested_ones(state, monkeypatch):
    monkeypatch.setattr(
        doctor_checks.metadata, "requires", lambda name: ["one>=2", "two", "far; extra == 'x'"]
    )
    monkeypatch.setattr(doctor_checks, "tested_versions", lambda: {"one": "2.1", "two": "1.0"})
    seen = {"one": "2.1", "two": "1.0"}
    monkeypatch.setattr(doctor_checks, "_installed", seen.get)
    assert statuses(doctor_checks.check_versions(state)) == ["ok"]
    seen["two"] = "1.1"
    (found,) = doctor_checks.check_versions(state)
    assert (found.status, found.what) == ("warn", "two 1.1 (tested: 1.0)")
    seen["one"] = "1.9"
    (found,) = doctor_checks.check_versions(state)
    assert (found.status, found.what) == ("fail", "one 1.9 (needs >=2)")


def test_a_check_that_hangs_or_breaks_hides_no_other(state):
    release = threading.Event()

    def hang(state):
        release.wait()
        return []

    def broken(state):
        raise ZeroDivisionError

    def refuse(state):
        raise SettingsError("no", next_action="Do it.")

    def fine(state):
        return [Finding(check="fine", status="ok", what="is")]

    checks = [("hang", hang), ("broken", broken), ("refuse", refuse), ("fine", fine)]
    found = examine(state, checks, seconds=0.2)
    release.set()
    assert statuses(found) == ["fail", "fail", "fail", "ok"]
    assert found[2].next_action == "Do it."
    assert found[0].what == "did not end"


def test_a_check_that_works_is_waited_for_on_a_busy_machine(state):
    def load(state):
        until = time.monotonic() + 0.8
        while time.monotonic() < until:
            sum(range(1000))
        return [Finding(check="load", status="ok", what="is")]

    assert statuses(examine(state, [("load", load)], seconds=0.2)) == ["ok"]
