"""What ``ttc eval`` shows while it runs: a live panel in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ttc.evals.recorded_calls import CallCounts
from ttc.evals.runner import RunProgress
from ttc.statistics import mean

__all__ = ["EvalDisplay"]

LONGEST = 24
"""Characters of a model's name that are shown."""

RECENT = 30.0
"""Seconds over which tokens per second are counted."""


class EvalDisplay:
    """Shows a run's progress on standard error.

    Rates and costs count what this process sent and got back; calls that the store or the cache answered cost nothing
    and are not in them. The panel keeps its lines and columns while the numbers in them change.

    Attributes:
        progress: the run, once it has started.
    """

    def __init__(self, console: Console, *, every: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.progress: RunProgress | None = None
        self._every = every
        self._clock = clock
        self._began = clock()
        self._said = -every
        self._tokens: dict[str, deque[tuple[float, int]]] = {}
        self._intervals: dict[tuple[str, str], tuple[int, str]] = {}
        self._status = ""

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
            self._began = self._clock()
            was_done = f", {progress.skipped} of {progress.total} done before" if progress.skipped else ""
            again = f", {progress.retried} that failed are done again" if progress.retried else ""
            self._print(f"run {progress.directory}{was_done}{again}")
        self.progress = progress
        elapsed = self._clock() - self._began
        if not self.console.is_terminal and progress.done and elapsed - self._said >= self._every:
            self._said = elapsed
            self._print("; ".join([self.counts(), *self.spending(), self.accuracies()]))

    def say(self, line: str) -> None:
        """Say what happens to the run; in a terminal it stays on the panel."""
        if self.console.is_terminal:
            self._status = line.removeprefix("ttc: ")
        else:
            self._print(line)

    def counts(self) -> str:
        """Say how far the run is and how long it will take."""
        p = self.progress
        if p is None:
            return "loading"
        elapsed = max(self._clock() - self._began, 1e-9)
        here = p.done - p.skipped
        left = _clock(elapsed / here * (p.total - p.done)) if here else "?" if p.done < p.total else _clock(0)
        failed = f", {p.failed} failed" if p.failed else ""
        return f"{p.problems_done}/{p.problems} problems, {p.done}/{p.total} queries{failed}, {left} left"

    def spending(self) -> list[str]:
        """Say of each model how fast it goes, what is in flight and what it cost; their tokens are not added up."""
        if (p := self.progress) is None:
            return []
        several = len(p.by_model) > 1
        lines: list[str] = []
        for name, calls in p.by_model.items():
            limiter = p.limiters.get(name)
            limit = f"/{limiter.total_tokens:g}" if limiter is not None else ""
            said = [f"{self._rate(name, calls):.0f} tokens/s", f"{calls.in_flight}{limit} in flight"]
            said += [f"{calls.retries} retries"] if calls.retries else []  # 80 columns hold no noughts
            said += [f"${calls.dollars:.4f}"] if calls.dollars else []
            said += [f"{_short(calls.generated)} tokens"]
            said += [f"{_short(calls.replayed)} from store"] if calls.replayed else []
            said += [f"{_short(calls.cached)} from cache"] if calls.cached else []
            lines.append((f"{_named(name)}: " if several else "") + ", ".join(said))
        return lines

    def accuracies(self) -> str:
        """Say the accuracy so far of each strategy, with its 95% interval."""
        return ", ".join(f"{name} {text}" for name, text in self._accuracies() if not text.endswith(" of 0"))

    def render(self) -> Group:
        """Draw the panel."""
        p = self.progress
        bar = ProgressBar(total=p.total if p else 1, completed=p.done if p else 0, width=min(48, self.console.width))
        line = Table.grid()  # a bar alone ends without a line break
        line.add_row(bar)
        table = Table(box=None, pad_edge=False, show_header=False)
        numbers = len("100% [100, 100]"), 1 + len("of 100000")
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(8, self.console.width - sum(numbers) - 4))
        table.add_column(no_wrap=True, justify="right", width=numbers[0])
        table.add_column(no_wrap=True, justify="right", width=numbers[1])
        rows = self._accuracies()
        room = max(3, self.console.height - 6 - (len(p.by_model) if p else 0))
        for name, text in rows[:room]:
            percent, _, of = text.partition(" of ")
            table.add_row(Text(name), Text(percent), Text(f"of {of}", style="dim"))
        if len(rows) > room:
            table.add_row(Text(f"and {len(rows) - room} more", style="dim"), "", "")
        waiting = p is not None and p.waiting()
        status = "the server does not answer: waiting for it" if waiting else self._status
        shown = [Text(text, no_wrap=True, overflow="ellipsis") for text in (self.counts(), *self.spending())]
        said = Text(status, style="bold red" if waiting else "bold", no_wrap=True, overflow="ellipsis")
        return Group(line, *shown, said, table)

    def _accuracies(self) -> list[tuple[str, str]]:
        if (p := self.progress) is None:
            return []
        several = len(p.by_model) > 1
        shown: list[tuple[str, str]] = []
        for curve, verdicts in sorted(p.right.items()):
            n = sum(map(len, verdicts.values()))
            if self._intervals.get(curve, (-1, ""))[0] != n:
                m = mean(verdicts) if n else None
                text = f"{100 * m.value:.0f}% [{100 * m.low:.0f}, {100 * m.high:.0f}]" if m else "-"
                self._intervals[curve] = n, f"{text} of {n}"
            model, spec = curve
            shown.append((f"{_named(model)} {spec}" if several else spec, self._intervals[curve][1]))
        return shown

    def _rate(self, name: str, calls: CallCounts) -> float:
        """Tokens per second that came back lately."""
        now = self._clock()
        seen = self._tokens.setdefault(name, deque([(self._began, 0)]))
        if now - seen[-1][0] >= 0.2:
            seen.append((now, calls.generated))
        while len(seen) > 2 and now - seen[1][0] > RECENT:
            seen.popleft()
        return (calls.generated - seen[0][1]) / max(now - seen[0][0], 1e-9)

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)


def _named(model: str) -> str:
    """A model's name in a column's width: without the folders before it."""
    name = model.rpartition("/")[2] or model
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _short(n: int) -> str:
    """A number in a few characters."""
    for size, unit in ((1_000_000, "M"), (10_000, "k")):
        if n >= size:
            return f"{n / (1_000_000 if unit == 'M' else 1000):.1f}{unit}"
    return str(n)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
