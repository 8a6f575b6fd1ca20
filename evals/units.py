"""The units of a run: one model, one problem, one strategy, one epoch, each under a key of all that determines it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from ttc.errors import ConfigurationError
from ttc.evals.config import Configuration, EvalConfig
from ttc.evals.nested_strategies import content_of
from ttc.evals.suite import Problem, Suite

__all__ = ["Unit", "units_of"]


@dataclass(frozen=True, slots=True)
class Unit:
    """What is done once, and kept under ``key``.

    Attributes:
        key: hash of everything that determines it.
        suite: the problem's.
        problem: what is solved.
        configuration: the strategy, as it runs.
        epoch: repetition, from 0.
        model: the run's name of the model that answers.
    """

    key: str
    suite: Suite
    problem: Problem
    configuration: Configuration
    epoch: int
    model: str

    @property
    def place(self) -> tuple[str, str, int]:
        """Suite, problem and epoch: what every strategy and every model meets."""
        return self.suite.name, self.problem.query.id, self.epoch

    @property
    def curve(self) -> tuple[str, str]:
        """Model and strategy: whose verdicts are counted together."""
        return self.model, self.configuration.strategy.spec


def units_of(
    config: EvalConfig,
    configurations: Sequence[Configuration],
    chosen: Iterable[tuple[Suite, list[Problem]]],
    models: Sequence[str],
) -> Iterator[Unit]:
    """All units, problem by problem; of a problem the largest first, since the others then find its calls.

    Models take turns on a problem, so that what is shown of them on the way is of the same problems.

    Raises:
        ConfigurationError: two suites hold the same problems, or have one name, so that their units were told apart by
            nothing.
    """
    by_size = sorted(configurations, key=lambda c: -(c.setting or 0))
    sampling = {**config.model_dump(mode="json")["sampling"]}
    contents = {c.strategy.spec: content_of(c.strategy) for c in configurations}
    suites = [(suite, suite.digest(), problems) for suite, problems in chosen]
    _refuse_the_same([(suite.name, digest) for suite, digest, _ in suites])
    for epoch in range(config.epochs):
        for suite, digest, problems in suites:
            for problem in problems:
                for model in models:
                    for c in by_size:
                        parts = [digest, problem.query.id, c.strategy.spec, config.verifier, config.comparator]
                        parts += [config.budget, sampling, model, config.seed, epoch]
                        parts += [{"files": contents[c.strategy.spec]}] if contents[c.strategy.spec] else []
                        if config.allocate is not None:
                            parts += [config.allocate, config.total_tokens]
                        raw = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
                        yield Unit(hashlib.blake2b(raw, digest_size=16).hexdigest(), suite, problem, c, epoch, model)


def _refuse_the_same(suites: Sequence[tuple[str, str]]) -> None:
    """Refuse suites, each a name and a digest, of which two are one."""
    for i, (name, digest) in enumerate(suites):
        for other, its in suites[:i]:
            if digest == its:
                whose = f"suite '{name}' is named twice" if name == other else f"suites '{other}' and '{name}' are one"
                raise ConfigurationError(f"{whose}: name it once, and repeat its problems with epochs")
            if name == other:
                raise ConfigurationError(f"two suites are called '{name}', with other problems: call one of them apart")
