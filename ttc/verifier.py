"""What scores samples without the gold answer: verifiers and comparators."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast, runtime_checkable

from ttc import registry
from ttc.errors import ConfigurationError
from ttc.steps import Solution
from ttc.types import Candidate, Query

if TYPE_CHECKING:
    from ttc.session import Session

__all__ = [
    "Comparator",
    "Critic",
    "Preparing",
    "StepScorer",
    "Verdict",
    "Verifier",
    "in_unit",
    "is_joint",
    "make_comparator",
    "make_verifier",
    "passes",
    "refuse_joint",
]


@runtime_checkable
class Verifier(Protocol):
    """Scores candidates of a query in [0, 1].

    Attributes:
        name: the registered name.
        logprobs: top-k logprobs that the samples must carry, or 0. A session asks the model for them by itself.
        pass_fail: optional; True where a score of 1 means that the candidate passed, and nothing better can come.
        joint: optional; True where a score depends on the query's other candidates (how many agree). All of them so far
            are scored together, again as each one arrives: it keeps what is expensive by text.
    """

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def logprobs(self) -> int:
        """Top-k logprobs that samples must carry; 0 for none."""
        ...

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Return one score in [0, 1] per candidate. Calls to a model go through the session, and are charged."""
        ...


@runtime_checkable
class Critic(Protocol):
    """A verifier that can also say what is wrong with a candidate, without the gold answer."""

    async def critique(self, query: Query, candidate: Candidate, session: Session) -> str:
        """Return words for the model that revises, such as the public tests that failed; empty where all is well."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A verifier that needs something: a sandbox, a server. It is asked before anything is paid for, and often."""

    async def prepare(self) -> None:
        """Make sure that it can work.

        Raises:
            ConfigurationError: it cannot; says what to do.
            ServerUnreachable: nothing answers where its server should be.
        """
        ...


@runtime_checkable
class StepScorer(Protocol):
    """Scores each step of partial or whole solutions in [0, 1]: a process reward model."""

    async def score_steps(
        self, query: Query, solutions: Sequence[Solution], session: Session
    ) -> Sequence[Sequence[float] | None]:
        """Return for each solution one score per step that has none yet (its ``unscored`` ones).

        All solutions of a wave come at once, so that a scorer can ask for all of them at a time. None stands for one
        whose scoring the budget refused, so that the others' scores, which were paid for, count.
        """
        ...


def is_joint(verifier: Verifier | None) -> bool:
    """Whether a verifier's scores depend on the query's other candidates."""
    return bool(getattr(verifier, "joint", False))


def refuse_joint(verifier: Verifier | None, *, by: str) -> None:
    """Refuse a verifier that scores candidates together, where a strategy weighs each by itself.

    Raises:
        ConfigurationError: it does; says which strategy works with it.
    """
    if verifier is not None and is_joint(verifier):
        raise ConfigurationError(
            f"{by}: verifier '{verifier.name}' scores candidates together, and {by} weighs each by itself: take "
            "best_of_n, which scores all of them anew as each one arrives"
        )


def passes(verifier: Verifier | None, candidate: Candidate) -> bool:
    """Whether a pass/fail verifier (one with ``pass_fail`` set) let a scored candidate pass."""
    return bool(getattr(verifier, "pass_fail", False)) and (candidate.score or 0.0) >= 1.0


def in_unit(value: Any, *, by: str, what: str) -> float:
    """Return what a verifier or a comparator said as a number.

    Raises:
        ConfigurationError: it is no number from 0 to 1, so that no vote could be right that counted it.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = nan
    if not 0 <= number <= 1:
        raise ConfigurationError(f"{by} returned {value!r}: a {what} is a number from 0 to 1")
    return number


class Verdict(NamedTuple):
    """What came of one comparison.

    Attributes:
        won: 1 when ``a`` won, 0 when ``b`` did, 1/2 when the verdict could not be read.
        a_first: whether ``a`` stood in the first slot.
    """

    won: float
    a_first: bool


@runtime_checkable
class Comparator(Protocol):
    """Compares two candidates in the slots that the session chose."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    async def compare(self, query: Query, first: Candidate, second: Candidate, session: Session) -> float:
        """One comparison: 1 when the first is better, 0 when the second is, 1/2 when the verdict cannot be read."""
        ...


def make_verifier(spec: Any) -> Verifier | None:
    """Make a verifier of its spec; what is none (or None) is returned as it is."""
    return cast(Verifier, registry.create("verifier", spec)) if isinstance(spec, str) else spec


def make_comparator(spec: Any) -> Comparator | None:
    """Make a comparator of its spec; what is none (or None) is returned as it is."""
    return cast(Comparator, registry.create("comparator", spec)) if isinstance(spec, str) else spec
