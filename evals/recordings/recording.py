"""Recording: n samples of every problem, scored and graded, for tuning to replay instead of paying again.

A recording is a run like any other, with a strategy that stops at nothing: killed at any moment it goes on, and what
was acknowledged is not paid for twice. Its pool is made of its store alone (:mod:`ttc.evals.recordings.pool_of_run`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, cast

import anyio
import anyio.to_thread
from pydantic import Field, field_validator

from ttc import registry
from ttc.errors import ConfigurationError, RunError
from ttc.evals.config import EvalConfig, choose_problems
from ttc.evals.judge_grader import refuse_same_judge
from ttc.evals.learning import refuse_trained_problems
from ttc.evals.readiness import ready_suites, refuse_idle_verifier
from ttc.evals.recordings.cuts import CutTrace, draw_traces
from ttc.evals.recordings.pool_of_run import pool_of_run
from ttc.evals.recordings.rows import CutRow, SampleRow, first_forms, row_of
from ttc.evals.run_card import config_of
from ttc.evals.runner import EvalRun, RunProgress, run_eval
from ttc.evals.suite import Suite
from ttc.models.base import LiveModel
from ttc.pools import Pool
from ttc.session import Session
from ttc.strategies.vote import Vote
from ttc.strategy import Strategy
from ttc.types import Candidate, Query
from ttc.verifier import Preparing, Verifier, is_joint, make_verifier

__all__ = ["RecordedRun", "Recording", "parameters_of", "ready_recording", "record", "recording_of"]


class Recording(Strategy):
    """Draw n samples whatever they say, let each verifier score each of them, and note all of it.

    No pass and no vote ends it. Samples without an answer are not scored. The answer is that of a plain vote.
    """

    cost: ClassVar[str] = "n calls in one wave + n scores by each verifier; with cuts one call more per cut and part"

    n: int = Field(default=16, ge=1, le=4096, description="samples")
    cuts: tuple[int, ...] = Field(default=(), description="tokens at which each sample is made to answer as well")
    verifiers: tuple[str, ...] = Field(default=(), description="what scores each sample")
    logprobs: bool = Field(default=True, description="keep the mean log-probability of each sample")

    @field_validator("cuts", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("verifiers", mode="before")
    @classmethod
    def _specs(cls, value: Any) -> Any:
        return list(registry.parse_spec("list", f":{value}")[1].values()) if isinstance(value, str) else value

    @field_validator("cuts")
    @classmethod
    def _ascending(cls, cuts: tuple[int, ...]) -> tuple[int, ...]:
        if any(a >= b for a, b in pairwise((0, *cuts))):
            raise ValueError("give numbers of tokens from 1 in ascending order, e.g. 512,1024,2048")
        return cuts

    @property
    def spec(self) -> str:
        """With lists in brackets: ``cuts=(512,1024)``, ``verifiers=(0=(judge),1=(parses))``."""
        parts = [f"n={self.n}"]
        if self.cuts:
            parts.append(f"cuts=({','.join(map(str, self.cuts))})")
        if self.verifiers:
            parts.append(f"verifiers=({','.join(f'{i}=({spec})' for i, spec in enumerate(self.verifiers))})")
        return "recording:" + ",".join([*parts, *(() if self.logprobs else ("logprobs=False",))])

    async def solve(self, query: Query, session: Session) -> None:
        """Draw, score, and note a row of each sample."""
        verifiers = [v for v in map(make_verifier, self.verifiers) if v is not None]
        asked = max([v.logprobs for v in verifiers] + [session.sampling.logprobs or 0, int(self.logprobs)]) or None
        session.note("recording", pass_fail=[v.name for v in verifiers if getattr(v, "pass_fail", False)])
        traces = await self._traces(session, asked)
        whole = [trace.whole for trace in traces]
        vote = Vote(query.answer_type, session.rng)
        for candidate in whole:
            vote.add(candidate)
        if whole:
            leader = vote.leader()
            session.propose(leader.best if leader else whole[0])
        scores = await _scores(session, verifiers, whole)
        answers = [c.answer for c in whole]
        answers += [trace.cuts[cut].answer for cut in self.cuts for trace in traces]
        forms = first_forms(query.answer_type, answers)
        given = dict.fromkeys(c.answer for c in whole if c.answer is not None)
        counted = {answer: await session._model.count_tokens(answer) for answer in given}

        def form(candidate: Candidate) -> str | None:
            return None if candidate.answer is None else forms[candidate.answer]

        for i, (trace, scored) in enumerate(zip(traces, scores, strict=True)):
            cuts = {at: CutRow(form(c), c.sample.usage.generated) for at, c in trace.cuts.items()}
            tokens = _answer_tokens(trace.whole, counted.get(trace.whole.answer or ""))
            row = row_of(trace.whole.sample, form(trace.whole), answer_tokens=tokens, scores=scored, cuts=cuts)
            session.note("recorded", index=i, row=_plain(row))

    async def _traces(self, session: Session, logprobs: int | None) -> list[CutTrace]:
        """Draw; what failed for good is left out."""
        if self.cuts:
            drawn = await draw_traces(session, self.n, self.cuts, logprobs=logprobs)
        else:
            drawn = list[CutTrace]()
            async with session.sample(n=self.n, logprobs=logprobs) as samples:
                async for candidate in samples:
                    drawn.append(CutTrace(candidate, {}))
        return [trace for trace in drawn if trace.whole.sample.ok]


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A recording that is complete: its pool, and the run that it was made of."""

    pool: Pool
    run: EvalRun


async def record(
    config: EvalConfig,
    model: LiveModel,
    *,
    on_progress: Callable[[RunProgress], None] | None = None,
    on_graded: Callable[[int, int], None] | None = None,
    resume_by: str = "ttc record --resume",
) -> RecordedRun:
    """Record, or finish a recording that was interrupted, and make the pool of it.

    Args:
        config: its one strategy is a :class:`Recording`; see :func:`ready_recording`.
        model: what answers.
        on_progress: as for :func:`~ttc.evals.runner.run_eval`.
        on_graded: called with the problems whose samples are graded, and how many there are.
        resume_by: the command that goes on where this stops.

    Raises:
        ConfigurationError: a verifier that cannot record, cuts at or above the cap, or what an eval refuses as well;
            before any call.
        RunError: as for an eval, or no problem brought a sample.
        ServerUnreachable: the server stopped answering; the run can be resumed.
    """
    config = await ready_recording(config)
    suites = [suite for suite in config.suites if isinstance(suite, Suite)]
    for verifier in map(make_verifier, _recording(config).verifiers):
        for suite in suites:
            refuse_same_judge(suite.grader, model=model, verifier=verifier)
    run = await run_eval(config, model, on_progress=on_progress, resume_by=resume_by)
    pool = await pool_of_run(run.directory, suites=suites, on_graded=on_graded)
    return RecordedRun(pool, run)


async def ready_recording(config: EvalConfig) -> EvalConfig:
    """Find out what is wrong with a recording before a server is asked for anything.

    Returns:
        The settings with their suites loaded.

    Raises:
        ConfigurationError: no recording, cuts at or above the cap of a sample, problems of one name in two suites, a
            verifier that scores samples together or cannot work here, or a suite that cannot be had.
    """
    recording = _recording(config)
    if config.models:
        raise ConfigurationError("a recording asks one model: name it with 'model', and record others apart")
    if recording.cuts and recording.cuts[-1] >= config.sampling.max_tokens:
        raise ConfigurationError(
            f"cut {recording.cuts[-1]}: samples end at {config.sampling.max_tokens} tokens at the latest, so cut them "
            "below that, or raise the cap (--sample-tokens)"
        )
    verifiers = [v for v in map(make_verifier, recording.verifiers) if v is not None]
    for name, times in Counter(v.name for v in verifiers).items():
        if times > 1:
            raise ConfigurationError(f"verifier '{name}' is named {times} times: scores are kept by its name, once")
    for verifier in verifiers:
        if is_joint(verifier):
            raise ConfigurationError(
                f"verifier '{verifier.name}' scores candidates together: its score of a sample depends on the others "
                "that were drawn, and a replay draws others. Record without it"
            )
    config = await ready_suites(config)
    chosen = [await anyio.to_thread.run_sync(choose_problems, suite, config) for suite in config.suites]
    queries = [problem.query for _, problems in chosen for problem in problems]
    name, times = Counter(query.id for query in queries).most_common(1)[0]
    if times > 1:
        raise ConfigurationError(f"problem '{name}' is in {times} suites: record those apart")
    for verifier in verifiers:
        refuse_idle_verifier(verifier, queries)
        refuse_trained_problems(verifier, (query.id for query in queries))
        if isinstance(verifier, Preparing):
            await verifier.prepare()
    return config


def recording_of(runs: Path, run_id: str) -> EvalConfig:
    """Return the settings of a recording, to resume it.

    Raises:
        RunError: there is no such run, or it is no recording.
    """
    config = config_of(runs, run_id)
    parameters = parameters_of(str(config.strategies[0]))
    if parameters is None:
        raise RunError(
            f"run '{run_id}' is no recording, but an eval: finish it with 'ttc eval --resume {run_id}', and make a "
            "pool of it with 'ttc pool export'"
        )
    return config.model_copy(update={"strategies": (Recording(**parameters),)})


def parameters_of(spec: str) -> dict[str, Any] | None:
    """The parameters of a recording as text, of its spec in a run card; None for other strategies."""
    return registry.parse_spec("strategy", spec)[1] if spec.startswith("recording:") else None


def _recording(config: EvalConfig) -> Recording:
    strategy = config.strategies[0]
    if len(config.strategies) != 1 or not isinstance(strategy, Recording):
        raise ConfigurationError("a recording has one strategy, Recording: use run_eval for others")
    return strategy


async def _scores(
    session: Session, verifiers: Sequence[Verifier], candidates: Sequence[Candidate]
) -> list[dict[str, float | None]]:
    """Let each verifier score each candidate by itself, in a branch of its own; without an answer there is no score."""
    found: list[dict[str, float | None]] = [{v.name: None for v in verifiers} for _ in candidates]
    branches: list[tuple[int, Session]] = []

    async def score(i: int, branch: Session) -> None:
        (scored,) = await branch.score([candidates[i]])
        found[i][cast(Verifier, branch.verifier).name] = scored.score

    async with anyio.create_task_group() as group:
        for verifier in verifiers:
            for i, candidate in enumerate(candidates):
                if candidate.answer is None:
                    continue
                branch = session.branch("score", verifier.name, i)
                branch.verifier = verifier
                branches.append((i, branch))
                group.start_soon(score, i, branch)
    for i, branch in branches:
        name = cast(Verifier, branch.verifier).name
        session.merge(branch, "score", index=i, score=found[i][name])
    return found


def _answer_tokens(candidate: Candidate, counted: tuple[int, str] | None) -> int | None:
    """Tokens of the answer itself: all that is visible where that is the answer; None where nobody could count them."""
    sample = candidate.sample
    if candidate.answer is None:
        return 0
    if candidate.answer == sample.text.strip() and not sample.usage.upper_bound:
        return sample.usage.answer_tokens
    if counted is None or counted[1] == "estimate":
        return None
    return min(counted[0], sample.usage.answer_tokens)


def _plain(row: SampleRow) -> dict[str, Any]:
    return asdict(replace(row, cuts={})) | {"cuts": {str(at): asdict(cut) for at, cut in row.cuts.items()}}
