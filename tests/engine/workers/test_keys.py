from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from stemdask.engine.workers import keys


@pytest.mark.parametrize("off", [timedelta(hours=-12), timedelta(0), timedelta(days=300)])
def test_a_certificate_is_valid_on_nodes_whose_clocks_are_wrong_and_in_long_runs(
    tmp_path: Path, off: timedelta
) -> None:
    keys.make(tmp_path / "tls")
    found = x509.load_pem_x509_certificate((tmp_path / "tls" / keys.FILES["cert"]).read_bytes())
    assert found.not_valid_before_utc < datetime.now(UTC) + off < found.not_valid_after_utc
