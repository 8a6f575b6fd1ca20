"""What a served model can do on the suite ``tiny_code``: the table in the suite's docstring.

    python benchmarks/tiny_code.py --samples 8

It starts the bundled model (or takes the server that runs already); ``--base-url`` names another server.
Per level: the mean share p of samples that pass the hidden tests, the share of problems with p in (.2, .8), the share
of problems that any sample solves, the share of samples that pass the public tests and how many of those pass the
hidden ones too, the accuracy of a sample that passes the public tests (any sample where none does), its gain over one
sample (95% paired interval over problems), tokens per sample, and how many samples were cut or held no program.
``--out`` keeps one line per sample for further analysis.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from ttc.cli.connection import connect
from ttc.evals.problem import Problem
from ttc.evals.suite import Suite, load_suite
from ttc.ledger import Ledger
from ttc.models.vllm_server import VLLMServer
from ttc.session import Session
from ttc.statistics import paired_difference
from ttc.types import Candidate, Sampling
from ttc.verifiers.code import shared_sandbox

IN_FLIGHT = 64

COLUMNS = (
    "level", "problems", "mean p", "p in (.2,.8)", "any right", "public", "right of public", "with public", "gain",
    "tokens", "cut", "no program",
)  # fmt: skip


@dataclass(frozen=True)
class Graded:
    """A candidate with what its tests say."""

    candidate: Candidate
    public: bool
    right: bool


async def draw(suite: Suite, problem: Problem, model: VLLMServer, args: argparse.Namespace) -> list[Graded]:
    """Draw the samples of one problem and run their tests."""
    sampling = Sampling(max_tokens=args.max_tokens, temperature=args.temperature, force_answer=0)
    session = Session(problem.query, model, Ledger(), sampling=sampling, seed=args.seed)
    async with session.sample(n=args.samples) as samples:
        drawn = [candidate async for candidate in samples]
    failed = [c for c in drawn if not c.sample.ok]
    if failed:
        sys.exit(f"{problem.query.id}: {failed[0].sample.error}")
    return [await graded(suite, problem, candidate) for candidate in drawn]


async def graded(suite: Suite, problem: Problem, candidate: Candidate) -> Graded:
    if candidate.answer is None:
        return Graded(candidate, public=False, right=False)
    shown = await shared_sandbox().check(candidate.answer, problem.query.public_tests)
    right = await suite.grade(problem, candidate.answer) == "right"
    return Graded(candidate, public=all(test.status == "passed" for test in shown), right=right)


def row(level: str, problems: Sequence[list[Graded]]) -> list[str]:
    """Summarise problems with their samples as one line of the table."""
    single = {str(i): [float(g.right) for g in drawn] for i, drawn in enumerate(problems)}
    chosen = {
        str(i): [_mean([float(g.right) for g in drawn if g.public] or [float(g.right) for g in drawn])]
        for i, drawn in enumerate(problems)
    }
    gain = paired_difference(chosen, single)
    share = [_mean(scores) for scores in single.values()]
    every = [g for drawn in problems for g in drawn]
    public = [g.right for g in every if g.public]
    return [
        level,
        str(len(problems)),
        f"{_mean(share):.3f}",
        f"{_mean([0.2 < p < 0.8 for p in share]):.2f}",
        f"{_mean([p > 0 for p in share]):.2f}",
        f"{len(public) / len(every):.3f}",
        f"{_mean(public):.3f}" if public else "-",
        f"{_mean([scores[0] for scores in chosen.values()]):.3f}",
        f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]",
        f"{_mean([g.candidate.sample.usage.generated for g in every]):.1f}",
        f"{_mean([g.candidate.sample.finish == 'length' for g in every]):.3f}",
        f"{_mean([g.candidate.answer is None for g in every]):.3f}",
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def line(problem: Problem, drawn: Graded) -> dict[str, Any]:
    sample = drawn.candidate.sample
    return {
        "id": problem.query.id,
        "level": problem.query.tags["level"],
        "answer": drawn.candidate.answer,
        "public": drawn.public,
        "right": drawn.right,
        "text": sample.text,
        "tokens": sample.usage.generated,
    }


async def measure(args: argparse.Namespace) -> None:
    suite = load_suite("tiny_code")
    limiter = anyio.CapacityLimiter(max(1, 2 * IN_FLIGHT // args.samples))
    drawn: dict[int, list[Graded]] = {}
    async with connect(args.base_url or "", None, up=None if args.base_url else "smollm2") as model:
        print(f"{model.name}: {args.samples} samples a problem, T={args.temperature}, max_tokens={args.max_tokens}\n")

        async def one(i: int, problem: Problem) -> None:
            async with limiter:
                drawn[i] = await draw(suite, problem, model, args)

        began = time.perf_counter()
        async with anyio.create_task_group() as group:
            for i, problem in enumerate(suite.problems):
                group.start_soon(one, i, problem)
        seconds = time.perf_counter() - began
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for level in ("easy", "medium", "hard", "all"):
        which = [d for i, d in drawn.items() if level in ("all", suite.problems[i].query.tags["level"])]
        print("| " + " | ".join(row(level, which)) + " |")
    tokens = sum(g.candidate.sample.usage.generated for d in drawn.values() for g in d)
    print(f"{tokens} tokens in {seconds:.0f} s, {tokens / seconds:.0f} tokens/s", file=sys.stderr)
    if args.out:
        with args.out.open("w") as file:
            file.writelines(json.dumps(line(suite.problems[i], g)) + "\n" for i, d in drawn.items() for g in d)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--max-tokens", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    anyio.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
