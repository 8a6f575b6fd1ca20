"""When two answers are the same, where that takes time to say: decided off the event loop, then looked up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import anyio

from ttc.answer_type import AnswerType, Equality, same_answer
from ttc.errors import BudgetExhausted

if TYPE_CHECKING:
    from ttc.session import Session

__all__ = ["Deciding", "SettledAnswers", "decide"]


@runtime_checkable
class Deciding(Protocol):
    """An answer type with a slow comparison beside the cheap one: algebra in a worker, programs run, a judge asked.

    A session asks it for each new answer before the sample is handed on, and strategies see an answer type whose
    ``equivalent`` looks up what was decided. So votes and brackets stay pure, and the event loop is never held up.
    """

    async def decide(self, a: str, b: str, session: Session | None) -> Equality:
        """Compare two answers whose keys differ, off the event loop.

        Args:
            a: an answer; in grading the gold answer.
            b: another one.
            session: charges calls to a model; None in grading, where none may be made.

        Raises:
            BudgetExhausted: the comparison asks a model, and there are no tokens for it.
        """
        ...


async def decide(answer_type: AnswerType, a: str, b: str, session: Session | None = None) -> Equality:
    """Whether two answers are the same: cheaply where that settles it, else by the type's slow comparison.

    Raises:
        BudgetExhausted: the comparison asks a model, and there are no tokens for it.
    """
    if same_answer(answer_type, a, b):
        return "equal"
    if not isinstance(answer_type, Deciding) or not (answer_type.key(a) and answer_type.key(b)):
        return "different"
    return await answer_type.decide(a, b, session)


PATIENCE = 3
"""Comparisons without a result that an answer is allowed."""


@dataclass(slots=True, eq=False)
class SettledAnswers:
    """An answer type whose slow comparisons have been made: what a strategy sees of a :class:`Deciding` one.

    Each new answer is compared with the classes of those that were given before, with one member of each as long as
    that is decided. What is equal joins, so that equality is transitive; what stayed undecided counts as different.
    Where the type's own equality is not transitive, which classes there are may depend on the order of the answers.

    An answer that could not be compared with ``PATIENCE`` others is compared with no more: it would take as long.
    """

    inner: AnswerType
    _parents: dict[str, str] = field(default_factory=dict[str, str])
    _answers: dict[str, str] = field(default_factory=dict[str, str])
    _undecided: Counter[str] = field(default_factory=Counter[str])
    _busy: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def name(self) -> str:
        """That of the type itself."""
        return self.inner.name

    @property
    def cue(self) -> str:
        """That of the type itself."""
        return self.inner.cue

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def extract(self, text: str) -> str | None:
        """Read the answer out of a completion, as the type does."""
        return self.inner.extract(text)

    def concludes(self, text: str) -> bool:
        """Say whether an unfinished text marks its answer already, as the type does."""
        return self.inner.concludes(text)

    def key(self, answer: str) -> str:
        """Return the cheap canonical form."""
        return self.inner.key(answer)

    def equivalent(self, a: str, b: str) -> bool:
        """Look up what was decided."""
        x, y = self.key(a), self.key(b)
        return bool(x and y) and (self._root(x) == self._root(y) or self.inner.equivalent(a, b))

    async def settle(self, answer: str, session: Session | None = None) -> list[str]:
        """Compare an answer with all earlier ones; return those for which that stayed undecided.

        Args:
            answer: a new one.
            session: charges comparisons that ask a model; without it those stay undecided.
        """
        key = self.key(answer)
        if not key or key in self._answers:
            return []
        undecided: list[str] = []
        async with self._busy:  # of two that come at once the later one is compared with the earlier one
            if key in self._answers:
                return []
            told_apart: set[str] = set()
            for other_key, other in list(self._answers.items()):
                if (root := self._root(other_key)) == self._root(key) or root in told_apart:
                    continue
                found = await self._decided(key, answer, other_key, other, session)
                if found == "equal":
                    self._parents[self._root(key)] = root
                elif found == "different":
                    told_apart.add(root)
                else:
                    undecided.append(other)
            self._answers[key] = answer
        apart = {self._root(self.key(answer)), *told_apart}
        return [other for other in undecided if self._root(self.key(other)) not in apart]

    async def _decided(self, key: str, answer: str, other_key: str, other: str, session: Session | None) -> Equality:
        if max(self._undecided[key], self._undecided[other_key]) >= PATIENCE:
            return "undecided"
        first, second = sorted((answer, other))
        try:
            found = await decide(self.inner, first, second, session)
        except BudgetExhausted:
            return "undecided"  # the answers have nothing to do with it
        if found == "undecided":
            self._undecided.update((key, other_key))
        return found

    def _root(self, key: str) -> str:
        while (parent := self._parents.get(key, key)) != key:
            key = parent
        return key
