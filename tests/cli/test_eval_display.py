"""What a person sees while an eval runs."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ttc.cli.eval_display import EvalDisplay
from ttc.evals.recorded_calls import CallCounts
from ttc.evals.runner import RunProgress
from ttc.models.in_flight import InFlight


def shown(progress: RunProgress, *, height: int = 40) -> list[str]:
    console = Console(file=StringIO(), width=100, height=height, force_terminal=True, color_system=None)
    display = EvalDisplay(console)
    display.update(progress)
    with console.capture() as captured:
        console.print(display.render())
    return captured.get().splitlines()


def test_the_panel_counts_and_says_the_accuracy_so_far() -> None:
    right = {("m", "single"): {"a": [1.0], "b": [0.0], "c": [1.0], "d": [1.0]}}
    progress = RunProgress("r", total=8, done=4, problems=2, problems_done=1, right=right)
    bar, counts, _, single = shown(progress)
    assert set(bar.strip()) <= set("━╸╺ ")
    assert "1/2 problems, 4/8 queries" in counts
    assert single.split() == ["single", "75%", "[30,", "95]", "of", "4"]


def test_a_server_that_does_not_answer_is_said_so() -> None:
    lines = shown(RunProgress("r", total=8, waiting=lambda: True))
    assert "the server does not answer: waiting for it" in lines


def test_names_that_look_like_markup_are_shown_as_they_are() -> None:
    right = {("m", "mine:a=[/b]"): {"a": [1.0]}, ("m", "mine:a=[red]"): {"a": [0.0]}}
    lines = shown(RunProgress("r", total=2, done=2, right=right))
    assert [line.split()[0] for line in lines[-2:]] == ["mine:a=[/b]", "mine:a=[red]"]
    console = Console(file=StringIO(), width=100)
    EvalDisplay(console, every=0).update(RunProgress("r", directory=Path("runs/[/b]"), total=2, done=2, right=right))
    assert isinstance(console.file, StringIO)
    said = console.file.getvalue()
    assert "run runs/[/b]" in said
    assert "mine:a=[red] 0%" in said


SPECS = ("single", "majority:n=16,stop=never", "adaptive:policy=a/long/path.json,hard=(knockout:n=16,k=2,wave=8)" * 3)


def far(*, models: tuple[str, ...] = ("m",), done: int = 9, **counts: Any) -> RunProgress:
    right = {(m, s): {str(i): [float(i % 3 > 0)] for i in range(done)} for m in models for s in SPECS}
    calls = {m: CallCounts(made=200, generated=123_456, retries=3, in_flight=31, **counts) for m in models}
    limiters = {m: InFlight() for m in models}
    return RunProgress("r", total=90, done=done, problems=30, right=right, by_model=calls, limiters=dict(limiters))


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("models", [("m",), ("small", "an/" + "x" * 90)])
def test_the_panel_fits_every_terminal_and_keeps_its_numbers(width: int, models: tuple[str, ...]) -> None:
    console = Console(file=StringIO(), width=width, height=24, force_terminal=True, color_system=None)
    display = EvalDisplay(console)
    display.update(far(models=models))
    with console.capture() as captured:
        console.print(display.render())
    lines = captured.get().splitlines()
    assert len(lines) == 3 + len(models) + len(models) * len(SPECS)  # none is wrapped
    assert all(len(line) <= width for line in lines)
    assert all("67% [" in line and line.endswith("of 9") for line in lines[3 + len(models) :])


def test_the_panel_keeps_its_lines_while_the_numbers_change() -> None:
    before, after = shown(far(done=0)), shown(far(done=30, dollars=1.25, replayed=99, cached=3))
    assert len(before) == len(after)
    assert [line.split()[0] for line in before[-3:]] == [line.split()[0] for line in after[-3:]]
    assert before[-1].index("of 0") > 80
    assert after[-1].index("of 30") > 80


def test_more_strategies_than_the_terminal_has_lines_are_counted() -> None:
    right = {("m", f"majority:n={i}"): {"a": [1.0]} for i in range(1, 60)}
    lines = shown(RunProgress("r", total=60, done=59, right=right), height=20)
    assert len(lines) <= 19
    assert "and 45 more" in lines[-1]


def test_what_a_model_does_is_said_model_by_model() -> None:
    progress = far(models=("small", "large"), replayed=12_345)
    progress.by_model["large"].dollars = 0.5
    _, _, small, large = shown(progress)[:4]
    assert small.startswith("small: ")
    assert "31/32 in flight, 3 retries, 123.5k tokens, 12.3k from store" in small
    assert "3 retries, $0.5000" in large


def test_a_run_that_was_done_before_has_nothing_left() -> None:
    done = replace(far(), done=90, skipped=90)
    assert "90/90 queries, 0:00 left" in " ".join(shown(done))
    assert "? left" in " ".join(shown(replace(far(), done=9, skipped=9)))


def test_plain_lines_say_the_same_where_there_is_no_terminal() -> None:
    console = Console(file=StringIO(), width=80)
    display = EvalDisplay(console, every=0, clock=iter(range(0, 1000, 10)).__next__)
    display.update(far())
    display.say("ttc: stopping: waiting for the 31 calls in flight")
    assert isinstance(console.file, StringIO)
    _, line, stopping = console.file.getvalue().splitlines()
    assert "0/30 problems, 9/90 queries" in line
    assert "31/32 in flight, 3 retries, 123.5k tokens; " in line
    assert "single 67% [" in line
    assert stopping == "ttc: stopping: waiting for the 31 calls in flight"


def test_what_never_happened_takes_no_room_of_what_did() -> None:
    calm = far(replayed=12_345)
    calm.by_model["m"].retries = 0
    display = EvalDisplay(Console(file=StringIO(), width=80))
    display.update(calm)
    (line,) = display.spending()
    assert "retries" not in line
    assert line.endswith("12.3k from store")
