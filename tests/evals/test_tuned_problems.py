"""What was tuned is evaluated on other problems: a run on the same ones is refused before a call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ttc import registry
from ttc.adaptive.policy import Policy, Provenance, Row, hashes_of
from ttc.errors import ConfigurationError
from ttc.evals.config import EvalConfig, choose_problems
from ttc.evals.readiness import ready_suites
from ttc.evals.run_card import read_card
from ttc.evals.runner import run_eval
from ttc.evals.suite import Problem, Suite, load_suite
from ttc.evals.tuned_problems import refuse_tuned_problems, tuned_note
from ttc.models.scripted import Scripted
from ttc.pools import RecordedProblem
from ttc.seeds import problem_hash
from ttc.session import Session
from ttc.strategies.knockout import Knockout
from ttc.strategy import Strategy, make_strategy
from ttc.types import Query


class Tuned(Strategy):
    """A strategy that holds a policy, which was tuned on problems 0, 1 and 2."""

    policy: ClassVar[Policy] = Policy(
        made=date(2026, 11, 28),
        calibrated=True,
        rows=(Row(query_class="default", strategy="single"),),
        hashes=frozenset(problem_hash(f"p{i}") for i in range(3)),
        provenance=Provenance(problems=3),
    )

    def tuned_on(self, problem: str) -> bool:
        """Ask the policy."""
        return self.policy.tuned_on(problem)

    async def solve(self, query: Query, session: Session) -> None:
        """Propose one sample."""
        session.propose(await session.generate())


class TunedOnText(Tuned):
    """Its policy was tuned on pools, and knows what their problems asked."""

    records: ClassVar = [RecordedProblem(id=f"p{i}", prompt=f"{i}?", answers=(), right=()) for i in range(3)]
    policy: ClassVar[Policy] = Tuned.policy.model_copy(update={"hashes": hashes_of(records)})

    def tuned_on_query(self, query: Query) -> bool:
        """Ask the policy."""
        return self.policy.tuned_on_query(query)


class Outer(Strategy):
    """A strategy with others as parameters, as objects and as specs."""

    one: Any = None
    several: tuple[Any, ...] = ()

    async def solve(self, query: Query, session: Session) -> None:
        """Never run."""
        raise NotImplementedError


def suite(numbers: Sequence[int], *, name: str = "mine") -> Suite:
    return Suite(
        name, [Problem(Query(messages=({"role": "user", "content": f"{i}?"},), id=f"p{i}"), str(i)) for i in numbers]
    )


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let specs name the strategy."""
    load, names = registry.load, registry.names
    monkeypatch.setattr(registry, "load", lambda what, name: Tuned if name == "tuned" else load(what, name))
    monkeypatch.setattr(registry, "names", lambda what: [*names(what), "tuned"])


def refused(strategy: Strategy, numbers: Sequence[int], *, of: Suite | None = None) -> str:
    with pytest.raises(ConfigurationError) as found:
        refuse_tuned_problems([strategy], of or suite(numbers), [f"p{i}" for i in numbers])
    return str(found.value)


def test_it_says_how_many_of_how_many() -> None:
    assert "strategy 'tuned' was tuned on 2 of these 4 problems of suite 'mine' (p1, ...)" in refused(
        Tuned(), [1, 2, 3, 4]
    )


def under_other_ids(*prompts: str) -> Suite:
    return Suite("renamed", [Problem(Query.of(prompt, id=f"other{i}"), "1") for i, prompt in enumerate(prompts)])


def test_the_same_problem_under_another_id_is_known_by_what_it_asks() -> None:
    renamed = under_other_ids("1?", "7?", " 2?\n")
    with pytest.raises(ConfigurationError, match=r"tuned on 2 of these 3 .*\(other0, ...\).*since 1 of its 3"):
        refuse_tuned_problems([TunedOnText()], renamed, [p.query.id for p in renamed.problems])
    refuse_tuned_problems([TunedOnText()], renamed, ["other1"])


def test_a_strategy_that_knows_ids_alone_goes_by_them() -> None:
    refuse_tuned_problems([Tuned()], under_other_ids("1?"), ["other0"])


def test_problems_that_it_was_not_tuned_on_are_fine() -> None:
    refuse_tuned_problems([Tuned(), make_strategy("majority")], suite([3, 4]), ["p3", "p4"])


def test_strategies_without_a_policy_may_run_on_anything() -> None:
    refuse_tuned_problems([make_strategy("majority"), make_strategy("knockout")], suite([0]), ["p0"])


@pytest.mark.parametrize(
    "strategy",
    [
        Outer(one=Tuned()),
        Outer(one="tuned"),
        Outer(several=("majority:n=3", "tuned")),
        Outer(several=("not a strategy:n=3", 7, Tuned())),
        Outer(one=Outer(one=Outer(several=(Tuned(),)))),
    ],
    ids=["object", "spec", "specs", "objects", "deep"],
)
def test_a_policy_is_found_however_deep_it_is_held(strategy: Strategy) -> None:
    assert "was tuned on 1 of these 1 problems" in refused(strategy, [0])


def test_a_policy_inside_one_of_ours_is_found() -> None:
    assert "strategy 'knockout:each=tuned'" in refused(Knockout(each="tuned"), [0, 5])


@pytest.mark.parametrize("value", ["majority:m=3", "majority:", "single", "tuned:none=3", "beam of light"])
def test_a_text_that_is_called_like_a_strategy_is_no_trouble(value: str) -> None:
    refuse_tuned_problems([Outer(one=value)], suite([0]), ["p0"])


def test_the_advice_counts_what_is_left_of_the_suite() -> None:
    said = refused(Tuned(), [0, 1], of=suite(range(10)))
    assert "with --limit and --sample-seed, since 7 of its 10 problems were not tuned on" in said
    assert "another seed of the suite" not in said


def test_where_nothing_is_left_another_suite_is_the_advice() -> None:
    said = refused(Tuned(), [0, 1, 2])
    assert said.endswith("no evidence. Take another suite, or tune on others.")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("arithmetic", "another seed of the suite (arithmetic:seed=...)"),
        ("arithmetic:per_family=2", "another seed of the suite (arithmetic:per_family=2,seed=...)"),
        ("arithmetic:seed=3", None),
        ("gsm8k:path=x.jsonl", None),
        ("file:x.jsonl", None),
    ],
)
def test_a_suite_that_has_seeds_has_other_problems(name: str, advice: str | None) -> None:
    said = refused(Tuned(), [0], of=suite([0], name=name))
    assert ("another seed" in said) == (advice is not None)
    assert advice is None or advice in said


def test_another_seed_makes_other_problems() -> None:
    ids = [{p.query.id for p in load_suite(f"arithmetic:per_family=2,seed={seed}").problems} for seed in (0, 1)]
    assert not ids[0] & ids[1]


@pytest.mark.anyio
async def test_such_a_run_is_refused_before_a_call(tmp_path: Path) -> None:
    model = Scripted(lambda _: "1")
    config = EvalConfig(suites=(suite(range(6)),), strategies=("single", Tuned()), runs=tmp_path, run_id="r")
    with pytest.raises(ConfigurationError, match=re.escape("was tuned on 3 of these 6 problems")):
        await ready_suites(config)
    with pytest.raises(ConfigurationError, match=re.escape("was tuned on 3 of these 6 problems")):
        await run_eval(config, model)
    assert model.requests == []
    assert not (tmp_path / "r").exists()


@pytest.mark.anyio
async def test_a_run_on_others_goes_through(tmp_path: Path) -> None:
    model = Scripted(lambda request: request.messages[-1]["content"].rstrip("?"))
    config = EvalConfig(suites=(suite([4, 5]),), strategies=(Tuned(),), runs=tmp_path, run_id="r")
    run = await run_eval(await ready_suites(config), model)
    assert run.progress.done == 2


# -- left out ---------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("strategy", [Tuned(), TunedOnText(), Outer(several=(Tuned(),))])
async def test_tuned_problems_are_left_out_if_that_is_said(tmp_path: Path, strategy: Strategy) -> None:
    config = EvalConfig(suites=(suite(range(8)),), strategies=("single", strategy), leave_out_tuned=True, runs=tmp_path)
    ready = await ready_suites(config)
    (taken,) = ready.suites
    assert isinstance(taken, Suite)
    assert [p.query.id for p in choose_problems(taken, config)[1]] == [f"p{i}" for i in range(3, 8)]


@pytest.mark.anyio
async def test_a_run_says_how_many_were_left_out_and_keeps_it(tmp_path: Path) -> None:
    config = EvalConfig(
        suites=(suite(range(8)),), strategies=(Tuned(), "single"), leave_out_tuned=True, runs=tmp_path, run_id="r"
    )
    run = await run_eval(config, Scripted(lambda r: "4"))
    said = "suite 'mine': 3 of its 8 problems are left out, since a strategy was tuned on them"
    assert run.progress.warnings == [said]
    assert run.summary.problems["all"] == 5
    assert read_card(run.directory)["suites"][0]["warnings"] == [said]


def test_a_limit_draws_from_what_is_left(tmp_path: Path) -> None:
    config = EvalConfig(suites=("arithmetic",), strategies=(Tuned(),), leave_out_tuned=True, limit=4)
    drawn = [p.query.id for p in choose_problems(suite(range(8)), config)[1]]
    assert len(drawn) == 4
    assert set(drawn).isdisjoint({"p0", "p1", "p2"})


def test_a_suite_of_tuned_problems_alone_leaves_nothing() -> None:
    config = EvalConfig(suites=("arithmetic",), strategies=(Tuned(),), leave_out_tuned=True)
    with pytest.raises(ConfigurationError, match="tuned on each of its 3 problems, so none is left"):
        choose_problems(suite(range(3)), config)


def test_without_tuned_strategies_nothing_is_said() -> None:
    assert tuned_note([make_strategy("single")], suite(range(3))) == ""
