"""A run's report is that which `stemdask report` writes, and what goes wrong with it is said and harms no result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stemdask import report
from stemdask.errors import StemdaskError, StoreError
from stemdask.fence.fence import Died, Overdue, Raised
from stemdask.report import fenced


@pytest.mark.long
def test_the_page_and_the_summary_are_those_that_are_written_in_this_process(ideal_particle: Path) -> None:
    here = report.write(ideal_particle).read_text()
    found = fenced.write(ideal_particle)
    assert found.page.read_text() == here
    assert list(found.summary) == report.summary(ideal_particle) == list(fenced.sum_up(ideal_particle))


@pytest.mark.processes
def test_what_is_no_store_is_refused_as_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store here"):
        fenced.write(tmp_path / "o.zarr")


def test_a_file_that_ends_its_reader_costs_the_images_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class DiesOfTheInput:
        def ask(self, job: str, given: dict[str, Any], **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            if given["reads_input"]:
                raise Died(-11)
            return {"page": f"{given['store']}.html", "summary": ["frame 0: good"]}, {}

    @contextmanager
    def lent() -> Iterator[DiesOfTheInput]:
        yield DiesOfTheInput()

    monkeypatch.setattr(fenced, "lent", lent)
    found = fenced.write(tmp_path / "o.zarr")
    assert (found.page, found.summary) == (tmp_path / "o.zarr.html", ("frame 0: good",))


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (Died(-11), "its process was ended by SIGSEGV"),
        (Overdue(), "took longer than 3600 s"),
        (Raised("ValueError: a picture"), "ValueError: a picture"),
    ],
)
def test_a_report_or_a_summary_that_fails_says_that_the_results_are_complete(
    end: Exception, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Ends:
        def ask(self, *arguments: Any, **options: Any) -> None:
            raise end

    @contextmanager
    def lent() -> Iterator[Ends]:
        yield Ends()

    monkeypatch.setattr(fenced, "lent", lent)
    for what, asked in {"report": fenced.write, "summary": fenced.sum_up}.items():
        with pytest.raises(StemdaskError, match=f"the {what} failed: {said}") as raised:
            asked(tmp_path / "o.zarr")
        assert "The results are complete" in str(raised.value)
