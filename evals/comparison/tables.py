"""A comparison of two runs in words and rows: for the terminal and for the page."""

from __future__ import annotations

from ttc.evals.axes import AXES, amount
from ttc.evals.comparison.differences import RunComparison, RunDifference, TargetRatio
from ttc.evals.summary import EqualCost

__all__ = ["cost_lines", "headline", "heads", "power_line", "row_cells", "row_name"]

_NONE = "–"  # noqa: RUF001 -- what is read, not computed with


def headline(found: RunComparison) -> str:
    """Say in a sentence what the comparison shows."""
    rows = found.differences
    held = [row for row in rows if row.credible and row.p_holm < 0.05]
    problems = f"{found.problems:,} problem" + ("" if found.problems == 1 else "s")
    if not held and len(rows) == 1:
        return f"On {problems} the difference is not resolved."
    if not held:
        what = "no difference is resolved" if not any(row.credible for row in rows) else "no difference holds"
        return f"On {problems} {what} among {_counted(len(rows))}, after Holm's correction."
    best = max(held, key=lambda row: abs(row.difference))
    word = "above" if best.difference > 0 else "below"
    rival = "" if best.a.name == best.b.name else f" against {best.b.name}"
    return (
        f"On {problems} {len(held)} of {_counted(len(rows))} hold after Holm's correction; the largest: "
        f"{best.a.name}{rival}{_on(best, found)} of {found.a} is {word} by {abs(100 * best.difference):.1f} points "
        f"(95% interval {_points(best.low)} to {_points(best.high)})."
    )


def heads(found: RunComparison) -> list[str]:
    """Name the columns of :func:`row_cells`, that of the configuration first."""
    ratio = f"{_unit(_axis(found))}, ratio"
    one, other = (found.a, found.b) if found.a != found.b else ("the first", "the second")
    return ["Configuration", one, other, "Difference", "95% interval", "p (Holm)", ratio]


def row_name(row: RunDifference, *, several_models: bool) -> str:
    """Name what a row compares."""
    name = row.a.name if row.a.name == row.b.name else f"{row.a.name} against {row.b.name}"
    if several_models:
        name += f" ({row.a.model})" if row.a.model == row.b.model else f" ({row.a.model} against {row.b.model})"
    return name


def row_cells(row: RunDifference, found: RunComparison) -> list[str]:
    """Return accuracies, their difference with its interval, its p-value and the ratio of costs."""
    ratio = row.ratios.get(_axis(found)) if found.equal_axis else None
    return [
        f"{100 * row.a.accuracy:.1f}",
        f"{100 * row.b.accuracy:.1f}",
        _points(row.difference),
        f"{_points(row.low)} to {_points(row.high)}",
        f"{row.p_holm:.3f}" if row.p_holm >= 0.001 else "<0.001",
        _NONE if ratio is None else f"{ratio:.2f}",
    ]


def power_line(found: RunComparison) -> str:
    """Say what would be needed where differences are not resolved; empty where all are."""
    open_rows = [row for row in found.differences if not row.credible and row.detectable is not None]
    if not open_rows:
        return ""
    detectable = max(row.detectable for row in open_rows if row.detectable is not None)
    needed = [(row.problems_needed, row) for row in open_rows if row.problems_needed is not None]
    line = (
        f"{found.problems:,} problems show differences of {100 * detectable:.1f} points and more with a power of 0.8"
        if len(open_rows) == 1
        else f"{found.problems:,} problems show differences of {100 * detectable:.1f} points and more with a power of "
        f"0.8, in every one of the {len(open_rows)} rows that are not resolved"
    )
    if needed:
        most, row = min(needed, key=lambda pair: pair[0])
        line += (
            f"; one as large as was seen of {row.a.name}{_on(row, found)} ({_points(row.difference)}) "
            f"would take {most:,}"
        )
    return line


def cost_lines(found: RunComparison) -> list[str]:
    """Say a line for each comparison at equal cost, and for each accuracy that both reach."""
    lines = [_at_equal_cost(c, found) for c in found.equal_cost]
    return [*lines, *(_target(t, found) for t in found.targets if t.ratio is not None)]


def _at_equal_cost(c: EqualCost, found: RunComparison) -> str:
    how = "at equal cost" if c.where == "equal" else "at the nearest cost"
    return (
        f"{_model(c.model)}{c.strategy} against {c.against} {how} ({_amount(c.cost, found.equal_axis)}; {c.place}): "
        f"{_points(c.difference)} ({_points(c.low)} to {_points(c.high)}, p {c.p_holm:.3f}): {c.verdict}"
    )


def _target(t: TargetRatio, found: RunComparison) -> str:
    names = t.a if t.a == t.b else f"{t.a} against {t.b}"
    high = "infinity" if t.high is None else f"{t.high:.2f}"
    cost, its = (_amount(value or 0.0, t.axis) for value in (t.cost, t.its_cost))
    _, one, other, *_ = heads(found)
    return (
        f"{_model(t.model)}{names}: an accuracy of {100 * t.target:.1f}% takes {one} {cost}, {other} {its}: a ratio of "
        f"{t.ratio:.2f} ({t.low or 0:.2f} to {high})"
    )


def _model(name: str) -> str:
    return f"{name}: " if name else ""


def _on(row: RunDifference, found: RunComparison) -> str:
    """Say the model of a row, where there are rows of several."""
    models = {d.a.model for d in found.differences} | {d.b.model for d in found.differences}
    return f" on {row.a.model}" if len(models) > 1 and row.a.model else ""


def _amount(value: float, axis: str) -> str:
    return f"{amount(value)} {_unit(axis)}"


def _unit(axis: str) -> str:
    return AXES[axis].removesuffix(" per query")


def _axis(found: RunComparison) -> str:
    return found.equal_axis or "thinking"


def _counted(n: int) -> str:
    return f"{n:,} difference" + ("" if n == 1 else "s")


def _points(share: float) -> str:
    """Write a difference of shares in points, with a real minus sign."""
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")  # noqa: RUF001 -- what is read, not computed with
