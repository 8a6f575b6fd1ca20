"""``ttc tune``: what it refuses before any work, what it writes, and what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ttc.adaptive.policy import Policy
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.cli import app
from ttc.errors import ConfigurationError, TTCError
from ttc.models.population import Population
from ttc.pool_files import write_pool
from ttc.pools import Pool, RecordedProblem

RUN = CliRunner()
WHOLE = simulated_pool(Population(p=(1.0, 1.0), wrong=(3, 2, 1)), problems=40, width=8)
POOL = replace(
    WHOLE,
    problems=tuple(replace(p, tags={"family": "sums" if i % 2 else "words"}) for i, p in enumerate(WHOLE.problems)),
    info={"concurrency": 7},
)
QUICK = ("--estimator", "none", "--orders", "1", "--folds", "2")


def tune(*arguments: str | Path) -> str:
    done = RUN.invoke(app, ["tune", *map(str, arguments)], env={"COLUMNS": "100"})
    if isinstance(done.exception, TTCError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.jsonl.gz"
    write_pool(POOL, path)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "policy.toml"


def test_a_policy_is_written_and_shown(pool: Path, out: Path) -> None:
    said = tune(pool, "--out", out, *QUICK)
    policy = Policy.read(out)
    assert policy.calibrated
    assert all(policy.tuned_on(p.id) for p in POOL.problems)
    assert "tuned on 40 problems" in said
    assert "tuned for --margin 0.02" in said
    assert "what recording cost is not known" in said
    assert f"--policy {out}" in said


def test_the_same_as_json(pool: Path, out: Path) -> None:
    found = json.loads(tune(pool, "--out", out, "--json", "--budget", "1500", *QUICK))
    assert found["policy"] == str(out)
    assert found["expected"]["problems"] == 40
    assert [point["rate"] for point in found["frontier"]] == sorted(point["rate"] for point in found["frontier"])


def test_classes_of_tags_have_rows(pool: Path, out: Path) -> None:
    tune(pool, "--out", out, "--tags", "family", "--loss", ".02", *QUICK)
    assert {row.query_class for row in Policy.read(out).rows} == {"sums", "words", "default"}


def test_a_price_turns_costs_into_dollars(pool: Path, out: Path) -> None:
    tune(pool, "--out", out, "--price", "simulated=1/2", "--dollars", "0.01", *QUICK)
    assert Policy.read(out).unit == "dollars"


def test_what_is_judged_by_few_is_tuned_without_gold(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "few.jsonl"
    problems = tuple(p if i < 25 else replace(p, right=(None,) * len(p)) for i, p in enumerate(POOL.problems))
    write_pool(replace(POOL, problems=problems), path)
    said = tune(path, "--out", out, "--gold-free", *QUICK)
    assert not Policy.read(out).calibrated
    assert "15 problems without verdicts" in said
    plain = tune(path, "--out", out, *QUICK)
    assert "15 of the 40 problems of pool simulated have no verdicts: they are left out" in plain
    assert "tuned on 25 problems" in plain


def test_one_narrow_problem_does_not_make_all_narrow(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "narrow.jsonl"
    first = POOL.problems[0]
    one = RecordedProblem(id="one", answers=first.answers[:1], right=first.right[:1], generated=first.generated[:1])
    write_pool(replace(POOL, problems=(*POOL.problems, one)), path)
    said = tune(path, "--out", out, *QUICK)
    assert "1 of the 41 problems of pool simulated have fewer than half of the usual 8 samples" in said
    assert Policy.read(out).provenance.search["n"] == 8  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--budget", "10"), r"--budget 10 is below one sample: one sample costs [\d,]+ thinking tokens a query here"),
        (("--budget", "1500", "--estimator", "probe"), r"a probe of 4 alone costs [\d,]+ thinking.*smaller --probe"),
        (("--accuracy", ".99", *QUICK), r"an accuracy of 0.99 is out of reach: the most of any plan is 0\.\d+"),
        (("--accuracy", "9"), "--accuracy 9: must be from 0 to 1"),
        (("--budget", "900", "--loss", ".1"), "--budget and --loss are several aims"),
        (("--p95-seconds", "3", *QUICK), "does not say how long its samples took"),
        (("--tags", "nosuch"), "no problem has the tag 'nosuch'; there are: family"),
        (("--tags", "family", "--clusters"), "all sort queries: give one"),
        (("--price", "zz=1/2"), "--price zz=...: no pool is of that model, but of simulated"),
        (("--price", "simulated=cheap"), "as in small=0.10/0.40"),
        (("--price", "simulated=1/0"), "cost nothing"),
        (("--price", "simulated=nan/1"), "as in small=0.10/0.40"),
        (("--price", "simulated=-1/1"), "as in small=0.10/0.40"),
        (("--verifier", "nosuch", *QUICK), "no pool holds scores of verifier 'nosuch'; they hold: simulated"),
        (("-s", "knockout", *QUICK), "cannot be replayed sample by sample"),
        (("-s", "majority:n=4", *QUICK), "leave n out"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_line(pool: Path, out: Path, options: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        tune(pool, "--out", out, *options)
    assert not out.exists()


@pytest.mark.parametrize("name", ["pool.jsonl.gz", "policy.json"])
def test_a_source_is_never_written_over(pool: Path, name: str) -> None:
    before = pool.read_bytes()
    with pytest.raises(ConfigurationError, match=r"name a file that ends in \.toml"):
        tune(pool, "--out", pool.parent / name)
    assert pool.read_bytes() == before


def test_one_problem_is_too_few(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "one.jsonl"
    write_pool(replace(POOL, problems=POOL.problems[:1]), path)
    with pytest.raises(ConfigurationError, match="1 problem: it takes 10 to tune on some"):
        tune(path, "--out", out, *QUICK)


def test_a_pool_that_is_not_there_is_named(tmp_path: Path, out: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nope\.jsonl: there is no such file"):
        tune(tmp_path / "nope.jsonl", "--out", out)


def test_thoughts_that_no_policy_can_ask_for_are_refused_first(tmp_path: Path, out: Path) -> None:
    paths: list[Path] = []
    for thinking in ("8k", "off"):
        path = tmp_path / f"{thinking}.jsonl"
        write_pool(replace(POOL, thinking=thinking), path)
        paths.append(path)
    with pytest.raises(ConfigurationError, match="no policy can ask for thinking '8k'"):
        tune(*paths, "--out", out, *QUICK)


def test_seconds_come_with_their_load(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "timed.jsonl"
    timed = replace(POOL, problems=tuple(replace(p, seconds=(0.5,) * len(p)) for p in POOL.problems))
    write_pool(timed, path)
    said = tune(path, "--out", out, "--p95-seconds", "2", *QUICK)
    assert "recorded with 7 problems at a time" in said


def test_calls_of_a_verifier_are_in_the_costs(tmp_path: Path, out: Path) -> None:
    """A judge that writes 900 tokens a score makes best-of-N dearer than a vote of as many samples."""
    costs: list[float] = []
    for judge in (0.0, 900.0):
        path = tmp_path / f"{judge:g}.jsonl"
        written: Pool = replace(POOL, cost={"generate": 1.0, "judge": judge * 8 * len(POOL)})
        write_pool(written, path)
        tune(path, "--out", out, "-s", "best_of_n", "--loss", "0", *QUICK)
        expected = Policy.read(out).provenance.expected_against  # pyright: ignore[reportOptionalMemberAccess]
        assert expected is not None
        costs.append(expected.cost)
    assert costs[1] > costs[0] + 800
