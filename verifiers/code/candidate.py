"""The jailed process that runs a solution. It is sent the source and the arguments of calls, and nothing else."""

from __future__ import annotations

import builtins
import json
import linecache
import operator
import sys
import traceback
import types
from typing import Any

from ttc.verifiers.code.channel import Channel, Gone
from ttc.verifiers.code.plain_data import decode, encode

__all__ = ["OUT_OF_MEMORY", "run_program", "serve"]

OUT_OF_MEMORY = 99
"""The exit code of a program that ended with a MemoryError."""

_FILE = "<solution>"


def serve(channel: Channel, source: str) -> None:
    """Import the solution, then answer the checker's requests until it is gone.

    Requests are ``[what, target, ...]``: ``get`` a name; ``call`` an object with arguments; one of ``_ACTIONS`` on an
    object. Answers are ``{"ok": value}``, with ``"args"`` where a call changed its arguments, or ``{"raise": ...}``.
    """
    objects = _Objects()
    module = types.ModuleType("solution")
    try:
        _load(module, source)
    except BaseException as error:
        channel.send(_raised(error))
        return
    channel.send({"ok": None})
    while True:
        try:
            request = channel.receive()
        except Gone:
            return
        try:
            answer = _answer(request, module, objects)
        except BaseException as error:
            answer = _raised(error)
        try:
            channel.send(answer)
        except (TypeError, ValueError, RecursionError, MemoryError) as error:
            channel.send(_raised(error))


def run_program(source: str) -> int:
    """Run a program as ``__main__`` on the standard streams; returns its exit code."""
    module = types.ModuleType("__main__")
    code = 0
    try:
        _load(module, source)
        if threading := sys.modules.get("threading"):
            for thread in threading.enumerate():
                if thread is not threading.main_thread() and not thread.daemon:
                    thread.join()
    except SystemExit as leaving:
        if isinstance(leaving.code, int):
            code = leaving.code & 0xFF
        elif leaving.code is not None:
            print(leaving.code, file=sys.stderr)
            code = 1
    except MemoryError:
        code = OUT_OF_MEMORY
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            code = code or 1
    return code


def _load(module: types.ModuleType, source: str) -> None:
    sys.modules[module.__name__] = module
    linecache.cache[_FILE] = (len(source), None, source.splitlines(keepends=True), _FILE)
    exec(compile(source, _FILE, "exec", dont_inherit=True), module.__dict__)


class _Objects:
    """What the checker knows by number alone."""

    def __init__(self) -> None:
        self.known: list[Any] = []
        self._numbers: dict[int, int] = {}

    def number(self, value: Any) -> list[Any]:
        """The object's number, its type's name to show, and whether it is true; the same object has one number."""
        number = self._numbers.setdefault(id(value), len(self.known))
        if number == len(self.known):
            self.known.append(value)
        try:
            truth = bool(value)
        except Exception:  # some objects are neither
            truth = True
        return [number, str(getattr(value, "__name__", None) or type(value).__name__)[:80], truth]


_ACTIONS: dict[str, Any] = {
    "attribute": getattr,
    "set": setattr,
    "length": len,
    "iterator": iter,
    "next": next,
    "item": operator.getitem,
    "text": str,
}


def _answer(request: list[Any], module: types.ModuleType, objects: _Objects) -> dict[str, Any]:
    what, target, *rest = request
    if what == "get":
        try:
            value = module.__dict__[target]
        except KeyError:
            raise NameError(f"name '{target}' is not defined") from None
        return {"ok": encode(value, objects.number)}
    value = objects.known[target]
    given = [decode(item, objects.known.__getitem__) for item in rest[0]]
    if what != "call":
        return {"ok": encode(_ACTIONS[what](value, *given), objects.number)}
    named = {key: decode(item, objects.known.__getitem__) for key, item in rest[1].items()}
    answer = {"ok": encode(value(*given, **named), objects.number)}
    after = [encode(item, objects.number) for item in given]
    if json.dumps(after) != json.dumps(_numbered(rest[0], objects)):
        answer["args"] = after
    return answer


def _numbered(data: Any, objects: _Objects) -> Any:
    """Arguments as they would be encoded here: objects were sent by number, and come back with their names."""
    if isinstance(data, list):
        return [_numbered(item, objects) for item in data]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(data, dict):
        return {
            tag: objects.number(objects.known[inside]) if tag == "h" else _numbered(inside, objects)
            for tag, inside in data.items()  # pyright: ignore[reportUnknownVariableType]
        }
    return data


def _raised(error: BaseException) -> dict[str, Any]:
    """What was raised: the nearest builtin exception, the name of its class, its text."""
    nearest = next(kind.__name__ for kind in type(error).__mro__ if vars(builtins).get(kind.__name__) is kind)
    try:
        text = str(error)[:500]
    except BaseException:
        text = ""
    return {"raise": [nearest, type(error).__name__[:80], text]}
