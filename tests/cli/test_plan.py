"""``ttc plan``: what to run for a failure, from p and q as given or as a run shows them."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner

import ttc
from ttc.cli import app
from ttc.errors import ConfigurationError, RunError, TTCError
from ttc.evals.records import Meetings, UnitRecord
from ttc.evals.store import Store
from ttc.types import Outcome

RUN = CliRunner()


def run(*arguments: str, code: int = 0) -> str:
    done = RUN.invoke(app, ["plan", *arguments], env={"COLUMNS": "80"})
    if isinstance(done.exception, TTCError):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout


def stored(runs: Path, *, right: int, won: int, of: int = 10, problems: int = 60) -> str:
    """A run whose samples are right in ``right`` tenths and whose comparisons are won in ``won`` tenths."""

    async def store() -> None:
        with Store(runs / "mine") as kept:
            for i in range(problems):
                lean = 1 if i % 2 else -1  # problems differ
                met = Meetings(
                    compared=of, decisive=of, right_points=won + lean, first_points=of / 2,
                    samples=of, samples_right=right + lean,
                )  # fmt: skip
                outcome = Outcome(query_id=str(i), answer="7", candidate=None, ended_by="finished", usage={}, calls={})
                await kept.add_unit(
                    UnitRecord(
                        key=str(i), suite="toy", problem=str(i), strategy="knockout", spec="knockout", outcome=outcome,
                        correct=True, meetings=met if of else None,
                    )
                )  # fmt: skip

    anyio.run(store)
    return "mine"


def test_a_plan_says_size_calls_failure_and_bound() -> None:
    planned = ttc.plan(p_gen=0.2, q=0.7, failure=0.05)
    out = run("--p", ".2", "--q", ".7", "--failure", ".05")
    head, row = (line.split() for line in out.splitlines()[:2])
    shown = dict(zip(head, row, strict=True))
    assert (shown["N"], shown["K"], shown["calls"]) == (str(planned.n), str(planned.k), str(planned.calls))
    assert float(shown["failure"]) == pytest.approx(planned.failure, abs=1e-4)
    assert float(shown["bound"]) == pytest.approx(planned.bound, abs=1e-3)
    assert f"--strategy {planned.spec}" in out


def test_a_plan_as_data() -> None:
    data = json.loads(run("--p", ".2", "--q", ".7", "--failure", ".3", "--tournament", "league", "--json"))
    planned = ttc.plan(p_gen=0.2, q=0.7, failure=0.3, tournament="league")
    assert data["spec"] == planned.spec
    assert (data["n"], data["k"], data["failure"]) == (planned.n, planned.k, planned.failure)


def test_a_run_gives_the_estimates_and_a_conservative_plan(tmp_path: Path) -> None:
    name = stored(tmp_path, right=4, won=8)
    measured = ttc.plan_from(name, failure=0.1, runs=tmp_path)
    assert measured.plan is not None
    assert measured.safe is not None
    out = run(name, "--failure", ".1", "--runs", str(tmp_path))
    assert f"p 0.400 [{measured.p_gen.low:.3f}, {measured.p_gen.high:.3f}] on 60 problems" in out
    assert f"q 0.800 [{measured.q.low:.3f}, {measured.q.high:.3f}] on 60 problems" in out
    assert f"at the estimates: --strategy {measured.plan.spec}" in out
    assert f"conservative: --strategy {measured.safe.spec}" in out
    data = json.loads(run(name, "--failure", ".1", "--runs", str(tmp_path), "--json"))
    assert (data["plan"]["spec"], data["conservative"]["spec"]) == (measured.plan.spec, measured.safe.spec)
    assert data["q"]["value"] == measured.q.value


def test_a_comparator_that_is_no_better_than_a_coin_gives_no_plan(tmp_path: Path) -> None:
    name = stored(tmp_path, right=4, won=5)
    out = run(name, "--runs", str(tmp_path), code=1)
    assert "q is not credibly above 1/2, and where it is not a knockout does not beat voting" in out
    assert "does not beat voting; use majority" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["--p", ".2"], ConfigurationError, "give --p and --q"),
        ([], ConfigurationError, "give --p and --q"),
        (["run", "--p", ".2"], ConfigurationError, "leave out --p and --q"),
        (["--p", ".2", "--q", ".4"], ConfigurationError, "use majority"),
        (["--p", "2", "--q", ".7"], ConfigurationError, "p_gen=2"),
        (["--p", ".2", "--q", ".7", "--failure", "0"], ConfigurationError, "failure=0"),
        (["--p", ".02", "--q", ".55", "--n-max", "8"], ConfigurationError, "the least is"),
        (["nothing"], RunError, "there is no run 'nothing'"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], error: type[TTCError], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)


def test_a_run_without_comparisons_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"run a knockout first, e\.g\. 'ttc eval toy -s single -s knockout"):
        run(stored(tmp_path, right=1, won=1, of=0), "--runs", str(tmp_path))
