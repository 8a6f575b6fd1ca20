"""q is estimated from graded comparisons, clustered on problems, and said beside every tournament."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from tests.evals.test_store import OLDER
from ttc import registry
from ttc.errors import ConfigurationError, RunError
from ttc.evals.config import EvalConfig
from ttc.evals.records import Meetings, UnitRecord
from ttc.evals.report.tables import judging_rows
from ttc.evals.runner import run_eval
from ttc.evals.scaling import summarise, summary_from_json, summary_to_json
from ttc.evals.store import FILE, Store, read_units
from ttc.evals.suite import Problem, Suite
from ttc.evals.summary import Judging
from ttc.evals.tables import footnotes, judging_line
from ttc.evals.tournaments import events, judge_meetings, judging_of, plan_from
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.statistics import mean
from ttc.strategy import Strategy
from ttc.types import Candidate, Outcome, Query, Request


def met(a: str | None, b: str | None, *, won: float, first: str = "a") -> dict[str, Any]:
    return {"event": "compare", "a": 0, "b": 1, "answers": [a, b], "first": first, "won": won}


def right(answer: str | None) -> bool:
    return answer == "7"


def unit(problem: int, meetings: Meetings | None, *, spec: str = "knockout:n=4", epoch: int = 0) -> UnitRecord:
    name, _, n = spec.partition(":n=")
    outcome = Outcome(query_id=str(problem), answer="7", candidate=None, ended_by="finished", usage={}, calls={})
    key = f"{spec} {problem} {epoch}"
    setting = int(n) if n else None
    return UnitRecord(
        key=key, suite="toy", problem=str(problem), epoch=epoch, strategy=name, spec=spec, setting=setting,
        outcome=outcome, correct=True, meetings=meetings,
    )  # fmt: skip


def meetings(won: float, of: int, **more: Any) -> Meetings:
    counts: dict[str, Any] = {"compared": of, "decisive": of, "right_points": won, "first_points": of / 2}
    return Meetings(**(counts | more))


# -- counting ----------------------------------------------------------------------------------------------------------


def test_comparisons_are_found_however_deep_they_lie() -> None:
    inner = {"event": "match", "events": [met("7", "8", won=1), {"event": "branch", "events": [met("8", "7", won=1)]}]}
    trace = [met("7", "8", won=0), {"event": "round", "events": [inner]}]
    assert [e["answers"] for e in events(trace, "compare")] == [["7", "8"], ["7", "8"], ["8", "7"]]


def test_only_comparisons_of_a_right_and_a_wrong_one_tell_of_q() -> None:
    trace = [
        {"event": "sample", "kind": "generate", "answer": "7"},
        {"event": "sample", "kind": "generate", "answer": None},
        {"event": "sample", "kind": "judge", "answer": "7"},
        met("7", "8", won=1, first="a"),
        met("8", "7", won=1, first="a"),
        met("9", "7", won=0, first="b"),
        met("7", "9", won=0.5, first="b"),
        met("8", "9", won=1, first="a"),
        met("7", "7", won=1, first="b"),
        {"event": "tournament", "meetings": 6, "swap_pairs": 3, "swap_consistent": 2},
    ]
    assert judge_meetings(trace, right) == Meetings(
        compared=6,
        decisive=4,
        right_points=1 + 0 + 1 + 0.5,
        first_points=1 + 1 + 1 + 0.5 + 1 + 0,
        swap_pairs=3,
        swap_consistent=2,
        samples=2,
        samples_right=1,
    )


def test_samples_that_all_agree_count_though_none_had_to_meet() -> None:
    """Without them p would be that of the problems on which samples differ."""
    drawn = [{"event": "sample", "kind": "generate", "answer": "7"}] * 4
    end = {"event": "tournament", "meetings": 0, "swap_pairs": 0, "swap_consistent": 0}
    found = judge_meetings([*drawn, end], right)
    assert found == meetings(0, 0, samples=4, samples_right=4)
    assert (
        judging_line(judging(unit(0, found))) == "knockout n=4: no right candidate met a wrong one, so q is not known"
    )


def test_where_nothing_met_nothing_is_graded() -> None:
    def refuse(answer: str | None) -> bool:
        raise AssertionError(answer)

    old = {"event": "compare", "a": 0, "b": 1, "first": "a", "won": 1.0}  # of a version that noted no answers
    assert judge_meetings([{"event": "sample", "kind": "generate", "answer": "7"}, old], refuse) is None


# -- the estimate ------------------------------------------------------------------------------------------------------


def judging(*units: UnitRecord) -> Judging:
    (found,) = judging_of(units)
    return found


def test_the_interval_is_clustered_on_problems() -> None:
    scores = {"0": [1, 1, 0], "1": [1, 1, 1, 1], "2": [0], "3": [1, 0], "4": [1]}
    found = judging(*(unit(int(name), meetings(sum(points), len(points))) for name, points in scores.items()))
    expected = mean(scores)
    assert (found.q, found.low, found.high) == (expected.value, expected.low, expected.high)
    assert (found.comparisons, found.problems) == (11, 5)


def test_epochs_of_a_problem_are_one_problem() -> None:
    found = judging(*(unit(0, meetings(2, 3), epoch=i) for i in range(50)))
    assert (found.comparisons, found.problems) == (150, 1)
    assert (found.low, found.high) == (0, 1)  # one problem proves nothing


def test_swaps_and_slots_are_summed() -> None:
    first = meetings(3, 4, first_points=3, swap_pairs=2, swap_consistent=2)
    second = meetings(1, 4, first_points=2, swap_pairs=2, swap_consistent=0)
    found = judging(unit(0, first), unit(1, second))
    assert (found.swap_consistency, found.first_slot) == (0.5, 5 / 8)


@pytest.mark.parametrize(
    ("won", "of", "says"),
    [
        (19, 20, ""),
        (11, 20, "q is not credibly above 1/2: a knockout does not beat voting there"),
        (1, 20, "q is below 1/2: a knockout loses to voting there"),
    ],
)
def test_the_line_says_plainly_what_q_means(won: int, of: int, says: str) -> None:
    found = judging(*(unit(i, meetings(float(i < won), 1)) for i in range(of)))
    line = judging_line(found)
    assert line.startswith(f"knockout n=4: q {won / of:.2f}".replace("0.", ".", 1))
    assert f"over {of} comparisons of {of} problems" in line
    assert line.endswith(says or "the first slot wins .50")
    assert found.verdict == says


def test_without_a_decisive_comparison_q_is_not_known() -> None:
    found = judging(unit(0, meetings(0, 0, compared=3, first_points=2)))
    assert found.q is None
    assert judging_line(found) == (
        "knockout n=4: the first slot wins .67; no right candidate met a wrong one, so q is not known"
    )


def test_every_tournament_is_in_table_page_and_json_and_no_other_strategy() -> None:
    units = [unit(i, meetings(2, 3, swap_pairs=1, swap_consistent=1), spec=s) for i in range(9) for s in
             ("knockout:n=8", "knockout:n=4", "adaptive")]  # fmt: skip
    summary = summarise([*units, *(unit(i, None, spec="single") for i in range(9))])
    assert [(j.strategy, j.setting) for j in summary.judging] == [
        ("adaptive", ""), ("knockout", "n=4"), ("knockout", "n=8"),
    ]  # fmt: skip
    assert summary_from_json(summary_to_json(summary)) == summary
    assert [note for note in footnotes(summary) if "swap consistency 1.00" in note] == [
        judging_line(j) for j in summary.judging
    ]
    assert [row["q"] for row in judging_rows(summary)] == [".67"] * 3


def test_a_summary_of_an_older_version_has_no_judging() -> None:
    summary = summarise([unit(0, None)])
    data = orjson.loads(summary_to_json(summary))
    del data["judging"]
    raw = orjson.dumps(data)
    assert summary_from_json(raw) == summary


# -- in a run ----------------------------------------------------------------------------------------------------------

NUMBER = registry.create("answer type", "number")
SUITE = Suite("toy", [Problem(Query.of(f"What is {i} + 100?", answer_type=NUMBER), str(i + 100)) for i in range(30)])


class Pairs(Strategy):
    """Let the samples meet two by two."""

    n: int = 4

    async def solve(self, query: Query, session: Session) -> None:
        async with session.sample(n=self.n) as samples:
            drawn: list[Candidate] = [c async for c in samples]
        for a, b in zip(drawn[::2], drawn[1::2], strict=True):
            session.propose(a if (await session.compare(a, b)).won > 0.5 else b)


def reply(request: Request) -> str:
    """Right in half of the samples; a judge that picks the right one of two in .8 of the comparisons."""
    rng, prompt = random.Random(request.seed), str(request.messages[-1]["content"])
    gold = str(int(prompt.split("What is ")[1].split()[0]) + 100)
    if request.choices:
        a = f"answer is {gold}" in prompt.split("Solution B:")[0]
        return rng.choices("AB", (0.8, 0.2) if a else (0.2, 0.8))[0]
    return f"the answer is {rng.choice((gold, '5'))}"


async def run(tmp_path: Path, *strategies: Strategy | str) -> Path:
    settings: dict[str, Any] = {"comparator": "judge", "runs": tmp_path, "run_id": "mine"}
    config = EvalConfig(suites=(SUITE,), strategies=strategies, **settings)
    await run_eval(config, Scripted(reply))
    return tmp_path / "mine"


@pytest.mark.anyio
async def test_a_run_estimates_q_after_grading(tmp_path: Path) -> None:
    directory = await run(tmp_path, "single", Pairs(n=16))
    units = read_units(directory)
    assert [u.strategy for u in units if u.meetings is None] == ["single"] * 30
    (found,) = summarise(units).judging
    assert found.q is not None
    assert found.comparisons > 80
    assert abs(found.q - 0.8) < 4 * (0.8 * 0.2 / found.comparisons) ** 0.5
    planned = plan_from(directory, failure=0.2)
    assert planned.q.value == found.q
    assert abs(planned.p_gen.value - 0.5) < 4 * (0.25 / (30 * 16)) ** 0.5
    assert planned == plan_from("mine", failure=0.2, runs=tmp_path)


@pytest.mark.anyio
async def test_a_run_without_comparisons_says_how_to_get_some(tmp_path: Path) -> None:
    directory = await run(tmp_path, "single")
    with pytest.raises(
        ConfigurationError, match=r"holds no comparisons: run a knockout first, .*ttc eval toy .*knockout"
    ):
        plan_from(directory, failure=0.1)
    with pytest.raises(RunError, match="Did you mean 'mine'"):
        plan_from("mime", failure=0.1, runs=tmp_path)


@pytest.mark.anyio
async def test_a_store_of_an_older_version_is_read_and_gone_on_with(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        await store.add_unit(unit(1, meetings(1, 2)))
    with sqlite3.connect(tmp_path / FILE) as old:
        for version in (3, 2, 1):
            old.executescript(OLDER[version])
        old.execute("PRAGMA user_version=1")
    old.close()
    assert [u.meetings for u in read_units(tmp_path)] == [None]
    with Store(tmp_path) as store:
        await store.add_unit(unit(2, meetings(1, 2)))
    assert {u.problem: u.meetings for u in read_units(tmp_path)} == {"1": None, "2": meetings(1, 2)}


# -- planning ----------------------------------------------------------------------------------------------------------


def pool(
    p: float, q: float, *, problems: int = 200, seed: int = 1
) -> tuple[dict[str, list[bool]], dict[str, list[float]]]:
    rng = random.Random(seed)
    flags = {str(i): [rng.random() < p for _ in range(8)] for i in range(problems)}
    return flags, {name: [float(rng.random() < q) for _ in range(6)] for name in flags}


def test_a_pool_gives_estimates_with_intervals_and_a_plan_at_both_ends() -> None:
    flags, points = pool(0.4, 0.75)
    planned = plan_from(flags, comparisons=points, failure=0.05)
    assert planned.p_gen == mean({name: [float(f) for f in of] for name, of in flags.items()})
    assert planned.q == mean(points)
    assert planned.p_gen.low < 0.4 < planned.p_gen.high
    assert planned.plan is not None
    assert planned.safe is not None
    assert planned.plan.failure <= 0.05
    assert planned.safe.calls > planned.plan.calls


def test_samples_are_those_of_the_largest_tournament_once(tmp_path: Path) -> None:
    small, large = meetings(2, 3, samples=4, samples_right=4), meetings(3, 4, samples=8, samples_right=2)
    units = [unit(1, small, spec="knockout:n=4"), unit(1, large, spec="knockout:n=8"), unit(2, large)]
    assert counted(tmp_path, units) == (0.25, 8 / 11)


def counted(directory: Path, units: Sequence[UnitRecord]) -> tuple[float, float]:
    """What a run of these units says of p and q."""

    async def store() -> None:
        with Store(directory) as kept:
            for one in units:
                await kept.add_unit(one)

    anyio.run(store)
    planned = plan_from(directory, failure=0.1)
    return planned.p_gen.value, planned.q.value


@pytest.mark.parametrize(
    ("source", "points", "says"),
    [
        ({"a": [True]}, None, "says nothing of q"),
        ({"a": [True]}, {}, "says nothing of q"),
        (Path("there"), {"a": [1.0]}, "a run has its own"),
        ({"a": list[bool]()}, {"a": [1.0]}, "samples"),
    ],
)
def test_what_a_plan_cannot_be_made_of_is_said(source: Any, points: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        plan_from(source, comparisons=points, failure=0.1)


def test_a_run_whose_candidates_never_differed_says_nothing_of_q(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no right candidate met a wrong one"):
        counted(tmp_path, [unit(1, meetings(0, 0, compared=3, samples=4))])


def test_a_run_that_noted_no_answers_is_told_to_be_made_anew(tmp_path: Path) -> None:
    old = unit(1, None)
    trace = ({"event": "compare", "a": 0, "b": 1, "first": "a", "won": 1.0},)
    with pytest.raises(ConfigurationError, match="before comparisons were graded"):
        counted(tmp_path, [replace(old, outcome=replace(old.outcome, trace=trace))])
