"""Simulated solutions of several steps, however they are drawn, and the scorer of their steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from math import log
from statistics import NormalDist, fmean, stdev
from typing import Any, Literal

import pytest

from ttc import Budget, Candidate, ConfigurationError, Ledger, Sampling, Session
from ttc.models.population import Population
from ttc.models.simulated import Latency, Lengths, Simulated
from ttc.models.virtual_clock import run
from ttc.steps import BLANK_LINE, Solution, split_steps
from ttc.types import Sample
from ttc.verifiers.simulated import SimulatedStepScorer

WAYS = {"instant": None, "live": Latency(sigma=0.5)}
ways = pytest.mark.parametrize("latency", WAYS.values(), ids=list(WAYS))


def allowed(p: float, n: int) -> float:
    """Four standard errors of a share of n."""
    return 4 * (p * (1 - p) / n) ** 0.5


def session(model: Simulated, *, seed: int = 0, budget: Budget | None = None, **sampling: Any) -> Session:
    ledger = Ledger(budget, price=model.price)
    return Session(model.population.query(0), model, ledger, sampling=Sampling(**sampling), seed=seed)


async def grown(s: Session, parents: Sequence[Candidate | None], **sampling: Any) -> list[Candidate]:
    """Grow each of them by one step."""
    cues = ["" if parent is None else BLANK_LINE for parent in parents]
    async with s.grow(parents, until=BLANK_LINE, cues=cues, **sampling) as steps:
        return [one.candidate async for one in steps]


def in_one_go(model: Simulated, n: int, **settings: Any) -> list[Candidate]:
    async def drawn() -> list[Candidate]:
        async with session(model, **settings).sample(n=n) as samples:
            return [candidate async for candidate in samples]

    return run(drawn)


def step_by_step(model: Simulated, n: int, steps: int, **settings: Any) -> list[Candidate]:
    async def drawn() -> list[Candidate]:
        s = session(model, **settings)
        partial: list[Candidate | None] = [None] * n
        for depth in range(steps):
            partial = list(await grown(s, partial))
            assert all((c is not None and c.answer is None) == (depth < steps - 1) for c in partial)
        return [c for c in partial if c is not None]

    return run(drawn)


def with_a_rollout(model: Simulated, n: int, steps: int, **settings: Any) -> list[Candidate]:
    """Some steps one by one, and the rest in one go."""

    async def drawn() -> list[Candidate]:
        s = session(model, **settings)
        partial: list[Candidate | None] = [None] * n
        for _ in range(steps // 2):
            partial = list(await grown(s, partial))
        return [await s.continue_(c, cue=BLANK_LINE, close_thought=False) for c in partial if c is not None]

    return run(drawn)


def right(model: Simulated, drawn: Sequence[Candidate]) -> list[bool]:
    return [model.population.is_right(model.population.query(0), c) for c in drawn]


DRAWN: dict[str, Callable[..., list[Candidate]]] = {"step by step": step_by_step, "with a rollout": with_a_rollout}


# -- a whole solution -------------------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("steps", [2, 7])
def test_a_solution_is_right_with_p_however_many_steps_it_has_and_however_it_is_drawn(
    latency: Latency | None, p: float, steps: int
) -> None:
    n = 300
    model = Simulated(Population(p=p), steps=steps, latency=latency)
    for drawn in (in_one_go(model, n), *(draw(model, n, steps) for draw in DRAWN.values())):
        assert {len(split_steps(c.sample.text)) for c in drawn} == {steps}
        assert len({c.sample.text for c in drawn}) == n
        assert abs(fmean(right(model, drawn)) - p) <= allowed(p, n)


def test_a_step_is_right_with_the_root_of_p() -> None:
    """And steps do not depend on each other: of those behind a wrong one as many are right."""
    model, n = Simulated(Population(p=0.3**5), steps=5), 1500
    for drawn in (in_one_go(model, n), step_by_step(model, n, 5)):
        query = model.population.query(0)
        rows = [model.population.steps_are_right(query, split_steps(c.sample.text), 5) for c in drawn]
        for i in range(5):
            assert abs(fmean(row[i] for row in rows) - 0.3) <= allowed(0.3, n)
        behind = [row[i + 1] for row in rows for i in range(4) if not row[i]]
        assert abs(fmean(behind) - 0.3) <= allowed(0.3, len(behind))
        assert [all(row) for row in rows] == right(model, drawn)


def test_wrong_answers_come_up_as_often_as_they_are_told_to() -> None:
    model, n = Simulated(Population(p=0.4, wrong=(3.0, 2.0, 1.0)), steps=4), 2000
    problem = model.population.problem("simulated problem 0")
    for drawn in (in_one_go(model, n), step_by_step(model, n, 4)):
        answers = [candidate.answer for candidate in drawn]
        for answer, share in zip((problem.right, *problem.wrong), (0.4, 0.3, 0.2, 0.1), strict=True):
            assert abs(answers.count(answer) / n - share) <= allowed(share, n)


def test_solutions_that_share_their_first_wrong_step_have_one_answer() -> None:
    """As a slip is carried on in a calculation. Those that went wrong each for itself differ."""

    async def drawn() -> tuple[list[Candidate], list[Candidate]]:
        s = session(model)
        (slipped,) = await grown(s, [None])
        together = await grown(s, await grown(s, [slipped] * 30))
        apart = await grown(s, await grown(s, await grown(s, [None] * 30)))
        return together, apart

    model = Simulated(Population(p=0.0, wrong=(1.0,) * 1000), steps=3)
    together, apart = run(drawn)
    assert len({c.sample.text for c in together}) == 30
    assert len({c.answer for c in together}) == 1
    assert len({c.answer for c in apart}) > 25


# -- one seed, one solution -------------------------------------------------------------------------------------------


def test_the_same_seed_says_the_same_at_any_speed() -> None:
    def drawn(seed: int, **how: Any) -> dict[str, list[Sample]]:
        model = Simulated(Population(), lengths=Lengths(mean=90, sigma=0.5), steps=4, **how)
        found = {name: draw(model, 12, 4, seed=seed) for name, draw in DRAWN.items()}
        found["in one go"] = in_one_go(model, 12, seed=seed)
        return {name: [replace(c.sample, latency=0.0) for c in found[name]] for name in found}

    instant = drawn(0)
    for in_flight in (1, 5, 64):
        assert drawn(0, latency=Latency(sigma=1.0), in_flight=in_flight) == instant
    other = drawn(1)
    for name, samples in instant.items():
        assert not {s.text for s in samples} & {s.text for s in other[name]}


# -- tokens, and what ends a step -------------------------------------------------------------------------------------


@ways
def test_the_tokens_of_steps_add_up_to_those_of_a_solution(latency: Latency | None) -> None:
    """Its text is read again with every step: that is in the prompt's tokens."""
    model = Simulated(Population(), lengths=Lengths(mean=60), steps=6, prompt_tokens=20, latency=latency)
    (whole,) = in_one_go(model, 1)
    for draw in DRAWN.values():
        for c in draw(model, 5, 6):
            assert c.sample.usage.generated == whole.sample.usage.generated == 60
    assert whole.sample.usage.prompt_tokens == 20
    assert step_by_step(model, 1, 6)[0].sample.usage.prompt_tokens == 20 + 5 * 40
    varied = Simulated(Population(), lengths=Lengths(mean=600, sigma=0.6), steps=6, latency=latency)
    for drawn in (in_one_go(varied, 250, max_tokens=10**5), step_by_step(varied, 250, 6, max_tokens=10**5)):
        tokens = [c.sample.usage.generated for c in drawn]
        assert abs(fmean(tokens) - 600) <= 4 * stdev(tokens) / len(tokens) ** 0.5 + 3  # half a token a step
    tiny = Simulated(Population(), lengths=Lengths(mean=2), steps=6, latency=latency)
    assert step_by_step(tiny, 1, 6)[0].sample.usage.generated == 6  # one a step at the least


@ways
def test_a_step_ends_at_the_stop_sequence_and_the_last_one_by_itself(latency: Latency | None) -> None:
    async def finishes() -> list[tuple[str, str]]:
        s = session(model)
        found: list[tuple[str, str]] = []
        partial: list[Candidate | None] = [None]
        for _ in range(3):
            async with s.grow(partial, until="\n", cues=["" if partial == [None] else "\n"]) as steps:
                async for _, partial[0], added, _ in steps:
                    assert "\n" not in added.text
                    found.append((added.finish, added.text.partition("] ")[2]))
        return found

    model = Simulated(Population(p=1.0), steps=3, latency=latency)
    answer = model.population.problem("simulated problem 0").right
    assert run(finishes) == [("step", ""), ("step", ""), ("stop", answer)]


@ways
def test_a_step_that_is_too_long_says_nothing_and_leaves_the_text_as_it_was(latency: Latency | None) -> None:
    async def drawn() -> list[Candidate]:
        s = session(model)
        first = await grown(s, [None])
        return [*first, *await grown(s, first, max_tokens=9)]

    model = Simulated(Population(), lengths=Lengths(mean=40), steps=4, latency=latency)
    first, cut = run(drawn)
    assert (first.sample.finish, first.sample.usage.generated) == ("step", 10)
    assert (cut.sample.finish, cut.answer, cut.sample.text.strip()) == ("length", None, first.sample.text)
    assert cut.sample.usage.generated == 10 + 9


@ways
def test_a_step_that_the_budget_cuts_is_charged_and_says_nothing(latency: Latency | None) -> None:
    async def drawn() -> tuple[list[Candidate], int]:
        s = session(model, budget=Budget(generated_tokens=250))
        first = await grown(s, [None])
        return [*first, *await grown(s, first)], s._ledger.spent.generated

    model = Simulated(Population(), lengths=Lengths(mean=600), steps=4, latency=latency)
    (first, cut), spent = run(drawn)
    assert (first.sample.finish, cut.sample.finish, cut.answer) == ("step", "cut", None)
    assert spent == model.generated == 250


@ways
def test_an_answer_is_forced_by_drawing_the_rest_behind_a_cue(latency: Latency | None) -> None:
    """The cue stands between the steps; the steps before it count."""

    async def drawn() -> list[Candidate]:
        s = session(model)
        parts = await grown(s, [None] * n)
        return [await s.continue_(part, cue=" So: ", temperature=0.0) for part in parts]

    n = 400
    model = Simulated(Population(p=0.5), steps=3, latency=latency)
    forced = run(drawn)
    assert all(" So: [" in c.sample.text and c.answer for c in forced)
    assert abs(fmean(right(model, forced)) - 0.5) <= allowed(0.5, n)
    rows = [model.population.steps_are_right(model.population.query(0), steps_of(c), 3) for c in forced]
    assert [all(row) for row in rows] == right(model, forced)


def steps_of(candidate: Candidate) -> list[str]:
    return [f"[{part.partition(']')[0]}]" for part in candidate.sample.text.split("[")[1:]]


def test_revisions_and_choices_have_no_steps() -> None:
    async def drawn() -> tuple[Candidate, Sample]:
        s = session(model)
        return await s.generate(kind="revise"), await s.choose(s.messages, ("yes", "no"))

    model = Simulated(Population(), steps=5)
    revised, chosen = run(drawn)
    assert len(split_steps(revised.sample.text)) == 1
    assert revised.answer is not None
    assert chosen.text in ("yes", "no")


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="steps=0: a solution has one at least"):
        Simulated(Population(), steps=0)
    with pytest.raises(ConfigurationError, match="voters answer in one step"):
        Simulated(Population(), steps=2, voters=(0.5,))


# -- the scorer -------------------------------------------------------------------------------------------------------


def drawn_and_scored(scorer: SimulatedStepScorer, n: int) -> tuple[list[list[bool]], list[list[float]]]:
    """Solutions: whether all is right up to each step, and its score."""
    model = Simulated(scorer.population, steps=scorer.n_steps)
    drawn = in_one_go(model, n)
    solutions = [Solution.of(c.sample.text) for c in drawn]
    query = model.population.query(0)
    sound = [
        list(accumulate(model.population.steps_are_right(query, solution.steps, scorer.n_steps), min))
        for solution in solutions
    ]
    return sound, scored(scorer, solutions)


def scored(scorer: SimulatedStepScorer, solutions: Sequence[Solution]) -> list[list[float]]:
    async def asked() -> list[list[float]]:
        s = session(Simulated(scorer.population, steps=scorer.n_steps))
        s.verifier = scorer
        return await s.score_steps(solutions)

    return run(asked)


def test_a_perfect_scorer_says_whether_all_is_right_up_to_a_step() -> None:
    sound, scores = drawn_and_scored(SimulatedStepScorer(population=Population(p=0.3), n_steps=5), 200)
    assert scores == [[float(right) for right in row] for row in sound]
    assert any(0 < sum(row) < 5 for row in sound)


def test_a_scorer_errs_as_often_as_it_is_told_to() -> None:
    sound, scores = drawn_and_scored(
        SimulatedStepScorer(population=Population(p=0.3), n_steps=5, tpr=0.9, fpr=0.2), 800
    )
    pairs = [pair for rows in zip(sound, scores, strict=True) for pair in zip(*rows, strict=True)]
    for which, rate in ((True, 0.9), (False, 0.2)):
        passed = [score for right, score in pairs if right is which]
        assert set(passed) == {0.0, 1.0}
        assert abs(fmean(passed) - rate) <= allowed(rate, len(passed))


@pytest.mark.parametrize("noise", ["gaussian", "t3"])
def test_noise_has_its_scale_its_signal_and_its_tails(noise: Literal["gaussian", "t3"]) -> None:
    population = Population(p=0.3)
    scorer = SimulatedStepScorer(population=population, n_steps=5, noise=noise, scale=2.0, signal=3.0)
    sound, scores = drawn_and_scored(scorer, 800)
    pairs = [pair for rows in zip(sound, scores, strict=True) for pair in zip(*rows, strict=True)]
    normal = NormalDist()
    beyond = {"gaussian": 2 * (1 - normal.cdf(3)), "t3": 0.0577}[noise]  # P(|noise| > 3)
    for which, centre in ((True, 3.0), (False, 0.0)):
        errors = [(log(score / (1 - score)) - centre) / 2.0 for right, score in pairs if right is which]
        assert abs(fmean(e > 0 for e in errors) - 0.5) <= allowed(0.5, len(errors))
        assert abs(fmean(abs(e) > 3 for e in errors) - beyond) <= allowed(beyond, len(errors))
        if noise == "gaussian":
            assert stdev(errors) == pytest.approx(1.0, rel=0.1)


def test_without_a_signal_a_score_knows_nothing() -> None:
    texts = [Solution((f"[{word:x}]",)) for word in range(50)]
    by_p = [
        scored(SimulatedStepScorer(population=Population(p=p), noise="gaussian", signal=0.0), texts) for p in (0.0, 1.0)
    ]
    assert by_p[0] == by_p[1]


def test_only_steps_without_a_score_are_scored_and_the_same_step_always_the_same() -> None:
    scorer = SimulatedStepScorer(population=Population(p=0.3), n_steps=3, noise="gaussian")
    whole = Solution(("[a1]", "[b2]", "[c3]"))
    (all_of_them,) = scored(scorer, [whole])
    assert len(set(all_of_them)) == 3
    for known in range(4):
        (rest,) = scored(scorer, [replace(whole, scores=(0.5,) * known)])
        assert rest == all_of_them[known:]
    other = SimulatedStepScorer(population=Population(p=0.3), n_steps=3, noise="gaussian", seed=1)
    assert not set(scored(other, [whole])[0]) & set(all_of_them)


def test_a_whole_candidate_is_worth_its_last_step_and_calls_are_charged() -> None:
    async def asked() -> tuple[float | None, int]:
        s = session(Simulated(scorer.population, steps=3))
        s.verifier = scorer
        candidate = await s.generate()
        (by_candidate,) = await s.score([candidate])
        ((*_, last),) = await s.score_steps([Solution.of(candidate.sample.text)])
        assert by_candidate.score == last
        return last, s._ledger.calls["reward"]

    scorer = SimulatedStepScorer(population=Population(), n_steps=3, noise="gaussian", calls=True)
    score, calls = run(asked)
    assert score is not None
    assert 0 < score < 1
    assert calls == 2
