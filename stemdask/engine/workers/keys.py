"""Keys of a run: one certificate for scheduler, workers and driver, in files that their owner alone can read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stemdask.errors import ClusterError

#: File of each part within the folder.
FILES = {"ca_file": "ca.pem", "cert": "cert.pem", "key": "key.pem"}


def temporary() -> Any:
    """Return new keys as distributed's Security; raise ClusterError where what makes them isn't installed."""
    import distributed

    library: Any = distributed
    try:
        return library.Security.temporary()
    except ImportError as error:
        raise ClusterError(
            "workers are reached over TLS alone, and the package that makes its keys isn't installed",
            remedy="Run: pip install cryptography",
        ) from error


def make(folder: Path) -> Any:
    """Write new keys to a folder, which is made, and return them as distributed's Security."""
    made = temporary()
    folder.mkdir(mode=0o700)
    for part, text in made.get_tls_config_for_role("worker").items():
        if part in FILES:
            write_private(folder / FILES[part], text)
    return load(folder)


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, in the place of one that may be there."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)


def load(folder: Path) -> Any:
    """Return the keys of a folder with ca.pem, cert.pem and key.pem."""
    import distributed

    library: Any = distributed
    cert, key = str(folder / FILES["cert"]), str(folder / FILES["key"])
    return library.Security(
        require_encryption=True,
        tls_ca_file=str(folder / FILES["ca_file"]),
        tls_client_cert=cert,
        tls_client_key=key,
        tls_scheduler_cert=cert,
        tls_scheduler_key=key,
        tls_worker_cert=cert,
        tls_worker_key=key,
    )
