"""``ttc solve``: one prompt, one strategy, one budget."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import orjson
import typer

from ttc.cli.completion import answer_type_names, comparator_names, strategy_names, verifier_names
from ttc.cli.connection import DEFAULT_URL, connect
from ttc.cli.limits import limits
from ttc.cli.policy_option import ForcePolicy, PolicyFile, with_policy
from ttc.cli.printable import printable
from ttc.cli.unsafe import UnsafeLocalExec
from ttc.errors import ConfigurationError
from ttc.types import Outcome, Query, Sampling, Usage

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["solve_command"]


def solve_command(
    prompt: Annotated[str, typer.Argument(help="The question; '-' reads it from standard input.")],
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            "-s",
            autocompletion=strategy_names,
            help="e.g. majority:n=16 (see 'ttc list'); majority by default.",
        ),
    ] = None,
    policy: PolicyFile = None,
    force_policy: ForcePolicy = False,
    base_url: Annotated[str, typer.Option(envvar="TTC_BASE_URL", help="A vLLM server.")] = DEFAULT_URL,
    model: Annotated[str | None, typer.Option(help="Model name; by default the only one served.")] = None,
    up: Annotated[str | None, typer.Option(help="Start a server for this model first, e.g. smollm2.")] = None,
    answer: Annotated[
        str,
        typer.Option(help="Answer type, e.g. number, maths, choice, json, code.", autocompletion=answer_type_names),
    ] = "number",
    verifier: Annotated[
        str | None,
        typer.Option(help="What scores samples, e.g. judge or mean_logprob.", autocompletion=verifier_names),
    ] = None,
    comparator: Annotated[
        str | None,
        typer.Option(help="What compares two samples, in tournaments: judge.", autocompletion=comparator_names),
    ] = None,
    sample_tokens: Annotated[int, typer.Option(min=1, help="Cap on the generated tokens of one sample.")] = 512,
    temperature: Annotated[float, typer.Option(min=0)] = 0.7,
    max_tokens: Annotated[
        int | None, typer.Option(help="Hard limit on the generated tokens of the whole query.")
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Further hard limits: calls=20,total_tokens=9000,dollars=.01 or generated_tokens=4000.")
    ] = "",
    deadline: Annotated[float | None, typer.Option(help="Seconds; the best answer by then is returned.")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    trace: Annotated[bool, typer.Option("--trace", help="Show what happened, as a tree.")] = False,
    unsafe_local_exec: UnsafeLocalExec = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Solve one prompt, and show the answer and what it cost."""
    from ttc.solve import solve
    from ttc.strategy import make_strategy
    from ttc.verifier import make_comparator, make_verifier
    from ttc.verifiers.code.tested import TestedVerifier

    if prompt == "-":
        prompt = sys.stdin.read()
    if not prompt.strip():
        raise ConfigurationError("the prompt is empty")
    made = make_strategy(_chosen(strategy, policy, force=force_policy))
    needs = made.requires()
    allowed = limits(budget, max_tokens)
    if deadline is not None:
        allowed = replace(allowed, seconds=deadline)
    query = Query.of(prompt, answer_type=answer)
    scorer = make_verifier(verifier or ("self_certainty" if "verifier" in needs else None))
    judge = make_comparator(comparator or ("judge" if "comparator" in needs else None))

    async def run() -> Outcome:
        if isinstance(scorer, TestedVerifier):
            await scorer.prepare()  # without a sandbox no server has to be asked or started
        async with connect(base_url, model, up=up) as connected:
            return await solve(
                query,
                made,
                connected,
                budget=allowed,
                verifier=scorer,
                comparator=judge,
                sampling=Sampling(max_tokens=sample_tokens, temperature=temperature),
                seed=seed,
            )

    outcome = anyio.run(run)
    if json:
        print(as_json(outcome))
    else:
        show(outcome, trace=trace)
    if outcome.ended_by == "all_calls_failed":
        print(f"ttc: every call failed: {printable(outcome.error)}", file=sys.stderr)
        raise typer.Exit(2)
    if outcome.answer is None:
        print(f"ttc: no answer ({outcome.ended_by}); give it more tokens or another answer type", file=sys.stderr)
        raise typer.Exit(1)


def _chosen(strategy: str | None, policy: Path | None, *, force: bool) -> str:
    """The strategy to run: the one that was named, or what a policy is for."""
    first, *more = with_policy([strategy] if strategy else [], policy, force=force) or ["majority"]
    if more:
        raise ConfigurationError(
            f"--policy is for 'adaptive', and --strategy {strategy} takes none, or names its own: leave one of them out"
        )
    return first


def as_json(outcome: Outcome) -> str:
    """Return an outcome as JSON; numbers that are keys in its trace are strings there."""
    return orjson.dumps(outcome_as_data(outcome), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()


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
    """Print an outcome for people: the answer, the ledger by kind of call, how it ended, and what happened."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    shown = printable if console.is_terminal else str  # a file gets what the model wrote
    if outcome.candidate and outcome.candidate.sample.text.strip() != (outcome.answer or "").strip():
        console.print(Text(shown(outcome.candidate.sample.text.strip()), style="dim"))
    answer = (shown(outcome.answer), "bold green") if outcome.answer else ("none", "bold red")
    console.print(Text.assemble("answer  ", answer))
    console.print(ledger_table(outcome))
    dollars = f", ${outcome.dollars:.6f}" if outcome.dollars is not None else ""
    console.print(
        f"{outcome.thinking_tokens:,} thinking tokens of {outcome.generated_tokens:,} generated, "
        f"{outcome.seconds:.1f} s{dollars}, ended by: {outcome.ended_by}"
    )
    for warning in outcome.warnings:
        console.print(Text(printable(f"note: {warning}"), style="yellow"))
    if trace:
        from ttc.cli.trace import show_trace

        console.print()
        show_trace(outcome.trace, console, outcome.answer)


def ledger_table(outcome: Outcome) -> Table:
    """Draw the ledger: a row per kind of call, and one for all of them. An upper bound is marked as one."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("kind", "calls", "prompt", "cached", "thoughts", "visible", "generated"):
        table.add_column(column, justify="left" if column == "kind" else "right")

    def add(kind: str, calls: int, usage: Usage, style: str = "") -> None:
        bound = "≤" if usage.upper_bound else ""
        numbers = (calls, usage.prompt_tokens, usage.cached_tokens, usage.reasoning_tokens)
        visible = (f"{bound}{n:,}" for n in (usage.answer_tokens, usage.generated))
        table.add_row(Text(kind), *(f"{n:,}" for n in numbers), *visible, style=style)

    for kind, usage in outcome.usage.items():
        add(kind, outcome.calls.get(kind, 0), usage)
    add("total", sum(outcome.calls.values()), outcome.total_usage, "bold")
    return table
