"""Mean log-probability: the likelier the model held its words, the higher; with a window its weakest passage counts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc.errors import ConfigurationError
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve
from ttc.steps import Solution
from ttc.types import Query, Request, Sample
from ttc.verifier import StepScorer
from ttc.verifiers.mean_logprob import MeanLogprob, lowest_group_mean
from ttc.verifiers.self_certainty import SelfCertainty

VALUES = st.lists(st.floats(-20, 0), min_size=1, max_size=30)


@given(values=VALUES, window=st.integers(1, 40))
def test_the_lowest_group_is_that_of_the_definition(values: list[float], window: int) -> None:
    size = min(window, len(values))
    by_hand = min(sum(values[i : i + size]) / size for i in range(len(values) - size + 1))
    assert lowest_group_mean(values, window) == pytest.approx(by_hand, abs=1e-9)
    assert lowest_group_mean(values, None) == pytest.approx(sum(values) / len(values), abs=1e-9)


def test_without_values_there_is_none_and_the_impossible_is_bounded() -> None:
    assert lowest_group_mean([], 3) is None
    assert lowest_group_mean([-math.inf, -9999.0], None) == -30.0


def test_self_certainty_looks_at_its_weakest_passage_too() -> None:
    rows = [(-0.1, -9.0)] * 5 + [(-0.7, -0.7)] * 2 + [(-0.1, -9.0)] * 5
    whole, weakest = SelfCertainty().certainty(rows), SelfCertainty(window=2).certainty(rows)
    assert whole is not None
    assert weakest == pytest.approx(0.7 / 8.7)
    assert weakest < whole


@pytest.mark.anyio
@pytest.mark.parametrize(("spec", "scores"), [("mean_logprob", [0.5, 0.25]), ("mean_logprob:window=1", [0.25, 0.25])])
async def test_the_score_is_the_geometric_mean_of_the_tokens_probabilities(spec: str, scores: list[float]) -> None:
    rows = [(-math.log(4), 0.0), (-math.log(4), -math.log(4))]

    def reply(request: Request) -> Sample:
        assert request.logprobs == 1
        return Sample(text=f"it {request.index}", logprobs=rows[request.index])

    outcome = await solve(Query.of("?", answer_type="number"), "best_of_n:n=2", Scripted(reply), verifier=spec)
    assert [e["score"] for e in outcome.trace if e["event"] == "score"] == pytest.approx(scores)
    assert outcome.answer == "0"
    assert set(outcome.calls) == {"generate"}


@pytest.mark.anyio
async def test_a_server_without_logprobs_is_said_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match="verifier 'mean_logprob' needs logprobs"):
        await solve("?", "best_of_n:n=2", Scripted(lambda r: "4"), verifier="mean_logprob")


# -- steps ------------------------------------------------------------------------------------------------------------


def drawn(*rows: tuple[float, ...], scores: tuple[float, ...] = ()) -> Solution:
    """A solution of steps whose tokens had these probabilities."""
    samples = tuple(Sample(text="so", logprobs=tuple(map(math.log, row))) for row in rows)
    return Solution(("so",) * len(rows), samples, scores, over=False)


def session(verifier: MeanLogprob) -> Session:
    return Session(Query.of("?"), Scripted(lambda _: ""), Ledger(), verifier=verifier)


@pytest.mark.anyio
async def test_each_step_is_scored_by_its_own_tokens() -> None:
    assert isinstance(MeanLogprob(), StepScorer)
    scores = await session(MeanLogprob()).score_steps([drawn((0.5, 0.5), (1.0, 0.25)), drawn((0.1,)), drawn()])
    assert scores == [pytest.approx([0.5, 0.5]), pytest.approx([0.1]), []]
    (weakest,) = await session(MeanLogprob(window=1)).score_steps([drawn((0.5, 0.5), (1.0, 0.25))])
    assert weakest == pytest.approx([0.5, 0.25])


@pytest.mark.anyio
async def test_a_step_that_has_a_score_is_not_scored_again() -> None:
    scores = await session(MeanLogprob()).score_steps(
        [drawn((0.5,), (0.25,), scores=(0.9,)), drawn((0.5,), scores=(0.9,))]
    )
    assert scores == [pytest.approx([0.25]), []]


@pytest.mark.anyio
async def test_steps_that_were_not_drawn_one_by_one_have_no_logprobs_of_their_own() -> None:
    with pytest.raises(ConfigurationError, match=r"steps that were drawn one by one: see session\.grow"):
        await session(MeanLogprob()).score_steps([Solution.of("a\n\nb")])


@pytest.mark.anyio
async def test_steps_without_logprobs_are_said_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match="verifier 'mean_logprob' needs logprobs"):
        await session(MeanLogprob()).score_steps([drawn(()), drawn((), ())])
    scores = await session(MeanLogprob()).score_steps([drawn((), (0.5,))])
    assert scores == [pytest.approx([0.0, 0.5])]  # one that came without them, such as an empty one


@pytest.mark.anyio
@pytest.mark.parametrize(("verifier", "alternatives"), [("mean_logprob", 1), ("self_certainty", 5)])
async def test_a_beam_goes_on_from_what_the_model_was_sure_of(verifier: str, alternatives: int) -> None:
    def reply(request: Request) -> Sample:
        assert request.logprobs == alternatives
        depth = request.messages[-1]["content"].count("\n\n") if request.continue_final else 0
        sure = request.index % 2 == 1
        value = -0.05 if sure else -1.5
        top = (value, *[-9.0 if sure else -1.6] * 4)
        word = f"{'sure' if sure else 'unsure'} {request.index}"
        text = word if depth < 2 else f"{word} it is {42 if sure else 7}"
        n = len(text.split())
        finish = "step" if depth < 2 else "stop"
        return Sample(text=text, finish=finish, logprobs=(value,) * n, top_logprobs=(top,) * n)

    outcome = await solve(Query.of("?", answer_type="number"), "beam:n=4,m=2", Scripted(reply), verifier=verifier)
    assert outcome.answer == "42"
    assert "unsure" not in outcome.text
    assert set(outcome.calls) == {"generate"}
