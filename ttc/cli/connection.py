"""Where commands find their models: servers that run, or one that is started for them."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from ttc.budget import Price
    from ttc.evals.served import ServedModel
    from ttc.models.in_flight import InFlight
    from ttc.models.vllm_server import VLLMServer

__all__ = ["DEFAULT_URL", "connect", "connect_all"]

DEFAULT_URL = "http://127.0.0.1:8000"


@asynccontextmanager
async def connect(
    base_url: str,
    model: str | None,
    *,
    up: str | None = None,
    price: Price | None = None,
    limiter: InFlight | None = None,
) -> AsyncGenerator[VLLMServer]:
    """Connect to the server at ``base_url``, or, with ``up``, to one that is started for the time of the block.

    Raises:
        ServerUnreachable: nothing answers there.
        ConfigurationError: it does not serve ``model``.
        LaunchError: the server did not come up.
    """
    from ttc.models.vllm_server import VLLMServer

    if up is None:
        async with VLLMServer(base_url, model, price=price, limiter=limiter) as connected:
            yield connected
        return
    from ttc.models.launch import serve

    def tell(seconds: float, step: str) -> None:
        if round(seconds) % 5 == 0:
            print(f"ttc: starting vLLM, {seconds:.0f} s: {step}", file=sys.stderr, flush=True)

    async with (
        serve(up, on_progress=tell) as running,
        VLLMServer(running.base_url, running.model, price=price, limiter=limiter) as connected,
    ):
        yield connected


@asynccontextmanager
async def connect_all(served: Sequence[ServedModel]) -> AsyncGenerator[dict[str, VLLMServer]]:
    """Connect to the models of a run, by the names that the run has for them; those of one server share its permits.

    Raises:
        ConfigurationError: two have the same name; or as for :func:`connect`.
        ServerUnreachable: nothing answers at one of them.
    """
    from ttc.evals.served import refuse_twice
    from ttc.models.in_flight import InFlight

    limits: dict[str, InFlight] = {}
    connected: list[tuple[str, VLLMServer]] = []
    async with AsyncExitStack() as stack:
        for one in served:
            url = one.base_url or DEFAULT_URL
            limit = limits.setdefault(one.up or url, InFlight())
            server = await stack.enter_async_context(connect(url, one.model, up=one.up, price=one.price, limiter=limit))
            connected.append((one.known_as or server.name, server))
        try:
            refuse_twice([name for name, _ in connected])
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        yield dict(connected)
