"""Votes, stop rules, and what each strategy returns."""

from __future__ import annotations

import random
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc.errors import ConfigurationError
from ttc.models.scripted import Scripted
from ttc.solve import solve
from ttc.strategies.majority import Majority
from ttc.strategies.vote import Vote, leads_beyond_doubt, log_odds
from ttc.types import Candidate, Query, Request, Sample, TextAnswer


def candidate(answer: str | None, index: int = 0, score: float | None = None) -> Candidate:
    return Candidate(answer, Sample(text=answer or "", index=index), score)


class Mod10:
    """Numbers are the same when they agree modulo ten, or when they are 1 and 2: equivalence by pairs."""

    name = "mod10"
    cue = ""

    def extract(self, text: str) -> str | None:
        return text or None

    def concludes(self, text: str) -> bool:
        return self.extract(text) is not None

    def key(self, answer: str) -> str:
        return str(int(answer) % 10)

    def equivalent(self, a: str, b: str) -> bool:
        return {self.key(a), self.key(b)} in ({"1", "2"}, {"2", "3"})


def test_votes_are_cast_on_classes_and_equivalence_is_transitive() -> None:
    vote = Vote(Mod10(), random.Random(0))
    for i, answer in enumerate(["1", "3", "11", "2", "4"]):
        vote.add(candidate(answer, i))
    assert vote.counts() == [4, 1]  # 2 joins the classes of 1 and 3
    leader = vote.leader()
    assert leader is not None
    assert [c.answer for c in leader.members] == ["1", "3", "11", "2"]


def test_abstentions_never_win() -> None:
    vote = Vote(TextAnswer(), random.Random(0))
    for answer in (None, None, None, "a"):
        vote.add(candidate(answer))
    leader = vote.leader()
    assert leader is not None
    assert leader.members[0].answer == "a"
    assert vote.agreement() == 0.25


def test_ties_break_by_score_and_then_by_a_seeded_lot() -> None:
    scored = Vote(TextAnswer(), random.Random(0))
    scored.add(candidate("first", 0, 0.2))
    scored.add(candidate("second", 1, 0.9))
    assert scored.leader() is scored.classes[1]
    wins = 0
    for seed in range(400):
        vote = Vote(TextAnswer(), random.Random(seed))
        vote.add(candidate("first"))
        vote.add(candidate("second"))
        wins += vote.leader() is vote.classes[0]
    assert 150 < wins < 250  # neither the first to arrive nor the last


def test_the_best_scored_member_speaks_for_its_class() -> None:
    vote = Vote(TextAnswer(), random.Random(0))
    for i, (answer, score) in enumerate([("a", None), ("A", 0.2), ("a ", 0.7), ("a", 0.7)]):
        vote.add(candidate(answer, i, score))
    assert vote.classes[0].best.sample.index == 2
    plain = Vote(TextAnswer(), random.Random(0))
    for i in range(3):
        plain.add(candidate("a", i))
    assert plain.classes[0].best.sample.index == 0


BALLOTS = st.lists(st.tuples(st.sampled_from([None, *"1234567", "11", "12"]), st.floats(-1, 1)), max_size=30)


@given(ballots=BALLOTS, remaining=st.integers(0, 5))
def test_what_is_kept_by_increments_is_what_a_recount_finds(
    ballots: list[tuple[str | None, float]], remaining: int
) -> None:
    vote = Vote(Mod10(), random.Random(0))
    for i, (answer, weight) in enumerate(ballots):
        vote.add(candidate(answer, i, abs(weight)), weight=weight)
        # the rival that is remembered must not outlive a fall of the leader, or a join
        vote.certain(remaining)
        leader = max(vote.classes, key=lambda c: c.standing, default=None)
        assert vote.leader() is leader
        others = [c.weight for c in vote.classes if c is not leader]
        beaten = leader is not None and leader.weight > max([0.0, *others]) + remaining
        assert vote.certain(remaining) == beaten
        members = [m for c in vote.classes for m in c.members]
        assert len(members) + vote.abstained == i + 1
        for c in vote.classes:
            assert c.weight == pytest.approx(sum(ballots[m.sample.index][1] for m in c.members))
            assert vote.unanimous(c.members)
            assert not vote.unanimous([*c.members, candidate(None)])
        assert len(vote.classes) < 2 or not vote.unanimous(members)


@given(
    ballots=st.lists(st.tuples(st.sampled_from([None, *"abc"]), st.floats(-1, 1)), min_size=1, max_size=12),
    plain=st.booleans(),
)
def test_a_certain_leader_is_never_overtaken(ballots: list[tuple[str | None, float]], plain: bool) -> None:
    vote, sure = Vote(TextAnswer(), random.Random(0)), None
    for i, (answer, weight) in enumerate(ballots):
        vote.add(candidate(answer, i), weight=1.0 if plain else weight)
        if sure is None and vote.certain(len(ballots) - i - 1):
            sure = vote.leader()
    assert sure is None or vote.leader() is sure


def test_a_leader_of_negative_weight_is_never_certain() -> None:
    vote = Vote(TextAnswer(), random.Random(0))
    vote.add(candidate("a"), weight=-0.5)
    leader = vote.leader()
    assert leader is not None
    assert leader.best.answer == "a"
    assert not vote.certain(1)
    assert vote.share() == 0.0


def test_a_share_is_one_of_what_speaks_for_answers() -> None:
    vote = Vote(TextAnswer(), random.Random(0))
    for answer, weight in (("a", 3.0), ("b", 1.0), ("c", -5.0), (None, 1.0)):
        vote.add(candidate(answer), weight=weight)
    assert vote.share() == 0.75


class Counting(TextAnswer):
    """Counts what is asked of it."""

    asked = 0

    def key(self, answer: str) -> str:
        Counting.asked += 1
        return super().key(answer)


def test_an_answer_is_looked_into_once_however_often_it_is_given() -> None:
    vote = Vote(Counting(), random.Random(0))
    for i in range(1000):
        vote.add(candidate("ab"[i % 2], i))
    assert Counting.asked <= 4  # a key each, and one comparison of the two
    assert vote.counts() == [500, 500]


def test_log_odds_are_clamped_and_odd() -> None:
    assert log_odds(0.9) == pytest.approx(log(9))
    assert log_odds(0.3) == pytest.approx(-log_odds(0.7))
    assert log_odds(1.0) == pytest.approx(log(99))


@pytest.mark.parametrize(("first", "second"), [(4, 0), (6, 1), (8, 2), (9, 3)])
def test_boundaries_of_the_beta_stop(first: int, second: int) -> None:
    assert leads_beyond_doubt(first, second, 0.95)
    assert not leads_beyond_doubt(first - 1, second, 0.95)


def expected_samples(p: float, n: int, *, certain: bool) -> tuple[float, float]:
    """Exact E[samples] and accuracy of the beta stop on binary answers, by going through all states."""
    states, spent, right = {(0, 0): 1.0}, 0.0, 0.0
    for drawn in range(1, n + 1):
        following: dict[tuple[int, int], float] = {}
        for (good, bad), mass in states.items():
            for state, chance in (((good + 1, bad), p), ((good, bad + 1), 1 - p)):
                a, b = max(state), min(state)
                vote_is_certain = certain and a > b + n - drawn
                if drawn == n or vote_is_certain or leads_beyond_doubt(a, b, 0.95):
                    spent += mass * chance * drawn
                    right += mass * chance * (1.0 if state[0] > state[1] else 0.5 if state[0] == state[1] else 0.0)
                else:
                    following[state] = following.get(state, 0.0) + mass * chance
        states = following
    return spent, right


@pytest.mark.parametrize(
    ("p", "samples", "accuracy"),
    [(1, 4, 1), (0.9, 5.622, 0.9999), (0.8, 8.718, 0.9981), (0.7, 15.114, 0.9851), (0.6, 24.161, 0.8756)],
)
def test_published_cost_and_accuracy_of_the_beta_stop(p: float, samples: float, accuracy: float) -> None:
    spent, right = expected_samples(p, 40, certain=False)
    assert spent == pytest.approx(samples, abs=5e-4)
    assert right == pytest.approx(accuracy, abs=5e-5)


@pytest.mark.parametrize(("p", "samples"), [(0.8, 8.696), (0.7, 14.724), (0.6, 23.084)])
def test_cost_of_the_beta_stop_beside_the_certain_stop(p: float, samples: float) -> None:
    assert expected_samples(p, 40, certain=True)[0] == pytest.approx(samples, abs=5e-4)


def coin(p: float) -> Scripted:
    """Right with probability p, else wrong; a comparison prefers the right one with probability .7."""

    def reply(request: Request) -> str:
        draw = random.Random(request.seed)
        if not request.choices:
            return "right" if draw.random() < p else "wrong"
        a, b = request.messages[0]["content"].split("Solution B:")
        if ("right" in a.split("Solution A:")[1]) == ("right" in b):
            return draw.choice("AB")
        better = "A" if "right" in a.split("Solution A:")[1] else "B"
        return better if draw.random() < 0.7 else "BA"["AB".index(better)]

    return Scripted(reply, in_flight=1000)


async def share_right(spec: str, p: float, repeats: int) -> float:
    model = coin(p)
    right = 0
    for i in range(repeats):
        outcome = await solve(Query.of(f"q{i}"), spec, model, comparator="judge")
        right += outcome.answer == "right"
    return right / repeats


@pytest.mark.anyio
@pytest.mark.parametrize(("n", "exact"), [(5, 0.6826), (17, 0.8011)])
async def test_majority_of_n_is_right_as_often_as_the_binomial_says(n: int, exact: float) -> None:
    repeats = 1500
    found = await share_right(f"majority:n={n}", 0.6, repeats)
    assert abs(found - exact) < 4 * (exact * (1 - exact) / repeats) ** 0.5


@pytest.mark.anyio
async def test_the_certain_stop_loses_nothing_and_saves_calls() -> None:
    outcomes = []
    for stop in ("certain", "never"):
        model = coin(0.8)
        answers = [
            (await solve(Query.of(f"q{i}"), f"majority:n=9,wave=1,stop={stop}", model)).answer for i in range(200)
        ]
        outcomes.append((answers, len(model.requests)))
    assert outcomes[0][0] == outcomes[1][0]
    assert outcomes[0][1] < outcomes[1][1] == 1800


@pytest.mark.anyio
@pytest.mark.parametrize(("n", "k", "fail"), [(8, 1, 0.5683), (8, 3, 0.4548), (16, 1, 0.4702)])
async def test_knockout_fails_as_often_as_the_recursion_says(n: int, k: int, fail: float) -> None:
    repeats = 1000
    found = 1 - await share_right(f"knockout:n={n},k={k}", 0.2, repeats)
    assert abs(found - fail) < 4 * (fail * (1 - fail) / repeats) ** 0.5


@pytest.mark.anyio
async def test_knockout_alternates_the_slots_of_a_pair() -> None:
    seen: list[str] = []

    def reply(request: Request) -> str:
        if request.choices:
            seen.append(request.messages[0]["content"])
            return "A"  # a judge that always takes the first slot
        return "left" if request.index == 0 else "right"

    wins = []
    for i in range(60):
        outcome = await solve(Query.of(f"q{i}"), "knockout:n=2,k=2", Scripted(reply), comparator="judge")
        wins.append(outcome.answer)
        assert outcome.calls["judge"] == 2
    firsts = [text.index("left") < text.index("right") for text in seen]
    assert all(a != b for a, b in zip(firsts[::2], firsts[1::2], strict=True))
    assert 10 < wins.count("left") < 50  # a split pair is a tie, drawn by lot
    assert 10 < firsts[::2].count(True) < 50  # and which of them is first is drawn too


@pytest.mark.anyio
async def test_adaptive_spends_by_agreement_and_hands_its_probe_on() -> None:
    def model(answers: str) -> Scripted:
        return Scripted(lambda r: answers[r.index % len(answers)], in_flight=1)

    easy = await solve("?", "adaptive", model("a"))
    assert (easy.answer, easy.calls, easy.ended_by) == ("a", {"probe": 4}, "stopped_early")
    medium = await solve("?", "adaptive", model("aaba"))
    assert medium.calls["probe"] == 4
    assert 1 <= medium.calls["generate"] <= 4
    hard = await solve("?", "adaptive", model("abcd"))
    assert hard.calls == {"probe": 4, "generate": 12}
    noted = [next(e for e in o.trace if e["event"] == "difficulty") for o in (easy, medium, hard)]
    assert [e["p"] for e in noted] == [1.0, 0.75, 0.25]
    assert [e["strategy"] for e in noted] == ["the probe's answer", "majority:n=8", "majority:n=16,stop=beta"]
    assert all(e["policy"].startswith("uncalibrated") for e in noted)


@pytest.mark.anyio
async def test_an_early_decision_stops_what_is_in_flight() -> None:
    model = Scripted(
        lambda r: "same" if r.index < 9 else " ".join(["long"] * 10_000), latency=lambda r: 0.0, in_flight=64
    )
    outcome = await solve("?", "majority:n=16", model)
    assert outcome.ended_by == "stopped_early"
    assert model.running == 0
    assert outcome.generated_tokens < 16 * 1024


def test_a_wrong_parameter_of_an_object_is_one_clear_error() -> None:
    with pytest.raises(ConfigurationError, match="'majority': n=0: must be 1 to 4096"):
        Majority(n=0)
    with pytest.raises(ConfigurationError, match=r"unknown parameter 'm' of strategy 'majority'\. Did you mean 'n'"):
        Majority(m=4)  # pyright: ignore[reportCallIssue]
