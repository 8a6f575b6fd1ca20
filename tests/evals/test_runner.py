"""A run does each unit once, pays for each call once, and stops where its results would not be results."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from pydantic import Field

from ttc import registry
from ttc.errors import BudgetExhausted, ConfigurationError, ContextOverflow, RunError, ServerUnreachable, UnknownName
from ttc.evals.config import EvalConfig, choose_problems, expand, read_config
from ttc.evals.recorded_calls import StoredCalls, call_key
from ttc.evals.run_card import config_of
from ttc.evals.runner import RunProgress, run_eval
from ttc.evals.store import Store, read_units
from ttc.evals.suite import Problem, Suite
from ttc.models.base import Meter
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve
from ttc.strategy import Strategy
from ttc.types import Query, Request, Sample

pytestmark = pytest.mark.anyio

MakeSuite = Callable[[int], Suite]
MakeModel = Callable[..., Scripted]

LEVELS = ("easy", "medium", "hard")
CHANCE = {"easy": 0.9, "medium": 0.6, "hard": 0.3}


@pytest.fixture
def toy_suite() -> MakeSuite:
    """Makes a suite of n problems whose answer is their number; level and family are tags."""
    number = registry.create("answer type", "number")

    def make(n: int) -> Suite:
        tags = [{"level": LEVELS[i % 3], "family": ("sum", "product")[i % 2]} for i in range(n)]
        queries = [Query.of(f"problem {i} {tags[i]['level']}", answer_type=number, tags=tags[i]) for i in range(n)]
        return Suite("toy", [Problem(q, str(i)) for i, q in enumerate(queries)])

    return make


@pytest.fixture
def toy_model() -> MakeModel:
    """Makes a model whose replies follow from prompt and seed alone."""

    def reply(request: Request) -> str:
        _, number, level = str(request.messages[-1]["content"]).split()
        rng = random.Random(request.seed)
        right = rng.random() < CHANCE[level]
        return "well " * rng.randrange(2, 9) + f"the answer is {number if right else 1000 + rng.randrange(3)}"

    def make(**settings: Any) -> Scripted:
        return Scripted(reply, **settings)

    return make


class Chain(Strategy):
    """Draw n samples and keep the last: not prefix valid, and nothing below two."""

    n: int = Field(4, ge=2)

    async def solve(self, query: Query, session: Session) -> None:
        async with session.sample(n=self.n) as samples:
            async for candidate in samples:
                session.propose(candidate)


def settings(suite: Suite, tmp_path: Path, **changes: Any) -> EvalConfig:
    values = {"suites": (suite,), "strategies": ("single", "majority:stop=never"), "budgets": (1, 2, 4), "run_id": "r"}
    return EvalConfig(**{**values, "runs": tmp_path, **changes})


def paid(model: Scripted) -> Counter[tuple[str, int]]:
    return Counter((r.content(), r.seed) for r in model.requests)


# -- what is run ------------------------------------------------------------------------------------------------------


def test_budgets_spread_by_what_a_strategy_is() -> None:
    found = expand(["single", "majority", "knockout:k=4", "adaptive"], [1, 2, 8])
    assert [(c.strategy.spec, c.label, c.setting, c.prefix) for c in found if c.label != "knockout:k=4"] == [
        ("single", "single", None, False),
        ("majority", "majority", 8, True),
        ("adaptive", "adaptive", None, False),
    ]
    knockouts = [c for c in found if c.label == "knockout:k=4"]
    assert {c.setting for c in knockouts} >= {2, 8}
    assert all(not c.prefix for c in knockouts)


def test_without_budgets_the_specs_stand() -> None:
    found = expand(["majority:n=3", "majority:n=3", "majority:n=5,stop=beta"])
    assert [(c.setting, c.label) for c in found] == [(3, "majority"), (5, "majority:stop=beta")]


def test_a_strategy_that_names_its_n_keeps_it() -> None:
    found = expand(["knockout:n=4", "knockout:n=8", "majority:n=3"], [1, 16])
    assert [(c.label, c.setting) for c in found] == [("knockout", 4), ("knockout", 8), ("majority", 3)]


def test_a_budget_that_a_strategy_cannot_take_is_left_out() -> None:
    assert [c.setting for c in expand([Chain()], [1, 2, 4])] == [2, 4]
    with pytest.raises(
        ConfigurationError, match=r"none of the budgets \[1\] will do: strategy 'chain': n=1: must be at least 2"
    ):
        expand([Chain()], [1])


async def test_a_run_keeps_every_unit_and_a_card(tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel) -> None:
    heard: list[int] = []
    config = settings(toy_suite(6), tmp_path, epochs=2)
    run = await run_eval(config, toy_model(), on_progress=lambda p: heard.append(p.done))
    assert heard == list(range(25))  # at the start, and after each of 6 * 2 * 2 units
    assert (run.progress.problems_done, run.progress.problems) == (12, 12)
    units = read_units(run.directory)
    places = Counter((u.problem, u.spec, u.epoch) for u in units)
    assert len(places) == 24
    assert set(places.values()) == {1}
    for u in units:
        assert len(u.checkpoints_correct) == len(u.outcome.checkpoints)
        assert u.correct == u.checkpoints_correct[-1]
    card = orjson.loads((run.directory / "run.json").read_bytes())
    assert card["model"] == "scripted"
    assert card["config"]["strategies"] == ["single", "majority:stop=never"]
    assert card["suites"][0]["digest"] == toy_suite(6).digest()
    assert {"ttc", "python", "platform", "started"} <= card.keys()
    assert (run.directory / "timings.json").is_file()
    assert run.summary.problems["all"] == 6


async def test_a_suite_is_run_once(tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel) -> None:
    again = Suite("same", toy_suite(3).problems)
    for suites, said in [
        ((toy_suite(3), toy_suite(3)), "suite 'toy' is named twice"),
        ((toy_suite(3), again), "suites 'toy' and 'same' are one"),
        ((toy_suite(3), toy_suite(4)), "two suites are called 'toy'"),
    ]:
        model = toy_model()
        with pytest.raises(ConfigurationError, match=said):
            await run_eval(settings(toy_suite(3), tmp_path, suites=suites), model)
        assert model.requests == []
        assert not (tmp_path / "r").exists()


async def test_epochs_draw_other_samples(tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel) -> None:
    model = toy_model()
    await run_eval(settings(toy_suite(4), tmp_path, strategies=("single",), epochs=3), model)
    assert len(model.requests) == 12
    assert set(paid(model).values()) == {1}


async def test_strategies_of_a_run_share_their_calls(
    tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel
) -> None:
    model = toy_model()
    strategies = ("single", "majority:stop=never", Chain(), "adaptive:medium=(majority:n=4),hard=(majority:n=4)")
    run = await run_eval(settings(toy_suite(9), tmp_path, strategies=strategies), model)
    assert len(model.requests) == 9 * 4  # the largest needs four samples a problem, and nobody needs others
    assert set(paid(model).values()) == {1}
    assert run.progress.calls.made == 36
    by_spec = {
        u.spec: u.outcome for u in read_units(run.directory) if u.problem == read_units(run.directory)[0].problem
    }
    majority, chain = by_spec["majority:n=4,stop=never"], by_spec["chain"]
    assert majority.generated_tokens == chain.generated_tokens  # each is charged as if it had paid alone
    assert majority.calls == chain.calls == {"generate": 4}


async def test_shared_calls_are_the_calls_that_each_would_have_made(
    tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel
) -> None:
    suite = toy_suite(6)
    together = await run_eval(settings(suite, tmp_path), toy_model())
    for strategy in ("single", "majority:stop=never"):
        alone = await run_eval(settings(suite, tmp_path, strategies=(strategy,), run_id=strategy[:6]), toy_model())
        mine = {u.key: u for u in read_units(together.directory) if u.spec.startswith(strategy[:6])}
        for u in read_units(alone.directory):
            assert u.outcome.answer == mine[u.key].outcome.answer
            assert u.outcome.usage == mine[u.key].outcome.usage


async def test_a_verifier_that_needs_logprobs_is_served_with_them(tmp_path: Path, toy_suite: MakeSuite) -> None:
    def reply(request: Request) -> Sample:
        k = request.logprobs or 0
        return Sample(text="it is 1", logprobs=(-0.1,) * 3 if k else (), top_logprobs=((-0.1,) * k,) * 3)

    model = Scripted(reply)
    strategies = ("single", "best_of_n")
    run = await run_eval(settings(toy_suite(3), tmp_path, strategies=strategies, verifier="self_certainty"), model)
    assert len(model.requests) == 3 * 4
    with Store(run.directory) as store:
        r = model.requests[0]
        known = store.call(call_key("scripted", r), logprobs=r.logprobs or 0)
    assert known is not None
    assert known.logprobs == (-0.1,) * 3


async def test_the_budget_of_a_query_holds_and_its_cuts_are_not_replayed(tmp_path: Path, toy_suite: MakeSuite) -> None:
    model = Scripted(lambda r: "thinking " * 400 + "the answer is 1")
    config = settings(toy_suite(2), tmp_path, budget="generated_tokens=700", strategies=("majority:stop=never",))
    run = await run_eval(config, model)
    for u in read_units(run.directory):
        assert u.outcome.generated_tokens <= 700
        assert any("cut by the budget" in w for w in u.outcome.warnings)
    (point,) = [p for c in run.summary.curves if c.group == "all" for p in c.points if p.setting == "n=4"]
    assert point.cut > 0
    with Store(run.directory) as store:
        assert not any(store.has_call(call_key("scripted", r)) for r in model.requests if r.index == 3)


# -- again ------------------------------------------------------------------------------------------------------------


async def test_a_finished_run_does_nothing_more(tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel) -> None:
    config = settings(toy_suite(5), tmp_path)
    first = await run_eval(config, toy_model())
    before = (first.directory / "summary.json").read_bytes()
    model = toy_model()
    again = await run_eval(config, model)
    assert model.requests == []
    assert again.progress.skipped == again.progress.total == 10
    assert (again.directory / "summary.json").read_bytes() == before


async def test_a_cancelled_run_goes_on_where_it_was(tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel) -> None:
    whole = await run_eval(settings(toy_suite(8), tmp_path / "whole"), toy_model())
    config = settings(toy_suite(8), tmp_path / "cut", concurrency=2)
    first, second = toy_model(), toy_model()

    with anyio.CancelScope() as scope:

        def stop(progress: RunProgress) -> None:
            if progress.done == 5:
                scope.cancel()

        await run_eval(config, first, on_progress=stop)
    assert scope.cancelled_caught
    with Store(tmp_path / "cut" / "r") as store:  # the lock is free
        acknowledged = {r.seed for r in first.requests if store.has_call(call_key("scripted", r))}
    resumed = await run_eval(config_of(tmp_path / "cut", "r").model_copy(update={"suites": config.suites}), second)
    assert 5 <= resumed.progress.skipped < 16
    assert acknowledged
    assert acknowledged.isdisjoint(r.seed for r in second.requests)
    assert (resumed.directory / "summary.json").read_bytes() == (whole.directory / "summary.json").read_bytes()


async def test_a_run_keeps_its_settings(tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel) -> None:
    await run_eval(settings(toy_suite(3), tmp_path), toy_model())
    with pytest.raises(RunError, match=r"made with another seed \(0, now 1\)"):
        await run_eval(settings(toy_suite(3), tmp_path, seed=1), toy_model())
    with pytest.raises(RunError, match="another model"):
        await run_eval(settings(toy_suite(3), tmp_path), toy_model(name="bigger"))
    with pytest.raises(RunError, match="another suite data"):
        await run_eval(settings(toy_suite(4), tmp_path), toy_model())


# -- when it cannot go on ---------------------------------------------------------------------------------------------


class Dying(Scripted):
    """Stops answering after some calls."""

    def __init__(self, *args: Any, after: int, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.after = after

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        if len(self.requests) >= self.after:
            meter.start()
            raise ServerUnreachable("nothing answers at http://gone")
        return await super().call(request, meter)


async def test_a_dead_server_stops_the_run_and_is_no_result(
    tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel
) -> None:
    whole = await run_eval(settings(toy_suite(8), tmp_path / "whole"), toy_model())
    config = settings(toy_suite(8), tmp_path / "cut", concurrency=2)
    with pytest.raises(ServerUnreachable, match=r"nothing answers.*can be resumed: ttc eval --resume r --runs"):
        await run_eval(config, Dying(toy_model()._reply, after=13))
    stored = read_units(tmp_path / "cut" / "r")
    assert 0 < len(stored) < 16
    assert all(u.outcome.error == "" and u.outcome.warnings == () for u in stored)
    resumed = await run_eval(config, toy_model())
    assert len(read_units(resumed.directory)) == 16
    same = {u.key: (u.correct, u.outcome.usage) for u in read_units(whole.directory)}
    assert {u.key: (u.correct, u.outcome.usage) for u in read_units(resumed.directory)} == same


async def test_the_same_failure_everywhere_stops_the_run(tmp_path: Path, toy_suite: MakeSuite) -> None:
    class Small(Scripted):
        async def call(self, request: Request, meter: Meter) -> list[Sample]:
            self.requests.append(request)
            meter.start()
            raise ContextOverflow("the prompt and max_tokens do not fit 16 tokens")

    model = Small(lambda r: "")
    with pytest.raises(ContextOverflow, match=r"all of the first 20 units failed.*do not fit 16"):
        await run_eval(settings(toy_suite(90), tmp_path, strategies=("single",), concurrency=1), model)
    assert len(model.requests) == 20
    assert read_units(tmp_path / "r") == []  # so that a mended server can go on with this run


async def test_some_failures_are_results_and_are_counted(
    tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel
) -> None:
    class Picky(Scripted):
        async def call(self, request: Request, meter: Meter) -> list[Sample]:
            if "problem 1 " in str(request.messages):
                meter.start()
                raise ContextOverflow("too long")
            return await super().call(request, meter)

    run = await run_eval(settings(toy_suite(4), tmp_path, strategies=("single",)), Picky(toy_model()._reply))
    assert run.progress.failed == 1
    assert Counter(u.outcome.error_type for u in read_units(run.directory)) == {"": 3, "ContextOverflow": 1}
    assert next(p.failed for c in run.summary.curves if c.group == "all" for p in c.points) == 0.25


async def test_a_spent_total_stops_the_run_and_can_be_raised(
    tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel
) -> None:
    whole = await run_eval(settings(toy_suite(12), tmp_path / "whole"), toy_model())
    config = settings(toy_suite(12), tmp_path / "cut", total_tokens=500, concurrency=2)
    model = toy_model()
    with pytest.raises(BudgetExhausted, match=r"500 tokens of the run are spent.*--resume r .*--total-tokens N"):
        await run_eval(config, model)
    stored = read_units(tmp_path / "cut" / "r")
    assert stored
    assert sum(u.outcome.total_usage.total for u in stored) <= 500
    resumed = await run_eval(config.model_copy(update={"total_tokens": 50_000}), toy_model())
    assert (resumed.directory / "summary.json").read_bytes() == (whole.directory / "summary.json").read_bytes()


async def test_mistakes_are_found_before_anything_is_called(
    tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel
) -> None:
    model = toy_model()
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"strategies": ("majorty",)}, UnknownName, "Did you mean 'majority'"),
        ({"strategies": ("best_of_n",)}, ConfigurationError, "needs a verifier: pass --verifier judge"),
        ({"suites": ("arithmatic",)}, UnknownName, "Did you mean 'arithmetic'"),
        ({"budget": "tokens=3"}, ConfigurationError, "unknown limit 'tokens'"),
        ({"run_id": "../../x"}, ConfigurationError, "run id"),
    ]
    for changes, error, words in wrong:
        with pytest.raises(error, match=words):
            await run_eval(settings(toy_suite(2), tmp_path / "runs", **changes), model)
    assert model.requests == []
    assert not (tmp_path / "runs").exists()


async def test_the_grader_is_out_of_a_strategys_reach(
    tmp_path: Path, toy_suite: MakeSuite, toy_model: MakeModel
) -> None:
    seen: list[object] = []

    class Nosy(Strategy):
        async def solve(self, query: Query, session: Session) -> None:
            queue: list[object] = [session, query]
            known: set[int] = set()
            while queue and len(known) < 20_000:
                thing = queue.pop()
                if id(thing) in known or isinstance(thing, type):
                    continue
                known.add(id(thing))
                seen.append(thing)
                queue += list(getattr(thing, "__dict__", {}).values())
                queue += [getattr(thing, s) for s in getattr(type(thing), "__slots__", ()) if hasattr(thing, s)]
                if isinstance(thing, dict):
                    queue += list(thing.values())
                elif isinstance(thing, list | tuple | set | frozenset):
                    queue += list(thing)
            session.propose(await session.generate())

    await run_eval(settings(toy_suite(2), tmp_path, strategies=(Nosy(),)), toy_model())
    kinds = {type(thing).__name__ for thing in seen}
    assert {"Session", "DrainedCalls", "Store", "Query"} <= kinds  # it did look
    assert kinds.isdisjoint({"Problem", "Suite", "Unit", "_Runner"})


def test_a_limit_draws_evenly_from_the_levels(tmp_path: Path) -> None:
    tags = ["easy"] * 50 + ["medium"] * 50 + ["hard"] * 4
    problems = [Problem(Query.of(f"problem {i}", tags={"level": t}), str(i)) for i, t in enumerate(tags)]
    suite = Suite("toy", problems)

    def draw(**changes: Any) -> list[int]:
        return [int(p.gold) for p in choose_problems(suite, settings(suite, tmp_path, **changes))[1]]

    drawn = draw(limit=20)
    assert drawn == sorted(set(drawn)) == draw(limit=20)
    assert Counter(tags[i] for i in drawn) == {"easy": 8, "medium": 8, "hard": 4}
    assert drawn != draw(limit=20, sample_seed=1)
    assert draw() == draw(limit=1000) == list(range(104))


# -- sharing calls ----------------------------------------------------------------------------------------------------


async def test_a_call_under_way_is_waited_for(tmp_path: Path) -> None:
    model = Scripted(lambda r: "the answer is 7", latency=lambda r: 0.01)
    with Store(tmp_path) as store:
        shared = StoredCalls(model, store)
        async with anyio.create_task_group() as tasks:
            for strategy in ("single", "majority:n=2", "majority:n=2,stop=never", Chain(n=2)):
                tasks.start_soon(solve, "How many?", strategy, shared)
        assert len(model.requests) == 2
        assert (shared.counts.made, shared.counts.replayed) == (2, 5)


async def test_a_waiter_makes_the_call_when_the_first_is_cancelled(tmp_path: Path) -> None:
    gate = anyio.Event()

    class Slow(Scripted):
        async def call(self, request: Request, meter: Meter) -> list[Sample]:
            if not self.requests:
                self.requests.append(request)
                meter.start()
                gate.set()
                await anyio.sleep_forever()
            return await super().call(request, meter)

    model = Slow(lambda r: "the answer is 7")
    answers: list[str | None] = []
    with Store(tmp_path) as store:
        shared = StoredCalls(model, store)

        async def second() -> None:
            answers.append((await solve("How many?", "single", shared)).answer)

        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as first:
                    first.start_soon(solve, "How many?", "single", shared)
                    await gate.wait()
                    tasks.start_soon(second)
                    await anyio.wait_all_tasks_blocked()
                    assert len(model.requests) == 1  # the second waits
                    scope.cancel()
    assert answers == ["the answer is 7"]
    assert [r.seed for r in model.requests] == [model.requests[0].seed] * 2


def test_the_key_leaves_out_who_asks() -> None:
    base: dict[str, Any] = {"messages": ({"role": "user", "content": "x"},), "max_tokens": 5, "seed": 3}
    plain = call_key("m", Request(**base))
    assert call_key("m", Request(**base, kind="probe", logprobs=5)) == plain
    others = [Request(**{**base, **c}) for c in ({"seed": 4}, {"index": 1}, {"max_tokens": 6}, {"temperature": 0.1})]
    assert len({plain, call_key("n", Request(**base)), *(call_key("m", r) for r in others)}) == 6


# -- settings ---------------------------------------------------------------------------------------------------------


def test_settings_come_from_toml(tmp_path: Path) -> None:
    file = tmp_path / "eval.toml"
    file.write_text(
        'suites = ["arithmetic"]\nstrategies = ["single", "knockout:k=2"]\nbudgets = [1, 4]\ncomparator = "judge"\n'
        "[sampling]\nmax_tokens = 64\ntemperature = 0.5\n"
    )
    config = read_config(file)
    assert (config.budgets, config.sampling.max_tokens, config.comparator) == ((1, 4), 64, "judge")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('suites = ["a"]\nbugdets = [1]', "bugdets=.*Known: .*budgets"),
        ('suites = ["a"]\nbudgets = [0]', "budgets.0=0"),
        ('suites = ["a"]\n[sampling]\nmax_token = 3', "unknown setting 'max_token'.*max_tokens"),
        ("suites = [", "is not TOML"),
        ("suites = []", "suites="),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "eval.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        read_config(file)


def test_no_settings_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_config(tmp_path / "none.toml")
