"""The verdicts on policies for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from rich.table import Table
from rich.text import Text

from ttc.evals.economics.intervals import Interval
from ttc.evals.economics.verdict import Ratios

__all__ = ["ratios_notes", "ratios_table"]


def ratios_table(rows: Sequence[Ratios]) -> Table:
    """Make the table: a row per pool and policy. The unit stands beside each cost; costs of two rows are not summed."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("pool")
    table.add_column("policy")
    for heading in ("full N", "accuracy\nfull", "accuracy\npolicy", "cost\nfull", "cost\npolicy"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for heading in (
        "x less than\nfull N",
        "x less than the\ncheapest N",
        "x the oracle\npoints behind",
        "no worse by\n2 points",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("claim")
    for r in rows:
        test = r.non_inferior
        shown = f"{'shown' if test.shown else 'not shown'} ({100 * test.low:+.2f})\npower {test.power:.2f}"
        table.add_row(
            Text(r.pool),
            Text(r.policy),
            Text(r.full),
            f"{r.accuracy_full:.3f}",
            f"{r.accuracy_policy:.3f}",
            _cost(r.cost_full),
            _cost(r.cost_policy),
            Text(r.unit),
            _ratio(r.ratio_full),
            _ratio(r.ratio_cheapest, bound=not r.cheapest, of=_named(r.cheapest)),
            _oracle(r),
            shown,
            Text("holds", style="bold green") if r.claim else Text("near oracle" if r.near_oracle else "no"),
        )
    return table


def ratios_notes(rows: Sequence[Ratios]) -> list[str]:
    """Return what a reader of the table should know, a line each."""
    notes = [
        "ratios with 95% intervals (bootstrap over groups of problems); cost: mean per query, realised",
        "cheapest N: the cheapest fixed N with at least the policy's accuracy; ≥: none has it, and full N stands in",
        "no worse: one-sided 95% bound of the difference to full N in points, and the power to show it",
    ]
    if any(r.oracle for r in rows):
        notes.append(
            "x the oracle: the policy's cost over what the oracle pays for its accuracy; ≤: the oracle never has it, "
            "and its best stands in; below, by how many points the oracle is ahead at 1.5 times less cost"
        )
    sources = sorted({r.oracle for r in rows if r.oracle})
    notes += [f"oracle: best fixed N per bin of pass@1, cross-fitted; known from {source}" for source in sources]
    return notes


def _named(setting: str) -> str:
    return f"N={setting}" if setting.isdigit() else setting


def _ratio(interval: Interval, *, bound: bool = False, of: str = "") -> str:
    first = f"{'≥' if bound else ''}{interval.value:.1f}{f' ({of})' if of else ''}"
    return f"{first}\n[{interval.low:.1f}, {interval.high:.1f}]"


def _oracle(row: Ratios) -> str:
    ratio, gap = row.ratio_oracle, row.gap_oracle
    if ratio is None or gap is None:
        return ""
    reached = row.cost_oracle is not None and isfinite(row.cost_oracle)
    first = f"{'' if reached else '≤'}{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
    return f"{first}\n{100 * gap.value:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"


def _cost(value: float) -> str:
    if not isfinite(value):
        return "never"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
