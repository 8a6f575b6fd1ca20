"""What selection by model-written tests is worth on recorded programs: pass rate, agreement and validity weighting.

    python benchmarks/codet.py path/to/codet_humaneval_codegen16b_n100.jsonl.gz [--execute 300]

The pool holds 100 programs a problem, which of up to 30 model-written asserts each passes, and whether it passes the
hidden tests. For each N, N programs are drawn without replacement; the best one by each score is taken, ties by their
mean. The scores are those that the verifiers use (``ttc.verifiers.code.scoring``), on the recorded bits.

``--execute K`` runs K of the programs, drawn by seed, against their asserts in the sandbox, and compares the bits with
the recorded ones. It needs the prompts of HumanEval (``--prompts HumanEval.jsonl.gz``, by default beside the pool).
"""

from __future__ import annotations

import argparse
import gzip
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import orjson

from ttc.verifiers.code import Limits, shared_sandbox
from ttc.verifiers.code.scoring import Passed, agreement_score, pass_rate, validity_weighted

SCORES: Mapping[str, Callable[[Passed], list[float]]] = {
    "pass rate": pass_rate,
    "agreement": agreement_score,
    "validity weighted": validity_weighted,
}
SIZES = (1, 4, 16, 64, 100)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file, gzipped or not."""
    raw = path.read_bytes()
    return [orjson.loads(line) for line in (gzip.decompress(raw) if path.suffix == ".gz" else raw).splitlines()]


def passed_of(row: Mapping[str, Any]) -> list[list[bool]]:
    """Which tests each of a problem's samples passes; no record at all is that of a program that passed none."""
    nothing = "0" * len(row["gen_tests"])
    return [[bit == "1" for bit in answer or nothing] for answer in row["answers"]]


def chosen(scores: Sequence[float], right: Sequence[float]) -> float:
    """How often the best-scored one is right, where equal ones go by lot."""
    best = max(scores)
    among = [r for s, r in zip(scores, right, strict=True) if s >= best - 1e-12]
    return sum(among) / len(among)


def accuracies(rows: Sequence[Mapping[str, Any]], *, draws: int, seed: int = 0) -> dict[str, dict[int, list[float]]]:
    """Accuracy by score, N and problem: the mean over so many draws of N of the problem's samples."""
    found = {name: {n: list[float]() for n in SIZES} for name in SCORES}
    for row in rows:
        passed, right = passed_of(row), row["correct"]
        rng = random.Random(f"{seed} {row['id']}")
        orders = [rng.sample(range(len(right)), len(right)) for _ in range(draws)]
        for n in SIZES:
            picks = [order[:n] for order in orders[: 1 if n == len(right) else draws]]
            for name, score in SCORES.items():
                values = [chosen(score([passed[i] for i in pick]), [right[i] for i in pick]) for pick in picks]
                found[name][n].append(sum(values) / len(values))
    return found


def program_of(row: Mapping[str, Any], prompt: str, code: int) -> str:
    """A whole program: the recorded ones are what follows the prompt."""
    return f"{prompt}{row['codes'][code]}"


async def execute(
    rows: Sequence[Mapping[str, Any]], prompts: Mapping[str, str], *, samples: int, seed: int = 0, seconds: float = 4.0
) -> list[dict[str, Any]]:
    """Run programs drawn by seed against their recorded asserts; one record per program and assert."""
    unique = [(i, code) for i, row in enumerate(rows) if row["gen_tests"] for code in range(len(row["codes"]))]
    picked = random.Random(seed).sample(unique, min(samples, len(unique)))
    compared: list[dict[str, Any]] = []

    async def one(i: int, code: int) -> None:
        row = rows[i]
        tests = [f"assert {test}" for test in row["gen_tests"]]
        recorded = passed_of(row)[row["code_idx"].index(code)]
        program = program_of(row, prompts[row["id"]], code)
        results = await shared_sandbox().check(
            program,
            tests,
            entry_point=row["entry_point"],
            setup=prompts[row["id"]] + "    pass\n",
            limits=Limits(seconds=seconds, total_seconds=30 * seconds),
        )
        for test, result, bit in zip(tests, results, recorded, strict=True):
            compared.append(
                {"id": row["id"], "code": code, "test": test, "recorded": bit, "found": result.passed,
                 "status": result.status, "detail": result.detail}
            )  # fmt: skip

    async with anyio.create_task_group() as group:
        for i, code in picked:
            group.start_soon(one, i, code)
    return sorted(compared, key=lambda c: (c["id"], c["code"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--draws", type=int, default=50, help="random draws of N samples a problem")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--execute", type=int, default=0, metavar="K", help="programs to run anew")
    parser.add_argument("--prompts", type=Path, help="HumanEval.jsonl.gz")
    args = parser.parse_args()
    rows = rows_of(args.pool)
    single = [sum(row["correct"]) / len(row["correct"]) for row in rows]
    print(
        f"{len(rows)} problems; single {_mean(single):.3f}, any of 100 {_mean([max(r['correct']) for r in rows]):.3f}\n"
    )
    print(f"| N | {' | '.join(SCORES)} |\n|---|{'---|' * len(SCORES)}")
    found = accuracies(rows, draws=args.draws, seed=args.seed)
    for n in SIZES:
        print(f"| {n} | {' | '.join(f'{_mean(found[name][n]):.3f}' for name in SCORES)} |")
    if args.execute:
        where = args.prompts or args.pool.parent.parent / "datasets" / "HumanEval.jsonl.gz"
        if not where.exists():
            sys.exit(f"no {where}: name HumanEval.jsonl.gz with --prompts")
        prompts = {row["task_id"]: row["prompt"] for row in rows_of(where)}
        start = time.perf_counter()
        compared = anyio.run(lambda: execute(rows, prompts, samples=args.execute, seed=args.seed))
        report(compared, args.execute, time.perf_counter() - start)


def report(compared: Sequence[Mapping[str, Any]], programs: int, seconds: float) -> None:
    """Print how many bits are the recorded ones, and those that are not by how they ended."""
    others = [c for c in compared if c["found"] != c["recorded"]]
    share = 1 - len(others) / max(1, len(compared))
    print(f"\n{programs} programs, {len(compared)} bits in {seconds:.1f} s: {share:.4%} are the recorded ones")
    kinds = sorted({(c["recorded"], c["status"]) for c in others})
    for recorded, status in kinds:
        those = [c for c in others if (c["recorded"], c["status"]) == (recorded, status)]
        print(f"\nrecorded {'passed' if recorded else 'not passed'}, now {status}: {len(those)}")
        for c in those[:5]:
            print(f"  {c['id']} program {c['code']}: {c['test'][:100]} -> {c['detail'][:160]}")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
