"""A model that replays recorded samples: a pull iterator on a virtual clock, fast enough to try many policies."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ttc.budget import Price
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.ledger import Ledger
from ttc.models.base import charged_as
from ttc.models.recorded_stream import RecordedStream
from ttc.request import Numbered
from ttc.seeds import hashed
from ttc.types import Message, Request, Sample

__all__ = ["Recorded"]

_LEAST = 16
"""Tokens below which no sample is started, as with a live model; the longest sample, where that is shorter."""


@dataclass(frozen=True, slots=True)
class _Order:
    """The samples of a problem in the order in which they are replayed, and what each takes on the virtual clock."""

    samples: tuple[Sample, ...]
    durations: tuple[float, ...]
    least: int


class Recorded:
    """Replays the samples of each problem without replacement, in an order that follows from seed and problem.

    The request at position i gets the i-th sample of that order, so that equal requests get equal samples whatever the
    strategy; ``generate`` and ``probe`` draw the same ones. How they were drawn (temperature, caps, thoughts) is as
    recorded, whatever a request says. What is asked for and was not recorded is an error, and never invented.

    A problem is named by the ``recorded`` field of the message (see :meth:`ttc.pools.RecordedProblem.query`), else by
    its text, where no other problem has the same.
    """

    def __init__(
        self,
        samples: Mapping[str, Sequence[Sample]],
        *,
        name: str = "recorded",
        price: Price | None = None,
        seed: int = 0,
        prompts: Mapping[str, str] | None = None,
        answer_tokens: Mapping[str, int] | None = None,
    ) -> None:
        """Take recorded samples.

        Args:
            samples: by problem, in the order recorded.
            name: the model's name.
            price: dollars per million tokens.
            seed: of the orders.
            prompts: the text of each problem, where it is not its id.
            answer_tokens: of answers, the tokens that are the answer itself; no others are taken off as answer.

        Raises:
            ConfigurationError: there are none.
        """
        if not any(samples.values()):
            raise ConfigurationError("there are no recorded samples to replay: give one problem with one at the least")
        self._samples = samples
        self._name = name
        self._price = price
        self._seed = seed
        self._prompts = {problem: (prompts or {}).get(problem) or problem for problem in samples}
        self._answer_tokens = answer_tokens or {}
        self._orders: dict[tuple[str, str, str], _Order] = {}
        self._stated: dict[str, list[str]] | None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    @property
    def price(self) -> Price | None:
        """Dollars per token, where it has any."""
        return self._price

    @property
    def longest(self) -> int:
        """Tokens of the longest sample: the ``max_tokens`` by which a budget's waves are best reckoned."""
        return max(s.usage.generated for samples in self._samples.values() for s in samples)

    def price_of(self, name: str) -> Price | None:
        """Return its own price.

        Raises:
            ConfigurationError: a model is named as if it were a fleet.
        """
        if name:
            raise ConfigurationError(f"recorded samples of '{self.name}' are of one model, and no fleet with '{name}'")
        return self._price

    def open(self, requests: Sequence[Request], ledger: Ledger, *, by_finish: bool = False) -> RecordedStream:
        """Open a batch of requests.

        Raises:
            ConfigurationError: what is asked for was not recorded.
        """
        return RecordedStream(self, requests, ledger, by_finish=by_finish)

    async def complete(self, request: Request, ledger: Ledger, is_head: Callable[[], bool]) -> list[Sample]:
        """Answer one request of a fleet, whose models have no clock in common: it is over at once, and charged whole.

        Raises:
            BudgetExhausted: the ledger refused the call.
            ConfigurationError: what is asked for was not recorded.
        """
        async with self.open([request], ledger) as stream:
            async for sample in stream:
                return [sample]
        raise BudgetExhausted(f"the budget has no tokens left for a call of kind '{request.kind}'")

    async def count_tokens(self, text: str) -> tuple[int, str]:
        """Return the recorded tokens of an answer or of a prompt; 0 where none were recorded: no estimate is made."""
        if text in self._answer_tokens:
            return self._answer_tokens[text], "tokenizer"
        known = self._by_text().get(text, ())
        return max((s.usage.prompt_tokens for p in known for s in self._samples[p]), default=0), "tokenizer"

    def order(self, problem: str) -> tuple[Sample, ...]:
        """The samples of a problem in the order in which they are replayed."""
        shuffled = list(self._samples[problem])
        random.Random(hashed(self._seed, problem)).shuffle(shuffled)
        return tuple(shuffled)

    def batch(self, requests: Sequence[Request]) -> Iterator[tuple[Sequence[Sample], Sequence[float], str, int]]:
        """Look up what answers requests: samples, what each takes, their kind, and the least that starts one.

        Raises:
            ConfigurationError: what is asked for was not recorded.
        """
        if isinstance(requests, Numbered):
            runs: Iterable[tuple[Request, range]] = [(requests.request, requests.positions)]
        else:
            runs = [(request, range(request.index, request.index + 1)) for request in requests]
        for request, positions in runs:
            problem = self._problem(request)
            order = self._order(problem, request)
            start, stop = positions.start, positions.stop
            if stop > len(order.samples):
                raise ConfigurationError(
                    f"problem {problem}: {len(order.samples)} samples were recorded, and {stop} are asked for: "
                    f"replay a strategy that draws no more, or record more"
                )
            yield order.samples[start:stop], order.durations[start:stop], charged_as(request), order.least

    def _order(self, problem: str, request: Request) -> _Order:
        key = (problem, request.kind, request.model)
        if (known := self._orders.get(key)) is None:
            found = self.order(problem)
            durations = [s.latency for s in found]
            if not all(durations):  # seconds of some and tokens of others would be no clock
                durations = [float(s.usage.generated) for s in found]
            found = tuple(
                s
                if (s.kind, s.model) == (request.kind, request.model)
                else replace(s, kind=request.kind, model=request.model)
                for s in found
            )
            # The same for all of them: what is left of a budget goes to no sample because it is short.
            least = max(1, min(_LEAST, max((s.usage.generated for s in found), default=0)))
            known = self._orders[key] = _Order(found, tuple(durations), least)
        return known

    def _problem(self, request: Request) -> str:
        problem = self._named(request.messages)
        asked = _beyond_a_sample(request)
        if not asked and not self._is_stated(problem, request.messages):
            asked = "other messages than its prompt"
        if asked:
            raise ConfigurationError(
                f"problem {problem}: {asked} was asked for, and only samples of its prompt were recorded "
                f"({len(self._samples[problem])}, of kinds generate and probe): run this strategy on a live model"
            )
        return problem

    def _named(self, messages: Sequence[Message]) -> str:
        for message in messages:
            if (named := message.get("recorded")) is not None:
                if named not in self._samples:
                    raise ConfigurationError(
                        f"problem {named}: nothing was recorded of it by '{self.name}', but of {self._known()}"
                    )
                return str(named)
        text = next((m.get("content") for m in messages if m.get("role") == "user"), None)
        known = self._by_text().get(text, ()) if isinstance(text, str) else ()
        if len(known) != 1:
            said = f"{len(known)} recorded problems have" if known else "no recorded problem has"
            shown = text if isinstance(text, str) else ""
            raise ConfigurationError(
                f"{said} the text {shown[:60]!r}: ask with the query of a recorded problem; "
                f"recorded are {self._known()}"
            )
        return known[0]

    def _is_stated(self, problem: str, messages: Sequence[Message]) -> bool:
        """Whether what is asked is the problem's prompt and nothing more."""
        chat = [m for m in messages if m.get("role") != "system"]
        return len(chat) == 1 and chat[0].get("content") == self._prompts[problem]

    def _by_text(self) -> dict[str, list[str]]:
        if self._stated is None:
            self._stated = {}
            for problem, text in self._prompts.items():
                self._stated.setdefault(text, []).append(problem)
        return self._stated

    def _known(self) -> str:
        ids = list(self._samples)
        return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def _beyond_a_sample(request: Request) -> str:
    """What a request asks for beyond a whole sample of a prompt; empty where it is nothing."""
    if request.kind not in ("generate", "probe"):
        return f"a sample of kind '{request.kind}'"
    beyond = {
        "a choice": request.choices,
        "going on from a text": request.continue_final,
        "a part of a solution": request.until,
        "a sample that is watched while it grows": request.watch is not None,
        f"n={request.n} in one call": request.n != 1,
    }
    return next((what for what, asked in beyond.items() if asked), "")
