"""Brackets, leagues and Swiss tournaments: who meets whom, who wins how often, and that no order of events matters."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from ttc.strategies import theory
from ttc.strategies.bracket import Bracket
from ttc.strategies.league_table import League
from ttc.strategies.swiss_pairing import SwissPairing
from ttc.strategies.tournament import Match, Tournament, alike_by, swap_consistency
from ttc.types import Candidate, Sample, TextAnswer

Make = Callable[[int, int], Tournament]


def candidate(answer: str | None, index: int = 0) -> Candidate:
    return Candidate(answer, Sample(text=answer or "", index=index))


def bracket(n: int, k: int = 1, seed: int = 0) -> Bracket:
    return Bracket(n, k, answer_type=TextAnswer(), rng=random.Random(seed))


def league(n: int, k: int = 4, seed: int = 0, *, redraw: bool = False) -> League:
    return League(n, k, answer_type=TextAnswer(), rng=random.Random(seed), redraw=redraw)


def swiss(n: int, rounds: int = 3, seed: int = 0, k: int = 1) -> SwissPairing:
    return SwissPairing(n, rounds, k, answer_type=TextAnswer(), rng=random.Random(seed))


ALL: dict[str, Make] = {
    "bracket": lambda n, seed: bracket(n, seed=seed, k=2),
    "league": lambda n, seed: league(n, seed=seed),
    "league, redrawn": lambda n, seed: league(n, seed=seed, redraw=True),
    "swiss": lambda n, seed: swiss(n, seed=seed),
}
every = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


def seat(tournament: Tournament, answers: Sequence[str | None]) -> list[Candidate]:
    """Let candidates with these answers take the seats in order."""
    candidates = [candidate(answer, i) for i, answer in enumerate(answers)]
    for i, one in enumerate(candidates):
        tournament.enter(i, one)
    return candidates


def play(tournament: Tournament, judge: Callable[[Match], float]) -> list[Match]:
    """Play until nobody is left to play, and return the matches in the order of their play."""
    played: list[Match] = []
    while matches := tournament.ready():
        for match in matches:
            while not match.decided:
                match.tell(judge(match), a_first=len(match.verdicts) % 2 == 0)
            tournament.tell(match)
            played.append(match)
    return played


def champion_of(tournament: Tournament) -> Candidate:
    champion = tournament.champion()
    assert champion is not None
    return champion


def alphabetical(match: Match) -> float:
    """A judge that always prefers the answer that comes first in the alphabet."""
    return float((match.a.answer or "") < (match.b.answer or ""))


# -- matches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "verdicts", "played"), [(3, [1, 1, 0], 2), (4, [1, 1, 1, 0], 3), (3, [1, 0, 1], 3), (2, [0.5, 1], 2)]
)
def test_a_match_ends_when_the_rest_cannot_change_it(k: int, verdicts: list[float], played: int) -> None:
    match = Match(candidate("a"), candidate("b"), k)
    for verdict in verdicts:
        if not match.decided:
            match.tell(verdict, a_first=True)
    assert match.played == played
    assert match.winner is match.a


@pytest.mark.parametrize("lot", [True, False])
def test_a_tie_goes_by_the_lot_that_was_drawn_beforehand(lot: bool) -> None:
    match = Match(candidate("a"), candidate("b"), 2, lot=lot)
    match.tell(1, a_first=True)
    match.tell(0, a_first=False)
    assert match.score == 0.5
    assert match.winner is (match.a if lot else match.b)


def test_swap_consistency_counts_pairs_of_meetings_with_the_slots_swapped() -> None:
    a, b = candidate("a"), candidate("b")

    def meetings(*verdicts: tuple[float, bool]) -> Match:
        match = Match(a, b, len(verdicts))
        for won, a_first in verdicts:
            match.tell(won, a_first=a_first)
        return match

    assert swap_consistency([meetings((1, True), (1, False))]) == (1, 1)
    assert swap_consistency([meetings((1, True), (0, False))]) == (1, 0)  # it always takes the first slot
    assert swap_consistency([meetings((1, True), (1, True))]) == (0, 0)  # one order says nothing
    assert swap_consistency([meetings((1, True), (0.5, False))]) == (0, 0)  # an unreadable verdict says nothing
    assert swap_consistency([meetings((1, True), (1, False), (0, True), (1, False), (1, True))]) == (2, 1)
    mirrored = Match(b, a, 1, stage=2)  # as in a league, where either may draw the other
    mirrored.tell(0, a_first=True)
    assert swap_consistency([mirrored, meetings((1, True))]) == (1, 1)


def test_no_answer_is_like_nothing_and_each_pair_is_compared_once() -> None:
    asked: list[tuple[str, str]] = []

    class Numbers(TextAnswer):
        def key(self, answer: str) -> str:
            return "" if answer == "?" else answer

        def equivalent(self, a: str, b: str) -> bool:
            asked.append((a, b))
            return {a, b} == {"1", "1.0"}

    alike = alike_by(Numbers())
    assert alike(candidate("1"), candidate("1.0"))
    assert alike(candidate("1.0"), candidate("1"))
    assert alike(candidate("2"), candidate("2"))
    assert asked == [("1", "1.0")]
    assert not alike(candidate("?"), candidate("?"))
    assert not alike(candidate(None), candidate(None))


# -- what holds for all ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [ALL["bracket"], ALL["swiss"]], ids=["bracket", "swiss"])
@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_the_best_of_distinct_answers_wins_under_a_perfect_judge(make: Make, n: int) -> None:
    for seed in range(10):
        tournament = make(n, seed)
        candidates = seat(tournament, "abcdefgh"[:n])
        play(tournament, alphabetical)
        assert tournament.champion() is candidates[0]


@every
def test_nobody_without_an_answer_plays_or_wins(make: Make) -> None:
    for seed in range(20):
        tournament = make(6, seed)
        seat(tournament, [None, "x", None, None, "y", None])
        for match in play(tournament, alphabetical):
            assert {match.a.answer, match.b.answer} == {"x", "y"}
        assert champion_of(tournament).answer == "x"
    silent = make(3, 0)
    seat(silent, [None, None, None])
    assert silent.ready() == []
    assert silent.champion() is None
    assert silent.standing() == []


@every
def test_one_class_wins_without_a_call_once_all_seats_are_taken(make: Make) -> None:
    tournament = make(4, 0)
    for i in range(3):
        tournament.enter(i, candidate("x", i))
    assert tournament.champion() is None  # somebody else may still come
    tournament.enter(3, None)
    assert tournament.ready() == []
    assert champion_of(tournament).answer == "x"


@every
def test_a_match_starts_while_seats_are_still_empty(make: Make) -> None:
    started = 0
    for seed in range(20):
        tournament = make(8, seed)
        for i in range(6):
            tournament.enter(i, candidate("abcdef"[i], i))
        started += bool(tournament.ready())
    assert started == 20


@every
def test_no_order_of_events_changes_anything_but_the_order(make: Make) -> None:
    """The same seed gives the same matches and the same champion, however candidates arrive and matches end."""
    answers = ["a", "b", None, "b", "c", "a", "d", "b", "c"]
    for seed in range(15):
        seen: set[tuple[object, ...]] = set()
        for order in range(6):
            events = random.Random(order)
            tournament = make(len(answers), seed)
            waiting = events.sample(range(len(answers)), len(answers))
            running: list[Match] = []
            results: dict[tuple[int, int], tuple[int, int]] = {}
            while waiting or running:
                if waiting and (not running or events.random() < 0.5):
                    i = waiting.pop()
                    tournament.enter(i, candidate(answers[i], i))
                else:
                    match = running.pop(events.randrange(len(running)))
                    while not match.decided:  # a verdict depends on the match alone
                        match.tell(random.Random(f"{match.stage} {match.number} {match.played}").choice((0, 0.5, 1)))
                    tournament.tell(match)
                running += (ready := tournament.ready())
                for match in ready:
                    assert (match.stage, match.number) not in results
                    results[match.stage, match.number] = (match.a.sample.index, match.b.sample.index)
            by_stage = [
                (tournament.champion(stage), [c.sample.index for c in tournament.standing(stage)])
                for stage in range(1, tournament.stages_closed + 1)
            ]
            stages = tuple((c and c.sample.index, tuple(still)) for c, still in by_stage)
            seen.add((champion_of(tournament).sample.index, tuple(sorted(results.items())), stages))
        assert len(seen) == 1


@every
def test_what_was_so_when_a_stage_closed_stays_so(make: Make) -> None:
    for seed in range(5):
        tournament = make(8, seed)
        seat(tournament, "abcabdbe")
        then: list[tuple[Candidate | None, list[Candidate]]] = []
        while matches := tournament.ready():
            for match in matches:
                while not match.decided:
                    match.tell(alphabetical(match), a_first=True)
                tournament.tell(match)
                for stage in range(len(then) + 1, tournament.stages_closed + 1):
                    then.append((tournament.champion(stage), tournament.standing(stage)))
        assert then == [(tournament.champion(s), tournament.standing(s)) for s in range(1, len(then) + 1)]
        assert then[-1][0] is tournament.champion()
        assert len(then[-1][1]) <= len(then[0][1])


@every
def test_matches_are_handed_out_once_in_the_order_of_stage_and_number(make: Make) -> None:
    tournament = make(8, 3)
    seat(tournament, "abcdefgh")
    matches = tournament.ready()
    assert tournament.ready() == []
    assert [(m.stage, m.number) for m in matches] == sorted({(m.stage, m.number) for m in matches})


# -- knockout ----------------------------------------------------------------------------------------------------------


def test_an_odd_one_has_a_bye_and_plays_first_in_the_next_round() -> None:
    tournament = bracket(5)
    seat(tournament, "abcde")
    first = tournament.ready()
    assert len(first) == 2
    spared = set("abcde") - {m.a.answer for m in first} - {m.b.answer for m in first}
    for match in first:
        match.tell(1, a_first=True)
        tournament.tell(match)
    (second,) = tournament.ready()
    assert tournament.stages_closed == 1
    assert second.stage == 2
    assert second.a.answer in spared
    assert len(tournament.standing()) == 3


def test_a_pair_of_one_class_advances_without_a_meeting_and_is_not_merged() -> None:
    for seed in range(10):
        tournament = bracket(4, seed=seed)
        seat(tournament, "xxxy")
        (first,) = tournament.ready()
        assert {first.a.answer, first.b.answer} == {"x", "y"}
        assert len(tournament.standing()) == 3  # one x is out, beaten by another; the third still plays y


def test_a_round_is_closed_only_with_all_before_it() -> None:
    tournament = bracket(8)
    seat(tournament, "abcdefgh")
    first = tournament.ready()
    for match in first[:2]:
        match.tell(1, a_first=True)
        tournament.tell(match)
    (semifinal,) = tournament.ready()
    semifinal.tell(1, a_first=True)
    tournament.tell(semifinal)
    assert tournament.stages_closed == 0
    for match in first[2:]:
        match.tell(1, a_first=True)
        tournament.tell(match)
    assert tournament.stages_closed == 1


def share_wrong(make: Make, n: int, *, p: float, q: float, repeats: int) -> float:
    """How often a tournament of candidates that are right with p ends wrong under a judge that is right with q."""
    wrong = 0
    for seed in range(repeats):
        draw = random.Random(f"games {seed}")
        tournament = make(n, seed)
        seat(tournament, ["right" if draw.random() < p else "wrong" for _ in range(n)])
        play(tournament, lambda m, draw=draw: float((draw.random() < q) == (m.a.answer == "right")))
        wrong += champion_of(tournament).answer == "wrong"
    return wrong / repeats


def within_error(found: float, exact: float, repeats: int) -> bool:
    return abs(found - exact) < 4 * (exact * (1 - exact) / repeats) ** 0.5


@pytest.mark.parametrize(("n", "k"), [(8, 1), (8, 3), (8, 4), (11, 1), (13, 3), (16, 3)])
def test_a_bracket_fails_as_often_as_the_recursion_says(n: int, k: int) -> None:
    found = share_wrong(lambda n, seed: bracket(n, k, seed), n, p=0.2, q=0.7, repeats=2000)
    assert within_error(found, theory.knockout_failure(n, k, p=0.2, q=0.7), 2000)


# -- league ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k", "redraw"), [(16, 16, False), (7, 3, False), (8, 4, True), (7, 3, True)])
def test_a_league_fails_as_often_as_its_closed_form_says(n: int, k: int, redraw: bool) -> None:
    found = share_wrong(lambda n, seed: league(n, k, seed, redraw=redraw), n, p=0.2, q=0.7, repeats=1000)
    exact = theory.league_failure(n, k, p=0.2, q=0.7, same="redraw" if redraw else "coin")
    assert within_error(found, exact, 1000)


def test_opponents_are_drawn_evenly_with_replacement_and_never_oneself_or_an_empty_seat() -> None:
    drawn: Counter[tuple[int, int]] = Counter()
    for seed in range(200):
        tournament = league(5, k=6, seed=seed)
        seat(tournament, ["a", "b", None, "c", "d"])
        drawn.update((m.a.sample.index, m.b.sample.index) for m in tournament.ready())
    taken = [0, 1, 3, 4]
    assert set(drawn) == {(i, j) for i in taken for j in taken if i != j}
    expected = 200 * 6 / 3
    assert all(abs(count - expected) < 4 * (expected * 2 / 3) ** 0.5 for count in drawn.values())


def test_a_meeting_within_a_class_is_a_coin_or_drawn_again() -> None:
    coins = league(4, k=8)
    seat(coins, "xxyy")
    assert all(m.a.answer != m.b.answer for m in coins.ready())
    again = league(4, k=8, redraw=True)
    seat(again, "xxyy")
    assert len(again.ready()) == 4 * 8  # each of them against the other class


def test_a_league_ends_when_nobody_can_overtake_the_leader() -> None:
    tournament = league(4, k=20, redraw=True)
    seat(tournament, "abcd")
    matches = tournament.ready()
    told = 0
    while tournament.champion() is None:
        match = matches[told]
        match.tell(alphabetical(match), a_first=True)
        tournament.tell(match)
        told += 1
    assert told < len(matches) == 80
    assert champion_of(tournament).answer == "a"


def test_stage_j_of_a_league_is_over_when_everybody_met_j_opponents() -> None:
    tournament = league(4, k=3)
    seat(tournament, "abcd")
    for told, match in enumerate(tournament.ready(), start=1):
        match.tell(0.5, a_first=True)
        tournament.tell(match)
        assert tournament.stages_closed == told // 4


# -- swiss -------------------------------------------------------------------------------------------------------------


def rounds_of(matches: Sequence[Match]) -> list[set[frozenset[str | None]]]:
    stages = sorted({m.stage for m in matches})
    return [{frozenset((m.a.answer, m.b.answer)) for m in matches if m.stage == s} for s in stages]


def test_winners_meet_winners_and_nobody_twice() -> None:
    for seed in range(20):
        tournament = swiss(8, rounds=3, seed=seed)
        candidates = seat(tournament, "abcdefgh")
        matches = play(tournament, alphabetical)
        rounds = rounds_of(matches)
        assert all(len(pairs) == 4 for pairs in rounds[:2])
        assert len({pair for pairs in rounds for pair in pairs}) == sum(map(len, rounds))
        won = {m.winner.answer for m in matches if m.stage == 1}
        assert all(len(pair & won) != 1 for pair in rounds[1])
        assert tournament.champion() is candidates[0]  # 2^3 = 8: the only one with three wins


@pytest.mark.parametrize("n", [4, 6])
def test_nobody_meets_twice_in_half_as_many_rounds_as_candidates(n: int) -> None:
    """A tie in every match keeps it open to the end; who has met is swapped away as long as that is possible."""
    for seed in range(10):
        tournament = swiss(n, rounds=n // 2, seed=seed)
        seat(tournament, "abcdef"[:n])
        matches = play(tournament, lambda m: 0.5)
        rounds = rounds_of(matches)
        assert len({pair for pairs in rounds for pair in pairs}) == len(matches) == n // 2 * (n // 2)


def test_an_odd_one_is_spared_once_and_that_is_worth_a_win() -> None:
    for seed in range(10):
        tournament = swiss(5, rounds=5, seed=seed)
        seat(tournament, "abcde")
        pairs = rounds_of(play(tournament, lambda m: 0.5))
        spared = [(set("abcde") - set().union(*round_)).pop() for round_ in pairs]
        assert sorted(spared) == list("abcde")


def test_more_rounds_and_more_comparisons_fail_less_often() -> None:
    few, many = (
        share_wrong(lambda n, seed, r=r, k=k: swiss(n, rounds=r, seed=seed, k=k), 8, p=0.3, q=0.8, repeats=400)
        for r, k in ((1, 1), (5, 3))
    )
    assert many + 4 * (0.25 / 400) ** 0.5 < few
