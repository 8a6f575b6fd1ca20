"""Recorded samples, as plain data: what tuning replays instead of paying again.

A pool holds what one model answered to some problems, several times each, with what it cost, what verifiers made of it
and the grader's verdict. Strategies that are replayed never see the verdicts: :meth:`RecordedProblem.samples` leaves
them behind, and only tuning and evals read them. Pools are files (:mod:`ttc.pool_files`): made by ``ttc record``,
exported from runs, or imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ttc.budget import Price
from ttc.errors import ConfigurationError
from ttc.models.recorded import Recorded
from ttc.types import Candidate, Query, Sample, Usage, digest

__all__ = [
    "EFFORTS",
    "CutColumns",
    "Pool",
    "RecordedAnswer",
    "RecordedProblem",
    "Unit",
    "candidate_of",
    "is_thinking",
    "replay_model",
]

EFFORTS = ("off", "low", "medium", "high")
"""Of thinking, beside a cap in tokens."""

Unit = Literal["tokens", "characters", "samples"]
"""What the cost of a sample is counted in: tokens, or, where those were not recorded, characters or samples."""


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """How answers of recorded samples are read: they were read, and told apart, when they were recorded.

    Equal answers are equal texts.
    """

    name: str = "recorded"
    cue: str = ""

    def extract(self, text: str) -> str | None:
        """Return what stands behind the mark of a recorded sample; None where there is none."""
        _, mark, answer = text.partition(_MARK)
        return answer if mark else None

    def concludes(self, text: str) -> bool:
        """Whether the text holds an answer."""
        return _MARK in text

    def key(self, answer: str) -> str:
        """The answer itself."""
        return answer

    def equivalent(self, a: str, b: str) -> bool:
        """Compare by text alone."""
        return a == b


_MARK = "\x1eanswer\x1f"


@dataclass(frozen=True, slots=True, kw_only=True)
class CutColumns:
    """What samples answered when they were cut at a number of tokens and made to answer; index i as in the problem.

    Attributes:
        answers: None where none was to be had.
        right: the verdicts.
        generated: the tokens up to the cut, and those of the forced answer.
    """

    answers: tuple[str | None, ...]
    right: tuple[float | None, ...]
    generated: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedProblem:
    """The samples of one problem in columns: index i of each column is the same sample. An empty column: not recorded.

    Attributes:
        id: the query's, or one that names the run as well where several recorded the same problem.
        group: names the problem itself: those of one group are held out together. The id where there is none.
        prompt: the text of its last user message.
        tags: the query class.
        answers: None for a sample without one. Answers that are equivalent are equal texts.
        right: the grader's verdict, 1 or 0; None where there is none; between them where it is an estimate.
        generated: what each sample cost, in the pool's unit.
        reasoning: tokens of thoughts, of the generated ones.
        answer_tokens: tokens of the answer itself, of the generated ones: what does not count as thinking.
        prompt_tokens: tokens of the prompt.
        characters: of text and thoughts.
        seconds: from sending to the last byte.
        logprobs: mean log-probability of the sample's tokens.
        finish: why each one ended.
        texts: the visible texts.
        scores: by verifier; None for a sample that it did not score.
        cuts: by the number of tokens at which samples were cut.
    """

    id: str
    group: str = ""
    prompt: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    answers: tuple[str | None, ...]
    right: tuple[float | None, ...]
    generated: tuple[float, ...] = ()
    reasoning: tuple[int, ...] = ()
    answer_tokens: tuple[int, ...] = ()
    prompt_tokens: tuple[int, ...] = ()
    characters: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    logprobs: tuple[float | None, ...] = ()
    finish: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    scores: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict[str, tuple[float | None, ...]])
    cuts: Mapping[int, CutColumns] = field(default_factory=dict[int, CutColumns])

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.id)

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def accuracy(self) -> float | None:
        """Share of right samples among those with a verdict; None without any."""
        known = [r for r in self.right if r is not None]
        return sum(known) / len(known) if known else None

    def query(self) -> Query:
        """The query as a replayed strategy sees it. Its message names the record, since prompts may be alike."""
        message = {"role": "user", "content": self.prompt or self.id, "recorded": self.id}
        return Query(messages=(message,), id=self.id, tags=self.tags, answer_type=RecordedAnswer())

    def verdicts(self) -> dict[str, float]:
        """The verdict on each answer, averaged where its samples differ; answers without any are left out."""
        found: dict[str, list[float]] = {}
        columns = [(self.answers, self.right), *((c.answers, c.right) for c in self.cuts.values())]
        for answers, verdicts in columns:
            for answer, right in zip(answers, verdicts, strict=True):
                if answer is not None and right is not None:
                    found.setdefault(answer, []).append(right)
        return {answer: sum(rights) / len(rights) for answer, rights in found.items()}

    def at_cut(self, cut: int) -> RecordedProblem:
        """The samples as they were cut at so many tokens and made to answer.

        Raises:
            ConfigurationError: they were not recorded at that cut.
        """
        columns = self._cut(cut)
        return RecordedProblem(
            id=self.id,
            group=self.group,
            prompt=self.prompt,
            tags=self.tags,
            answers=columns.answers,
            right=columns.right,
            generated=columns.generated,
            prompt_tokens=self.prompt_tokens,
        )

    def samples(self, *, cut: int | None = None) -> tuple[Sample, ...]:
        """The samples as a model would hand them on, without verdicts; cut at so many tokens, where that is recorded.

        The seed of a sample is its index in the pool, plus one.

        Raises:
            ConfigurationError: samples were not recorded at that cut.
        """
        columns = None if cut is None else self._cut(cut)
        return tuple(self._sample(i, columns) for i in range(len(self)))

    def sample(self, i: int) -> Sample:
        """One of the samples, without its verdict."""
        return self._sample(i, None)

    def _cut(self, cut: int) -> CutColumns:
        if cut not in self.cuts:
            known = ", ".join(map(str, sorted(self.cuts))) or "none"
            raise ConfigurationError(f"problem {self.id}: cuts that were recorded: {known}; asked for: {cut}")
        return self.cuts[cut]

    def _sample(self, i: int, cut: CutColumns | None) -> Sample:
        source = cut or self
        answer, generated = source.answers[i], source.generated[i] if source.generated else 1
        reasoning = 0 if cut or not self.reasoning else min(self.reasoning[i], int(generated))
        logprob = self.logprobs[i] if self.logprobs else None
        return Sample(
            text=f"sample {i}" if answer is None else f"sample {i}{_MARK}{answer}",
            usage=Usage(
                prompt_tokens=self.prompt_tokens[i] if self.prompt_tokens else 0,
                reasoning_tokens=reasoning,
                answer_tokens=int(generated) - reasoning,
            ),
            index=i,
            seed=i + 1,
            finish="length" if self.finish and self.finish[i] == "length" else "stop",
            logprobs=() if logprob is None else (logprob,),
            latency=self.seconds[i] if self.seconds and not cut else 0.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What one model answered to some problems.

    Attributes:
        name: of the file or the run.
        model: the served name.
        problems: with their samples.
        unit: what costs are counted in.
        thinking: how samples were drawn: ``off``, an effort, a cap in tokens, or empty.
        price: dollars per million tokens, where it is known.
        pass_fail: verifiers whose score of 1 means that the candidate passed.
        cost: what recording cost, in tokens by kind of call and in seconds, where it is known.
        info: provenance: suite, licence, date, sampling, server; what a policy says it was tuned on.
    """

    name: str
    model: str
    problems: tuple[RecordedProblem, ...]
    unit: Unit = "tokens"
    thinking: str = ""
    price: Price | None = None
    pass_fail: frozenset[str] = frozenset()
    cost: Mapping[str, float] = field(default_factory=dict[str, float])
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if not self.problems:
            raise ConfigurationError(f"pool '{self.name}' is empty: record one problem at the least (ttc record)")

    def __len__(self) -> int:
        return len(self.problems)

    @property
    def width(self) -> int:
        """Samples that every problem has."""
        return min(len(p) for p in self.problems)

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Verifiers that scored samples of every problem."""
        first, *others = (frozenset(p.scores) for p in self.problems)
        return tuple(sorted(first.intersection(*others)))

    @property
    def cuts(self) -> tuple[int, ...]:
        """Cuts that were recorded of every problem."""
        first, *others = (frozenset(p.cuts) for p in self.problems)
        return tuple(sorted(first.intersection(*others)))

    def of(self, problems: Iterable[str]) -> Pool:
        """The same pool with these problems alone.

        Raises:
            ConfigurationError: none of them is in it.
        """
        wanted = frozenset(problems)
        return replace(self, problems=tuple(p for p in self.problems if p.id in wanted))

    def at_cut(self, cut: int) -> Pool:
        """What was recorded with samples cut at so many tokens and made to answer, as a pool of its own.

        Verifiers scored the whole samples, so there are no scores in it.

        Raises:
            ConfigurationError: samples of a problem were not recorded at that cut.
        """
        return replace(self, problems=tuple(p.at_cut(cut) for p in self.problems), thinking=str(cut))

    def digest(self) -> str:
        """Hash all that a replay depends on: the model, and every problem with its samples and verdicts."""
        rows = [
            [p.id, p.group, p.answers, _as_read(p.right), _as_read(p.generated)]
            + [[v, _as_read(scores)] for v, scores in sorted(p.scores.items())]
            + [[n, c.answers, _as_read(c.right), _as_read(c.generated)] for n, c in sorted(p.cuts.items())]
            for p in self.problems
        ]
        return digest([self.model, self.unit, rows])


def _as_read(column: Sequence[float | None]) -> list[float | None]:
    """A column as it comes out of a file, where 1 and 1.0 are the same."""
    return [None if x is None else float(x) for x in column]


def is_thinking(text: str) -> bool:
    """Whether a text says how samples think: ``off``, an effort, a cap in tokens, or nothing at all."""
    return not text or text in EFFORTS or (text.isascii() and text.isdecimal() and int(text) > 0)


def candidate_of(sample: Sample) -> Candidate:
    """Read a recorded sample."""
    return Candidate(RecordedAnswer().extract(sample.text), sample)


def replay_model(pool: Pool, *, cut: int | None = None, seed: int = 0) -> Recorded:
    """A model that replays a pool's samples, each problem's in an order that follows from the seed.

    Args:
        pool: what was recorded.
        cut: replay what the samples answered when they were cut at so many tokens.
        seed: of the orders.

    Raises:
        ConfigurationError: samples of a problem were not recorded at that cut.
    """
    tokens: dict[str, int] = {}
    for p in pool.problems:
        for answer, n in zip(p.answers, p.answer_tokens, strict=bool(p.answer_tokens)):
            if answer is not None:  # of equal answers the shortest, so that thinking is not understated
                tokens[answer] = min(n, tokens.get(answer, n))
    return Recorded(
        {p.id: p.samples(cut=cut) for p in pool.problems},
        name=pool.model,
        price=pool.price,
        seed=seed,
        prompts={p.id: p.prompt for p in pool.problems},
        answer_tokens=tokens,
    )
