"""A run that could show nothing is refused before anything is paid for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttc.errors import ConfigurationError
from ttc.evals.config import EvalConfig
from ttc.evals.readiness import ready_suites, refuse_idle_verifier
from ttc.evals.runner import run_eval
from ttc.evals.suite import Problem, Suite
from ttc.models.scripted import Scripted
from ttc.types import Query, Request, Sample
from ttc.verifier import make_verifier
from ttc.verifiers.code.answer_type import CodeAnswer

PLAIN = Query.of("1+1?")
NAMED = Query.of("Write f.", answer_type=CodeAnswer(entry_point="f"))
SHOWN = Query.of("Write f.\n\nassert f(1) == 2", answer_type=CodeAnswer(entry_point="f"))
PROGRAM = Query(messages=PLAIN.messages, id="p", answer_type=CodeAnswer(), public_tests=({"stdin": "", "stdout": "1"},))


@pytest.mark.parametrize(
    ("verifier", "queries", "said"),
    [
        ("public_tests", [PLAIN, NAMED], "none of these 2 problems has any.*self_certainty or judge"),
        ("agreement:tests=public", [PLAIN], "none of these 1 problems has any"),
        ("written_tests", [NAMED, PLAIN], "1 of these 2 problems name none .*self_certainty or judge"),
        ("written_tests", [PROGRAM], "take --verifier public_tests"),
        ("agreement", [PLAIN], "name none"),
        ("agreement:tests=written", [PLAIN], "name none"),
    ],
)
def test_a_verifier_with_nothing_to_run_is_refused(verifier: str, queries: list[Query], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        refuse_idle_verifier(make_verifier(verifier), queries)


@pytest.mark.parametrize(
    ("verifier", "queries"),
    [
        ("public_tests", [PLAIN, PROGRAM]),
        ("public_tests", [SHOWN]),
        ("agreement:tests=public", [SHOWN]),
        ("written_tests", [NAMED, SHOWN]),
        ("agreement", [NAMED]),
        ("self_certainty", [PLAIN]),
        (None, [PLAIN]),
    ],
)
def test_one_that_has_something_is_not(verifier: str | None, queries: list[Query]) -> None:
    refuse_idle_verifier(make_verifier(verifier), queries)


@pytest.mark.anyio
async def test_such_a_run_is_refused_before_a_call(tmp_path: Path) -> None:
    def reply(request: Request) -> Sample:
        raise AssertionError("a call was made")

    suite = Suite("mine", [Problem(PLAIN, "2")])
    config = EvalConfig(
        suites=(suite,), strategies=("best_of_n:n=2",), verifier="public_tests", runs=tmp_path, run_id="r"
    )
    with pytest.raises(ConfigurationError, match="runs public tests"):
        await run_eval(config, Scripted(reply))
    assert not (tmp_path / "r").exists()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("strategy", "verifier", "said"),
    [
        ("beam:n=2", "public_tests", "beam needs a verifier that scores steps, and 'public_tests' does not"),
        ("adaptive:hard=(beam:n=2)", "public_tests", "beam needs a verifier that scores steps"),
        ("knockout:n=2,each=(dvts:n=2)", "public_tests", "dvts needs a verifier that scores steps"),
        ("ab_mcts:n=2,nodes=steps", "public_tests", "ab_mcts needs a verifier that scores steps"),
        ("ab_mcts:n=2", "agreement:tests=public", "scores candidates together, and ab_mcts weighs each by itself"),
        ("majority:n=2,weights=score", "agreement:tests=public", "majority weighs each by itself"),
        ("revision", "agreement:tests=public", "revision weighs each by itself"),
    ],
)
async def test_a_verifier_that_a_strategy_cannot_work_with_is_refused_before_the_others_are_paid_for(
    strategy: str, verifier: str, said: str, tmp_path: Path
) -> None:
    model = Scripted(lambda _: Sample(text="2"))
    suite = Suite("mine", [Problem(SHOWN, "2")])
    strategies = ("best_of_n:n=2", strategy)
    config = EvalConfig(
        suites=(suite,), strategies=strategies, verifier=verifier, comparator="judge", runs=tmp_path, run_id="r"
    )
    with pytest.raises(ConfigurationError, match=said):
        await run_eval(config, model)
    assert model.requests == []
    assert not (tmp_path / "r").exists()


@pytest.mark.anyio
async def test_suites_that_were_loaded_make_the_same_settings(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"prompt": "1+1?", "answer": 2}\n')
    config = EvalConfig(suites=(f"file:{file}",), strategies=("single",), limit=1)
    ready = await ready_suites(config)
    assert isinstance(ready.suites[0], Suite)
    assert ready.model_dump(mode="json") == config.model_dump(mode="json")
    file.unlink()
    assert (await ready_suites(ready)).suites == ready.suites  # not read again
