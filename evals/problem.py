"""A problem as graders see it: the query, and what decides whether its answer is right."""

from __future__ import annotations

from dataclasses import dataclass

from ttc.types import ProgramTest, Query

__all__ = ["Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One query with what decides whether its answer is right.

    Attributes:
        query: all that strategies and verifiers see.
        gold: the right answer, where answers are compared.
        tests: hidden tests, where programs are run; of the form of a query's public ones.
        reference: a program that passes them.
    """

    query: Query
    gold: str = ""
    tests: tuple[ProgramTest, ...] = ()
    reference: str = ""
