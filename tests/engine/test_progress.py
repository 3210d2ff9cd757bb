from __future__ import annotations

import io

import pytest

from stemdask.engine.progress import LineReport, Progress
from stemdask.engine.progress_bar import BarReport
from stemdask.engine.reporter import reporter
from stemdask.model import FrameStatus


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_rate_and_time_left_come_from_this_run_alone() -> None:
    progress = Progress(done=600, total=1000, fresh=100, seconds=10.0)
    assert progress.rate == 10
    assert progress.seconds_left == 40


def test_off_a_terminal_lines_are_plain_and_few() -> None:
    stream = io.StringIO()
    with LineReport(stream, every=60) as report:
        for done in range(0, 101, 10):
            report(Progress(done, 100, done, 1.0, {FrameStatus.FAILED: done // 50}))
    assert stream.getvalue().splitlines() == ["0/100 frames", "100/100 frames  100 frames/s, 2 failed"]


def test_what_the_run_waits_for_is_said_at_once() -> None:
    stream = io.StringIO()
    with LineReport(stream, every=60) as report:
        report(Progress(0, 7300, 0, 0.0))
        report(Progress(1, 7301, 1, 1.0, note="waiting for workers"))
    assert stream.getvalue().splitlines()[1] == "1/7301 frames  1 frames/s, 2:01:40 left  (waiting for workers)"


def test_what_the_run_is_busy_with_says_for_how_long() -> None:
    stream = io.StringIO()
    with LineReport(stream, every=0) as report:
        for seconds in (0.0, 0.5, 72.0):
            report(Progress(9, 9, 9, 3.0, note="finishing domains over all frames, 1 of 2", note_seconds=seconds))
    assert stream.getvalue().splitlines() == [
        "9/9 frames  3 frames/s  (finishing domains over all frames, 1 of 2)",
        "9/9 frames  3 frames/s  (finishing domains over all frames, 1 of 2, 1:12)",
    ]


def test_a_terminal_gets_a_bar_with_rate_and_time_left() -> None:
    stream = Terminal()
    with reporter(stream) as report:
        assert isinstance(report, BarReport)
        report(Progress(50, 100, 50, 10.0))
    assert "50/100" in stream.getvalue()
    assert "5 frames/s, 0:10 left" in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO()])
def test_a_file_gets_lines(stream: io.StringIO) -> None:
    assert isinstance(reporter(stream), LineReport)
