"""Several models in one run: each does all the work, nothing of them is mixed, and each has its own price."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ttc import registry
from ttc.budget import Price
from ttc.errors import BudgetExhausted, ConfigurationError, RequestRejected, RunError
from ttc.evals.config import EvalConfig, read_config
from ttc.evals.recordings.pool_of_run import pool_of_run
from ttc.evals.records import UnitRecord
from ttc.evals.run_card import config_of, read_card
from ttc.evals.runner import run_eval
from ttc.evals.store import read_units
from ttc.evals.suite import Problem, Suite
from ttc.models.scripted import Scripted
from ttc.types import Query, Request

pytestmark = pytest.mark.anyio


@pytest.fixture
def suite() -> Suite:
    number = registry.create("answer type", "number")
    return Suite("toy", [Problem(Query.of(f"problem {i}", answer_type=number), str(i)) for i in range(5)])


Make = Callable[..., Scripted]


@pytest.fixture
def model() -> Make:
    """Makes a model that is right as often as it is said to be."""

    def make(name: str, *, right: float = 0.5, **settings: Any) -> Scripted:
        def reply(request: Request) -> str:
            number = str(request.messages[-1]["content"]).split()[-1]
            return f"well well {number if random.Random(request.seed).random() < right else 1000}"

        return Scripted(reply, name=name, **settings)

    return make


def settings(suite: Suite, runs: Path, **changes: Any) -> EvalConfig:
    given = {"suites": (suite,), "strategies": ("single", "majority:n=4,stop=never"), "run_id": "r", "runs": runs}
    return EvalConfig(**{**given, **changes})


def spent_on(unit: UnitRecord) -> int:
    return sum(usage.prompt_tokens + usage.generated for usage in unit.outcome.usage.values())


async def test_every_model_solves_every_problem_with_every_strategy(tmp_path: Path, suite: Suite, model: Make) -> None:
    small, large = model("s", right=0.1), model("l", right=0.9)
    run = await run_eval(settings(suite, tmp_path), {"small": small, "large": large})
    assert Counter(u.model for u in read_units(run.directory)) == {"small": 10, "large": 10}
    assert (run.progress.total, run.progress.done, run.progress.problems) == (20, 20, 5)
    assert len(small.requests) == len(large.requests) == 20  # strategies share calls, models do not
    assert set(run.progress.right) == {
        (m, s) for m in ("small", "large") for s in ("single", "majority:n=4,stop=never")
    }


async def test_tokens_of_several_models_are_not_added_up(tmp_path: Path, suite: Suite, model: Make) -> None:
    run = await run_eval(settings(suite, tmp_path), {"small": model("s"), "large": model("l")})
    assert run.progress.calls.made == 40
    assert run.progress.calls.generated == 0
    assert all(counts.generated > 0 for counts in run.progress.by_model.values())


async def test_a_model_among_others_draws_what_it_draws_alone(tmp_path: Path, suite: Suite, model: Make) -> None:
    both = await run_eval(settings(suite, tmp_path / "both"), {"a": model("a"), "b": model("b")})
    alone = await run_eval(settings(suite, tmp_path / "alone"), model("a"))
    mine = {u.key: u for u in read_units(both.directory) if u.model == "a"}
    for unit in read_units(alone.directory):
        assert mine[unit.key].outcome.answer == unit.outcome.answer
        assert unit.model == "a"


async def test_two_servers_of_one_model_are_kept_apart_by_their_names(
    tmp_path: Path, suite: Suite, model: Make
) -> None:
    run = await run_eval(settings(suite, tmp_path), {"plain": model("m"), "quantised": model("m")})
    assert Counter(u.model for u in read_units(run.directory)) == {"plain": 10, "quantised": 10}
    assert [m["served"] for m in read_card(run.directory)["models"].values()] == ["m", "m"]


async def test_the_card_keeps_what_each_costs_and_how_large_it_is(tmp_path: Path, suite: Suite, model: Make) -> None:
    models = ({"model": "a", "parameters": 1.7e9}, {"model": "b", "price": "1/4"})
    config = settings(suite, tmp_path, models=models)
    price = Price(prompt=1, generated=4)
    run = await run_eval(config, {"a": model("a"), "b": model("b", price=price)})
    card = read_card(run.directory)["models"]
    assert [m["parameters"] for m in card.values()] == [1.7e9, None]
    assert [m["price"] for m in card.values()] == [None, {"prompt": 1.0, "generated": 4.0, "cached": None}]
    assert config_of(tmp_path, "r").models == config.models
    assert run.summary.run["models"]["b"]["price"]["generated"] == 4


async def test_a_run_goes_on_with_its_own_models_only(tmp_path: Path, suite: Suite, model: Make) -> None:
    await run_eval(settings(suite, tmp_path), {"a": model("a"), "b": model("b")})
    untouched = model("a")
    again = await run_eval(settings(suite, tmp_path), {"a": untouched, "b": model("b")})
    assert (again.progress.skipped, untouched.requests) == (20, [])
    with pytest.raises(RunError, match="made with another model"):
        await run_eval(settings(suite, tmp_path), {"a": model("a"), "c": model("c")})
    with pytest.raises(RunError, match="made with another price"):
        await run_eval(
            settings(suite, tmp_path), {"a": model("a", price=Price(prompt=1, generated=1)), "b": model("b")}
        )


async def test_a_model_that_only_fails_stops_the_run_though_another_works(
    tmp_path: Path, suite: Suite, model: Make
) -> None:
    def refuse(request: Request) -> str:
        raise RequestRejected("no such model")

    with pytest.raises(RequestRejected, match="of model 'broken' failed"):
        await run_eval(settings(suite, tmp_path), {"fine": model("fine"), "broken": Scripted(refuse, name="broken")})
    assert {u.model for u in read_units(tmp_path / "r")} == {"fine"}


async def test_total_tokens_are_of_each_model(tmp_path: Path, suite: Suite, model: Make) -> None:
    models = {"a": model("a"), "b": model("b")}
    run = await run_eval(settings(suite, tmp_path / "free", strategies=("single",)), models)
    spent = [sum(spent_on(u) for u in read_units(run.directory) if u.model == name) for name in ("a", "b")]
    config = settings(suite, tmp_path / "limited", strategies=("single",), sampling={"max_tokens": 8}, concurrency=1)
    enough = config.model_copy(update={"total_tokens": max(spent) + 8})
    await run_eval(enough, {"a": model("a"), "b": model("b")})  # together they spend twice as much
    short = config.model_copy(update={"total_tokens": max(spent) // 2, "run_id": "short"})
    with pytest.raises(BudgetExhausted, match="--total-tokens N"):
        await run_eval(short, {"a": model("a"), "b": model("b")})


async def test_a_run_without_a_model_is_refused(tmp_path: Path, suite: Suite) -> None:
    with pytest.raises(ConfigurationError, match="no model was given"):
        await run_eval(settings(suite, tmp_path), {})


async def test_each_model_of_a_run_is_exported_as_a_pool_of_its_own(tmp_path: Path, suite: Suite, model: Make) -> None:
    price = Price(prompt=1, generated=2)
    run = await run_eval(settings(suite, tmp_path), {"a": model("a", right=0), "b": model("b", right=1, price=price)})
    pools = [await pool_of_run(run.directory, model=name, suites=[suite]) for name in ("a", "b")]
    assert [(p.model, p.price, len(p.problems)) for p in pools] == [("a", None, 5), ("b", price, 5)]
    assert [{right for problem in p.problems for right in problem.right} for p in pools] == [{False}, {True}]
    for wrong, said in (("", "asked 2 models, and a pool is of one"), ("c", "asked no model 'c'")):
        with pytest.raises(RunError, match=f"{said}: say which with --model, of a, b"):
            await pool_of_run(run.directory, model=wrong, suites=[suite])


# -- settings ---------------------------------------------------------------------------------------------------------


def test_models_are_said_in_a_table_each() -> None:
    models = [{"model": "a", "price": {"prompt": 0.1, "generated": 0.4}}, {"model": "b", "base_url": "http://two"}]
    config = read_config({"suites": ["arithmetic"], "base_url": "http://one", "models": models})
    a, b = config.served()
    assert (a.model, a.base_url, a.price) == ("a", "http://one", Price(prompt=0.1, generated=0.4))
    assert (b.model, b.base_url, b.price) == ("b", "http://two", None)


def test_one_model_is_said_without_a_table() -> None:
    config = read_config({"suites": ["arithmetic"], "model": "a", "price": "0.1/0.4/0.05", "parameters": 1.7e9})
    (one,) = config.served()
    assert (one.model, one.price) == ("a", Price(prompt=0.1, generated=0.4, cached=0.05))
    assert config.parameters_of("whatever its server calls it") == 1.7e9
    assert read_config(config.model_dump(mode="json")).price == one.price


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"models": [{"model": "a"}, {"model": "a"}]}, "model 'a' is given 2 times"),
        ({"models": [{"model": "a"}, {}]}, "of several models each has a name"),
        ({"models": [{"model": "a"}], "model": "b"}, "leave 'model' to them"),
        ({"models": [{"model": "a"}], "price": "1/1"}, "leave 'price' to them"),
        (
            {"models": [{"model": "a", "cost": 3}]},
            "models.0.cost=3: Extra inputs are not permitted. Known: model, name",
        ),
        ({"price": "cheap"}, "a price is dollars per million prompt and generated tokens, e.g. 0.1/0.4"),
        ({"price": "0.1"}, "a price is dollars per million"),
        ({"price": "-1/2"}, "a price is dollars per million"),
        ({"price": "nan/2"}, "a price is dollars per million"),
        ({"price": {"prompt": 1}}, "a price has 'prompt' and 'generated'"),
        ({"price": {"prompt": 1, "generated": "dear"}}, "a price is dollars per million"),
        ({"price": 3}, "price=3"),
        ({"parameters": -1}, "parameters=-1"),
        ({"max_dollars": 0}, "max_dollars=0"),
    ],
)
def test_models_that_cannot_be_meant_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_config({"suites": ["arithmetic"], **given})
    assert said in str(refused.value)


# -- dollars ----------------------------------------------------------------------------------------------------------


async def test_dollars_limit_all_models_together_and_a_run_goes_on_with_more(
    tmp_path: Path, suite: Suite, model: Make
) -> None:
    def models() -> dict[str, Scripted]:
        return {
            "a": model("a", price=Price(prompt=0, generated=1e4)),
            "b": model("b", price=Price(prompt=0, generated=1e5)),
        }

    config = settings(suite, tmp_path, strategies=("single",), sampling={"max_tokens": 8}, concurrency=1)
    free = await run_eval(config.model_copy(update={"run_id": "free"}), models())
    dollars = sum(u.outcome.dollars or 0 for u in read_units(free.directory))
    with pytest.raises(BudgetExhausted, match=r"of the run are spent; \d+ of 10 units .*--max-dollars N"):
        await run_eval(config.model_copy(update={"max_dollars": dollars / 2}), models())
    kept = read_units(tmp_path / "r")
    assert 0 < sum(u.outcome.dollars or 0 for u in kept) <= dollars / 2
    rest = models()
    done = await run_eval(config.model_copy(update={"max_dollars": dollars + 1}), rest)
    assert done.progress.skipped == len(kept)
    assert sum(len(m.requests) for m in rest.values()) <= 10 - len(kept)
    with pytest.raises(BudgetExhausted, match="max-dollars"):  # what was spent before counts
        await run_eval(config.model_copy(update={"max_dollars": dollars / 2}), models())


async def test_dollars_need_the_price_of_every_model(tmp_path: Path, suite: Suite, model: Make) -> None:
    models = {"a": model("a", price=Price(prompt=1, generated=1)), "b": model("b")}
    with pytest.raises(ConfigurationError, match="the price of every model, and 'b' has none"):
        await run_eval(settings(suite, tmp_path, max_dollars=1.0), models)
    assert not (tmp_path / "r").exists()
