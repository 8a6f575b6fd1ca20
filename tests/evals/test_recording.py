"""A recording draws what it was asked for whatever that says, keeps all of it, and pays for nothing twice."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from ttc import registry
from ttc.errors import ConfigurationError, RunError
from ttc.evals.config import EvalConfig
from ttc.evals.grading import Grade
from ttc.evals.recordings import recording
from ttc.evals.recordings.pool_of_run import _under_way, pool_of_run
from ttc.evals.recordings.recording import Recording, parameters_of, ready_recording, record, recording_of
from ttc.evals.recordings.rows import first_forms
from ttc.evals.runner import run_eval
from ttc.evals.store import FILE, read_units
from ttc.evals.suite import Problem, Suite
from ttc.models.vllm_server import VLLMServer
from ttc.pools import Pool, RecordedProblem
from ttc.session import Session
from ttc.strategy import make_strategy
from ttc.testing import FakeServer, Reply
from ttc.types import Candidate, Query, Sampling

pytestmark = pytest.mark.anyio

NUMBER = registry.create("answer type", "number")
CAP = 40


def suite(n: int = 3, **fields: Any) -> Suite:
    """Problems whose answer is their number."""
    queries = [Query.of(f"problem {i}", answer_type=NUMBER, tags={"family": "toy"}) for i in range(n)]
    return Suite("toy", [Problem(q, str(i)) for i, q in enumerate(queries)], **fields)


def config(runs: Path, *, of: Suite | None = None, sampling: Sampling | None = None, **parameters: Any) -> EvalConfig:
    return EvalConfig(
        suites=(of or suite(),),
        strategies=(Recording(**{"n": 4, **parameters}),),
        sampling=sampling or Sampling(max_tokens=CAP),
        runs=runs,
        run_id="r",
    )


def words_of(problem: str, seed: int) -> list[str]:
    """A whole sample: a number of words, then the answer, which is right in three of five cases."""
    rng = random.Random(f"{problem}{seed}")
    right, length = problem.split()[1], rng.choice([2, 5, 9, 14, 60])
    said = right if rng.random() < 0.6 else str(rng.randrange(90, 99))
    return [f"s{seed}", *["so"] * length, "The", "answer", "is", said]


def reply(body: dict[str, Any], _: int) -> Reply:
    """Draws a sample, goes on with one that was cut, or says what it is forced to: follows from the body alone."""
    *_, last = body["messages"]
    if not body.get("continue_final_message"):
        return Reply(text=" ".join(words_of(str(last["content"]), body["seed"])))
    problem, begun = str(body["messages"][-2]["content"]), str(last["content"])
    if begun.endswith(NUMBER.cue):
        return Reply(text=f" {len(begun.split()) % 3}.")
    seed = int(begun.split()[0].removeprefix("s"))
    return Reply(text=" " + " ".join(words_of(problem, seed)[len(begun.split()) :]), cached_tokens=len(begun.split()))


@pytest.fixture
async def model() -> AsyncGenerator[VLLMServer]:
    async with FakeServer(reply=reply) as server, VLLMServer(server.url) as connected:
        yield connected


@dataclass(frozen=True)
class Even:
    """Lets even answers pass."""

    name: str = "even"
    logprobs: int = 0
    pass_fail: bool = True
    joint: bool = False

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        assert len(candidates) == 1
        return [float(int(c.answer or 1) % 2 == 0) for c in candidates]


@pytest.fixture
def even(monkeypatch: pytest.MonkeyPatch) -> str:
    """A pass/fail verifier by its name."""
    make = recording.make_verifier
    monkeypatch.setattr(recording, "make_verifier", lambda spec: Even() if spec == "even" else make(spec))
    return "even"


def column(pool: Pool, name: str) -> list[Any]:
    return [value for problem in pool.problems for value in getattr(problem, name)]


# -- whole samples ----------------------------------------------------------------------------------------------------


async def test_n_samples_of_every_problem_whatever_they_say(tmp_path: Path, even: str) -> None:
    async with FakeServer(reply=reply) as server, VLLMServer(server.url) as model:
        recorded = await record(config(tmp_path, n=7, verifiers=(even,)), model)
        assert sum(not body.get("continue_final_message") for body in server.requests) == 21
    assert [len(p) for p in recorded.pool.problems] == [7, 7, 7]
    assert recorded.pool.pass_fail == {"even"}


async def test_columns_hold_what_each_sample_said_and_cost(tmp_path: Path, model: VLLMServer) -> None:
    pool = (await record(config(tmp_path), model)).pool
    for problem in pool.problems:
        number = problem.prompt.split()[1]
        assert problem.right == tuple(float(answer == number) for answer in problem.answers)
        for i, text in enumerate(problem.texts):
            seed = int(text.split()[0].removeprefix("s"))
            said = words_of(problem.prompt, seed)
            if len(said) <= CAP:
                assert text.split() == said
                assert (problem.generated[i], problem.finish[i], problem.answers[i]) == (len(said), "stop", said[-1])
            else:
                assert (problem.generated[i], problem.finish[i]) == (CAP + 1, "length")  # it was made to answer
            assert problem.characters[i] == len(text)
            assert problem.prompt_tokens[i] > 0
            assert problem.seconds[i] > 0
            assert problem.answer_tokens[i] == 1
            assert problem.logprobs[i] == pytest.approx(-0.1)
        assert problem.tags == {"family": "toy"}
    assert len(set(column(pool, "texts"))) == 12
    assert {*column(pool, "right")} == {0.0, 1.0}


async def test_recorded_samples_are_those_that_a_vote_draws(tmp_path: Path, model: VLLMServer) -> None:
    pool = (await record(config(tmp_path / "a"), model)).pool
    voted = EvalConfig(
        suites=(suite(),),
        strategies=("majority:n=4,stop=never",),
        sampling=Sampling(max_tokens=CAP),
        runs=tmp_path / "b",
        run_id="r",
    )
    run = await run_eval(voted, model)
    exported = await pool_of_run(run.directory, suites=[suite()])
    assert [p.texts for p in exported.problems] == [p.texts for p in pool.problems]
    assert [p.right for p in exported.problems] == [p.right for p in pool.problems]


async def test_each_verifier_scores_each_answer_by_itself(tmp_path: Path, model: VLLMServer, even: str) -> None:
    pool = (await record(config(tmp_path, verifiers=(even, "mean_logprob")), model)).pool
    assert pool.verifiers == ("even", "mean_logprob")
    for problem in pool.problems:
        assert problem.scores["even"] == tuple(float(int(a or 1) % 2 == 0) for a in problem.answers)
        assert all(s == pytest.approx(0.905, abs=0.001) for s in problem.scores["mean_logprob"])


async def test_what_holds_no_answer_is_not_scored_and_wrong(tmp_path: Path, even: str) -> None:
    async with FakeServer(reply=lambda body, k: Reply(text="I do not know")) as server, VLLMServer(server.url) as model:
        pool = (await record(config(tmp_path, verifiers=(even,)), model)).pool
    assert {*column(pool, "answers")} == {None}
    assert {*column(pool, "right")} == {0.0}
    assert {*column(pool, "answer_tokens")} == {0}
    assert {score for p in pool.problems for score in p.scores["even"]} == {None}


async def test_equal_answers_become_equal_texts(tmp_path: Path) -> None:
    forms = ["2", "2.0", "+2", "02"]

    def said(body: dict[str, Any], k: int) -> Reply:
        return Reply(text=f"The answer is {forms[k % 4]}")

    async with FakeServer(reply=said) as server, VLLMServer(server.url) as model:
        pool = (await record(config(tmp_path), model)).pool
    for problem in pool.problems:
        assert len({*problem.answers}) == 1
        assert problem.answers[0] in problem.texts[0]
        assert len({*problem.right}) == 1


def test_the_first_form_stands_for_its_class() -> None:
    given = ["7.0", None, "7", "8", "8.00", "7"]
    assert first_forms(NUMBER, given) == {"7.0": "7.0", "7": "7.0", "8": "8", "8.00": "8"}


@dataclass(frozen=True)
class Doubting:
    """Decides about one answer alone."""

    name: str = "doubting"

    async def prepare(self) -> None: ...

    async def grade(self, problem: Problem, answer: str) -> Grade:
        return "right" if answer == problem.gold else "undecided"


async def test_what_the_grader_leaves_undecided_has_no_verdict(tmp_path: Path, model: VLLMServer) -> None:
    pool = (await record(config(tmp_path, of=suite(grader=Doubting())), model)).pool
    assert {*column(pool, "right")} == {None, 1.0}


async def test_calls_that_fail_for_good_leave_fewer_samples_and_that_is_said(tmp_path: Path) -> None:
    def broken(body: dict[str, Any], k: int) -> Reply:
        return Reply(status=400, message="no") if k == 2 else reply(body, k)

    async with FakeServer(reply=broken) as server, VLLMServer(server.url) as model:
        pool = (await record(config(tmp_path), model)).pool
    assert sorted(len(p) for p in pool.problems) == [3, 4, 4]
    assert pool.width == 3
    assert pool.info["warnings"] == ["1 of 3 problems have fewer than 4 samples"]


async def test_the_pool_follows_from_the_store(tmp_path: Path, model: VLLMServer, even: str) -> None:
    recorded = await record(config(tmp_path, cuts=(3, 8), verifiers=(even,)), model)
    again = await pool_of_run(tmp_path / "r", suites=[suite()])
    assert again == recorded.pool
    assert again.digest() == recorded.pool.digest()


async def test_costs_are_what_the_store_says(tmp_path: Path, model: VLLMServer) -> None:
    pool = (await record(config(tmp_path, cuts=(3, 8)), model)).pool
    with closing(sqlite3.connect(tmp_path / "r" / FILE)) as store:
        rows = [(kind, orjson.loads(raw)["usage"]) for kind, raw in store.execute("SELECT kind, sample FROM calls")]
    kept = Counter[str]()
    for kind, usage in rows:
        kept[kind] += usage["answer_tokens"] + usage["reasoning_tokens"]
        kept["prompt_tokens"] += usage["prompt_tokens"]
        kept["cached_tokens"] += usage["cached_tokens"]
        kept["calls"] += 1
    assert kept["cached_tokens"] > 0
    assert {k: v for k, v in pool.cost.items() if k != "seconds"} == kept


async def test_its_seconds_are_those_in_which_calls_were_under_way(tmp_path: Path, model: VLLMServer) -> None:
    pool = (await record(config(tmp_path), model)).pool
    assert max(column(pool, "seconds")) - 1e-6 <= pool.cost["seconds"] <= sum(column(pool, "seconds")) + 1e-6


@pytest.mark.parametrize(
    ("times", "seconds"),
    [([], 0), ([(1, 3)], 2), ([(1, 3), (2, 4)], 3), ([(5, 6), (1, 9)], 8), ([(1, 2), (4, 6)], 3)],
)
def test_calls_that_were_under_way_at_once_count_once(times: list[tuple[float, float]], seconds: float) -> None:
    assert _under_way(times) == seconds


async def test_provenance_says_what_was_recorded(tmp_path: Path, model: VLLMServer) -> None:
    off = Sampling(max_tokens=CAP, extra={"chat_template_kwargs": {"enable_thinking": False}})
    pool = (await record(config(tmp_path, sampling=off), model)).pool
    assert (pool.name, pool.model, pool.unit, pool.thinking) == ("r", "fake", "tokens", "off")
    assert pool.info["suites"][0]["spec"] == "toy"
    assert pool.info["sampling"]["max_tokens"] == CAP
    assert pool.info["date"]


async def test_progress_is_told_of_calls_and_of_grading(tmp_path: Path, model: VLLMServer) -> None:
    done, graded = list[int](), list[tuple[int, int]]()
    await record(
        config(tmp_path),
        model,
        on_progress=lambda p: done.append(p.done),
        on_graded=lambda at, of: graded.append((at, of)),
    )
    assert (done[0], done[-1]) == (0, 3)
    assert graded == [(1, 3), (2, 3), (3, 3)]


# -- cuts -------------------------------------------------------------------------------------------------------------


def assert_cuts_are_consistent(problem: RecordedProblem, cuts: Sequence[int], *, forced: int = 16) -> None:
    """Each sample at each cut is what a run with that cap had brought."""
    for cut in cuts:
        there = problem.cuts[cut]
        for i, whole in enumerate(problem.generated):
            if whole <= cut:
                assert (there.answers[i], there.generated[i]) == (problem.answers[i], whole)
                assert there.right[i] == problem.right[i]
            else:
                assert cut <= there.generated[i] <= cut + forced


async def test_a_sample_that_ended_before_a_cut_is_there_what_it_is(tmp_path: Path, model: VLLMServer) -> None:
    pool = (await record(config(tmp_path, n=6, cuts=(4, 8, 16)), model)).pool
    assert pool.cuts == (4, 8, 16)
    for problem in pool.problems:
        assert_cuts_are_consistent(problem, (4, 8, 16))
    lengths = column(pool, "generated")
    assert min(lengths) < 8  # some ended before the second cut,
    assert max(lengths) > 16  # and some behind the last


async def test_the_parts_of_a_trace_make_the_sample(tmp_path: Path, model: VLLMServer) -> None:
    pool = (await record(config(tmp_path, cuts=(4, 8)), model)).pool
    plain = (await record(config(tmp_path / "plain"), model)).pool
    for problem, other in zip(pool.problems, plain.problems, strict=True):
        for i, text in enumerate(problem.texts):
            said = words_of(problem.prompt, int(text.split()[0].removeprefix("s")))
            assert text.split()[:CAP] == said[:CAP]
            assert problem.generated[i] == (len(said) if len(said) <= CAP else CAP + 1)
        assert {*problem.prompt_tokens} & {*other.prompt_tokens}  # a sample's prompt counts once
        assert max(problem.logprobs, default=0) == pytest.approx(-0.1)


async def test_an_answer_is_forced_at_a_cut_and_charged_as_a_probe(tmp_path: Path) -> None:
    long = " ".join(["so"] * 30)

    def said(body: dict[str, Any], k: int) -> Reply:
        if not body.get("continue_final_message"):
            return Reply(text=long)
        begun = str(body["messages"][-1]["content"])
        if begun.endswith(NUMBER.cue):
            return Reply(text=f" {len(begun.split()) - 3} I think")
        return Reply(text=" " + " ".join(["so"] * (30 - len(begun.split()))))

    async with FakeServer(reply=said) as server, VLLMServer(server.url) as model:
        pool = (await record(config(tmp_path, of=suite(1), n=2, cuts=(5, 10)), model)).pool
        sent = server.requests
    (problem,) = pool.problems
    assert problem.cuts[5].answers == ("5", "5")
    assert problem.cuts[10].answers == ("10", "10")
    assert problem.cuts[10].generated == (13.0, 13.0)
    assert problem.generated == (30.0, 30.0)
    assert pool.cost["probe"] == 2 * 2 * 3
    assert pool.cost["generate"] == 2 * 30
    assert [body["temperature"] for body in sent if body.get("continue_final_message")].count(0.0) == 4


async def test_nothing_is_forced_out_of_what_has_concluded(tmp_path: Path) -> None:
    text = "The answer is 1. " + " ".join(["so"] * 20)

    def said(body: dict[str, Any], k: int) -> Reply:
        begun = str(body["messages"][-1]["content"]) if body.get("continue_final_message") else ""
        assert not begun.endswith(NUMBER.cue)
        return Reply(text=text[len(begun) :])

    async with FakeServer(reply=said) as server, VLLMServer(server.url) as model:
        pool = (await record(config(tmp_path, of=suite(2), n=2, cuts=(6, 9)), model)).pool
        assert len(server.requests) == 2 * 2 * 3
    for problem in pool.problems:
        assert {*problem.cuts[6].answers} == {"1"}
        assert {*problem.cuts[9].generated} == {9.0}
    assert "probe" not in pool.cost


async def test_what_is_forced_at_a_cut_is_what_a_run_with_that_cap_brings(tmp_path: Path) -> None:
    def said(body: dict[str, Any], k: int) -> Reply:
        return reply({**body, "seed": 3}, k)  # one sample a problem, whatever the seed

    cuts = (4, 8, 20)
    async with FakeServer(reply=said) as server, VLLMServer(server.url) as model:
        pool = (await record(config(tmp_path, n=1, cuts=cuts), model)).pool
        for cut in cuts:
            capped = config(tmp_path / str(cut), n=1, sampling=Sampling(max_tokens=cut))
            whole = (await record(capped, model)).pool
            assert [p.cuts[cut].answers for p in pool.problems] == [p.answers for p in whole.problems]
            assert [p.cuts[cut].generated for p in pool.problems] == [p.generated for p in whole.problems]


async def test_thoughts_that_are_cut_go_on_as_thoughts(tmp_path: Path) -> None:
    thoughts = [f"t{i}" for i in range(12)]

    def said(body: dict[str, Any], k: int) -> Reply:
        if not body.get("continue_final_message"):
            return Reply(reasoning=" ".join(thoughts), text="The answer is 1", inline=True)
        begun = str(body["messages"][-1]["content"])
        if begun.endswith(NUMBER.cue):
            assert "</think>" in begun
            return Reply(text=" 0")
        rest = " ".join(thoughts[begun.count("t") - begun.count("think") :])
        return Reply(text=f" {rest}\n</think>\n\nThe answer is 1")

    async with FakeServer(reply=said) as server, VLLMServer(server.url) as model:
        pool = (await record(config(tmp_path, of=suite(2), n=1, cuts=(6,)), model)).pool
    assert column(pool, "answers") == ["1", "1"]
    assert [p.cuts[6].answers for p in pool.problems] == [("0",), ("0",)]
    assert all(0 < r < g for r, g in zip(column(pool, "reasoning"), column(pool, "generated"), strict=True))


# -- resuming ---------------------------------------------------------------------------------------------------------

WORKER = """
import sys
from pathlib import Path
import anyio
from tests.evals.test_recording import config
from ttc.evals.recordings.recording import record
from ttc.models.vllm_server import VLLMServer

async def main():
    async with VLLMServer(sys.argv[1]) as model:
        await record(config(Path(sys.argv[2]), n=5, cuts=(4, 8), verifiers=("judge",)), model)

anyio.run(main)
"""


def judged(body: dict[str, Any], k: int) -> Reply:
    return Reply(text="Yes") if body.get("structured_outputs") else reply(body, k)


def asked(body: dict[str, Any]) -> tuple[str, int]:
    return orjson.dumps(body["messages"]).decode(), body["seed"]


def acknowledged(runs: Path) -> set[tuple[str, int]]:
    if not (runs / "r" / FILE).is_file():
        return set()
    query = "SELECT request, seed FROM calls JOIN requests USING (content) WHERE key NOT LIKE '%:%'"
    with closing(sqlite3.connect(runs / "r" / FILE)) as store:
        if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone():
            return set()
        return {(orjson.dumps(orjson.loads(raw)["messages"]).decode(), seed) for raw, seed in store.execute(query)}


async def test_killed_again_and_again_it_pays_for_nothing_acknowledged_twice(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    async with FakeServer(reply=judged, token_delay=0.0005) as server:

        def start(runs: Path) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-c", WORKER, server.url, str(runs)]
            return subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE)

        for requests in (6, 25, 40):
            known, mark = acknowledged(tmp_path), len(server.requests)
            process = start(tmp_path)
            while len(server.requests) < mark + requests and process.poll() is None:  # noqa: ASYNC110 -- a counter
                await anyio.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            await anyio.to_thread.run_sync(process.communicate)
            assert known.isdisjoint(asked(body) for body in server.requests[mark:])
        known, mark = acknowledged(tmp_path), len(server.requests)
        assert known
        process = start(tmp_path)
        _, err = await anyio.to_thread.run_sync(process.communicate)
        assert process.returncode == 0, err.decode()
        assert known.isdisjoint(asked(body) for body in server.requests[mark:])
        async with VLLMServer(server.url) as model:
            calm = (await record(config(tmp_path / "calm", n=5, cuts=(4, 8), verifiers=("judge",)), model)).pool
    killed = await pool_of_run(tmp_path / "r", suites=[suite()])
    assert killed.digest() == calm.digest()
    assert [p.cuts for p in killed.problems] == [p.cuts for p in calm.problems]
    assert {k: v for k, v in killed.cost.items() if k != "seconds"} == {
        k: v for k, v in calm.cost.items() if k != "seconds"
    }


async def test_a_recording_that_is_done_makes_its_pool_without_a_call(tmp_path: Path, model: VLLMServer) -> None:
    first = await record(config(tmp_path), model)
    again = await record(config(tmp_path), model)
    assert again.run.progress.calls.made == 0
    assert again.pool == first.pool


async def test_its_settings_come_back_from_its_card(tmp_path: Path, model: VLLMServer, even: str) -> None:
    made = config(tmp_path, cuts=(3, 8), verifiers=(even, "mean_logprob:window=2"))
    await record(made, model)
    found = recording_of(tmp_path, "r")
    assert found.identity() == made.identity()
    assert found.strategies == made.strategies


async def test_an_eval_is_no_recording(tmp_path: Path, model: VLLMServer) -> None:
    await run_eval(EvalConfig(suites=(suite(),), strategies=("single",), runs=tmp_path, run_id="r"), model)
    with pytest.raises(RunError, match=r"no recording.*ttc eval --resume r.*ttc pool export"):
        recording_of(tmp_path, "r")


@pytest.mark.parametrize(
    "given",
    [
        Recording(),
        Recording(n=3, cuts=(5,)),
        Recording(n=3, cuts=(512, 1024, 2048), logprobs=False),
        Recording(verifiers=("judge",)),
        Recording(verifiers=("process_reward:url=http://a:1,aggregate=min", "judge"), cuts=(1, 2)),
    ],
    ids=lambda r: r.spec,
)
def test_a_recording_is_read_back_from_its_spec(given: Recording) -> None:
    parameters = parameters_of(given.spec)
    assert parameters is not None
    assert Recording(**parameters) == given


def test_other_strategies_are_no_recordings() -> None:
    assert parameters_of("majority:n=4") is None
    with pytest.raises(ConfigurationError):
        make_strategy("recording:n=4")  # made by 'ttc record' alone


# -- what is refused, before a call -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(8, 4), (4, 4), (0, 4), (-1,)])
def test_cuts_ascend_from_one(cuts: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError, match="ascending"):
        Recording(cuts=cuts)


def test_a_sample_is_the_least() -> None:
    with pytest.raises(ConfigurationError, match="1 to 4096"):
        Recording(n=0)


@pytest.mark.parametrize("last", [CAP, CAP + 1])
async def test_cuts_stay_below_the_cap(tmp_path: Path, last: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"cut {last}: .*{CAP} tokens"):
        await ready_recording(config(tmp_path, cuts=(4, last)))


@pytest.mark.parametrize("joint", ["agreement", "learned_joint"])
async def test_scores_that_depend_on_the_others_are_refused(
    tmp_path: Path, joint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "make_verifier", lambda _: Even(name=joint, joint=True))
    with pytest.raises(ConfigurationError, match=rf"'{joint}' scores candidates together.*Record without it"):
        await ready_recording(config(tmp_path, verifiers=(joint,)))


async def test_a_verifier_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="named 2 times"):
        await ready_recording(config(tmp_path, verifiers=("mean_logprob", "mean_logprob:window=3")))


async def test_a_verifier_without_anything_to_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="none of these 3 problems has any"):
        await ready_recording(config(tmp_path, verifiers=("public_tests",)))


async def test_problems_of_one_name_are_recorded_apart(tmp_path: Path) -> None:
    both = EvalConfig(suites=(suite(), suite()), strategies=(Recording(),), runs=tmp_path)
    with pytest.raises(ConfigurationError, match="is in 2 suites"):
        await ready_recording(both)


async def test_nothing_is_paid_for_a_recording_that_is_refused(tmp_path: Path) -> None:
    async with FakeServer(reply=reply) as server, VLLMServer(server.url) as model:
        with pytest.raises(ConfigurationError):
            await record(config(tmp_path, cuts=(CAP,)), model)
        assert server.requests == []
    assert not (tmp_path / "r").exists()


async def test_an_empty_suite_is_refused(tmp_path: Path, model: VLLMServer) -> None:
    with pytest.raises(ConfigurationError, match="no problems"):
        await record(config(tmp_path, of=Suite("empty", [])), model)


async def test_units_hold_the_rows_and_an_answer(tmp_path: Path, model: VLLMServer) -> None:
    run = (await record(config(tmp_path), model)).run
    for unit in read_units(run.directory):
        assert sum(event["event"] == "recorded" for event in unit.outcome.trace) == 4
        assert unit.outcome.answer is not None
