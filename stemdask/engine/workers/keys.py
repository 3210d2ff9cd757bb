"""Keys of a run: one certificate for scheduler, workers and driver, in files that their owner alone can read."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stemdask.errors import ClusterError

#: How long before and after it is made a certificate is valid, for nodes whose clocks are wrong and runs that are long.
BEFORE, AFTER = timedelta(days=1), timedelta(days=365)
#: File of each part within the folder.
FILES = {"ca_file": "ca.pem", "cert": "cert.pem", "key": "key.pem"}


def temporary() -> Any:
    """Return new keys as distributed's Security, in memory."""
    key, certificate = _pair()
    return _security(certificate, certificate, key)


def make(folder: Path) -> Any:
    """Write new keys to a folder, which is made, and return them as distributed's Security."""
    key, certificate = _pair()
    folder.mkdir(mode=0o700)
    for part, text in {"ca_file": certificate, "cert": certificate, "key": key}.items():
        write_private(folder / FILES[part], text)
    return load(folder)


def _pair() -> tuple[str, str]:
    """Return a private key and its certificate, which vouches for itself, as PEM.

    That of distributed's `Security.temporary` is valid from this second on: a worker whose clock is slow refuses it.

    Raises
    ------
    ClusterError
        The package that makes them isn't installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
    except ImportError as error:
        raise ClusterError(
            "workers are reached over TLS only, and the package that makes its keys isn't installed",
            remedy="Run: pip install cryptography",
        ) from error

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stemdask")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("stemdask")]), critical=False)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + AFTER)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    return (
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain).decode(),
        certificate.public_bytes(pem).decode(),
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, in the place of one that may be there."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)


def load(folder: Path) -> Any:
    """Return the keys of a folder with ca.pem, cert.pem and key.pem."""
    return _security(*(str(folder / FILES[part]) for part in ("ca_file", "cert", "key")))


def _security(authority: str, certificate: str, key: str) -> Any:
    """Return keys, as PEM or as paths of files, as distributed's Security."""
    import distributed

    library: Any = distributed
    return library.Security(
        require_encryption=True,
        tls_ca_file=authority,
        tls_client_cert=certificate,
        tls_client_key=key,
        tls_scheduler_cert=certificate,
        tls_scheduler_key=key,
        tls_worker_cert=certificate,
        tls_worker_key=key,
    )
