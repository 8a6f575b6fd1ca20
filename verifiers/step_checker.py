"""A step scorer made of a plain function: rules of a game, units, a budget of moves, whatever can be computed."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import anyio
import anyio.to_thread

from ttc.session import Session
from ttc.steps import Solution, separator_of, split_steps
from ttc.types import Candidate, Query
from ttc.verifier import in_unit

__all__ = ["Check", "StepChecker"]

Check = Callable[[Query, Sequence[str], bool], float | Awaitable[float]]
"""Says how good a partial solution is after its last step, from 0 to 1: ``check(query, steps, over)``."""

_SHOWN = 200


class StepChecker:
    """Score steps by a function of your own, ``check(query, steps, over) -> float or bool``.

    It is told the query, all steps so far and whether the solution ends there, and says how good it is: 0 for a dead
    end, 1 for all is well, or anything between. It is called once per new step, and once for a whole candidate::

        def countdown(query, steps, over):
            total = 0
            for step in steps:  # such as "add 7"
                verb, _, number = step.partition(" ")
                if verb not in ("add", "subtract") or not number.isdigit():
                    return False
                total += int(number) if verb == "add" else -int(number)
            return total == 24 if over else total <= 24

        verifier = StepChecker(countdown, separator="\\n", pass_fail=True)

    A plain function is called in a worker thread, one step after the other, and from several threads at once where
    several queries are solved at once; it should depend on its arguments alone. An ``async`` one is called for all
    steps of a wave at once. An error in it leaves as it is, with a note that says at which step.
    """

    logprobs = 0

    def __init__(self, check: Check, *, name: str = "", separator: str = "", pass_fail: bool = False) -> None:
        """Wrap a function.

        Args:
            check: the function, plain or ``async``.
            name: for messages and traces; by default the function's own.
            separator: what stands between the steps of a whole candidate, written as the strategy's ``separator`` or as
                it is; left out, a blank line.
            pass_fail: a whole solution of score 1 has passed: nothing better can come, and the search may stop.
        """
        self.check = check
        self.name = name or getattr(check, "__name__", "") or type(check).__name__
        self.separator = separator_of(separator)
        self.pass_fail = pass_fail

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Check each candidate once, after its last step; 0 for one without any step, for which nothing is called.

        Raises:
            ConfigurationError: the function returned no number from 0 to 1.
        """
        steps = [split_steps(c.sample.text, self.separator) for c in candidates]
        scores = iter(await self._checked(query, [(s, True) for s in steps if s]))
        return [next(scores) if s else 0.0 for s in steps]

    async def score_steps(
        self, query: Query, solutions: Sequence[Solution], session: Session
    ) -> Sequence[Sequence[float]]:
        """Check once after each step that has no score. Raises what :meth:`score` does."""
        states = [(s.steps[: i + 1], s.over and i + 1 == len(s.steps)) for s in solutions for i in s.unscored]
        scores = iter(await self._checked(query, states))
        return [[next(scores) for _ in solution.unscored] for solution in solutions]

    async def _checked(self, query: Query, states: Sequence[tuple[Sequence[str], bool]]) -> list[float]:
        called: Any = getattr(self.check, "__call__", None)  # noqa: B004 (an object may have an async one)
        if not (inspect.iscoroutinefunction(self.check) or inspect.iscoroutinefunction(called)):
            return [await self._one(query, steps, over, threaded=True) for steps, over in states]
        scores = [0.0] * len(states)

        async def run(i: int) -> None:
            scores[i] = await self._one(query, *states[i], threaded=False)

        try:
            async with anyio.create_task_group() as group:
                for i in range(len(states)):
                    group.start_soon(run, i)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group.exceptions[0].__cause__
        return scores

    async def _one(self, query: Query, steps: Sequence[str], over: bool, *, threaded: bool) -> float:
        try:
            if threaded:
                said = await anyio.to_thread.run_sync(self.check, query, steps, over, abandon_on_cancel=True)
            else:
                said = await cast(Awaitable[float], self.check(query, steps, over))
        except Exception as error:
            step = steps[-1] if len(steps[-1]) <= _SHOWN else f"{steps[-1][:_SHOWN]}..."
            error.add_note(f"in step checker '{self.name}', at step {len(steps)} of query '{query.id}': {step!r}")
            raise
        return in_unit(said, by=f"step checker '{self.name}'", what="score")
