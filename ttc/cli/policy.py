"""``ttc policy``: what a policy file says, and whether it can be used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ttc.adaptive.policy import Escalation, Expected, Policy, Provenance, Row

__all__ = ["check_command", "policy_app", "show_command", "show_policy"]

policy_app = typer.Typer(no_args_is_help=True, help="Show or check a policy, which 'ttc tune' wrote.")

File = Annotated[Path, typer.Argument(help="The policy.toml; what was fitted is read beside it.")]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@policy_app.command("show")
def show_command(file: File, json: Json = False) -> None:
    """Show what is done with which query, what that was measured to bring and to cost, and where it comes from."""
    from ttc.adaptive.policy import Policy

    policy = Policy.read(file, force=True)
    if json:
        print(orjson.dumps(_data(policy), option=orjson.OPT_INDENT_2).decode())
        return
    show_policy(policy)


def show_policy(policy: Policy, console: Console | None = None) -> None:
    """Print a policy for people: what it is, its rows, and where it comes from."""
    if console is None:
        from rich.console import Console

        console = Console()
    for line in _head(policy):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print()
    _print_table(policy, console)
    console.print()
    for line in _notes(policy):
        console.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)


@policy_app.command("check")
def check_command(
    file: File,
    model: Annotated[str | None, typer.Option(help="The served name that it is to be used for.")] = None,
    json: Json = False,
) -> None:
    """Check a policy that was written or changed by hand; what is wrong is said with line and field, exit code 2."""
    from ttc.adaptive.policy import Policy, check_for

    policy = Policy.read(file)
    if model is not None:
        check_for(policy, model=model)
    classes = {row.query_class for row in policy.rows}
    if json:
        found = {"file": str(file), "rows": len(policy.rows), "classes": sorted(classes), "label": policy.label}
        print(orjson.dumps({**found, "model": policy.model, "edited": policy.edited}).decode())
        return
    print(f"{file}: {_count(len(policy.rows), 'row')} for {_count(len(classes), 'class', 'classes')}; {policy.label}")


def _data(policy: Policy) -> dict[str, Any]:
    """The policy as data; of what was fitted the names, and of the problems how many."""
    found = policy.model_dump(mode="json", by_alias=True, exclude={"estimator", "stops", "confidence", "hashes"})
    found |= {"label": policy.label, "edited": policy.edited, "stops": sorted(policy.stops)}
    return {**found, "estimator_fitted": policy.estimator is not None, "problem_hashes": len(policy.hashes)}


def _head(policy: Policy) -> Iterator[str]:
    from ttc.adaptive.policy import VERSION
    from ttc.cli.printable import one_line

    model = one_line(f"for {policy.model}" if policy.model else "for any model")
    yield f"policy {model}, made {policy.made}, {policy.label}"
    if policy.version != VERSION:
        yield f"version {policy.version}: this ttc knows version {VERSION} and uses it by --force-policy alone"
    yield _difficulty(policy)
    if policy.rate:
        yield f"going rate: a point of accuracy is worth {_amount(0.01 / policy.rate)} {one_line(policy.unit)}"
    came = policy.provenance
    if came is None:
        return
    for what, expected in (("cross-validated", came.expected), (_against(came), came.expected_against)):
        if expected is not None:
            yield (
                f"{one_line(what)}: accuracy {_accuracy(expected)}, "
                f"{one_line(policy.unit)} a query {_cost(expected)}, {_count(expected.problems, 'problem')}"
            )


def _against(came: Provenance) -> str:
    """The fixed strategy that it is held against, and which one of them that is."""
    ours, fixed = came.expected, came.expected_against
    which = "cheapest fixed strategy of that accuracy"
    if ours is not None and fixed is not None and fixed.accuracy < ours.accuracy:
        which = "the most accurate fixed strategy"
    return f"{which}, {came.against}" if came.against else which


def _difficulty(policy: Policy) -> str:
    from ttc.cli.printable import one_line

    d = policy.difficulty
    cap = f" of at most {_count(d.cap, 'token')}" if d.cap else ""
    probe = f"a probe of {_count(d.probe, 'sample')}{cap}" if d.probe else "no probe"
    by = {"prompt": "the prompt", "probe": "the probe", "verifier": f"what {one_line(d.verifier)} says of the probe"}
    if d.estimator == "none":
        return f"difficulty is not estimated; {probe}"
    fitted = "" if policy.estimator is not None else ", whose agreement stands for P(right)"
    return f"difficulty is estimated by {by[d.estimator]}; {probe}{fitted}"


def _notes(policy: Policy) -> Iterator[str]:
    from ttc.cli.printable import one_line

    measured = any(row.expected for row in policy.rows)
    if measured and policy.edited:
        yield "The table was edited since: accuracy and cost were measured of the one that was tuned, not of this."
    if measured:
        yield "Accuracy and cost with 95% intervals over problems, out of fold; cost in " + one_line(policy.unit) + "."
    yield "P(right): that one sample is. Queries of a class without rows have those of 'default'."
    came = policy.provenance
    if came is None:
        return
    for pool in came.pools:
        thinking = f", thinking {pool.thinking}" if pool.thinking else ""
        yield one_line(
            f"pool {pool.name}: {_count(pool.problems, 'problem')} by {pool.model}{thinking}, {pool.digest[:12]}"
        )
    how = [f"tuned for {came.aim}"] if came.aim else []
    how += [_count(came.folds, "fold")] if came.folds else []
    how += [f"seeds {', '.join(map(str, came.seeds))}"] if came.seeds else []
    if how:
        yield one_line(", ".join(how))
    if (c := came.calibration) and "ece" in c:
        yield (
            f"the estimate of difficulty, out of fold: Brier {c['brier']:.3f} against {c['brier_of_mean']:.3f} of the "
            f"mean, calibration error {c['ece']:.3f} (noise {c['ece_noise']:.3f})"
            + (f", rank correlation {c['rank_correlation']:.2f}" if "rank_correlation" in c else "")
        )
    for what, cost in (("recording", came.recording), ("tuning", came.tuning)):
        if cost:
            yield one_line(f"{what} cost " + ", ".join(f"{name} {amount:,.0f}" for name, amount in cost.items()))
    if came.earned_back is not None:
        yield f"earned back after {_count(round(came.earned_back), 'query', 'queries')}"
    elif came.recording:
        yield "recording is not earned back"
    if came.problems and not came.recording:
        yield "what recording cost is not known"
    for warning in came.warnings:
        yield one_line(f"note: {warning}")


NARROW = 100
"""Columns of a terminal below which intervals stand beneath what they are of."""


def _table(policy: Policy, width: int | None = None) -> Table:
    """A row for each row, in the order of their difficulty; columns that would be empty are left out.

    In a narrow terminal intervals have lines of their own, and specs go on in the next line behind a comma.
    """
    from rich.table import Table
    from rich.text import Text

    from ttc.cli.printable import printable

    measured = any(row.expected for row in policy.rows)
    table = Table(box=None, pad_edge=False, header_style="dim")
    narrow = width is not None and width < NARROW
    table.add_column("class", overflow="fold", max_width=16 if narrow else 24)
    table.add_column("P(right)", justify="right", no_wrap=True)
    table.add_column("what is done", overflow="fold")
    for name in ("accuracy", "cost", "problems") if measured else ():
        table.add_column(name, justify="right", no_wrap=True)
    before = ""
    rows: list[list[str]] = []
    for row in sorted(policy.rows, key=lambda r: (r.query_class == "default", r.query_class, r.difficulty)):
        low, high = row.difficulty
        name = "" if row.query_class == before else row.query_class
        cells = [name, f"{_p(low)} to {_p(high)}", _done(row)]
        if measured:
            e = row.expected
            cells += [_accuracy(e), _cost(e), f"{e.problems:,}"] if e else ["not measured", "", ""]
        rows.append([printable(cell) for cell in cells])
        before = row.query_class
    if width is not None and narrow:
        rows = [[*row[:3], *(cell.replace(" [", "\n[").replace("not ", "not\n") for cell in row[3:])] for row in rows]
        names = [str(column.header) for column in table.columns]
        widths = [
            max(len(line) for cell in cells for line in cell.split("\n")) for cells in zip(names, *rows, strict=True)
        ]
        room = width - min(widths[0], 16) - widths[1] - sum(widths[3:]) - 2 * (len(names) - 1)
        rows = [[*row[:2], _broken(row[2], room), *row[3:]] for row in rows]
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _broken(text: str, room: int) -> str:
    """Break lines that are longer than there is room for: behind a comma or the colon of a spec, or between words."""
    lines: list[str] = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        parts = re.split(r"(?<=[,: ])(?=[^\s])", line) if len(line) > room else [line]
        now = ""
        for part in parts:
            if now.strip() and len(now) + len(part) > room:
                lines.append(now)
                now = indent
            now += part
        lines.append(now)
    return "\n".join(lines)


def _done(row: Row) -> str:
    """What a row does, with its settings beneath, and what follows where the confidence stays low."""
    lines = [row.does, *_settings(row, verifier=row.verifier)]
    if (then := row.escalate) is not None:
        lines += [f"confidence below {_p(then.below)}:", f"  {then.strategy}", *_settings(then)]
    return "\n".join(lines)


def _settings(step: Row | Escalation, *, verifier: str = "") -> list[str]:
    said = {"model": step.model, "thinking": step.thinking, "stop": step.stop, "verifier": verifier}
    words = [f"{name} {value}" for name, value in said.items() if value]
    words += [f"at most {limits}"] if (limits := _limits(step.budget)) else []
    return [f"  {word}" for word in words]


def _limits(budget: str) -> str:
    """A budget in few letters: ``4,000 tokens, 20 s``."""
    from dataclasses import asdict

    from ttc.budget import Budget

    units = {"generated_tokens": "{:,} tokens", "total_tokens": "{:,} in all", "calls": "{:,} calls"}
    units |= {"seconds": "{:g} s", "dollars": "${:g}"}
    given = {name: value for name, value in asdict(Budget.parse(budget)).items() if value is not None}
    return ", ".join(units[name].format(value) for name, value in given.items())


def _print_table(policy: Policy, console: Console) -> None:
    """Print as wide as the terminal; into a file as wide as it is."""
    from ttc.evals.tables import console_width

    table = _table(policy, console.width if console.is_terminal else None)
    if not console.is_terminal:
        console.width = max(console.width, console_width(table))
    console.print(table)


def _p(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".").removeprefix("0") or "0"


def _accuracy(e: Expected) -> str:
    low, high = e.accuracy_interval
    return f"{100 * e.accuracy:.0f}% [{100 * low:.0f}, {100 * high:.0f}]"


def _cost(e: Expected) -> str:
    low, high = e.cost_interval
    return f"{_amount(e.cost)} [{_amount(low)}, {_amount(high)}]"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
