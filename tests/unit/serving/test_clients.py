from __future__ import annotations

import hashlib
import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.builders import NOON
from windsock.serving import clients as clients_module
from windsock.serving.client_file import ClientRegistry
from windsock.serving.clients import ClientBook, ClientRefusedError, RateLimitedError, make_client_book
from windsock.serving.rate_limit import RATES_FILE, RATES_VARIABLE, SECOND, RateTable
from windsock.settings import Settings


class World:
    """A file of clients, a clock, and the books of as many workers as are asked for."""

    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self.nanoseconds = 5_000 * SECOND
        self.folder = folder
        self.file = folder / "clients.json"
        self.registry = ClientRegistry(self.file, now=lambda: self.now)

    def book(self) -> ClientBook:
        return ClientBook(
            self.file,
            RateTable(self.folder / RATES_FILE),
            now=lambda: self.now.timestamp(),
            clock=lambda: self.nanoseconds,
        )

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)
        self.nanoseconds += int(timedelta(**span).total_seconds() * SECOND)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def bearer(secret: str) -> bytes:
    return f"Bearer {secret}".encode()


def refused(
    book: ClientBook, header: bytes | None, scope: str = "predict", model: str | None = "churn"
) -> int:
    with pytest.raises(ClientRefusedError) as error:
        book.admit(header, scope, model)
    return error.value.status


class TestKeys:
    def test_without_clients_nobody_is_asked(self, world: World) -> None:
        book = world.book()
        assert not book.required
        for header in (None, b"", b"Bearer x", b"\xff" * 10_000):
            assert book.admit(header, "predict", "churn") is None

    @pytest.mark.parametrize(
        "form", ["Bearer {}", "bearer {}", "BEARER {}", "{}", "Bearer  {} ", " {}"], ids=range(6)
    )
    def test_a_key_is_taken_in_either_header(self, world: World, form: str) -> None:
        secret = world.registry.add("shop")
        assert world.book().admit(form.format(secret).encode(), "predict", "churn") == "shop"

    def test_everything_else_is_401_with_the_way_in(self, world: World) -> None:
        secret = world.registry.add("shop")
        book = world.book()
        digest = hashlib.sha256(secret.encode()).hexdigest()
        for header in (
            None,
            b"",
            b"Bearer ",
            b"Basic " + secret.encode(),
            bearer(secret[:-1]),
            bearer(secret + "x"),
            bearer(secret.upper()),
            bearer(digest),
            bytes.fromhex(digest),
            bearer(f"{secret} {secret}"),
            b"Bearer " + b"x" * 100_000,
            b"\xff\x00\n",
        ):
            with pytest.raises(ClientRefusedError) as error:
                book.admit(header, "predict", "churn")
            assert (error.value.status, error.value.code) == (401, "WS-SERVING-026")
            assert error.value.headers == {"WWW-Authenticate": "Bearer"}
            assert secret[:-1] not in str(error.value)
            assert digest not in str(error.value)

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(header=st.binary(max_size=600))
    def test_no_bytes_get_in_or_crash(self, tmp_path_factory: Any, header: bytes) -> None:
        world = World(tmp_path_factory.mktemp("any"))
        world.registry.add("shop")
        assert refused(world.book(), header) == 401

    def test_scopes(self, world: World) -> None:
        books = {
            scope: world.registry.add(scope, scopes=[scope]) for scope in ("predict", "outcomes", "monitor")
        }
        book = world.book()
        for owned, secret in books.items():
            for scope in books:
                if scope == owned:
                    assert book.admit(bearer(secret), scope, "churn") == owned
                else:
                    with pytest.raises(ClientRefusedError, match=f"not the scope {scope}") as error:
                        book.admit(bearer(secret), scope, "churn")
                    assert (error.value.status, error.value.code) == (403, "WS-SERVING-027")

    def test_models(self, world: World) -> None:
        few = world.registry.add("few", models=["churn", "spend"])
        all_of_them = world.registry.add("all", models=["churn", "*"])
        book = world.book()
        assert book.admit(bearer(few), "predict", "spend") == "few"
        assert book.admit(bearer(few), "predict", None) == "few"  # a call about no one model
        assert book.admit(bearer(all_of_them), "predict", "secret_model") == "all"
        with pytest.raises(ClientRefusedError) as error:
            book.admit(bearer(few), "predict", "secret_model")
        assert error.value.status == 403
        assert "secret_model" not in str(error.value)
        assert refused(book, bearer(few), model="*") == 403

    def test_expiry_and_grace(self, world: World) -> None:
        old = world.registry.add("shop", lifetime=timedelta(days=30))
        new = world.registry.rotate("shop", grace=timedelta(hours=24))
        book = world.book()
        world.later(hours=23, minutes=59)
        assert book.admit(bearer(old), "predict", "churn") == "shop"
        assert book.admit(bearer(new), "predict", "churn") == "shop"
        world.later(minutes=1)
        assert refused(book, bearer(old)) == 401
        assert book.admit(bearer(new), "predict", "churn") == "shop"


class TestFollowing:
    def test_a_book_follows_the_file(self, world: World) -> None:
        book = world.book()
        secret = world.registry.add("shop")
        assert book.admit(None, "predict", "churn") is None
        book.refresh()
        assert book.required
        assert book.admit(bearer(secret), "predict", "churn") == "shop"
        assert refused(book, None) == 401
        world.registry.revoke("shop")
        book.refresh()
        assert refused(book, bearer(secret)) == 401
        again = world.registry.rotate("shop", grace=timedelta(0))
        book.refresh()
        assert book.admit(bearer(again), "predict", "churn") == "shop"
        world.registry.remove("shop")
        book.refresh()
        assert (book.required, book.fault) == (True, None)
        assert refused(book, bearer(again)) == 401

    def test_the_file_is_read_only_when_it_changed(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.registry.add("shop")
        book = world.book()
        monkeypatch.setattr(book.file, "read", lambda: pytest.fail("it was read again"))
        for _ in range(3):
            book.refresh()

    def test_a_broken_file_keeps_the_last_valid_clients(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        secret = world.registry.add("shop")
        book = world.book()
        whole = world.file.read_bytes()
        world.file.write_text('{"clients": [{"name": "PLANTED-SECRET"')
        with caplog.at_level(logging.INFO):
            for _ in range(3):
                book.refresh()
            assert book.fault is not None
            assert book.admit(bearer(secret), "predict", "churn") == "shop"
            assert refused(book, bearer("other")) == 401
            world.file.chmod(0o666)
            book.refresh()
            assert "0666" in book.fault
            world.file.write_bytes(whole)
            world.file.chmod(0o600)
            book.refresh()
        assert book.fault is None
        assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "INFO"]
        assert "PLANTED" not in caplog.text

    def test_a_file_that_was_never_whole_lets_nobody_in(self, world: World) -> None:
        world.file.write_text("{")
        world.file.chmod(0o600)
        book = world.book()
        assert book.required
        for header in (None, b"Bearer x"):
            with pytest.raises(ClientRefusedError) as error:
                book.admit(header, "predict", "churn")
            assert (error.value.status, error.value.code) == (503, "WS-SERVING-029")
            assert error.value.headers == {"Retry-After": "1"}
            assert str(world.folder) not in str(error.value)

    def test_a_file_that_vanished_lets_nobody_in(self, world: World) -> None:
        secret = world.registry.add("shop")
        book = world.book()
        whole = world.file.read_bytes()
        world.file.unlink()
        for _ in range(3):
            book.refresh()
            assert book.required
            assert book.fault is not None
            assert "gone" in book.fault
            assert refused(book, bearer(secret)) == 503
        world.file.write_bytes(whole)
        world.file.chmod(0o600)
        book.refresh()
        assert book.fault is None
        assert book.admit(bearer(secret), "predict", "churn") == "shop"

    def test_a_worker_that_starts_after_the_file_vanished_lets_nobody_in(self, world: World) -> None:
        world.registry.add("shop")
        world.book()
        world.file.unlink()
        book = world.book()
        assert book.required
        assert refused(book, None) == 503

    def test_a_worker_that_never_saw_the_file_hears_of_it(self, world: World) -> None:
        late = world.book()
        world.registry.add("shop")
        world.book()
        world.file.unlink()
        late.refresh()
        assert late.required
        assert refused(late, None) == 503

    def test_more_limited_clients_than_slots(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        first = world.registry.add("first", rate=10)
        book = world.book()
        monkeypatch.setattr("windsock.serving.rate_limit.SLOTS", 1)
        world.registry.add("second", rate=10)
        book.refresh()
        assert book.fault is not None
        assert "slot" in book.fault
        assert book.admit(bearer(first), "predict", "churn") == "first"


class TestRate:
    def test_the_rate_holds_over_all_workers(self, world: World) -> None:
        secret = world.registry.add("shop", rate=10, burst=4)
        books = [world.book() for _ in range(3)]
        for number in range(4):
            assert books[number % 3].admit(bearer(secret), "predict", "churn") == "shop"
        for book in books:
            with pytest.raises(RateLimitedError) as error:
                book.admit(bearer(secret), "predict", "churn")
            assert (error.value.status, error.value.code) == (429, "WS-SERVING-028")
            assert error.value.retry_after == pytest.approx(0.1)
            assert error.value.headers == {"Retry-After": "1"}
        world.later(milliseconds=100)
        assert books[2].admit(bearer(secret), "predict", "churn") == "shop"

    def test_clients_do_not_share_a_rate_and_a_clients_keys_do(self, world: World) -> None:
        one, other = (world.registry.add(name, rate=1, burst=1) for name in ("one", "other"))
        rotated = world.registry.rotate("one", grace=timedelta(hours=1))
        book = world.book()
        assert book.admit(bearer(one), "predict", "churn") == "one"
        assert book.admit(bearer(other), "predict", "churn") == "other"
        with pytest.raises(RateLimitedError):
            book.admit(bearer(rotated), "predict", "churn")

    def test_what_is_refused_is_not_counted(self, world: World) -> None:
        secret = world.registry.add("shop", rate=1, burst=1, models=["churn"])
        book = world.book()
        assert {refused(book, bearer(secret), model="spend") for _ in range(5)} == {403}
        assert book.admit(bearer(secret), "predict", "churn") == "shop"

    def test_a_rate_survives_a_change_of_the_file(self, world: World) -> None:
        secret = world.registry.add("shop", rate=1, burst=1)
        book = world.book()
        book.admit(bearer(secret), "predict", "churn")
        world.registry.add("till", rate=5)
        book.refresh()
        with pytest.raises(RateLimitedError):
            book.admit(bearer(secret), "predict", "churn")

    def test_a_second_look_at_a_request_costs_nothing(self, world: World) -> None:
        secret = world.registry.add("shop", rate=1, burst=1, models=["churn"])
        book = world.book()
        assert book.admit(bearer(secret), "predict", None) == "shop"
        for _ in range(3):
            assert book.admit(bearer(secret), "predict", "churn", 0) == "shop"
        with pytest.raises(ClientRefusedError):
            book.admit(bearer(secret), "predict", "spend", 0)
        world.later(seconds=1)
        assert book.admit(bearer(secret), "predict", "churn") == "shop"

    def test_a_call_may_count_as_several(self, world: World) -> None:
        secret = world.registry.add("shop", rate=1, burst=10)
        book = world.book()
        book.admit(bearer(secret), "predict", "churn", 6)
        with pytest.raises(RateLimitedError) as error:
            book.admit(bearer(secret), "predict", "churn", 6)
        assert error.value.retry_after == pytest.approx(2.0)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(
        rate=st.floats(0.5, 1000),
        burst=st.integers(1, 30),
        calls=st.lists(st.tuples(st.integers(0, 2), st.integers(0, SECOND // 2)), min_size=1, max_size=120),
    )
    def test_never_more_than_is_allowed_whichever_worker_is_asked(
        self, tmp_path_factory: Any, rate: float, burst: int, calls: list[tuple[int, int]]
    ) -> None:
        world = World(tmp_path_factory.mktemp("rate"))
        secret = world.registry.add("shop", rate=rate, burst=burst)
        books = [world.book() for _ in range(3)]
        begun, admitted = world.nanoseconds, 0
        waits: list[float] = []
        for worker, pause in calls:
            world.nanoseconds += pause
            try:
                admitted += books[worker].admit(bearer(secret), "predict", "churn") == "shop"
            except RateLimitedError as error:
                waits.append(error.retry_after)
            assert admitted <= burst + rate * (world.nanoseconds - begun) / SECOND + 1e-6
        assert all(wait > 0 for wait in waits)
        assert admitted + len(waits) == len(calls)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setenv(RATES_VARIABLE, str(folder))
    return folder


def test_the_workers_of_a_server_share_their_rates(settings: Settings, shared: Path) -> None:
    secret = ClientRegistry(settings.clients_file).add("shop", rate=0.001, burst=1)
    first, second = make_client_book(settings), make_client_book(settings)
    assert first.admit(bearer(secret), "predict", "churn") == "shop"
    with pytest.raises(RateLimitedError):
        second.admit(bearer(secret), "predict", "churn")
    assert (shared / RATES_FILE).stat().st_mode & 0o777 == 0o600


def test_a_book_of_one_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RATES_VARIABLE, raising=False)
    assert not make_client_book(settings).required


def test_nothing_secret_is_in_the_book_that_a_dump_could_show(world: World) -> None:
    secret = world.registry.add("shop", rate=5)
    book = world.book()
    shown = repr(vars(book)) + repr(list((book._grants or {}).values())) + json.dumps(str(clients_module))
    assert secret[-43:] not in shown
