"""The part of a session that draws: requests with their seeds and positions, and what was drawn, counted."""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from ttc.continuation import joined, partial_message
from ttc.equality import Deciding, SettledAnswers
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.growing import Continuations
from ttc.ledger import Ledger
from ttc.models.base import Model
from ttc.pacing import Pace
from ttc.progress import Progress
from ttc.request import Numbered, Watch
from ttc.sample_events import sample_event
from ttc.samples import Samples, ScoredSamples, Taken
from ttc.scored_at_once import ScoredAtOnce
from ttc.seeds import hashed
from ttc.types import Candidate, ForcedAnswer, Message, Query, Request, Sample, Sampling
from ttc.verifier import Comparator, Verifier

if TYPE_CHECKING:
    from ttc.session import Session

__all__ = ["NO_VERIFIER", "Drawing"]

#: fields of a request body that are meant for answers, and would fight the choice that a judge is held to
_SHAPE_ANSWERS = frozenset(
    {"response_format", "structured_outputs", "stop", "stop_token_ids", "min_tokens", "ignore_eos", "logit_bias"}
    | {"allowed_token_ids", "bad_words"}
)


class Drawing:
    """Draws samples of one query from a model under a ledger. What a strategy is handed is the whole session."""

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
        pace: Pace | None = None,
    ) -> None:
        self._settled = SettledAnswers(query.answer_type) if isinstance(query.answer_type, Deciding) else None
        self.query = query if self._settled is None else replace(query, answer_type=self._settled)
        self.messages = query.messages
        self.verifier = verifier
        self.comparator = comparator
        self.sampling = sampling or Sampling()
        self.strategy = strategy
        self.rng = random.Random(hashed(seed, query.id, strategy))
        self.progress = Progress()
        self.kept: dict[Hashable, Any] = {}
        self._model = model
        self._ledger = ledger
        self._whole = ledger
        self._seed = seed
        self._handed_on: list[Candidate] = []
        self._pace = pace
        self._path: tuple[str | int, ...] = ()
        self._name: tuple[str, ...] = ()
        self._answers: dict[str, bool] = {}

    def note(self, event: str, **data: Any) -> None:
        """Add an event to the trace. Plain data only."""
        self.progress.note(event, data)

    def warn(self, message: str) -> None:
        """Tell the reader of the outcome, once."""
        if message not in self.progress.warnings:
            self.progress.warnings.append(message)

    @property
    def model_name(self) -> str:
        """The name of the model that answers; of a fleet its names, joined by ``+``."""
        return self._model.name

    @property
    def tokens_left(self) -> int | None:
        """Generated tokens that could be granted now; None: no limit."""
        return self._ledger.left()

    @property
    def seconds_left(self) -> float:
        """Seconds until the first deadline; infinite without one."""
        return self._ledger.seconds_left

    async def prompt_tokens(self, messages: Sequence[Message] | None = None) -> int:
        """How many tokens a prompt is (default: the session's), where a limit counts them; else 0."""
        if not self._ledger.counts_prompts:
            return 0
        said = "\n".join(str(message.get("content", "")) for message in messages or self.messages)
        tokens, _ = await self._model.count_tokens(said)
        return tokens

    # -- drawing ----------------------------------------------------------------------------------------------------

    def sample(
        self,
        messages: Sequence[Message] | None = None,
        *,
        n: int,
        kind: str = "generate",
        wave: int | None = None,
        whole: bool = False,
        scored: bool = False,
        by_finish: bool = False,
        watch: Watch | None = None,
        until: str | int | None = None,
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
            whole: send no more at a time than the budget carries to their end, by their cap first and then by the
                lengths so far. Otherwise all are sent at once, and where the budget ends the short ones among them
                are whole: a vote of those is one of the short. The draw ends at one that was cut before it answered.
            scored: let the verifier score each one that holds an answer, as it arrives.
            by_finish: hand them on as they finish. This selects for short ones: for strategies that mean to, and say
                so. Such samples are never answered by recorded calls of other strategies.
            watch: a rule that may end a sample while it streams.
            until: draw a part of a solution, to go on from with :meth:`grow`: up to this stop sequence (it ends with
                ``finish="step"`` there), or so many tokens. No answer is forced out of a part.
            overrides: fields of :class:`~ttc.types.Sampling` to change.

        Raises:
            ConfigurationError: ``n`` below one, or scoring without a verifier.
        """
        if n < 1:
            raise ConfigurationError(f"sample(n={n}): draw at least one")
        if scored and self.verifier is None:
            raise ConfigurationError(NO_VERIFIER)
        given: list[Candidate] = []
        pace: Pace | None = None
        if messages is None and kind in ("generate", "probe") and not overrides and until is None:
            pace = self._pace
            if kind == "generate":
                given, self._handed_on = self._handed_on[:n], self._handed_on[n:]
        request = self._request(messages or self.messages, kind, overrides, until)
        if by_finish or whole or watch is not None:
            request = replace(request, race=by_finish, whole=whole, watch=watch)
        at_once = getattr(self.verifier, "at_once", False)
        made = Samples if not scored else ScoredAtOnce if at_once else ScoredSamples
        # Nobody holds a drawing that is no whole session.
        return made(
            cast("Session", self), request, n, wave=wave, given=given, by_finish=by_finish, whole=whole, pace=pace
        )

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
        until: str | int | None = None,
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
            until: go on up to this stop sequence, or for so many tokens.
            overrides: fields of :class:`~ttc.types.Sampling` to change; ``max_tokens`` is that of the continuation.

        Raises:
            BudgetExhausted: the ledger refused it.
        """
        so_far = candidate.sample
        asked = partial_message(messages or self.messages, so_far, cue, close_thought=close_thought)
        request = self._request(asked, kind, {"force_answer": 0, **overrides}, until)
        request = replace(request, continue_final=True, watch=watch)
        async with self._model.open(self._numbered(request, 1), self._ledger) as stream:
            async for more in stream:
                self._count(Candidate(None, more), note=False)
                found = self._read(joined(so_far, more, cue, close_thought=close_thought))
                event = sample_event("continue", self.progress.consumed.generated, found)
                self.progress.trace.append({**event, "cue": cue, "added": more.usage.generated})
                return await self._settle(found)
        raise self._refused(kind)

    def grow(
        self,
        parents: Sequence[Candidate | None],
        *,
        until: str | int | None = None,
        cues: Sequence[str] | None = None,
        like: Taken | None = None,
        kind: str = "generate",
        **overrides: Any,
    ) -> Continuations:
        """Go on from each of several partial solutions, all at once: one wave of requests.

        Use as ``async with session.grow([a, a, b], until="\\n\\n") as grown: async for one in grown``. They come in the
        order of ``parents``. A partial solution may stand there several times, and gets as many different
        continuations; None stands for the beginning of a new one. What is over (the model ended it, or it marks its
        answer at the end of a step) holds its answer; what may go on holds none.

        The cap of a sample (``max_tokens`` of the session's ``sampling``) is that of a whole solution. No more are sent
        at a time than the budget carries, as with ``sample(whole=True)``. The server reads prompt and text again with
        every step (from its prefix cache, where that holds them), and is billed for it.

        Args:
            parents: what to go on from; equal ones are neighbours.
            until: the stop sequence that ends a step, or the tokens of one.
            cues: for each parent the words to go on behind, such as the separator that its last step was stopped at.
            like: what earlier steps took, by which it is judged how many more the budget carries.
            kind: what the calls are for.
            overrides: fields of :class:`~ttc.types.Sampling` to change; ``max_tokens`` is that of one step.

        Raises:
            ConfigurationError: there is nothing to go on from.
        """
        if not parents:
            raise ConfigurationError("grow([]): say what to go on from")
        cues = list(cues) if cues is not None else [""] * len(parents)
        requests: list[Request] = []
        for i, (parent, cue) in enumerate(zip(parents, cues, strict=True)):
            if requests and parent is parents[i - 1] and cue == cues[i - 1]:
                requests.append(requests[-1])
                continue
            asked, own = self.messages, {"force_answer": 0, **overrides}
            if parent is not None:
                asked = partial_message(self.messages, parent.sample, cue, close_thought=False)
                own["thinking_tokens"] = None  # which a server counts anew with each request
            request = self._request(asked, kind, own, until)
            # What is asked for is a part of one sample, whose cap it keeps.
            left = self.sampling.max_tokens - (parent.sample.usage.generated if parent is not None else 0)
            request = replace(request, max_tokens=max(1, min(request.max_tokens, left)))
            requests.append(replace(request, continue_final=parent is not None, whole=True))
        return Continuations(cast("Session", self), parents, requests, cues=cues, like=like)

    async def choose(
        self,
        messages: Sequence[Message],
        choices: Sequence[str],
        *,
        kind: str = "judge",
        temperature: float = 0.0,
        max_tokens: int = 8,
        model: str = "",
    ) -> Sample:
        """Ask for one of ``choices``, constrained by the server, with the logprobs of the first token.

        Args:
            messages: the question.
            choices: what may be said; the server holds the model to it behind its thoughts.
            kind: what the call is for.
            temperature: softmax temperature.
            max_tokens: cap of the call; a model that thinks first needs room for its thoughts.
            model: which model of a fleet (default: the one that samples are drawn from).

        Raises:
            BudgetExhausted: the ledger refused it.
            ConfigurationError: the fleet has no such model.
        """
        overrides = {
            "max_tokens": max_tokens,
            "model": model or self.sampling.model,
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

    def check_model(self, name: str) -> None:
        """Make sure of a fleet's model before anything is drawn.

        Raises:
            ConfigurationError: there is no model of that name.
        """
        if name:
            self._model.price_of(name)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _request(
        self, messages: Sequence[Message], kind: str, overrides: dict[str, Any], until: str | int | None = None
    ) -> Request:
        stop = until if isinstance(until, str) else ""
        if until is not None:
            if until == "" or (not stop and int(until) < 1):
                raise ConfigurationError(f"until={until!r}: give a stop sequence, or one token at the least")
            overrides = {"force_answer": 0, **({} if stop else {"max_tokens": until}), **overrides}
        try:
            sampling = replace(self.sampling, **overrides)
        except TypeError as error:
            raise ConfigurationError(f"sampling: {error}") from None
        self.check_model(sampling.model)
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
            until=(stop,) if stop else (),
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
        root = Numbered.root(self._seed, self.query.id, content, path=self._path)
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

    async def conclude(self, candidate: Candidate) -> Candidate:
        """Read the answer of a text that will not be gone on from; where answers are marked, of one that marks it.

        Elsewhere an answer has to be forced out of it, with a ``cue``.
        """
        answer_type = self.query.answer_type
        if answer_type.cue and self.sampling.force_answer and not answer_type.concludes(candidate.sample.text):
            return candidate
        return await self._settle(self._read(candidate.sample))

    async def _settle(self, candidate: Candidate) -> Candidate:
        """Decide which earlier answers a new one is the same as, where that takes time; returns the candidate."""
        if self._settled is not None and candidate.answer is not None:
            undecided = await self._settled.settle(candidate.answer, cast("Session", self))
            for other in undecided:
                self.note("undecided", answers=[candidate.answer, other])
            if undecided:
                self.warn("some answers could not be told apart or together, and count as different")
        return candidate

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
            p.trace.append(sample_event("sample", p.consumed.generated, candidate, cue=self.query.answer_type.cue))
        return candidate


NO_VERIFIER = "scoring needs a verifier: pass verifier='self_certainty' or 'judge'"
