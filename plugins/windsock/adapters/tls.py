"""TLS on both sides: certificates, private keys and authorities from files, read once and refused early."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

from windsock.exceptions import SettingsError
from windsock.settings import Settings
from windsock.spec import Frozen

READABLE_BY_OTHERS = 0o077


class TlsError(SettingsError):
    """A certificate, a private key or an authority cannot be used."""

    default_code = "WS-SERVING-031"
    default_next = "Mend the file that is named."


class TlsFiles(Frozen):
    """What a server needs to speak TLS.

    :param cert: its certificate, followed by those between it and the authority, in PEM.
    :param key: the private key, in PEM without a passphrase; mode 0600.
    :param client_ca: authorities of the clients' certificates; with it every client must show one.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return a server's side of TLS 1.2 or later.

        :raises TlsError: if a file is missing or holds something else, key and certificate are no pair, or
            others may read the key.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        load_pair(context, self.cert, self.key)
        if self.client_ca is not None:
            _load_authorities(context, self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def changed(self) -> tuple[int, ...]:
        """Return when certificate and key were changed last; nothing while one of them is away."""
        try:
            return self.cert.stat().st_mtime_ns, self.key.stat().st_mtime_ns
        except OSError:
            return ()


def tls_files(cert: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
    """Return the files that were named; ``None`` if none was: plain HTTP.

    :raises TlsError: if only some of them were named that go together.
    """
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise TlsError(
            "TLS needs a certificate and its private key",
            next_action="Set both --tls-cert and --tls-key (WINDSOCK_TLS_CERT, WINDSOCK_TLS_KEY).",
        )
    return TlsFiles(
        cert=cert.absolute(), key=key.absolute(), client_ca=client_ca.absolute() if client_ca else None
    )


def client_context(settings: Settings, address: str) -> ssl.SSLContext | None:
    """Return what a client needs that asks an address; ``None`` if that is not ``https``.

    :raises TlsError: if a file of the settings cannot be used.
    """
    if not address.lower().startswith("https://"):
        return None
    if settings.server_ca is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody yet; checks certificate and name
        _load_authorities(context, settings.server_ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    cert, key = settings.server_client_cert, settings.server_client_key
    if cert is not None and key is not None:
        load_pair(context, cert, key)
    elif cert is not None or key is not None:
        raise TlsError(
            "a client certificate and its private key are set together or not at all",
            next_action="Set both WINDSOCK_SERVER_CLIENT_CERT and WINDSOCK_SERVER_CLIENT_KEY.",
        )
    return context


def load_pair(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Load a certificate and its private key; what a context had before is replaced.

    :raises TlsError: if they cannot be used.
    """
    _require_file(cert, "the certificate")
    mode = _require_file(key, "the private key")
    if mode & READABLE_BY_OTHERS:
        raise TlsError(
            f"the private key {key} has mode {mode:04o}: others than its owner may use it",
            next_action=f"Run `chmod 600 {key}`; if others may have read it, have a new certificate made.",
        )
    try:
        context.load_cert_chain(cert, key, password=_no_passphrase)
    except ssl.SSLError as error:
        mismatch = "MISMATCH" in (error.reason or "")
        said = (
            "are no pair" if mismatch else "cannot be used: one is no PEM file, or the key has a passphrase"
        )
        raise TlsError(f"the certificate {cert} and the private key {key} {said}") from None
    except (OSError, ValueError) as error:
        raise TlsError(f"the certificate {cert} and the private key {key} cannot be read") from error


def _no_passphrase() -> str:
    """Answer for OpenSSL, which would ask the terminal."""
    return ""


def _load_authorities(context: ssl.SSLContext, file: Path) -> None:
    _require_file(file, "the file of authorities")
    try:
        context.load_verify_locations(file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise TlsError(f"the file of authorities {file} holds no certificate in PEM form") from error
    if not context.cert_store_stats()["x509"]:
        raise TlsError(f"the file of authorities {file} holds no certificate in PEM form")


def _require_file(file: Path, what: str) -> int:
    """Return a file's mode if it can be read."""
    try:
        with file.open("rb"):
            return stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        raise TlsError(
            f"{what} {file} cannot be read: {error.strerror or type(error).__name__}",
            next_action="Name a file that is there and that this user may read.",
        ) from error
