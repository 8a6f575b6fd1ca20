"""Two runs are compared on the problems that both have: paired, adjusted, and in costs that mean the same in both."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from ttc import registry
from ttc.budget import Price
from ttc.errors import ConfigurationError, RunError, UnknownName
from ttc.evals.comparison import compare_runs
from ttc.evals.comparison.differences import RunDifference
from ttc.evals.comparison.tables import cost_lines
from ttc.evals.config import EvalConfig
from ttc.evals.figures.differences import difference_svg
from ttc.evals.runner import run_eval
from ttc.evals.suite import Problem, Suite
from ttc.models.base import LiveModel
from ttc.models.scripted import Scripted
from ttc.statistics import holm, paired_difference
from ttc.types import Query, Request, Sampling

pytestmark = pytest.mark.anyio

NUMBER = registry.create("answer type", "number")
N = 24


def suite(n: int = N, *, start: int = 0, name: str = "toy") -> Suite:
    queries = [Query.of(f"problem {i}", answer_type=NUMBER) for i in range(start, start + n)]
    return Suite(name, [Problem(q, str(i)) for i, q in enumerate(queries, start)])


def answering(right: float, *, words: int = 4) -> Callable[[Request], str]:
    """A model that is right so often, in so many words, by the seed of each request."""

    def reply(request: Request) -> str:
        number = str(request.messages[0]["content"]).split()[1]
        good = random.Random(request.seed).random() < right
        return " ".join(["so"] * words + ["the answer is", number if good else "99"])

    return reply


async def run(runs: Path, name: str, model: LiveModel | dict[str, LiveModel] | None = None, **fields: Any) -> Path:
    fields = {"suites": (suite(),), "strategies": ("single", "majority:n=4,stop=never"), **fields}
    config = EvalConfig(runs=runs, run_id=name, sampling=Sampling(max_tokens=40), **fields)
    return (await run_eval(config, model or Scripted(answering(0.5)))).directory


def named(differences: tuple[RunDifference, ...]) -> dict[str, RunDifference]:
    return {d.a.name: d for d in differences}


async def test_every_configuration_that_both_have_is_paired(tmp_path: Path) -> None:
    a = await run(tmp_path, "a", Scripted(answering(0.9, words=9)), seed=1)
    b = await run(tmp_path, "b", Scripted(answering(0.3, words=4)), seed=2)
    found = compare_runs(a, b)
    rows = named(found.differences)
    assert list(rows) == ["single", "majority:stop=never n=1", "majority:stop=never n=2", "majority:stop=never n=4"]
    assert found.problems == N
    top = rows["majority:stop=never n=4"]
    assert top.n == N
    assert top.difference == pytest.approx(top.a.accuracy - top.b.accuracy)
    assert top.difference > 0.2
    assert top.credible
    assert top.verdict == "above"
    assert [d.p_holm for d in found.differences] == pytest.approx(holm([d.p for d in found.differences]))


async def test_costs_of_one_model_are_compared_in_tokens(tmp_path: Path) -> None:
    a = await run(tmp_path, "a", Scripted(answering(0.9, words=9)), seed=1)
    b = await run(tmp_path, "b", Scripted(answering(0.3, words=1)), seed=2)
    single = named(compare_runs(a, b).differences)["single"]
    assert single.same_model
    assert single.ratios["generated"] == pytest.approx((9 + 4) / (1 + 4))
    assert single.ratios["calls"] == 1
    assert "dollars" not in single.ratios


async def test_the_interval_is_the_paired_one(tmp_path: Path) -> None:
    a = await run(tmp_path, "a", strategies=("single",), seed=1)
    b = await run(tmp_path, "b", strategies=("single",), seed=2)
    (d,) = compare_runs(a, b).differences
    right = [{f"{i}": [float(x)] for i, x in enumerate(of)} for of in _verdicts(a, b)]
    expected = paired_difference(*right)
    assert (d.difference, d.low, d.high, d.p) == (expected.value, expected.low, expected.high, expected.p)


def _verdicts(*runs: Path) -> list[list[bool]]:
    from ttc.evals.store import read_units

    return [[u.correct for u in sorted(read_units(run), key=lambda u: u.problem)] for run in runs]


async def test_two_runs_that_are_the_same_differ_in_nothing(tmp_path: Path) -> None:
    a, b = await run(tmp_path, "a"), await run(tmp_path, "b")
    found = compare_runs(a, b)
    assert {d.difference for d in found.differences} == {0.0}
    assert found.differing == ()
    assert "the same seed" in found.notes[0]


async def test_what_is_another_in_the_cards_comes_first(tmp_path: Path) -> None:
    a = await run(tmp_path, "a", seed=1)
    b = await run(tmp_path, "b", seed=2, epochs=2)
    assert compare_runs(a, b).differing == (("seed", "1", "2"), ("epochs", "1", "2"))


async def test_power_is_said_where_nothing_is_resolved(tmp_path: Path) -> None:
    a = await run(tmp_path, "a", Scripted(answering(0.55)), seed=1, strategies=("single",))
    b = await run(tmp_path, "b", Scripted(answering(0.45)), seed=2, strategies=("single",))
    (d,) = compare_runs(a, b).differences
    assert not d.credible
    assert d.verdict == "not resolved"
    assert d.detectable is not None
    assert d.detectable > abs(d.difference)
    assert d.problems_needed is None or d.problems_needed > N


# -- models ------------------------------------------------------------------------------------------------------------


async def test_tokens_of_two_models_are_not_compared(tmp_path: Path) -> None:
    a = await run(tmp_path, "a", Scripted(answering(0.9), name="one"))
    b = await run(tmp_path, "b", Scripted(answering(0.3), name="other"))
    found = compare_runs(a, b)
    assert all(not d.same_model and not d.ratios for d in found.differences)
    assert found.equal_cost == found.targets == ()
    assert any("asked different models" in note and "flops or dollars are not known" in note for note in found.notes)


async def test_dollars_of_two_models_are(tmp_path: Path) -> None:
    a = await run(tmp_path, "a", Scripted(answering(0.6), name="one", price=Price(prompt=1, generated=2)))
    b = await run(tmp_path, "b", Scripted(answering(0.55), name="other", price=Price(prompt=2, generated=4)))
    found = compare_runs(a, b)
    assert found.equal_cost == ()  # nothing here chooses its own spending
    assert named(found.differences)["single"].ratios == {"dollars": pytest.approx(0.5)}
    assert found.targets
    assert {t.axis for t in found.targets} == {"dollars"}
    assert any("cost is compared in dollars" in note for note in found.notes)


async def test_the_same_name_with_other_weights_is_another_model(tmp_path: Path) -> None:
    runs = [await run(tmp_path, name) for name in "ab"]
    for directory, revision in zip(runs, "xy", strict=True):
        card = orjson.loads((directory / "run.json").read_bytes())
        card["models"]["scripted"]["server"] = {"weights": {"revision": revision}}
        (directory / "run.json").write_bytes(orjson.dumps(card))
    found = compare_runs(*runs)
    assert not any(d.same_model for d in found.differences)
    assert found.differing == (("weights", "revision x", "revision y"),)


async def test_runs_of_several_models_are_paired_by_name(tmp_path: Path) -> None:
    def models(share: float) -> dict[str, LiveModel]:
        return {name: Scripted(answering(share), name=name) for name in ("small", "large")}

    a, b = await run(tmp_path, "a", models(0.8)), await run(tmp_path, "b", models(0.4), seed=1)
    pairs = {(d.a.model, d.b.model) for d in compare_runs(a, b).differences}
    assert pairs == {("small", "small"), ("large", "large")}


# -- strategies --------------------------------------------------------------------------------------------------------


async def test_one_strategy_against_another_across_runs(tmp_path: Path) -> None:
    a = await run(tmp_path, "a", strategies=("majority:n=4,stop=never",), seed=1)
    b = await run(tmp_path, "b", strategies=("single",), seed=2)
    with pytest.raises(RunError, match="share no strategy with the same setting"):
        compare_runs(a, b)
    (d,) = compare_runs(a, b, strategy="majority:stop=never", against="single").differences
    assert (d.a.name, d.b.name) == ("majority:stop=never n=4", "single")


async def test_two_strategies_of_one_run(tmp_path: Path) -> None:
    a = await run(tmp_path, "a", strategies=("single", "majority:n=2,stop=never"))
    (d,) = compare_runs(a, a, strategy="majority:stop=never", against="single").differences
    assert (d.a.name, d.b.name) == ("majority:stop=never n=2", "single")
    with pytest.raises(ConfigurationError, match="compared with itself"):
        compare_runs(a, a)


async def test_an_unknown_strategy_names_the_nearest(tmp_path: Path) -> None:
    a, b = await run(tmp_path, "a"), await run(tmp_path, "b")
    with pytest.raises(UnknownName, match=r"unknown strategy of run 'a' 'singel'.* Did you mean 'single'\?"):
        compare_runs(a, b, strategy="singel")
    with pytest.raises(ConfigurationError, match="name that with --strategy"):
        compare_runs(a, b, against="single")


async def test_accuracies_cost_what_the_curves_say(tmp_path: Path) -> None:
    def reply(words: int) -> Scripted:
        return Scripted(answering(0.6, words=words))

    a = await run(tmp_path, "a", reply(16), strategies=("majority:n=8,stop=never",), suites=(suite(60),))
    b = await run(tmp_path, "b", reply(4), strategies=("majority:n=8,stop=never",), suites=(suite(60),))
    ratios = [t for t in compare_runs(a, b).targets if t.ratio is not None]
    assert ratios
    # The same answers in 20 words for 8; the answer itself is one of them, and no thinking.
    for t in ratios:
        assert t.cost is not None
        assert t.its_cost is not None
        assert (t.cost + 1) / (t.its_cost + 1) == pytest.approx(20 / 8)
        assert t.ratio == pytest.approx(t.cost / t.its_cost)
    assert all(t.low is not None and t.low <= t.ratio for t in ratios if t.ratio)


async def test_lines_about_costs_say_whose_they_are(tmp_path: Path) -> None:
    def models() -> dict[str, LiveModel]:
        return {name: Scripted(answering(0.6), name=name) for name in ("small", "large")}

    def lines(runs: Path) -> list[str]:
        found = compare_runs(runs, runs, strategy="majority:stop=never", against="majority")
        return [line for line in cost_lines(found) if "an accuracy of" in line]

    given: dict[str, Any] = {"strategies": ("majority:n=8,stop=never", "majority:n=8"), "suites": (suite(60),)}
    of_one = lines(await run(tmp_path, "one", Scripted(answering(0.6)), **given))
    of_two = lines(await run(tmp_path, "two", models(), **given))
    assert {line.partition("majority")[0] for line in of_one} == {""}
    assert {line.partition("majority")[0] for line in of_two} == {"small: ", "large: "}
    found = compare_runs(tmp_path / "two", tmp_path / "two", strategy="majority:stop=never", against="majority")
    assert "small: majority" in (svg := difference_svg(found))
    assert "large: majority" in svg
    assert all(" takes the first " in line and ", the second " in line for line in of_two)  # a run has one name


# -- problems ----------------------------------------------------------------------------------------------------------


async def test_runs_of_different_suites_are_refused_with_the_reason(tmp_path: Path) -> None:
    a = await run(tmp_path, "a", suites=(suite(4),))
    b = await run(tmp_path, "b", suites=(suite(6),))
    with pytest.raises(
        RunError, match=r"different suites: 'a' alone has toy \(.*'b' alone has toy .*--common-problems"
    ):
        compare_runs(a, b)


async def test_the_same_problems_of_different_suites_are_compared_when_asked_for(tmp_path: Path) -> None:
    from ttc.evals.suite import load_suite

    names = ("arithmetic:per_family=2", "arithmetic:per_family=3")
    a, b = [await run(tmp_path, f"r{i}", suites=(name,), strategies=("single",)) for i, name in enumerate(names)]
    shared = {(str(p.query.messages), p.gold) for p in load_suite(names[0]).problems}
    shared &= {(str(p.query.messages), p.gold) for p in load_suite(names[1]).problems}
    assert shared
    found = compare_runs(a, b, common_problems=True)
    assert found.problems == len(shared)
    assert found.only_a + found.problems == 12


async def test_suites_that_cannot_be_loaded_share_nothing_for_sure(tmp_path: Path) -> None:
    a, b = await run(tmp_path, "a", suites=(suite(4),)), await run(tmp_path, "b", suites=(suite(6),))
    with pytest.raises(RunError, match="cannot be told by their content: suite 'toy' cannot be loaded"):
        compare_runs(a, b, common_problems=True)


async def test_runs_that_drew_other_problems_share_none(tmp_path: Path) -> None:
    a = await run(tmp_path, "a", limit=1, sample_seed=0)
    b = await run(tmp_path, "b", limit=1, sample_seed=3)
    with pytest.raises(RunError, match=r"no problem in common.*--limit"):
        compare_runs(a, b)


async def test_what_only_one_has_is_left_out_and_said(tmp_path: Path) -> None:
    a, b = await run(tmp_path, "a"), await run(tmp_path, "b", limit=10)
    found = compare_runs(a, b)
    assert (found.problems, found.only_a, found.only_b) == (10, N - 10, 0)
    assert f"{N - 10} problems of run 'a' are not in the other, and are left out" in found.notes
    assert {d.n for d in found.differences} == {10}


async def test_an_unfinished_run_is_compared_as_far_as_it_is(tmp_path: Path) -> None:
    from ttc.evals.store_schema import connect

    a, b = await run(tmp_path, "a", strategies=("single",)), await run(tmp_path, "b", strategies=("single",))
    connection = connect(b / "store.sqlite")
    connection.execute("DELETE FROM units WHERE key IN (SELECT key FROM units LIMIT 5)")
    connection.close()
    found = compare_runs(a, b)
    assert found.problems == N - 5
    assert "run 'b' is not finished: 5 queries are missing; what is done is compared" in found.notes


async def test_a_run_of_which_nothing_is_done_is_named(tmp_path: Path) -> None:
    from ttc.evals.store_schema import connect

    a, b = await run(tmp_path, "a"), await run(tmp_path, "b")
    connection = connect(b / "store.sqlite")
    connection.execute("DELETE FROM units")
    connection.close()
    with pytest.raises(RunError, match="no query of run 'b' is done yet"):
        compare_runs(a, b)


async def test_a_half_written_store_is_named(tmp_path: Path) -> None:
    a, b = await run(tmp_path, "a"), await run(tmp_path, "b")
    for file in b.glob("store.sqlite*"):
        file.unlink()
    (b / "store.sqlite").write_bytes((a / "store.sqlite").read_bytes()[:1500])
    with pytest.raises(RunError, match=r"the store in .*b cannot be read"):
        compare_runs(a, b)


async def test_everything_is_json(tmp_path: Path) -> None:
    a, b = await run(tmp_path, "a"), await run(tmp_path, "b", seed=1)
    plain = orjson.loads(compare_runs(a, b).to_json())
    assert plain["differing"] == [["seed", "0", "1"]]
    assert plain["differences"][0]["verdict"] in ("above", "below", "not resolved")
