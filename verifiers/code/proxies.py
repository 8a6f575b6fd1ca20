"""The candidate's objects as its checker sees them: plain values are exact builtins, all else is an ``Opaque``."""

from __future__ import annotations

import builtins
import importlib
import reprlib
import sys
from typing import Any

from ttc.verifiers.code.channel import Channel, Gone
from ttc.verifiers.code.plain_data import Malformed, decode, encode

__all__ = ["CandidateEnded", "CandidateLeft", "CandidateNames", "Opaque", "Remote", "shown"]

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 120
_short.maxlist = _short.maxtuple = _short.maxset = _short.maxdict = 12


class CandidateEnded(BaseException):
    """The candidate's process is gone, or answers with what is no answer. No test can catch it by ``Exception``."""


class CandidateLeft(BaseException):
    """The candidate raised SystemExit or its like in a call. No test can catch it by ``Exception``."""


def shown(value: Any) -> str:
    """A value in a few characters."""
    try:
        return _short.repr(value)
    except Exception as error:
        return f"<{type(value).__name__}, {type(error).__name__}>"


class Remote:
    """The checker's side of the conversation.

    Attributes:
        last: the last call and what came of it, to explain a failure.
        error: the last exception that the candidate raised, as it was raised here.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.last = ""
        self.error: BaseException | None = None

    def loaded(self) -> None:
        """Wait until the candidate has imported its source; raises what that raised."""
        self._receive()

    def ask(self, what: str, target: str | int, *given: Any) -> Any:
        """One request and its answer, a value; raises what the candidate raised."""
        return self._ask([what, target, [encode(item, _number) for item in given]])

    def call(self, target: int, name: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Call one of the candidate's objects; changes that it made to its arguments are made here too."""
        self.last = f"{name}({', '.join([*map(shown, args), *(f'{k}={shown(v)}' for k, v in named.items())])})"
        given = [[encode(item, _number) for item in args], {k: encode(v, _number) for k, v in named.items()}]
        try:
            value = self._ask(["call", target, *given], args)
        except StopIteration as error:
            self.last += " raised StopIteration"
            self.error = RuntimeError("the program raised StopIteration")  # it would end a loop of the test's unseen
            raise self.error from error
        except BaseException as error:
            self.last += f" raised {type(error).__name__}"
            raise
        self.last += f" returned {shown(value)}"
        return value

    def _ask(self, request: list[Any], args: tuple[Any, ...] = ()) -> Any:
        try:
            self._channel.send(request)
        except Gone as gone:
            raise CandidateEnded("the program's process ended") from gone
        return self._receive(args)

    def _receive(self, args: tuple[Any, ...] = ()) -> Any:
        try:
            answer = dict[str, Any](self._channel.receive())
            if "raise" in answer:
                self._raise(answer["raise"])
            value = decode(answer["ok"], self._known)
            for ours, theirs in zip(args, answer.get("args", ()), strict=False):
                _follow(ours, decode(theirs, self._known))
            return value
        except Gone as gone:
            raise CandidateEnded("the program's process ended") from gone
        except (ValueError, AttributeError, LookupError, TypeError, RecursionError) as error:
            if error is self.error:
                raise
            raise CandidateEnded(f"no answer that can be read: {type(error).__name__}") from error

    def _known(self, inside: Any) -> Opaque:
        number, name, truth = inside
        if type(number) is not int or type(name) is not str or type(truth) is not bool:
            raise Malformed("no object")
        return Opaque(self, number, name, truth)

    def _raise(self, raised: Any) -> None:
        nearest, name, text = raised
        kind = vars(builtins).get(nearest) if type(nearest) is str else None
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            self.error = CandidateLeft(f"{name}: {text}")
            raise self.error
        try:
            self.error = kind(text if name == nearest else f"{name}: {text}")
        except Exception:  # UnicodeDecodeError and others want more than a text
            self.error = RuntimeError(f"{name}: {text}")
        raise self.error


def _number(value: Any) -> int:
    if type(value) is Opaque:
        return value._ttc_number
    raise TypeError(f"a {type(value).__name__} cannot be given to the candidate: it is no plain data")


_MUTABLE = (list, dict, set, bytearray)


def _follow(ours: Any, theirs: Any) -> None:
    """Make ``ours`` equal to what the candidate made of its copy, and keep the containers inside where they match."""
    if type(ours) is not type(theirs):
        return
    if type(ours) is list:  # pyright: ignore[reportUnknownArgumentType]
        ours[:] = [*map(_followed, ours, theirs), *theirs[len(ours) :]]  # pyright: ignore[reportUnknownArgumentType]
    elif type(ours) is dict:  # pyright: ignore[reportUnknownArgumentType]
        changed = {key: _followed(ours[key], new) if key in ours else new for key, new in theirs.items()}
        ours.clear()
        ours.update(changed)
    elif type(ours) is set:  # pyright: ignore[reportUnknownArgumentType]
        ours.clear()
        ours.update(theirs)
    elif type(ours) is bytearray:
        ours[:] = theirs


def _followed(ours: Any, theirs: Any) -> Any:
    if type(ours) is not type(theirs) or type(ours) not in _MUTABLE:
        return theirs
    _follow(ours, theirs)
    return ours


class Opaque:
    """One of the candidate's objects: it can be passed back, called, asked for attributes and items, and no more.

    It is equal to itself alone, and comparing it with anything else is a TypeError: the candidate would be judging
    itself. It is as true as it was when it came.
    """

    __slots__ = ("_ttc_name", "_ttc_number", "_ttc_remote", "_ttc_truth")
    _ttc_name: str
    _ttc_number: int
    _ttc_remote: Remote
    _ttc_truth: bool

    def __init__(self, remote: Remote, number: int, name: str, truth: bool) -> None:
        object.__setattr__(self, "_ttc_remote", remote)
        object.__setattr__(self, "_ttc_number", number)
        object.__setattr__(self, "_ttc_name", name)
        object.__setattr__(self, "_ttc_truth", truth)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Have the candidate call it, and return what comes back."""
        return self._ttc_remote.call(self._ttc_number, self._ttc_name, args, named)

    def __getattr__(self, name: str) -> Any:
        return self._ttc_remote.ask("attribute", self._ttc_number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ttc_remote.ask("set", self._ttc_number, name, value)

    def __len__(self) -> int:
        return self._ttc_remote.ask("length", self._ttc_number)

    def __iter__(self) -> Any:
        found = self._ttc_remote.ask("iterator", self._ttc_number)
        return found if type(found) is Opaque else iter(found)

    def __next__(self) -> Any:
        return self._ttc_remote.ask("next", self._ttc_number)

    def __getitem__(self, key: Any) -> Any:
        return self._ttc_remote.ask("item", self._ttc_number, key)

    def __contains__(self, item: Any) -> bool:
        return any(found == item for found in self)  # looked for here: asked, it would be told what is expected

    def __str__(self) -> str:
        return self._ttc_remote.ask("text", self._ttc_number)

    def __repr__(self) -> str:
        return f"<the candidate's {self._ttc_name}>"

    def __hash__(self) -> int:
        return hash(self._ttc_number)

    def __eq__(self, other: object) -> bool:
        if type(other) is Opaque and other._ttc_number == self._ttc_number:
            return True
        raise TypeError(f"{self!r} cannot be compared: it is no plain data")

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        return self._ttc_truth


class CandidateNames(dict[str, Any]):
    """The builtins of a test's namespace; a name that is not among them is looked up in the candidate's module.

    A standard module that a test forgot to import is imported here, and is not the candidate's to give: that would be
    told what is expected.
    """

    def __init__(self, remote: Remote, entry_point: str) -> None:
        super().__init__(vars(builtins))
        self._remote = remote
        self._entry_point = entry_point

    def __missing__(self, name: str) -> Any:
        if self._entry_point and name != self._entry_point and name in sys.stdlib_module_names:
            return importlib.import_module(name)
        return self._remote.ask("get", name)
