"""What ``ttc eval`` shows while it runs: a live panel in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ttc.evals.runner import RunProgress
from ttc.statistics import mean

__all__ = ["EvalDisplay"]


class EvalDisplay:
    """Shows a run's progress on standard error.

    Rates count what this process sent and got back; calls that the store answered cost nothing and are not in them.

    Attributes:
        progress: the run, once it has started.
    """

    def __init__(self, console: Console, *, every: float = 5.0) -> None:
        self.console = console
        self.progress: RunProgress | None = None
        self._every = every
        self._began = time.monotonic()
        self._said = -every

    @contextmanager
    def showing(self) -> Generator[None]:
        """Show a live panel for the time of the block, where there is a terminal."""
        if not self.console.is_terminal:
            yield
            return
        with Live(get_renderable=self.render, console=self.console, refresh_per_second=4, transient=True):
            yield

    def update(self, progress: RunProgress) -> None:
        """Take note of progress; without a terminal say a line when the last one is some seconds old."""
        if self.progress is None:
            self._began = time.monotonic()
            was_done = f", {progress.skipped} of {progress.total} done before" if progress.skipped else ""
            self.console.print(f"run {progress.directory}{was_done}", highlight=False, soft_wrap=True, markup=False)
        self.progress = progress
        elapsed = time.monotonic() - self._began
        if not self.console.is_terminal and progress.done and elapsed - self._said >= self._every:
            self._said = elapsed
            self.console.print(f"{self.counts()}; {self.accuracies()}", highlight=False, soft_wrap=True, markup=False)

    def counts(self) -> str:
        """Say how far the run is, how fast it goes and how long it will take."""
        p = self.progress
        if p is None:
            return "loading"
        elapsed = max(time.monotonic() - self._began, 1e-9)
        here = p.done - p.skipped
        left = _clock(elapsed / here * (p.total - p.done)) if here else "?"
        failed = f", {p.failed} failed" if p.failed else ""
        return (
            f"{p.problems_done}/{p.problems} problems, {p.done}/{p.total} queries{failed}, "
            f"{p.calls.generated / elapsed:.0f} tokens/s, {left} left, {p.calls.in_flight} calls in flight, "
            f"{p.calls.retries} retries"
        )

    def accuracies(self) -> str:
        """Say the accuracy so far of each strategy, with its 95% interval."""
        return ", ".join(f"{spec} {text}" for spec, text in self._accuracies())

    def render(self) -> Group:
        """Draw the panel."""
        p = self.progress
        bar = ProgressBar(total=p.total if p else 1, completed=p.done if p else 0, width=48)
        table = Table(box=None, pad_edge=False, show_header=False)
        for spec, text in self._accuracies():
            table.add_row(Text(spec), Text(text))
        line = Table.grid()  # a bar alone ends without a line break
        line.add_row(bar)
        lines = [line, Text(self.counts()), table]
        if p is not None and p.waiting():
            lines.insert(2, Text("the server does not answer: waiting for it", style="bold red"))
        return Group(*lines)

    def _accuracies(self) -> list[tuple[str, str]]:
        shown: list[tuple[str, str]] = []
        several = len(self.progress.by_model) > 1 if self.progress else False
        for (model, spec), verdicts in list(self.progress.right.items()) if self.progress else ():
            m = mean(verdicts)
            shown.append((f"{model} {spec}" if several else spec, f"{100 * m.value:.0f}% [{100 * m.low:.0f}, {100 * m.high:.0f}]"))
        return sorted(shown)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
