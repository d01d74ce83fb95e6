from __future__ import annotations

import pytest

from windsock.proxies import go_direct, is_local, no_proxy_variables, through_proxy, with_local

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def environment(monkeypatch):
    for name in (*PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_what_the_user_leaves_out_stays():
    assert with_local("corp.example, 10.0.0.0/8").split(",") == [
        "corp.example", "10.0.0.0/8", "127.0.0.1", "localhost", "::1",
    ]  # fmt: skip
    assert with_local("*") == "*"
    assert with_local(None).startswith("127.0.0.1,")


def test_both_spellings_leave_out_what_either_did():
    both = no_proxy_variables({"NO_PROXY": "a", "no_proxy": "b"})
    assert set(both) == {"NO_PROXY", "no_proxy"}
    assert all(value.split(",")[:2] == ["a", "b"] for value in both.values())


def test_loopback_in_every_form_goes_direct(environment):
    for host in ("127.0.0.1", "127.0.0.9", "localhost", "api.localhost", "::1", "0.0.0.0"):  # noqa: S104
        assert is_local(host)
    for host in ("mlflow", "10.0.0.1", "localhost.example", ""):
        assert not is_local(host)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:5000", "http://localhost:5000", "http://127.0.0.9:5000"]
)
def test_no_library_takes_a_proxy_to_this_machine(environment, address):
    from requests.utils import get_environ_proxies

    environment.setenv("HTTP_PROXY", "http://proxy.example:3128")
    environment.setenv("NO_PROXY", "corp.example")
    assert get_environ_proxies(address)
    go_direct(address)
    assert not get_environ_proxies(address)
    assert not get_environ_proxies("http://corp.example/")
    assert get_environ_proxies("http://mlflow.example:5000")
    assert through_proxy(address) == ""


def test_the_proxy_is_named_without_its_login(environment):
    environment.setenv("http_proxy", "http://user:secret@proxy.example:3128")
    assert through_proxy("http://mlflow.example:5000") == " through the proxy proxy.example:3128 (http_proxy)"
    environment.delenv("http_proxy")
    environment.setenv("ALL_PROXY", "proxy.example:3128")
    assert through_proxy("http://mlflow.example:5000") == " through the proxy proxy.example:3128 (ALL_PROXY)"
    assert through_proxy("sqlite:///file") == ""
