from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from windsock.adapters import connections
from windsock.adapters.connections import connection_url, connections_of, url_from_airflow_uri
from windsock.exceptions import SettingsError


def url_of(text, conn_id="shop_db"):
    return connection_url(conn_id, {"AIRFLOW_CONN_SHOP_DB": text})


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("postgres://u:p@db:5433/shop", "postgresql://u:p@db:5433/shop"),
        ("postgresql://u:p@db/shop", "postgresql://u:p@db/shop"),
        ("postgres://u:p%40s%2Fs%25@db/shop", "postgresql://u:p%40s%2Fs%25@db/shop"),
        ("postgres://db/shop?sslmode=require&cursor=dictcursor", "postgresql://db/shop?sslmode=require"),
        (
            "postgres://db/s?__extra__=%7B%22sslmode%22%3A%20%22require%22%7D",
            "postgresql://db/s?sslmode=require",
        ),
        ("postgresql+psycopg2://u@[::1]:5432/shop", "postgresql+psycopg2://u@[::1]:5432/shop"),
        ("mysql://u:p@db/shop?charset=utf8", "mysql://u:p@db/shop?charset=utf8"),
        ("sqlite:////var/Data/shop.db", "sqlite:////var/Data/shop.db"),
        ("sqlite://%2Fvar%2FData%2Fshop%20x.db", "sqlite:////var/Data/shop x.db"),
        ("  postgres://db/shop \n", "postgresql://db/shop"),
        ("POSTGRES://db/shop", "postgresql://db/shop"),
    ],
)
def test_uris(uri, url):
    assert url_of(uri) == url
    assert url_from_airflow_uri(uri.strip(), "shop_db") == url


@pytest.mark.parametrize(
    ("content", "url"),
    [
        (
            {
                "conn_type": "postgres",
                "host": "db",
                "login": "u",
                "password": "p@/",
                "schema": "s",
                "port": 5432,
            },
            "postgresql://u:p%40%2F@db:5432/s",
        ),
        ({"conn_type": "postgres", "host": "db", "port": "5432"}, "postgresql://db:5432"),
        (
            {"conn_type": "postgres", "host": "db", "extra": {"sslmode": "require"}},
            "postgresql://db?sslmode=require",
        ),
        ({"conn_type": "postgres", "host": "db", "extra": '{"sslmode": "x"}'}, "postgresql://db?sslmode=x"),
        ({"conn_type": "sqlite", "host": "/tmp/a.db"}, "sqlite:////tmp/a.db"),
    ],
)
def test_json(content, url):
    assert url_of(json.dumps(content)) == url


def test_the_id_is_found_in_capital_letters():
    assert connections_of({"AIRFLOW_CONN_A.B": "sqlite:///x.db"})("a.b") == "sqlite:///x.db"


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("", "WS-SETTINGS-003"),
        ("http://db", "WS-SETTINGS-004"),
        ("nonsense", "WS-SETTINGS-004"),
        ("sqlite://", "WS-SETTINGS-004"),
        ("postgres://u:hunter2@db:port/shop", "WS-SETTINGS-004"),
        ("postgres://u:hunter2@[db/shop", "WS-SETTINGS-004"),
        ("postgres://u:hunter2@db/s?__extra__=nonsense", "WS-SETTINGS-004"),
        ('{"conn_type": "postgres", "password": "hunter2"', "WS-SETTINGS-004"),
        ('{"conn_type": "postgres", "password": "hunter2", "port": "x"}', "WS-SETTINGS-004"),
        ('{"conn_type": "postgres", "password": "hunter2", "extra": "nonsense"}', "WS-SETTINGS-004"),
        ('{"conn_type": "snowflake", "password": "hunter2"}', "WS-SETTINGS-004"),
    ],
)
def test_what_is_no_connection_to_a_database(uri, code):
    with pytest.raises(SettingsError) as caught:
        url_of(uri)
    assert caught.value.code == code
    assert "shop_db" in caught.value.message
    assert "AIRFLOW_CONN_SHOP_DB" in str(caught.value) or "data.source" in caught.value.next_action
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None  # a cause's text could hold parts of the address


@pytest.mark.parametrize("value", [["require"], {"mode": "require"}, True])
def test_a_parameter_of_the_url_is_a_text_or_a_number(value):
    content = json.dumps({"conn_type": "postgres", "host": "db", "extra": {"sslmode": value}})
    with pytest.raises(SettingsError, match="at sslmode"):
        connection_url("shop", {"AIRFLOW_CONN_SHOP": content})


@pytest.mark.parametrize("extra", [[1], "[1]", "5", 7])
def test_an_extra_that_is_no_object_is_refused(extra):
    content = json.dumps({"conn_type": "postgres", "host": "db", "extra": extra})
    with pytest.raises(SettingsError, match="can be read neither"):
        connection_url("shop", {"AIRFLOW_CONN_SHOP": content})


@pytest.mark.parametrize("conn_id", ["", "a b", "a=b", "a/b", "x" * 251])
def test_an_id_that_no_connection_can_have(conn_id):
    with pytest.raises(SettingsError) as caught:
        connection_url(conn_id, {f"AIRFLOW_CONN_{conn_id.upper()}": "sqlite:///x.db"})
    assert caught.value.code == "WS-SETTINGS-003"


@pytest.mark.parametrize(
    ("installed", "url"),
    [
        (("psycopg2", "psycopg"), "postgresql://db/s"),
        (("psycopg",), "postgresql+psycopg://db/s"),
        ((), "postgresql://db/s"),
    ],
)
def test_the_driver_that_is_installed_is_taken(monkeypatch, installed, url):
    monkeypatch.setattr(connections, "find_spec", lambda name: name if name in installed else None)
    assert url_of("postgres://db/s") == url


WORDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc", "Cs", "Zs"]), max_size=12
)


@given(WORDS, WORDS, st.integers(1, 65_535))
@settings(deadline=None)
def test_any_login_and_password_arrive_whole(login, password, port):
    content = {
        "conn_type": "postgres",
        "host": "db",
        "port": port,
        "login": f"u{login}",
        "password": f"p{password}",
    }
    url = make_url(url_of(json.dumps(content)))
    assert (url.username, url.password, url.port) == (f"u{login}", f"p{password}", port)


@given(st.text(max_size=60) | st.text(alphabet='postgres:/@[]?#%{}"=&5', max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_a_url_or_a_settings_error(text):
    with suppress(SettingsError):
        assert make_url(url_of(text))
