"""What a strategy is handed: model, verifiers and ledger behind a few verbs."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import anyio

from ttc.budget import Budget, Ledger
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.models.base import Model, SampleStream
from ttc.progress import Progress
from ttc.seeds import hashed
from ttc.types import Candidate, Checkpoint, ForcedAnswer, Message, Query, Request, Sample, Sampling
from ttc.verifier import Comparator, Verifier

__all__ = ["Samples", "Session"]


#: fields of a request body that are meant for answers, and would fight the choice that a judge is held to
_SHAPE_ANSWERS = frozenset(
    {"response_format", "structured_outputs", "stop", "stop_token_ids", "min_tokens", "ignore_eos", "logit_bias"}
    | {"allowed_token_ids", "bad_words"}
)


class Session:
    """One query's access to a model under a ledger. Holds no gold answer, and nothing that leads to one.

    Attributes:
        query: the query.
        verifier: scores candidates, or None.
        comparator: compares candidates, or None.
        sampling: how samples are drawn where a verb does not say otherwise.
        rng: seeded from (run, query, strategy); ties and pairings are drawn from it.
        progress: what has been drawn, proposed and noted so far; a child session shares it.
    """

    def __init__(
        self,
        query: Query,
        model: Model,
        ledger: Ledger,
        *,
        verifier: Verifier | None = None,
        comparator: Comparator | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
        strategy: str = "",
    ) -> None:
        self.query = query
        self.verifier = verifier
        self.comparator = comparator
        self.sampling = sampling or Sampling()
        self.rng = random.Random(hashed(seed, query.id, strategy))
        self.progress = Progress()
        self._model = model
        self._ledger = ledger
        self._whole = ledger
        self._seed = seed
        self._handed_on: list[Candidate] = []
        self._meeting: tuple[int, ...] = ()

    @property
    def candidate(self) -> Candidate | None:
        """The last proposal: the answer, if everything ended now."""
        return self.progress.proposed[-1][1] if self.progress.proposed else None

    # -- drawing ----------------------------------------------------------------------------------------------------

    def sample(
        self,
        messages: Sequence[Message] | None = None,
        *,
        n: int,
        kind: str = "generate",
        wave: int | None = None,
        **overrides: Any,
    ) -> Samples:
        """Draw ``n`` samples, each its own seeded and cuttable request.

        Use as ``async with session.sample(n=16) as samples: async for candidate in samples``. They come in issue
        order. Leaving the block cancels what is in flight, and charges it. Where the budget refuses a call the
        iteration ends early. With ``wave`` so many are sent at a time, the next ones when those were consumed.

        Args:
            messages: the prompt (default: the query's).
            n: how many.
            kind: what the calls are for: generate, revise, judge, reward or probe.
            wave: how many to have in flight at the most (default: all).
            overrides: fields of :class:`~ttc.types.Sampling` to change.
        """
        if n < 1:
            raise ConfigurationError(f"sample(n={n}): draw at least one")
        given: list[Candidate] = []
        if messages is None and kind == "generate" and not overrides:
            given, self._handed_on = self._handed_on[:n], self._handed_on[n:]
        return Samples(self, messages or self.query.messages, n, kind, wave, overrides, given)

    async def generate(
        self, messages: Sequence[Message] | None = None, *, kind: str = "generate", **overrides: Any
    ) -> Candidate:
        """Draw one sample.

        Raises:
            BudgetExhausted: the ledger refused it.
        """
        async with self.sample(messages, n=1, kind=kind, **overrides) as samples:
            async for candidate in samples:
                return candidate
        raise BudgetExhausted(f"the budget has no tokens left for a call of kind '{kind}'")

    async def choose(
        self, messages: Sequence[Message], choices: Sequence[str], *, kind: str = "judge", temperature: float = 0.0
    ) -> Sample:
        """Ask for one of ``choices``, constrained by the server, with the logprobs of the first token.

        Raises:
            BudgetExhausted: the ledger refused it.
        """
        overrides = {
            "max_tokens": 8,
            "temperature": temperature,
            "logprobs": 20,
            "force_answer": 0,
            "thinking_tokens": None,
            "extra": {name: value for name, value in self.sampling.extra.items() if name not in _SHAPE_ANSWERS},
        }
        request = replace(self._request(messages, kind, overrides), choices=tuple(choices))
        async with self._model.open(self._numbered(request, 1), self._ledger) as stream:
            async for sample in stream:
                return self._consume(sample, counts=False).sample
        raise BudgetExhausted(f"the budget has no tokens left for a call of kind '{kind}'")

    # -- judging ----------------------------------------------------------------------------------------------------

    async def score(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Let the verifier score candidates; returns them with their scores, in the same order.

        Raises:
            ConfigurationError: there is no verifier.
            BudgetExhausted: the verifier's own calls ran out of budget.
        """
        if self.verifier is None:
            raise ConfigurationError("scoring needs a verifier: pass verifier='self_certainty' or 'judge'")
        scores = await self.verifier.score(self.query, candidates, self)
        if len(scores) != len(candidates):
            raise ConfigurationError(
                f"verifier '{self.verifier.name}' returned {len(scores)} scores for {len(candidates)} candidates"
            )
        scored = [c.scored(float(s)) for c, s in zip(candidates, scores, strict=True)]
        for c in scored:
            self.note("score", index=c.sample.index, answer=c.answer, score=c.score, by=self.verifier.name)
        return scored

    async def compare(self, a: Candidate, b: Candidate) -> float:
        """Make one comparison; the session alternates the slots from call to call, the first one seeded.

        Returns:
            1 when ``a`` won, 0 when ``b`` did, 1/2 when the verdict could not be read.

        Raises:
            ConfigurationError: there is no comparator.
            BudgetExhausted: no tokens for the call.
        """
        if self.comparator is None:
            raise ConfigurationError("comparing needs a comparator: pass comparator='judge'")
        pair = (min(a.sample.index, b.sample.index), max(a.sample.index, b.sample.index))
        low_first = (hashed(self._seed, self.query.id, *pair, bits=1) + self.progress.meetings[pair]) % 2 == 0
        self.progress.meetings[pair] += 1
        a_first = low_first == (a.sample.index == pair[0])
        first, second = (a, b) if a_first else (b, a)
        # Matches run at once, and candidates may be alike to the letter: the calls of a meeting are numbered within it.
        meeting = copy(self)
        meeting._meeting = (*pair, self.progress.meetings[pair])
        verdict = await self.comparator.compare(self.query, first, second, meeting)
        won = verdict if a_first else 1 - verdict
        self.note("compare", a=a.sample.index, b=b.sample.index, first="a" if a_first else "b", won=won)
        return won

    # -- saying -----------------------------------------------------------------------------------------------------

    def propose(self, candidate: Candidate) -> None:
        """Make this the answer so far: a checkpoint.

        What holds no answer is never proposed over what does, nor a failed call over a text without an answer.
        """
        if self.candidate is not None and _worth(candidate) < _worth(self.candidate):
            candidate = self.candidate  # it stands, at what has been paid by now
        p = self.progress
        point = Checkpoint(candidate.answer, p.drawn, p.consumed, self._whole.spent)
        if p.proposed and (last := p.proposed[-1][0]).prefix == p.consumed and last.samples == p.drawn:
            p.proposed.pop()  # nothing was drawn or spent since: the later word counts
        p.proposed.append((point, candidate))

    def stop_early(self, why: str) -> None:
        """Say that a stop rule fired; what is in flight is cancelled when the sampling block is left."""
        self.progress.stopped_early = True
        self.note("stop", why=why, samples=self.progress.drawn)

    def note(self, event: str, **data: Any) -> None:
        """Add an event to the trace. Plain data only."""
        self.progress.trace.append({"event": event, "tokens": self.progress.consumed.generated, **data})

    def warn(self, message: str) -> None:
        """Tell the reader of the outcome, once."""
        if message not in self.progress.warnings:
            self.progress.warnings.append(message)

    # -- nesting ----------------------------------------------------------------------------------------------------

    @property
    def tokens_left(self) -> int | None:
        """Generated tokens that could be granted now; None: no limit."""
        return self._ledger.left()

    @asynccontextmanager
    async def within(self, budget: Budget, *, hand_on: Sequence[Candidate] = ()) -> AsyncGenerator[Session]:
        """Open a child session under a further budget; what it spends counts here as well.

        Candidates that are handed on are the first that the child draws; they were paid for when they were drawn.
        Checkpoints, trace and counts are shared. When the child's seconds are over its block is left.
        """
        child = copy(self)
        child._ledger = Ledger(budget, parent=self._ledger)
        child._handed_on = list(hand_on)
        with anyio.move_on_after(budget.seconds):
            yield child

    # -- inside -----------------------------------------------------------------------------------------------------

    def _request(self, messages: Sequence[Message], kind: str, overrides: dict[str, Any]) -> Request:
        try:
            sampling = replace(self.sampling, **overrides)
        except TypeError as error:
            raise ConfigurationError(f"sampling: {error}") from None
        logprobs = max(sampling.logprobs or 0, self.verifier.logprobs if self.verifier and kind != "judge" else 0)
        answer_type = self.query.answer_type
        force = (
            ForcedAnswer(answer_type.cue, sampling.force_answer, answer_type.concludes)
            if sampling.force_answer and answer_type.cue and kind in ("generate", "revise", "probe")
            else None
        )
        return Request(
            messages=tuple(messages),
            max_tokens=sampling.max_tokens,
            kind=kind,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            logprobs=logprobs or None,
            stream=sampling.max_tokens > 16,
            thinking_tokens=sampling.thinking_tokens,
            force=force,
            extra=sampling.extra,
        )

    def _numbered(self, request: Request, n: int) -> list[Request]:
        """Give ``n`` requests of equal content their index in issue order, and the seed that follows from it."""
        try:
            content = "/".join(map(str, (request.content(), *self._meeting)))
        except TypeError as error:  # orjson's
            raise ConfigurationError(f"the messages or the extra fields of a request cannot be sent: {error}") from None
        first = self.progress.issued[content]
        self.progress.issued[content] += n
        return [
            replace(request, index=i, seed=hashed(self._seed, self.query.id, content, i))
            for i in range(first, first + n)
        ]

    def _consume(self, sample: Sample, *, counts: bool = True) -> Candidate:
        p = self.progress
        p.consumed = p.consumed + sample.usage
        p.drawn += counts
        if sample.ok:
            p.succeeded += 1
        else:
            p.failures.append(sample)
        answer = self.query.answer_type.extract(sample.text) if sample.ok and counts else None
        if answer is not None and not self.query.answer_type.key(answer):
            answer = None  # the empty key is that of no answer
        if counts:
            self.note(
                "sample",
                kind=sample.kind,
                index=sample.index,
                answer=answer,
                finish=sample.finish,
                forced=sample.forced,
                generated=sample.usage.generated,
                **({"error": sample.error} if sample.error else {}),
            )
        return Candidate(answer, sample)


def _worth(candidate: Candidate) -> tuple[bool, bool]:
    return candidate.answer is not None, candidate.sample.ok


class Samples:
    """Candidates of one :meth:`Session.sample`, in issue order."""

    def __init__(
        self,
        session: Session,
        messages: Sequence[Message],
        n: int,
        kind: str,
        wave: int | None,
        overrides: dict[str, Any],
        given: list[Candidate],
    ) -> None:
        self._session = session
        self._given = given
        self._wanted = n - len(given)
        self._wave = wave or n
        self._issued = 0
        self._received = 0
        self._request = session._request(messages, kind, overrides)
        self._stream: SampleStream | None = None

    async def __aenter__(self) -> Self:
        s = self._session
        limit = s._ledger.left()
        if limit is not None and self._wanted and limit < self._wanted * self._request.max_tokens:
            s.warn(
                f"the budget ({limit} tokens left) is below n * max_tokens "
                f"({self._wanted} * {self._request.max_tokens}): long samples may be cut, which favours short ones"
            )
        self._stream = s._model.open([], s._ledger)
        self._issue()  # before the stream is entered: a request that cannot be made leaves nothing open
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool | None:
        assert self._stream is not None
        return await self._stream.__aexit__(kind, error, where)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Candidate:
        assert self._stream is not None
        s = self._session
        if self._given:
            return self._given.pop(0)
        while True:
            try:
                sample = await self._stream.__anext__()
            except StopAsyncIteration:
                if self._received < self._issued:
                    s.progress.out_of_budget = True
                    raise
                if self._issued >= self._wanted:
                    raise
                self._issue()
                continue
            self._received += 1
            return s._consume(sample)

    def _issue(self) -> None:
        assert self._stream is not None
        # A wave that samples were handed on into is smaller by those.
        more = min(self._wave - len(self._given) if not self._issued else self._wave, self._wanted - self._issued)
        if more > 0:
            self._stream.issue(self._session._numbered(self._request, more))
            self._issued += more
