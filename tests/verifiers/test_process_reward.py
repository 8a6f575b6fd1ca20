"""Process reward models: one finite score per step, whatever a solution writes, or an error and no verdict."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, prod
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verifiers.pooling_server import MARKER, PoolingServer, logit
from ttc.errors import BadResponse, ConfigurationError, RequestRejected
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.registry import create
from ttc.session import Session
from ttc.solve import solve
from ttc.steps import Solution, join_steps, split_steps
from ttc.types import Candidate, Query, Sample, Usage
from ttc.verifier import StepScorer
from ttc.verifiers.process_reward import ProcessReward

QUERY = Query.of("What is 6 * 7?")
TWO = ["6 * 7 = 42.", "So it is 42."]
THREE = ["6 * 7 = 42.", "So it is 42.", "That is all."]


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def session(verifier: ProcessReward | None = None) -> Session:
    return Session(QUERY, Scripted(lambda _: ""), Ledger(), verifier=verifier)


def whole(text: str) -> Candidate:
    return Candidate(text, Sample(text=text))


def by_hand(*steps: str) -> list[float]:
    """What the fake server makes of each step of a chat: it depends on all that stands before its marker."""
    content = "".join(step + MARKER for step in steps)
    chat = [{"role": "user", "content": QUERY.prompt}, {"role": "assistant", "content": content}]
    parts = orjson.dumps(chat).decode().split(MARKER)
    return [sigmoid(logit(MARKER.join(parts[: i + 1]))) for i in range(len(steps))]


# -- steps ---------------------------------------------------------------------------------------------------------


def solutions(*steps: Sequence[str]) -> list[Solution]:
    return [Solution(tuple(s)) for s in steps]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", []),
        (" \n\n ", []),
        ("one", ["one"]),
        ("one\n\ntwo\nstill two\n\n\n\nthree\n", ["one", "two\nstill two", "three"]),
        ("one\n \t\n    indented\r\n\r\nthree", ["one", "    indented", "three"]),
    ],
)
def test_a_blank_line_ends_a_step(text: str, steps: list[str]) -> None:
    assert split_steps(text) == steps


def test_steps_may_be_parted_by_something_else() -> None:
    assert split_steps("Step 1: a\nStep 2: b", "\n") == ["Step 1: a", "Step 2: b"]
    assert join_steps(["a", "b"], "\n") == "a\nb"


@given(st.lists(st.text(alphabet="ab \t\n\r")))
def test_steps_that_were_joined_are_split_into_the_same(parts: list[str]) -> None:
    steps = split_steps(join_steps(parts))
    assert split_steps(join_steps(steps)) == steps
    assert all(step.strip() for step in steps)
    assert "".join("".join(steps).split()) == "".join("".join(parts).split())  # nothing but white space was lost


# -- what it says --------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_every_step_has_a_score_of_its_own() -> None:
    async with PoolingServer(process=True, labels=2) as server:
        verifier = ProcessReward(url=server.url)
        scores = await verifier.score_steps(QUERY, solutions(TWO, TWO[:1], [], ["None of this."]), session())
    assert isinstance(verifier, StepScorer)
    assert list(map(len, scores)) == [2, 1, 0, 1]
    assert list(scores[0]) == pytest.approx(by_hand(*TWO))
    assert list(scores[1]) == pytest.approx(by_hand(*TWO[:1]))
    assert all(body["task"] == "token_classify" for _, body in server.requests)


@pytest.mark.anyio
async def test_a_session_scores_steps_through_it() -> None:
    async with PoolingServer(process=True, labels=2) as server:
        asking = session(ProcessReward(url=server.url))
        assert await asking.score_steps(solutions(TWO)) == [pytest.approx(by_hand(*TWO))]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("last", by_hand(*THREE)[-1]),
        ("min", by_hand(*THREE)[1]),
        ("product", prod(by_hand(*THREE))),
        ("mean", sum(by_hand(*THREE)) / 3),
    ],
)
async def test_a_whole_solution_is_worth_what_its_steps_come_to(aggregate: str, expected: float) -> None:
    first, least, last = by_hand(*THREE)
    assert least < min(first, last)
    async with PoolingServer(process=True) as server:
        verifier = create("verifier", f"process_reward:url={server.url},aggregate={aggregate}")
        scores = await verifier.score(QUERY, [whole("\n\n".join(THREE)), whole("")], session())
    assert scores == pytest.approx([expected, 0.0])
    assert len(server.scored) == 1  # what has no step was not sent


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("separator", "steps"),
    [("", ["a\nb", "c"]), ("\\n", ["a", "b", "c"]), ("\n", ["a", "b", "c"]), ("none", ["a\nb\n\nc"])],
)
async def test_a_whole_solution_is_split_as_the_strategy_would_stop_it(separator: str, steps: list[str]) -> None:
    async with PoolingServer(process=True) as server:
        verifier = create("verifier", f"process_reward:url={server.url},separator={separator}")
        assert ProcessReward(url=server.url, separator=separator) == verifier
        (score,) = await verifier.score(QUERY, [whole("a\nb\n\nc")], session())
    assert score == pytest.approx(by_hand(*steps)[-1])


@pytest.mark.anyio
async def test_the_last_step_counts_by_default() -> None:
    async with PoolingServer(process=True) as server:
        (score,) = await ProcessReward(url=server.url).score(QUERY, [whole("\n\n".join(TWO))], session())
    assert score == pytest.approx(by_hand(*TWO)[-1])


@pytest.mark.anyio
@pytest.mark.parametrize("template", ["chat", "plain"])
async def test_a_solution_or_a_question_that_writes_the_marker_adds_no_step(template: str) -> None:
    query = Query.of(f"Is {MARKER} a token?{MARKER}")
    steps = [f"It is.{MARKER}{MARKER}", f"{MARKER} and\u200b<\u200bextra_0>.", "<|im_end|>"]
    async with PoolingServer(process=True) as server:
        verifier = create("verifier", f"process_reward:url={server.url},template={template}")
        (scores,) = await verifier.score_steps(query, solutions(steps), session())
    assert len(scores) == 3
    sent = str(server.scored[0][1])
    assert sent.count(MARKER) == 3
    assert "<|im_end|>" not in sent


@pytest.mark.anyio
async def test_a_marker_may_be_any_word_with_its_white_space() -> None:
    async with PoolingServer(process=True) as server:
        server.marker = "ки"
        verifier = ProcessReward(url=server.url, template="plain", marker=" ки\n")
        (scores,) = await verifier.score_steps(QUERY, solutions(["кики one", "two"]), session())
    assert len(scores) == 2
    assert server.scored[0][1]["input"][0].endswith("one ки\ntwo ки\n")


# -- what goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("returned", [0, 1, 3, 6])
async def test_another_number_of_scores_is_an_error_that_says_how_to_start_the_server(returned: int) -> None:
    async with PoolingServer(process=True) as server:
        verifier, paying = ProcessReward(url=server.url), session()
        await verifier.prepare()
        server.steps = lambda n: returned
        with pytest.raises(BadResponse, match=rf"{returned} scores for a solution of 2 steps, so none") as refused:
            await verifier.score_steps(QUERY, solutions(TWO), paying)
        assert '"tok_pooling_type": "STEP", "step_tag_id": 7}' in str(refused.value)
        (usage,) = paying._ledger.foreign.values()
        assert usage.prompt_tokens > 0  # it was read all the same
        server.steps = lambda n: n
        (scores,) = await verifier.score_steps(QUERY, solutions(TWO), paying)
    assert list(scores) == pytest.approx(by_hand(*TWO))  # nothing of it had been remembered
    assert len(server.scored) == 2


@pytest.mark.anyio
async def test_one_solution_with_a_wrong_count_spoils_its_own_request_alone() -> None:
    async with PoolingServer(process=True) as server:
        verifier = ProcessReward(url=server.url)
        await verifier.prepare()
        server.steps = lambda n: 2
        with pytest.raises(BadResponse, match="2 scores for a solution of 3 steps"):
            await verifier.score_steps(QUERY, solutions(TWO, ["a", "b", "c"]), session())
        server.steps = lambda n: n
        await verifier.score_steps(QUERY, solutions(TWO, ["a", "b", "c"]), session())
    assert len(server.scored) == 3


@pytest.mark.anyio
async def test_a_server_that_returns_every_token_is_found_out_before_anything_is_paid_for() -> None:
    drawn: list[int] = []
    async with PoolingServer(process=True, steps=lambda n: 3 * n) as server:
        with pytest.raises(BadResponse, match="6 scores for a solution of 2 steps"):
            await solve(
                QUERY,
                "best_of_n:n=2",
                Scripted(lambda r: str(drawn.append(r.index))),
                verifier=f"process_reward:url={server.url}",
            )
    assert not drawn


@pytest.mark.anyio
async def test_a_marker_that_the_model_does_not_know_is_told() -> None:
    async with PoolingServer(process=True) as server:
        with pytest.raises(BadResponse, match="'<step>' is not one token of 'rm': pass marker="):
            await ProcessReward(url=server.url, marker="<step>").prepare()


@pytest.mark.anyio
async def test_an_outcome_model_scores_no_steps() -> None:
    async with PoolingServer() as server:
        with pytest.raises(BadResponse, match="scores for a solution of 2 steps"):
            await ProcessReward(url=server.url).prepare()
        said = "Try switching the model's pooling_task via --pooler-config.task token_classify. (parameter=task)"
        server.refuse(said)
        with pytest.raises(RequestRejected, match=r"scores in another way than it was asked to .*process_reward wants"):
            await ProcessReward(url=server.url).prepare()


@pytest.mark.anyio
async def test_a_step_whose_score_is_no_number_is_an_error() -> None:
    async with PoolingServer(process=True, finite=False) as server:
        with pytest.raises(BadResponse, match="no finite number"):
            await ProcessReward(url=server.url).prepare()


@pytest.mark.parametrize("marker", ["", " ", "two words"])
def test_a_marker_is_one_word(marker: str) -> None:
    with pytest.raises(ConfigurationError, match="a step marker is one token"):
        create("verifier", f"process_reward:url=localhost:1,marker=({marker})")


# -- in use --------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_best_of_n_chooses_by_the_last_step_and_pays_for_each_text_once() -> None:
    texts = [f"Step one of {i}.\n\nIt is {i}." for i in range(4)]
    async with PoolingServer(process=True) as server:
        outcome = await solve(
            QUERY,
            "best_of_n:n=8,weighted=false",
            Scripted(lambda r: texts[r.index % 4]),
            verifier=ProcessReward(url=server.url),
        )
    expected: dict[Any, float] = {text: by_hand(*split_steps(text))[-1] for text in texts}
    assert outcome.text == max(texts, key=lambda text: expected[text])
    read = sum(_words(body) for _, body in server.scored)
    assert outcome.foreign == {"reward@rm": Usage(prompt_tokens=read)}
    assert outcome.calls["reward@rm"] == len(server.scored) == 4


def _words(body: dict[str, Any]) -> int:
    return sum(len(m["content"].split()) for m in body["messages"])
