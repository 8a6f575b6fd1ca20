"""Growing partial solutions: a wave of continuations, each of a text of its own, all under way at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, Self

from ttc.answer_type import AnswerType
from ttc.continuation import joined
from ttc.request import Numbered
from ttc.samples import Draw, Taken
from ttc.types import Candidate, Request, Sample

if TYPE_CHECKING:
    from ttc.session import Session

__all__ = ["SHORT", "Continuations", "Grown", "is_over"]

SHORT = 3
"""Words of an answer that ends a solution at the end of a step; a longer one may be a sentence of its working."""

_CLOSING = " .,;:!?*_`'\")]}>$"


class Grown(NamedTuple):
    """One continuation.

    Attributes:
        position: of what it goes on from, in what was asked to be continued.
        candidate: the longer text, or the failed sample.
        added: what the call brought.
        over: the solution ends here: the model ended it, or it has answered.
    """

    position: int
    candidate: Candidate
    added: Sample
    over: bool = False


class Continuations(Draw):
    """What came of one :meth:`ttc.session.Session.grow`, in the order of what was to be continued."""

    def __init__(
        self,
        session: Session,
        parents: Sequence[Candidate | None],
        requests: Sequence[Request],
        *,
        cues: Sequence[str],
        like: Taken | None = None,
    ) -> None:
        """Describe a draw; equal requests are neighbours, and one object."""
        super().__init__(session, max(requests, key=_characters), len(requests), whole=True)
        self._taken = replace(like) if like else self._taken
        self._parents = parents
        self._requests = requests
        self._cues = cues
        self._positions: dict[int, int] = {}  # by seed: requests that the budget refuses are left out

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Grown:
        sample = await self._next()
        s, position = self._session, self._positions[sample.seed]
        s._count(Candidate(None, sample), note=False)
        s.progress.drawn += 1
        s.progress.cut += sample.finish == "cut"
        parent, cue = self._parents[position], self._cues[position]
        if not sample.ok:
            return Grown(position, Candidate(None, sample), sample)
        text, before = sample, None
        if parent is not None:
            before = parent.sample
            text = replace(joined(before, sample, cue, close_thought=False), index=sample.index, seed=sample.seed)
        over = is_over(s.query.answer_type, text, sample, before, cue)
        candidate = s._read(text) if over else Candidate(None, text)
        return Grown(position, await s._settle(candidate), sample, over)

    def _ends(self, sample: Sample) -> bool:
        return True

    def _batches(self, start: int, stop: int) -> Iterator[Numbered]:
        for _, group in groupby(range(start, stop), key=lambda i: id(self._requests[i])):
            positions = list(group)
            batch = self._session._numbered(self._requests[positions[0]], len(positions))
            self._positions.update(zip(map(batch.seed, batch.positions), positions, strict=True))
            yield batch


def _characters(request: Request) -> int:
    return sum(len(str(message.get("content", ""))) for message in request.messages)


def is_over(answer_type: AnswerType, sample: Sample, added: Sample, before: Sample | None, cue: str) -> bool:
    """Whether a solution that grows step by step is over.

    It is where the model ended it, ends a step with the answer, or twice in a row has nothing to say between two
    separators: servers that do not tell which stop sequence it was end every text as if it were a step.

    Args:
        answer_type: how answers are marked.
        sample: the whole text so far.
        added: what the last step brought.
        before: the text without it; None at the beginning.
        cue: the separator that the step went on behind.
    """
    if sample.finish != "step":
        return sample.finish == "stop"
    if not (added.text + added.reasoning).strip():
        return before is not None and bool(cue) and (before.text or before.reasoning).endswith(cue)
    return bool(answer_type.cue) and _ends_with_answer(answer_type, added.text)


def _ends_with_answer(answer_type: AnswerType, step: str) -> bool:
    """Whether the last line of a step marks an answer and ends with it.

    A step that says how many steps the answer takes, or is headed like one, only looks so; a whole text is read at its
    last mark, and this one has not come to it yet.
    """
    line = step.rstrip().rpartition("\n")[2]
    answer = answer_type.extract(line) if answer_type.concludes(line) else None
    if answer is None or len(answer.split()) > SHORT:
        return False
    return line.rstrip(_CLOSING).endswith(answer.rstrip(_CLOSING))
