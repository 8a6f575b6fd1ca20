"""Traces cut at several lengths: drawn part by part, and made to answer at each cut as a run with that cap would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import anyio

from ttc.session import Session
from ttc.types import Candidate

__all__ = ["CutTrace", "draw_traces", "forced"]


class CutTrace(NamedTuple):
    """A sample with what it answered on the way.

    Attributes:
        whole: the sample as it ended by itself or at its cap; its usage holds the prompt once.
        cuts: by tokens the sample as it was cut there and made to answer. One that ended before stands for itself.
    """

    whole: Candidate
    cuts: dict[int, Candidate]


async def draw_traces(session: Session, n: int, cuts: Sequence[int], *, logprobs: int | None = None) -> list[CutTrace]:
    """Draw ``n`` samples, each cut at every one of ``cuts`` and made to answer there; all at once.

    A part goes on where the one before ended: prompt and text are read again, from the prefix cache where the server
    has one. Answers forced at a cut are calls of kind ``probe``; they are no part of the trace.

    Args:
        session: the query's.
        n: how many.
        cuts: generated tokens, ascending, below the cap of a sample.
        logprobs: top-k logprobs that the trace is to carry.
    """
    firsts: list[Candidate] = []
    async with session.sample(n=n, until=cuts[0], logprobs=logprobs) as samples:
        async for candidate in samples:
            firsts.append(candidate)
    traces: list[CutTrace | None] = [None] * len(firsts)
    branches = [session.branch("trace", i) for i in range(len(firsts))]

    async def go_on(i: int) -> None:
        traces[i] = await _trace(branches[i], firsts[i], cuts, logprobs)

    async with anyio.create_task_group() as group:
        for i in range(len(firsts)):
            group.start_soon(go_on, i)
    for i, branch in enumerate(branches):
        session.merge(branch, "trace", index=i)
    return [trace for trace in traces if trace is not None]


async def forced(session: Session, candidate: Candidate, *, kind: str) -> Candidate:
    """Read the answer of a text that was cut off; force it where the text does not mark one, as a model's cap does."""
    answer_type, tokens = session.query.answer_type, session.sampling.force_answer
    if not (answer_type.cue and tokens) or answer_type.concludes(candidate.sample.text):
        return await session.conclude(candidate)
    return await session.continue_(
        candidate,
        cue=answer_type.cue,
        kind=kind,
        max_tokens=tokens,
        temperature=0.0,
        thinking_tokens=None,
        logprobs=None,
    )


async def _trace(session: Session, first: Candidate, cuts: Sequence[int], logprobs: int | None) -> CutTrace:
    """Go on from the first part to the end."""
    prompt, found = first.sample.usage.prompt_tokens, dict[int, Candidate]()
    so_far, over = first, first.sample.finish == "stop" or not first.sample.ok
    for cut, end in pairwise((*cuts, session.sampling.max_tokens)):
        if over:
            break
        found[cut] = await forced(session, so_far, kind="probe")
        async with session.grow([so_far], until=end - so_far.sample.usage.generated, logprobs=logprobs) as grown:
            async for one in grown:
                so_far, over = one.candidate, one.over or not one.candidate.sample.ok
    before = so_far.sample.usage.prompt_tokens
    whole = so_far if over else await forced(session, so_far, kind="generate")
    # Its parts re-read the prompt, which a sample that is drawn in one go does not.
    usage = replace(whole.sample.usage, prompt_tokens=prompt + whole.sample.usage.prompt_tokens - before)
    whole = replace(whole, sample=replace(whole.sample, usage=usage))
    return CutTrace(whole, {cut: found.get(cut, whole) for cut in cuts})
