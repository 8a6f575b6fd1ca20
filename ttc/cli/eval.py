"""``ttc eval``: strategies on suites, accuracy against thinking tokens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ttc.cli.completion import comparator_names, run_names, strategy_names, suite_names, verifier_names
from ttc.cli.connection import DEFAULT_URL, connect_all
from ttc.cli.eval_models import models_of_options
from ttc.cli.eval_settings import RUNS, new_settings, settings_of_run
from ttc.cli.interrupts import run_interruptibly, saying_when_stopped
from ttc.cli.policy_option import ForcePolicy, PolicyFile
from ttc.cli.unsafe import UnsafeLocalExec
from ttc.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from ttc.cli.eval_display import EvalDisplay
    from ttc.evals.config import EvalConfig
    from ttc.evals.recorded_calls import CallCounts
    from ttc.evals.runner import EvalRun

__all__ = ["eval_command"]


def eval_command(
    suites: Annotated[
        list[str] | None,
        typer.Argument(help="e.g. arithmetic, gsm8k:path=FILE (see 'ttc list').", autocompletion=suite_names),
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy", "-s", autocompletion=strategy_names, help="Once per strategy, e.g. -s single -s knockout:k=2."
        ),
    ] = None,
    budgets: Annotated[
        str | None, typer.Option(help="Values of n for strategies that name none, e.g. 1,2,4,8,16.")
    ] = None,
    base_url: Annotated[
        list[str] | None,
        typer.Option(envvar="TTC_BASE_URL", help=f"A vLLM server, or one for each model; {DEFAULT_URL} by default."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Once per model; by default the only one that is served.")
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(help="Dollars per million prompt/generated tokens, e.g. 0.1/0.4; once for each model."),
    ] = None,
    parameters: Annotated[
        list[float] | None, typer.Option(help="Active parameters, for FLOPs, e.g. 1.7e9; once for each model.")
    ] = None,
    up: Annotated[str | None, typer.Option(help="Start a server for this model first, e.g. smollm2.")] = None,
    policy: PolicyFile = None,
    force_policy: ForcePolicy = False,
    verifier: Annotated[
        str | None,
        typer.Option(help="What scores samples, e.g. judge or public_tests.", autocompletion=verifier_names),
    ] = None,
    comparator: Annotated[
        str | None,
        typer.Option(help="What compares two samples, in tournaments: judge.", autocompletion=comparator_names),
    ] = None,
    sample_tokens: Annotated[int | None, typer.Option(min=1, help="Cap on the generated tokens of one sample.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="Of sampling; 0 is greedy.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Hard limit on the generated tokens of a query.")] = None,
    budget: Annotated[str | None, typer.Option(help="Further hard limits per query, e.g. calls=20,seconds=20.")] = None,
    total_tokens: Annotated[
        int | None, typer.Option(min=1, help="Hard limit on the tokens of the whole run, of each model.")
    ] = None,
    max_dollars: Annotated[
        float | None, typer.Option(help="Hard limit on the dollars of the whole run; needs --price.")
    ] = None,
    allocate: Annotated[
        str | None,
        typer.Option(
            help="Hand --total-tokens out over the problems, to each strategy all of them: greedy or uniform."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seeds of all calls follow from it; the same one draws the same samples.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Problems per suite, drawn evenly from its levels.")] = None,
    sample_seed: Annotated[int | None, typer.Option(help="Draw those problems with this seed.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How often every problem is run.")] = None,
    leave_out_tuned: Annotated[
        bool, typer.Option("--leave-out-tuned", help="Leave out problems that a policy was tuned on.")
    ] = False,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Queries at a time; by default as many as keep the server busy.")
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first query that fails.")] = False,
    cache: Annotated[
        Path | None, typer.Option(help="A folder of calls that other runs may have paid for, to ask and to add to.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = RUNS,
    run_id: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(help="Finish this run (name or path), with its own settings.", autocompletion=run_names),
    ] = None,
    retry_failed: Annotated[
        str | None, typer.Option(help="Finish this run, and do again what failed in it.", autocompletion=run_names)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings in TOML; options override them.")] = None,
    unsafe_local_exec: UnsafeLocalExec = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, everything else on stderr.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Make no figures and no page.")] = False,
) -> None:
    """Run strategies on suites and show what their tokens bought.

    Ctrl-C lets the calls in flight come back; once more, and it ends at once. That, a crash or a dead server leave a
    run that --resume finishes: nothing that was acknowledged is paid twice.
    """
    from ttc.evals.config import check

    urls, goes_on = base_url or [], (resume or retry_failed) is not None
    given: dict[str, Any] = {
        "suites": suites or None,
        "strategies": strategy or None,
        "budgets": _numbers(budgets),
        **models_of_options(model or (), urls[:1] if goes_on else urls, price or (), parameters or ()),
        "up": up,
        "policy": policy,
        "force_policy": force_policy or None,
        "verifier": verifier,
        "comparator": comparator,
        "sampling": {"max_tokens": sample_tokens, "temperature": temperature},
        "max_tokens": max_tokens,
        "budget": budget,
        "total_tokens": total_tokens,
        "max_dollars": max_dollars,
        "allocate": allocate,
        "seed": seed,
        "limit": limit,
        "sample_seed": sample_seed,
        "epochs": epochs,
        "leave_out_tuned": leave_out_tuned or None,
        "concurrency": concurrency,
        "fail_fast": fail_fast or None,
        "cache": cache,
        "run_id": run_id,
    }
    if run_id == "":
        raise ConfigurationError("--run-id '': give the run a name, or leave --run-id out to have one made")
    given["sampling"] = {k: v for k, v in given["sampling"].items() if v is not None} or None
    given = {name: value for name, value in given.items() if value is not None}
    if resume and retry_failed and resume != retry_failed:
        raise ConfigurationError(f"--resume {resume} and --retry-failed {retry_failed} name two runs: give one of them")
    if (name := retry_failed or resume) is not None:
        settings = settings_of_run(name, given, runs, urls=urls)
    else:
        settings = new_settings(config, given, runs)
    check(settings)
    run, console = _run(settings, retry_failed=retry_failed is not None), Console(stderr=True)
    _show(run, as_json=json, report=not no_report, console=console)


def _run(config: EvalConfig, *, retry_failed: bool) -> EvalRun:
    """Run, with a display; Ctrl-C and SIGTERM end in one line that says how to go on."""
    from ttc.cli.eval_display import EvalDisplay
    from ttc.evals.draining import Stop
    from ttc.evals.readiness import ready_suites
    from ttc.evals.runner import run_eval

    display, stop = EvalDisplay(Console(stderr=True)), Stop()

    async def run() -> EvalRun:
        ready = await ready_suites(config)  # what is wrong with them is said before a server is asked or started
        async with connect_all(config.served()) as models:
            with saying_when_stopped(), display.showing():
                return await run_eval(ready, models, on_progress=display.update, retry_failed=retry_failed, stop=stop)

    def drain() -> bool:
        if display.progress is None or not stop.in_flight:
            return False
        display.say(f"ttc: stopping: waiting for the {stop.in_flight} calls in flight; Ctrl-C again gives them up")
        stop.request()
        return True

    return run_interruptibly(run, lambda: _farewell(config, display), drain=drain)


def _farewell(config: EvalConfig, display: EvalDisplay) -> str:
    p = display.progress
    if p is None:
        return "ttc: interrupted before the run had started"
    where = "" if config.runs == RUNS else f" --runs {config.runs}"
    return f"ttc: interrupted: {p.done} of {p.total} queries are done. Go on with: ttc eval --resume {p.run_id}{where}"


def _show(run: EvalRun, *, as_json: bool, report: bool, console: Console) -> None:
    """Print the table (or the summary as JSON), and make the figures and the page."""
    from ttc.evals.summary import summary_to_json
    from ttc.evals.tables import console_width, footnotes, summary_table

    if as_json:
        sys.stdout.write(summary_to_json(run.summary).decode())
        sys.stdout.flush()
    else:
        out = Console()
        table = summary_table(run.summary)
        if console_width(table) > out.width:
            if out.is_terminal:
                table = summary_table(run.summary, compact=True)
            else:
                out = Console(width=console_width(table))  # a file has no edge
        out.print(table)
        for note in footnotes(run.summary):
            out.print(note, style="dim", highlight=False, soft_wrap=True, markup=False)
    several = len(run.progress.by_model) > 1
    lines = [f"{name}: {_sent(calls)}" if several else _sent(calls) for name, calls in run.progress.by_model.items()]
    lines.append(f"{run.directory / 'summary.json'}")
    lines += run.progress.warnings
    if run.progress.failed:
        lines.append(
            f"{run.progress.failed} queries failed: every call of theirs did; they count as wrong until "
            f"'ttc eval --retry-failed {run.progress.run_id}' does them again"
        )
    if report:
        try:
            from ttc.evals.report import write_report

            lines += [str(path) for path in write_report(run.directory)]
        except MissingExtra as error:
            lines.append(f"no figures: {error}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _sent(calls: CallCounts) -> str:
    cached = f", {calls.cached} by the cache" if calls.cached else ""
    dollars = f", ${calls.dollars:.4f} paid" if calls.dollars else ""
    return (
        f"{calls.made} calls made, {calls.replayed} answered by the store{cached}, {calls.generated} tokens "
        f"generated{dollars}"
    )


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigurationError(f"--budgets {text}: give whole numbers, e.g. 1,2,4,8,16") from None
