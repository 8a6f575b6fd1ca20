"""From what a server sent to samples: which tokens were thoughts, who counted them, and why it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ttc.continuation import UNBEGUN
from ttc.models.base import Meter
from ttc.models.continued import trim
from ttc.models.reasoning import CLOSE, OPEN, split_thoughts, thought_prefix
from ttc.models.tokenizer import ServerTokenizer
from ttc.models.wire import Choice, StreamedChoice
from ttc.types import FinishReason, Request, Sample, Usage

__all__ = ["Lag", "Reading", "read_choices"]

_WINDOW = 1024


class Lag:
    """How many tokens come with one read of a stream, at the most: what a server may be ahead of what was seen.

    The largest jump of the last one to two thousand reads over all streams of a server, so that a busy client widens
    its margins, and a single stall does not widen them for ever.
    """

    __slots__ = ("_before", "_floor", "_largest", "_reads")

    def __init__(self, floor: int = 1) -> None:
        self._floor = max(1, floor)
        self._largest = self._before = self._floor
        self._reads = 0

    @property
    def interval(self) -> int:
        """Tokens per read, at the most."""
        return max(self._largest, self._before)

    def saw(self, jump: int) -> None:
        """Note by how many tokens a read took a stream forward."""
        if jump > 0:
            self._largest = max(self._largest, jump)
            self._reads += 1
            if self._reads == _WINDOW:
                self._before, self._largest, self._reads = self._largest, self._floor, 0


@dataclass(slots=True)
class Reading:
    """A response, read to its end or cut.

    Attributes:
        choices: what the server sent.
        usage: its usage object; empty where it sends none.
        cap: max_tokens as sent, for each choice.
        stream: the stream, where it was one.
        cut: we ended it, because the ledger refused more or the strategy's watcher said so.
        halted: it was the watcher.
    """

    choices: list[Choice]
    usage: Mapping[str, Any]
    cap: int
    stream: StreamedChoice | None = None
    cut: bool = False
    halted: bool = False


async def read_choices(
    request: Request,
    meter: Meter,
    reading: Reading,
    tokenizer: ServerTokenizer,
    *,
    latency: float,
    trimmed: str = "",
) -> list[Sample]:
    """Make the samples of a response. The usage of the whole call is their sum; the first one carries the prompt.

    Args:
        request: what was asked.
        meter: of the call.
        reading: the response.
        tokenizer: of the server.
        latency: of the call, in seconds.
        trimmed: white space that the chat template dropped at the end of what is continued: it was written once more.
    """
    usage = reading.usage
    generated, counted_by = await _generated(meter, reading, tokenizer)
    details: Mapping[str, Any] = usage.get("prompt_tokens_details") or {}
    cached: int = details.get("cached_tokens") or 0
    prompt = Usage(usage.get("prompt_tokens") or meter.lease.prompt, cached)
    in_thought = _in_thought(request)
    samples: list[Sample] = []
    for i, (choice, tokens) in enumerate(zip(reading.choices, generated, strict=True)):
        ended = bool(choice.content and choice.reasoning)  # a parser saw the end of the thoughts
        stop = trim(request, choice, trimmed)
        finish: FinishReason = "stop"
        if reading.halted:
            finish = "halted"
        elif reading.cut or (choice.finish == "length" and reading.cap < request.max_tokens):
            finish = "cut"
        elif choice.finish == "length":
            finish = "length"
        elif request.until and (stop is None or stop in request.until):
            finish = "step"  # also where a server does not tell: what goes on from a text that is over says nothing
        reasoning, text = await _split(request, choice, finish, tokenizer)
        if finish == "step" and reasoning and not text and (ended or CLOSE in choice.content):
            text = UNBEGUN
        thoughts, source = 0, counted_by
        if reasoning or (CLOSE in choice.content and (in_thought or not request.continue_final)):
            thoughts, source = await _thoughts(choice, reading, text, tokens, tokenizer, counted_by)
        used = Usage(
            reasoning_tokens=thoughts,
            answer_tokens=tokens - thoughts,
            upper_bound=reading.cut or counted_by == "estimate",
            reasoning_source=source,
        )
        first = choice.top[min(thoughts, len(choice.top) - 1)] if choice.top else []
        samples.append(
            Sample(
                text=text,
                reasoning=reasoning,
                usage=used if i else replace(used, prompt_tokens=prompt.prompt_tokens, cached_tokens=cached),
                index=request.index + i,
                seed=request.seed + i,
                kind=request.kind,
                finish=finish,
                logprobs=tuple(choice.logprobs),
                top_logprobs=tuple(tuple(p for _, p in top) for top in choice.top),
                first_choices=tuple(first),
                latency=latency,
                attempts=meter.attempts,
                refused=choice.refused,
            )
        )
    return samples


async def _split(request: Request, choice: Choice, finish: FinishReason, tokenizer: ServerTokenizer) -> tuple[str, str]:
    """Return (reasoning, text)."""
    if request.continue_final:
        if not _in_thought(request):
            # The thoughts ended before: a parser that misses their end in what is new calls all of it reasoning.
            return "", choice.reasoning + choice.content
        if choice.reasoning:  # a parser took their end out
            return choice.reasoning, choice.content.lstrip()
        if finish == "step" and not choice.content.strip():  # nothing to add, or a parser took out that it was the end
            return "", CLOSE
        thought, _, text = choice.content.partition(CLOSE)
        # An end that nothing comes before is kept, so that what follows it is not taken for more thought.
        return (thought, text.lstrip()) if thought.strip() else ("", choice.content)
    if choice.reasoning:
        # vLLM's parsers leave an opening tag in that came in one chunk with what is behind it.
        opened = choice.reasoning.lstrip().startswith(OPEN)
        return choice.reasoning.partition(OPEN)[2] if opened else choice.reasoning, choice.content.lstrip("\n")
    opened = False
    if finish != "stop" and CLOSE not in choice.content:
        opened = await tokenizer.opens_thought(request.extra.get("chat_template_kwargs") or {})
    return split_thoughts(choice.content, opened=opened)


def _in_thought(request: Request) -> bool:
    """Whether a completion goes on inside the thoughts of the assistant's last message."""
    if not request.continue_final:
        return False
    _, opened, thought = str(request.messages[-1].get("content")).rpartition(OPEN)
    return bool(opened) and CLOSE not in thought


async def _generated(meter: Meter, reading: Reading, tokenizer: ServerTokenizer) -> tuple[list[int], str]:
    """Return the generated tokens of each choice, and who counted them where the server did not."""
    choices = reading.choices
    if reading.cut:
        return [meter.bound()], ""
    total = reading.usage.get("completion_tokens")
    if total is not None and len(choices) == 1:
        return [total], ""
    counts: list[int] = []
    source = "tokenizer"
    for choice in choices:
        # One logprob a token, where they were asked for.
        count, by = len(choice.logprobs), "tokenizer"
        if not count:
            count, by = await tokenizer.count_tokens(choice.reasoning + choice.content)
        counts.append(min(reading.cap, count))
        source = "estimate" if by == "estimate" else source
    if total is not None:
        return _shared_out(total, counts), ""
    if reading.stream is not None:
        counts = [max(counts[0], reading.stream.seen)]
    return counts, source


def _shared_out(total: int, weights: Sequence[int]) -> list[int]:
    """Split a total over choices in proportion to their lengths, so that the sum is exact."""
    whole = sum(weights) or 1
    ends = [round(total * sum(weights[: i + 1]) / whole) for i in range(len(weights))]
    ends[-1] = total
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


async def _thoughts(
    choice: Choice, reading: Reading, text: str, generated: int, tokenizer: ServerTokenizer, counted_by: str
) -> tuple[int, str]:
    """Return how many of the generated tokens were thoughts, and where the number comes from."""
    details: Mapping[str, Any] = reading.usage.get("completion_tokens_details") or {}
    said: int = details.get("reasoning_tokens") or 0
    if said > 0 and len(reading.choices) == 1 and not reading.cut:
        return min(said, generated), "server"
    if not text:  # all of it: a cut thought, or one without an answer
        return generated, counted_by or ("stream" if reading.stream else "server")
    stream = reading.stream
    if stream is not None and stream.thought and stream.metered:
        return min(stream.thought, generated), "stream"
    count, by = await tokenizer.count_tokens(choice.reasoning or thought_prefix(choice.content))
    return min(count, generated), by
