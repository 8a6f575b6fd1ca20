"""Small and large models of otis_aime on the same problems: in dollars where prices are public, or in FLOPs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pools_of_data import Rows, has_tokens, of_row

from ttc.budget import Price
from ttc.pools import Pool, RecordedProblem

__all__ = ["ACTIVE_PARAMETERS", "CASCADES", "FLOPS_CASCADES", "LIST_PRICES", "Cascade", "cascades", "petaflops"]

LIST_PRICES: Mapping[str, Price] = {
    "openai/gpt-4.1-nano-2025-04-14": Price(prompt=0.10, generated=0.40),
    "openai/gpt-4.1-2025-04-14": Price(prompt=2.00, generated=8.00),
    "openai/gpt-5-mini-2025-08-07": Price(prompt=0.25, generated=2.00),
    "openai/gpt-5-2025-08-07": Price(prompt=1.25, generated=10.00),
    "openai/gpt-5.1": Price(prompt=1.25, generated=10.00),
}
"""Dollars per million tokens as OpenAI listed them in December 2025, without batch or cache discounts."""

CASCADES: tuple[tuple[str, str], ...] = (
    ("R82gycJfm5jaCdh32tFkH4", "3D8aaFBLZwQcnWHYKwvnmq"),  # gpt-5-mini -> gpt-5
    ("3qLHwibDhgtWEbKGwxUYVa", "VAQtARXUPTpdxGKMekUSbX"),  # gpt-4.1-nano -> gpt-4.1
    (
        "6J9aPwieMfq2eSse8ZknBW",
        "mYKKTdV27TRJv9FpUg7rkn",
    ),  # gpt-5.1, once thinking little (called low) and once much (high)
)
"""Runs of otis_aime, small to large, of which prices are public and tokens are recorded at least in sum."""


ACTIVE_PARAMETERS: Mapping[str, float] = {
    "mistral/mistral-small-2501": 24e9,
    "mistral/mistral-large-2407": 123e9,
    "sagemaker/microsoft/phi-4": 14e9,
}
"""As their model cards say (Mistral-Small-24B-Instruct-2501, Mistral-Large-Instruct-2407, phi-4); all are dense."""

FLOPS_CASCADES: tuple[tuple[str, str], ...] = (
    ("b4vEwq8UVmGmAKh4eqp6G3", "bHLfPfZj8HgD9Gef75NtrM"),  # mistral-small -> mistral-large
    ("5mmrBSQb7hVSJ9VYtNm46i", "bHLfPfZj8HgD9Gef75NtrM"),  # phi-4 -> mistral-large: the small one is the better one
)
"""Runs of models of public size. Their tokens were recorded in sum alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """A small and a large model on the same problems; both pools count generated tokens and have a price.

    Attributes:
        name: of both.
        small: its pool.
        large: its pool, of the same problems in the same order.
        unit: of the costs.
        estimated: tokens of single samples are estimates, from their characters and the tokens of the whole run.
    """

    name: str
    small: Pool
    large: Pool
    unit: str = "dollars"
    estimated: bool = False


def cascades(rows: Rows, runs: Sequence[Mapping[str, Any]]) -> list[Cascade]:
    """The pairs of :data:`CASCADES` at their list prices, and of :data:`FLOPS_CASCADES` in petaFLOPs for dollars.

    A generated token takes two FLOPs a parameter; prompts, which a prefix cache reads once, are left out there.

    Args:
        rows: of the file.
        runs: of its meta file, whose totals of tokens scale characters where samples have no tokens.
    """
    totals = {run["run"]: run["header_tokens_out"] for run in runs}
    prompts = {run["run"]: run["header_tokens_in"] / run["samples"] for run in runs}
    found: list[Cascade] = []
    for pair in (*CASCADES, *FLOPS_CASCADES):
        pools = [_priced(rows, run, totals[run], prompts[run]) for run in pair]
        both = {p.id for p in pools[0].problems} & {p.id for p in pools[1].problems}
        small, large = (
            replace(p.of(both), problems=tuple(sorted(p.of(both).problems, key=lambda q: q.id))) for p in pools
        )
        if small.model == large.model:
            small, large = replace(small, thinking="low"), replace(large, thinking="high")
        estimated = any(p.info["tokens"] == "estimated" for p in pools)
        unit = "dollars" if pair in CASCADES else "petaFLOPs"
        name = f"{_short(small)} -> {_short(large)}"
        found.append(Cascade(name=name, small=small, large=large, unit=unit, estimated=estimated))
    return found


def _short(pool: Pool) -> str:
    name = pool.model.rpartition("/")[2].partition("-20")[0]
    return f"{name}, {pool.thinking} thinking" if pool.thinking else name


def _priced(rows: Rows, run: str, total: float, prompt: float) -> Pool:
    mine = [row for row in rows if row["run"] == run]
    recorded = [row for row in mine if has_tokens(row)]
    scale = 0.0
    if not recorded:
        recorded = [row for row in mine if "chars" in row]
        scale = total / sum(sum(row["chars"]) for row in recorded)

    def problem(row: Mapping[str, Any]) -> RecordedProblem:
        tokens = [round(scale * c) for c in row["chars"]] if scale else row["tokens_out"]
        made = of_row(row, row["problem"], tuple(map(float, tokens)))
        return made if made.prompt_tokens else replace(made, prompt_tokens=(round(prompt),) * len(made))

    model = mine[0]["model"]
    return Pool(
        name=f"otis_aime {model}",
        model=model,
        problems=tuple(map(problem, recorded)),
        price=LIST_PRICES[model] if model in LIST_PRICES else petaflops(ACTIVE_PARAMETERS[model]),
        info={"tokens": "estimated" if scale else "recorded", "run": run},
    )


def petaflops(parameters: float) -> Price:
    """What a million tokens take, in place of dollars."""
    return Price(prompt=0.0, generated=2 * parameters * 1e6 / 1e15)
