"""Any tree of branches, merges and child budgets, some of it cancelled: what was drawn is what is on the bill."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc.budget import Budget, Price
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve
from ttc.strategy import Strategy
from ttc.types import Candidate, Query, Request, Sample, Sampling, Usage

PRICE = Price(prompt=1.0, generated=2.0)


@dataclass(frozen=True)
class Draw:
    """Draw ``n`` samples and leave after ``take`` of them; perhaps propose each."""

    n: int
    take: int
    wave: int | None
    propose: bool


@dataclass(frozen=True)
class Fork:
    """Work in several branches at once, and merge those that are to be, in the order of their names."""

    branches: tuple[tuple[Work, bool], ...]


@dataclass(frozen=True)
class Within:
    """Work under a further budget."""

    calls: int | None
    tokens: int | None
    work: Work


@dataclass(frozen=True)
class Hurried:
    """Work for so many seconds."""

    seconds: float
    work: Work


Work = tuple["Draw | Fork | Within | Hurried", ...]

draws = st.builds(Draw, st.integers(1, 4), st.integers(0, 4), st.none() | st.integers(1, 3), st.booleans())
work: st.SearchStrategy[Work] = st.recursive(
    st.lists(draws, min_size=1, max_size=2).map(tuple),
    lambda inner: st.lists(
        draws
        | st.builds(Fork, st.lists(st.tuples(inner, st.booleans()), min_size=1, max_size=3).map(tuple))
        | st.builds(Within, st.none() | st.integers(1, 6), st.none() | st.integers(1, 40), inner)
        | st.builds(Hurried, st.sampled_from((0.0, 0.001, 0.003)), inner),
        min_size=1,
        max_size=3,
    ).map(tuple),
    max_leaves=8,
)


class Remembers(Scripted):
    """Keeps what its calls brought."""

    def __init__(self, reply: Callable[[Request], str], latency: Callable[[Request], float]) -> None:
        super().__init__(reply, latency=latency, in_flight=3, price=PRICE)
        self.chunk = 4
        self.brought: Counter[Usage] = Counter()

    async def remember(self, request: Request, samples: Sequence[Sample]) -> None:
        self.brought.update(s.usage for s in samples)


class Works(Strategy):
    """Does its work, and keeps what it was handed."""

    work: Any
    seen: Any

    async def solve(self, query: Query, session: Session) -> None:
        self.seen["session"] = session
        await self.do(session, self.work)

    async def do(self, session: Session, work: Work) -> None:
        for part in work:
            match part:
                case Draw():
                    await self.draw(session, part)
                case Fork(branches):
                    await self.fork(session, branches)
                case Within(calls, tokens, inner):
                    async with session.within(Budget(calls=calls, generated_tokens=tokens)) as child:
                        await self.do(child, inner)
                case Hurried(seconds, inner):
                    with anyio.move_on_after(seconds):
                        await self.do(session, inner)

    async def draw(self, session: Session, draw: Draw) -> None:
        taken = 0
        async with session.sample(n=draw.n, wave=draw.wave) as samples:
            async for candidate in samples:
                self.seen["consumed"].append(candidate)
                if draw.propose:
                    session.propose(candidate)
                taken += 1
                if taken >= draw.take:
                    break

    async def fork(self, session: Session, forks: Sequence[tuple[Work, bool]]) -> None:
        branches: list[Session] = []
        async with anyio.create_task_group() as group:
            for inner, _ in forks:
                self.seen["branches"] += 1
                branches.append(session.branch(self.seen["branches"]))
                group.start_soon(self.do, branches[-1], inner)
        for branch, (_, merged) in zip(branches, forks, strict=True):
            if merged:
                session.merge(branch)
                if branch.candidate:
                    session.propose(branch.candidate)


def assert_in_order(trace: Sequence[Mapping[str, Any]], reached: int = 0) -> int:
    """Tokens never fall along the trace: what happened in a branch lies before the event of its merge."""
    for event in trace:
        reached = assert_in_order(event.get("events", ()), reached)
        assert event["tokens"] >= reached
        reached = event["tokens"]
    return reached


def total(usages: Counter[Usage]) -> tuple[int, int]:
    return (
        sum(u.prompt_tokens * n for u, n in usages.items()),
        sum(u.generated * n for u, n in usages.items()),
    )


@settings(deadline=None, max_examples=300)
@given(
    work=work,
    seed=st.integers(0, 10**6),
    budget=st.builds(
        Budget,
        generated_tokens=st.none() | st.integers(1, 120),
        total_tokens=st.none() | st.none() | st.integers(10, 300),
        calls=st.none() | st.integers(1, 20),
        dollars=st.none() | st.none() | st.floats(1e-5, 4e-4),
        seconds=st.none() | st.none() | st.floats(0.001, 0.01),
    ),
)
def test_what_was_consumed_and_what_was_not_is_what_was_spent(work: Work, seed: int, budget: Budget) -> None:
    async def check() -> None:
        def reply(request: Request) -> str:
            return " ".join(["so"] * (request.seed % 24) + [str(request.seed % 3)])

        model = Remembers(reply, lambda r: random.Random(r.seed ^ seed).choice((0, 0, 0.001)))
        seen: dict[str, Any] = {"consumed": [], "branches": 0}
        books = Ledger(price=PRICE)
        with anyio.fail_after(30):
            outcome = await solve(
                "2 + 5?",
                Works(work=work, seen=seen),
                model,
                budget=budget,
                parent=books,
                sampling=Sampling(max_tokens=20, force_answer=0),  # above 16, so that they stream and can be given up
                seed=seed,
            )
        session: Session = seen["session"]
        consumed: list[Candidate] = seen["consumed"]
        assert model.running == model.limiter.borrowed_tokens == books.leased_tokens == 0

        # The bill is the ledger's, whatever was merged.
        assert dict(outcome.usage) == books.usage
        assert dict(outcome.calls) == books.calls

        # Everything that was handed on counts as consumed, once, whichever branch it was drawn in.
        took = Counter(c.sample.usage for c in consumed)
        progress = session.progress
        assert (progress.consumed.prompt, progress.consumed.generated) == total(took)
        assert progress.drawn == len(consumed)
        assert progress.dollars == pytest.approx(sum(PRICE.of(c.sample.usage) for c in consumed))
        assert sum(_events(outcome.trace, "sample")) == sum(c.sample.usage.generated for c in consumed)

        # What was not handed on came back too late, or was given up: the rest of the bill, and a bound.
        assert took <= model.brought
        brought, spent = total(model.brought), (books.spent.prompt_tokens, books.spent.generated)
        assert brought[0] <= spent[0]
        assert max(brought[1], model.generated) <= spent[1]
        if not books.spent.upper_bound:
            assert brought == spent
            assert model.generated == spent[1]

        # Along the trace, and from checkpoint to checkpoint, cost never falls.
        assert assert_in_order(outcome.trace) <= progress.consumed.generated
        reached = Usage()
        for point in outcome.checkpoints:
            assert point.prefix.generated >= reached.generated
            assert point.prefix.total >= reached.total
            assert point.realised.generated >= point.prefix.generated
            reached = point.prefix
        assert reached.generated <= outcome.generated_tokens

        # No two samples of a query share a seed.
        assert len({r.seed for r in model.requests}) == len(model.requests)

    anyio.run(check)


def _events(trace: Sequence[Mapping[str, Any]], name: str) -> list[int]:
    found: list[int] = []
    for event in trace:
        found += _events(event.get("events", ()), name)
        if event["event"] == name:
            found.append(event["generated"])
    return found
