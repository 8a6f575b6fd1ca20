"""The two ends of what is drawn step by step: the white space that it goes on from, and the stop sequence it ends at.

Chat templates such as Llama 3's trim a message, and with ``continue_final_message`` the prompt then ends before the
white space at the message's end. A partial solution that ends in the separator of its steps so loses it: the model goes
on with the old step, or writes the separator first, which stops the new step before it began. What was trimmed is
therefore written once more, by a grammar and out of reach of the stop sequences, and taken off what comes.
"""

from __future__ import annotations

from typing import Any

from ttc.models.wire import Choice
from ttc.types import Request

__all__ = ["loose_end", "step_fields", "trim"]

#: fields that a grammar of ours would be in the way of
_GRAMMARS = ("structured_outputs", "response_format", "tools")


def loose_end(request: Request) -> str:
    """Return the white space at the end of the message that a request goes on from: what a template may trim."""
    said = str(request.messages[-1].get("content") or "") if request.continue_final else ""
    return said[len(said.rstrip()) :]


def step_fields(request: Request, trimmed: str, *, max_tokens: int) -> dict[str, Any]:
    """Return the fields of a request body that its stop sequences take, and what a template has trimmed of its end.

    The sequence that ends a step is left in the text, until :func:`trim` takes it out. vLLM otherwise holds back as
    many characters as it is long, and its reasoning parsers, which go by tokens, lose those at the end of a thought.
    """
    fields: dict[str, Any] = {}
    own: str | list[str] = request.extra.get("stop") or []
    stops = [*request.until, *([own] if isinstance(own, str) else own)]
    if request.until:
        fields |= {"stop": stops, "include_stop_str_in_output": True}
    if trimmed and not request.choices and not any(request.extra.get(name) for name in _GRAMMARS):
        fields["structured_outputs"] = {"regex": _escaped(trimmed) + r"[\s\S]*"}
    # vLLM looks for stop sequences behind min_tokens; what was trimmed is no more tokens than characters.
    least = max((trimmed.rfind(s) + len(s) for s in stops if s in trimmed), default=0)
    if least:
        fields["min_tokens"] = min(max(least, request.extra.get("min_tokens") or 0), max_tokens)
    return fields


def trim(request: Request, choice: Choice, trimmed: str) -> str | None:
    """Take what stands at the two ends out of a choice: what was trimmed, and the stop sequence.

    Returns:
        The stop sequence that it ended at, empty where none did; None where the server does not tell.
    """
    head, tail = ("reasoning" if choice.reasoning else "content"), ("content" if choice.content else "reasoning")
    said: str = getattr(choice, head)
    again = _again(said, trimmed)
    setattr(choice, head, said[again:])
    while again > 0 and choice.tokens:  # their log-probabilities are no part of the step
        again -= len(choice.tokens.pop(0))
        del choice.logprobs[:1], choice.top[:1]
    said, stop = getattr(choice, tail), choice.stopped_by
    if stop is None and request.until and choice.finish == "stop":
        stop = next((s for s in request.until if said.endswith(s)), None)
    if stop and request.until:
        setattr(choice, tail, said.removesuffix(stop))
    return stop


def _again(said: str, trimmed: str) -> int:
    """How many characters at the beginning are what was trimmed, or the beginning of it where no grammar held."""
    return next((n for n in range(len(trimmed), 0, -1) if said.startswith(trimmed[:n])), 0)


def _escaped(space: str) -> str:
    return "".join({"\n": r"\n", "\t": r"\t", "\r": r"\r"}.get(c, c) for c in space)
