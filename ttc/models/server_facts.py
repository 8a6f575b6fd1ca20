"""What a server says of itself, and what is known of one that was started here: the model's part of a run card.

Tokenizer and chat template are told apart by what they do: the token ids of a fixed text, and those of fixed messages
with and without the opening of an answer, are hashed. Two servers with equal hashes read prompts alike, whatever they
call themselves. What nobody says is None, and is listed as unknown: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import anyio.to_thread

from ttc.errors import ConfigurationError
from ttc.models.machine import hardware, packages
from ttc.models.started import StartedServer, started_at
from ttc.models.weights import revision_in, weights_of
from ttc.request import digest

__all__ = ["ServerFacts", "ask_facts", "one_of", "without_credentials"]

Get = Callable[[str], Awaitable[Any]]
Post = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any] | None]]

_TEXT = "Zoë’s 3.14159 × 1,024 = ?\n\n\tdef f(x):  return x**2  # naïve 漢字 🙂 <think> </s>"  # noqa: RUF001 -- on purpose
_CHAT = (
    {"role": "user", "content": "Which is larger, a or b?"},
    {"role": "assistant", "content": "The answer is b."},
    {"role": "user", "content": "  Why?\n"},
)
_SETTINGS = {
    "model_config": (
        "quantization",
        "seed",
        "enforce_eager",
        "generation_config",
        "override_generation_config",
        "max_logprobs",
        "logprobs_mode",
    ),
    "cache_config": ("cache_dtype", "block_size", "enable_prefix_caching"),
    "parallel_config": ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"),
    "scheduler_config": ("max_num_seqs", "max_num_batched_tokens", "enable_chunked_prefill", "policy"),
    "attention_config": ("backend",),
}
_SYSTEM = {
    "gpu_models_and_configuration": "gpus",
    "nvidia_driver_version": "driver",
    "cuda_runtime_version": "cuda",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """One served model, as its server tells; None for what is not known.

    Attributes:
        base_url: where it is, without ``/v1`` and without a password.
        version: of vLLM.
        root: what the server was given as its model: a hub id, or a folder there.
        context: the longest prompt and answer, in tokens.
        weights: ``revision`` of the hub snapshot, or ``digest``, ``bytes`` and ``how`` of the files.
        tokenizer: hash of the token ids of a fixed text.
        template: hash of the token ids of fixed messages, with and without the opening of an answer.
        dated: the chat template writes the day's date into the prompt, so that ``template`` changes every day.
        dtype: number format of the weights.
        flags: command line of a server that was started here.
        settings: further settings that tell on results.
        hardware: what it computes on.
        packages: versions of what it is made of.
    """

    base_url: str
    version: str | None = None
    root: str | None = None
    context: int | None = None
    weights: Mapping[str, Any] | None = None
    tokenizer: str | None = None
    template: str | None = None
    dated: bool | None = None
    dtype: str | None = None
    flags: tuple[str, ...] | None = None
    settings: Mapping[str, Any] | None = None
    hardware: Mapping[str, Any] | None = None
    packages: Mapping[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data, with ``unknown``: the names of what nobody says."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return found | {"unknown": [name for name, value in found.items() if value is None]}


async def ask_facts(base_url: str, model: str, *, get: Get, post: Post) -> ServerFacts:
    """Ask a server what it is; paths that it lacks leave their facts unknown.

    Args:
        base_url: without ``/v1``.
        model: the served name.
        get: returns the JSON of a path, or None where there is no such path.
        post: sends JSON to a path and returns its answer, or None.
    """
    asked = _Asked(base_url)
    listing = await get("/v1/models")
    entry = _entry(listing, model)
    asked.root, asked.context = _text(entry.get("root")), entry.get("max_model_len")
    asked.version = _text(_map(await get("/version")).get("version"))
    plain = _ids(await post("/tokenize", {"prompt": _TEXT, "add_special_tokens": False}))
    asked.tokenizer = digest(plain) if plain is not None else None
    await _ask_template(asked, get, post)
    asked.read_info(_map(await get("/server_info?config_format=json")))
    started = started_at(base_url)
    if started is not None and started.model == model:
        await anyio.to_thread.run_sync(asked.read_started, started)
    elif asked.root is not None and (found := revision_in(asked.root)):
        asked.weights = {"revision": found}
    return asked.facts()


async def _ask_template(asked: _Asked, get: Get, post: Post) -> None:
    """Let the server render fixed messages; the template's own text is taken in, where the server shows it."""
    parts: list[Any] = []
    text = ""
    for opening in (True, False):
        body = {"messages": list(_CHAT), "add_generation_prompt": opening, "return_token_strs": True}
        answer = await post("/tokenize", body)
        parts.append(_ids(answer))
        strings: list[Any] = (answer or {}).get("token_strs") or []
        text += "".join(map(str, strings))
    if None in parts:
        return
    asked.template = digest(parts)
    asked.dated = _names_a_day(text) if text else None


@dataclass(slots=True)
class _Asked:
    """Facts while they are gathered."""

    base_url: str
    version: str | None = None
    root: str | None = None
    context: int | None = None
    weights: dict[str, Any] | None = None
    tokenizer: str | None = None
    template: str | None = None
    dated: bool | None = None
    dtype: str | None = None
    flags: tuple[str, ...] | None = None
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    hardware: dict[str, Any] | None = None
    packages: dict[str, str] | None = None

    def read_info(self, info: Mapping[str, Any]) -> None:
        """Take what a server in development mode shows; of all the rest of it, keys among it, nothing is kept."""
        config, variables, system = (_map(info.get(name)) for name in ("vllm_config", "vllm_env", "system_env"))
        model = _map(config.get("model_config"))
        if dtype := _text(model.get("dtype")):
            self.dtype = dtype.removeprefix("torch.")
        if revision := _text(model.get("revision")):
            self.weights = {"revision": revision}
        for part, names in _SETTINGS.items():
            told = _map(config.get(part))
            self.settings |= {name: told[name] for name in names if told.get(name) not in (None, {}, "")}
        if "VLLM_BATCH_INVARIANT" in variables:
            self.settings["batch_invariant"] = variables["VLLM_BATCH_INVARIANT"]
        if found := {ours: system[theirs] for theirs, ours in _SYSTEM.items() if system.get(theirs)}:
            self.hardware = found
        if torch := _text(system.get("torch_version")):
            self.packages = {"torch": torch}

    def read_started(self, started: StartedServer) -> None:
        """Take what is known of a server that was started on this machine."""
        self.flags = started.flags
        self.dtype = self.dtype or started.flag("--dtype")
        self.weights = weights_of(started.path, revision=started.flag("--revision")) or self.weights
        self.hardware = hardware()
        self.packages = packages()
        if started.environment:
            self.settings["environment"] = dict(started.environment)

    def facts(self) -> ServerFacts:
        return ServerFacts(
            base_url=without_credentials(self.base_url),
            version=self.version,
            root=self.root,
            context=self.context,
            weights=self.weights,
            tokenizer=self.tokenizer,
            template=self.template,
            dated=self.dated,
            dtype=self.dtype,
            flags=self.flags,
            settings=self.settings or None,
            hardware=self.hardware,
            packages=self.packages,
        )


def one_of(found: list[ServerFacts]) -> ServerFacts:
    """Return the facts of several servers of one model: those of the first.

    Raises:
        ConfigurationError: two of them read prompts differently or hold other weights, so that they are no one model.
    """
    first = found[0]
    for other in found[1:]:
        for name in ("weights", "tokenizer", "template", "version"):
            mine, its = getattr(first, name), getattr(other, name)
            if None not in (mine, its) and mine != its:
                raise ConfigurationError(
                    f"{first.base_url} and {other.base_url} are not the same model: their {name} differ "
                    f"({mine} and {its}). Serve the same model with the same version on both, or give one of them"
                )
    return first


def without_credentials(url: str) -> str:
    """Return a URL without user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _names_a_day(text: str) -> bool:
    """Whether a text holds today's date, or that of a server a day ahead or behind, in one of the usual forms."""
    squeezed = "".join(c for c in text if c.isascii() and c.isalnum()).lower()
    now = datetime.now(UTC)
    days = [now + timedelta(days=shift) for shift in (-1, 0, 1)]
    forms = ("%d%b%Y", "%d%B%Y", "%B%d%Y", "%b%d%Y", "%Y%m%d", "%d%m%Y", "%m%d%Y")
    return any(day.strftime(form).lower() in squeezed for day in days for form in forms)


def _entry(listing: Any, model: str) -> Mapping[str, Any]:
    entries: list[Any] = _map(listing).get("data") or []
    return next((found for found in map(_map, entries) if found.get("id") == model), dict[str, Any]())


def _ids(answer: Mapping[str, Any] | None) -> list[int] | None:
    ids = (answer or {}).get("tokens")
    return cast("list[int]", ids) if isinstance(ids, list) and ids else None


def _map(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
