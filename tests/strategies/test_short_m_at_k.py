"""short-m@k: the first finishers vote, the rest is cut, and what that selects for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ttc.budget import Budget
from ttc.errors import ConfigurationError
from ttc.models.population import Population
from ttc.models.scripted import Scripted
from ttc.models.simulated import Latency, Lengths, Simulated
from ttc.models.virtual_clock import run
from ttc.solve import solve
from ttc.strategies.theory import binomial, majority_accuracy
from ttc.strategy import make_strategy
from ttc.types import Query, Request, Sample, Sampling


class LastWord:
    """The last word is the answer, unless it is a filler."""

    name = "last_word"
    cue = ""

    def extract(self, text: str) -> str | None:
        word = (text.split() or ["so"])[-1]
        return None if word == "so" else word

    def concludes(self, text: str) -> bool:
        return self.extract(text) is not None

    def key(self, answer: str) -> str:
        return answer

    def equivalent(self, a: str, b: str) -> bool:
        return a == b


def query(text: str = "?") -> Query:
    return Query.of(text, answer_type=LastWord())


def says(samples: Sequence[tuple[int, str]], *, late: Sequence[int] = ()) -> Scripted:
    """Samples of so many tokens, the last one of them the answer; those that are late start when others are done."""

    def reply(request: Request) -> str:
        tokens, answer = samples[request.index]
        return " ".join(["so"] * (tokens - 1) + [answer])

    return Scripted(reply, latency=lambda r: 0.05 if r.index in late else 0.0)


@pytest.mark.anyio
async def test_the_first_m_vote_and_the_rest_is_cut() -> None:
    model = says([(400, "x"), (3, "a"), (400, "x"), (5, "b"), (4, "a"), (400, "x")])
    outcome = await solve(query(), "short_m_at_k:k=6,m=3", model)
    assert (outcome.answer, outcome.ended_by) == ("a", "stopped_early")
    assert outcome.checkpoints[-1].samples == 3
    assert model.running == 0
    assert model.generated <= outcome.generated_tokens < 100
    assert outcome.total_usage.upper_bound  # nobody says how far those got that were cut


@pytest.mark.anyio
async def test_all_of_k_are_started_at_once() -> None:
    seen: list[int] = []
    model = Scripted(lambda r: seen.append(model.running) or "a")
    await solve(query(), "short_m_at_k:k=5,m=1", model)
    assert max(seen) == 5


@pytest.mark.anyio
async def test_ties_go_to_the_shortest() -> None:
    model = says([(9, "late"), (7, "a"), (3, "b")], late=[2])  # b finishes last, and is the shortest
    outcome = await solve(query(), "short_m_at_k:k=3,m=3", model)
    assert outcome.answer == "b"
    assert outcome.ended_by == "finished"  # there was nobody to cut


@pytest.mark.anyio
async def test_thoughts_are_measured_where_there_are_any() -> None:
    def reply(request: Request) -> Sample:
        thought, said = [(2, 9), (6, 1)][request.index]
        return Sample(reasoning="hm " * thought, text=" ".join(["so"] * (said - 1) + ["ab"[request.index]]))

    assert (await solve(query(), "short_m_at_k:k=2,m=2", Scripted(reply))).answer == "a"


@pytest.mark.anyio
async def test_equal_lengths_are_drawn_by_lot() -> None:
    wins = 0
    for i in range(200):
        wins += (await solve(query(f"q{i}"), "short_m_at_k:k=2,m=2", says([(3, "a"), (3, "b")]))).answer == "a"
    assert 72 < wins < 128  # 4 standard errors


@pytest.mark.anyio
async def test_who_finishes_without_an_answer_counts_and_abstains() -> None:
    model = says([(2, "so"), (3, "so"), (6, "a"), (300, "b")])
    two = await solve(query(), "short_m_at_k:k=4,m=2", model)
    assert (two.answer, two.checkpoints[-1].samples) == (None, 2)
    three = await solve(query(), "short_m_at_k:k=4,m=3", says([(2, "so"), (3, "so"), (6, "a"), (300, "b")]))
    assert three.answer == "a"


@pytest.mark.anyio
async def test_what_the_budget_cut_has_not_finished() -> None:
    model = says([(100, "a"), (200, "x"), (200, "x"), (200, "x")])
    outcome = await solve(
        "?",  # a text is an answer however short it was cut
        "short_m_at_k:k=4,m=2",
        model,
        budget=Budget(generated_tokens=150),
        sampling=Sampling(max_tokens=256, force_answer=0),
    )
    assert outcome.checkpoints[-1].samples > 1
    assert outcome.text.endswith(" a")  # and not the shorter one that was cut
    assert model.generated <= outcome.generated_tokens <= 150
    nobody = await solve(
        "?",
        "short_m_at_k:k=4,m=2",
        says([(200, "x")] * 4),
        budget=Budget(generated_tokens=50),
        sampling=Sampling(max_tokens=256, force_answer=0),
    )
    assert nobody.answer is not None  # where nobody has finished, what was cut is better than nothing


@pytest.mark.anyio
async def test_more_finishers_than_samples_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="m=5: must be 1 to k=4"):
        make_strategy("short_m_at_k:k=4,m=5")
    assert make_strategy("short_m_at_k:k=9,m=3").spec == "short_m_at_k:k=9"


@pytest.mark.parametrize("m", [1, 3, 5])
def test_it_selects_for_short_samples_and_means_to(m: int) -> None:
    """Where right samples are short it wins, and where they are long it loses; a vote in issue order does neither."""
    p, k, problems = 0.4, 9, 500
    mass = binomial(k, p)
    most = m // 2 + 1
    exact = {
        "short": float(mass[most:].sum()),  # so many right ones are there, and come first
        "long": float(mass[k - m + most :].sum()),  # right ones are among the m only where wrong ones are too few
        "alike": majority_accuracy(m, p),
    }
    lengths = {"short": (0.25, 1.0), "long": (1.0, 0.25), "alike": (1.0, 1.0)}
    for how, (right, wrong) in lengths.items():
        population = Population(p=p)
        sigma = 0.3 if how == "alike" else 0.0
        model = Simulated(
            population, lengths=Lengths(mean=200, sigma=sigma, right=right, wrong=wrong), latency=Latency()
        )

        async def accuracy(population: Population = population, model: Simulated = model) -> float:
            found = 0
            for q in population.queries(problems):
                found += population.is_right(q, (await solve(q, f"short_m_at_k:k={k},m={m}", model)).answer)
            return found / problems

        assert abs(run(accuracy) - exact[how]) <= 4 * (exact[how] * (1 - exact[how]) / problems) ** 0.5, how
