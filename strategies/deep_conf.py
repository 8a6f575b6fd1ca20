"""DeepConf: stop the traces that lose confidence while they stream, and weigh the votes of the others by it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import ClassVar

import numpy as np
from pydantic import Field

from ttc.errors import ConfigurationError
from ttc.request import Watcher
from ttc.session import Session
from ttc.strategies.group_confidence import GroupConfidence
from ttc.strategies.vote import Vote
from ttc.strategy import Strategy
from ttc.types import Candidate, Query, Watch

__all__ = ["DeepConf"]


class DeepConf(Strategy):
    """Vote by confidence, and end the traces whose confidence falls below that of a few that ran to their end.

    ``warmup`` traces run to their end. Of each counts its lowest confidence over ``window`` tokens in a row (see
    :class:`~ttc.strategies.group_confidence.GroupConfidence`). The threshold is their (100 - eta)-th percentile, so
    that about ``eta`` per cent of such traces stay above it. Later traces are ended as soon as a whole window falls
    below. Traces below the threshold do not vote, those of the warm-up among them; the votes of the others weigh their
    lowest confidence. No more are drawn when the leader holds ``consensus`` of the weight of all traces that ran to
    their end: the few of a warm-up that are above a high threshold agree too easily. A window beyond the length of the
    traces ends none early: it only filters.
    """

    prefix_valid: ClassVar[bool] = True  # below the warm-up as well: without a threshold everybody votes
    paper: ClassVar[str] = "Fu et al. 2025, arXiv 2508.15260"
    cost: ClassVar[str] = (
        "warmup whole traces, then up to n - warmup in waves, most of them cut short where eta is small"
    )

    n: int = Field(default=64, ge=1, le=4096, description="traces at the most")
    warmup: int = Field(default=16, ge=2, description="traces that run to their end first")
    eta: float = Field(
        default=90, gt=0, lt=100, description="per cent of traces to keep: 10 cuts most of them, 90 the worst"
    )
    window: int = Field(default=2048, ge=1, description="tokens of a group")
    consensus: float = Field(default=0.95, gt=0.5, le=1, description="share of the weight that ends the vote")
    wave: int | None = Field(
        default=None, ge=1, description="later traces in flight at a time; by default as in the warm-up"
    )
    top: int = Field(default=20, ge=1, le=20, description="alternatives per token; a server allows 20 by default")

    @property
    def paceable(self) -> bool:
        """No: its traces are watched, in two draws of its own."""
        return False

    async def solve(self, query: Query, session: Session) -> None:
        """Warm up, set the threshold, and vote on until the leader has its share."""
        whole, vote = Vote(query.answer_type, session.rng), Vote(query.answer_type, session.rng)
        warm: list[tuple[Candidate, float | None]] = []
        async with session.sample(n=min(self.n, self.warmup), whole=True, logprobs=self.top) as samples:
            async for candidate in samples:
                warm.append((candidate, self._lowest(candidate)))
                _cast(session, *warm[-1], votes=[whole])
        if len(warm) == self.warmup:
            threshold = self._threshold(warm)
            if threshold > -inf:
                session.note("threshold", confidence=threshold, lowest=[low for _, low in warm])
            for candidate, low in warm:
                _cast(session, candidate, low, votes=[vote], threshold=threshold)
            await self._vote_on(session, threshold, whole, vote)
        classes = [[c.best.answer, len(c.members), round(c.weight, 4)] for c in (vote.ranking() or whole.ranking())]
        session.note("vote", classes=classes)

    def _threshold(self, warm: list[tuple[Candidate, float | None]]) -> float:
        known = [low for _, low in warm if low is not None]
        if not known and any(c.sample.ok and c.sample.usage.generated for c, _ in warm):
            raise ConfigurationError(
                "strategy 'deep_conf' needs logprobs, and the server returned none: start it without --max-logprobs 0"
            )
        return float(np.percentile(known, 100 - self.eta)) if known else -inf

    async def _vote_on(self, session: Session, threshold: float, whole: Vote, vote: Vote) -> None:
        """Draw traces under the watch until one answer has its share of the weight."""
        left = self.n - self.warmup
        watch = Watch(f"deep_conf:{self.window},{threshold!r}", lambda: self._watcher(threshold))
        if left and whole.share() < self.consensus:
            wave = self.wave or self.warmup
            async with session.sample(n=left, wave=wave, whole=True, watch=watch, logprobs=self.top) as samples:
                async for candidate in samples:
                    left -= 1
                    _cast(session, candidate, self._lowest(candidate), votes=[whole, vote], threshold=threshold)
                    if whole.share() >= self.consensus:
                        break
        if left and whole.share() >= self.consensus:
            session.stop_early("consensus")

    def _watcher(self, threshold: float) -> Watcher:
        """Make the watcher of one trace: it fires when a whole window has fallen below the threshold."""
        group = GroupConfidence(self.window)
        return lambda piece: group.add(piece.top_logprobs) < threshold

    def _lowest(self, candidate: Candidate) -> float | None:
        group = GroupConfidence(self.window)
        group.add(candidate.sample.top_logprobs)
        return group.lowest


def _cast(
    session: Session, candidate: Candidate, low: float | None, *, votes: Sequence[Vote], threshold: float = -inf
) -> None:
    """Let a trace vote that was not halted, and is not below at its end; propose the leader of the last vote."""
    ended = candidate.sample.finish != "halted"
    if ended and low is not None and low >= threshold:
        for vote in votes:
            vote.add(candidate, weight=low)
    if leader := votes[-1].leader():
        session.propose(leader.best)
    elif ended and (session.candidate is None or session.candidate.answer is None):
        session.propose(candidate)
