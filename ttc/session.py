"""What a strategy is handed: model, verifiers and ledger behind a few verbs."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from typing import Any

import anyio

from ttc.budget import Budget
from ttc.continuation import joined, partial_message
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.ledger import Ledger
from ttc.models.base import Model
from ttc.progress import Progress, Proposal
from ttc.request import Numbered, Watch
from ttc.samples import Samples, ScoredSamples
from ttc.seeds import hashed
from ttc.types import Candidate, ForcedAnswer, Message, Query, Request, Sample, Sampling
from ttc.verifier import Comparator, Critic, Verdict, Verifier, in_unit

__all__ = ["Session"]


#: fields of a request body that are meant for answers, and would fight the choice that a judge is held to
_SHAPE_ANSWERS = frozenset(
    {"response_format", "structured_outputs", "stop", "stop_token_ids", "min_tokens", "ignore_eos", "logit_bias"}
    | {"allowed_token_ids", "bad_words"}
)


class Session:
    """One query's access to a model under a ledger. Holds no gold answer, and nothing that leads to one.

    Attributes:
        query: the query.
        messages: what samples answer where a verb does not say otherwise: the query's, or a branch's own.
        verifier: scores candidates, or None.
        comparator: compares candidates, or None.
        sampling: how samples are drawn where a verb does not say otherwise.
        rng: seeded from (run, query, strategy); ties and pairings are drawn from it.
        progress: what has been drawn, proposed and noted so far; a child session shares it, a branch has its own.
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
        self.messages = query.messages
        self.verifier = verifier
        self.comparator = comparator
        self.sampling = sampling or Sampling()
        self.strategy = strategy
        self.rng = random.Random(hashed(seed, query.id, strategy))
        self.progress = Progress()
        self._model = model
        self._ledger = ledger
        self._whole = ledger
        self._seed = seed
        self._handed_on: list[Candidate] = []
        self._path: tuple[str | int, ...] = ()
        self._name: tuple[str, ...] = ()
        self._answers: dict[str, bool] = {}

    @property
    def candidate(self) -> Candidate | None:
        """The last proposal: the answer, if everything ended now."""
        return self.progress.proposed[-1].candidate if self.progress.proposed else None

    # -- drawing ----------------------------------------------------------------------------------------------------

    def sample(
        self,
        messages: Sequence[Message] | None = None,
        *,
        n: int,
        kind: str = "generate",
        wave: int | None = None,
        scored: bool = False,
        by_finish: bool = False,
        watch: Watch | None = None,
        **overrides: Any,
    ) -> Samples:
        """Draw ``n`` samples, each its own seeded and cuttable request.

        Use as ``async with session.sample(n=16) as samples: async for candidate in samples``. They come in issue
        order. Leaving the block cancels what is in flight, and charges it. Where the budget refuses a call the
        iteration ends early. With ``wave`` so many are sent at a time, the next ones when those were consumed.

        Args:
            messages: the prompt (default: the session's ``messages``).
            n: how many.
            kind: what the calls are for: generate, revise, judge, reward or probe.
            wave: how many to have in flight at the most (default: all).
            scored: let the verifier score each one that holds an answer, as it arrives.
            by_finish: hand them on as they finish. This selects for short ones: for strategies that mean to, and say
                so. Such samples are never answered by recorded calls of other strategies.
            watch: a rule that may end a sample while it streams.
            overrides: fields of :class:`~ttc.types.Sampling` to change.

        Raises:
            ConfigurationError: ``n`` below one, or scoring without a verifier.
        """
        if n < 1:
            raise ConfigurationError(f"sample(n={n}): draw at least one")
        if scored and self.verifier is None:
            raise ConfigurationError(_NO_VERIFIER)
        given: list[Candidate] = []
        if messages is None and kind == "generate" and not overrides:
            given, self._handed_on = self._handed_on[:n], self._handed_on[n:]
        request = self._request(messages or self.messages, kind, overrides)
        if by_finish or watch is not None:
            request = replace(request, race=by_finish, watch=watch)
        made = ScoredSamples if scored else Samples
        return made(self, request, n, wave=wave, given=given, by_finish=by_finish)

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
        raise self._refused(kind)

    async def continue_(
        self,
        candidate: Candidate,
        messages: Sequence[Message] | None = None,
        *,
        cue: str = "",
        close_thought: bool = True,
        kind: str = "generate",
        watch: Watch | None = None,
        **overrides: Any,
    ) -> Candidate:
        """Go on where a sample ended, behind the words of ``cue``; returns the longer sample.

        The server reads prompt and text again (from its prefix cache, where that holds them), and is billed for it.
        Nothing is forced out of the longer sample; say so with a ``cue``.

        Args:
            candidate: what to go on from. A thinking model that was stopped in its thoughts goes on thinking, unless
                ``close_thought`` ends them first.
            messages: the prompt that it answered (default: the session's ``messages``).
            cue: words to put into the model's mouth.
            close_thought: end open thoughts before the cue, so that what follows is the answer.
            kind: what the call is for.
            watch: a rule that may end it while it streams.
            overrides: fields of :class:`~ttc.types.Sampling` to change; ``max_tokens`` is that of the continuation.

        Raises:
            BudgetExhausted: the ledger refused it.
        """
        so_far = candidate.sample
        asked = partial_message(messages or self.messages, so_far, cue, close_thought=close_thought)
        request = self._request(asked, kind, {"force_answer": 0, **overrides})
        request = replace(request, continue_final=True, watch=watch)
        async with self._model.open(self._numbered(request, 1), self._ledger) as stream:
            async for more in stream:
                self._count(Candidate(None, more), note=False)
                found = self._read(joined(so_far, more, cue, close_thought=close_thought))
                event = _event("continue", self.progress.consumed.generated, found)
                self.progress.trace.append({**event, "cue": cue, "added": more.usage.generated})
                return found
        raise self._refused(kind)

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
                return self._count(Candidate(None, sample), note=False).sample
        raise self._refused(kind)

    # -- judging ----------------------------------------------------------------------------------------------------

    async def score(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Let the verifier score candidates; returns them with their scores, in the same order.

        Raises:
            ConfigurationError: there is no verifier, or it returns what is no score.
            BudgetExhausted: the verifier's own calls ran out of budget.
        """
        if self.verifier is None:
            raise ConfigurationError(_NO_VERIFIER)
        scores = await self.verifier.score(self.query, candidates, self)
        if len(scores) != len(candidates):
            raise ConfigurationError(
                f"verifier '{self.verifier.name}' returned {len(scores)} scores for {len(candidates)} candidates"
            )
        by = f"verifier '{self.verifier.name}'"
        scored = [c.scored(in_unit(s, by=by, what="score")) for c, s in zip(candidates, scores, strict=True)]
        for c in scored:
            self.note("score", index=c.sample.index, answer=c.answer, score=c.score, by=self.verifier.name)
        return scored

    async def compare(self, a: Candidate, b: Candidate) -> Verdict:
        """Make one comparison; the session alternates the slots from call to call, the first one seeded.

        Raises:
            ConfigurationError: there is no comparator, or it returns what is no verdict.
            BudgetExhausted: no tokens for the call.
        """
        if self.comparator is None:
            raise ConfigurationError("comparing needs a comparator: pass comparator='judge'")
        # Candidates are told apart by their seeds: those of several models or branches may have equal indices.
        pair = (min(a.sample.seed, b.sample.seed), max(a.sample.seed, b.sample.seed))
        meeting = self.progress.meetings[*self._path, *pair]
        self.progress.meetings[*self._path, *pair] += 1
        low_first = (hashed(self._seed, self.query.id, *self._path, *pair, bits=1) + meeting) % 2 == 0
        a_first = low_first == (a.sample.seed == pair[0])
        first, second = (a, b) if a_first else (b, a)
        # Matches run at once, and candidates may be alike to the letter: the calls of a meeting are numbered within it.
        inner = copy(self)
        inner._path = (*self._path, *pair, meeting)
        verdict = await self.comparator.compare(self.query, first, second, inner)
        verdict = in_unit(verdict, by=f"comparator '{self.comparator.name}'", what="verdict")
        won = verdict if a_first else 1 - verdict
        self.note(
            "compare",
            a=a.sample.index,
            b=b.sample.index,
            answers=[a.answer, b.answer],
            first="a" if a_first else "b",
            won=won,
        )
        return Verdict(won, a_first)

    async def critique(self, candidate: Candidate) -> str:
        """What the verifier says about a candidate, such as its failing public tests; empty where it says nothing.

        Raises:
            BudgetExhausted: the verifier's own calls ran out of budget.
        """
        if not isinstance(self.verifier, Critic):
            return ""
        return await self.verifier.critique(self.query, candidate, self)

    # -- saying -----------------------------------------------------------------------------------------------------

    def propose(self, candidate: Candidate) -> None:
        """Make this the answer so far: a checkpoint.

        What holds no answer is never proposed over what does, nor a failed call over a text without an answer.
        """
        p = self.progress
        prefix = p.consumed.usage()
        realised = prefix if self._whole.has_spent(p.consumed) else self._whole.spent
        if p.proposed:
            last = p.proposed[-1]
            if candidate.answer is None and _worth(candidate) < _worth(last.candidate):
                candidate = last.candidate  # it stands, at what has been paid by now
            if last.samples == p.drawn and last.prefix == prefix:
                p.proposed.pop()  # nothing was drawn or spent since: the later word counts
        dollars = None if self._ledger.price is None else p.dollars
        p.proposed.append(Proposal(candidate, p.drawn, prefix, realised, dollars))

    def stop_early(self, why: str) -> None:
        """Say that a stop rule fired; what is in flight is cancelled when the sampling block is left."""
        self.progress.stopped_early = True
        self.note("stop", why=why, samples=self.progress.drawn)

    def note(self, event: str, **data: Any) -> None:
        """Add an event to the trace. Plain data only."""
        self.progress.note(event, data)

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

    def branch(self, *name: str | int, messages: Sequence[Message] | None = None) -> Session:
        """Open a branch: a line of work of its own, which may run beside others in a task group.

        A branch spends from the same ledger, and has its own samples, proposals, trace, seeds and rng, which follow
        from its name: so the outcome does not depend on which branch is the faster one. Read its answer with
        ``branch.candidate``, and :meth:`merge` branches in an order that does not depend on the clock.

        Args:
            name: tells it from the other branches of this session. One that was merged may be opened again, and goes on
                with other samples.
            messages: what its samples answer by default (default: what this session's do), so that a strategy of any
                kind can work on a revision. Verifiers and comparators still judge by the query.

        Raises:
            ConfigurationError: it has no name, or a branch of that name is open.
        """
        called = tuple(map(str, name))  # as its seeds are made of
        if not called:
            raise ConfigurationError("a branch needs a name: its seeds follow from it")
        if called in self.progress.branches:
            said = " ".join(called)
            raise ConfigurationError(f"a branch named {said} is open already: merge it, or name this one apart")
        child = copy(self)
        child.messages = self.messages if messages is None else tuple(messages)
        child._path = (*self._path, *called)
        child._handed_on = []
        child.rng = random.Random(hashed(self._seed, self.query.id, self.strategy, *child._path))
        # No two requests of a query have one seed, whatever the branches are called.
        child.progress = self.progress.branches[called] = Progress(
            issued=self.progress.issued, meetings=self.progress.meetings
        )
        child._name = called
        return child

    def merge(self, branch: Session, event: str = "branch", **data: Any) -> None:
        """Count what a branch did as consumed here, and note it as one event of the trace with the branch's in it."""
        self.progress.merge(branch._name, event, data)

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
            model=sampling.model,
            extra=sampling.extra,
        )

    def _numbered(self, request: Request, n: int) -> Numbered:
        """Give ``n`` requests of equal content their index in issue order, and the seed that follows from it."""
        try:
            content = request.content()
        except TypeError as error:  # orjson's
            raise ConfigurationError(f"the messages or the extra fields of a request cannot be sent: {error}") from None
        root = "\x1f".join(map(str, (self._seed, self.query.id, *self._path, content)))
        first = self.progress.issued[root]
        self.progress.issued[root] += n
        return Numbered(request, root, range(first, first + n))

    def _refused(self, kind: str) -> BudgetExhausted:
        """The error of a refused call; what a strategy goes on to do without it ended by the budget all the same."""
        self.progress.out_of_budget = True
        return BudgetExhausted(f"the budget has no tokens left for a call of kind '{kind}'")

    def _read(self, sample: Sample) -> Candidate:
        """Read the answer of a sample."""
        answer = self.query.answer_type.extract(sample.text) if sample.ok else None
        if answer is not None:
            known = self._answers.get(answer)
            if known is None:
                known = self._answers[answer] = bool(self.query.answer_type.key(answer))
            if not known:
                answer = None  # the empty key is that of no answer
        return Candidate(answer, sample)

    def _count(self, candidate: Candidate, *, note: bool = True) -> Candidate:
        """Count what was drawn as consumed."""
        p, sample = self.progress, candidate.sample
        p.consumed.add(sample.usage)
        if sample.model:
            p.models.add(sample.model)
        if self._ledger.price is not None and (price := self._model.price_of(sample.model)):
            p.dollars += price.of(sample.usage)
        if sample.ok:
            p.succeeded += 1
        else:
            p.failures.append(sample)
        if note:
            p.drawn += 1
            p.cut += sample.finish == "cut"
            p.trace.append(_event("sample", p.consumed.generated, candidate))
        return candidate


_NO_VERIFIER = "scoring needs a verifier: pass verifier='self_certainty' or 'judge'"


def _event(event: str, tokens: int, candidate: Candidate) -> dict[str, Any]:
    sample = candidate.sample
    facts = {
        "event": event,
        "tokens": tokens,
        "kind": sample.kind,
        "index": sample.index,
        "answer": candidate.answer,
        "finish": sample.finish,
        "forced": sample.forced,
        "generated": sample.usage.generated,
    }
    if sample.error:
        facts["error"] = sample.error
    return facts


def _worth(candidate: Candidate) -> tuple[bool, bool]:
    return candidate.answer is not None, candidate.sample.ok
