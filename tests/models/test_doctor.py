"""The doctor: against the real server, and against servers that accept everything and do nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ttc.errors import UnknownName
from ttc.models.doctor import UNKNOWN, Diagnosis, examine
from ttc.models.launch import RunningServer
from ttc.testing import FakeServer, Reply

pytestmark = pytest.mark.anyio

NAMES = [
    "server_version",
    "models",
    "context_tokens",
    "reasoning_parser",
    "thinking_budget",
    "usage_fields",
    "continuous_usage",
    "logprob_cap",
    "seed_repeats",
    "n_above_1",
    "prefix_cache_hit",
    "continue_final_message",
    "stop_reason",
    "line_ends_kept",
    "structured_choice",
    "cancel_stops",
    "tokens_after_cancel",
]


def names(diagnosis: Diagnosis) -> list[str]:
    return [finding.name for finding in diagnosis.findings]


@contextmanager
def server(answer: Any, *, status: int = 200, models: Any = ("m",)) -> Iterator[str]:
    """Gives ``answer`` to every completion, or calls it with the request."""

    class Handler(BaseHTTPRequestHandler):
        def _send(self, status: int, body: Any) -> None:
            raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_GET(self) -> None:
            if self.path == "/v1/models":
                self._send(200, {"data": [{"id": model} for model in models]} if models is not None else "<html>")
            else:
                self._send(404, "not here")

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = answer(self.path, request) if callable(answer) else answer
            self._send(*body) if isinstance(body, tuple) else self._send(status, body)

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


@pytest.mark.server
async def test_the_real_server_is_described(vllm_server: RunningServer) -> None:
    found = await examine(vllm_server.base_url)
    assert found.reachable
    assert names(found) == NAMES
    assert found["models"] == [vllm_server.model]
    assert found["context_tokens"] == 2048
    assert found["reasoning_parser"] is False
    assert found["thinking_budget"] is False
    assert {"prompt_tokens", "completion_tokens", "cached_tokens"} <= set(found["usage_fields"])
    assert found["continuous_usage"] is True
    assert found["logprob_cap"] == 20
    assert found["seed_repeats"] is True
    assert found["n_above_1"] is True
    assert found["prefix_cache_hit"] is True
    assert found["continue_final_message"] is True
    assert found["stop_reason"] is True
    assert found["line_ends_kept"] is True
    assert found["structured_choice"] is True
    assert found["cancel_stops"] is True
    assert found["tokens_after_cancel"] < 100
    assert found.generated_tokens < 600
    assert found.prompt_tokens < 3000


async def test_a_server_that_ignores_all_it_is_sent_is_found_out() -> None:
    same = {
        "choices": [{"message": {"content": "Certainly!"}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
    }
    with server(same) as url:
        found = await examine(url)
    assert found.reachable
    assert names(found) == NAMES
    assert found["usage_fields"] == ["prompt_tokens", "completion_tokens"]
    assert found["logprob_cap"] == 0
    assert found["n_above_1"] is False
    assert found["continue_final_message"] is False
    assert found["stop_reason"] is False
    assert found["structured_choice"] is False
    assert found["continuous_usage"] is False
    for name in (
        "server_version",
        "context_tokens",
        "reasoning_parser",
        "thinking_budget",
        "seed_repeats",
        "prefix_cache_hit",
        "line_ends_kept",
        "cancel_stops",
        "tokens_after_cancel",
    ):
        assert found[name] == UNKNOWN, name
    assert found.generated_tokens == 2 * (found.requests - 1)  # the stream brought no usage


@pytest.mark.parametrize(("thinking", "expected"), [(16, True), (90, False)])
async def test_a_thinking_budget_is_judged_by_what_was_thought(thinking: int, expected: bool) -> None:
    def answer(path: str, request: dict[str, Any]) -> Any:
        if path == "/tokenize":
            return {"count": len(request["prompt"].split())}
        budget = request.get("thinking_token_budget")
        if isinstance(budget, str):
            return 400, {"error": {"message": "not an integer"}}
        words = "hm " * (thinking if budget else 90)
        return {"choices": [{"message": {"content": "15", "reasoning": words}}], "usage": {}}

    with server(answer) as url:
        found = await examine(url)
    assert found["reasoning_parser"] is True
    assert found["thinking_budget"] is expected


@pytest.mark.parametrize("trims", [True, False])
async def test_a_template_that_trims_is_told(trims: bool) -> None:
    async with FakeServer(lambda body, k: Reply(text="one two three four five six"), trims=trims) as fake:
        found = await examine(fake.url)
    assert found["stop_reason"] is True
    assert found["line_ends_kept"] is not trims


@pytest.mark.parametrize(
    "nonsense", ["<html>bad gateway</html>", [], {"choices": None}, {"choices": [{}]}, {"usage": 3}]
)
async def test_nonsense_gives_unknown_and_no_traceback(nonsense: Any) -> None:
    with server(nonsense) as url:
        found = await examine(url)
    assert names(found) == NAMES
    assert found["seed_repeats"] == UNKNOWN
    assert found["prefix_cache_hit"] == UNKNOWN


async def test_nothing_at_the_url() -> None:
    found = await examine("http://127.0.0.1:9")
    assert not found.reachable
    assert names(found) == NAMES
    assert {finding.value for finding in found.findings} == {UNKNOWN}
    assert "nothing answers" in found.findings[0].note


async def test_a_page_that_is_no_list_of_models() -> None:
    with server({}, models=None) as url:
        found = await examine(url)
    assert {finding.value for finding in found.findings} == {UNKNOWN}


async def test_a_model_that_is_not_served_is_named_with_its_neighbours() -> None:
    with server({}, models=["smollm2", "qwen"]) as url, pytest.raises(UnknownName, match="Did you mean 'smollm2'"):
        await examine(url, model="smollm")


async def test_as_json() -> None:
    with server({}, models=[]) as url:
        found = await examine(url)
    read = json.loads(found.to_json())
    assert read["reachable"] is True
    assert list(read["findings"]) == NAMES
    assert read["findings"]["models"] == {"value": [], "note": "none is served"}
