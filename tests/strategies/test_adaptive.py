"""``adaptive``: estimate, pick a row, run it, stop where no more is worth its cost, escalate where it stays unsure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.strategies.conftest import POLICIES, LastWord
from tests.strategies.hand_made_stops import between, stopped, surer_than
from ttc.adaptive import tuned_policy, tuning
from ttc.adaptive.bench import Bench, Mask, gather
from ttc.adaptive.classes import TagClasses
from ttc.adaptive.fitting import Fitted, Settings, apply, fit
from ttc.adaptive.policy import Escalation, Estimation, Policy, Row
from ttc.adaptive.probe_estimator import ProbeEstimator
from ttc.adaptive.recorded_scores import RecordedScores
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.adaptive.tuning import Aim
from ttc.budget import Budget, Price
from ttc.cli.trace import tree_lines
from ttc.errors import ConfigurationError
from ttc.models.fleet import Fleet
from ttc.models.population import Population
from ttc.models.recorded import Recorded
from ttc.models.scripted import Scripted
from ttc.models.simulated import Lengths, Simulated
from ttc.pools import Pool, RecordedProblem, replay_model
from ttc.seeds import hashed
from ttc.session import Session
from ttc.solve import solve, solve_many
from ttc.strategies import vote
from ttc.strategies.adaptive import Adaptive
from ttc.strategy import make_strategy
from ttc.types import Candidate, Outcome, Query, Request, Sampling

pytestmark = pytest.mark.anyio

QUERY = Query.of("how many?", answer_type=LastWord(), id="q")
MADE = date(2026, 11, 28)


def row(low: float = 0.0, high: float = 1.0, *, query_class: str = "default", **fields: Any) -> Row:
    return Row(**{"query_class": query_class, "difficulty": (low, high), "strategy": "majority:n=6", **fields})


def policy(*rows: Row, probe: int = 4, **fields: Any) -> Policy:
    difficulty = Estimation() if probe == 4 else Estimation(estimator="none" if not probe else "probe", probe=probe)
    return Policy(**{"made": MADE, "calibrated": False, "difficulty": difficulty, "rows": rows, **fields})


@pytest.fixture
def adaptive(tmp_path: Path) -> Callable[..., Adaptive]:
    """Write a policy down and make the strategy that reads it."""

    def make(written: Policy, **parameters: Any) -> Adaptive:
        path = tmp_path / "policy.toml"
        written.write(path)
        return Adaptive(policy=path, **parameters)

    return make


def saying(answers: Sequence[str], **how: Any) -> Scripted:
    """Gives these answers, each to the request at its position, in five tokens."""
    return Scripted(lambda request: f"it comes out as {answers[request.index]}", **how)


def event(outcome: Outcome, name: str) -> dict[str, Any]:
    (found,) = [e for e in outcome.trace if e["event"] == name]
    return found


def lines(outcome: Outcome) -> list[str]:
    return [sentence for _, _, sentence in tree_lines(outcome.trace)]


# -- estimate, pick, run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "picked", "spec"),
    [("7777", 3, "the probe's answer"), ("7735", 2, "majority:n=6"), ("1234", 1, "majority:n=8")],
    ids=["easy", "medium", "hard"],
)
async def test_the_row_follows_from_the_difficulty(
    adaptive: Callable[..., Adaptive], answers: str, picked: int, spec: str
) -> None:
    written = policy(row(0, 0.4, strategy="majority:n=8"), row(0.4, 0.9), row(0.9, 1.0, strategy=""))
    outcome = await solve(QUERY, adaptive(written), saying(answers + "7777"))
    assert (event(outcome, "difficulty")["row"], event(outcome, "difficulty")["strategy"]) == (picked, spec)


async def test_the_row_follows_from_the_class(adaptive: Callable[..., Adaptive]) -> None:
    rows = row(query_class="sums", strategy="majority:n=5,stop=never"), row(strategy="majority:n=2,stop=never")
    strategy = adaptive(policy(*rows, probe=0, classes=TagClasses(tags=("family",))))
    for family, calls in (("sums", 5), ("default", 2)):
        outcome = await solve(replace(QUERY, tags={"family": family}), strategy, saying("7" * 5))
        assert outcome.calls == {"generate": calls}
        assert event(outcome, "difficulty")["query_class"] == family
        assert not outcome.warnings


async def test_an_unknown_class_has_the_default_rows_and_says_so(adaptive: Callable[..., Adaptive]) -> None:
    rows = row(query_class="sums", strategy="majority:n=5"), row(strategy="majority:n=2,stop=never")
    strategy = adaptive(policy(*rows, probe=0, classes=TagClasses(tags=("family",))))
    outcome = await solve(replace(QUERY, tags={"family": "proofs"}), strategy, saying("77"))
    assert outcome.calls == {"generate": 2}
    (warning,) = outcome.warnings
    assert "proofs" in warning
    assert warning.endswith("the policy's default rows hold")


async def test_the_probe_is_charged_once_and_handed_on(adaptive: Callable[..., Adaptive]) -> None:
    outcome = await solve(QUERY, adaptive(policy(row(strategy="majority:n=6,stop=never"))), saying("775377"))
    assert outcome.calls == {"probe": 4, "generate": 2}
    assert (outcome.usage["probe"].generated, outcome.usage["generate"].generated) == (20, 10)
    assert event(outcome, "vote")["classes"][0][:2] == ["7", 4]


@pytest.mark.parametrize("changed", [{"thinking": 3}, {"thinking": "low"}, {"thinking": "off"}], ids=str)
async def test_a_probe_that_was_drawn_otherwise_is_not_handed_on_and_its_cost_is_kept(
    adaptive: Callable[..., Adaptive], changed: dict[str, Any]
) -> None:
    strategy = adaptive(policy(row(strategy="majority:n=4,stop=never", **changed)))
    outcome = await solve(QUERY, strategy, saying("7777"), sampling=Sampling(force_answer=0))
    assert outcome.calls == {"probe": 4, "generate": 4}
    assert outcome.generated_tokens == outcome.usage["probe"].generated + outcome.usage["generate"].generated
    assert outcome.usage["probe"].generated == 20


async def test_a_capped_probe_is_handed_on_to_a_row_with_that_cap_alone(adaptive: Callable[..., Adaptive]) -> None:
    for thinking, calls in ((200, {"probe": 4}), ("", {"probe": 4, "generate": 4})):
        written = policy(row(strategy="majority:n=4,stop=never", thinking=thinking), difficulty=Estimation(cap=200))
        assert (await solve(QUERY, adaptive(written), saying("7777"))).calls == calls


async def test_the_probe_thinks_as_the_policy_says_and_is_handed_on_to_what_thinks_alike(
    adaptive: Callable[..., Adaptive],
) -> None:
    written = policy(
        row(strategy="majority:n=5,stop=never", thinking="off"), difficulty=Estimation(thinking="off", probe=4)
    )
    model = saying("77777")
    assert (await solve(QUERY, adaptive(written), model)).calls == {"probe": 4, "generate": 1}
    assert {str(r.extra) for r in model.requests} == {"{'chat_template_kwargs': {'enable_thinking': False}}"}


async def test_an_empty_strategy_returns_what_the_probe_says(adaptive: Callable[..., Adaptive]) -> None:
    outcome = await solve(QUERY, adaptive(policy(row(strategy=""))), saying("5733"))
    assert (outcome.answer, outcome.calls, outcome.ended_by) == ("3", {"probe": 4}, "stopped_early")
    assert event(outcome, "stop")["why"] == "the probe's answer is taken"


async def test_a_row_that_gives_up_returns_what_the_probe_says(adaptive: Callable[..., Adaptive]) -> None:
    outcome = await solve(QUERY, adaptive(policy(row(strategy="", give_up=True))), saying("5733"))
    assert (outcome.answer, outcome.calls) == ("3", {"probe": 4})
    assert event(outcome, "difficulty")["strategy"] == "give up"
    assert event(outcome, "stop")["why"] == "it gives up"


async def test_a_bracket_plays_with_the_probe_in_it(adaptive: Callable[..., Adaptive]) -> None:
    strategy = Adaptive(policy=POLICIES / "knockout.toml")
    model = Scripted(lambda r: "A" if r.choices else f"so {'775'[r.index] if r.index < 3 else 7}")
    outcome = await solve(QUERY, strategy, model, comparator="judge")
    assert event(outcome, "difficulty")["strategy"] == "knockout:n=5"
    assert (outcome.calls["probe"], outcome.calls["generate"]) == (3, 2)


# -- learned stops ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "calls"),
    [("7777", 4), ("1234", 4), ("577777", 6), ("775577557755", 12)],
    ids=["decided", "hopeless", "decided later", "to the end"],
)
async def test_a_learned_stop_ends_what_is_decided_and_what_is_hopeless(answers: str, calls: int) -> None:
    """And it looks at its points alone: after four, six and twelve samples."""
    model = saying(answers, latency=lambda r: 0.001 * (12 - r.index))
    outcome = await solve(QUERY, Adaptive(policy=POLICIES / "learned_stop.toml"), model)
    assert outcome.calls == {"generate": calls}
    assert len(model.requests) == calls  # nothing was in flight when it stopped
    assert not outcome.total_usage.upper_bound
    assert [e["samples"] for e in outcome.trace if e["event"] == "pace"] == ([] if calls == 12 else [calls])


async def test_the_trace_says_why_it_stopped() -> None:
    outcome = await solve(QUERY, Adaptive(policy=POLICIES / "learned_stop.toml"), saying("12345678"))
    assert outcome.ended_by == "stopped_early"
    said = lines(outcome)
    assert said[0] == (
        "difficulty, class default: row 1, majority:n=12 (policy uncalibrated: a prior that was tuned on nothing)"
    )
    assert any(line.startswith("stop after 4 samples of the draw: to go on would bring -0.0") for line in said)
    assert "stop after 4 samples: no further sample is worth its cost" in said


def test_the_policy_of_the_tests_is_as_it_is_written_by_hand() -> None:
    """Else write it anew: ``python -m tests.strategies.hand_made_stops``."""
    assert Policy.read(POLICIES / "learned_stop.toml").digest() == stopped().digest()


async def test_learned_stops_end_queries_of_a_simulated_model() -> None:
    """Where samples are always right they stop at once, and where no two agree as well; between they go on."""
    strategy = Adaptive(policy=POLICIES / "learned_stop.toml")
    for p, wrong, calls in ((1.0, (1.0,), 4), (0.0, (1.0,) * 1000, 4), (0.5, (1.0,), 5)):
        model = Simulated(Population(p=p, wrong=wrong), lengths=Lengths(mean=30))
        outcomes = await solve_many(model.population.queries(40), strategy, model)
        drawn = sum(o.calls["generate"] for o in outcomes) / 40
        assert drawn == 4 if calls == 4 else drawn > calls
        assert all(o.generated_tokens == 30 * o.calls["generate"] for o in outcomes)


def recorded(answers: Sequence[str], *, tokens: int = 10, scores: Sequence[float] = ()) -> Recorded:
    problem = RecordedProblem(
        id="p",
        answers=tuple(answers),
        right=(1.0,) * len(answers),
        generated=(tokens,) * len(answers),
        scores={"scorer": tuple(scores)} if scores else {},
    )
    return replay_model(Pool(name="pool", model="m", problems=(problem,)))


RECORDED_QUERY = RecordedProblem(id="p", answers=(), right=()).query()


@pytest.mark.parametrize("answers", ["7" * 12, "123456789abc"], ids=["decided", "hopeless"])
async def test_learned_stops_end_a_replay_and_nothing_is_in_flight(answers: str) -> None:
    outcome = await solve(RECORDED_QUERY, Adaptive(policy=POLICIES / "learned_stop.toml"), recorded(answers))
    assert (outcome.calls, outcome.generated_tokens) == ({"generate": 4}, 40)


async def test_a_stop_is_that_of_its_row(adaptive: Callable[..., Adaptive]) -> None:
    """Two rows with stops of other names stop elsewhere."""
    early, late = between(0.3, 0.8, (2, 8)), between(0.3, 0.8, (5, 8))
    written = policy(
        row(0, 0.5, strategy="majority:n=8", stop="late"),
        row(0.5, 1.0, strategy="majority:n=8,stop=never", stop="early", thinking="low"),
        stops={"early": early.model_dump(mode="json"), "late": late.model_dump(mode="json")},
    )
    hard = await solve(QUERY, adaptive(written), saying("12345678"))
    assert hard.calls == {"probe": 4, "generate": 1}
    easy = await solve(QUERY, adaptive(written), saying("77777777"))
    assert easy.calls == {"probe": 4, "generate": 2}  # it thinks otherwise, so that the probe is not handed on


async def test_a_stop_that_lies_within_the_probe_ends_at_it(adaptive: Callable[..., Adaptive]) -> None:
    written = policy(row(strategy="majority:n=8", stop="s"), stops={"s": between(0.3, 0.8, (4, 8)).model_dump()})
    assert (await solve(QUERY, adaptive(written), saying("12345678"))).calls == {"probe": 4}


class Scorer:
    """Scores an answer by its number, and remembers which samples it scored."""

    name = "scorer"
    logprobs = 0

    def __init__(self) -> None:
        self.scored: list[int] = []

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        self.scored += [c.sample.index for c in candidates]
        return [int(c.answer or 0) / 10 for c in candidates]


def pool_of(population: Population, **how: Any) -> Pool:
    return simulated_pool(population, problems=40, width=8, mean_length=40, **how)


async def test_stops_work_with_a_verifier_and_the_scores_of_the_probe_are_bought_once(
    adaptive: Callable[..., Adaptive],
) -> None:
    pool = pool_of(Population(p=(1.0, 1.0)))
    scored = replace(pool, problems=tuple(replace(p, scores={"scorer": p.scores["simulated"]}) for p in pool.problems))
    estimator = ProbeEstimator.fit(scored, probe=4, verifier="scorer")
    written = policy(
        row(strategy="best_of_n:n=8", stop="between", verifier="scorer"),
        stops={"between": between(0.3, 0.8, (4, 6, 8)).model_dump(mode="json")},
        estimator=estimator.model_dump(mode="json"),
    )
    for answers, drawn in (("77777777", 4), ("57777777", 6)):
        scorer = Scorer()
        outcome = await solve(QUERY, adaptive(written), saying(answers), verifier=scorer)
        assert sum(outcome.calls.values()) == drawn
        assert sorted(scorer.scored) == list(range(drawn))
        assert event(outcome, "difficulty")["by"] == "probe"


# -- escalation -------------------------------------------------------------------------------------------------------

PRICES = {"small": Price(prompt=1.0, generated=2.0), "large": Price(prompt=10.0, generated=20.0)}


def fleet(small: float = 0.0, large: float = 1.0, *, wrong: Sequence[float] = (1.0,) * 50) -> Fleet:
    """A small model that knows a share of the answers, and a large one that knows more, of the same problems."""
    return Fleet(
        {
            name: Simulated(Population(p=p, wrong=wrong), name=name, lengths=Lengths(mean=20), price=PRICES[name])
            for name, p in (("small", small), ("large", large))
        }
    )


def cascade(**changed: Any) -> Policy:
    then = Escalation(**{"below": 0.6, "strategy": "majority:n=3,stop=never", "model": "large", **changed})
    first = row(strategy="majority:n=5,stop=never", model="small", escalate=then)
    return policy(first, probe=0)


async def test_where_the_confidence_is_low_another_model_is_asked_and_its_answer_stands(
    adaptive: Callable[..., Adaptive],
) -> None:
    population = Population(p=1.0, wrong=(1.0,) * 50)
    outcome = await solve(population.query(0), adaptive(cascade()), fleet())
    assert outcome.calls == {"generate@small": 5, "generate@large": 3}
    assert outcome.candidate is not None
    assert outcome.candidate.sample.model == "large"
    assert population.is_right(population.query(0), outcome.answer)
    assert event(outcome, "confidence") == {
        "event": "confidence",
        "confidence": 0.2,
        "below": 0.6,
        "by": "agreement",
    }
    assert "confidence 0.20 by agreement, escalation below 0.60: escalate" in lines(outcome)


async def test_dollars_of_a_cascade_add_up(adaptive: Callable[..., Adaptive]) -> None:
    outcome = await solve(Population().query(0), adaptive(cascade()), fleet())
    parts = {kind.partition("@")[2]: PRICES[kind.partition("@")[2]].of(used) for kind, used in outcome.usage.items()}
    assert set(parts) == {"small", "large"}
    assert outcome.dollars == pytest.approx(sum(parts.values()))
    assert outcome.checkpoints[-1].dollars == pytest.approx(outcome.dollars)
    with pytest.raises(ConfigurationError, match="are not added up"):
        _ = outcome.thinking_tokens


async def test_where_the_confidence_is_high_nobody_else_is_asked(adaptive: Callable[..., Adaptive]) -> None:
    outcome = await solve(Population().query(0), adaptive(cascade()), fleet(small=1.0))
    assert outcome.calls == {"generate@small": 5}
    assert "confidence 1.00 by agreement, escalation below 0.60: done" in lines(outcome)


@pytest.mark.parametrize(("intercept", "asked"), [(-1.0, True), (1.0, False)])
async def test_a_learned_confidence_decides_where_there_is_one(
    adaptive: Callable[..., Adaptive], intercept: float, asked: bool
) -> None:
    """Log-odds of one more than where a third of the samples agree, or of one less."""
    stop = between(0.0, 1.01, (5, 6))
    then = Escalation(below=0.5, strategy="majority:n=2,stop=never", thinking="high")
    written = policy(
        row(strategy="majority:n=6", stop="s", escalate=then),
        probe=0,
        stops={"s": stop.model_dump(mode="json")},
        confidence={"s": surer_than(intercept, share=0.1).model_dump(mode="json")},
    )
    outcome = await solve(QUERY, adaptive(written), saying("775577"))
    assert len([e for e in outcome.trace if e["event"] == "sample"]) == (8 if asked else 6)
    learned = 1 / (1 + np.exp(-(intercept + 0.1 * 4 / 6)))
    assert event(outcome, "confidence")["confidence"] == pytest.approx(learned, abs=1e-4)
    assert "by" not in event(outcome, "confidence")


async def test_the_probe_alone_may_be_too_unsure(adaptive: Callable[..., Adaptive]) -> None:
    """A row without a strategy: the probe's answer, or that of a larger model."""
    then = Escalation(below=0.6, strategy="single", model="large")
    strategy = adaptive(policy(row(strategy="", model="small", escalate=then)))
    unsure = await solve(Population().query(0), strategy, fleet())
    assert unsure.calls == {"probe@small": 4, "generate@large": 1}
    sure = await solve(Population().query(0), strategy, fleet(small=1.0))
    assert sure.calls == {"probe@small": 4}
    assert event(sure, "stop")["why"] == "the probe's answer is taken"


async def test_where_the_second_one_abstains_the_first_answer_stands(adaptive: Callable[..., Adaptive]) -> None:
    wavering = Scripted(lambda r: f"so {'55573'[r.index]}", price=PRICES["small"])
    silent = Scripted(lambda r: "I cannot say", price=PRICES["large"])
    strategy = adaptive(cascade(below=0.7))
    outcome = await solve(
        QUERY, strategy, Fleet({"small": wavering, "large": silent}), sampling=Sampling(force_answer=0)
    )
    assert (outcome.answer, outcome.calls["generate@large"]) == ("5", 3)


async def test_more_thinking_is_asked_of_the_same_model() -> None:
    """Three short samples that do not agree; then four with an effort."""

    def reply(request: Request) -> str:
        return f"so {7 if request.extra else request.index}"

    model = Scripted(reply)
    outcome = await solve(QUERY, Adaptive(policy=POLICIES / "more_thinking.toml"), model)
    assert outcome.answer == "7"
    assert [(r.max_tokens, dict(r.extra)) for r in model.requests] == (
        [(24, {})] * 3 + [(1024, {"reasoning_effort": "high"})] * 3  # the fourth could change nothing
    )
    agreed = Scripted(lambda r: "so 7")
    assert (await solve(QUERY, Adaptive(policy=POLICIES / "more_thinking.toml"), agreed)).calls == {"generate": 3}


async def test_the_budget_of_a_row_ends_it_and_not_what_follows(adaptive: Callable[..., Adaptive]) -> None:
    """Of five samples a row's budget carries two; the larger model is asked all the same, within its own."""
    then = Escalation(below=0.9, strategy="majority:n=4,stop=never", thinking="high", budget="calls=3")
    written = policy(row(strategy="majority:n=5,stop=never", budget="calls=2", escalate=then), probe=0)
    model = saying("57333")
    outcome = await solve(QUERY, adaptive(written), model)
    assert [dict(r.extra) for r in model.requests] == [{}] * 2 + [{"reasoning_effort": "high"}] * 3
    assert outcome.ended_by == "budget"


async def test_a_strategy_that_its_rows_budget_refuses_keeps_what_it_has(adaptive: Callable[..., Adaptive]) -> None:
    """Budget forcing raises where it cannot go on; the probe's answer stands then."""
    written = policy(row(strategy="budget_forcing:thinking=16", budget="calls=1"))
    outcome = await solve(QUERY, adaptive(written), saying("7777"), budget=Budget(calls=4))
    assert (outcome.answer, outcome.ended_by) == ("7", "budget")


@pytest.mark.parametrize("allocate", ["greedy", "uniform"])
@pytest.mark.parametrize("name", ["learned_stop.toml", "more_thinking.toml"])
async def test_an_allocation_over_a_batch_paces_it_too(name: str, allocate: str) -> None:
    model = Simulated(Population(p=(1.0, 1.0), wrong=(2, 1)), lengths=Lengths(mean=20))
    strategy = Adaptive(policy=POLICIES / name)
    whole = await solve_many(model.population.queries(20), strategy, model)
    total = sum(o.total_usage.total for o in whole) // 2
    outcomes = await solve_many(
        model.population.queries(20), strategy, model, total=Budget(total_tokens=total), allocate=allocate
    )
    assert sum(o.total_usage.total for o in outcomes) <= total
    assert all(o.answer is not None for o in outcomes)
    granted = [[e["samples"] for e in o.trace if e["event"] == "allocated"] for o in outcomes]
    assert all(granted)
    if allocate == "greedy":
        assert max(map(max, granted)) <= 4  # a first wave, where the strategy alone would take all of them at once
        assert all(sum(o.calls.values()) <= sum(waves) for o, waves in zip(outcomes, granted, strict=True))


async def test_a_stop_of_the_policy_ends_what_an_allocation_would_go_on_with() -> None:
    model = Scripted(lambda r: f"so {'12345678'[r.index]}")
    outcomes = await solve_many(
        [QUERY],
        Adaptive(policy=POLICIES / "learned_stop.toml"),
        model,
        total=Budget(total_tokens=9000),
        allocate="greedy",
    )
    assert outcomes[0].calls == {"generate": 4}
    assert event(outcomes[0], "pace")["samples"] == 4


def test_it_can_be_paced_where_all_of_its_rows_can() -> None:
    assert Adaptive(policy=POLICIES / "learned_stop.toml").paceable
    assert not Adaptive(policy=POLICIES / "knockout.toml").paceable


async def test_waves_of_a_rows_own_stop_are_kept(adaptive: Callable[..., Adaptive]) -> None:
    """One at a time: four that agree are beyond doubt, and no fifth is in flight."""
    model = saying("77777777")
    await solve(QUERY, adaptive(policy(row(strategy="majority:n=8,stop=beta,wave=1"), probe=0)), model)
    assert len(model.requests) == 4


# -- what is refused --------------------------------------------------------------------------------------------------


async def test_a_policy_for_another_model_is_refused_before_any_call(adaptive: Callable[..., Adaptive]) -> None:
    model = saying("7777", name="mine")
    with pytest.raises(ConfigurationError, match="tuned for model 'other', and 'mine' is served"):
        await solve(QUERY, adaptive(policy(row(), model="other")), model)
    assert not model.requests


async def test_with_force_it_is_used_and_warns(adaptive: Callable[..., Adaptive]) -> None:
    outcome = await solve(QUERY, adaptive(policy(row(), model="other"), force=True), saying("777777", name="mine"))
    (warning,) = outcome.warnings
    assert warning.startswith("the policy was tuned for model 'other'")
    assert warning.endswith("it is used by force")


async def test_a_row_for_a_model_that_is_not_there_is_refused_even_by_force(adaptive: Callable[..., Adaptive]) -> None:
    model = saying("7777", name="mine")
    with pytest.raises(ConfigurationError, match=r"row 1 of the policy asks for model 'huge', and there is only mine"):
        await solve(QUERY, adaptive(policy(row(model="huge")), force=True), model)
    assert not model.requests


async def test_a_row_may_name_the_only_model_there_is(adaptive: Callable[..., Adaptive]) -> None:
    strategy = adaptive(policy(row(model="mine", strategy="majority:n=5,stop=never"), model="mine"))
    assert (await solve(QUERY, strategy, saying("77777", name="mine"))).calls == {"probe": 4, "generate": 1}


async def test_a_row_that_names_the_first_model_of_a_fleet_is_handed_the_probe(
    adaptive: Callable[..., Adaptive],
) -> None:
    strategy = adaptive(policy(row(model="small", strategy="majority:n=5,stop=never")))
    outcome = await solve(Population().query(0), strategy, fleet())
    assert outcome.calls == {"probe@small": 4, "generate@small": 1}


@pytest.mark.parametrize("given", [None, "mean_logprob"])
async def test_a_policy_wants_the_verifier_that_it_was_tuned_with(
    adaptive: Callable[..., Adaptive], given: str | None
) -> None:
    model = saying("7777")
    strategy = adaptive(policy(row(strategy="best_of_n:n=4", verifier="self_certainty")))
    said = f"tuned with verifier 'self_certainty', and the verifier here is {given or 'none'}: pass verifier="
    with pytest.raises(ConfigurationError, match=said) as refused:
        await solve(QUERY, strategy, model, verifier=given)
    assert "(--verifier self_certainty)" in str(refused.value)
    assert not model.requests


def test_a_prior_beside_a_policy_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="probe are of the prior"):
        Adaptive(policy=POLICIES / "knockout.toml", probe=3)


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ({"stops": {"s": {"first": 4}}}, "learned stop 's', points: Field required: tune the policy anew"),
        ({"stops": {"s": between(0, 1, (4, 8)).model_dump() | {"gains": []}}}, "learned stop 's': it does not go by"),
        ({"stops": {"s": between(0, 1, (4, 8)).model_dump() | {"points": [8, 4]}}}, "points do not ascend"),
        ({"confidence": {"s": {"linear": {}}}}, "confidence 's', linear.intercept: Field required"),
    ],
    ids=["no stop", "too few gains", "points", "no confidence"],
)
def test_what_cannot_be_asked_is_refused_when_it_is_read(
    adaptive: Callable[..., Adaptive], side: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        adaptive(policy(row(), **side))
    assert said in str(refused.value)
    assert "policy.toml" in str(refused.value)


def test_features_of_another_version_are_refused_when_they_are_read(adaptive: Callable[..., Adaptive]) -> None:
    stop = between(0, 1, (4, 8)).model_dump(mode="json")
    stop["gains"][0] |= {name: stop["gains"][0][name][:5] for name in ("mean", "sd", "weight")}
    with pytest.raises(ConfigurationError, match="does not go by the features of this ttc"):
        adaptive(policy(row(), stops={"s": stop}))


def test_an_escalation_from_what_cannot_be_looked_at_is_refused() -> None:
    with pytest.raises(ValueError, match="judged by how far the samples agree"):
        row(strategy="knockout:n=4", escalate=Escalation(below=0.5, strategy="single", thinking="high"))


# -- what it says of itself -------------------------------------------------------------------------------------------


def test_its_content_is_that_of_its_policy(adaptive: Callable[..., Adaptive]) -> None:
    one = adaptive(policy(row()))
    before, spec = one.content, one.spec
    assert before
    assert adaptive(policy(row())).content == before
    other = adaptive(policy(row(strategy="majority:n=7")))
    assert (other.spec, other.content == before) == (spec, False)
    assert make_strategy("adaptive").content == ""


def test_a_prior_says_that_it_is_one() -> None:
    assert make_strategy("adaptive").caveat == "its policy is uncalibrated: a prior that was tuned on nothing"


async def test_the_trace_of_the_prior_says_that_it_is_uncalibrated() -> None:
    outcome = await solve(QUERY, "adaptive", saying("7777"))
    assert lines(outcome)[4] == (
        "difficulty 1.00 by agreement of the probe, class default: row 3, the probe's answer "
        "(policy uncalibrated: a prior that was tuned on nothing)"
    )


# -- tuned over two pools, and replayed as a cascade ------------------------------------------------------------------


def priced(name: str, ability: tuple[float, float], seed: int) -> Pool:
    pool = pool_of(Population(p=ability, wrong=(3, 2, 1), seed=1), seed=seed)
    return replace(pool, name=name, model=name, price=Price(prompt=0.0, generated=PRICES[name].generated))


async def tuned_on(pools: Sequence[Pool], settings: Settings, path: Path, *, rate: float) -> tuple[Bench, Fitted]:
    """Tune over pools at one going rate, write the policy down, and return what was tried and what was fitted."""
    bench = await gather(pools, orders=2)
    found = list[Fitted]()

    def at_the_rate(bench: Bench, train: Mask, settings: Settings, *_: Any, **__: Any) -> Fitted:
        found.append(fit(bench, train, rate, settings))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        for module in (tuning, tuned_policy):
            patch.setattr(module, "tuned", at_the_rate)
        tuned_policy.tune_policy(bench, settings, Aim(kind="no_worse", value=1.0)).policy.write(path)
    return bench, found[0]  # on all problems; those of the folds come after


@pytest.fixture
def ties_by_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw lots by the answer, so that ties fall alike in whatever strategy votes."""
    made = vote.AnswerClass
    monkeypatch.setattr(vote, "AnswerClass", lambda c, _: made(c, hashed("lot", c.answer, bits=32)))


@pytest.mark.usefixtures("ties_by_answer")
@pytest.mark.parametrize(("estimator", "rate"), [("none", 25.0), ("probe", 50.0)])
async def test_a_tuned_cascade_does_live_what_tuning_said(estimator: Any, rate: float, tmp_path: Path) -> None:
    """Answers and dollars are those of ``apply``; dollars are less where a vote ends since nothing can change it."""
    pools = [priced("small", (1.0, 1.0), 1), priced("large", (3.0, 1.0), 2)]
    path = tmp_path / "policy.toml"
    settings = Settings(estimator=estimator, bins=2, folds=2)
    bench, fitted = await tuned_on(pools, settings, path, rate=rate)
    assert any(plan.escalate for plan in fitted.rows.values())
    expected = apply(fitted, bench, np.ones(len(bench.problem), dtype=bool))
    strategy = Adaptive(policy=path)
    small, large = ({p.id: p for p in pool.problems} for pool in pools)
    exact, verdict = 0, {True: 0, False: 0}
    for i, (at, order) in enumerate(zip(bench.problem, bench.ways[0].paths.order, strict=True)):
        name = bench.problems[at]
        models = {pool.model: replay_model(pool, seed=int(order)) for pool in pools}
        outcome = await solve(small[name].query(), strategy, Fleet(models))
        verdicts = {**large[name].verdicts(), **small[name].verdicts()}
        assert verdicts.get(outcome.answer or "", 0.0) == expected.right[i]
        for sure in (e for e in outcome.trace if e["event"] == "confidence"):
            verdict[sure["confidence"] < sure["below"]] += 1
        assert outcome.dollars is not None
        if any(e.get("why") == "certain" for e in outcome.trace):
            assert outcome.dollars <= expected.cost[i] + 1e-12
        else:
            assert outcome.dollars == pytest.approx(expected.cost[i])
            exact += 1
    assert exact > len(bench.problem) / 2
    assert min(verdict.values()) > 0  # some were handed on, and some were not


async def test_scores_that_were_recorded_stand_for_the_verifier(adaptive: Callable[..., Adaptive]) -> None:
    pool = pool_of(Population(p=(1.0, 1.0)))
    written = policy(
        row(strategy="best_of_n:n=8", verifier="simulated", stop="s"),
        stops={"s": between(0.3, 0.8, (4, 6, 8)).model_dump(mode="json")},
    )
    strategy, scores = adaptive(written), RecordedScores.of(pool, "simulated")
    outcomes = [await solve(p.query(), strategy, replay_model(pool), verifier=scores) for p in pool.problems]
    assert {sum(o.calls.values()) for o in outcomes} == {4, 6, 8}
