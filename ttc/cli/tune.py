"""``ttc tune``: from recorded samples to a policy, and what it is expected to bring."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import anyio
import orjson
import typer
from rich.console import Console

from ttc.cli.completion import strategy_names
from ttc.cli.out_file import refuse_unwritable
from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from ttc.adaptive.classes import AnyClasses
    from ttc.adaptive.tuned_policy import Tuning
    from ttc.adaptive.tuning import Aim
    from ttc.budget import Price
    from ttc.pools import Pool

__all__ = ["tune_command"]

RUNS = Path("runs")
POLICY = Path("policy.toml")


def tune_command(
    sources: Annotated[
        list[str],
        typer.Argument(help="Pools (of ttc record) or runs; several: one for each model.", metavar="POOL|RUN..."),
    ],
    out: Annotated[
        Path, typer.Option(help="The policy to write; what is fitted goes into the .json beside it.")
    ] = Path("policy.toml"),
    budget: Annotated[float | None, typer.Option(help="Mean thinking tokens a query, at the most.")] = None,
    dollars: Annotated[float | None, typer.Option(help="Mean dollars a query, at the most.")] = None,
    accuracy: Annotated[float | None, typer.Option(help="Accuracy at the least, as cheaply as can be.")] = None,
    loss: Annotated[
        float | None,
        typer.Option(help="Accuracy that may be lost against the best fixed number of samples; .01 by default."),
    ] = None,
    p95_seconds: Annotated[
        float | None, typer.Option(help="Seconds within which 95% of the queries end, at the load of the recording.")
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Each query class meets the aim by itself.")] = False,
    strategy: Annotated[
        list[str] | None,
        typer.Option("--strategy", "-s", autocompletion=strategy_names, help="Without n; majority by default."),
    ] = None,
    verifier: Annotated[str, typer.Option(help="Whose recorded scores to use, where a pool holds several.")] = "",
    estimator: Annotated[
        str, typer.Option(help="How difficulty is estimated: none, prompt, probe or verifier.")
    ] = "probe",
    probe: Annotated[int, typer.Option(min=1, max=64, help="Samples drawn first, with probe and verifier.")] = 4,
    tags: Annotated[str, typer.Option(help="Tags that make the query class, with commas between them.")] = "",
    classes: Annotated[Path | None, typer.Option(help="Query classes by rules, in TOML.")] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(help="Dollars per million prompt and generated tokens of a model, as in small=0.10/0.40."),
    ] = None,
    gold_free: Annotated[
        bool, typer.Option("--gold-free", help="Few problems have verdicts: those of the others are estimated.")
    ] = False,
    orders: Annotated[int, typer.Option(min=1, help="Orders in which the samples of a problem are replayed.")] = 8,
    folds: Annotated[int, typer.Option(min=2, help="Parts of the problems; each is held out once.")] = 5,
    seed: Annotated[int, typer.Option()] = 0,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = RUNS,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Tune a policy: which strategy, how many samples and when to stop, for each class and difficulty of query.

    What is printed was measured by nested cross-validation, on problems that had no part in what they are shown for.
    """
    from ttc.adaptive.bench import gather
    from ttc.adaptive.fitting import Settings
    from ttc.adaptive.tuned_policy import tune_policy

    refuse_unwritable(out)
    if estimator not in ("none", "prompt", "probe", "verifier"):
        raise ConfigurationError(f"--estimator {estimator}: must be none, prompt, probe or verifier")
    aim = _aim(budget=budget, dollars=dollars, accuracy=accuracy, loss=loss, p95_seconds=p95_seconds)
    pools = [_priced(_pool(source, runs), _prices(price or ())) for source in sources]
    if gold_free:
        pools = [_without_gold(pool) for pool in pools]
    settings = Settings(
        estimator=estimator,
        probe=probe,
        by_class=per_class,
        growth=(0.25, 1.0, 1e9) if p95_seconds is not None else (0.25,),
        folds=folds,
        seed=seed,
    )
    console = Console(stderr=True)
    with console.status("", spinner="dots") as status:

        def replaying(what: str, done: int, total: int) -> None:
            status.update(f"replaying {what}: {done} of {total} problems")

        async def gathered():
            return await gather(
                pools,
                strategies=strategy or ("majority",),
                verifier=verifier,
                classes=_classes(tags, classes),
                dollars=dollars is not None,
                orders=orders,
                seed=seed,
                on_progress=replaying,
            )

        bench = anyio.run(gathered)
        found = tune_policy(
            bench,
            settings,
            aim,
            calibrated=not gold_free,
            on_progress=lambda done, total: status.update(f"tuning: {done} of {total} folds"),
        )
    found.policy.write(out)
    _show(found, out, as_json=json)


def _aim(
    *,
    budget: float | None,
    dollars: float | None,
    accuracy: float | None,
    loss: float | None,
    p95_seconds: float | None,
) -> Aim:
    from ttc.adaptive.tuning import Aim

    given = {
        "--budget": ("cost", budget),
        "--dollars": ("cost", dollars),
        "--accuracy": ("accuracy", accuracy),
        "--loss": ("loss", loss),
        "--p95-seconds": ("p95_seconds", p95_seconds),
    }
    named = {option: (kind, value) for option, (kind, value) in given.items() if value is not None}
    if len(named) > 1:
        raise ConfigurationError(f"{' and '.join(named)} are several aims: give one")
    option, (kind, value) = next(iter(named.items()), ("--loss", ("loss", 0.01)))
    if value <= 0 and kind != "loss":
        raise ConfigurationError(f"{option} {value:g}: must be above 0")
    if kind in ("accuracy", "loss") and not 0 <= value <= 1:
        raise ConfigurationError(
            f"{option} {value:g}: must be from 0 to 1, e.g. {'.9' if kind == 'accuracy' else '.01'}"
        )
    return Aim(cast(Literal["cost", "accuracy", "loss", "p95_seconds"], kind), value)


def _pool(source: str, runs: Path) -> Pool:
    """Read a pool, or make one of a run."""
    from ttc.cli.learn import run_named
    from ttc.evals.pool_of_run import pool_of_run
    from ttc.pool_files import read_pool

    path = Path(source)
    if path.suffix in (".jsonl", ".gz") or path.is_file():
        return read_pool(path)
    return anyio.run(pool_of_run, run_named(runs, source))


def _prices(given: Sequence[str]) -> dict[str, Price]:
    from ttc.budget import Price

    prices: dict[str, Price] = {}
    for text in given:
        name, _, amounts = text.rpartition("=")
        parts = amounts.split("/")
        try:
            prompt, generated = (float(part) for part in parts)
        except ValueError:
            raise ConfigurationError(
                f"--price {text}: give dollars per million prompt and generated tokens, as in small=0.10/0.40"
            ) from None
        prices[name] = Price(prompt=prompt, generated=generated)
    return prices


def _priced(pool: Pool, prices: dict[str, Price]) -> Pool:
    from dataclasses import replace

    return replace(pool, price=prices[pool.model]) if pool.model in prices else pool


def _without_gold(pool: Pool) -> Pool:
    from ttc.adaptive.gold_free import gold_free

    return gold_free(pool).pool


def _classes(tags: str, rules: Path | None) -> AnyClasses | None:
    from ttc.adaptive.classes import TagClasses, read_classes

    if tags and rules:
        raise ConfigurationError("--tags and --classes both sort queries: give one")
    if rules:
        return cast("AnyClasses", read_classes(rules))
    return TagClasses(tags=tuple(t.strip() for t in tags.split(",") if t.strip())) if tags else None


def _show(found: Tuning, out: Path, *, as_json: bool) -> None:
    from ttc.cli.policy import show_policy

    came = found.policy.provenance
    assert came is not None
    if as_json:
        facts = {
            "policy": str(out),
            "expected": came.expected.model_dump() if came.expected else None,
            "against": came.against,
            "expected_against": came.expected_against.model_dump() if came.expected_against else None,
            "over_one_sample": found.gain,
            "frontier": found.cross_validated.frontier,
            "earned_back": came.earned_back,
            "warnings": came.warnings,
        }
        sys.stdout.write(orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    show_policy(found.policy)
    value, low, high = found.gain
    print(f"{100 * value:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}] over one sample")
    print(f"written to {out}: use it as --policy {out}, on problems that it was not tuned on")
