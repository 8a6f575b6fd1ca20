"""The process in which reasoning-gym draws and scores: ``python -P -m ttc.evals.suites.gym_worker``.

Drawn here, a data set is the same everywhere: some generators go through sets of strings, and their order depends on
PYTHONHASHSEED, which only a new process can set. Scored here, an answer can be killed: some scorers call ``eval`` or
sympy's ``parse_expr`` on what a model wrote. So while an answer is scored an audit hook sees every piece of code before
it runs, and lets through what has no names but those of formulas: no attribute, no import, no function of Python's own.
What is refused raises in the scorer, which calls the answer wrong.

It says ``{"ready": true}`` first. Then one JSON line in, one out: ``{"data_set": {...}, "draw": n}`` or
``{"data_set": {...}, "index": i, "answer": ...}``.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import json
import math
import os
import resource
import sys
import typing
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from ttc.evals.suites.gym import create_dataset, spread

__all__ = ["main", "plain_formula"]

_NAMES_OF_FORMULAS = """Integer Float Rational Symbol factorial sqrt exp log ln pi Abs sin cos tan sec csc cot asin acos
atan sinh cosh tanh Integral sympy"""  # the last is in the import that parse_expr begins with
_FORMULAS = frozenset(_NAMES_OF_FORMULAS.split())
_MEMORY = 4 << 30
_LIFETIME = 24 * 3600  # seconds of the CPU
_EVENTS = """exec open subprocess.Popen socket.__new__ ctypes.dlopen ctypes.dlsym pty.spawn shutil.rmtree os.system
os.exec os.posix_spawn os.spawn os.fork os.forkpty os.kill os.putenv os.remove os.rename os.rmdir os.mkdir os.truncate
os.chmod os.link os.symlink"""
_WATCHED = frozenset(_EVENTS.split())
_TRIES = 4  # entries looked at for each one asked for, since a question is never asked twice
_NONSENSE = "no answer at all"
_TRIED = 10  # entries whose scorer is tried with nonsense: one of the library's calls right all that is not "True"

_scoring = False


def plain_formula(code: CodeType) -> bool:
    """Whether code is made of constants, operators and the names of formulas alone. One letter is a variable's name."""
    names = all(len(name) == 1 or name in _FORMULAS for name in code.co_names)
    return names and not any(isinstance(constant, CodeType) for constant in code.co_consts)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what a scorer has no business with; an import brings code of an installed package, and may."""
    if not _scoring or event not in _WATCHED or _importing(sys._getframe(1)):
        return
    if event == "exec" and isinstance(arguments[0], CodeType) and plain_formula(arguments[0]):
        return
    if event == "open" and arguments[1] in (None, "r", "rb"):
        return
    raise PermissionError(f"an answer may not do this: {event}")


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


class _Refused(Exception):
    """What is said about a data set that cannot be made."""


@dataclasses.dataclass(slots=True)
class _Drawn:
    entries: Any
    kept: dict[int, dict[str, Any]] = dataclasses.field(default_factory=dict[int, dict[str, Any]])

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index not in self.kept:
            self.kept[index] = self.entries[index]
        return self.kept[index]


def main() -> None:
    """Serve until the input is closed."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # some generators print
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    create_dataset("chain_sum", size=1, seed=0)  # imports all of them, which takes seconds
    sys.addaudithook(_watch)
    made: dict[str, _Drawn] = {}
    replies.write('{"ready": true}\n')
    replies.flush()
    for line in sys.stdin:
        job = json.loads(line)
        _allow_cpu(job["seconds"])
        try:
            reply = _reply(job, made)
        except _Refused as refused:
            reply = refused.args[0]
        except (MemoryError, RecursionError):
            reply = {"score": None}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _reply(job: dict[str, Any], made: dict[str, _Drawn]) -> dict[str, Any]:
    key = json.dumps(job["data_set"], sort_keys=True)
    if key not in made:
        made[key] = _Drawn(_made(**job["data_set"]))
    drawn = made[key]
    if "draw" in job:
        entries = list(_different(drawn, job["draw"]))
        lenient = any(_score(drawn.entries, drawn[entry["index"]], _NONSENSE) >= 1 for entry in entries[:_TRIED])
        return {"entries": entries, "category": str(drawn.entries.category), "lenient": lenient}
    return {"score": _score(drawn.entries, drawn[job["index"]], job["answer"])}


def _different(drawn: _Drawn, size: int) -> Iterator[dict[str, Any]]:
    """Yield entries whose questions differ, with their places. The first is scored, which loads what that needs."""
    seen: set[str] = set()
    for index in range(len(drawn.entries)):
        try:
            entry = drawn[index]
        except IndexError:  # of a data set that has no more
            return
        if entry["question"] in seen:
            continue
        if not seen and entry["answer"] is not None:
            drawn.entries.score_answer(entry["answer"], entry)
        seen.add(entry["question"])
        gold = entry["answer"]
        yield {"index": index, "question": entry["question"], "gold": None if gold is None else str(gold)}
        if len(seen) == size:
            return


def _score(entries: Any, entry: dict[str, Any], answer: str) -> float:
    global _scoring
    _scoring = True
    try:
        return float(entries.score_answer(answer, entry))
    except (MemoryError, RecursionError):
        raise
    except Exception:  # a scorer that an answer trips up has not found it right
        return 0.0
    finally:
        _scoring = False


def _made(name: str, size: int, seed: int, settings: dict[str, str]) -> Any:
    factory: Any = importlib.import_module("reasoning_gym.factory")
    known = cast("Mapping[str, tuple[Any, Any]]", factory.DATASETS)
    if name not in known:
        raise _Refused({"unknown_data_set": name, "known": sorted(known)})
    config = known[name][1]
    hints = typing.get_type_hints(config)
    fields = {f.name: hints[f.name] for f in dataclasses.fields(config) if f.name not in ("size", "seed")}
    values: dict[str, Any] = {}
    for option, text in settings.items():
        if option not in fields:
            near = difflib.get_close_matches(option, fields, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            there = ", ".join(f"{other} ({_words(kind)})" for other, kind in fields.items()) or "none"
            raise _Refused({"unknown_option": f"unknown option '{option}' of '{name}'.{hint} Known: {there}."})
        values[option] = _value(option, text, fields[option])
    try:
        return create_dataset(name, size=size * _TRIES, seed=spread(seed), **values)
    except Exception as error:  # its own checks raise AssertionError, and what they do not foresee raises anything
        kind = "" if isinstance(error, AssertionError) and str(error) else type(error).__name__
        raise _Refused({"refused": ": ".join(filter(None, (kind, str(error))))}) from None


def _value(option: str, text: str, kind: Any) -> Any:
    """Read an option in the form of a command line: ``3``, ``true``, ``[+,-]``, or JSON."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    readings: list[Any] = [text]
    try:
        readings.append(json.loads(text))
    except ValueError:
        if text[:1] in "[(" and text[-1:] in ")]":
            readings.append([part.strip() for part in text[1:-1].split(",") if part.strip()])
    for reading in readings:
        try:
            return adapter.validate_python(reading)
        except ValidationError:
            continue
    raise _Refused({"refused": f"{option}={text}: must be of type {_words(kind)}"})


def _words(kind: Any) -> str:
    return getattr(kind, "__name__", "") if not typing.get_args(kind) else str(kind).replace("typing.", "")


def _allow_cpu(seconds: float) -> None:
    """End a process whose parent died while it computed."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = min(_LIFETIME, math.ceil(used.ru_utime + used.ru_stime + seconds) + 2)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, _LIFETIME))


if __name__ == "__main__":
    main()
