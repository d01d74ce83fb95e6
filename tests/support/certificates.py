"""Authorities, certificates and private keys for TLS on loopback."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Pair:
    """A certificate's file and that of its private key (mode 0600)."""

    cert: Path
    key: Path


class Authority:
    """A certificate authority of a test.

    :param folder: where its files stand.
    :param name: its name, and the beginning of the files' names.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._cert = self._sign(name, self._key, authority=True, issuer=name)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._cert.public_bytes(PEM))

    def issue(self, name: str = "server", *, passphrase: bytes | None = None) -> Pair:
        """Issue a certificate for 127.0.0.1, ::1 and localhost."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self._sign(name, key, authority=False, issuer=self.name)
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        pair.cert.write_bytes(cert.public_bytes(PEM))
        protection: Any = serialization.NoEncryption()
        if passphrase is not None:
            protection = serialization.BestAvailableEncryption(passphrase)
        pair.key.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, protection))
        pair.key.chmod(0o600)
        return pair

    def _sign(
        self, name: str, key: ec.EllipticCurvePrivateKey, *, authority: bool, issuer: str
    ) -> x509.Certificate:
        def called(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        now = datetime.now(UTC)
        names = [x509.IPAddress(ip_address("127.0.0.1")), x509.IPAddress(ip_address("::1"))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(called(name))
            .issuer_name(called(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([*names, x509.DNSName("localhost")]), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256())
