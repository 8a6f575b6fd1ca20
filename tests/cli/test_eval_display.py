"""What a person sees while an eval runs."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from ttc.cli.eval_display import EvalDisplay
from ttc.evals.runner import RunProgress


def shown(progress: RunProgress) -> list[str]:
    console = Console(file=StringIO(), width=100, force_terminal=True, color_system=None)
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
