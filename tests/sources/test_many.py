"""Many files are asked for several at a time, in their order."""

from __future__ import annotations

import threading
import time

import pytest

from stemdask.fence import inside
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


def test_no_file_is_no_work() -> None:
    assert list(of_each(str.upper, [])) == []


def test_every_file_of_thousands_has_its_answer() -> None:
    files = [f"f{n}" for n in range(5003)]
    assert list(of_each(str.upper, files)) == [file.upper() for file in files]


def test_no_more_is_done_than_a_little_ahead_of_what_is_taken() -> None:
    done: list[str] = []
    found = of_each(done.append, [f"f{n}" for n in range(20_000)])
    next(found)
    time.sleep(0.2)
    assert len(done) < 2000
    found.close()


def test_it_is_said_that_it_goes_on_only_while_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(inside, "beat", said.append)
    hung = threading.Event()

    def action(file: str) -> str:
        if file == "f20":
            hung.wait(30)
        return file

    found = of_each(action, [f"f{n}" for n in range(100)])
    assert [next(found) for _ in range(20)] == [f"f{n}" for n in range(20)]
    threading.Timer(1.0, hung.set).start()
    assert next(found) == "f20"
    assert said.count("f20") <= 2, "ten times, if it were said at each look"
    assert len(list(found)) == 79


def test_a_file_that_is_slow_among_others_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(inside, "beat", said.append)
    list(of_each(lambda file: time.sleep(0.5 if file == "f10" else 0), [f"f{n}" for n in range(5000)]))
    assert "f10" in said, "though it isn't the first of those that its thread was given"
