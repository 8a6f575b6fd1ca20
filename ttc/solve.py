"""Solve queries: one, or many under one budget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import anyio

from ttc.budget import Budget
from ttc.crowd import Crowd
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.ledger import Ledger
from ttc.models.base import Model
from ttc.pacing import Allocation, Both, Pace, check_allocation, make_allocation
from ttc.progress import Progress
from ttc.session import Session
from ttc.strategy import Strategy, make_strategy
from ttc.types import Candidate, Checkpoint, EndedBy, Message, Outcome, Query, Sampling, Usage
from ttc.verifier import Comparator, Preparing, Verifier, make_comparator, make_verifier

__all__ = ["solve", "solve_many"]

AT_A_TIME = 64
"""Queries at a time where nobody says."""

COUNTING = 5.0
"""Seconds that a server has for counting the tokens of the answers, when the query is over."""


async def solve(
    query: str | Sequence[Message] | Query,
    strategy: str | Strategy,
    model: Model,
    *,
    budget: Budget | str | None = None,
    verifier: str | Verifier | None = None,
    comparator: str | Comparator | None = None,
    sampling: Sampling | None = None,
    seed: int = 0,
    parent: Ledger | None = None,
    pace: Pace | None = None,
) -> Outcome:
    """Solve one query with one strategy under one hard budget.

    Anytime: when tokens or seconds end, the last proposal is the answer, and what was paid for is kept.

    Args:
        query: a prompt, chat messages, or a :class:`~ttc.types.Query` with an answer type.
        strategy: e.g. ``"majority:n=16"``, or a strategy object.
        model: what answers, e.g. :class:`~ttc.models.vllm_server.VLLMServer`.
        budget: limits, as an object or as text (``"generated_tokens=4000,seconds=20"``); none by default.
        verifier: a name like ``"self_certainty"`` or an object.
        comparator: a name like ``"judge"`` or an object.
        sampling: how samples are drawn.
        seed: with the query's id it determines the seed of every request.
        parent: a ledger that spans several queries. Its seconds count from the first one.
        pace: decides wave by wave how many samples the query may draw; for strategies that are ``prefix_valid``.

    Raises:
        ConfigurationError: an unknown name, a parameter out of range, a missing verifier or comparator, or a verifier
            that the strategy cannot work with; before a call.
    """
    query = Query.of(query)
    strategy = make_strategy(strategy)
    verifier, comparator = make_verifier(verifier), make_comparator(comparator)
    for need, given in (("verifier", verifier), ("comparator", comparator)):
        if need in strategy.requires() and given is None:
            raise ConfigurationError(
                f"strategy '{strategy.name}' needs a {need}: pass {need}='judge' (or --{need} judge)"
            )
    strategy.accepts(verifier)
    budget = Budget.parse(budget) if isinstance(budget, str) else budget or Budget()
    ledger = Ledger(budget, parent=parent, price=model.price)
    if len(getattr(model, "models", ())) > 1 and any(x.budget.counts_tokens for x in ledger.chain()):
        raise ConfigurationError("tokens of different models are not added up: limit dollars, calls or seconds instead")
    session = Session(
        query,
        model,
        ledger,
        verifier=verifier,
        comparator=comparator,
        sampling=sampling,
        seed=seed,
        strategy=strategy.spec,
        pace=pace,
    )
    for judge in (verifier, comparator):
        if getattr(judge, "asks_model", False):
            session.check_model(getattr(judge, "model", ""))
    if isinstance(verifier, Preparing):
        await verifier.prepare()
    began = anyio.current_time()
    with anyio.move_on_after(ledger.seconds_left) as deadline:
        try:
            await strategy.solve(session.query, session)
        except BudgetExhausted:
            session.progress.out_of_budget = True
        except BaseExceptionGroup as group:
            # Of tasks that a strategy ran itself: a refusal ends the query like any other, an error leaves alone.
            if (error := _gravest(group)) is not None:
                raise error from error.__cause__
            session.progress.out_of_budget = True
    seconds = anyio.current_time() - began
    progress = session.progress
    progress.merge_rest()
    candidate = session.candidate
    outcome = Outcome(
        query_id=query.id,
        answer=candidate.answer if candidate else None,
        candidate=candidate,
        ended_by=_ended_by(progress, deadline.cancel_called),
        usage=dict(ledger.usage),
        calls=dict(ledger.calls),
        foreign=ledger.foreign,
        seconds=seconds,
        dollars=ledger.dollars if model.price or ledger.dollars else None,
        trace=tuple(progress.trace),
    )
    if progress.failures and not progress.succeeded:
        outcome = replace(outcome, error=progress.failures[0].error, error_type=progress.failures[0].error_type)
    elif progress.failures:
        session.warn(f"{len(progress.failures)} calls failed; the first one: {progress.failures[0].error}")
    if progress.cut:
        session.warn(f"{progress.cut} samples were cut by the budget")
    answer_tokens, measured = await _answer_tokens(model, [p.candidate for p in progress.proposed])
    if not measured:
        session.warn("the tokens of the answer itself are estimated: the server did not count them")
    checkpoints = [
        Checkpoint(p.candidate.answer, p.samples, p.prefix, p.realised, n, p.dollars)
        for p, n in zip(progress.proposed, answer_tokens, strict=True)
    ]
    if len(progress.models) > 1:
        checkpoints = [replace(c, prefix=Usage(), realised=Usage()) for c in checkpoints]
        outcome = replace(outcome, trace=tuple(_without_tokens(progress.trace)))
    return replace(
        outcome,
        answer_tokens=checkpoints[-1].answer_tokens if checkpoints else 0,
        checkpoints=tuple(checkpoints),
        warnings=tuple(progress.warnings),
    )


async def solve_many(
    queries: Iterable[str | Query],
    strategy: str | Strategy,
    model: Model,
    *,
    budget: Budget | str | None = None,
    total: Budget | None = None,
    parent: Ledger | None = None,
    allocate: str | Allocation | None = None,
    concurrency: int | None = None,
    on_outcome: Callable[[int, Outcome], None] | None = None,
    **settings: Any,
) -> list[Outcome]:
    """Solve many queries at once, each under ``budget`` and all together under ``total``.

    Args:
        queries: prompts or queries.
        strategy: as for :func:`solve`.
        model: as for :func:`solve`.
        budget: limits of each query.
        total: limits over all of them. Its seconds are a deadline for every query: what runs then ends with its
            last proposal, and what has not started ends without an answer.
        parent: a ledger that spans more than these queries.
        allocate: how the tokens of ``total`` (or of ``parent``) are handed out: ``"greedy"``, each wave of samples to
            the query that gains most by it; ``"uniform"``, in equal shares; or an object of
            :mod:`ttc.adaptive.allocation`. By default whoever asks first gets them. For strategies that are
            ``prefix_valid``; their ``n`` is the most that one query may get.
        concurrency: how many queries run at a time; with ``allocate``, how many have samples in flight. By default 64,
            or as many as keep the calls in flight of a model whose limit adapts (:mod:`ttc.models.in_flight`).
        on_outcome: called with the query's position as each one ends.
        settings: further arguments of :func:`solve`.

    Returns:
        The outcomes in the order of the queries.

    Raises:
        ConfigurationError: as for :func:`solve`; or ``allocate`` with a strategy whose draws cannot be metered, or
            without a limit of tokens.
    """
    strategy = make_strategy(strategy)
    asked = [Query.of(q) for q in queries]
    if total is not None:
        parent = Ledger(total, parent=parent, price=model.price)
    outcomes: list[Outcome | None] = [None] * len(asked)
    if parent is not None:
        _ = parent.seconds_left  # its clock starts now
    solving = partial(solve, strategy=strategy, model=model, budget=budget, parent=parent)
    run: Callable[[int, Query], Awaitable[Outcome]]
    if allocate is None:
        crowd = Crowd([model], fixed=concurrency, start=AT_A_TIME)

        async def in_turn(position: int, query: Query) -> Outcome:
            async with crowd.place(position):
                return await solving(query, **settings)

        run = in_turn
    else:
        ledger = parent or Ledger()
        check_allocation(strategy, ledger)
        allotment = make_allocation(allocate).over(len(asked), ledger, concurrency=concurrency or AT_A_TIME)
        own: Pace | None = settings.pop("pace", None)

        async def allotted(position: int, query: Query) -> Outcome:
            async with allotment.place(position) as pace:
                return await solving(query, pace=Both(own, pace) if own else pace, **settings)

        run = allotted

    async def one(position: int, query: Query) -> None:
        outcome = outcomes[position] = await run(position, query)
        if on_outcome is not None:
            on_outcome(position, outcome)

    try:
        async with anyio.create_task_group() as group:
            for position, query in enumerate(asked):
                group.start_soon(one, position, query)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [o for o in outcomes if o is not None]


def _gravest(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the first error of a group, however deep, that is no refusal of the budget."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found = _gravest(error)  # pyright: ignore[reportUnknownArgumentType]
        else:
            found = None if isinstance(error, BudgetExhausted) else error
        if found is not None:
            return found
    return None


def _ended_by(progress: Progress, late: bool) -> EndedBy:
    if late or progress.out_of_time:
        return "deadline"
    if progress.failures and not progress.succeeded:
        return "all_calls_failed"
    if progress.out_of_budget:
        return "budget"
    return "stopped_early" if progress.stopped_early else "finished"


def _without_tokens(trace: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A trace over several models: their tokens are not added up."""
    return [
        {k: _without_tokens(v) if k == "events" else v for k, v in event.items() if k != "tokens"} for event in trace
    ]


async def _answer_tokens(model: Model, candidates: Sequence[Candidate]) -> tuple[list[int], bool]:
    """Count the generated tokens that are the answers themselves; the rest of the spend is thinking.

    Each answer is counted once. A server that hangs has ``COUNTING`` seconds for all of them, since the query's own
    are over by now.

    Returns:
        The tokens of each candidate's answer, and whether all of them were measured.
    """
    counts: dict[str, int] = {}
    measured = True
    distinct = {id(candidate): candidate for candidate in candidates}
    with anyio.move_on_after(COUNTING):
        for candidate in distinct.values():
            if (answer := candidate.answer) is None or answer in counts or _is_all_of(candidate):
                continue
            counts[answer], by = await model.count_tokens(answer)
            measured = measured and by != "estimate"
    tokens: dict[int, int] = {}
    for name, candidate in distinct.items():
        answer, visible = candidate.answer, candidate.sample.usage.answer_tokens
        if answer is not None and not _is_all_of(candidate):
            measured = measured and answer in counts
            visible = min(visible, counts.get(answer, -(-len(answer) // 4)))
        tokens[name] = 0 if answer is None else visible
    return [tokens[id(candidate)] for candidate in candidates], measured


def _is_all_of(candidate: Candidate) -> bool:
    """Whether an answer is all that its sample generated visibly; a bound on the usage holds other tokens as well."""
    return candidate.answer == candidate.sample.text.strip() and not candidate.sample.usage.upper_bound
