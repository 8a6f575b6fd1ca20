"""The questions that ``ttc doctor`` puts to a server. Each is small, and answers ``unknown`` rather than guess.

A field that a server accepts may still be ignored by it, so a probe looks for the field's effect: a choice that was
obeyed, a prompt that became shorter, a wrong type that was refused.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import anyio

from ttc.models.patient import Answer, Json, Patient

__all__ = ["PROBES", "UNKNOWN", "Found"]

UNKNOWN = "unknown"
Found: TypeAlias = tuple[str, Any, str]
"""Name, value, explanation."""


def _thought(answer: Answer) -> str:
    message: Json = answer.choices[0].get("message", {}) if answer.choices else {}
    return message.get("reasoning") or message.get("reasoning_content") or ""


async def reasoning(patient: Patient) -> list[Found]:
    """Reasoning parser, and whether a thinking budget is kept to."""
    parser, budget = "reasoning_parser", "thinking_budget"
    question = "Think step by step: how many primes lie between 10 and 60?"
    free = await patient.chat(question, max_tokens=160)
    thought = _thought(free)
    limited = await patient.chat(question, max_tokens=160, thinking_token_budget=16)
    if limited.status == 400 and "reasoning" in limited.message.lower():
        return [(parser, False, limited.message), (budget, False, "without a parser the server refuses a budget")]
    nonsense = await patient.chat("Hi", max_tokens=1, thinking_token_budget="none")
    known = nonsense.status in (400, 422)
    if not known and not thought:
        why = "the server ignores thinking_token_budget, and its answer had no reasoning field"
        return [(parser, UNKNOWN, why), (budget, UNKNOWN, why)]
    seen = f"{len(thought)} characters came in the reasoning field" if thought else "a thinking budget is accepted"
    found: list[Found] = [(parser, True, seen)]
    without, within = [await patient.count_tokens(text) for text in (thought, _thought(limited))]
    if without is None or within is None:
        return [*found, (budget, UNKNOWN, "the server does not count tokens (/tokenize)")]
    if without <= 32:
        return [*found, (budget, UNKNOWN, f"the model thought for {without} tokens only, too few to tell")]
    words = f"{within} thinking tokens under a budget of 16, {without} without"
    kept = within <= 24
    advice = "use budget_forcing:server=true" if kept else "budget_forcing cuts at the client"
    return [*found, (budget, kept, f"{words}; {advice}")]


async def usage_fields(patient: Patient) -> list[Found]:
    """Which token counts an answer carries, streamed or not."""
    answer = await patient.chat("Say hello.")
    if answer.status != 200:
        raise ValueError(answer.message)
    wanted = {
        "prompt_tokens": ("prompt_tokens",),
        "completion_tokens": ("completion_tokens",),
        "cached_tokens": ("prompt_tokens_details", "cached_tokens"),
        "reasoning_tokens": ("completion_tokens_details", "reasoning_tokens"),
    }
    there = [name for name, path in wanted.items() if answer.usage(*path) is not None]
    missing = [name for name in wanted if name not in there]
    note = f"missing or null: {', '.join(missing)}" if missing else "all that is looked for"
    found: list[Found] = [("usage_fields", there, note)]
    running = False
    try:
        async for chunk in patient.stream("Count to five.", tokens=8):
            running = running or bool(chunk.get("choices") and chunk.get("usage"))
    except ValueError as error:
        return [*found, ("continuous_usage", False, f"a stream with running usage is refused: {error}")]
    words = "the chunks of a stream carry the usage so far" if running else "no chunk of a stream carried usage"
    return [*found, ("continuous_usage", running, words)]


async def logprob_cap(patient: Patient) -> list[Found]:
    """The largest ``top_logprobs`` that is accepted."""

    async def accepts(n: int) -> bool:
        answer = await patient.chat("Hi", max_tokens=1, logprobs=True, top_logprobs=n)
        logprobs: Json = answer.choices[0].get("logprobs") if answer.choices else None
        tops: Json = logprobs["content"][0]["top_logprobs"] if logprobs and logprobs.get("content") else []
        return answer.status == 200 and len(tops) >= min(n, 2)

    low, high = 0, 1
    while high <= 1024 and await accepts(high):
        low, high = high, (20 if high == 1 else high + 1 if high == 20 else high * 2)
    if low == 0:
        return [("logprob_cap", 0, "top_logprobs of 1 is refused, or brings no log probabilities")]
    if high > 1024:
        return [("logprob_cap", low, f"{low} is accepted; more was not tried")]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if await accepts(middle) else (low, middle)
    return [("logprob_cap", low, f"top_logprobs of {low} is accepted, {high} is refused")]


async def seeds(patient: Patient) -> list[Found]:
    """Whether a seed repeats an answer."""

    async def draw(seed: int) -> str | None:
        answer = await patient.chat("Write a line of a poem about rain.", max_tokens=16, temperature=1.0, seed=seed)
        return json.dumps(answer.choices[0].get("message")) if answer.choices else None

    first, again, other = await draw(7), await draw(7), await draw(8)
    if first is None or again is None or other is None:
        return [("seed_repeats", UNKNOWN, "a request with a seed failed")]
    if first == again == other:
        return [("seed_repeats", UNKNOWN, "two seeds gave the same text, so a repeat proves nothing")]
    same = first == again
    return [("seed_repeats", same, f"seed 7 twice: {'the same' if same else 'different'} text; seed 8: another")]


async def several_choices(patient: Patient) -> list[Found]:
    """Whether one request brings several samples."""
    answer = await patient.chat("Name a colour.", n=3, temperature=1.0)
    if answer.status != 200:
        return [("n_above_1", False, f"n=3 is refused: {answer.message}")]
    got = len(answer.choices)
    return [("n_above_1", got == 3, f"n=3 brought {got} choice{'s' * (got != 1)}")]


async def prefix_cache(patient: Patient) -> list[Found]:
    """Whether the second of two equal prompts is read from the cache."""
    prompt = f"Note {secrets.token_hex(8)}. " + "The quick brown fox jumps over the lazy dog. " * 36 + "Continue."
    before = await patient.gauge("vllm:prefix_cache_hits_total")
    answers = [await patient.chat(prompt, max_tokens=1) for _ in range(2)]
    if any(answer.status != 200 for answer in answers):
        return [("prefix_cache_hit", UNKNOWN, f"the long prompt was refused: {answers[-1].message}")]
    length = answers[1].usage("prompt_tokens")
    cached: Json = answers[1].usage("prompt_tokens_details", "cached_tokens")
    source = "by the usage"
    if cached is None and before is not None:
        cached = int((await patient.gauge("vllm:prefix_cache_hits_total") or before) - before)
        source = "by the server's counter, to which others may add"
    if cached is None:
        return [("prefix_cache_hit", UNKNOWN, "neither usage nor metrics tell cached tokens")]
    return [("prefix_cache_hit", cached > 0, f"{cached} of {length} tokens were cached the second time, {source}")]


async def continuation(patient: Patient) -> list[Found]:
    """Whether a begun answer can be continued."""
    messages = [
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "The capital of France is"},
    ]
    path = "/v1/chat/completions"
    plain: dict[str, Json] = {"messages": messages, "max_tokens": 1, "temperature": 0}
    continued = {**plain, "continue_final_message": True, "add_generation_prompt": False}
    usual, answer = await patient.post(path, plain), await patient.post(path, continued)
    if answer.status != 200:
        return [("continue_final_message", False, f"refused: {answer.message}")]
    lengths = usual.usage("prompt_tokens"), answer.usage("prompt_tokens")
    if usual.status != 200 or None in lengths:
        return [("continue_final_message", UNKNOWN, "accepted, but there is nothing to compare it with")]
    obeyed = lengths[0] != lengths[1]
    words = f"the prompt has {lengths[1]} tokens in place of {lengths[0]}"
    return [("continue_final_message", obeyed, words if obeyed else "accepted and ignored: the prompt is the same")]


async def steps(patient: Patient) -> list[Found]:
    """Whether solutions can grow step by step: a stop sequence is told, and a continued message keeps its line ends."""
    told, kept = "stop_reason", "line_ends_kept"
    question = "Count from one to ten in words."
    free = await patient.chat(question, max_tokens=16)
    said: str = (free.choices[0].get("message", {}).get("content") or _thought(free)) if free.choices else ""
    middle = said[len(said) // 2 :][:4]
    found: list[Found] = [(told, UNKNOWN, "too little was said to stop it")]
    if len(middle) == 4:
        stopped = await patient.chat(question, max_tokens=16, stop=[middle])
        choice: Json = stopped.choices[0] if stopped.choices else {}
        reason: Json = choice.get("stop_reason")
        words = f"stopped at '{middle}', it gave the reason '{reason}'" if choice else f"refused: {stopped.message}"
        found = [(told, reason == middle, words)]
    counts: list[int | None] = []
    for end in ("", "\n\n"):
        chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "So" + end}]
        how = {"add_generation_prompt": False, "continue_final_message": True}
        answer = await patient.post("/tokenize", {"messages": chat, **how})
        counts.append(answer.body.get("count") if answer.status == 200 else None)
    if None in counts:
        return [*found, (kept, UNKNOWN, "the server does not count the tokens of a chat (/tokenize)")]
    keeps = counts[0] != counts[1]
    trims = "the chat template trims a continued message; ttc has the end of a step written again, at a token or two"
    return [*found, (kept, keeps, "the prompt grows by a blank line at its end" if keeps else trims)]


async def structured_choice(patient: Patient) -> list[Found]:
    """Whether an answer can be held to a list."""
    allowed = ["zebra-41", "walrus-73"]  # nothing that a model would say by itself
    fields = {"structured_outputs": {"choice": allowed}, "max_tokens": 16}
    answer = await patient.chat("What is the capital of France?", **fields)
    if not answer.choices:
        return [("structured_choice", False, f"refused: {answer.message}")]
    said: Json = answer.choices[0].get("message", {}).get("content") or ""
    obeyed = said in allowed
    return [("structured_choice", obeyed, f"held to two words, it said '{said[:40]}'{'' if obeyed else ': ignored'}")]


async def cancelling(patient: Patient) -> list[Found]:
    """What happens to a stream that is dropped; watched through the server's own metrics."""
    running, total = "vllm:num_requests_running", "vllm:generation_tokens_total"
    stops, beyond = "cancel_stops", "tokens_after_cancel"
    before, busy = await patient.gauge(total), await patient.gauge(running)
    why = "the server shows no metrics of vLLM" if before is None or busy is None else "the server is busy with others"
    if before is None or busy != 0:
        return [(stops, UNKNOWN, why), (beyond, UNKNOWN, why)]
    length = max(64, min(512, (patient.context or 512) - 128))
    seen, chunks = 0, 0
    stream = patient.stream("Tell a very long story.", tokens=length, ignore_eos=True)
    async for chunk in stream:
        usage: Json = chunk.get("usage") or {}
        seen = int(usage.get("completion_tokens", seen + bool(chunk.get("choices"))))
        chunks += 1
        if chunks == 8:
            break
    await stream.aclose()
    dropped = time.monotonic()
    idle = False
    while not idle and time.monotonic() - dropped < 10:
        idle = await patient.gauge(running) == 0
        await anyio.sleep(0.02)
    seconds = time.monotonic() - dropped
    if not idle:
        return [(stops, False, "the request still ran 10 s after its stream was dropped"), (beyond, UNKNOWN, "it ran")]
    await anyio.sleep(0.3)  # the counter follows the gauge
    extra = max(0, int((await patient.gauge(total) or before) - before) - seen)
    patient.generated_tokens += extra
    if seen + extra >= length:
        why = f"all {length} tokens were there before the stream could be dropped"
        return [(stops, UNKNOWN, why), (beyond, UNKNOWN, why)]
    words = f"{seen} tokens were seen, {extra} more were generated before it stopped"
    return [(stops, True, f"idle {seconds:.2f} s after the stream was dropped"), (beyond, extra, words)]


PROBES: dict[Callable[[Patient], Awaitable[list[Found]]], tuple[str, ...]] = {
    reasoning: ("reasoning_parser", "thinking_budget"),
    usage_fields: ("usage_fields", "continuous_usage"),
    logprob_cap: ("logprob_cap",),
    seeds: ("seed_repeats",),
    several_choices: ("n_above_1",),
    prefix_cache: ("prefix_cache_hit",),
    continuation: ("continue_final_message",),
    steps: ("stop_reason", "line_ends_kept"),
    structured_choice: ("structured_choice",),
    cancelling: ("cancel_stops", "tokens_after_cancel"),
}
"""Every probe with the names of what it finds."""
