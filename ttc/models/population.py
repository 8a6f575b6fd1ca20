"""Simulated problems: how hard each one is, its right answer and its wrong ones. What simulations are drawn from."""

from __future__ import annotations

import random
import re
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate

from ttc.errors import ConfigurationError
from ttc.seeds import hashed
from ttc.types import Candidate, Message, Query

__all__ = ["Population", "Problem", "SimulatedAnswer", "said", "stated", "steps_are_right", "steps_shown"]

_SAID = re.compile(r"\[([0-9a-f]+)\] (\S+)")
_STEP = re.compile(r"\[[0-9a-f]+\]")
_WORD = re.compile(r"\[([0-9a-f]+)\]")
_MIX, _MASK = 0x9E3779B97F4A7C15, 0xFFFFFFFFFFFFFFFF  # neighbouring words come far apart: Fibonacci hashing


@dataclass(frozen=True, slots=True)
class SimulatedAnswer:
    """What simulated texts answer: ``[chain] answer``. A text that was cut holds none."""

    name: str = "simulated"
    cue: str = ""

    def extract(self, text: str) -> str | None:
        """Return the last word of a whole text."""
        _, said, answer = text.rpartition("] ")
        return answer or None if said and text.startswith("[") else None

    def concludes(self, text: str) -> bool:
        """Whether the text is whole."""
        return self.extract(text) is not None

    def key(self, answer: str) -> str:
        """The answer itself."""
        return answer

    def equivalent(self, a: str, b: str) -> bool:
        """Compare by key alone."""
        return a == b


def said(messages: Sequence[Message]) -> tuple[str, str] | None:
    """Return the chain and the answer of the last simulated text that a prompt shows, if it shows one."""
    for message in reversed(messages):
        if found := _SAID.findall(str(message.get("content", ""))):
            return found[-1]
    return None


@dataclass(frozen=True, slots=True)
class Problem:
    """One simulated problem.

    Attributes:
        p: P(one sample is right).
        right: the right answer.
        wrong: the wrong ones, the likeliest first.
        bounds: cumulated shares of the wrong answers, ending in 1.
    """

    p: float
    right: str
    wrong: tuple[str, ...]
    bounds: tuple[float, ...]

    def slip(self, u: float) -> str:
        """Return the wrong answer at a quantile."""
        return self.wrong[bisect(self.bounds, u)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """A population of problems. Their answers follow from prompt and seed, and mean nothing: nobody can guess them.

    Attributes:
        p: P(one sample is right): one number for all, the two parameters of a Beta over problems, one per prompt, or
            a function of the prompt.
        wrong: how often each wrong answer comes up, relative to the others; a single one makes the problem binary,
            and one above ``p`` makes a trap for votes.
        seed: draws abilities and answers.
    """

    p: float | tuple[float, float] | Mapping[str, float] | Callable[[str], float] = 0.5
    wrong: Sequence[float] = (1.0,)
    seed: int = 0
    _problems: dict[str, Problem] = field(default_factory=dict[str, Problem], repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.wrong or min(self.wrong) < 0 or not sum(self.wrong):
            raise ConfigurationError(f"population: wrong={self.wrong}: relative frequencies, at least one above zero")

    def query(self, i: int) -> Query:
        """Return the i-th query."""
        return Query.of(f"simulated problem {i}", answer_type=SimulatedAnswer(), id=f"simulated-{i}")

    def queries(self, n: int) -> list[Query]:
        """Return the first n queries."""
        return [self.query(i) for i in range(n)]

    def problem(self, prompt: str) -> Problem:
        """Return the problem that a prompt states."""
        known = self._problems.get(prompt)
        if known is None:
            known = self._problems[prompt] = self._make(prompt)
        return known

    def steps_are_right(self, query: Query, steps: Sequence[str], n_steps: int) -> list[bool]:
        """Whether each step of a simulated solution of ``n_steps`` is right; the solution is where all of them are."""
        return steps_are_right(self.problem(stated(query.messages)).p, steps, n_steps)

    def is_right(self, query: Query, answer: Candidate | str | None) -> bool:
        """Whether an answer (or that of a candidate) is the right one: for graders, simulated verifiers and tests."""
        if isinstance(answer, Candidate):
            answer = answer.answer
        return answer is not None and answer == self.problem(stated(query.messages)).right

    def _make(self, prompt: str) -> Problem:
        given = self.p
        if callable(given):
            p = given(prompt)
        elif isinstance(given, Mapping):
            p = given[prompt]
        elif isinstance(given, tuple):
            if min(given) <= 0:
                raise ConfigurationError(f"population: p={given}: both parameters of a Beta are above zero")
            p = random.Random(hashed(self.seed, "p", prompt)).betavariate(*given)
        else:
            p = given
        if not 0 <= p <= 1:
            raise ConfigurationError(f"population: p={p} of '{prompt}' is no probability")
        words = [f"{hashed(self.seed, 'answer', prompt, i, bits=32):08x}" for i in range(len(self.wrong) + 1)]
        shares = [share / sum(self.wrong) for share in self.wrong]
        bounds = (*list(accumulate(shares))[:-1], 1.0)
        return Problem(p, words[0], tuple(words[1:]), bounds)


def steps_shown(messages: Sequence[Message]) -> list[str]:
    """Return the steps that stand in the last message: what a continuation goes on from."""
    return _STEP.findall(str(messages[-1].get("content", "")))


def steps_are_right(p: float, steps: Sequence[str], n_steps: int) -> list[bool]:
    """Whether each step is right, which it is with the n-th root of ``p``: its word decides."""
    bound = p ** (1 / n_steps) * _MASK
    return [_luck(step) < bound for step in steps]


@lru_cache(maxsize=1 << 16)  # a step is looked at again with every one behind it
def _luck(step: str) -> int:
    word = _WORD.search(step)
    return int(word[1], 16) * _MIX & _MASK if word else _MASK


def stated(messages: Sequence[Message]) -> str:
    """Return the text of the first user message: the problem."""
    return next((str(m.get("content", "")) for m in messages if m.get("role") == "user"), "")
