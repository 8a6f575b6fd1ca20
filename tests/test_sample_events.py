"""What a trace says of a sample: refusals and cut thoughts are marked, and only where they are such."""

from __future__ import annotations

import pytest

from ttc.models.scripted import Scripted
from ttc.models.wire import StreamedChoice, parse_choices
from ttc.refusals import declines
from ttc.sample_events import sample_event, stopped_in_thought
from ttc.solve import solve
from ttc.types import Candidate, FinishReason, Query, Sample, Sampling, Usage

CUE = "\nThe answer is "


def sample(text: str, *, answer: str | None = None, refused: bool = False) -> Candidate:
    return Candidate(answer, Sample(text=text, refused=refused))


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I\u2019m sorry, but I can\u2019t help with that.",
        "Sorry, I cannot provide that.",
        "I apologize, but I cannot fulfil this request.",
        "As an AI language model, I am unable to answer that.",
        "  I cannot\n help with this.",
        "I must respectfully decline.",
        "I won't do that.",
    ],
)
def test_a_sample_that_opens_like_a_refusal_declines(text: str) -> None:
    assert declines(sample(text))
    assert sample_event("sample", 3, sample(text))["refused"] is True


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot find a root, so there is none.",
        "Sorry, my mistake above: x = 4.",
        "Let me think. I cannot help with that.",
        "We can't have x = 0.",
        "I'm sorry to say that the sum is odd.",
    ],
)
def test_other_texts_do_not(text: str) -> None:
    assert not declines(sample(text))
    assert "refused" not in sample_event("sample", 3, sample(text))


def test_a_sample_with_an_answer_declines_nothing() -> None:
    assert not declines(sample("I'm sorry, but I can't help with that. The answer is 4", answer="4"))


def test_a_server_that_says_so_is_believed_and_its_words_are_the_text() -> None:
    assert declines(sample("No.", refused=True))
    raw = b'{"choices": [{"message": {"content": null, "refusal": "No."}, "finish_reason": "stop"}]}'
    ((choice,), _) = parse_choices(raw)
    assert (choice.content, choice.refused) == ("No.", True)
    raw = b'{"choices": [{"message": {"content": "4", "refusal": null}, "finish_reason": "stop"}]}'
    ((choice,), _) = parse_choices(raw)
    assert (choice.content, choice.refused) == ("4", False)


@pytest.mark.parametrize(
    ("text", "thoughts", "finish", "forced", "expected"),
    [
        ("", 40, "length", False, True),
        (" \n", 40, "cut", False, True),
        (CUE + "4", 40, "length", True, True),  # cut in thought, and made to answer
        ("So x" + CUE + "4", 40, "length", True, False),  # the thoughts had ended
        ("So x is", 40, "length", False, False),
        ("", 40, "stop", False, False),  # it ended by itself
        ("", 0, "length", False, False),  # it thought nothing
    ],
)
def test_a_sample_that_was_cut_before_its_text_began_was_cut_in_thought(
    text: str, thoughts: int, finish: FinishReason, forced: bool, expected: bool
) -> None:
    one = Candidate(None, Sample(text=text, usage=Usage(0, 0, thoughts, 2), finish=finish, forced=forced))
    assert stopped_in_thought(one, cue=CUE) is expected
    assert ("in_thought" in sample_event("sample", 3, one, cue=CUE)) is expected


def test_a_refusal_may_come_in_a_stream() -> None:
    stream = StreamedChoice()
    for delta, finish in (("I ", "null"), ("cannot.", '"stop"')):
        event = f'{{"choices": [{{"delta": {{"refusal": "{delta}"}}, "finish_reason": {finish}}}]}}'
        stream.add(event.encode())
    choice = stream.collect()
    assert (choice.content, choice.refused) == ("I cannot.", True)


@pytest.mark.anyio
async def test_the_trace_of_a_query_holds_the_marks() -> None:
    replies = [
        Sample(text="I'm sorry, but I can't help with that."),
        Sample(text="", reasoning="well " * 50),
        Sample(text="The answer is 4"),
    ]
    model = Scripted(lambda request: replies[request.index])
    sampling = Sampling(max_tokens=20, force_answer=False)
    query = Query.of("What is 2 + 2?", answer_type="number")
    outcome = await solve(query, "majority:n=3,stop=never", model, sampling=sampling)
    events = [e for e in outcome.trace if e["event"] == "sample"]
    assert [(e.get("refused", False), e.get("in_thought", False)) for e in events] == [
        (True, False),
        (False, True),
        (False, False),
    ]
