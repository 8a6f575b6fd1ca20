"""Samples whose scores are there already, as in a replay: scored as they are handed on, without a task for each."""

from __future__ import annotations

from ttc.samples import Samples
from ttc.types import Candidate

__all__ = ["ScoredAtOnce"]


class ScoredAtOnce(Samples):
    """What :class:`ttc.samples.ScoredSamples` hands on, for a verifier whose ``at_once`` says that it never waits.

    Traces and outcomes are the same; there is nothing to do beside the drawing, so that no branch is opened for it.
    """

    async def __anext__(self) -> Candidate:
        s, drawn = self._session, not self._given
        if drawn:
            candidate = await s._settle(s._read(await self._next()))
            s._count(candidate)
        else:
            candidate = self._given.popleft()
        if candidate.answer is not None and (drawn or candidate.score is None):
            candidate = await self._scored(candidate)
        if self._pace is not None:
            self._seen.append(candidate)
        return candidate

    async def _scored(self, candidate: Candidate) -> Candidate:
        s = self._session
        trace = s.progress.trace
        before = len(trace)
        (candidate,) = await s.score([candidate])
        events = trace[before:]
        del trace[before:]
        s.note("score", index=candidate.sample.index, score=candidate.score, events=events)
        return candidate
