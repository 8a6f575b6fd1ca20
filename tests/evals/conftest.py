"""Units as a run would have stored them, made up from a seed: cheap, repeatable, with a real lift from voting."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ttc.evals.records import UnitRecord
from ttc.types import Candidate, Checkpoint, EndedBy, Outcome, Sample, Usage

LEVELS = {"addition": ("easy", 0.72), "word_problem": ("medium", 0.55), "two_digits": ("hard", 0.35)}
SUITE = "made_up:seed=1"


class MadeUpProblem:
    """One problem with eight drawn answers, and what strategies make of them."""

    def __init__(self, family: str, number: int, rng: random.Random, wrong: str | None, text: str) -> None:
        self.id = f"{family}-{number}"
        level, p = LEVELS[family]
        self.tags = {"family": family, "level": level}
        self.gold = str(rng.randint(20, 90))
        p = min(0.97, max(0.03, rng.gauss(p, 0.2)))
        self.draws = [self.gold if rng.random() < p else wrong or str(rng.randint(1, 19)) for _ in range(8)]
        self.tokens = [rng.randint(8, 24) for _ in range(8)]
        self.text = text

    def samples(self, n: int) -> list[dict[str, Any]]:
        return [
            {"event": "sample", "tokens": sum(self.tokens[: k + 1]), "kind": "generate", "index": k, "finish": "stop"}
            | {"answer": self.draws[k], "forced": False, "generated": self.tokens[k]}
            for k in range(n)
        ]

    def usage(self, n: int) -> Usage:
        return Usage(prompt_tokens=50 * n, answer_tokens=sum(self.tokens[:n]))

    def vote(self, n: int) -> str:
        return Counter(self.draws[:n]).most_common(1)[0][0]

    def unit(
        self,
        spec: str,
        answer: str,
        n: int,
        *,
        prefix: bool = False,
        more: Sequence[dict[str, Any]] = (),
        usage: dict[str, Usage] | None = None,
        ended_by: EndedBy = "finished",
    ) -> UnitRecord:
        points = (
            [Checkpoint(self.vote(k), k, self.usage(k), self.usage(k), 1) for k in range(1, n + 1)] if prefix else []
        )
        outcome = Outcome(
            query_id=self.id,
            answer=answer,
            candidate=Candidate(answer, Sample(text=f"{self.text} The answer is {answer}", usage=self.usage(1))),
            ended_by=ended_by,
            usage={"generate": self.usage(n), **(usage or {})},
            calls={"generate": n},
            answer_tokens=1,
            checkpoints=tuple(points),
            trace=(*self.samples(n), *more),
        )
        name, _, rest = spec.partition(":")
        return UnitRecord(
            key=f"{self.id} {spec}",
            suite=SUITE,
            problem=self.id,
            tags=self.tags,
            strategy=name,
            spec=spec,
            setting=int(rest.removeprefix("n=")) if rest else None,
            prefix=prefix,
            outcome=outcome,
            correct=answer == self.gold,
            checkpoints_correct=tuple(p.answer == self.gold for p in points),
        )

    def units(self) -> list[UnitRecord]:
        certain = {"event": "stop", "tokens": sum(self.tokens), "why": "the vote is certain", "samples": 8}
        meeting = {"event": "compare", "tokens": 90, "a": 0, "b": 1, "first": "a", "won": 1.0}
        judged = {"judge": Usage(prompt_tokens=80, answer_tokens=2)}
        return [
            self.unit("single", self.draws[0], 1),
            self.unit("majority:n=8", self.vote(8), 8, prefix=True, more=[certain], ended_by="stopped_early"),
            self.unit("knockout:n=2", self.draws[0], 2, more=[meeting], usage=judged),
            self.unit("knockout:n=4", self.vote(4), 4, more=[meeting], usage=judged),
        ]


@pytest.fixture(scope="session")
def make_units() -> Callable[..., list[UnitRecord]]:
    """Make the units of a run: ``make_units(per_family=20, wrong=None, text="Let me think.")``.

    ``wrong`` is what a model answers when it is wrong, ``text`` what it writes before its answer.
    """

    def make(per_family: int = 20, *, wrong: str | None = None, text: str = "Let me think.") -> list[UnitRecord]:
        rng = random.Random(1)
        problems = [MadeUpProblem(f, i, rng, wrong, text) for f in LEVELS for i in range(per_family)]
        return [unit for problem in problems for unit in problem.units()]

    return make
