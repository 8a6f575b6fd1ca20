"""A simulated model: problems of known difficulty, for theory, for tests, and for choosing a strategy before paying.

What it answers follows from the seed of each request and nothing else. Without a latency it is a pull iterator that
takes no time; with one it waits by the event loop's clock, which :func:`ttc.models.virtual_clock.run` makes virtual.
Verifier and comparator of a simulation stand in :mod:`ttc.verifiers.simulated`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import exp
from statistics import NormalDist
from struct import Struct
from typing import Any, NamedTuple

import anyio

from ttc.budget import Price
from ttc.errors import ConfigurationError, ModelError
from ttc.ledger import Ledger
from ttc.models.base import LiveModel, Meter, SampleStream
from ttc.models.instant import InstantStream
from ttc.models.population import Population, Problem, said, stated, steps_are_right, steps_shown
from ttc.seeds import hashed
from ttc.steps import BLANK_LINE
from ttc.types import FinishReason, Message, Piece, Request, Sample, Usage

__all__ = ["Confidence", "Latency", "Lengths", "Revising", "Simulated"]

_FIVE = Struct(">5I")
_MIX = 0x9E3779B97F4A7C15  # neighbouring seeds come far apart: Fibonacci hashing
_NORMAL = NormalDist()
_UNIT = 2.0**-32


def _normal(quantile: int) -> float:
    return _NORMAL.inv_cdf((quantile + 0.5) * _UNIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Generated tokens of a sample: log-normal with this mean, times a factor for right and for wrong ones."""

    mean: float = 20.0
    sigma: float = 0.0
    right: float = 1.0
    wrong: float = 1.0

    def tokens(self, quantile: int, right: bool) -> int:
        """Return the tokens at a quantile in units of 2^-32."""
        mean = self.mean * (self.right if right else self.wrong)
        if self.sigma:
            mean *= exp(self.sigma * _normal(quantile) - self.sigma**2 / 2)
        return max(1, round(mean))


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds of a call: until the first token, and for each one, both times a log-normal factor of the call."""

    first: float = 0.1
    per_token: float = 0.01
    sigma: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Revising:
    """What a revision does with the last attempt that it is shown.

    Attributes:
        fix: P(a wrong attempt becomes right).
        breaks: P(a right attempt becomes wrong); 38% were measured on naive chains (arXiv 2408.03314).
        stuck: share of chains that are never fixed.
    """

    fix: float = 0.25
    breaks: float = 0.38
    stuck: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """Mean token confidence (minus the mean of the top-k logprobs) of right and of wrong samples, and its spread."""

    right: float = 10.0
    wrong: float = 10.0
    sigma: float = 1.0


class _Draw(NamedTuple):
    """What one request brings: its whole text, its tokens, and whether it is right."""

    text: str
    tokens: int
    right: bool
    finish: FinishReason = "stop"


class _Chance(NamedTuple):
    """What else is drawn for a seed, each a uniform number of 32 bits."""

    slip: int
    length: int
    sure: int
    pace: int
    luck: int


def _chance(seed: int) -> _Chance:
    return _Chance(*_FIVE.unpack(blake2b(b"%d" % seed, digest_size=20).digest()))


class Simulated(LiveModel):
    """Answers requests as a model of known ability would.

    A request that offers choices (a judge's) gets one of them by lot; simulated comparators and verifiers know the
    population and draw their own verdict. A ``revise`` request goes on from the last attempt that it shows.
    """

    def __init__(
        self,
        population: Population,
        *,
        lengths: Lengths | None = None,
        latency: Latency | None = None,
        revising: Revising | None = None,
        confidence: Confidence | None = None,
        voters: Sequence[float] = (),
        steps: int = 1,
        failures: float = 0.0,
        prompt_tokens: int = 20,
        interval: int = 16,
        in_flight: int = 64,
        price: Price | None = None,
        name: str = "simulated",
    ) -> None:
        """Describe a model.

        Args:
            population: the problems.
            lengths: generated tokens of a sample.
            latency: seconds of a call; None: calls take no time and come one after the other.
            revising: what revisions do.
            confidence: what the logprobs say, where they are asked for.
            voters: P(right) by position instead of by problem: sample i is drawn by voter i, in one step.
            steps: in a solution. Each is right with the n-th root of P(right), and a solution where all of them are.
                The first wrong one decides the answer, so that solutions which share it agree. Each takes its share of
                the solution's tokens, one at the least.
            failures: share of calls that fail.
            prompt_tokens: of a message.
            interval: tokens between two looks at the budget.
            in_flight: calls at a time.
            price: dollars per million tokens.
            name: the model's name.

        Raises:
            ConfigurationError: a share that is none, or voters who answer in steps.
        """
        super().__init__(name, in_flight=in_flight, price=price)
        if not 0 <= failures <= 1:
            raise ConfigurationError(f"simulated model: failures={failures} is no share")
        if steps < 1:
            raise ConfigurationError(f"simulated model: steps={steps}: a solution has one at least")
        if steps > 1 and voters:
            raise ConfigurationError("simulated model: voters answer in one step")
        self.population = population
        self.generated = 0
        self.sent = 0
        self.running = 0
        self._lengths = lengths or Lengths()
        self._latency = latency
        self._revising = revising or Revising()
        self._confidence = confidence or Confidence()
        self._voters = tuple(voters)
        self._steps = steps
        self.failures = failures
        self._prompt_tokens = prompt_tokens
        self._interval = interval

    @property
    def overrun(self) -> int:
        """Two intervals."""
        return 2 * self._interval

    def open(self, requests: Sequence[Request], ledger: Ledger, *, by_finish: bool = False) -> SampleStream:
        """Open a batch: a pull iterator where calls take no time, else a task per request."""
        if self._latency is None:
            return InstantStream(self, requests, ledger)
        return super().open(requests, ledger, by_finish=by_finish)

    async def count_tokens(self, text: str) -> tuple[int, str]:
        """Count words."""
        return len(text.split()), "tokenizer"

    async def count_prompt(self, messages: Sequence[Message], extra: Mapping[str, Any] | None = None) -> int:
        """So many per message."""
        return self.prompt_of(messages)

    def prompt_of(self, messages: Sequence[Message]) -> int:
        """Return the tokens of a prompt."""
        return self._prompt_tokens * len(messages)

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        """Answer, an interval at a time.

        Raises:
            ModelError: the simulated call failed.
        """
        meter.start()
        self.sent += 1
        self.running += 1
        meter.prompt = self.prompt_of(request.messages)
        try:
            return [
                await self._generate(request.at(request.index + i, request.seed + i), meter) for i in range(request.n)
            ]
        finally:
            self.running -= 1

    async def _generate(self, request: Request, meter: Meter) -> Sample:
        draw = self.draw(request, request.seed, request.index, self.population.problem(stated(request.messages)))
        latency, chance = self._latency or Latency(first=0.0, per_token=0.0), _chance(request.seed)
        pace = exp(latency.sigma * _normal(chance.pace)) if latency.sigma else 1.0
        began = anyio.current_time()
        await anyio.sleep(pace * latency.first)
        if chance.luck * _UNIT < self.failures:
            meter.broke(generated=False)
            raise ModelError("a simulated failure")
        cap = meter.max_tokens()
        length, finish = (cap, "length") if draw.tokens > cap else (draw.tokens, draw.finish)
        watcher = request.watch.start() if request.watch else None
        row = self.row(request, request.seed, right=draw.right)
        done = 0
        while done < length:
            step = min(self._interval, length - done)
            await anyio.sleep(pace * step * latency.per_token)
            done += step
            self.generated += step
            over = done == length
            said_now = draw.text if over and finish in ("stop", "step") else ""
            if watcher is not None and watcher(Piece(done, said_now, top_logprobs=(row,) * step)) and not over:
                finish = "halted"
                break
            if meter.streamed and not over and not meter.grow(done):
                finish = "cut"
                break
        if finish == "length" and cap < request.max_tokens:
            finish = "cut"  # the budget's cap and not the request's
        bounded = finish == "halted" or (finish == "cut" and done < length)
        used = Usage(meter.prompt, 0, 0, meter.bound() if bounded else done, bounded)
        return self.sample(request, request.index, request.seed, draw, used, finish, anyio.current_time() - began)

    def sample(
        self,
        request: Request,
        index: int,
        seed: int,
        draw: _Draw,
        used: Usage,
        finish: FinishReason,
        latency: float = 0.0,
    ) -> Sample:
        """Make the sample of what was drawn; one that did not come to its end says nothing."""
        text = draw.text if finish in ("stop", "step") else ""
        if not request.logprobs:
            return Sample(
                text=text, usage=used, index=index, seed=seed, kind=request.kind, finish=finish, latency=latency
            )
        row, n_rows = self.row(request, seed, right=draw.right), used.generated
        return Sample(
            text=text,
            usage=used,
            index=index,
            seed=seed,
            kind=request.kind,
            finish=finish,
            latency=latency,
            logprobs=row[:1] * n_rows,
            top_logprobs=(row,) * n_rows,
            first_choices=((draw.text, row[0]),) if request.choices else (),
        )

    def row(self, request: Request, seed: int, *, right: bool) -> tuple[float, ...]:
        """The top-k logprobs of each token of a sample."""
        if not request.logprobs:
            return ()
        c = self._confidence
        mean = (c.right if right else c.wrong) + c.sigma * _normal(_chance(seed).sure)
        return (-max(0.0, mean),) * request.logprobs

    def draw(self, request: Request, seed: int, index: int, problem: Problem) -> _Draw:
        """Draw what a request brings: text, tokens, and whether it is right."""
        skill = (seed * _MIX & 0xFFFFFFFFFFFFFFFF) >> 32
        if request.choices:
            return _Draw(request.choices[skill * len(request.choices) >> 32], 1, False)
        if self._steps > 1 and request.kind != "revise":
            return self._solution(request, seed, problem)
        chain, answer, u = f"{seed:x}", "", skill * _UNIT
        if request.kind == "revise" and (before := said(request.messages)):
            chain, answer = before
            right, kept = self._revised(chain, answer == problem.right, u)
            if not kept:
                answer = ""
        else:
            right = u < (self._voters[index % len(self._voters)] if self._voters else problem.p)
        if not answer:
            if right:
                answer = problem.right
            else:
                answer = problem.slip(_chance(seed).slip * _UNIT if len(problem.wrong) > 1 else 0.0)
        lengths = self._lengths
        tokens = lengths.tokens(_chance(seed).length if lengths.sigma else 0, right)
        return _Draw(f"[{chain}] {answer}", tokens, right)

    def _solution(self, request: Request, seed: int, problem: Problem) -> _Draw:
        """Draw the rest of a solution in steps, or the next step of it."""
        shown = steps_shown(request.messages) if request.continue_final else []
        left = max(1, self._steps - len(shown))
        new = [f"[{hashed(seed, i) if i else seed:x}]" for i in range(1 if request.until else left)]
        steps = [*shown, *new]
        rights = steps_are_right(problem.p, steps, self._steps)
        right = all(rights)
        text = (request.until[0] if request.until else BLANK_LINE).join(new)
        chance, lengths = _chance(seed), self._lengths
        tokens = max(1, round(lengths.tokens(chance.length, right) * len(new) / self._steps))
        if len(new) < left:
            return _Draw(text, tokens, right, "step")
        answer = problem.right if right else problem.slip(hashed("slip", steps[rights.index(False)], bits=32) * _UNIT)
        return _Draw(f"{text} {answer}", tokens, right)

    def _revised(self, chain: str, was_right: bool, u: float) -> tuple[bool, bool]:
        """Return whether a revision is right, and whether it keeps the answer."""
        r = self._revising
        if was_right:
            return u >= r.breaks, u >= r.breaks
        stuck = int.from_bytes(blake2b(chain.encode(), digest_size=4).digest()) < r.stuck * 2**32
        fixed = not stuck and u < r.fix
        return fixed, not fixed
