from __future__ import annotations

from pathlib import Path

import pytest

from stemdask.errors import StoreError
from stemdask.view import entrance


def test_where_panel_is_not_installed_one_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(entrance, "find_spec", lambda name: None)
    with pytest.raises(StoreError, match=r"needs panel, which isn't installed.*pip install 'stemdask\[view\]'"):
        entrance.serve(tmp_path / "o.zarr")
