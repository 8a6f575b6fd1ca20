"""An outcome reward model: one score for a whole solution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, cast

from pydantic import Field

from ttc.session import Session
from ttc.types import Candidate, Query
from ttc.verifiers.pooled_reward import Asked, PooledReward, Scores, harmless
from ttc.verifiers.scoring_server import ScoringServer

__all__ = ["RewardModel"]

_PATHS = {"auto": ("/classify", "/pooling"), "classify": ("/classify",), "pooling": ("/pooling",)}


class RewardModel(PooledReward):
    """Score a solution by an outcome reward model that vLLM serves with ``--runner pooling``.

    Query and solution are sent as a chat, which the server puts into the reward model's own template. Sequence
    classifiers answer under ``/classify``; of a model that scores every token (Qwen2.5-Math-RM, under ``/pooling``) the
    last one counts. The final text is scored and not the thoughts; an empty one is worth 0, and is not sent.

    From Cobbe et al. 2021 (arXiv 2110.14168). One call per new text, of kind ``reward@MODEL``.
    """

    name: ClassVar[str] = "reward_model"

    endpoint: Literal["auto", "classify", "pooling"] = Field(
        default="auto", description="what is asked; auto tries both"
    )

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Return one score in [0, 1] per candidate.

        Raises:
            BudgetExhausted: no calls or dollars are left for it.
            ServerUnreachable: no server answers.
            ConfigurationError: what answers is no such reward model.
            ModelError: the answer is an error, or is not one finite score per text.
        """
        texts = [harmless(c.sample.text) for c in candidates]
        scores = await self._scored([Asked(self._payload(query, t)) for t in texts if t], session)
        left = iter(scores)
        return [next(left)[0] if t else 0.0 for t in texts]

    def _paths(self) -> Sequence[str]:
        return _PATHS[self.endpoint]

    def _probed(self) -> Asked:
        return Asked(self._payload(Query.of("What is 1 + 1?"), "2"))

    async def _read(self, server: ScoringServer, entry: Any, asked: Asked) -> Scores:
        rows = cast(list[Any], entry) if isinstance(entry, list) else []
        by_token = bool(rows) and isinstance(rows[0], list)
        return (self._squashed(server, rows[-1] if by_token else entry),)
