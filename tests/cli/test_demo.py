"""The demonstration shows recovered beside injected."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemdask.cli import demo
from stemdask.errors import StoreError


@pytest.mark.claims
@pytest.mark.slow
def test_every_row_of_the_demo_agrees_and_it_says_what_to_type_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):  # the second time it starts over in its own folder
        assert demo.show(tmp_path / "demo") == 0
        said = capsys.readouterr().out
        assert said.count("agrees") == 8
        assert "off" not in said
        assert "stemdask run" in said
    for half in ("images", "atoms"):
        assert (tmp_path / "demo" / f"{half}.stemdask" / "report.html").stat().st_size > 100_000


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="other contents"):
        demo.show(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
