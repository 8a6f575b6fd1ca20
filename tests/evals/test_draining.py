"""A run that is asked to stop keeps what is in flight, sends nothing more, and goes on to the same end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from ttc import registry
from ttc.errors import BudgetExhausted, RequestRejected, RunStopped
from ttc.evals.config import EvalConfig
from ttc.evals.draining import Stop
from ttc.evals.recorded_calls import call_key
from ttc.evals.runner import RunProgress, run_eval
from ttc.evals.store import Store, read_units
from ttc.evals.suite import Problem, Suite
from ttc.models import virtual_clock
from ttc.models.scripted import Scripted
from ttc.types import Query, Request

STRATEGIES = ("majority:n=6,stop=never,wave=2", "single")


def suite(n: int = 6) -> Suite:
    number = registry.create("answer type", "number")
    return Suite("toy", [Problem(Query.of(f"problem {i}", answer_type=number), str(i)) for i in range(n)])


def reply(request: Request) -> str:
    return f"well {request.seed % 3} it is {request.seed % 5}"


def slow(request: Request) -> float:
    return 0.5 + request.seed % 7


def settings(runs: Path, **changes: Any) -> EvalConfig:
    given = {"suites": (suite(),), "strategies": STRATEGIES, "run_id": "r", "runs": runs, "concurrency": 4}
    return EvalConfig(**{**given, **changes})


def kept(runs: Path, model: Scripted) -> set[tuple[str, int]]:
    with Store(runs / "r") as store:
        return {asked(r) for r in model.requests if store.has_call(call_key("scripted", r))}


def asked(request: Request) -> tuple[str, int]:
    return request.content(), request.seed


def stopped_at(call: int, latency: Callable[[Request], float] = slow) -> tuple[Scripted, Stop]:
    """A model that asks the run to stop when it is sent its k-th call."""
    stop = Stop()

    def answered_after(request: Request) -> float:
        if len(model.requests) >= call:
            stop.request()
        return latency(request)

    model = Scripted(reply, latency=answered_after)
    return model, stop


def run(work: Callable[[], Any]) -> Any:
    """Under a virtual clock; an error comes without the group that it was raised in."""
    try:
        return virtual_clock.run(work)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


@pytest.mark.parametrize("call", [1, 2, 5, 9, 14, 30])
def test_calls_in_flight_are_kept_and_no_other_is_sent(tmp_path: Path, call: int) -> None:
    model, stop = stopped_at(call)
    with pytest.raises(RunStopped, match=r"the run was stopped; .* can be resumed: ttc eval --resume r"):
        run(lambda: run_eval(settings(tmp_path / "cut"), model, stop=stop))
    assert len(model.requests) == call
    assert kept(tmp_path / "cut", model) == {asked(r) for r in model.requests}  # every call that was sent
    assert model.running == model.limiter.borrowed_tokens == 0
    rest = Scripted(reply)
    done = anyio.run(lambda: run_eval(settings(tmp_path / "cut"), rest))
    assert done.progress.done == 12
    assert {asked(r) for r in rest.requests}.isdisjoint(asked(r) for r in model.requests)
    whole = anyio.run(lambda: run_eval(settings(tmp_path / "whole"), Scripted(reply)))
    assert (done.directory / "summary.json").read_bytes() == (whole.directory / "summary.json").read_bytes()


def test_units_that_need_nothing_more_are_finished(tmp_path: Path) -> None:
    model, stop = stopped_at(4)
    with pytest.raises(RunStopped):
        run(lambda: run_eval(settings(tmp_path, strategies=("single",)), model, stop=stop))
    assert len(read_units(tmp_path / "r")) == len(model.requests) == 4


def test_a_run_that_was_just_about_done_is_done(tmp_path: Path) -> None:
    model, stop = stopped_at(6)
    done = run(lambda: run_eval(settings(tmp_path, strategies=("single",)), model, stop=stop))
    assert done.progress.done == 6


def test_a_deadline_that_passes_while_a_run_drains_makes_no_result(tmp_path: Path) -> None:
    # Of each query the second sample is not sent any more, and a long call keeps the run from its end: what the others
    # would say at their deadline is not what they say with all their time.
    model, stop = stopped_at(6, lambda r: 3.0 if "problem 3" in str(r.messages) else 0.05)
    changes = {"strategies": ("majority:n=6,stop=never,wave=1",), "budget": "seconds=2", "concurrency": 6}
    with pytest.raises(RunStopped):  # on a real clock, since the virtual one does not wait for threads that commit
        anyio.run(lambda: run_eval(settings(tmp_path, **changes), model, stop=stop))
    assert len(model.requests) == 6
    assert {u.problem for u in read_units(tmp_path / "r")} <= {suite().problems[3].query.id}


def test_a_limit_that_is_met_lets_the_units_under_way_come_to_their_ends(tmp_path: Path) -> None:
    model = Scripted(lambda r: "it is 3", latency=lambda r: float(1 + r.seed % 3))
    config = settings(tmp_path, strategies=("single",), total_tokens=32, concurrency=6, sampling={"max_tokens": 4})
    with pytest.raises(BudgetExhausted, match="of 6 units are done"):
        run(lambda: run_eval(config, model))
    assert len(read_units(tmp_path / "r")) >= 1
    assert kept(tmp_path, model) == {asked(r) for r in model.requests}


# -- failures ---------------------------------------------------------------------------------------------------------


def failing(*problems: int) -> Callable[[Request], str]:
    def script(request: Request) -> str:
        if any(f"problem {i}" in str(request.messages) for i in problems):
            raise RequestRejected("too rude")
        return reply(request)

    return script


def test_the_first_failed_query_ends_a_run_that_is_to_fail_fast(tmp_path: Path) -> None:
    config = settings(tmp_path, fail_fast=True, concurrency=1)
    with pytest.raises(RequestRejected, match=r"every call of problem .* --fail-fast .*too rude.*--resume r"):
        anyio.run(lambda: run_eval(config, Scripted(failing(2))))
    assert len(read_units(tmp_path / "r")) == 4  # of the two problems before; the failure is no result
    done = anyio.run(lambda: run_eval(config, Scripted(reply)))
    assert (done.progress.skipped, done.progress.done, done.progress.failed) == (4, 12, 0)


def test_without_it_a_failed_query_counts_as_wrong_until_it_is_retried(tmp_path: Path) -> None:
    config = settings(tmp_path)
    first = anyio.run(lambda: run_eval(config, Scripted(failing(2, 4))))
    assert (first.progress.done, first.progress.failed) == (12, 4)
    model = Scripted(reply)
    plain = anyio.run(lambda: run_eval(config, model))
    assert (plain.progress.failed, model.requests) == (4, [])
    again = anyio.run(lambda: run_eval(config, model, retry_failed=True))
    assert (again.progress.retried, again.progress.skipped, again.progress.failed) == (4, 8, 0)
    assert Counter("problem 2" in str(r.messages) for r in model.requests) == {True: 6, False: 6}
    whole = anyio.run(lambda: run_eval(settings(tmp_path / "whole"), Scripted(reply)))
    assert (again.directory / "summary.json").read_bytes() == (whole.directory / "summary.json").read_bytes()


def test_what_failed_is_looked_for_once_however_many_units_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, look = list[str](), Store.failed_units

    def counted(store: Store) -> list[str]:
        looked.append(store.directory.name)
        return look(store)

    anyio.run(lambda: run_eval(settings(tmp_path), Scripted(failing(2))))
    monkeypatch.setattr(Store, "failed_units", counted)
    anyio.run(lambda: run_eval(settings(tmp_path), Scripted(reply), retry_failed=True))
    assert looked == ["r"]


def test_progress_is_told_of_what_is_kept_alone(tmp_path: Path) -> None:
    heard: list[int] = []

    def hear(progress: RunProgress) -> None:
        heard.append(progress.done)

    with pytest.raises(RequestRejected):
        anyio.run(
            lambda: run_eval(settings(tmp_path, fail_fast=True, concurrency=1), Scripted(failing(1)), on_progress=hear)
        )
    assert heard == [0, 1, 2]
