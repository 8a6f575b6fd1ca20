"""``ttc record``: n samples of every problem of a suite, scored and graded, as a pool to tune on."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console

from ttc.cli.completion import run_names, suite_names, verifier_names
from ttc.cli.connection import DEFAULT_URL, connect
from ttc.cli.interrupts import run_interruptibly, saying_when_stopped
from ttc.cli.out_file import refuse_unwritable
from ttc.cli.resuming import gone_on_with, refuse_other_settings
from ttc.cli.unsafe import UnsafeLocalExec
from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from ttc.cli.eval_display import EvalDisplay
    from ttc.evals.config import EvalConfig
    from ttc.evals.recordings.recording import RecordedRun
    from ttc.pools import Pool

__all__ = ["lines_of", "record_command", "what_is_in"]

RUNS = Path("runs")
RESUMABLE = frozenset({"base_url", "model", "up", "concurrency", "cache"})


def record_command(
    out: Annotated[Path, typer.Option(help="The pool to write; gzipped where it ends in .gz.")],
    suites: Annotated[
        list[str] | None,
        typer.Argument(help="e.g. arithmetic, gsm8k:path=FILE (see 'ttc list').", autocompletion=suite_names),
    ] = None,
    n: Annotated[int | None, typer.Option("-n", help="Samples of each problem; 16 by default.")] = None,
    verifier: Annotated[
        list[str] | None,
        typer.Option(help="What scores each sample; once per verifier.", autocompletion=verifier_names),
    ] = None,
    cuts: Annotated[
        str | None, typer.Option(help="Also make each sample answer at so many tokens, e.g. 512,1024,2048.")
    ] = None,
    sample_tokens: Annotated[int | None, typer.Option(min=1, help="Cap on the generated tokens of one sample.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0)] = None,
    thinking: Annotated[
        str | None, typer.Option(help="How a thinking model is asked to think: off, low, medium or high.")
    ] = None,
    logprobs: Annotated[
        bool | None,
        typer.Option("--logprobs/--no-logprobs", help="Keep the mean log-probability of samples; on by default."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Problems per suite, drawn evenly from its levels.")] = None,
    sample_seed: Annotated[int | None, typer.Option(help="Draw those problems with this seed.")] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    base_url: Annotated[
        str | None, typer.Option(envvar="TTC_BASE_URL", help=f"A vLLM server; {DEFAULT_URL} by default.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model name; by default the only one served.")] = None,
    up: Annotated[str | None, typer.Option(help="Start a server for this model first, e.g. smollm2.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Problems at a time.")] = None,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = RUNS,
    run_id: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="A folder of calls that any run paid for: they answer, and new ones are kept.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Finish this recording, with its own settings.", autocompletion=run_names)
    ] = None,
    unsafe_local_exec: UnsafeLocalExec = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was recorded as JSON.")] = False,
) -> None:
    """Record samples once, so that strategies, budgets and policies are tried on them without paying again.

    Ctrl-C, a crash or a dead server leave a recording that --resume finishes: nothing acknowledged is paid twice.
    """
    from ttc.pool_files import write_pool

    refuse_unwritable(out)
    shape = {"n": n, "cuts": _cuts(cuts), "verifiers": tuple(verifier) if verifier else None, "logprobs": logprobs}
    sampling = {"max_tokens": sample_tokens, "temperature": temperature, "extra": _extra(thinking)}
    given = {
        "suites": suites or None,
        "sampling": _given(sampling) or None,
        "base_url": base_url,
        "model": model,
        "up": up,
        "seed": seed,
        "limit": limit,
        "sample_seed": sample_seed,
        "concurrency": concurrency,
        "cache": cache,
        "run_id": run_id,
    }
    if resume:
        config = _resumed(resume, {**_given(given), **_given(shape)}, runs)
    else:
        config = _settings({**_given(given), "runs": runs}, _given(shape))
    recorded = _run(config, out)
    write_pool(recorded.pool, out)
    _show(recorded, out, as_json=json)


def what_is_in(pool: Pool) -> dict[str, Any]:
    """Say in plain data what a pool holds: its size, how good its samples are, and what they cost."""
    known = [p for problem in pool.problems if (p := problem.accuracy) is not None]
    samples = sum(map(len, pool.problems))
    generated = [tokens for problem in pool.problems for tokens in problem.generated]
    none = sum(answer is None for problem in pool.problems for answer in problem.answers)
    undecided = sum(right is None for problem in pool.problems for right in problem.right)
    return {
        "name": pool.name,
        "model": pool.model,
        "problems": len(pool),
        "samples": samples,
        "width": pool.width,
        "accuracy": sum(known) / len(known) if known else None,
        "without_answer": none / samples if samples else None,
        "undecided": undecided,
        "mean_generated": sum(generated) / len(generated) if generated else None,
        "verifiers": list(pool.verifiers),
        "cuts": list(pool.cuts),
        "cost": dict(pool.cost),
        "warnings": list(pool.info.get("warnings", ())),
    }


def lines_of(facts: dict[str, Any]) -> list[str]:
    """Say the same in lines."""
    accuracy = "" if facts["accuracy"] is None else f", {facts['accuracy']:.1%} of them right"
    undecided = f", {facts['undecided']} undecided" if facts["undecided"] else ""
    lines = [
        f"{facts['problems']} problems, {facts['samples']:,} samples of {facts['mean_generated']:,.1f} tokens"
        f"{accuracy}, {facts['without_answer']:.1%} without an answer{undecided}"
    ]
    if facts["verifiers"]:
        lines.append(f"scored by {', '.join(facts['verifiers'])}")
    if facts["cuts"]:
        lines.append(f"cut at {', '.join(map(str, facts['cuts']))} tokens")
    cost = dict(facts["cost"])
    prompt, cached = cost.pop("prompt_tokens", 0), cost.pop("cached_tokens", 0)
    calls, seconds = cost.pop("calls", 0), cost.pop("seconds", 0)
    kinds = ", ".join(f"{kind} {tokens:,.0f}" for kind, tokens in sorted(cost.items()))
    lines.append(
        f"charged: {kinds} tokens; {prompt:,.0f} prompt tokens, {cached:,.0f} of them cached; {calls:,.0f} calls, "
        f"{seconds:,.0f} s"
    )
    return lines


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _cuts(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        cuts = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f"--cuts {text}: give whole numbers of tokens, e.g. 512,1024,2048") from None
    return cuts


def _extra(thinking: str | None) -> dict[str, Any] | None:
    """What a request says of thinking."""
    if not thinking:
        return None
    if thinking not in ("off", "low", "medium", "high"):
        raise ConfigurationError(f"--thinking {thinking}: give off, low, medium or high; tokens are given as --cuts")
    return {"chat_template_kwargs": {"enable_thinking": False}} if thinking == "off" else {"reasoning_effort": thinking}


def _settings(given: dict[str, Any], shape: dict[str, Any]) -> EvalConfig:
    from ttc.evals.config import read_config
    from ttc.evals.recordings.recording import Recording

    if not given.get("suites"):
        raise ConfigurationError("name a suite, e.g. 'ttc record arithmetic' (see 'ttc list'), or a run with --resume")
    return read_config({**given, "strategies": (Recording(**shape),)})


def _resumed(run: str, given: dict[str, Any], runs: Path) -> EvalConfig:
    """Take the settings of a recording; only how to reach the model, and how hard to work, may be others.

    Raises:
        ConfigurationError: a setting that would make it another one.
        RunError: there is no such recording.
    """
    from ttc.evals.recordings.recording import recording_of

    refuse_other_settings(given, RESUMABLE, of="recording")
    return gone_on_with(recording_of(runs, run), given)


def _run(config: EvalConfig, out: Path) -> RecordedRun:
    """Record, with a display; Ctrl-C and SIGTERM end in one line that says how to go on."""
    from ttc.cli.eval_display import EvalDisplay
    from ttc.evals.recordings.recording import ready_recording, record

    console = Console(stderr=True)
    display = EvalDisplay(console)

    def tell_graded(done: int, total: int) -> None:
        if done == total or not done % 50:
            console.print(f"samples of {done} of {total} problems are graded", highlight=False)

    async def run() -> RecordedRun:
        ready = await ready_recording(config)  # what is wrong is said before a server is asked or started
        async with connect(config.base_url or DEFAULT_URL, config.model, up=config.up, price=config.price) as model:
            with saying_when_stopped(), display.showing():
                return await record(
                    ready, model, on_progress=display.update, on_graded=tell_graded, resume_by=_resume_by(out)
                )

    return run_interruptibly(run, lambda: _farewell(config, display, out))


def _resume_by(out: Path) -> str:
    return f"ttc record --out {shlex.quote(str(out))} --resume"


def _farewell(config: EvalConfig, display: EvalDisplay, out: Path) -> str:
    p = display.progress
    if p is None:
        return "ttc: interrupted before the recording had started"
    where = "" if config.runs == RUNS else f" --runs {config.runs}"
    done = f"{p.done} of {p.total} problems are recorded"
    return f"ttc: interrupted: {done}. Go on with: {_resume_by(out)} {p.run_id}{where}"


def _show(recorded: RecordedRun, out: Path, *, as_json: bool) -> None:
    facts = {"out": str(out), "run": str(recorded.run.directory), **what_is_in(recorded.pool)}
    calls, warnings = recorded.run.progress.calls, recorded.run.progress.warnings
    if as_json:
        sys.stdout.write(orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode() + "\n")
        sys.stdout.flush()
    else:
        for line in lines_of(facts):
            print(line)
        print(f"written to {out}: tune on it, or look at it with 'ttc pool stats {out}'")
    cached = f", {calls.cached} by the cache" if calls.cached else ""
    sent = (
        f"{calls.made} calls made, {calls.replayed} answered by the store{cached}, {calls.generated} tokens generated"
    )
    for line in (sent, *warnings, *facts["warnings"]):
        print(line, file=sys.stderr)
