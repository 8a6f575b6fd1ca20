"""A policy is not evaluated on the problems that it was tuned on: what it shows there is no evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ttc import registry
from ttc.errors import ConfigurationError
from ttc.evals.nested_strategies import with_nested
from ttc.evals.problem import Problem
from ttc.evals.suite import Suite
from ttc.strategy import Strategy
from ttc.types import Query

__all__ = ["refuse_tuned_problems", "tuned_note", "without_tuned"]


def refuse_tuned_problems(strategies: Iterable[Strategy], suite: Suite, problems: Iterable[str]) -> None:
    """Refuse to evaluate a strategy on problems that it, or a strategy inside it, was tuned on.

    Args:
        strategies: of a run. Those are looked at that have a method ``tuned_on_query(query)``, as what holds a policy
            has, or ``tuned_on(problem)`` for ids alone.
        suite: that is run.
        problems: ids of the queries that are run.

    Raises:
        ConfigurationError: says how many of how many there are, and how to take others.
    """
    wanted = frozenset(problems)
    asked = [p.query for p in suite.problems if p.query.id in wanted]
    for strategy in strategies:
        for one in with_nested(strategy):
            was_tuned_on = _guard(one)
            if was_tuned_on is None:
                continue
            known = [query.id for query in asked if was_tuned_on(query)]
            if not known:
                continue
            others = sum(not was_tuned_on(p.query) for p in suite.problems)
            raise ConfigurationError(
                f"strategy '{strategy.spec}' was tuned on {len(known)} of these {len(asked)} problems of suite "
                f"'{suite.name}' ({known[0]}, ...), and what it shows on them is no evidence. {_advice(suite, others)}"
            )


def without_tuned(strategies: Iterable[Strategy], suite: Suite, problems: Sequence[Problem]) -> list[Problem]:
    """The problems that no strategy of a run, and no strategy inside one, was tuned on.

    Raises:
        ConfigurationError: none is left.
    """
    guards = [guard for strategy in strategies for one in with_nested(strategy) if (guard := _guard(one)) is not None]
    kept = [problem for problem in problems if not any(was_tuned_on(problem.query) for was_tuned_on in guards)]
    if not kept:
        raise ConfigurationError(
            f"suite '{suite.name}': a strategy was tuned on each of its {len(problems)} problems, so none is left. "
            f"{_advice(suite, 0)}"
        )
    return kept


def tuned_note(strategies: Iterable[Strategy], suite: Suite) -> str:
    """Say how many problems of a suite are left out; empty where none is."""
    distinct = list({problem.query.id: problem for problem in suite.problems}.values())
    left_out = len(distinct) - len(without_tuned(strategies, suite, distinct))
    if not left_out:
        return ""
    return (
        f"suite '{suite.name}': {left_out:,} of its {len(distinct):,} problems are left out, since a strategy was "
        "tuned on them"
    )


def _guard(strategy: Strategy) -> Callable[[Query], bool] | None:
    """What tells the queries that a strategy was tuned on: by id and text where it can, else by id."""
    by_query: Callable[[Query], bool] | None = getattr(strategy, "tuned_on_query", None)
    by_id: Callable[[str], bool] | None = getattr(strategy, "tuned_on", None)
    if by_query is not None or by_id is None:
        return by_query
    return lambda query: by_id(query.id)


def _advice(suite: Suite, others: int) -> str:
    seeded = _has_seed(suite.name)
    ways = [
        f"another seed of the suite ({suite.name}{',' if ':' in suite.name else ':'}seed=...)" if seeded else "",
        f"another draw of it with --limit and --sample-seed, since {others:,} of its {len(suite.problems):,} problems "
        "were not tuned on (--leave-out-tuned takes those alone)"
        if others
        else "",
        "another suite, or tune on others",
    ]
    return f"Take {', or '.join(filter(None, ways))}."


def _has_seed(suite: str) -> bool:
    """Whether a suite makes other problems from another seed, which its spec does not fix yet."""
    try:
        name, given = registry.parse_spec("suite", suite, positional="path")
        return "seed" in registry.load("suite", name).model_fields and "seed" not in given
    except (ConfigurationError, AttributeError):
        return False  # an object, or one that is no config
