"""A response cache across runs: a call that any run paid for answers the same call of every other.

Unlike a run's store it outlives the run, and several runs use it at once. The key holds all that determines a sample:
what is asked, the seed, the position among requests of equal content, and a fingerprint of the model, so that other
weights under the same name never answer. So it never makes two samples of a problem out of one: sample *k* is only ever
answered by sample *k*. What it answers is charged like a call that was made; the run pays nothing for it.

Calls that race others are not kept, since there the duration matters.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import sqlite3
import time
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import anyio.to_thread
import orjson

from ttc.errors import ConfigurationError, RunError
from ttc.evals.call_keys import call_key
from ttc.evals.group_commit import GroupCommits
from ttc.evals.records import sample_from_json, sample_to_json
from ttc.evals.run_directory import refuse_network_disk
from ttc.evals.store_schema import advice, close, connect
from ttc.models.base import LiveModel
from ttc.models.vllm_server import VLLMServer
from ttc.models.weights import weights_of
from ttc.request import digest
from ttc.types import Request, Sample

__all__ = ["CACHE_FILE", "CachedResponses", "ResponseCache", "model_identity"]

CACHE_FILE = "responses.sqlite"
_SCHEMA = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS models (fingerprint TEXT PRIMARY KEY, identity TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS responses (
    key TEXT NOT NULL, logprobs INTEGER NOT NULL, fingerprint TEXT NOT NULL, sample BLOB NOT NULL, time REAL NOT NULL,
    UNIQUE (key, logprobs));
"""
_TELLING = ("version", "root", "weights", "tokenizer", "template", "dtype", "settings")
"""What tells one served model from another, of the facts that a server gives."""

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


class ResponseCache:
    """The responses in a folder, open for reading and writing. A context manager.

    Any number of processes may use it at once: SQLite in WAL mode, and the first response of a key stays.
    """

    def __init__(self, folder: Path) -> None:
        """Open the cache in ``folder``, which is made where it is not there.

        Raises:
            RunError: it cannot be made or read, is of another version, or lies on a network disk.
        """
        self.folder = Path(folder)
        with contextlib.ExitStack() as opened:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                refuse_network_disk(self.folder)
                with open(self.folder / "lock", "a", encoding="utf-8") as opening:
                    fcntl.flock(opening, fcntl.LOCK_EX)  # one at a time makes the tables; nobody is refused
                    self._writer = opened.enter_context(contextlib.closing(connect(self.folder / CACHE_FILE)))
                    self._reader = opened.enter_context(contextlib.closing(connect(self.folder / CACHE_FILE)))
                    (version,) = self._writer.execute("PRAGMA user_version").fetchone()
                    if version == 0:
                        self._writer.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={_SCHEMA}; COMMIT;")
            except OSError as error:
                what = f"the response cache {self.folder} cannot be opened: {error.strerror or error}"
                raise RunError(what) from error
            except sqlite3.Error as error:
                raise RunError(
                    f"the response cache {self.folder} cannot be read ({error}): {advice(error)}; or name another "
                    "folder, or leave --cache out"
                ) from error
            if version not in (0, _SCHEMA):
                raise RunError(
                    f"the response cache {self.folder} has version {version}, and this program reads version "
                    f"{_SCHEMA}: name another folder"
                )
            opened.pop_all()  # they stay open until the cache is closed
        self._commits = GroupCommits(self._writer, self._explained)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files. What was kept is on the disk already."""
        close(self._reader, self._writer)

    async def of(self, model: LiveModel) -> CachedResponses:
        """Return what the cache holds of a model.

        Raises:
            ConfigurationError: nothing tells the model's weights from others under the same name.
            RunError: the cache cannot be written.
        """
        return await self.of_identity(await model_identity(model))

    async def of_identity(self, identity: Mapping[str, Any]) -> CachedResponses:
        """Return what the cache holds of the model that has this identity: plain data of all that makes it what it is.

        Raises:
            RunError: the cache cannot be written.
        """
        fingerprint = digest(dict(identity))
        written = orjson.dumps(dict(identity), option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()
        await self._commits.write(("INSERT OR IGNORE INTO models VALUES (?, ?)", (fingerprint, written)))
        return CachedResponses(self, fingerprint)

    def find(self, key: str, *, logprobs: int) -> Sample | None:
        """Return the response of a key, with at least so many logprobs."""
        try:
            row = self._reader.execute(
                "SELECT sample FROM responses WHERE key = ? AND logprobs >= ? ORDER BY logprobs LIMIT 1",
                (key, logprobs),
            ).fetchone()
        except sqlite3.Error as error:
            raise RunError(
                f"the response cache {self.folder} cannot be read ({error}): resume without --cache"
            ) from error
        return sample_from_json(row[0]) if row else None

    async def keep(self, key: str, fingerprint: str, sample: Sample, *, logprobs: int) -> None:
        """Keep a response; returns once it is committed. The first of a key stays."""
        values = (key, logprobs, fingerprint, sample_to_json(sample), time.time())
        await self._commits.write(("INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?, ?)", values))

    def _explained(self, error: sqlite3.Error) -> RunError:
        return RunError(
            f"the response cache {self.folder} cannot be written ({error}): the run's own store has everything that "
            "was acknowledged, and the run can be resumed; make room, or resume without --cache"
        )


class CachedResponses:
    """The responses of one model in a cache."""

    def __init__(self, cache: ResponseCache, fingerprint: str) -> None:
        """Look at ``cache`` for what the model with this fingerprint answered."""
        self.fingerprint = fingerprint
        self._cache = cache

    def find(self, request: Request) -> Sample | None:
        """Return the response to the same request, with at least the logprobs that are asked for, where there is one.

        Raises:
            RunError: the cache cannot be read.
        """
        if request.n != 1 or request.race:
            return None
        return self._cache.find(call_key(self.fingerprint, request), logprobs=request.logprobs or 0)

    async def keep(self, request: Request, sample: Sample) -> None:
        """Keep a response; returns once it is committed.

        Raises:
            RunError: the cache cannot be written.
        """
        if request.n != 1 or request.race:
            return
        key = call_key(self.fingerprint, request)
        await self._cache.keep(key, self.fingerprint, sample, logprobs=request.logprobs or 0)


async def model_identity(model: LiveModel) -> dict[str, Any]:
    """Return what tells a model from others under the same name, as plain data.

    Of a server that is what it says of itself: name, version, weights (or the hub id that it serves), tokenizer, chat
    template, number format. A folder on this machine is hashed where the server itself does not say which weights are
    in it.

    Raises:
        ConfigurationError: nothing tells its weights from others: it names none, or a folder on another machine.
    """
    if not isinstance(model, VLLMServer):
        raise ConfigurationError(
            f"model '{model.name}' says nothing of its weights, so a cache could not tell it from another of that "
            "name: leave --cache out, or name what it is with ResponseCache.of_identity"
        )
    facts = (await model.facts()).to_json()
    identity = {"name": model.name} | {name: facts[name] for name in _TELLING}
    root = facts["root"]
    if identity["weights"] is None and root and _is_here(model.base_url):
        identity["weights"] = await anyio.to_thread.run_sync(_weights_in, root)
    if identity["weights"] is None and not _HUB_ID.fullmatch(root or ""):
        said = f"only the path '{root}'" if root else "nothing"
        raise ConfigurationError(
            f"{model.base_url} says {said} of the weights of '{model.name}', so a cache could not tell them from "
            "others of that name: leave --cache out, or serve the model by its hub id"
        )
    return identity


def _weights_in(path: str) -> dict[str, Any] | None:
    return weights_of(path) if Path(path).exists() else None


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
