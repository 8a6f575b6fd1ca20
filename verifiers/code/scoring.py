"""Scores of candidates from which tests they pass: pure functions on a matrix, the same for recorded samples.

``passed[i][j]`` says whether candidate i passed test j. All return one score in [0, 1] per candidate, in order; 0 for
all where there are no tests. A group is the candidates that pass the same tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import sqrt

__all__ = ["Passed", "agreement_score", "pass_rate", "plausibility", "validity_weighted"]

Passed = Sequence[Sequence[bool]]
"""Candidates by tests."""


def pass_rate(passed: Passed) -> list[float]:
    """The share of the tests that a candidate passes. Each test counts the same, a wrong one too."""
    return [sum(map(bool, row)) / len(row) if row else 0.0 for row in passed]


def agreement_score(passed: Passed) -> list[float]:
    """CodeT's dual agreement: the size of a candidate's group times the tests that it passes, as a share of the most.

    Many programs that pass the same many tests are right more often than one that passes the most (Chen et al. 2022,
    arXiv 2207.10397).
    """
    rows = _rows(passed)
    size = Counter(rows)
    return [size[row] * sum(row) / (len(rows) * len(row)) if row else 0.0 for row in rows]


def plausibility(passed: Passed) -> list[float]:
    """How likely each test is to be a valid one, in [0, 1]: the share of the candidates that pass it.

    Right programs agree on what they return and wrong ones differ, so that a wrong test is passed by few. A candidate
    that passes nothing says nothing.
    """
    live = [row for row in _rows(passed) if any(row)]
    tests = range(len(passed[0]) if passed else 0)
    return [sum(row[j] for row in live) / len(live) if live else 0.0 for j in tests]


def validity_weighted(passed: Passed) -> list[float]:
    """The share of the tests that a candidate passes, each weighing its :func:`plausibility`, by the group's size.

    A test that the model wrote wrongly, and that hardly a candidate passes, hardly counts. That alone does not keep a
    lone program from passing the most among many candidates, so the share is multiplied by the square root of the
    group's share of the candidates, as the published code of CodeT does with its groups.
    """
    rows = _rows(passed)
    size = Counter(rows)
    weights = plausibility(rows)
    whole = sum(weights)

    def share(row: tuple[bool, ...]) -> float:
        return sum(w for w, bit in zip(weights, row, strict=True) if bit) / whole if whole else 0.0

    return [share(row) * sqrt(size[row] / len(rows)) for row in rows]


def _rows(passed: Passed) -> list[tuple[bool, ...]]:
    return [tuple(map(bool, row)) for row in passed]
