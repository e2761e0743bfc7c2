"""The sandbox's certificate authority, and certificates for its database endpoints."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

_AUTHORITY_DAYS: Final = 3650
_ENDPOINT_DAYS: Final = 825


class Authority:
    """A certificate authority in a folder: `ca.pem` for clients to trust, `ca.key` for this process alone."""

    def __init__(self, folder: Path) -> None:
        """Load the authority, or make one: it then stays the same for the life of the folder."""
        self._folder = folder
        self.certificate = folder / "ca.pem"
        key_file = folder / "ca.key"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            self._certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise TypeError  # noqa: TRY301 — as good as none
            self._key = key
        except (OSError, ValueError, TypeError):
            self._key = ec.generate_private_key(ec.SECP256R1())
            self._certificate = self._sign_authority()
            _write_private(key_file, _pem(self._key))
            self.certificate.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def endpoint(self, address: str) -> ssl.SSLContext:
        """Return a server's TLS context with a fresh certificate for one IP address."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(f"{address}", key, self._certificate.subject, _ENDPOINT_DAYS)
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(authority_key, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        pair = self._folder / f"{address}.pem"  # OpenSSL reads files only
        _write_private(pair, _pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
        try:
            context.load_cert_chain(pair)
        finally:
            pair.unlink()
        return context

    def _sign_authority(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "product-api sandbox CA")])
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        return (
            _builder("product-api sandbox CA", self._key, name, _AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _builder(subject: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, days: int) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
