"""What a strategy is: a frozen config with one method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import pydantic
from pydantic import BaseModel, ConfigDict

from ttc import registry
from ttc.errors import ConfigurationError
from ttc.types import Query

if TYPE_CHECKING:
    from ttc.session import Session
    from ttc.verifier import Verifier

__all__ = ["Strategy", "make_strategy"]


class Strategy(BaseModel, ABC):
    """How one query is solved. The fields are the parameters; ``solve`` is about one screen of code.

    A strategy draws samples, scores and compares through the session and calls ``session.propose`` whenever it has a
    better answer: the last proposal is the answer, whatever ends the query. It returns nothing.

    Class attributes:
        prefix_valid: its state after k samples is what a run with k samples would have returned, so one run gives
            the whole curve (voting, best-of-N). Brackets, trees and revision are not.
        needs: ``verifier`` and ``comparator``, where it cannot work without.
        paper: where the idea comes from.
        cost: calls and latency, as a formula in the parameters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix_valid: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset()
    paper: ClassVar[str] = ""
    cost: ClassVar[str] = ""

    if not TYPE_CHECKING:  # the type checker knows the parameters of each strategy

        def __init__(self, **parameters: Any) -> None:
            """Make a strategy; raises ConfigurationError for an unknown parameter or a value out of its range."""
            try:
                super().__init__(**parameters)
            except pydantic.ValidationError as error:
                raise registry.complaint("strategy", self.name, type(self), error) from None

    @abstractmethod
    async def solve(self, query: Query, session: Session) -> None:
        """Solve one query: draw through ``session`` and propose."""

    def requires(self) -> frozenset[str]:
        """What this configuration cannot work without: ``verifier``, ``comparator``."""
        return self.needs

    def accepts(self, verifier: Verifier | None) -> None:
        """Refuse a verifier that this configuration cannot work with; asked before anything is paid for.

        Raises:
            ConfigurationError: it cannot; says what to take instead.
        """

    @property
    def paceable(self) -> bool:
        """Whether somebody else may decide, wave by wave, how far it draws (:mod:`ttc.pacing`)."""
        return self.prefix_valid

    @property
    def content(self) -> str:
        """What determines it beside its spec: a hash of the files that the spec names; empty where it names none."""
        return ""

    @property
    def caveat(self) -> str:
        """What a reader of its results should know of it, such as that its policy was tuned on nothing; else empty."""
        return ""

    @property
    def name(self) -> str:
        """The registered name: the class name in snake case."""
        word = type(self).__name__
        return "".join(
            "_" + c.lower() if c.isupper() and i and word[i - 1].islower() else c.lower() for i, c in enumerate(word)
        )

    @property
    def spec(self) -> str:
        """The command-line form, with every parameter that differs from its default; also the stable key."""
        changed = {k: str(v) for k, v in self if v != type(self).model_fields[k].default}
        parts = (f"{k}=({v})" if "," in v else f"{k}={v}" for k, v in changed.items())
        return self.name + (":" + ",".join(parts) if changed else "")


def make_strategy(spec: str | Strategy) -> Strategy:
    """Make a strategy of ``majority:n=16`` (one that is made already is returned as it is).

    Raises:
        UnknownName: no such strategy or parameter.
        ConfigurationError: a parameter is out of its range.
    """
    if isinstance(spec, Strategy):
        return spec
    made = registry.create("strategy", spec)
    if not isinstance(made, Strategy):
        raise ConfigurationError(f"'{spec}' is registered as a strategy, but is a {type(made).__name__}")
    return made
