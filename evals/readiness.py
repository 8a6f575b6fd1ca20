"""What can be found wrong before a server is asked for anything: suites, graders, and verifiers with nothing to run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anyio.to_thread

from ttc.errors import ConfigurationError
from ttc.evals.config import EvalConfig, choose_problems, expand
from ttc.evals.duplicates import suite_warnings
from ttc.evals.judge_grader import refuse_same_judge
from ttc.evals.learning import refuse_trained_problems
from ttc.evals.problem import Problem
from ttc.evals.suite import Suite
from ttc.evals.tuned_problems import refuse_tuned_problems, tuned_note
from ttc.models.base import Model
from ttc.types import Query
from ttc.verifier import Verifier, make_comparator, make_verifier
from ttc.verifiers.code.agreement import Agreement
from ttc.verifiers.code.public_tests import PublicTests, public_tests
from ttc.verifiers.code.tested import TestedVerifier, entry_point
from ttc.verifiers.code.written_tests import WrittenTests

__all__ = ["examined", "ready_suites", "refuse_idle_verifier"]


async def ready_suites(config: EvalConfig) -> EvalConfig:
    """Load the suites of a run, let their graders prepare, and make sure of the sandbox that a verifier needs.

    Returns:
        The same settings with the suites in the place of their specs, so that they are not loaded again; a run card
        made of them is the same, since a suite is named by the spec that it was loaded by.

    Raises:
        ConfigurationError: the data of a suite cannot be had, a grader or the verifier cannot work here, the
            verifier has nothing to run, or a strategy was tuned on some of the problems.
    """
    strategies = [c.strategy for c in expand(config.strategies, config.budgets)]
    suites: list[Suite] = []
    queries: list[Query] = []
    for given in config.suites:
        suite, problems = await anyio.to_thread.run_sync(choose_problems, given, config)
        refuse_tuned_problems(strategies, suite, (p.query.id for p in problems))
        await suite.grader.prepare()
        suites.append(suite)
        queries += [problem.query for problem in problems]
    verifier = make_verifier(config.verifier)
    refuse_idle_verifier(verifier, queries)
    if isinstance(verifier, TestedVerifier):
        await verifier.prepare()
    return config.model_copy(update={"suites": tuple(suites)})


async def examined(
    config: EvalConfig, chosen: Sequence[tuple[Suite, Sequence[Problem]]], models: Iterable[Model]
) -> list[list[str]]:
    """Refuse a run that could not mean what it says, before its first call; return what is doubtful of each suite.

    Raises:
        ConfigurationError: the judge that grades would select as well, a learned verifier or a policy would meet
            what it learned from, the verifier has nothing to run, or a grader cannot work here.
    """
    strategies = [c.strategy for c in expand(config.strategies, config.budgets)]
    verifier, comparator = make_verifier(config.verifier), make_comparator(config.comparator)
    doubts: list[list[str]] = []
    answering = list(models)
    for suite, problems in chosen:
        types = {id(kind): kind for kind in (p.query.answer_type for p in problems)}
        for model in answering:
            refuse_same_judge(
                suite.grader, model=model, verifier=verifier, comparator=comparator, answer_types=types.values()
            )
        refuse_trained_problems(verifier, (p.query.id for p in problems))
        refuse_tuned_problems(strategies, suite, (p.query.id for p in problems))
        await suite.grader.prepare()
        found = await anyio.to_thread.run_sync(suite_warnings, suite)
        note = tuned_note(strategies, suite) if config.leave_out_tuned else ""
        doubts.append([*found, note] if note else found)
    refuse_idle_verifier(verifier, [p.query for _, problems in chosen for p in problems])
    return doubts


def refuse_idle_verifier(verifier: Verifier | None, queries: Sequence[Query]) -> None:
    """Refuse a run whose verifier runs tests where there are none: all samples would score the same.

    Args:
        verifier: of the run; only those that run programs are looked at.
        queries: of all its suites.

    Raises:
        ConfigurationError: no query has public tests, or one names no function that tests could be written for.
    """
    public = isinstance(verifier, PublicTests) or (isinstance(verifier, Agreement) and verifier.tests == "public")
    written = isinstance(verifier, WrittenTests) or (isinstance(verifier, Agreement) and verifier.tests != "public")
    if verifier is None or not queries:
        return
    if public and not any(public_tests(query) for query in queries):
        raise ConfigurationError(
            f"verifier '{verifier.name}' runs public tests, and none of these {len(queries)} problems has any, "
            "so that all samples would score the same: take --verifier self_certainty or judge"
        )
    if written and (without := [query for query in queries if not entry_point(query)]):
        other = "public_tests" if any(public_tests(query) for query in queries) else "self_certainty or judge"
        raise ConfigurationError(
            f"verifier '{verifier.name}' has tests written for a function, and {len(without)} of these {len(queries)} "
            f"problems name none ({without[0].id}, ...): take --verifier {other}"
        )
