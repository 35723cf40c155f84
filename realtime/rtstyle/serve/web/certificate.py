"""A certificate that the server signs itself: browsers give no camera to a plain http page."""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path

from rtstyle.serve.web.addresses import is_address, is_unspecified

VALID = datetime.timedelta(days=397)


def self_signed(host: str, folder: Path) -> tuple[Path, Path]:
    """Return the paths of a certificate and its key, made now in `folder`, for their owner only."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rtstyle serve")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    if is_address(host) and not is_unspecified(host):
        names.append(x509.IPAddress(ipaddress.ip_address(host)))
    elif not is_address(host):
        names.append(x509.DNSName(host))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    paths = folder / "certificate.pem", folder / "key.pem"
    write_private(paths[0], certificate.public_bytes(pem))
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(paths[1], private)
    return paths


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
