"""The answer type ``code``: a Python program, which is the same as another one that does the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ttc.answer_type import Equality
from ttc.verifiers.code.extraction import extract_code, has_whole_program
from ttc.verifiers.code.normal_form import normal_form

if TYPE_CHECKING:
    from ttc.session import Session

__all__ = ["CodeAnswer", "same_behaviour"]

Seen = tuple[tuple[str, str], ...]
"""What a program did on each probe: the status, and the value's text where there was one."""

_REMEMBERED = 4096
_seen: OrderedDict[tuple[str, ...], Seen] = OrderedDict()


@dataclass(frozen=True, slots=True)
class CodeAnswer:
    """A Python program. Two are the same when they differ in layout alone, or behave alike on all probes.

    So programs can be voted on: the probes are run in the sandbox, once per program. No answer is forced out of a text
    that was cut off, since a few tokens hold no program.

    Attributes:
        entry_point: the function or class that is asked for; empty for a program that is run as a whole.
        probes: expressions that call it, such as ``"double(3)"``. Without any, layout alone decides.
        preamble: trusted source that comes before the program: imports and functions that the prompt gives.
    """

    entry_point: str = ""
    probes: tuple[str, ...] = ()
    preamble: str = ""
    name: str = "code"
    cue: str = ""

    def extract(self, text: str) -> str | None:
        """Return the program in a completion, or None. Linear in the length of the text."""
        return extract_code(text, self.entry_point)

    def concludes(self, text: str) -> bool:
        """Whether the program is there to its end: a closed block of code, or code with prose behind it."""
        return has_whole_program(text, self.entry_point)

    def key(self, answer: str) -> str:
        """Return the tokens of the program: comments, blank lines and spacing do not matter."""
        return normal_form(answer)

    def equivalent(self, a: str, b: str) -> bool:
        """Compare by key alone; what programs do is compared by :meth:`decide`."""
        return bool(key := self.key(a)) and key == self.key(b)

    def program(self, answer: str) -> str:
        """Return what is run: the preamble with the answer behind it."""
        return f"{self.preamble.rstrip()}\n\n\n{answer}" if self.preamble.strip() else answer

    async def decide(self, a: str, b: str, session: Session | None) -> Equality:
        """Compare what two programs do on the probes; no model is called.

        Raises:
            SandboxUnavailable: this machine cannot jail a program.
        """
        if not self.probes:
            return "different"
        return same_behaviour(await self._behaviour(a), await self._behaviour(b))

    async def _behaviour(self, answer: str) -> Seen:
        place = (self.preamble, self.entry_point, answer, *self.probes)
        if place in _seen:
            _seen.move_to_end(place)
            return _seen[place]
        from ttc.verifiers.code import shared_sandbox  # loaded only where a program is run

        observations = await shared_sandbox().evaluate(
            self.program(answer), self.probes, entry_point=self.entry_point, setup=self.preamble
        )
        seen = tuple((o.status, o.value) for o in observations)
        # A time that ran out says as much about the machine as about the program: it is observed anew.
        if not any(status == "timeout" for status, _ in seen):
            _seen[place] = seen
            if len(_seen) > _REMEMBERED:
                _seen.popitem(last=False)
        return seen


def same_behaviour(a: Sequence[tuple[str, str]], b: Sequence[tuple[str, str]]) -> Equality:
    """Compare what two programs did, probe by probe, as (status, text of the value).

    Equal are those that did the same everywhere and yielded a value somewhere: two that fail everywhere have nothing in
    common but that. A time that ran out is no observation, and leaves it undecided.
    """
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if "timeout" not in (x[0], y[0])]
    if any(_shown(x) != _shown(y) for x, y in pairs):
        return "different"
    if len(pairs) < len(a):
        return "undecided"
    return "equal" if any(x[0] == "passed" for x, _ in pairs) else "different"


def _shown(observed: tuple[str, str]) -> tuple[str, str]:
    """What counts of an observation: of an error its type, not its words."""
    status, value = observed
    return (status, value) if status == "passed" else (status, value.partition(":")[0] if status == "error" else "")
