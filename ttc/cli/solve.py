"""``ttc solve``: one prompt, one strategy, one budget."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import anyio
import orjson
import typer

from ttc.budget import Budget
from ttc.cli.connection import DEFAULT_URL, connect
from ttc.errors import ConfigurationError
from ttc.types import Outcome, Query, Sampling

if TYPE_CHECKING:
    from rich.tree import Tree

__all__ = ["solve_command"]


def solve_command(
    prompt: Annotated[str, typer.Argument(help="The question; '-' reads it from standard input.")],
    strategy: Annotated[
        str, typer.Option("--strategy", "-s", help="e.g. majority:n=16 (see 'ttc list').")
    ] = "majority",
    base_url: Annotated[str, typer.Option(envvar="TTC_BASE_URL", help="A vLLM server.")] = DEFAULT_URL,
    model: Annotated[str | None, typer.Option(help="Model name; by default the only one served.")] = None,
    up: Annotated[str | None, typer.Option(help="Start a server for this model first, e.g. smollm2.")] = None,
    answer: Annotated[str, typer.Option(help="Answer type: text, number, maths, choice.")] = "number",
    verifier: Annotated[str | None, typer.Option(help="For best_of_n: self_certainty or judge.")] = None,
    comparator: Annotated[str | None, typer.Option(help="For knockout: judge.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Cap on one sample.")] = 512,
    temperature: Annotated[float, typer.Option(min=0)] = 0.7,
    budget: Annotated[
        str, typer.Option(help="Hard limits: a number of generated tokens, or generated_tokens=4000,calls=20,...")
    ] = "",
    deadline: Annotated[float | None, typer.Option(help="Seconds; the best answer by then is returned.")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    trace: Annotated[bool, typer.Option("--trace", help="Show what happened.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Solve one prompt, and show the answer and what it cost."""
    from ttc.solve import solve
    from ttc.strategy import make_strategy

    if prompt == "-":
        prompt = sys.stdin.read()
    if not prompt.strip():
        raise ConfigurationError("the prompt is empty")
    made = make_strategy(strategy)
    needs = made.requires()
    limits = Budget.parse(budget)
    if deadline is not None:
        limits = replace(limits, seconds=deadline)
    query = Query.of(prompt, answer_type=answer)

    async def run() -> Outcome:
        async with connect(base_url, model, up=up) as connected:
            return await solve(
                query,
                made,
                connected,
                budget=limits,
                verifier=verifier or ("self_certainty" if "verifier" in needs else None),
                comparator=comparator or ("judge" if "comparator" in needs else None),
                sampling=Sampling(max_tokens=max_tokens, temperature=temperature),
                seed=seed,
            )

    outcome = anyio.run(run)
    if json:
        print(orjson.dumps(outcome_as_data(outcome), option=orjson.OPT_INDENT_2).decode())
    else:
        show(outcome, trace=trace)
    if outcome.ended_by == "all_calls_failed":
        print(f"ttc: every call failed: {outcome.error}", file=sys.stderr)
        raise typer.Exit(2)
    if outcome.answer is None:
        print(f"ttc: no answer ({outcome.ended_by}); give it more tokens or another answer type", file=sys.stderr)
        raise typer.Exit(1)


def outcome_as_data(outcome: Outcome) -> dict[str, object]:
    """Return an outcome as plain data, with the sums that readers want."""
    return {
        "answer": outcome.answer,
        "text": outcome.text,
        "ended_by": outcome.ended_by,
        "thinking_tokens": outcome.thinking_tokens,
        "generated_tokens": outcome.generated_tokens,
        "usage": {kind: orjson.loads(orjson.dumps(u)) for kind, u in outcome.usage.items()},
        "calls": dict(outcome.calls),
        "seconds": outcome.seconds,
        "dollars": outcome.dollars,
        "checkpoints": [
            {"answer": c.answer, "samples": c.samples, "thinking_tokens": c.thinking_tokens}
            for c in outcome.checkpoints
        ],
        "trace": [dict(e) for e in outcome.trace],
        "warnings": list(outcome.warnings),
        "error": outcome.error,
    }


def show(outcome: Outcome, *, trace: bool) -> None:
    """Print an outcome for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if outcome.candidate and outcome.candidate.sample.text.strip() != (outcome.answer or "").strip():
        console.print(Text(outcome.candidate.sample.text.strip(), style="dim"))
    console.print(Text.assemble("answer  ", (outcome.answer or "none", "bold green" if outcome.answer else "bold red")))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("kind", "calls", "prompt", "cached", "thoughts", "visible"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for kind, usage in outcome.usage.items():
        bound = "≤" if usage.upper_bound else ""
        table.add_row(
            kind,
            str(outcome.calls.get(kind, 0)),
            str(usage.prompt_tokens),
            str(usage.cached_tokens),
            str(usage.reasoning_tokens),
            f"{bound}{usage.answer_tokens}",
        )
    console.print(table)
    dollars = f", ${outcome.dollars:.6f}" if outcome.dollars is not None else ""
    console.print(
        f"{outcome.thinking_tokens} thinking tokens of {outcome.generated_tokens} generated, "
        f"{outcome.seconds:.1f} s{dollars}, ended by: {outcome.ended_by}"
    )
    for warning in outcome.warnings:
        console.print(Text(f"note: {warning}", style="yellow"))
    if trace:
        console.print(trace_tree(outcome))


def trace_tree(outcome: Outcome) -> Tree:
    """Draw what happened as a tree: one line an event, with the tokens spent by then."""
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree("trace (tokens by then)")
    for event in outcome.trace:
        facts = ", ".join(f"{k}={v}" for k, v in event.items() if k not in ("event", "tokens") and v is not False)
        tree.add(Text(f"{event['tokens']:>6}  {event['event']:<10} {facts}"))
    return tree
