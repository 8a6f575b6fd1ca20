"""The replicas of a reward model: they generate nothing, one that is away is no error, and they take turns."""

from __future__ import annotations

import aiohttp
import anyio

from ttc.errors import ConfigurationError, ServerUnreachable
from ttc.models.replicas import Replica, Replicas

__all__ = ["START", "PoolingReplicas"]

START = "start the reward model with `vllm serve MODEL --runner pooling` (and `--convert classify` where it needs one)"
"""What to do where nothing is that scores."""


class PoolingReplicas(Replicas):
    """One or several pooling servers of the same model."""

    async def settle(self, wanted: str) -> None:
        """Find out what is served; those that do not answer are left out until they do.

        Raises:
            ServerUnreachable: none of them answers.
            ConfigurationError: the model is not served, several are and none was named, or the API key is wrong.
        """
        failed: Exception | None = None
        answered = 0
        for replica in self._all:
            try:
                served = await self._models(replica.url)
            except ServerUnreachable as error:
                failed = failed or error
                replica.failures = 3  # as many as bench one, which is then looked at now and then
                replica.looked_at = anyio.current_time()
                continue
            answered += 1
            names = ", ".join(served) or "nothing"
            if not wanted and len(served) != 1:
                raise ConfigurationError(f"{replica.url} serves {names}: name the reward model with model=...")
            wanted = wanted or next(iter(served))
            if wanted not in served:
                raise ConfigurationError(f"{replica.url} does not serve the reward model '{wanted}': it serves {names}")
        if not answered:
            why = failed and (failed.__cause__ or failed)
            raise ServerUnreachable(f"no reward model answers at {', '.join(self.urls)} ({why}): {START}") from failed
        self.served = wanted

    async def pick(self) -> Replica:
        """Of those with the fewest calls in flight the one that was asked longest ago."""
        replica = await super().pick()
        self._all = [r for r in self._all if r is not replica] + [replica]  # a new list: others may be going through it
        return replica

    async def _look(self, replica: Replica) -> bool:
        replica.looked_at = anyio.current_time()
        try:
            async with self.http.get(f"{replica.url}/health", timeout=aiohttp.ClientTimeout(total=5)) as response:
                healthy = response.status in (200, 404)  # other servers have no such path
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
        if healthy:
            replica.failures = 0
        return healthy
