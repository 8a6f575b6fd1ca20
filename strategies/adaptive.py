"""The right compute per query: estimate how hard it is, pick a row of a policy, and run that."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, ClassVar

import orjson
from pydantic import Field, PrivateAttr

from ttc.adaptive.difficulty import AnyEstimator, read_estimator
from ttc.adaptive.pace import StopPace
from ttc.adaptive.policy import Policy, check_for
from ttc.adaptive.policy_rows import Escalation, Row
from ttc.adaptive.stopping import Confidence, LearnedStop
from ttc.adaptive.thinking import sampling_with
from ttc.budget import Budget
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.request import digest
from ttc.session import Session
from ttc.strategies.nested import NestedSpec, accepted_by, required_by
from ttc.strategies.vote import Vote
from ttc.strategy import Strategy, make_strategy
from ttc.types import Candidate, Query
from ttc.verifier import Verifier

__all__ = ["Adaptive"]


class Adaptive(Strategy):
    """Estimate P(one sample is correct), pick the row of the query's class and difficulty, and run its strategy.

    The estimate looks at the prompt, or at a probe of a few samples that are drawn first, charged, and handed on. A
    row's learned stop ends it where no further wave is worth its cost at the policy's going rate: when the answer is
    sure, and when the query is hopeless. Where the confidence stays low a row may escalate to another model or more
    thinking. ``ttc tune`` makes policies; without one a capped prior holds, which is tuned on nothing and says so: a
    probe of four, whose agreement stands for difficulty.
    """

    paper: ClassVar[str] = (
        "Snell et al. 2024, arXiv 2408.03314 (by difficulty); Damani et al. 2024, arXiv 2410.04707 (by marginal gain); "
        "stops by least-squares Monte Carlo: Longstaff and Schwartz 2001"
    )
    cost: ClassVar[str] = "the probe's calls + those of the row's strategy up to its stop, less the probe"

    policy: Path | None = Field(default=None, description="policy.toml, which ttc tune wrote; none: a capped prior")
    force: bool = Field(default=False, description="use a policy of another model or version all the same")
    probe: int = Field(default=4, ge=2, le=64, description="samples drawn first; of the prior")
    medium: NestedSpec = Field(default="majority:n=8", description="strategy where half of them agree; of the prior")
    hard: NestedSpec = Field(default="majority:n=16,stop=beta", description="strategy for the others; of the prior")

    _policy: Policy = PrivateAttr()
    _estimator: AnyEstimator | None = PrivateAttr()

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        if self.policy is None:
            self._policy = Policy.prior(probe=self.probe, medium=self.medium, hard=self.hard)
        elif prior := sorted(self.model_fields_set & {"probe", "medium", "hard"}):
            raise ConfigurationError(f"adaptive: {', '.join(prior)} are of the prior: leave them out beside a policy")
        else:
            self._policy = Policy.read(self.policy, force=self.force)
        found = self._policy.estimator
        self._estimator = read_estimator(orjson.dumps(found), where=f"{self.policy}: estimator") if found else None

    def requires(self) -> frozenset[str]:
        """What the strategies of the rows cannot work without."""
        return required_by(*self._specs()) | frozenset({"verifier"} if self._verifiers() else ())

    def accepts(self, verifier: Verifier | None) -> None:
        """Refuse a verifier that a strategy of a row cannot work with, or that the policy was not tuned with."""
        accepted_by(verifier, *self._specs())
        for name in self._verifiers():
            given = verifier.name if verifier is not None else "none"
            if name.partition(":")[0] != given.partition(":")[0]:
                raise ConfigurationError(
                    f"{self.policy}: it was tuned with verifier '{name}', and the verifier here is {given}: "
                    f"pass verifier='{name}' (--verifier {name})"
                )

    @property
    def paceable(self) -> bool:
        """Whether all rows run strategies that are."""
        return all(make_strategy(spec).paceable for spec in self._specs())

    @property
    def content(self) -> str:
        """What the policy's files say, hashed."""
        return digest(self._policy.model_dump(mode="json")) if self.policy is not None else ""

    def tuned_on(self, problem: str) -> bool:
        """Whether the policy was tuned on the problem of this query id."""
        return self._policy.tuned_on(problem)

    async def solve(self, query: Query, session: Session) -> None:
        """Estimate, pick, run; escalate where the confidence stays low."""
        policy = self._policy
        for warning in check_for(policy, model=session.model_name, force=self.force):
            session.warn(warning)
        found = policy.class_of(query)
        if not found.known:
            session.warn(f"{found.why}: the policy's default rows hold")
        probe = await self._probe(query, session)
        p, by = self._estimate(query, probe)
        row, _ = policy.row_for(found.name, p)
        session.note(
            "difficulty",
            p=None if p is None else round(p, 4),
            by=by,
            query_class=found.name,
            row=policy.rows.index(row) + 1,
            strategy=row.does,
            policy=policy.label,
        )
        if not row.strategy:
            session.stop_early("the probe's answer is taken")
            return
        pace = await self._run(row, query, session, probe=probe, prior=None if probe else p)
        if row.escalate is not None and (sure := policy.confidence and policy.confidence.get(row.stop)):
            confidence = pace.confidence(session, Confidence.model_validate(sure))
            session.note("confidence", confidence=round(confidence, 4), below=row.escalate.below)
            if confidence < row.escalate.below:
                await self._run(row.escalate, query, session, prior=None if probe else p)

    async def _probe(self, query: Query, session: Session) -> list[Candidate]:
        """Draw the samples that the difficulty is estimated by; their vote is the answer so far."""
        settings = self._policy.difficulty
        if not settings.probe:
            return []
        sampling = sampling_with(session.sampling, model=settings.model, tokens=settings.cap)
        vote = Vote(query.answer_type, session.rng)
        probe: list[Candidate] = []
        async with session.within(Budget(), sampling=sampling) as child:
            draw = child.sample(n=settings.probe, kind="probe", whole=True, scored=self._scores_probe)
            async with draw as samples:
                async for candidate in samples:
                    probe.append(candidate)
                    vote.add(candidate)
                    leader = vote.leader()
                    session.propose(leader.members[0] if leader else candidate)
        if not probe:
            raise BudgetExhausted("the budget has no tokens for a probe")
        return probe

    def _estimate(self, query: Query, probe: list[Candidate]) -> tuple[float | None, str]:
        """P(one sample is correct), and by what it is estimated; agreement, where nothing was fitted."""
        if self._estimator is not None:
            return self._estimator.estimate(query, probe).p, self._estimator.by
        if not probe:
            return None, "none"
        vote = Vote(query.answer_type, random.Random(0))
        for candidate in probe:
            vote.add(candidate)
        return vote.agreement(), "agreement of the probe"

    async def _run(
        self,
        step: Row | Escalation,
        query: Query,
        session: Session,
        *,
        probe: list[Candidate] | None = None,
        prior: float | None = None,
    ) -> StopPace:
        """Run the strategy of a row or of an escalation, metered by its stop; the probe is handed on if it fits."""
        learned = self._policy.stops.get(step.stop)
        pace = StopPace(LearnedStop.model_validate(learned) if learned else None, query.answer_type, prior=prior)
        settings = self._policy.difficulty
        sampling = sampling_with(session.sampling, model=step.model, thinking=step.thinking)
        drawn_alike = sampling == sampling_with(session.sampling, model=settings.model, tokens=settings.cap)
        hand_on = probe if probe and drawn_alike else ()
        strategy = make_strategy(step.strategy)
        meter = pace if strategy.prefix_valid else None
        async with session.within(Budget.parse(step.budget), hand_on=hand_on, pace=meter, sampling=sampling) as child:
            await strategy.solve(query, child)
        return pace

    @property
    def _scores_probe(self) -> bool:
        return bool(self._estimator and self._estimator.verifier)

    def _verifiers(self) -> set[str]:
        """What the policy was tuned with."""
        scoring = self._estimator.verifier if self._estimator else ""
        return {row.verifier for row in self._policy.rows if row.verifier} | ({scoring} if scoring else set())

    def _specs(self) -> list[str]:
        rows = self._policy.rows
        return [r.strategy for r in rows if r.strategy] + [r.escalate.strategy for r in rows if r.escalate]
