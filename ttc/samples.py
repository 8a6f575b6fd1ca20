"""The samples of one draw: issued all at once or in waves, handed on in issue order, scored as they arrive."""

from __future__ import annotations

from bisect import bisect
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from ttc.errors import BudgetExhausted
from ttc.models.base import SampleStream
from ttc.pacing import Pace
from ttc.request import Numbered
from ttc.types import Candidate, Request, Sample

if TYPE_CHECKING:
    from ttc.session import Session

__all__ = ["Draw", "Samples", "ScoredSamples", "Taken"]


@dataclass(slots=True)
class Taken:
    """What samples took so far, in tokens: their sum and the longest one, so that no draw goes through all of them."""

    samples: int = 0
    tokens: int = 0
    longest: int = 0

    def add(self, tokens: int) -> None:
        """Take one more into account."""
        self.samples += 1
        self.tokens += tokens
        self.longest = max(self.longest, tokens)


class Draw:
    """Samples of one draw in issue order, as many at a time as were asked for or as the budget carries."""

    def __init__(
        self,
        session: Session,
        request: Request,
        n: int,
        *,
        wave: int | None = None,
        given: Sequence[Candidate] = (),
        by_finish: bool = False,
        whole: bool = False,
        pace: Pace | None = None,
    ) -> None:
        self._session = session
        self._request = request  # of several the one with the longest prompt
        self._given = deque(given)
        self._wanted = n - len(given)
        self._wave = self._most = wave or n
        self._by_finish = by_finish
        self._whole = whole
        self._pace = pace
        self._seen: list[Candidate] = []  # where it is paced: what was handed on
        self._taken = Taken()
        for candidate in given:
            self._taken.add(candidate.sample.usage.generated)
        self._prompt = max((c.sample.usage.prompt_tokens for c in given), default=0)
        self._issued = 0
        self._received = 0
        self._cut = False
        self._stream: SampleStream | None = None

    async def __aenter__(self) -> Self:
        s = self._session
        limit = s.tokens_left
        if limit is not None and not self._whole and limit < self._wanted * self._request.max_tokens:
            s.warn(
                f"the budget is below what {self._wanted} samples of up to "
                f"{self._request.max_tokens} may take: long samples may be cut, which favours short ones"
            )
        if self._whole and not self._prompt:
            self._prompt = await s.prompt_tokens(self._request.messages)
        self._stream = s._model.open([], s._ledger, by_finish=self._by_finish)
        if self._pace is None:
            self._issue()  # before the stream is entered: a request that cannot be made leaves nothing open
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool | None:
        assert self._stream is not None
        return await self._stream.__aexit__(kind, error, where)

    async def _next(self) -> Sample:
        """Wait for the next sample, of the next wave where this one is over."""
        try:
            if self._cut:  # of those behind it only the short ones would be whole
                raise StopAsyncIteration
            sample = await self._stream.__anext__()  # pyright: ignore[reportOptionalMemberAccess]  # it is entered
        except StopAsyncIteration:
            sample = await self._next_wave()
        self._note(sample)
        return sample

    def _ends(self, sample: Sample) -> bool:
        """Whether a sample that the budget cut ends the draw: one that had not answered yet."""
        return self._session._read(sample).answer is None

    def _note(self, sample: Sample) -> None:
        self._received += 1
        if self._whole:
            if sample.finish == "cut" and self._ends(sample):
                self._cut = True
            self._taken.add(sample.usage.generated)
            self._prompt = sample.usage.prompt_tokens or self._prompt  # measured, where it was an estimate at first

    async def _next_wave(self) -> Sample:
        """Issue the next wave and return its first sample."""
        assert self._stream is not None
        if self._cut or self._received < self._issued:
            self._refused()
            raise StopAsyncIteration
        if self._issued >= self._wanted:
            raise StopAsyncIteration
        await self._consumed()
        if self._pace is not None:
            # A wave that the strategy named itself is the most that it wants now: its own stop looks behind each.
            left = min(self._most, self._wanted - self._issued)
            self._wave = min(left, await self._pace.next_wave(self._session, self._seen, left))
            if self._wave < 1:
                raise StopAsyncIteration
        self._issue()
        try:
            return await self._stream.__anext__()
        except StopAsyncIteration:
            self._refused()
            raise

    def _refused(self) -> None:
        """Say that the budget refused a sample, when those before it are consumed. Here whoever asks has done so."""
        self._session.progress.out_of_budget = True

    async def _consumed(self) -> None:
        """Wait until what was handed on is consumed: the next wave is sent then. Here whoever asks has consumed it."""

    def _issue(self) -> None:
        assert self._stream is not None
        # A wave that samples were handed on into is smaller by those.
        first = not self._issued and self._pace is None
        more = min(self._wave - len(self._given) if first else self._wave, self._wanted - self._issued)
        if self._whole and more > 0 and self._session._ledger.limited:
            more = max(1, self._carried(more))
        if more > 0:
            for batch in self._batches(self._issued, self._issued + more):
                self._stream.issue(batch)
            self._issued += more

    def _batches(self, start: int, stop: int) -> Iterator[Numbered]:
        """Number the requests at these positions."""
        yield self._session._numbered(self._request, stop - start)

    def _carried(self, most: int) -> int:
        """How many samples the budget carries to their end now, their prompts with them."""
        s, need = self._session, self._need()
        price = s._model.price_of(self._request.model)

        def is_beyond(n: int) -> bool:
            left = s._ledger.left(n * self._prompt, price=price)
            return left is not None and left < n * need

        return bisect(range(1, most + 1), False, key=is_beyond)

    def _need(self) -> int:
        """Tokens that a sample may take: what the longest one took, or the mean with one at the cap beside them."""
        force, taken = self._request.force, self._taken
        cap = self._request.max_tokens + (force.max_tokens if force else 0)
        return max((taken.tokens + cap) // (taken.samples + 1), taken.longest)


class Samples(Draw):
    """Candidates of one :meth:`ttc.session.Session.sample`, in issue order unless it was asked for otherwise."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Candidate:
        if self._given:
            candidate = self._given.popleft()
        else:
            s, sample = self._session, await self._next()
            candidate = s._count(s._read(sample))
            if s._settled is not None:
                candidate = await s._settle(candidate)
        if self._pace is not None:
            self._seen.append(candidate)
        return candidate


@dataclass(slots=True, eq=False)
class _Scoring:
    """A sample on its way through the verifier, in a branch of the session that is merged when it is handed on."""

    candidate: Candidate
    branch: Session | None
    drawn: bool
    refused: bool = False
    done: anyio.Event = field(default_factory=anyio.Event)


class ScoredSamples(Samples):
    """Samples with the verifier's scores: each is scored as it arrives, while others are still drawn.

    A sample without an answer comes without a score, since it cannot win; so does one whose scoring the budget refused.
    """

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._scoring: deque[_Scoring] = deque()
        self._over = False
        self._short = False
        self._asking = False
        self._arrived = anyio.Event()
        self._asked = anyio.Event()
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._receive)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool | None:
        self._group.cancel_scope.cancel()
        try:
            await self._group.__aexit__(kind, error, where)
        except BaseExceptionGroup as group:
            # An exception of the body leaves as it is; one of the receiving or of a scoring task leaves alone.
            if error is None or isinstance(error, anyio.get_cancelled_exc_class()):
                raise group.exceptions[0] from None
        finally:
            await super().__aexit__(kind, error, where)
        return None

    async def __anext__(self) -> Candidate:
        while not self._scoring:
            if self._over:
                if self._short:
                    super()._refused()
                raise StopAsyncIteration
            self._asking = True
            self._asked.set()
            self._arrived = anyio.Event()
            await self._arrived.wait()
        scoring = self._scoring[0]
        await scoring.done.wait()
        self._scoring.popleft()
        s, candidate = self._session, scoring.candidate
        if scoring.drawn:
            s._count(candidate)
        if scoring.branch is not None:
            s.merge(scoring.branch, "score", index=candidate.sample.index, score=candidate.score)
        if scoring.refused:
            s.progress.out_of_budget = True  # it comes without a score: it was paid for, and may be all there is
        if self._pace is not None:
            self._seen.append(candidate)
        return candidate

    def _refused(self) -> None:
        self._short = True  # what was handed on may yet stop the strategy, whoever is the faster

    async def _consumed(self) -> None:
        while not self._asking:
            self._asked = anyio.Event()
            await self._asked.wait()

    async def _receive(self) -> None:
        try:
            while self._given:
                self._start(self._given.popleft(), drawn=False)
            while True:
                if getattr(self._stream, "waits", False):
                    await self._consumed()
                try:
                    if self._cut:
                        raise StopAsyncIteration
                    sample = await self._stream.__anext__()  # pyright: ignore[reportOptionalMemberAccess]
                except StopAsyncIteration:
                    sample = await self._next_wave()
                self._note(sample)
                self._start(await self._session._settle(self._session._read(sample)), drawn=True)
        except StopAsyncIteration:
            self._over = True
            self._arrived.set()

    def _start(self, candidate: Candidate, *, drawn: bool) -> None:
        s = self._session
        if candidate.answer is None or (candidate.score is not None and not drawn):
            # It cannot win, or was scored before it was handed on.
            scoring = _Scoring(candidate, None, drawn)
            scoring.done.set()
        else:
            sample = candidate.sample
            place = (sample.seed, sample.index)
            times = s.progress.scored[place]  # one that was handed on may come again, before its last branch is merged
            s.progress.scored[place] += 1
            scoring = _Scoring(candidate, s.branch("score", *place, *([times] if times else ())), drawn)
            self._group.start_soon(self._score, scoring)
        self._scoring.append(scoring)
        self._asking = False
        self._arrived.set()

    async def _score(self, scoring: _Scoring) -> None:
        assert scoring.branch is not None
        try:
            (scoring.candidate,) = await scoring.branch.score([scoring.candidate])
        except* BudgetExhausted:  # its own, or one of the tasks that it ran
            scoring.refused = True
            scoring.branch.progress.out_of_budget = False  # said when the sample is handed on, if it is
        scoring.done.set()
