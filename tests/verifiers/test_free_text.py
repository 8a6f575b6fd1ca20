"""Free text: equal up to how it is written, or by what a judge says in both orders."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc.equality import decide
from ttc.errors import BadResponse
from ttc.models.scripted import Scripted
from ttc.solve import solve
from ttc.types import Outcome, Query, Request
from ttc.verifiers.answers import FreeTextAnswer, plain_words

TEXT = FreeTextAnswer()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("The Beatles", "beatles!"),
        ("Paris.", "  PARIS"),
        ("**Paris**", "`Paris`"),
        ("twenty-one", "twenty one"),
        ("ﬁve", "five"),
        ("don't", "dont"),
        ("don’t", "don't"),
        ("1,234 km", "1234 km"),
        ("−5", "-5"),
        ("U.S.", "US"),
        ("straße", "STRASSE"),
        ("a\u200bb", "ab"),
        ("New\nYork", "New York"),
    ],
)
def test_the_way_it_is_written_makes_no_difference(a: str, b: str) -> None:
    assert TEXT.key(a) == TEXT.key(b) != ""


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("3.5", "35"),
        ("-5", "5"),
        ("C++", "C"),
        ("C#", "C"),
        ("$5", "5"),
        ("?", "!"),
        ("A", "the"),
        ("x<y", "xy"),
        ("1,23", "123 4"),
    ],
)
def test_what_means_something_else_differs(a: str, b: str) -> None:
    assert not TEXT.equivalent(a, b)


@given(text=st.text(max_size=40))
def test_plain_words_are_plain_already(text: str) -> None:
    once = plain_words(text)
    assert plain_words(once) == once
    assert once or not unicodedata.normalize("NFKC", text).split()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Well.\nThe answer is Paris.\n", "Paris."),
        ("So \\boxed{Paris}", "Paris"),
        ("#### Paris\n", "Paris"),
        ("Paris", "Paris"),
        ("<think>London</think>Paris", "Paris"),
        ("<think>The answer is London", None),
        ("  ", None),
    ],
)
def test_what_is_stated_is_the_answer_else_all_of_it(text: str, answer: str | None) -> None:
    assert TEXT.extract(text) == answer


@pytest.mark.anyio
async def test_without_a_judge_no_model_is_asked() -> None:
    assert await decide(TEXT, "USA", "United States") == "different"
    assert await decide(TEXT, "The USA", "usa") == "equal"


@pytest.mark.anyio
async def test_in_grading_a_judge_is_not_asked_and_it_is_undecided() -> None:
    assert await decide(FreeTextAnswer(judge=True), "USA", "United States") == "undecided"


async def voted(says: dict[str, str], replies: list[str]) -> Outcome:
    """A vote over replies, with a judge that is shown two of them and says what it is told to for the first one."""

    def reply(request: Request) -> str:
        if not request.choices:
            return replies[request.index]
        content = request.messages[0]["content"]
        first = content.split("First answer:\n")[1].splitlines()[1]
        if says.get(first) == "away":
            raise BadResponse("it is away")
        return says.get(first, "No")

    query = Query.of("Which country?", answer_type="free_text:judge=true")
    return await solve(query, f"majority:n={len(replies)},stop=never", Scripted(reply))


@pytest.mark.anyio
async def test_a_judge_that_says_yes_in_both_orders_makes_answers_one() -> None:
    outcome = await voted({"USA": "Yes", "United States": "Yes"}, ["USA", "France", "United States", "the usa"])
    (vote,) = [e for e in outcome.trace if e["event"] == "vote"]
    assert sorted(c[1] for c in vote["classes"]) == [1, 3]
    assert outcome.calls["judge"] == 2 * 3  # each pair of different answers, in both orders


@pytest.mark.anyio
@pytest.mark.parametrize("other", ["No", "away", "perhaps"])
async def test_where_the_orders_disagree_answers_stay_apart_and_that_is_said(other: str) -> None:
    outcome = await voted({"USA": "Yes", "United States": other}, ["USA", "United States"])
    assert [sorted(e["answers"]) for e in outcome.trace if e["event"] == "undecided"] == [["USA", "United States"]]
    assert any("could not be told apart" in w for w in outcome.warnings)
