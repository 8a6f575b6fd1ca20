"""Chains of attempts: what the next one is shown, and the choice over whole chains. Pure objects, no model calls."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

from ttc.strategies.vote import Vote
from ttc.types import AnswerType, Candidate, Message

__all__ = ["Chain", "ChainVote"]

LOOK_AGAIN = (
    "Check your answer above step by step, and say what is wrong with it if anything is. Then solve the problem again, "
    "and state the final answer in full."
)
MEND = "Mend what is wrong with your answer above, and state the final answer in full."


class Chain:
    """One chain: remembers the last attempts, and builds the prompt of the next one.

    Attributes:
        last: the attempt that the next one revises; None where there is none to show.
    """

    def __init__(self, question: Sequence[Message], *, shown: int) -> None:
        """Open a chain on a question; a prompt shows at most the last ``shown`` attempts."""
        self.last: Candidate | None = None
        self._question = list(question)
        self._turns: deque[list[Message]] = deque(maxlen=shown)

    def add(self, attempt: Candidate) -> None:
        """Remember an attempt. A failed call left nothing to show, and one that was too long shortens what is shown."""
        if attempt.sample.ok:
            self.last = attempt
            self._turns.append([{"role": "assistant", "content": attempt.sample.text.strip() or "(no answer)"}])
        elif attempt.sample.error_type == "ContextOverflow" and self._turns:
            self._turns.popleft()
            self.last = self.last if self._turns else None

    def prompt(self, critique: str) -> list[Message]:
        """Return the question and the attempts in order, each followed by what was said about it.

        Args:
            critique: what a verifier says about the last attempt; the model is to check it by itself where it is empty.
        """
        if self._turns:
            said = f"{critique.strip()}\n\n{MEND}" if critique.strip() else LOOK_AGAIN
            self._turns[-1] = [self._turns[-1][0], {"role": "user", "content": said}]
        return [*self._question, *(message for turn in self._turns for message in turn)]


class ChainVote:
    """Chooses over all attempts of all chains, since the last one is often a right answer that was revised away.

    With scores: the heaviest class of answers within each chain by summed scores, then the heaviest of those across
    chains by the score of each chain's best. Without: a flat majority, since a majority of majorities fails where
    chains are short.

    Attributes:
        attempts: how many have been counted.
    """

    def __init__(self, answer_type: AnswerType, rng: random.Random, *, chains: int, scored: bool) -> None:
        self.attempts = 0
        self._type = answer_type
        self._flat = Vote(answer_type, rng)
        self._within = [Vote(answer_type, rng) for _ in range(chains if scored else 0)]
        self._lots = rng.random()  # of the vote across chains: it is cast anew for each proposal, with the same lots

    def add(self, chain: int, attempt: Candidate) -> None:
        """Count an attempt of a chain."""
        self.attempts += 1
        if self._within:
            self._within[chain].add(attempt, weight=attempt.score or 0.0)
        else:
            self._flat.add(attempt)

    def best(self) -> Candidate | None:
        """Return the choice so far, or None where no attempt holds an answer."""
        across = self._flat
        if self._within:
            across = Vote(self._type, random.Random(self._lots))
            for leader in filter(None, (vote.leader() for vote in self._within)):
                across.add(leader.best, weight=leader.best.score or 0.0)
        leader = across.leader()
        return leader.best if leader else None

    def certain(self, remaining: int) -> bool:
        """Whether the attempts that remain cannot change a flat majority."""
        return not self._within and self._flat.certain(remaining)
