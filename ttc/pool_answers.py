"""Equivalent answers as equal texts: answers of a pool are told apart once, and compared by text from then on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import anyio

from ttc.answer_type import AnswerType, same_answer
from ttc.equality import Deciding, decide

__all__ = ["Answers", "equal_texts"]

Answers: TypeAlias = tuple[str | None, ...]
"""Of the samples of one problem; None where there was none."""


def equal_texts(problems: Iterable[Sequence[str | None]], answer_type: AnswerType) -> tuple[list[Answers], int]:
    """Put the first of the answers that are equivalent in the place of each one, problem by problem.

    What the type does not take for an answer becomes None. A type that takes time to compare does so in an event loop
    of its own, so that the caller may stand in one.

    Returns:
        The answers of each problem, and how many comparisons ended undecided; such answers stay apart.
    """
    if not isinstance(answer_type, Deciding):
        return [_alike(answers, answer_type) for answers in problems], 0
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(anyio.run, _decided, list(problems), answer_type).result()


def _alike(answers: Sequence[str | None], answer_type: AnswerType) -> Answers:
    first: dict[str, str] = {}
    for answer in answers:
        if answer is not None and (key := answer_type.key(answer)) and key not in first:
            known = dict.fromkeys(first.values())
            first[key] = next((other for other in known if same_answer(answer_type, other, answer)), answer)
    return tuple(None if answer is None else first.get(answer_type.key(answer)) for answer in answers)


async def _decided(problems: Sequence[Sequence[str | None]], answer_type: AnswerType) -> tuple[list[Answers], int]:
    made: list[Answers] = []
    undecided = 0
    for answers in problems:
        first: dict[str, str] = {}
        for answer in answers:
            if answer is None or not (key := answer_type.key(answer)) or key in first:
                continue
            for other in dict.fromkeys(first.values()):
                found = await decide(answer_type, other, answer)
                undecided += found == "undecided"
                if found == "equal":
                    first[key] = other
                    break
            first.setdefault(key, answer)
        made.append(tuple(None if answer is None else first.get(answer_type.key(answer)) for answer in answers))
    return made, undecided
