"""``ttc verify``: a suite's reference solutions, run on its own tests in the sandbox."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import orjson
import typer
from rich.console import Console
from rich.table import Table

from ttc.cli.completion import suite_names
from ttc.cli.counting import counting
from ttc.cli.unsafe import UnsafeLocalExec
from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from ttc.evals.suite import Suite

__all__ = ["verify"]


@dataclass(frozen=True, slots=True)
class _Failure:
    """A test that a reference solution does not pass; the first one of its problem."""

    id: str
    test: str
    status: str
    detail: str
    others: int


def verify(
    suite: Annotated[
        str, typer.Option("--suite", help="e.g. humaneval:path=FILE (see 'ttc list').", autocompletion=suite_names)
    ],
    canonical: Annotated[bool, typer.Option("--canonical", help="Run the suite's reference solutions.")] = False,
    unsafe_local_exec: UnsafeLocalExec = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a suite and this machine: every reference solution must pass its public and hidden tests in the sandbox.

    Exits with 1 if one does not.
    """
    from ttc.evals.suite import load_suite
    from ttc.verifiers.code import shared_sandbox

    if not canonical:
        raise ConfigurationError(
            f"say what to verify: --canonical runs the reference solutions of {suite}; completions of a model are "
            f"graded by 'ttc grade FILE --suite {suite}'"
        )
    loaded = load_suite(suite)
    missing = [p.query.id for p in loaded.problems if not p.reference]
    if len(missing) == len(loaded.problems):
        raise ConfigurationError(f"{suite} has no reference solutions: --canonical needs one that has, such as mbpp")
    if missing:
        raise ConfigurationError(f"{suite} has no reference solution for {len(missing)} problems, e.g. {missing[0]}")
    console = Console(stderr=True)
    with counting(console, len(loaded.problems), "programs") as count:
        failures, seconds, elapsed = anyio.run(_run, loaded, count)
    report = _report(loaded, failures, seconds, elapsed, shared_sandbox().isolation)
    _show(report, failures, as_json=json)
    if failures:
        raise typer.Exit(1)


async def _run(suite: Suite, count: Callable[[], None]) -> tuple[list[_Failure], list[float], float]:
    """Run every reference, as many at a time as the sandbox does, so that no time is one of waiting."""
    from ttc.evals.grading import TestsGrader
    from ttc.verifiers.code import shared_sandbox

    grader = suite.grader if isinstance(suite.grader, TestsGrader) else TestsGrader()
    await grader.prepare()
    todo = iter(suite.problems)
    failures: list[_Failure] = []
    seconds: list[float] = []

    async def work() -> None:
        for problem in todo:
            tests = (*problem.tests, *problem.query.public_tests)
            began = time.monotonic()
            results = await grader.check(problem, problem.reference, tests)
            seconds.append(time.monotonic() - began)
            bad = [(t, r) for t, r in zip(tests, results, strict=True) if not r.passed]
            if bad:
                test, result = bad[0]
                text = test if isinstance(test, str) else orjson.dumps(dict(test)).decode()
                failures.append(_Failure(problem.query.id, text, result.status, result.detail, len(bad) - 1))
            count()

    start = time.monotonic()
    async with anyio.create_task_group() as group:
        for _ in range(shared_sandbox().size):
            group.start_soon(work)
    elapsed = time.monotonic() - start
    order = {problem.query.id: i for i, problem in enumerate(suite.problems)}
    return sorted(failures, key=lambda f: order[f.id]), seconds, elapsed


def _report(
    suite: Suite, failures: Sequence[_Failure], seconds: Sequence[float], elapsed: float, isolation: str
) -> dict[str, Any]:
    cuts = statistics.quantiles(seconds, n=20, method="inclusive") if len(seconds) > 1 else [*seconds] * 19
    return {
        "suite": suite.name,
        "problems": len(suite.problems),
        "passed": len(suite.problems) - len(failures),
        "tests": sum(len(p.tests) + len(p.query.public_tests) for p in suite.problems),
        "isolation": isolation,
        "median_ms": round(1000 * statistics.median(seconds), 2),
        "p95_ms": round(1000 * cuts[18], 2),
        "per_second": round(len(seconds) / elapsed, 1),
        "seconds": round(elapsed, 2),
        "failed": [asdict(failure) for failure in failures],
    }


def _show(report: dict[str, Any], failures: Sequence[_Failure], *, as_json: bool) -> None:
    if as_json:
        print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
        return
    console = Console()
    if failures:
        table = Table(box=None, pad_edge=False)
        for column in ("problem", "how", "test", "why"):
            table.add_column(column, overflow="fold")
        for f in failures:
            more = f" (and {f.others} more)" if f.others else ""
            table.add_row(f.id, f.status, f.test.strip()[-200:] + more, f.detail[:300])
        console.print(table, highlight=False, markup=False)
    kinds = Counter(f.status for f in failures)
    how = f" ({', '.join(f'{n} {status}' for status, n in sorted(kinds.items()))})" if kinds else ""
    lines = [
        f"{report['passed']}/{report['problems']} reference solutions of {report['suite']} pass{how}",
        f"an execution runs all tests of a problem ({report['tests']} in all): median {report['median_ms']} ms, "
        f"p95 {report['p95_ms']} ms, {report['per_second']} executions/s",
        f"isolation: {report['isolation']}",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
