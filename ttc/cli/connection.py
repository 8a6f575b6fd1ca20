"""Where commands find their model: a server that runs, or one that is started for them."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ttc.models.vllm_server import VLLMServer

__all__ = ["DEFAULT_URL", "connect"]

DEFAULT_URL = "http://127.0.0.1:8000"


@asynccontextmanager
async def connect(base_url: str, model: str | None, *, up: str | None = None) -> AsyncGenerator[VLLMServer]:
    """Connect to the server at ``base_url``, or, with ``up``, to one that is started for the time of the block.

    Raises:
        ServerUnreachable: nothing answers there.
        ConfigurationError: it does not serve ``model``.
        LaunchError: the server did not come up.
    """
    from ttc.models.vllm_server import VLLMServer

    if up is None:
        async with VLLMServer(base_url, model) as connected:
            yield connected
        return
    from ttc.models.launch import serve

    def tell(seconds: float, step: str) -> None:
        if round(seconds) % 5 == 0:
            print(f"ttc: starting vLLM, {seconds:.0f} s: {step}", file=sys.stderr, flush=True)

    async with serve(up, on_progress=tell) as running, VLLMServer(running.base_url, running.model) as connected:
        yield connected
