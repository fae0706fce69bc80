"""Certificates for loopback, good for an hour, from an authority of our own."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streams.processes import LOOPBACK


@dataclass(frozen=True)
class Certificates:
    """Where they lie, as PEM."""

    authority: Path
    server: Path
    """Key and certificate of a server on loopback."""


def make_certificates(directory: Path) -> Certificates:
    """Return an authority and what it vouches for."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    root = _signed(root_name, root_key, root_name, root_key, authority=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    server = _signed(name, key, root_name, root_key, authority=False)
    paths = Certificates(directory / "authority.pem", directory / "server.pem")
    pem = serialization.Encoding.PEM
    paths.authority.write_bytes(root.public_bytes(pem))
    secret = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    paths.server.write_bytes(secret + server.public_bytes(pem))
    return paths


def _signed(
    name: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    names = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address(LOOPBACK)),
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), True)  # noqa: FBT003 - critical
        .add_extension(x509.SubjectAlternativeName(names), False)  # noqa: FBT003 - same
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            False,  # noqa: FBT003 - same
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            False,  # noqa: FBT003 - same
        )
        .sign(issuer_key, hashes.SHA256())
    )
