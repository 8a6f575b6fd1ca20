"""The right compute per query: estimate how hard it is, pick a row of a policy, and run that."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import orjson
from pydantic import Field, PrivateAttr

from ttc.adaptive.difficulty import AnyEstimator, read_estimator
from ttc.adaptive.pace import LearnedStops, StopPace
from ttc.adaptive.policy import Policy, check_for
from ttc.adaptive.policy_rows import Escalation, Estimation, Row
from ttc.adaptive.probe_estimator import ProbeEstimator
from ttc.adaptive.thinking import sampling_with
from ttc.budget import Budget
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.session import Session
from ttc.strategies.nested import NestedSpec, accepted_by, required_by
from ttc.strategies.vote import Vote
from ttc.strategy import Strategy, make_strategy
from ttc.types import Candidate, Query, Sampling
from ttc.verifier import Verifier, refuse_joint

__all__ = ["Adaptive"]


class Adaptive(Strategy):
    """Estimate P(one sample is correct), pick the row of the query's class and difficulty, and run its strategy.

    The estimate looks at the prompt, or at a probe of a few samples that are drawn first, charged, and handed on. A
    row's learned stop ends it where no further wave is worth its cost at the policy's going rate: when the answer is
    sure, and when the query is hopeless. Where the confidence stays low a row may escalate to another model or more
    thinking, whose answer stands then, unless it has none. That confidence is learned; in a policy that was written by
    hand it is the share of the samples that hold the answer. ``ttc tune`` makes policies; without one a capped prior
    holds, which is tuned on nothing and says so: a probe of four, whose agreement stands for difficulty.
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
    _learned: LearnedStops = PrivateAttr()

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        if self.policy is None:
            self._policy = Policy.prior(probe=self.probe, medium=self.medium, hard=self.hard)
        elif prior := sorted(self.model_fields_set & {"probe", "medium", "hard"}):
            raise ConfigurationError(f"adaptive: {', '.join(prior)} are of the prior: leave them out beside a policy")
        else:
            self._policy = Policy.read(self.policy, force=self.force)
        found = self._policy
        where = str(self.policy)
        self._estimator = (
            read_estimator(orjson.dumps(found.estimator), where=f"{where}: estimator") if found.estimator else None
        )
        self._learned = LearnedStops.read(found.stops, found.confidence or {}, where=where)

    def requires(self) -> frozenset[str]:
        """What the strategies of the rows cannot work without; the verifier that a policy names is left to accepts."""
        needed = required_by(*self._specs())
        return needed - {"verifier"} if self._verifiers() else needed

    def accepts(self, verifier: Verifier | None) -> None:
        """Refuse a verifier that a strategy of a row cannot work with, or that the policy was not tuned with."""
        given = verifier.name if verifier is not None else "none"
        for name in sorted(self._verifiers()):
            if name.partition(":")[0] != given.partition(":")[0]:
                raise ConfigurationError(
                    f"{self.policy}: it was tuned with verifier '{name}', and the verifier here is {given}: "
                    f"pass verifier='{name}' (--verifier {name})"
                )
        if self._scores_probe:
            refuse_joint(verifier, by=self.name)
        accepted_by(verifier, *self._specs())

    @property
    def paceable(self) -> bool:
        """Whether all rows run strategies that are."""
        return all(make_strategy(spec).paceable for spec in self._specs())

    @property
    def content(self) -> str:
        """What the policy's files say, hashed."""
        return self._policy.digest() if self.policy is not None else ""

    @property
    def caveat(self) -> str:
        """What its policy says of itself where it is not calibrated."""
        return "" if self._policy.calibrated else f"its policy is {self._policy.label}"

    def tuned_on(self, problem: str) -> bool:
        """Whether the policy was tuned on the problem of this query id."""
        return self._policy.tuned_on(problem)

    def tuned_on_query(self, query: Query) -> bool:
        """Whether the policy was tuned on this query, by its id or by its prompt."""
        return self._policy.tuned_on_query(query)

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
        prior = None if probe else p
        pace = StopPace(self._learned.stops.get(row.stop), query.answer_type, prior=prior)
        if row.strategy:
            await self._run(row, session, pace, probe=probe)
        else:
            pace.look_at(probe)
        if row.escalate is not None:
            then = row.escalate.model_copy(update={"model": row.escalate.model or row.model})
            learned = self._learned.confidences.get(row.stop)
            confidence = pace.confidence(session, learned)
            by = {} if learned else {"by": "agreement"}
            session.note("confidence", confidence=round(confidence, 4), below=then.below, **by)
            if confidence < then.below:
                stop = self._learned.stops.get(then.stop)
                await self._run(then, session, StopPace(stop, query.answer_type, prior=prior))
                return
        if not row.strategy:
            session.stop_early("it gives up" if row.give_up else "the probe's answer is taken")

    async def _probe(self, query: Query, session: Session) -> list[Candidate]:
        """Draw the samples that the difficulty is estimated by; their vote is the answer so far."""
        settings = self._policy.difficulty
        if not settings.probe:
            return []
        vote = Vote(query.answer_type, session.rng)
        probe: list[Candidate] = []
        async with session.within(Budget(), sampling=self._sampling(session, settings)) as child:
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
        self, step: Row | Escalation, session: Session, pace: StopPace, *, probe: list[Candidate] | None = None
    ) -> None:
        """Run the strategy of a row or of an escalation, metered by its stop; the probe is handed on if it fits.

        Where its own budget refuses it more, what it has proposed by then stands.
        """
        sampling = self._sampling(session, step)
        strategy = make_strategy(step.strategy)
        hand_on = probe if probe and sampling == self._sampling(session, self._policy.difficulty) else ()
        if hand_on and "verifier" not in strategy.requires():
            # Scores of some samples alone would break its ties and move its learned stop, which knows none.
            hand_on = [replace(candidate, score=None) for candidate in hand_on]
        meter = pace if strategy.paceable else None
        async with session.within(Budget.parse(step.budget), hand_on=hand_on, pace=meter, sampling=sampling) as child:
            try:
                await strategy.solve(session.query, child)
            except* BudgetExhausted:  # its own, or one of the tasks that it ran
                session.progress.out_of_budget = True

    def _sampling(self, session: Session, how: Row | Escalation | Estimation) -> Sampling:
        """How samples of the probe or of a step are drawn; equal settings draw alike.

        What was learned on recorded log-probabilities has to see them: they are asked for, and change no sample.
        """
        cap = how.cap if isinstance(how, Estimation) else None
        found = sampling_with(session.sampling, model=how.model, thinking=how.thinking, tokens=cap)
        if self._learned.look_at_logprobs or isinstance(self._estimator, ProbeEstimator):
            found = replace(found, logprobs=max(found.logprobs or 0, 1))
        default = session.model_name.partition("+")[0]
        return replace(found, model="") if found.model == default else found  # it is the one that answers anyway

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
