"""Graders: three verdicts, made ready before anything is paid, and never half a verdict in the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ttc.errors import ConfigurationError
from ttc.evals.config import EvalConfig
from ttc.evals.grading import AnswerGrader, Grade, TestsGrader
from ttc.evals.judge_grader import JudgeGrader
from ttc.evals.learning import Row, train_learned
from ttc.evals.problem import Problem
from ttc.evals.report.run_card import warnings
from ttc.evals.runner import run_eval
from ttc.evals.store import read_units
from ttc.evals.suite import Suite
from ttc.evals.tables import footnotes
from ttc.models.scripted import Scripted
from ttc.types import Query, Sample
from ttc.verifiers.code import Limits
from ttc.verifiers.code.answer_type import CodeAnswer


@dataclass
class Strict:
    """Says what a function says, and is ready or not."""

    verdict: Callable[[Problem, str], Grade] = field(repr=False)
    missing: str = ""
    name: str = "strict"

    async def prepare(self) -> None:
        if self.missing:
            raise ConfigurationError(self.missing)

    async def grade(self, problem: Problem, answer: str) -> Grade:
        return self.verdict(problem, answer)


def suite(grader: Strict) -> Suite:
    return Suite(
        "three", [Problem(Query.of(f"{n}?", answer_type="number", id=str(n)), str(n)) for n in range(3)], {}, grader
    )


def config(tested: Suite, tmp_path: Path, *strategies: str) -> EvalConfig:
    return EvalConfig(
        suites=(tested,), strategies=strategies or ("single",), runs=tmp_path, run_id="r", comparator="judge"
    )


def model() -> Scripted:
    return Scripted(lambda request: "A" if request.choices else f"{request.messages[-1]['content'][0]}{request.index}")


@pytest.mark.anyio
async def test_what_is_not_decided_is_no_wrong_answer_and_is_shown(tmp_path: Path) -> None:
    verdicts: dict[str, Grade] = {"0": "right", "1": "wrong", "2": "undecided"}
    tested = suite(Strict(lambda problem, _: verdicts[problem.query.id]))
    run = await run_eval(config(tested, tmp_path), model())
    units = {u.problem: u for u in read_units(run.directory)}
    assert {name: (u.correct, u.undecided) for name, u in units.items()} == {
        "0": (True, False),
        "1": (False, False),
        "2": (False, True),
    }
    (point,) = run.summary.curves[0].points
    assert (point.accuracy, point.undecided) == (1 / 3, 1 / 3)
    assert "queries that the grader could not decide, counted as wrong: up to 33.3% (single)" in footnotes(run.summary)
    (said,) = warnings(run.summary, list(units.values()))
    assert said.startswith("1 of 3 queries were not decided")


@pytest.mark.anyio
async def test_a_grader_that_cannot_work_stops_the_run_before_its_first_call(tmp_path: Path) -> None:
    answers = model()
    with pytest.raises(ConfigurationError, match="no jail here"):
        await run_eval(config(suite(Strict(lambda *_: "right", missing="no jail here")), tmp_path), answers)
    assert answers.requests == []
    assert not (tmp_path / "r").exists()


@pytest.mark.anyio
async def test_a_grader_that_breaks_leaves_no_verdict_of_that_query(tmp_path: Path) -> None:
    def breaks(problem: Problem, answer: str) -> Grade:
        if problem.query.id == "1":
            raise ConfigurationError("the sandbox went away")
        return "right"

    settings = config(suite(Strict(breaks)), tmp_path).model_copy(update={"concurrency": 1})
    with pytest.raises(ConfigurationError, match="went away"):
        await run_eval(settings, model())
    assert [u.problem for u in read_units(tmp_path / "r")] == ["0"]
    answers = model()
    run = await run_eval(settings.model_copy(update={"suites": (suite(Strict(lambda *_: "right")),)}), answers)
    assert run.progress.skipped == 1
    assert [r.messages[-1]["content"] for r in answers.requests] == ["2?"]  # that of 1 was paid, and is replayed


@pytest.mark.anyio
async def test_each_different_answer_is_graded_once(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def verdict(problem: Problem, answer: str) -> Grade:
        asked.append((problem.query.id, answer))
        return "right" if answer.endswith("0") else "wrong"

    run = await run_eval(config(suite(Strict(verdict)), tmp_path, "knockout:n=4,k=2"), model())
    assert len(asked) == len(set(asked)) == 3 * 4
    (judging,) = run.summary.judging
    assert judging.comparisons > 0


@pytest.mark.anyio
async def test_the_gold_answer_is_the_first_of_the_two_and_no_model_is_asked() -> None:
    seen: list[tuple[str, str, object]] = []

    @dataclass(frozen=True)
    class Slow:
        name: str = "slow"
        cue: str = ""

        def extract(self, text: str) -> str | None:
            return text

        def concludes(self, text: str) -> bool:
            return True

        def key(self, answer: str) -> str:
            return answer

        def equivalent(self, a: str, b: str) -> bool:
            return a == b

        async def decide(self, a: str, b: str, session: object) -> str:
            seen.append((a, b, session))
            return {"2": "equal", "3": "undecided"}.get(b, "different")

    problem = Problem(Query.of("?", answer_type=Slow()), "1")  # type: ignore[arg-type]
    assert [await AnswerGrader().grade(problem, answer) for answer in "1234"] == [
        "right",
        "right",
        "undecided",
        "wrong",
    ]
    assert seen == [("1", "2", None), ("1", "3", None), ("1", "4", None)]


@pytest.mark.anyio
async def test_what_is_doubtful_about_a_suite_is_said_and_kept(tmp_path: Path) -> None:
    story = "Ann has {} red pens and buys {} more of them at the shop on the corner of the street. How many now?"
    problems = [
        Problem(Query.of(story.format(3, 4), id="a"), "7"),
        Problem(Query.of(story.format(3, 4) + " ", id="b"), "7"),
    ]
    run = await run_eval(config(Suite("twice", problems), tmp_path), Scripted(lambda _: "7"))
    (said,) = run.progress.warnings
    assert said == "twice: 1 pair (a and b) of problems are nearly the same, and count twice"
    assert warnings(run.summary, read_units(run.directory)) == [said]


@pytest.mark.anyio
async def test_the_judge_that_selects_may_not_grade(tmp_path: Path) -> None:
    one = Scripted(lambda request: "Yes" if request.choices else "7", name="one")
    problems = [Problem(Query.of("What is 3 + 4?", answer_type="free_text"), "seven")]
    settings = config(Suite("free", problems, grader=JudgeGrader(one)), tmp_path, "best_of_n:n=2")
    with pytest.raises(ConfigurationError, match="verifier 'judge' and the grader ask the same model"):
        await run_eval(settings.model_copy(update={"verifier": "judge"}), one)
    assert [r.kind for r in one.requests] == []
    run = await run_eval(settings.model_copy(update={"comparator": None, "verifier": "self_certainty"}), logged(one))
    ((curve, verdicts),) = run.progress.right.items()
    assert (curve[1], list(verdicts.values())) == ("best_of_n:n=2", [[1.0]])


def logged(model: Scripted) -> Scripted:
    """The same model under its own name, with logprobs."""
    return Scripted(lambda _: Sample(text="7", logprobs=(-0.1,), top_logprobs=((-0.1, -2.0),)), name=model.name)


@pytest.mark.anyio
async def test_a_learned_verifier_is_not_evaluated_on_what_it_learned_from(tmp_path: Path) -> None:
    rows = [
        Row(str(n), str(n), {"agreeing": share, "log_tokens": 2.0}, correct)
        for n in range(10)
        for share, correct in ((0.75, True), (0.25, n < 3))
    ]
    file = tmp_path / "learned.json"
    file.write_text(train_learned(rows, sources=["made"]).model_dump_json())
    settings = config(suite(Strict(lambda *_: "right")), tmp_path, "best_of_n:n=2")
    with pytest.raises(ConfigurationError, match=r"trained on 3 of these 3 problems \(0, \.\.\.\)"):
        await run_eval(settings.model_copy(update={"verifier": f"learned:path={file}"}), model())


def test_the_digest_of_a_suite_holds_all_that_a_verdict_depends_on() -> None:
    query = Query.of("Write f.", answer_type=CodeAnswer("f"), id="f")
    problem = Problem(query, tests=("assert f(1) == 1",), reference="def f(x): return x")
    variants = [
        Suite("s", [problem], grader=TestsGrader()),
        Suite("s", [problem], grader=TestsGrader(limits=Limits(seconds=9))),
        Suite("s", [problem], grader=TestsGrader(oracle="import math")),
        Suite("s", [replace(problem, reference="def f(x): return 1")], grader=TestsGrader()),
        Suite("s", [replace(problem, tests=("assert f(2) == 2",))], grader=TestsGrader()),
        Suite("s", [replace(problem, query=replace(query, answer_type=CodeAnswer("g")))], grader=TestsGrader()),
    ]
    assert len({suite.digest() for suite in variants}) == len(variants)
    model = Scripted(lambda _: "Yes")
    assert (
        Suite("s", [problem], grader=JudgeGrader(model)).digest()
        == Suite("s", [problem], grader=JudgeGrader(model)).digest()
    )
