"""``ttc tune``: from recorded samples to a policy, and what it is expected to bring."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import anyio
import orjson
import typer
from rich.console import Console
from rich.markup import escape

from ttc.cli.completion import strategy_names, verifier_names
from ttc.cli.out_file import refuse_unwritable
from ttc.cli.printable import one_line
from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from ttc.adaptive.classes import AnyClasses
    from ttc.adaptive.tuned_policy import Tuning
    from ttc.adaptive.tuning import Aim
    from ttc.budget import Price
    from ttc.pools import Pool

__all__ = ["EstimatorName", "tune_command"]


class EstimatorName(StrEnum):
    """By what the difficulty of a query is estimated."""

    NONE = "none"
    PROMPT = "prompt"
    PROBE = "probe"
    VERIFIER = "verifier"


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
    margin: Annotated[
        float | None,
        typer.Option(help="Cheapest that can be shown to be no worse than all samples by more than this; default .02."),
    ] = None,
    loss: Annotated[
        float | None, typer.Option(help="Accuracy that may be lost against the best fixed number of samples.")
    ] = None,
    p95_seconds: Annotated[
        float | None, typer.Option(help="Seconds within which 95% of the queries end, at the load of the recording.")
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Each query class meets the aim by itself.")] = False,
    strategy: Annotated[
        list[str] | None,
        typer.Option("--strategy", "-s", autocompletion=strategy_names, help="Without n; majority by default."),
    ] = None,
    verifier: Annotated[
        str,
        typer.Option(autocompletion=verifier_names, help="Whose recorded scores to use, where a pool holds several."),
    ] = "",
    estimator: Annotated[EstimatorName, typer.Option(help="By what difficulty is estimated.")] = EstimatorName.NONE,
    probe: Annotated[int, typer.Option(min=1, max=64, help="Samples drawn first, with probe and verifier.")] = 4,
    tags: Annotated[str, typer.Option(help="Tags that make the query class, with commas between them.")] = "",
    classes: Annotated[Path | None, typer.Option(help="Query classes by rules, in TOML.")] = None,
    clusters: Annotated[bool, typer.Option("--clusters", help="Query classes by clusters of the prompts.")] = False,
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
    # Before numpy: thousands of small fits are slower on several threads.
    for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(threads, "1")
    from ttc.adaptive.bench import gather
    from ttc.adaptive.fitting import Settings
    from ttc.adaptive.tuned_policy import tune_policy

    _refuse_out(out, sources)
    aim, option = _aim(
        budget=budget, dollars=dollars, accuracy=accuracy, margin=margin, loss=loss, p95_seconds=p95_seconds
    )
    pools = _priced([_pool(source, runs) for source in sources], _prices(price or ()))
    if gold_free:
        pools = [_without_gold(pool) for pool in pools]
    if budget is not None:
        _refuse_below_the_least(budget, pools, estimator, probe)
    query_classes = _classes(tags, classes, clusters=clusters, pool=pools[0])
    settings = Settings(
        estimator=estimator.value,
        probe=probe,
        by_class=per_class,
        growth=(0.25, 1.0, 1e9) if p95_seconds is not None else (0.25,),
        folds=folds,
        seed=seed,
    )
    console = Console(stderr=True)
    with console.status("", spinner="dots") as status:

        def replaying(what: str, done: int, total: int) -> None:
            status.update(escape(one_line(f"replaying {what}: {done} of {total} problems")))

        async def gathered():
            return await gather(
                pools,
                strategies=strategy or ("majority",),
                verifier=verifier,
                classes=query_classes,
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
            aimed=option,
            calibrated=not gold_free,
            on_progress=lambda done, total: status.update(f"tuning: {done} of {total} folds"),
        )
    found.policy.write(out)
    _show(found, out, as_json=json)


def _refuse_out(out: Path, sources: Sequence[str]) -> None:
    """Refuse what would lose a source, or be refused when the work is done."""
    refuse_unwritable(out)
    if out.suffix != ".toml":
        raise ConfigurationError(
            f"--out {out}: a policy is TOML, with a .json beside it: name a file that ends in .toml"
        )
    if any(Path(source).absolute() in (out.absolute(), out.absolute().with_suffix(".json")) for source in sources):
        raise ConfigurationError(f"--out {out}: that is what is tuned on; name another file")


def _aim(**limits: float | None) -> tuple[Aim, str]:
    """The aim, and the option that gave it."""
    from ttc.adaptive.tuning import Aim

    kinds = {"budget": "cost", "dollars": "cost", "margin": "no_worse"}
    named = {name: value for name, value in limits.items() if value is not None}
    options = {name: f"--{name.replace('_', '-')}" for name in limits}
    if len(named) > 1:
        raise ConfigurationError(f"{' and '.join(options[n] for n in named)} are several aims: give one")
    name, value = next(iter(named.items()), ("margin", 0.02))
    option = f"{options[name]} {value:g}"
    if value <= 0 and name != "loss":
        raise ConfigurationError(f"{option}: must be above 0")
    if name in ("accuracy", "loss", "margin") and not 0 <= value <= 1:
        example = {"accuracy": ".9", "loss": ".01", "margin": ".02"}[name]
        raise ConfigurationError(f"{option}: must be from 0 to 1, e.g. {example}")
    kind = kinds.get(name, name)
    return Aim(cast("Literal['cost', 'accuracy', 'loss', 'no_worse', 'p95_seconds']", kind), value), option


def _refuse_below_the_least(budget: float, pools: Sequence[Pool], estimator: EstimatorName, probe: int) -> None:
    """Refuse a budget that not even the samples carry which are drawn in any case, before anything is replayed."""
    costs = [
        sum(sum(p.generated) / len(p) if p.generated else 1.0 for p in pool.problems) / len(pool) for pool in pools
    ]
    first = probe if estimator in (EstimatorName.PROBE, EstimatorName.VERIFIER) else 1
    unit = "thinking tokens" if pools[0].unit == "tokens" else pools[0].unit
    if budget >= first * min(costs):
        return
    one = f"one sample costs {min(costs):,.0f} {unit} a query here"
    if budget < min(costs):
        raise ConfigurationError(f"--budget {budget:g} is below one sample: {one}")
    raise ConfigurationError(
        f"--budget {budget:g}: a probe of {first} alone costs {first * min(costs):,.0f} {unit} a query, and {one}: "
        "take a smaller --probe, or --estimator none or prompt"
    )


def _pool(source: str, runs: Path) -> Pool:
    """Read a pool, or make one of a run."""
    from ttc.cli.learn import run_named
    from ttc.evals.recordings.pool_of_run import pool_of_run
    from ttc.pool_files import read_pool

    path = Path(source)
    if path.suffix in (".jsonl", ".gz") or path.is_file():
        return read_pool(path)
    return anyio.run(pool_of_run, run_named(runs, source))


def _prices(given: Sequence[str]) -> dict[str, Price]:
    from ttc.evals.served import parse_price

    prices: dict[str, Price] = {}
    for text in given:
        name, _, amounts = text.rpartition("=")
        try:
            prices[name] = parse_price(amounts)
            if not prices[name].generated:
                raise ValueError("tokens that cost nothing leave nothing to tune")
        except ValueError as error:
            raise ConfigurationError(f"--price {text}: {error}; as in small=0.10/0.40") from None
    return prices


def _priced(pools: Sequence[Pool], prices: dict[str, Price]) -> list[Pool]:
    from dataclasses import replace

    models = sorted({pool.model for pool in pools})
    if unknown := sorted(prices.keys() - set(models)):
        raise ConfigurationError(f"--price {unknown[0]}=...: no pool is of that model, but of {', '.join(models)}")
    return [replace(pool, price=prices.get(pool.model, pool.price)) for pool in pools]


def _without_gold(pool: Pool) -> Pool:
    from ttc.adaptive.gold_free import gold_free

    return gold_free(pool).pool


def _classes(tags: str, rules: Path | None, *, clusters: bool, pool: Pool) -> AnyClasses | None:
    from ttc.adaptive.class_clusters import ClusterClasses
    from ttc.adaptive.classes import TagClasses, read_classes

    if bool(tags) + bool(rules) + clusters > 1:
        raise ConfigurationError("--tags, --classes and --clusters all sort queries: give one")
    if clusters:
        return ClusterClasses.learn([problem.prompt for problem in pool.problems])
    if rules:
        return cast("AnyClasses", read_classes(rules))
    names = [t.strip() for t in tags.split(",") if t.strip()]
    for name in names:
        if all(name not in problem.tags for problem in pool.problems):
            known = ", ".join(sorted({tag for problem in pool.problems for tag in problem.tags})) or "none"
            raise ConfigurationError(f"--tags {tags}: no problem has the tag '{name}'; there are: {known}")
    return TagClasses(tags=tuple(names)) if names else None


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
