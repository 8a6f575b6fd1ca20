"""The problems of a run once more, for their texts and right answers: a store keeps neither."""

from __future__ import annotations

from collections.abc import Iterable

from ttc.errors import TTCError
from ttc.evals.suite import Problem, load_suite

__all__ = ["problems_at_hand"]


def problems_at_hand(suites: Iterable[str]) -> tuple[dict[tuple[str, str], Problem], dict[str, str]]:
    """Load the problems of suites, by suite and query id; and of each that cannot be loaded here, by its spec, why."""
    problems: dict[tuple[str, str], Problem] = {}
    missing: dict[str, str] = {}
    for spec in dict.fromkeys(suites):
        try:
            problems |= {(spec, p.query.id): p for p in load_suite(spec).problems}
        except (TTCError, ImportError) as error:
            missing[spec] = str(error)
    return problems, missing
