"""Counting tokens with the server's own tokenizer (vLLM's ``/tokenize``), remembered, with a marked fallback."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from ttc.models.reasoning import OPEN
from ttc.types import Message

__all__ = ["ServerTokenizer"]

#: further fields of a request that change its prompt
_SHAPING = ("chat_template", "chat_template_kwargs", "tools")

Post = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any] | None]]


class ServerTokenizer:
    """Counts tokens through a server, and finds out what its chat template does.

    Args:
        post: sends a JSON body to a path; returns the JSON answer, or None where the server has no such path or
            could not answer.
        size: how many counts are remembered.
    """

    def __init__(self, post: Post, *, size: int = 8192) -> None:
        self._post = post
        self._size = size
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._opens: dict[bytes, bool] = {}
        self._trims: dict[bytes, bool] = {}

    async def count_tokens(self, text: str) -> tuple[int, str]:
        """Return how many tokens a text is (no special ones added), and who counted: ``tokenizer`` or ``estimate``."""
        if not text:
            return 0, "tokenizer"
        count = await self._count({"prompt": text, "add_special_tokens": False})
        return (count, "tokenizer") if count is not None else (-(-len(text) // 4), "estimate")

    async def count_prompt(self, messages: Sequence[Message], extra: Mapping[str, Any]) -> int:
        """Return how many tokens a chat prompt is, its template included; an upper bound without a tokenizer.

        The bound is the prompt's UTF-8 bytes, and 64 for each message's frame.
        """
        count = await self.measure_prompt(messages, extra)
        if count is not None:
            return count
        shaping = sum(len(orjson.dumps(value)) for value in _shaping(extra).values())
        return sum(64 + len(orjson.dumps(m.get("content"))) for m in messages) + 64 + shaping

    async def measure_prompt(self, messages: Sequence[Message], extra: Mapping[str, Any]) -> int | None:
        """Return how many tokens a chat prompt is, or None where the server cannot tell."""
        return await self._count({"messages": list(messages), "add_generation_prompt": True, **_shaping(extra)})

    async def opens_thought(self, template_kwargs: Mapping[str, Any]) -> bool:
        """Say whether the chat template ends the prompt with an opening think tag; asked once per set of arguments."""
        key = orjson.dumps(dict(template_kwargs), option=orjson.OPT_SORT_KEYS)
        if key not in self._opens:
            body = {
                "messages": [{"role": "user", "content": "?"}],
                "add_generation_prompt": True,
                "return_token_strs": True,
                "chat_template_kwargs": dict(template_kwargs),
            }
            answer = await self._post("/tokenize", body)
            if answer is None:
                return False
            # Byte-level tokenizers write a newline as Ċ and a space as Ġ.
            tail = "".join(answer.get("token_strs") or ())[-64:].replace("Ċ", "\n").replace("Ġ", " ")
            self._opens[key] = tail.rstrip().endswith(OPEN)
        return self._opens[key]

    async def trims(self, extra: Mapping[str, Any]) -> bool:
        """Say whether the chat template drops the white space at the end of a message that is continued.

        Asked once per set of arguments; where the server cannot tell, it is taken to keep it.
        """
        shaping = _shaping(extra)
        key = orjson.dumps(shaping, option=orjson.OPT_SORT_KEYS)
        if key not in self._trims:
            counts: list[int | None] = []
            for end in ("", "\n\n"):
                messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "So" + end}]
                how = {"add_generation_prompt": False, "continue_final_message": True}
                counts.append(await self._count({"messages": messages, **how, **shaping}))
            if None in counts:
                return False
            self._trims[key] = counts[0] == counts[1]
        return self._trims[key]

    async def _count(self, body: dict[str, Any]) -> int | None:
        key = hashlib.blake2b(orjson.dumps(body), digest_size=16).digest()
        if key in self._counts:
            self._counts.move_to_end(key)
            return self._counts[key]
        answer = await self._post("/tokenize", body)
        count = answer.get("count") if answer else None
        if isinstance(count, int):
            self._counts[key] = count
            if len(self._counts) > self._size:
                self._counts.popitem(last=False)
            return count
        return None


def _shaping(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {name: extra[name] for name in _SHAPING if name in extra}
