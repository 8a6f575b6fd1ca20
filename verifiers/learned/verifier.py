"""The verifier ``learned``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from ttc.seeds import problem_hash
from ttc.session import Session
from ttc.types import Candidate, Query
from ttc.verifiers.learned.features import features, observe
from ttc.verifiers.learned.model_file import LearnedModel

__all__ = ["LearnedVerifier"]


class LearnedVerifier(BaseModel):
    """P(right) by a logistic regression on length, confidence and votes, learned from samples that were graded.

    ``ttc learn RUN --out FILE`` makes the file. Costs no tokens. A score depends on how many of the query's other
    samples agree, so all of them are scored together. A sample without an answer scores 0. Where it is asked about a
    problem that it was trained on it says so: what it scores there is no evidence of anything.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "learned"
    joint: ClassVar[bool] = True

    path: Path = Field(description="the file that 'ttc learn' wrote")

    _model: LearnedModel = PrivateAttr()

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self._model = LearnedModel.read(self.path)

    @property
    def model(self) -> LearnedModel:
        """What was learned."""
        return self._model

    @property
    def logprobs(self) -> int:
        """1 where it looks at them."""
        return int(any(c.name.endswith("logprob") for c in self._model.coefficients))

    def was_trained_on(self, problem: str) -> bool:
        """Whether the problem of this query id was among those that it was learned from."""
        return problem_hash(problem) in self._model.training.problems

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Return P(right) of each candidate among these."""
        if self.was_trained_on(query.id):
            session.warn("the learned verifier was trained on this very problem: its scores flatter it here")
        found = features(query.answer_type, [observe(c) for c in candidates])
        scores = iter(self._model.probabilities([f for f in found if f is not None]))
        return [0.0 if f is None else float(next(scores)) for f in found]
