"""Where thoughts end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc.models.reasoning import CLOSE, OPEN, ThoughtScanner, split_thoughts, thought_prefix

PLAIN = st.text(alphabet="ab <>/think\n", max_size=40).filter(lambda s: OPEN not in s and CLOSE not in s)


@pytest.mark.parametrize(
    ("text", "reasoning", "visible"),
    [
        ("<think>6 times 7</think>\n\n42", "6 times 7", "42"),
        ("\n <think>\n6 times 7\n</think>42", "6 times 7", "42"),
        ("6 times 7\n</think>\n\n42", "6 times 7", "42"),  # the template opened it
        ("<think>6 times", "6 times", ""),  # cut inside
        ("<think>6 times 7</think>", "6 times 7", ""),  # cut before the answer
        ("<think></think>42", "", "42"),  # thinking switched off
        ("42", "", "42"),
        ("", "", ""),
        ("Write <think> to begin", "", "Write <think> to begin"),  # an answer about tags
        ("<think>a</think>Close it with </think>.", "a", "Close it with </think>."),
    ],
)
def test_leading_thoughts_are_split_off(text: str, reasoning: str, visible: str) -> None:
    assert split_thoughts(text) == (reasoning, visible)


def test_without_any_tag_the_template_decides() -> None:
    assert split_thoughts("6 times", opened=True) == ("6 times", "")
    assert split_thoughts("6 times") == ("", "6 times")


def test_the_prefix_that_a_tokenizer_counts_ends_with_the_tag() -> None:
    assert thought_prefix("<think>a b</think> c") == "<think>a b</think>"
    assert thought_prefix("a b</think> c") == "a b</think>"
    assert thought_prefix("no thought") == ""


@pytest.mark.parametrize("text", [OPEN * 20_000, "<think" * 20_000, (OPEN + "</think") * 20_000])
def test_hostile_texts_take_one_pass(text: str) -> None:
    # A lazy regex takes minutes here; the suite's timeout would end this test.
    reasoning, visible = split_thoughts(text)
    assert len(reasoning) + len(visible) >= len(text) - len(OPEN)


@given(thought=PLAIN, answer=PLAIN, size=st.integers(1, 9))
def test_a_stream_finds_the_tag_wherever_it_is_split(thought: str, answer: str, size: int) -> None:
    text = OPEN + thought + CLOSE + answer
    scanner = ThoughtScanner()
    rest: list[int] = []
    for start in range(0, len(text), size):
        after = scanner.feed(text[start : start + size])
        if after is not None:
            rest.append(len(text) - min(len(text), start + size) + after)
    assert scanner.closed
    assert rest == [len(answer)]
    assert split_thoughts(text) == (thought.strip(), answer.lstrip())


@given(PLAIN)
def test_a_stream_without_the_tag_never_closes(text: str) -> None:
    scanner = ThoughtScanner()
    assert [scanner.feed(c) for c in text] == [None] * len(text)
    assert not scanner.closed
