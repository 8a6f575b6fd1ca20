"""Holds a tournament: draws the candidates, lets matches start as soon as both sides are there, and proposes."""

from __future__ import annotations

import anyio
import anyio.abc

from ttc.errors import BudgetExhausted
from ttc.session import Session
from ttc.strategies.entrants import draw_entrants
from ttc.strategies.tournament import Match, Tournament, swap_consistency
from ttc.strategies.vote import Vote
from ttc.types import Candidate

__all__ = ["hold"]


async def hold(
    tournament: Tournament, session: Session, n: int, *, each: str | None, models: str, by_vote: bool = False
) -> None:
    """Hold a tournament of n seats, and propose the best so far all along.

    While candidates are drawn that is their majority; when a stage closes it is who leads the table, or with
    ``by_vote`` the majority of those who can still win. Matches run at once, each in a branch that is merged when its
    stage closes, so that nothing depends on which call is the faster one.

    Args:
        tournament: pure state, driven here.
        session: what to draw and compare with.
        n: seats.
        each: the spec of a strategy that decides each seat; None: one sample a seat.
        models: names of a fleet's models, joined by ``+``, which take the seats in turn.
        by_vote: the proposal at the end of a stage is a vote.

    Raises:
        BudgetExhausted: the budget ended in the middle of a stage; the last proposal stands.
    """
    arena = _Arena(tournament, session, by_vote=by_vote)
    async with anyio.create_task_group() as group:
        arena.group = group
        await draw_entrants(session, n, each=each, models=models, enter=arena.enter)
        arena.full = True
        arena.go_on()
        await arena.over.wait()
        group.cancel_scope.cancel()  # decided: what is still being compared changes nothing
    if arena.refused:
        raise BudgetExhausted("the budget ended in the middle of a stage: the last proposal stands")


class _Arena:
    """One tournament under way."""

    group: anyio.abc.TaskGroup

    def __init__(self, tournament: Tournament, session: Session, *, by_vote: bool) -> None:
        self.tournament = tournament
        self.session = session
        self.by_vote = by_vote
        self.vote = Vote(session.query.answer_type, session.rng)
        self.matches: list[tuple[Match, Session]] = []
        self.running = 0
        self.stage = 0
        self.full = False
        self.refused = False
        self.over = anyio.Event()

    def enter(self, seat: int, candidate: Candidate | None) -> None:
        if candidate is not None:
            self.vote.add(candidate)
            leader = self.vote.leader()
            self.session.propose(leader.members[0] if leader else candidate)
        self.tournament.enter(seat, candidate)
        self.start()

    def start(self) -> None:
        for match in self.tournament.ready():
            branch = self.session.branch("match", match.stage, match.number)
            self.matches.append((match, branch))
            self.running += 1
            self.group.start_soon(self.play, match, branch)

    async def play(self, match: Match, branch: Session) -> None:
        try:
            while not (match.decided or self.refused):
                verdict = await branch.compare(match.a, match.b)
                match.tell(verdict.won, a_first=verdict.a_first)
        except* BudgetExhausted:  # its own, or one of the tasks that it ran
            self.refused = True  # no new calls; those under way finish
        self.running -= 1
        if match.decided:
            self.tournament.tell(match)
            if not self.refused:
                self.start()
        self.go_on()

    def go_on(self) -> None:
        """Close the stages that are over, and the tournament when it is."""
        if not self.full or self.over.is_set():
            return
        while self.stage < self.tournament.stages_closed and not self.over.is_set():
            self.stage += 1
            self.close()
        if not self.running and not self.over.is_set():
            self.end()

    def close(self) -> None:
        for match, branch in sorted(self.matches, key=lambda m: m[0].number):
            if match.stage == self.stage:
                facts = {"points": match.points, "played": match.played}
                self.session.merge(branch, "match", stage=match.stage, number=match.number, **facts)
        standing = self.tournament.standing(self.stage)
        self.session.note("stage", stage=self.stage, standing=[c.answer for c in standing])
        if self.by_vote:
            vote = Vote(self.session.query.answer_type, self.session.rng)
            for candidate in standing:
                vote.add(candidate)
            leader = vote.leader()
            standing = leader.members if leader else []
        if standing:
            self.session.propose(standing[0])
        champion = self.tournament.champion(self.stage)
        if champion is not None:
            self.session.propose(champion)
            self.end()

    def end(self) -> None:
        matches = [match for match, _ in self.matches]
        both, same = swap_consistency(matches)
        meetings = sum(match.played for match in matches)
        self.session.note("tournament", meetings=meetings, swap_pairs=both, swap_consistent=same)
        self.over.set()
