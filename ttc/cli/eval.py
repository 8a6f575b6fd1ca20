"""``ttc eval``: strategies on suites, accuracy against thinking tokens."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from ttc.cli.completion import comparator_names, strategy_names, suite_names, verifier_names
from ttc.cli.connection import DEFAULT_URL, connect
from ttc.cli.interrupts import run_interruptibly, saying_when_stopped
from ttc.cli.limits import with_max_tokens
from ttc.cli.policy_option import ForcePolicy, PolicyFile, with_policy
from ttc.cli.resuming import gone_on_with, refuse_other_settings
from ttc.cli.unsafe import UnsafeLocalExec
from ttc.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from ttc.cli.eval_display import EvalDisplay
    from ttc.evals.config import EvalConfig
    from ttc.evals.runner import EvalRun

__all__ = ["eval_command"]

RUNS = Path("runs")
RESUMABLE = frozenset({"base_url", "model", "up", "concurrency", "total_tokens"})


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
        str | None, typer.Option(envvar="TTC_BASE_URL", help=f"A vLLM server; {DEFAULT_URL} by default.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model name; by default the only one served.")] = None,
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
    temperature: Annotated[float | None, typer.Option(min=0)] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Hard limit on the generated tokens of a query.")] = None,
    budget: Annotated[str | None, typer.Option(help="Further hard limits per query, e.g. calls=20,seconds=20.")] = None,
    total_tokens: Annotated[int | None, typer.Option(min=1, help="Hard limit on the tokens of the whole run.")] = None,
    allocate: Annotated[
        str | None,
        typer.Option(
            help="Hand --total-tokens out over the problems, to each strategy all of them: greedy or uniform."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Problems per suite, drawn evenly from its levels.")] = None,
    sample_seed: Annotated[int | None, typer.Option(help="Draw those problems with this seed.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How often every problem is run.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Queries at a time.")] = None,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = RUNS,
    run_id: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    resume: Annotated[str | None, typer.Option(help="Finish this run, with its own settings.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings in TOML; options override them.")] = None,
    unsafe_local_exec: UnsafeLocalExec = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, everything else on stderr.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Make no figures and no page.")] = False,
) -> None:
    """Run strategies on suites and show what their tokens bought.

    Ctrl-C, a crash or a dead server leave a run that --resume finishes: nothing that was acknowledged is paid twice.
    """
    from ttc.evals.config import check

    given: dict[str, Any] = {
        "suites": suites or None,
        "strategies": strategy or None,
        "budgets": _numbers(budgets),
        "base_url": base_url,
        "model": model,
        "up": up,
        "policy": policy,
        "force_policy": force_policy or None,
        "verifier": verifier,
        "comparator": comparator,
        "sampling": {"max_tokens": sample_tokens, "temperature": temperature},
        "max_tokens": max_tokens,
        "budget": budget,
        "total_tokens": total_tokens,
        "allocate": allocate,
        "seed": seed,
        "limit": limit,
        "sample_seed": sample_seed,
        "epochs": epochs,
        "concurrency": concurrency,
        "run_id": run_id,
    }
    given["sampling"] = {k: v for k, v in given["sampling"].items() if v is not None} or None
    given = {name: value for name, value in given.items() if value is not None}
    settings = _resumed(resume, given, runs) if resume else _settings(config, given, runs)
    check(settings)
    run, console = _run(settings), Console(stderr=True)
    _show(run, as_json=json, report=not no_report, console=console)


def _settings(file: Path | None, given: dict[str, Any], runs: Path) -> EvalConfig:
    """Put the settings together: of the file, overridden by options, with what the strategies need filled in."""
    from ttc.evals.config import EvalConfig, read_config, read_toml
    from ttc.strategy import make_strategy

    data = read_toml(file) if file is not None else {}
    sampling = {**data.get("sampling", {}), **given.get("sampling", {})}
    if (max_tokens := given.pop("max_tokens", None)) is not None:
        given["budget"] = with_max_tokens(max_tokens, of_option=given.get("budget"), of_file=data.get("budget", ""))
    policy, force = given.pop("policy", None), given.pop("force_policy", False)
    data = {**data, **given, "sampling": sampling}
    if policy is not None or force:
        run = data.get("strategies", EvalConfig.model_fields["strategies"].default)
        data["strategies"] = with_policy(run, policy, force=force)
    if runs != RUNS or "runs" not in data:
        data["runs"] = runs
    if not data.get("suites"):
        raise ConfigurationError("name a suite, e.g. 'ttc eval arithmetic' (see 'ttc list'), or a run with --resume")
    needs = frozenset[str]().union(*(make_strategy(s).requires() for s in data.get("strategies", ())))
    for need, default in (("verifier", _verifier_for(cast("Sequence[str]", data["suites"]))), ("comparator", "judge")):
        if need in needs:
            data.setdefault(need, default)
    return read_config(data)


def _verifier_for(suites: Sequence[str]) -> str:
    """The verifier that all suites of a run come with, or the one that works on any."""
    from ttc import registry

    own = {registry.create("suite", suite).verifier for suite in suites}
    return own.pop() or "self_certainty" if len(own) == 1 else "self_certainty"


def _resumed(run: str, given: dict[str, Any], runs: Path) -> EvalConfig:
    """Take the settings of a run; only how to reach the model, and how hard to work, may be others.

    Raises:
        ConfigurationError: a setting that would make it another run.
        RunError: there is no such run.
    """
    from ttc.evals.run_card import config_of

    refuse_other_settings(given, RESUMABLE, of="run")
    return gone_on_with(config_of(runs, run), given)


def _run(config: EvalConfig) -> EvalRun:
    """Run, with a display; Ctrl-C and SIGTERM end in one line that says how to go on."""
    from ttc.cli.eval_display import EvalDisplay
    from ttc.evals.readiness import ready_suites
    from ttc.evals.runner import run_eval

    display = EvalDisplay(Console(stderr=True))

    async def run() -> EvalRun:
        ready = await ready_suites(config)  # what is wrong with them is said before a server is asked or started
        async with connect(config.base_url or DEFAULT_URL, config.model, up=config.up) as model:
            with saying_when_stopped(), display.showing():
                return await run_eval(ready, model, on_progress=display.update)

    return run_interruptibly(run, lambda: _farewell(config, display))


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
    calls = run.progress.calls
    lines = [
        f"{calls.made} calls made, {calls.replayed} answered by the store, {calls.generated} tokens generated",
        f"{run.directory / 'summary.json'}",
    ]
    lines += run.progress.warnings
    if run.progress.failed:
        lines.append(f"{run.progress.failed} queries failed: every call of theirs did; they count as wrong")
    if report:
        try:
            from ttc.evals.report import write_report

            lines += [str(path) for path in write_report(run.directory)]
        except MissingExtra as error:
            lines.append(f"no figures: {error}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigurationError(f"--budgets {text}: give whole numbers, e.g. 1,2,4,8,16") from None
