"""What a session lets verifiers and tools do: score steps, score together, keep things, and work on a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from ttc.errors import ConfigurationError
from ttc.evals.records import outcome_from_json, outcome_to_json
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve
from ttc.steps import Solution
from ttc.strategy import Strategy
from ttc.tool import ToolResult
from ttc.types import Candidate, Query


@dataclass
class Agreement:
    """Scores by how many of the others say the same; keeps what it has seen."""

    name: str = "agreement"
    logprobs: int = 0
    joint: bool = True
    seen: list[int] = field(default_factory=list[int])

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        self.seen.append(len(candidates))
        session.kept["calls"] = session.kept.get("calls", 0) + 1
        answers = [c.answer for c in candidates]
        return [answers.count(a) / len(answers) for a in answers]


@pytest.mark.anyio
async def test_what_is_scored_together_is_scored_anew_as_each_one_arrives() -> None:
    replies = ["1", "2", "2", "", "1", "1"]
    verifier = Agreement()
    model = Scripted(lambda request: replies[request.index])
    query = Query.of("?", answer_type="number")
    outcome = await solve(query, "best_of_n:n=6,weighted=false", model, verifier=verifier)
    assert verifier.seen == [1, 2, 3, 4, 5]  # what holds no answer is not scored
    assert outcome.answer == "1"
    assert [c.answer for c in outcome.checkpoints if c.samples == 3] == ["2"]
    assert [e["scores"] for e in outcome.trace if e["event"] == "scores"][-1] == [0.6, 0.4, 0.4, 0.6, 0.6]


@pytest.mark.anyio
@pytest.mark.parametrize("strategy", ["majority:n=2,weights=score", "revision:chains=2,length=2"])
async def test_who_weighs_each_by_itself_says_so(strategy: str) -> None:
    model = Scripted(lambda _: "1")
    with pytest.raises(ConfigurationError, match=r"'agreement' scores candidates together.*take best_of_n"):
        await solve("?", strategy, model, verifier=Agreement())
    assert model.requests == []


@dataclass
class Steps:
    """Scores steps by their length, or as it is told to."""

    answers: list[list[float]] | None = None
    name: str = "steps"
    logprobs: int = 0

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        return [0.5 for _ in candidates]

    async def score_steps(
        self, query: Query, solutions: Sequence[Solution], session: Session
    ) -> Sequence[Sequence[float]]:
        return self.answers or [[len(s.steps[i]) / 10 for i in s.unscored] for s in solutions]


class Stepwise(Strategy):
    """Score two solutions step by step, and note what came of it."""

    async def solve(self, query: Query, session: Session) -> None:
        """Propose a sample, so that there is an answer."""
        session.note("seen", scores=await session.score_steps([Solution(("a", "bbb")), Solution(("cc",))]))
        session.propose(await session.generate())


@pytest.mark.anyio
async def test_steps_are_scored_one_by_one() -> None:
    outcome = await solve("?", Stepwise(), Scripted(lambda _: "1"), verifier=Steps())
    (seen,) = (e for e in outcome.trace if e["event"] == "seen")
    assert seen["scores"] == [[0.1, 0.3], [0.2]]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([[0.1], [0.2]], r"returned \[1, 1\] step scores for solutions of \[2, 1\] steps"),
        ([[0.1, 0.2]], r"returned \[2\] step scores for solutions of \[2, 1\] steps"),
        ([[0.1, 1.2], [0.1]], r"1\.2: a score is a number from 0 to 1"),
        ([[0.1, float("nan")], [0.1]], "nan: a score is a number from 0 to 1"),
    ],
)
async def test_a_wrong_count_or_what_is_no_score_is_refused(answers: list[list[float]], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await solve("?", Stepwise(), Scripted(lambda _: "1"), verifier=Steps(answers))


@pytest.mark.anyio
@pytest.mark.parametrize(("verifier", "said"), [(None, "there is no verifier"), (Agreement(), "'agreement' does not")])
async def test_who_scores_no_steps_is_named(verifier: Agreement | None, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{said}.*process_reward"):
        await solve("?", Stepwise(), Scripted(lambda _: "1"), verifier=verifier)


@dataclass(frozen=True)
class Sum:
    """Adds up the numbers of a text."""

    name: str = "sum"

    async def run(self, text: str, query: Query) -> ToolResult:
        try:
            return ToolResult(f"The answer is {sum(map(int, text.split()))}")
        except ValueError as error:
            return ToolResult("", str(error))


class Summing(Strategy):
    """Let a tool read the answer out of each sample."""

    async def solve(self, query: Query, session: Session) -> None:
        """Propose what the tool made of each."""
        async with session.sample(n=2) as samples:
            async for candidate in samples:
                summed, result = await session.use(Sum(), candidate)
                assert bool(result.error) == (summed.answer is None)
                session.propose(summed)


@pytest.mark.anyio
async def test_a_tool_makes_the_answer_and_what_it_cannot_do_is_noted() -> None:
    model = Scripted(lambda request: ["1 2 39", "1 two 39"][request.index])
    outcome = await solve(Query.of("?", answer_type="number"), Summing(), model)
    assert outcome.answer == "42"
    done, failed = (e for e in outcome.trace if e["event"] == "tool")
    assert (done["answer"], done["error"]) == ("42", "")
    assert failed["answer"] is None
    assert "two" in failed["error"]
    assert outcome.calls == {"generate": 2}


@dataclass(frozen=True)
class Odd:
    """Says what no UTF-8 can hold."""

    name: str = "odd"

    async def run(self, text: str, query: Query) -> ToolResult:
        return ToolResult("\udcff 5")


class Oddly(Strategy):
    """Use that tool."""

    async def solve(self, query: Query, session: Session) -> None:
        """Propose what it made of a sample."""
        session.propose((await session.use(Odd(), await session.generate()))[0])


@pytest.mark.anyio
async def test_what_a_tool_says_can_be_stored() -> None:
    outcome = await solve(Query.of("?", answer_type="text"), Oddly(), Scripted(lambda _: "?"))
    assert outcome.answer == "? 5"
    assert outcome_from_json(outcome_to_json(outcome)) == outcome
