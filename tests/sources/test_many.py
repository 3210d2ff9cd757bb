"""Many files are asked for several at a time, in their order."""

from __future__ import annotations

import threading
import time

import pytest

from stemdask.sources.many import of_each


def test_answers_come_in_the_order_of_the_files_though_several_are_waited_for_at_once() -> None:
    together = threading.Barrier(4, timeout=30)

    def action(file: str) -> str:
        together.wait()  # passed only by four at once
        return file.upper()

    files = [f"f{n}" for n in range(8)]
    assert list(of_each(action, files)) == [file.upper() for file in files]


def test_the_first_file_that_fails_ends_it_and_the_others_are_not_waited_for() -> None:
    done = []

    def action(file: str) -> str:
        if file == "bad":
            raise ValueError(file)
        time.sleep(0.01)
        done.append(file)
        return file

    with pytest.raises(ValueError, match="bad"):
        list(of_each(action, ["bad", *(f"f{n}" for n in range(500))]))
    assert len(done) < 500


def test_one_file_needs_no_thread() -> None:
    assert list(of_each(lambda file: threading.current_thread().name, ["one"])) == ["MainThread"]
