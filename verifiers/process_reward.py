"""A process reward model: one score per step of a solution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from pydantic import Field, field_validator

from ttc.errors import BadResponse, BudgetExhausted
from ttc.session import Session
from ttc.steps import Aggregate, Separator, Solution, aggregated, separator_of
from ttc.types import Candidate, Query
from ttc.verifiers.pooled_reward import Asked, PooledReward, Scores, harmless
from ttc.verifiers.scoring_server import Payload, ScoringServer

__all__ = ["ProcessReward"]


class ProcessReward(PooledReward):
    """Score the steps of a solution by a process reward model that vLLM serves with ``--runner pooling``.

    Each step is followed by the marker, at which the model says whether all is well so far. vLLM returns what stands at
    the markers of Qwen2.5-Math-PRM by itself, and at those of others when it is told so: ``--pooler-config
    '{"tok_pooling_type": "STEP", "step_tag_id": N}'``, N being the marker's token. As a verifier of whole solutions it
    takes the last step's score (Snell et al. 2024, arXiv 2408.03314), the least, the product or the mean of them.

    From Lightman et al. 2023 (arXiv 2305.20050); the default marker is that of Qwen2.5-Math-PRM (arXiv 2501.07301).
    One call per new text, of kind ``reward@MODEL``.
    """

    name: ClassVar[str] = "process_reward"

    marker: str = Field(
        default="<extra_0>", description="the token behind each step, with the white space that belongs there"
    )
    separator: Separator = Field(
        default="", description="what stands between steps, as in the strategy; left out, a blank line"
    )
    aggregate: Aggregate = Field(default="last", description="the score of a whole solution")

    @field_validator("marker")
    @classmethod
    def _is_one_word(cls, marker: str) -> str:
        if len(marker.split()) != 1:
            raise ValueError("a step marker is one token: a word, white space around it aside")
        return marker

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Return one score in [0, 1] per candidate; 0 for one without any step, which is not sent.

        Raises:
            BudgetExhausted: no calls or dollars are left for it.
            ServerUnreachable: no server answers.
            ConfigurationError: what answers is no such reward model.
            ModelError: the answer is an error, or is not one finite score per step.
        """
        solutions = [Solution.of(c.sample.text, separator_of(self.separator)) for c in candidates]
        found = [scores for scores in await self.score_steps(query, solutions, session) if scores is not None]
        if len(found) < len(solutions):
            raise BudgetExhausted("no calls or dollars are left for scores of the process reward model")
        return [aggregated(scores, self.aggregate) for scores in found]

    async def score_steps(
        self, query: Query, solutions: Sequence[Solution], session: Session
    ) -> Sequence[Sequence[float] | None]:
        """Return for each solution one score in [0, 1] per step that has none; None for one that the budget refused.

        Raises what :meth:`score` does, BudgetExhausted aside. The model reads all steps of a solution with each new
        one (from its prefix cache, where it has one).
        """
        asked = [Asked(self._marked(query, s.steps), len(s.steps)) for s in solutions if s.unscored]
        try:
            scored: Sequence[Scores | None] = await self._scored(asked, session)
        except BudgetExhausted:
            scored = self._remembered(asked)  # what came of the others was paid for
        left = iter(scored)
        found = [next(left) if s.unscored else s.scores for s in solutions]
        return [None if f is None else f[len(s.scores) :] for f, s in zip(found, solutions, strict=True)]

    def _marked(self, query: Query, steps: Sequence[str]) -> Payload:
        word = self.marker.strip()
        return self._payload(query, "".join(harmless(s, word) + self.marker for s in steps), marker=word)

    def _paths(self) -> Sequence[str]:
        return ("/pooling",)

    def _body(self, payloads: Sequence[Payload], path: str) -> dict[str, Any]:
        return super()._body(payloads, path) | {"task": "token_classify"}

    def _probed(self) -> Asked:
        return Asked(self._marked(Query.of("What is 1 + 1 + 1?"), ["1 + 1 = 2.", "2 + 1 = 3."]), 2)

    async def _read(self, server: ScoringServer, entry: Any, asked: Asked) -> Scores:
        rows = cast(list[Any], entry) if isinstance(entry, list) else []
        if len(rows) != asked.n_steps or not all(isinstance(row, list) for row in rows):
            raise BadResponse(
                f"{server.where} returned {len(rows)} scores for a solution of {asked.n_steps} steps, so none of them "
                f"counts: {await self._way_out(server)}"
            )
        return tuple(self._squashed(server, row) for row in rows)

    async def _way_out(self, server: ScoringServer) -> str:
        word = self.marker.strip()
        token = await server.token_id(word)
        if token is None:
            return f"'{word}' is not one token of '{server.model}': pass marker=... as its model card has it"
        config = f'{{"tok_pooling_type": "STEP", "step_tag_id": {token}}}'
        return f"start it with --pooler-config '{config}', so that it returns what stands at each {word}"
