"""What the efficiency benchmark prints beside the verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from efficiency_case import Found, ProbeCost
from rich.table import Table

from ttc.evals.economics import Ratios

__all__ = ["curves_table", "probes_table", "targets_table"]


def curves_table(found: Found) -> Table:
    """Accuracy and cost of each strategy at N = 1, 2, 4, ..., and of the oracle at the accuracies of the last one."""
    table = Table(
        box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), title=found.case, title_justify="left"
    )
    table.add_column("strategy")
    sizes = sorted({*(2**i for i in range(8)), *(len(m.settings) for m in found.curves.values())})
    sizes = [n for n in sizes if n <= max(len(m.settings) for m in found.curves.values())]
    for n in sizes:
        table.add_column(f"N={n}", justify="right")
    oracle = found.oracle.measured.curve()
    for name, measured in found.curves.items():
        curve = measured.curve()
        cells = [
            f"{curve.accuracy[n - 1]:.3f}\n{_cost(curve.cost[n - 1])}" if n <= len(curve.cost) else "" for n in sizes
        ]
        table.add_row(f"{name}\n({measured.unit})", *cells)
    last = list(found.curves.values())[-1].curve()
    table.add_row(
        "oracle bins:\ncost of the same",
        *(_cost(oracle.interpolated_cost(float(last.accuracy[n - 1]))) if n <= len(last.cost) else "" for n in sizes),
    )
    return table


def targets_table(rows: Sequence[Ratios]) -> Table:
    """Cost at accuracies up to full N's, of fixed N and of the tuned policies' frontier, and the areas under both."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("pool")
    table.add_column("policy")
    for points in ("-5", "-2", "-1", "full N"):
        table.add_column(f"{points}:\nfixed / policy", justify="right", no_wrap=True)
    table.add_column("area, fixed\n/ policy", justify="right", no_wrap=True)
    for r in rows:
        pairs = zip(r.to_target_fixed, r.to_target_policy, strict=True)
        cells = [f"{_cost(fixed)} / {_cost(policy)}" for fixed, policy in pairs]
        table.add_row(r.pool, r.policy, *cells, f"{r.area_fixed:.3f} / {r.area_policy:.3f}")
    return table


def probes_table(rows: Sequence[ProbeCost]) -> Table:
    """What probes cost that would not have been spent without them, as shares of what their policies save."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("pool", "policy", "unit"):
        table.add_column(heading)
    for heading in ("extra cost\nof the probe", "saved against\nfull N", "share", "saved against\ncheapest N", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for r in rows:
        cells: list[str] = []
        for saved in (r.saved_full, r.saved_cheapest):
            cells += [_cost(saved), f"{r.extra / saved:.1%}"] if saved > 0 else ["nothing", ""]
        table.add_row(r.pool, r.policy, r.unit, _cost(r.extra), *cells)
    return table


def _cost(value: float) -> str:
    if not np.isfinite(value):
        return "never"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
