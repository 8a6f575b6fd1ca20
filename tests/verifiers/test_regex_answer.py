"""Answers that a pattern finds: the last match, its first group, and patterns that survive a spec."""

from __future__ import annotations

import sys

import pytest

from ttc import registry
from ttc.errors import ConfigurationError, MissingExtra
from ttc.verifiers.answers import RegexAnswer

pytest.importorskip("re2", reason="google-re2 is not installed (extra 'regex')")


@pytest.mark.parametrize(
    ("pattern", "text", "answer"),
    [
        (r"\d+", "12 then 345", "345"),
        (r"answer: (\w+)", "answer: a\nanswer: b", "b"),
        (r"answer: (\w+)(x)?", "answer: a", "a"),
        (r"(yes)|no", "yes or no", "yes"),  # the group of the last match took no part
        (r"\d*", "7 is it, I say", "7"),  # empty matches are none
        (r"(?i)VERDICT=(.*)", "verdict=guilty as charged", "guilty as charged"),
        (r"x", "none", None),
        (r"\d+", "<think>5</think>6", "6"),
        (r"\d+", "<think>5", None),
        (r"é+", "a ééé b", "ééé"),
    ],
)
def test_the_last_match_is_the_answer(pattern: str, text: str, answer: str | None) -> None:
    assert RegexAnswer(pattern=pattern).extract(text) == answer


@pytest.mark.parametrize("n", [10, 1_200, 1_201, 1_202, 5_000])
def test_of_many_matches_it_is_still_the_last_one(n: int) -> None:
    text = " ".join(f"<{i}>" for i in range(n)) + " and no more" * 100
    assert RegexAnswer(pattern=r"<(\d+)>").extract(text) == str(n - 1)


def test_a_match_is_not_cut_where_the_search_jumped() -> None:
    text = "1 " * 3000 + "123456 apples"
    assert RegexAnswer(pattern=r"\d+").extract(text) == "123456"


@pytest.mark.parametrize(
    ("spec", "pattern"),
    [
        (r"regex:pattern=(answer: (\d+), ok)", r"answer: (\d+), ok"),
        (r"regex:pattern=(a=(b|c),d{1,3})", r"a=(b|c),d{1,3}"),
        (r"regex:pattern=\d+", r"\d+"),
        (r"regex:pattern=(\d+)", r"\d+"),  # all of the match, which is the same
        (r"regex:pattern=((\d+) apples)", r"(\d+) apples"),
        (r"regex:pattern=(\x28(\d+)\x29),cue=(So: )", r"\x28(\d+)\x29"),
        (r"regex:pattern=( x )", " x "),
        (r"regex:pattern=([A-Z]{2},[^,]+)", "[A-Z]{2},[^,]+"),
    ],
)
def test_patterns_survive_a_spec(spec: str, pattern: str) -> None:
    assert registry.create("answer type", spec).pattern == pattern


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (r"regex:pattern=(a)|(b)", "put all of it in brackets"),
        (r"regex:pattern=(\()", "a bracket is not closed"),
        (r"regex:pattern=((?=a))", "look-around"),
        (r"regex:pattern=((a)\1)", "back-references"),
        (r"regex:pattern=*", "cannot be read"),
        ("regex", "pattern is missing: give pattern="),
        ("regex:pattern=", "pattern"),
    ],
)
def test_a_pattern_that_is_none_is_said_before_any_call(spec: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        registry.create("answer type", spec)


def test_in_python_as_well() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        RegexAnswer(pattern="(")


def test_without_re2_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(MissingExtra, match=r"ttc-compute\[regex\]"):
        RegexAnswer(pattern="a")


def test_case_and_space_make_no_difference_and_nothing_equals_nothing() -> None:
    kind = RegexAnswer(pattern="a")
    assert kind.equivalent("Guilty  as", "guilty as")
    assert not kind.equivalent("", "")
