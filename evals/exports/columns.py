"""The three tables of a run, flat: what their columns are called, hold and mean. The same in every form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["TABLES", "Column"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: of the column.
        kind: what its values are; any may be missing.
        meaning: in words, with the unit.
    """

    name: str
    kind: Literal["text", "integer", "number", "truth"]
    meaning: str


_WHERE = (
    Column("run", "text", "name of the run"),
    Column("model", "text", "name of the model"),
)
_USAGE = (
    Column("prompt_tokens", "integer", "prompt tokens, the cached ones among them"),
    Column("cached_tokens", "integer", "prompt tokens that the server's prefix cache answered"),
    Column("reasoning_tokens", "integer", "generated tokens before the visible text"),
    Column("text_tokens", "integer", "generated tokens of the visible text"),
)
_UNIT = (
    Column("suite", "text", "spec of the suite"),
    Column("problem", "text", "id of the problem"),
    Column("epoch", "integer", "repetition, from 0"),
    Column("strategy", "text", "spec of the strategy without its n: the curve"),
    Column("spec", "text", "spec of the strategy as it ran"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "calls": (
        *_WHERE,
        Column("problem", "text", "id of the problem that the call was made for"),
        Column("spec", "text", "spec of the strategy that asked first"),
        Column("unit", "text", "key of the unit that asked first (units.unit)"),
        Column("key", "text", "what the call is found again by; it begins like the key of the call that was repeated"),
        Column("kind", "text", "generate, revise, judge, reward or probe"),
        Column("position", "integer", "position among requests of equal content, from 0"),
        Column("seed", "integer", "seed of the request"),
        Column("content", "text", "hash of what was asked, without position and seed"),
        Column("messages", "text", "the chat that was sent, as JSON"),
        Column("max_tokens", "integer", "cap on the generated tokens"),
        Column("temperature", "number", "softmax temperature"),
        Column("text", "text", "the visible text that came"),
        Column("reasoning", "text", "the thoughts that came before it"),
        Column("finish", "text", "why it ended: stop, step, length, cut, halted, cancelled or failed"),
        Column("forced", "truth", "the answer was forced out of a text that had been cut off"),
        Column("replayable", "truth", "it answers the same request again; the others are only logged"),
        Column("source", "text", "cache where the response cache answered, else model"),
        *_USAGE,
        Column("upper_bound", "truth", "the generated tokens are a bound, and no measurement"),
        Column("reasoning_source", "text", "who told thoughts and text apart: server, stream, tokenizer or estimate"),
        Column("latency", "number", "seconds from sending to the last byte, retries included"),
        Column("attempts", "integer", "how often it was sent"),
        Column("time", "number", "when it was acknowledged, in seconds since 1970"),
        Column("error", "text", "why it failed"),
        Column("error_type", "text", "kind of that error"),
    ),
    "units": (
        *_WHERE,
        Column("unit", "text", "key of the unit"),
        *_UNIT,
        Column("setting", "integer", "n of the strategy"),
        Column("prefix", "truth", "its checkpoints are what smaller n would have returned"),
        Column("tags", "text", "the query class, as JSON"),
        Column("answer", "text", "the answer"),
        Column("correct", "truth", "the grader's verdict"),
        Column("undecided", "truth", "the grader came to no verdict; counted as wrong"),
        Column("ended_by", "text", "finished, stopped_early, budget, deadline or all_calls_failed"),
        Column("calls", "integer", "calls, charged in full"),
        *_USAGE,
        Column("thinking_tokens", "integer", "generated tokens outside the returned answer"),
        Column("answer_tokens", "integer", "generated tokens of the returned answer itself"),
        Column("seconds", "number", "wall time"),
        Column("dollars", "number", "at the model's prices"),
        Column("usage", "text", "tokens and calls by kind, as JSON"),
        Column("checkpoints", "integer", "rows of it in the table of checkpoints"),
        Column("warnings", "text", "what a reader should know, as a JSON list"),
        Column("error", "text", "why every call failed"),
        Column("error_type", "text", "kind of that error"),
    ),
    "checkpoints": (
        *_WHERE,
        Column("unit", "text", "key of the unit"),
        *_UNIT,
        Column("number", "integer", "of the checkpoint in its unit, from 0"),
        Column("samples", "integer", "samples consumed by then"),
        Column("answer", "text", "what would be returned if the query ended here"),
        Column("correct", "truth", "the grader's verdict on it"),
        *_USAGE,
        Column("thinking_tokens", "integer", "generated tokens outside that answer"),
        Column("answer_tokens", "integer", "generated tokens of that answer itself"),
        Column("realised_tokens", "integer", "generated tokens settled by then, calls that had come back included"),
        Column("dollars", "number", "what it had cost by then"),
    ),
}
"""Columns by table. Tokens are those of the column ``model``; with several models in one unit there is no sum."""
