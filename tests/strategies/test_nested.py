"""A strategy as a parameter of another, in a branch with messages of its own."""

from __future__ import annotations

import anyio
import pytest

from ttc import registry
from ttc.budget import Budget
from ttc.errors import ConfigurationError
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve
from ttc.strategies.nested import NestedSpec, decide, required_by
from ttc.strategy import Strategy, make_strategy
from ttc.types import Candidate, Message, Query, Request

pytestmark = pytest.mark.anyio

OTHER: Message = {"role": "user", "content": "and in other words?"}


class Twice(Strategy):
    """Lets the inner strategy decide in two branches at once, the second one on other messages."""

    each: NestedSpec = "majority:n=3"

    async def solve(self, query: Query, session: Session) -> None:
        branches = [session.branch(0), session.branch(1, messages=[*query.messages, OTHER])]
        found: dict[int, Candidate | None] = {}

        async def one(i: int) -> None:
            found[i] = await decide(self.each, branches[i])

        async with anyio.create_task_group() as group:
            for i in range(2):
                group.start_soon(one, i)
        for i, branch in enumerate(branches):
            session.merge(branch, "side", number=i)
            if (candidate := found[i]) is not None:
                session.propose(candidate)


def asked(request: Request) -> str:
    return str(request.messages[-1]["content"])


async def test_an_inner_strategy_answers_the_messages_of_its_branch() -> None:
    model = Scripted(lambda r: "other" if asked(r) == OTHER["content"] else "plain")
    outcome = await solve("how?", Twice(), model)
    assert sorted(asked(r) for r in model.requests) == sorted(["how?", OTHER["content"]] * 3)
    assert [c.answer for c in outcome.checkpoints] == ["plain", "other"]
    assert outcome.calls == {"generate": 6}


async def test_what_an_inner_strategy_proposed_stands_when_the_budget_refuses_it_more() -> None:
    model = Scripted(lambda r: "yes")
    outcome = await solve("how?", Twice(each="majority:n=3,stop=never,wave=1"), model, budget=Budget(calls=2))
    assert (outcome.answer, outcome.ended_by) == ("yes", "budget")
    assert outcome.calls == {"generate": 2}


def test_an_unknown_inner_strategy_is_refused_when_the_outer_one_is_made() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'majority'"):
        registry.create("strategy", "adaptive:hard=(majorty:n=3)")


def test_it_needs_what_the_inner_ones_need() -> None:
    assert required_by("majority", None, "knockout", "best_of_n") == {"comparator", "verifier"}
    assert required_by(None) == frozenset()
    assert make_strategy("adaptive:medium=(revision:each=(knockout:n=2))").requires() == {"comparator"}
