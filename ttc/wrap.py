"""Give an existing ``openai.AsyncOpenAI`` client a strategy and a budget, without a rewrite."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, cast

import anyio

from ttc.budget import Budget
from ttc.chat_completion import Call, Settings, completion, read_call
from ttc.errors import (
    BadResponse,
    BudgetExhausted,
    ConfigurationError,
    MissingExtra,
    ModelError,
    ServerUnreachable,
)
from ttc.models.base import Meter
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve
from ttc.strategy import Strategy
from ttc.types import AnswerType, Outcome, Query, Request, Sample, Sampling
from ttc.verifier import Comparator, Verifier

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

    class Completion(ChatCompletion):
        """What a wrapped call returns: at run time a plain ``ChatCompletion`` with one attribute more."""

        ttc: Outcome

    class WrappedClient(AsyncOpenAI):
        """What :func:`wrap` returns: a client of the same class whose ``chat.completions.create`` is solved."""

        unwrapped: AsyncOpenAI
        chat: WrappedChat  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]


__all__ = ["wrap"]


def wrap(
    client: Any,
    strategy: str | Strategy = "majority:n=8",
    *,
    budget: Budget | str | int | None = None,
    verifier: str | Verifier | None = None,
    comparator: str | Comparator | None = None,
    answer_type: str | AnswerType | type[Any] = "text",
    sampling: Sampling | None = None,
    seed: int | None = None,
    in_flight: int = 64,
    patience: float = 10.0,
) -> WrappedClient:
    """Wrap an ``openai.AsyncOpenAI`` client: ``chat.completions.create`` runs a strategy under a budget.

    The result is a client of the same class, and everything else about it is untouched. The completion that
    ``create`` returns holds the chosen sample as its only choice, in ``usage`` all that was paid for it, and in
    ``.ttc`` the :class:`~ttc.Outcome`. ``ttc={...}`` (or ``extra_body={"ttc": {...}}``) changes the settings of one
    call, ``ttc=False`` makes it a plain one, and ``client.unwrapped`` is the client that was wrapped.

    ``async with`` or ``await client.close()`` closes our connections and the client's.

    Args:
        client: an ``openai.AsyncOpenAI``, or one of a class derived from it.
        strategy: e.g. ``"majority:n=8"``, or a strategy object.
        budget: hard limits of each call: a :class:`~ttc.Budget`, a text like ``"generated_tokens=4000,seconds=20"``,
            or a number of generated tokens.
        verifier: a name like ``"self_certainty"`` or an object, for strategies that score.
        comparator: a name like ``"judge"`` or an object, for strategies that compare.
        answer_type: how answers are read and compared: ``text`` (equal up to letter case and space), ``number``,
            ``maths``, ``choice``, ``json``, ``regex:pattern=(...)``, ``free_text``, an object, or a pydantic model.
        sampling: defaults for what a call does not say itself.
        seed: makes calls repeatable; without one, here or in the call, every call draws afresh.
        in_flight: requests at a time, per model.
        patience: seconds that calls wait for a server that has stopped answering.

    Raises:
        MissingExtra: openai is not installed.
        ConfigurationError: an unknown name, a value out of range, or a client that is not asynchronous.
    """
    settings = Settings.of(
        strategy=strategy,
        budget=budget,
        verifier=verifier,
        comparator=comparator,
        answer_type=answer_type,
        sampling=sampling,
        seed=seed,
    )
    try:
        openai = importlib.import_module("openai")
    except ImportError:
        raise MissingExtra("openai", "openai", "ttc.wrap") from None
    if isinstance(client, openai.OpenAI):
        raise ConfigurationError("ttc.wrap needs an AsyncOpenAI client; this one is synchronous")
    if not all(hasattr(client, name) for name in ("base_url", "api_key", "chat", "close")):
        raise ConfigurationError(f"ttc.wrap needs an openai.AsyncOpenAI client, not a {type(client).__name__}")
    return _wrapped(client, _Solver(client, settings, {"in_flight": in_flight, "patience": patience}))


def _wrapped(client: Any, solver: _Solver) -> WrappedClient:
    """Make an object of the client's own class with the client's state, so that isinstance and typing hold."""
    base = cast("type[Any]", type(client))
    cls = type(base.__name__, (_Wrapping, base), {"__module__": base.__module__})
    made = object.__new__(cls)
    made.__dict__.update(client.__dict__, unwrapped=client, _solver=solver)
    return cast("WrappedClient", made)


class _Wrapping:
    """What a wrapped client does itself; the rest is the class of the client that was wrapped."""

    unwrapped: Any
    _solver: _Solver

    @property
    def chat(self) -> WrappedChat:
        return WrappedChat(self.unwrapped.chat, self._solver)

    def copy(self, **options: Any) -> Any:
        """Derive a client with other options, wrapped in the same way."""
        derived = self.unwrapped.copy(**options)
        return _wrapped(derived, _Solver(derived, self._solver.settings, self._solver.options))

    with_options = copy

    async def close(self) -> None:
        """Close our connections and the client's."""
        await self._solver.close()
        await self.unwrapped.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class WrappedChat:
    """``client.chat``: as it was, except for ``completions``."""

    def __init__(self, chat: Any, solver: _Solver) -> None:
        self._chat = chat
        self.completions = WrappedCompletions(chat.completions, solver)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chat, name)


class WrappedCompletions:
    """``client.chat.completions``: as it was, except for ``create``."""

    def __init__(self, completions: Any, solver: _Solver) -> None:
        self._completions = completions
        self._solver = solver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._completions, name)

    async def create(
        self,
        *,
        messages: Iterable[Any],
        model: str,
        ttc: Mapping[str, Any] | str | Strategy | Literal[False] | None = None,
        **parameters: Any,
    ) -> Completion:
        """Solve one chat completion with the strategy; takes what the client's own ``create`` takes.

        ``max_tokens``, ``temperature`` and ``top_p`` hold for every sample, ``timeout`` (seconds) is a deadline for
        the whole call, and parameters that are not ours go into each request as they are.

        Raises:
            openai.APIConnectionError, openai.BadRequestError, ...: every call failed; in the client's own terms.
            openai.APITimeoutError: the deadline came before there was an answer.
            BudgetExhausted: the budget ended before there was an answer.
            ConfigurationError: a parameter that cannot be combined with a strategy.
        """
        parameters = {k: v for k, v in parameters.items() if type(v).__name__ not in ("NotGiven", "Omit")}
        body = dict(parameters.pop("extra_body", None) or {})
        in_body = body.pop("ttc", None)
        ttc = in_body if ttc is None else ttc
        if body:
            parameters["extra_body"] = body
        if ttc is False:
            return await self._completions.create(messages=messages, model=model, **parameters)
        settings = self._solver.settings.changed(ttc)
        # openai takes its own message objects as well, so that an answer can be appended to the chat as it came.
        chat: list[dict[str, Any]] = [
            m.model_dump(exclude_none=True) if hasattr(m, "model_dump") else dict(m) for m in messages
        ]
        query = Query.of(chat, answer_type=settings.answer_type)
        return await self._solver.create(query, model, settings, read_call(parameters, settings))


#: what went wrong in the calls of the ``create`` that is running; the tasks that it starts inherit the list
_failures: ContextVar[list[ModelError]] = ContextVar("_failures")


class _Server(VLLMServer):
    """A server as the client sees it: its headers, no question before the first call, and errors that are kept.

    An outcome holds errors as text; openai's own need the HTTP status.
    """

    def __init__(self, client: Any, model: str, **options: Any) -> None:
        headers = {k: v for k, v in getattr(client, "_custom_headers", {}).items() if isinstance(v, str)}
        super().__init__(str(client.base_url), model, api_key=str(client.api_key), headers=headers, **options)

    async def connect(self) -> None:
        """Ask nothing: a wrong model or key is what the first call is told, as with the client itself."""
        self._replicas.served = self.name

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        try:
            return await super().call(request, meter)
        except ModelError as error:
            _failures.get().append(error)
            raise


class _Solver:
    """Solves calls for one client: a server per URL and model, opened at its first call and shared."""

    def __init__(self, client: Any, settings: Settings, options: dict[str, Any]) -> None:
        self.client = client
        self.settings = settings
        self.options = options
        self._servers: dict[tuple[str, ...], VLLMServer] = {}
        self._stack = AsyncExitStack()
        self._opening = anyio.Lock()

    async def create(self, query: Query, model: str, settings: Settings, call: Call) -> Completion:
        server = await self._server(model)
        failures: list[ModelError] = []
        token = _failures.set(failures)
        try:
            outcome = await solve(
                query,
                settings.strategy,
                server,
                budget=call.budget,
                verifier=settings.verifier,
                comparator=settings.comparator,
                sampling=call.sampling,
                seed=random.getrandbits(48) if call.seed is None else call.seed,
            )
        finally:
            _failures.reset(token)
        if outcome.candidate is None or not outcome.candidate.sample.ok:
            self._fail(outcome, failures)
        if call.sampling.temperature == 0 and outcome.calls.get("generate", 0) > 1:
            warning = "at temperature 0 the samples are all alike: leave the temperature to the strategy"
            outcome = replace(outcome, warnings=(*outcome.warnings, warning))
        from openai.types.chat import ChatCompletion

        made = ChatCompletion.model_validate(completion(outcome, model))
        # Past pydantic's own setter: the outcome is not part of what a completion serialises to.
        object.__setattr__(made, "ttc", outcome)
        return cast("Completion", made)

    async def close(self) -> None:
        async with self._opening:
            self._servers.clear()
            await self._stack.aclose()

    async def _server(self, model: str) -> VLLMServer:
        client = self.client
        if client.is_closed():
            raise ConfigurationError("this client was closed: make a new one and wrap that")
        if getattr(client, "_api_key_provider", None) is not None:
            await client._refresh_api_key()  # the key comes from a function, which openai asks before each call
        key = (str(client.base_url), model, str(client.api_key))
        async with self._opening:
            if key not in self._servers:
                server = _Server(client, model, **self.options)
                self._servers[key] = await self._stack.enter_async_context(server)
            return self._servers[key]

    def _fail(self, outcome: Outcome, failures: list[ModelError]) -> NoReturn:
        """Raise why there is no answer, as an error of the openai package where it has one for that."""
        error = _reason(outcome, failures)
        openai = importlib.import_module("openai")
        request = self.client._client.build_request("POST", f"{str(self.client.base_url).rstrip('/')}/chat/completions")
        # openai 1 and 2 speak httpx, later ones httpx2: an error is made of what this client itself sends.
        http = sys.modules[type(request).__module__.partition(".")[0]]
        if outcome.ended_by == "deadline":
            raise openai.APITimeoutError(request) from error
        match error:
            case ModelError(status=int(status)):
                body = {"message": str(error), "type": type(error).__name__, "param": None, "code": status}
                response = http.Response(status, request=request, json={"error": body})
                raise self.client._make_status_error(str(error), body=body, response=response) from error
            case ServerUnreachable():
                raise openai.APIConnectionError(message=str(error), request=request) from error
            case BadResponse():
                response = http.Response(200, request=request, text=str(error))
                raise openai.APIResponseValidationError(response, None, message=str(error)) from error
            case _:
                raise error


def _reason(outcome: Outcome, failures: list[ModelError]) -> Exception:
    if failures and outcome.ended_by != "budget":
        return failures[0]
    if outcome.ended_by in ("budget", "deadline"):
        spent = outcome.generated_tokens
        return BudgetExhausted(f"the {outcome.ended_by} came before there was an answer; {spent} tokens were generated")
    return ModelError(f"the strategy ended without an answer after {sum(outcome.calls.values())} calls")
