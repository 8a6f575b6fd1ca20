"""What a served model can do on each family of the suite ``arithmetic``: the table behind its levels.

    python benchmarks/families.py --per-family 100 --samples 8

It starts the bundled model (or takes the server that runs already); ``--base-url`` names another server.
Per family: the mean share p of right samples, the share of problems with p in (.2, .8), accuracy of a majority and of
votes weighted by self-certainty over all samples, what these gain over one sample (95% paired intervals over problems),
the share of problems that any sample solves, tokens per sample, and how many samples were cut or held no answer.
``--out`` keeps one line per sample for further analysis.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

from ttc.answer_type import same_answer
from ttc.cli.connection import connect
from ttc.evals.suite import Problem
from ttc.evals.suites.arithmetic import FAMILIES, Arithmetic
from ttc.ledger import Ledger
from ttc.models.vllm_server import VLLMServer
from ttc.session import Session
from ttc.statistics import paired_difference
from ttc.strategies.vote import Vote
from ttc.types import Candidate, Sampling
from ttc.verifier import make_verifier

IN_FLIGHT = 64

COLUMNS = (
    "family", "level", "problems", "mean p", "p in (.2,.8)", "majority", "gain", "weighted", "gain of weighted",
    "any right", "tokens", "cut", "no answer",
)  # fmt: skip


async def draw(problem: Problem, model: VLLMServer, args: argparse.Namespace) -> list[Candidate]:
    """Draw and score the samples of one problem."""
    sampling = Sampling(max_tokens=args.max_tokens, temperature=args.temperature, force_answer=0)
    verifier = make_verifier("self_certainty")
    session = Session(problem.query, model, Ledger(), verifier=verifier, sampling=sampling, seed=args.seed)
    async with session.sample(n=args.samples) as samples:
        drawn = [candidate async for candidate in samples]
    failed = [c for c in drawn if not c.sample.ok]
    if failed:
        sys.exit(f"{problem.query.id}: {failed[0].sample.error}")
    return await session.score(drawn)


def voted(problem: Problem, candidates: Sequence[Candidate], *, weighted: bool) -> bool:
    """Whether the vote of all samples is right."""
    vote = Vote(problem.query.answer_type, random.Random(problem.query.id))
    for candidate in candidates:
        # Without its score a candidate cannot break ties: a plain vote draws lots.
        vote.add(candidate if weighted else Candidate(candidate.answer, candidate.sample),
                 weight=(candidate.score or 0.0) if weighted else 1.0)  # fmt: skip
    leader = vote.leader()
    return leader is not None and right(problem, leader.members[0])


def right(problem: Problem, candidate: Candidate) -> bool:
    return candidate.answer is not None and same_answer(problem.query.answer_type, problem.gold, candidate.answer)


def row(name: str, level: str, drawn: Mapping[int, tuple[Problem, list[Candidate]]]) -> list[str]:
    """Summarise problems with their samples as one line of the table."""
    single = {str(i): [float(right(p, c)) for c in cs] for i, (p, cs) in drawn.items()}
    share = [sum(scores) / len(scores) for scores in single.values()]
    samples = [c for _, cs in drawn.values() for c in cs]
    cells = [name, level, str(len(drawn)), f"{_mean(share):.3f}", f"{_mean([0.2 < p < 0.8 for p in share]):.2f}"]
    for weighted in (False, True):
        votes = {str(i): [float(voted(p, cs, weighted=weighted))] for i, (p, cs) in drawn.items()}
        gain = paired_difference(votes, single)
        cells += [
            f"{_mean([v[0] for v in votes.values()]):.3f}",
            f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]",
        ]
    return [
        *cells,
        f"{_mean([p > 0 for p in share]):.2f}",
        f"{_mean([c.sample.usage.generated for c in samples]):.1f}",
        f"{_mean([c.sample.finish == 'length' for c in samples]):.3f}",
        f"{_mean([c.answer is None for c in samples]):.3f}",
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def line(problem: Problem, candidate: Candidate) -> dict[str, Any]:
    sample = candidate.sample
    return {
        "family": problem.query.tags["family"],
        "question": problem.query.prompt,
        "gold": problem.gold,
        "answer": candidate.answer,
        "right": right(problem, candidate),
        "text": sample.text,
        "tokens": sample.usage.generated,
        "score": candidate.score,
        "logprobs": [round(x, 4) for x in sample.logprobs],
    }


async def measure(args: argparse.Namespace) -> None:
    config = Arithmetic(per_family=args.per_family, seed=args.seed, families=args.families)
    suite = await anyio.to_thread.run_sync(config.load)
    limiter = anyio.CapacityLimiter(max(1, 2 * IN_FLIGHT // args.samples))
    async with connect(args.base_url or "", None, up=None if args.base_url else "smollm2") as model:
        print(f"{model.name}: {args.samples} samples a problem, T={args.temperature}, max_tokens={args.max_tokens}\n")
        print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
        for name in config.families:
            problems = [p for p in suite.problems if p.query.tags["family"] == name]
            drawn: dict[int, tuple[Problem, list[Candidate]]] = {}

            async def one(i: int, problem: Problem, into: dict[int, tuple[Problem, list[Candidate]]] = drawn) -> None:
                async with limiter:
                    into[i] = (problem, await draw(problem, model, args))

            began = time.perf_counter()
            async with anyio.create_task_group() as group:
                for i, problem in enumerate(problems):
                    group.start_soon(one, i, problem)
            print("| " + " | ".join(row(name, FAMILIES[name].level, drawn)) + " |", flush=True)
            tokens = sum(c.sample.usage.generated for _, cs in drawn.values() for c in cs)
            seconds = time.perf_counter() - began
            print(f"{name}: {tokens} tokens in {seconds:.0f} s, {tokens / seconds:.0f} tokens/s", file=sys.stderr)
            if args.out:
                with args.out.open("a") as file:
                    file.writelines(json.dumps(line(p, c)) + "\n" for p, cs in drawn.values() for c in cs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url")
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--per-family", type=int, default=100)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--max-tokens", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    anyio.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
