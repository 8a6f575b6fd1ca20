"""The table of a run for the terminal: every point with its error, its cost and what it is worth beside ``single``."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ttc.evals.axes import caps_of
from ttc.evals.economics_notes import economics_notes
from ttc.evals.figures.looks import models_of, panel_groups
from ttc.evals.summary import Comparison, EqualCost, Judging, Point, Summary

__all__ = ["console_width", "footnotes", "judging_line", "summary_table"]

_STYLES = {"above": "bold green", "below": "bold red", "not": "dim"}
_MARKS = {"above": "▲", "below": "▼", "not": "○"}
SHARES = {"refused": "refused", "unparsed": "un-\nreadable", "cut_thoughts": "cut in\nthought"}
"""Shares of samples that get columns, with their headings."""
_WORST = {
    "failed": "queries of which every call failed",
    "undecided": "queries that the grader could not decide, counted as wrong",
    "cut": "samples per query cut by the budget",
    "refused": "share of samples that decline to answer",
    "unparsed": "share of samples that ended by themselves without a readable answer",
    "cut_thoughts": "share of samples cut while still thinking",
}


def console_width(table: Table) -> int:
    """Return the columns that a table needs so that nothing of it is cut off."""
    return table.__rich_measure__(Console(width=1000), Console(width=1000).options).maximum


def summary_table(summary: Summary, *, compact: bool = False) -> Table:
    """Make the table: a row per strategy and setting, columns for all problems and for each bin of difficulty or level.

    Of several models each has rows of its own, under its name. Shares of refusals, unreadable answers and cut thoughts
    have columns where they are not zero everywhere; a compact table leaves them to the notes.

    Accuracy is in percent with half its 95% interval; the difference to ``single`` is paired, in points, with its
    interval, and says in a word whether it is credible.

    Args:
        summary: what to show.
        compact: for a narrow terminal: levels without their intervals, whole points, and one word.
    """
    groups = panel_groups(summary)
    cells = {
        (p.model, p.strategy, p.spec, p.setting, p.group): p
        for c in summary.curves
        if c.group in groups
        for p in c.points
    }
    against = {(c.model, c.strategy, c.setting): c for c in summary.comparisons if c.group == "all"}
    shares = [] if compact else [name for name in SHARES if any(getattr(p, name) > 0 for p in cells.values())]
    models = models_of(summary)
    tight = compact and len(groups) > 4
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1 if compact else 2, 0, 0))
    table.add_column("strategy", no_wrap=not compact, overflow="fold")
    table.add_column("setting", no_wrap=True)
    for group in groups:
        name, size = group.partition("=")[2] or "all", f"\n(n={summary.problems[group]})"
        # Text, since a level may hold what rich reads as markup.
        bare = compact and group != "all"
        top = Text(name.replace(" of ", "/") if tight and bare else name if bare else name + size)
        table.add_column(top, justify="right", no_wrap=True)
    table.add_column("thinking\ntokens", justify="right", no_wrap=True)
    for name in shares:
        table.add_column(SHARES[name], justify="right", no_wrap=True)
    heading = "to single\n(points, 95%)" if compact else "difference to single\n(points, 95% interval)"
    table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    before = ("", "")
    for model, strategy, spec, setting, _ in [key for key in cells if key[4] == "all"]:
        if len(models) > 1 and model != before[0]:
            table.add_row(Text(f"on {model or 'the unnamed model'}", style="italic"))
        row = [cells.get((model, strategy, spec, setting, group)) for group in groups]
        difference, verdict = _against(against.get((model, strategy, setting)), compact, mark_alone=tight)
        thinking = row[0].cost["thinking"] if row[0] else None
        table.add_row(
            Text("" if (model, strategy) == before else strategy, style="bold"),
            Text(setting),
            *(_accuracy(point, alone=compact and i > 0, digits=int(not (tight and i))) for i, point in enumerate(row)),
            "" if thinking is None else f"{thinking:,.0f}",
            *(f"{getattr(row[0], name):.1%}" for name in shares),
            difference,
            verdict,
        )
        before = (model, strategy)
    return table


def footnotes(summary: Summary) -> list[str]:
    """Return what a reader of the table should know, a line each."""
    notes = ["accuracy in percent ± half of its 95% interval over problems; thinking tokens: mean per query"]
    if caps := caps_of(summary.run):
        notes.append(f"each query was capped: {', '.join(caps)}; what it cost is what was realised")
    if bins := summary.run.get("difficulty"):
        notes.append(str(bins))
    hows = {c.how for c in summary.curves}
    if "prefix" in hows:
        notes.append("majority, best_of_n and the like: all settings read off one run; others were run at each setting")
    if (how := summary.run.get("allocate")) is not None:
        total = summary.run.get("total_tokens")
        notes.append(f"each strategy had {total:,} tokens for all problems ({how} allocation); n is the most for one")
    notes += [f"{spec}: {caveat}" for spec, caveat in summary.run.get("caveats", {}).items()]
    whole = [p for c in summary.curves if c.group == "all" for p in c.points]
    for name, what in _WORST.items():
        worst = max(whole, key=lambda p: getattr(p, name), default=None)
        if worst is not None and getattr(worst, name) > 0:
            where = _on(worst.model) + f"{worst.strategy} {worst.setting}".strip()
            notes.append(f"{what}: up to {getattr(worst, name):.1%} ({where})")
    notes += map(_beside, summary.against_majority)
    notes += map(_at_equal_cost, summary.at_equal_cost)
    notes += economics_notes(summary)
    notes += map(judging_line, summary.judging)
    resolved = [c for c in summary.comparisons if c.group == "all" and c.credible]
    lost = sum(c.p_holm >= 0.05 for c in resolved)
    if lost:
        notes.append(
            f"{lost} of {len(resolved)} differences do not hold after Holm's correction for several comparisons"
        )
    return notes


def _beside(c: Comparison) -> str:
    """Say in a line how a strategy does against voting on as many samples, and at what part of its cost."""
    cost = "" if c.cost_ratio is None else f", at {c.cost_ratio:.2f} of its thinking tokens"
    figures = f"{100 * c.difference:+.1f} [{100 * c.low:+.1f}, {100 * c.high:+.1f}]"
    return _on(c.model) + f"{c.strategy} {c.setting}".strip() + f" against {c.against}: {figures}{cost}: {c.verdict}"


def _at_equal_cost(c: EqualCost) -> str:
    """Say in a line how a strategy does against a fixed one that costs as much."""
    figures = f"{100 * c.difference:+.1f} [{100 * c.low:+.1f}, {100 * c.high:+.1f}]"
    how = "at equal cost" if c.where == "equal" else "at the nearest cost"
    where = f"{how} ({c.cost:,.0f} tokens; {c.place})"
    return _on(c.model) + f"{c.strategy} against {c.against} {where}: {figures}: {c.verdict}"


def judging_line(judging: Judging) -> str:
    """Say in a line how well the comparisons of a configuration told right from wrong, and what that means for it."""
    j = judging
    facts: list[str] = []
    if j.q is not None:
        over = f"over {_counted(j.comparisons, 'comparison')} of {_counted(j.problems, 'problem')}"
        facts.append(f"q {share(j.q)} [{share(j.low)}, {share(j.high)}] {over}")
    if j.swap_consistency is not None:
        facts.append(f"swap consistency {share(j.swap_consistency)}")
    if j.first_slot is not None:
        facts.append(f"the first slot wins {share(j.first_slot)}")
    if j.verdict:
        facts.append(j.verdict)
    return _on(j.model) + f"{j.strategy} {j.setting}".strip() + ": " + "; ".join(facts)


def _on(model: str) -> str:
    """Name the model in a run of several."""
    return f"{model}: " if model else ""


def share(value: float) -> str:
    """Write a share as ``.58``."""
    return f"{value:.2f}".removeprefix("0")


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def _accuracy(point: Point | None, *, alone: bool, digits: int = 1) -> str:
    if point is None:
        return ""
    return f"{100 * point.accuracy:.{digits}f}" + ("" if alone else f" ±{50 * (point.high - point.low):3.0f}")


def _against(comparison: Comparison | None, compact: bool, *, mark_alone: bool = False) -> tuple[str, Text]:
    if comparison is None:
        return "", Text("")
    c, digits = comparison, 0 if compact else 1
    word = c.verdict.partition(" ")[0]
    figures = f"{100 * c.difference:+.1f} [{100 * c.low:+.{digits}f}, {100 * c.high:+.{digits}f}]"
    shown = {"above": "above", "below": "below"}.get(word, "") if compact else c.verdict
    shown = "" if mark_alone else shown
    return figures, Text(f"{_MARKS[word]} {shown}".rstrip(), style=_STYLES[word])
