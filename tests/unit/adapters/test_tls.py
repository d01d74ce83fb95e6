from __future__ import annotations

import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.certificates import Authority
from windsock.adapters.server_client import ServerRouter, server_health
from windsock.adapters.tls import TlsError, TlsFiles, client_context, tls_files
from windsock.exceptions import ServerUnavailableError, SettingsError
from windsock.settings import Settings


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Quiet(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"models": {}, "status": "ok"}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None: ...  # a handshake that is refused is what the tests want


@contextmanager
def serving(context: ssl.SSLContext) -> Iterator[str]:
    """Run a server that answers GET with a health over TLS; give its address."""
    server = Server(("127.0.0.1", 0), Quiet)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def settings_for(address: str, **fields: Any) -> Settings:
    return Settings.from_environment({"WINDSOCK_SERVER_URL": address}).model_copy(update=fields)


class TestServer:
    def test_a_handshake_with_the_right_authority(self, authority: Authority) -> None:
        pair = authority.issue()
        with serving(TlsFiles(cert=pair.cert, key=pair.key).context()) as address:
            settings = settings_for(address, server_ca=authority.file)
            assert server_health(address, settings) == "status ok, 0 models served"
            with pytest.raises(ServerUnavailableError, match="not Windsock's server"):
                ServerRouter.of(settings_with_token(settings)).state("churn")

    def test_another_authority_is_told_with_the_way_out(self, authority: Authority, tmp_path: Path) -> None:
        pair, other = authority.issue(), Authority(tmp_path, "other")
        with serving(TlsFiles(cert=pair.cert, key=pair.key).context()) as address:
            for settings in (settings_for(address, server_ca=other.file), settings_for(address), None):
                with pytest.raises(SettingsError, match="its certificate is not trusted") as refused:
                    server_health(address, settings)
                assert refused.value.code == "WS-SERVING-032"
                assert "WINDSOCK_SERVER_CA" in refused.value.next_action

    def test_the_name_is_checked(self, authority: Authority) -> None:
        pair = authority.issue()
        with serving(TlsFiles(cert=pair.cert, key=pair.key).context()) as address:
            elsewhere = address.replace("127.0.0.1", "127.0.0.2")
            settings = settings_for(elsewhere, server_ca=authority.file)
            with pytest.raises((SettingsError, ServerUnavailableError)):
                server_health(elsewhere, settings)

    def test_plain_http_gets_no_answer(self, authority: Authority) -> None:
        pair = authority.issue()
        with (
            serving(TlsFiles(cert=pair.cert, key=pair.key).context()) as address,
            pytest.raises(httpx.HTTPError),
        ):
            httpx.get(address.replace("https", "http"), timeout=5)

    def test_old_tls_is_refused(self, authority: Authority) -> None:
        pair = authority.issue()
        with serving(TlsFiles(cert=pair.cert, key=pair.key).context()) as address:
            for version, taken in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
                context = ssl.create_default_context(cafile=str(authority.file))
                context.set_ciphers("ALL:@SECLEVEL=0")  # else the client itself would refuse TLS 1.1
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of TLS 1.1
                    context.minimum_version = context.maximum_version = version
                if taken:
                    assert httpx.get(address, verify=context, timeout=5).status_code == 200
                else:
                    with pytest.raises(httpx.ConnectError, match="(?i)protocol version|version"):
                        httpx.get(address, verify=context, timeout=5)

    def test_clients_show_certificates_where_they_must(self, authority: Authority, tmp_path: Path) -> None:
        people = Authority(tmp_path, "people")
        pair, airflow, stranger = authority.issue(), people.issue("airflow"), authority.issue("stranger")
        files = TlsFiles(cert=pair.cert, key=pair.key, client_ca=people.file)
        with serving(files.context()) as address:
            known = settings_for(
                address,
                server_ca=authority.file,
                server_client_cert=airflow.cert,
                server_client_key=airflow.key,
            )
            assert server_health(address, known).startswith("status ok")
            for changes in (
                {"server_client_cert": None, "server_client_key": None},
                {"server_client_cert": stranger.cert, "server_client_key": stranger.key},
            ):
                with pytest.raises((SettingsError, ServerUnavailableError)):
                    server_health(address, known.model_copy(update=changes))


def settings_with_token(settings: Settings) -> Settings:
    return settings.model_copy(update={"admin_token": "t"})


class TestFiles:
    def test_nothing_named_is_plain_http(self) -> None:
        assert tls_files(None, None, None) is None

    def test_names_become_absolute(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        files = tls_files(Path("a"), Path("b"), Path("c"))
        assert files == TlsFiles(cert=tmp_path / "a", key=tmp_path / "b", client_ca=tmp_path / "c")

    def refused(self, make: Callable[[], Any], said: str) -> None:
        with pytest.raises(TlsError, match=said) as error:
            make()
        assert error.value.code == "WS-SERVING-031"
        assert "BEGIN" not in str(error.value)

    def test_files_that_are_not_there(self, authority: Authority, tmp_path: Path) -> None:
        pair, away = authority.issue(), tmp_path / "away"
        self.refused(TlsFiles(cert=away, key=pair.key).context, "the certificate .*away cannot be read")
        self.refused(TlsFiles(cert=pair.cert, key=away).context, "the private key .*away cannot be read")
        self.refused(
            TlsFiles(cert=pair.cert, key=pair.key, client_ca=away).context,
            "authorities .*away cannot be read",
        )
        self.refused(TlsFiles(cert=tmp_path, key=pair.key).context, "cannot be read")

    def test_a_key_of_another_certificate(self, authority: Authority) -> None:
        pair, other = authority.issue(), authority.issue("other")
        self.refused(TlsFiles(cert=pair.cert, key=other.key).context, "are no pair")

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
    def test_a_key_that_others_may_read(self, authority: Authority, mode: int) -> None:
        pair = authority.issue()
        pair.key.chmod(mode)
        self.refused(TlsFiles(cert=pair.cert, key=pair.key).context, f"mode {mode:04o}")

    def test_a_key_with_a_passphrase_does_not_ask_for_it(self, authority: Authority) -> None:
        pair = authority.issue(passphrase=b"secret")
        self.refused(TlsFiles(cert=pair.cert, key=pair.key).context, "passphrase")

    @pytest.mark.parametrize("content", [b"", b"no pem", b"\xff" * 100])
    def test_files_of_something_else(self, authority: Authority, tmp_path: Path, content: bytes) -> None:
        pair, other = authority.issue(), tmp_path / "other"
        other.write_bytes(content)
        other.chmod(0o600)
        self.refused(TlsFiles(cert=other, key=pair.key).context, "cannot be used")
        self.refused(TlsFiles(cert=pair.cert, key=other).context, "cannot be used")
        self.refused(TlsFiles(cert=pair.cert, key=pair.key, client_ca=other).context, "holds no certificate")

    def test_an_authority_file_without_a_certificate(self, authority: Authority) -> None:
        pair = authority.issue()
        self.refused(
            TlsFiles(cert=pair.cert, key=pair.key, client_ca=pair.key).context, "holds no certificate"
        )


class TestClient:
    def test_plain_http_needs_nothing(self, tmp_path: Path) -> None:
        settings = settings_for("http://127.0.0.1:1", server_ca=tmp_path / "away")
        assert client_context(settings, settings.server_url) is None

    @pytest.mark.parametrize("which", ["server_client_cert", "server_client_key"])
    def test_half_a_pair(self, authority: Authority, which: str) -> None:
        settings = settings_for(
            "https://127.0.0.1:1", server_ca=authority.file, **{which: authority.issue().cert}
        )
        with pytest.raises(TlsError, match="together"):
            client_context(settings, settings.server_url)

    def test_certificates_and_names_are_always_checked(self, authority: Authority) -> None:
        for fields in ({}, {"server_ca": authority.file}):
            context = client_context(settings_for("https://a", **fields), "HTTPS://a")
            assert context is not None
            assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
            assert context.minimum_version == ssl.TLSVersion.TLSv1_2

    def test_an_authority_that_is_away(self, tmp_path: Path) -> None:
        settings = settings_for("https://127.0.0.1:1", server_ca=tmp_path / "away")
        with pytest.raises(TlsError, match="cannot be read"):
            ServerRouter.of(settings_with_token(settings)).state("churn")

    def test_the_environment_names_the_files(self, tmp_path: Path) -> None:
        settings = Settings.from_environment(
            {
                "WINDSOCK_SERVER_CA": "/ca.pem",
                "WINDSOCK_SERVER_CLIENT_CERT": "/c.pem",
                "WINDSOCK_SERVER_CLIENT_KEY": "/k.pem",
                "WINDSOCK_CLIENTS_FILE": "/clients.json",
            }
        )
        assert (settings.server_ca, settings.server_client_cert) == (Path("/ca.pem"), Path("/c.pem"))
        assert (settings.server_client_key, settings.clients_file) == (Path("/k.pem"), Path("/clients.json"))
        plain = Settings.from_environment({"WINDSOCK_HOME": str(tmp_path)})
        assert plain.clients_file == tmp_path / "keys" / "clients.json"
        assert plain.server_ca is None
