"""Test-time compute for models served by vLLM: strategies, hard budgets, and accuracy per thinking token.

The names below are loaded when they are first used, so ``import ttc`` costs next to nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ttc.adaptive.policy import Policy
    from ttc.budget import Budget, Price
    from ttc.errors import (
        BadResponse,
        BudgetExhausted,
        ConfigurationError,
        ContextOverflow,
        LaunchError,
        MissingExtra,
        ModelError,
        RequestRejected,
        RunError,
        RunStopped,
        SandboxUnavailable,
        ServerUnreachable,
        TTCError,
        UnknownName,
    )
    from ttc.evals.tournaments import plan_from
    from ttc.ledger import Ledger
    from ttc.models.base import Model
    from ttc.models.fleet import Fleet
    from ttc.models.population import Population
    from ttc.models.recorded import Recorded
    from ttc.models.simulated import Simulated
    from ttc.models.vllm_server import VLLMServer
    from ttc.pacing import Pace
    from ttc.pool_files import read_pool, write_pool
    from ttc.pools import Pool, replay_model
    from ttc.session import Session
    from ttc.solve import solve, solve_many
    from ttc.steps import Solution
    from ttc.strategies.plan import plan
    from ttc.strategy import Strategy
    from ttc.types import (
        AnswerType,
        Candidate,
        Checkpoint,
        Message,
        Outcome,
        Query,
        Request,
        Sample,
        Sampling,
        TextAnswer,
        Usage,
    )
    from ttc.verifier import Comparator, Critic, StepScorer, Verdict, Verifier
    from ttc.wrap import wrap

    __version__: str

__all__ = [
    "AnswerType",
    "BadResponse",
    "Budget",
    "BudgetExhausted",
    "Candidate",
    "Checkpoint",
    "Comparator",
    "ConfigurationError",
    "ContextOverflow",
    "Critic",
    "Fleet",
    "LaunchError",
    "Ledger",
    "Message",
    "MissingExtra",
    "Model",
    "ModelError",
    "Outcome",
    "Pace",
    "Policy",
    "Pool",
    "Population",
    "Price",
    "Query",
    "Recorded",
    "Request",
    "RequestRejected",
    "RunError",
    "RunStopped",
    "Sample",
    "Sampling",
    "SandboxUnavailable",
    "ServerUnreachable",
    "Session",
    "Simulated",
    "Solution",
    "StepScorer",
    "Strategy",
    "TTCError",
    "TextAnswer",
    "UnknownName",
    "Usage",
    "VLLMServer",
    "Verdict",
    "Verifier",
    "__version__",
    "plan",
    "plan_from",
    "read_pool",
    "replay_model",
    "solve",
    "solve_many",
    "wrap",
    "write_pool",
]

#: where a name lives that is not an error (those are all in ttc.errors)
_HOMES = {
    **dict.fromkeys(("Budget", "Price"), "ttc.budget"),
    **dict.fromkeys(
        (
            "AnswerType",
            "Candidate",
            "Checkpoint",
            "Message",
            "Outcome",
            "Query",
            "Request",
            "Sample",
            "Sampling",
            "TextAnswer",
            "Usage",
        ),
        "ttc.types",
    ),
    **dict.fromkeys(("Comparator", "Critic", "StepScorer", "Verdict", "Verifier"), "ttc.verifier"),
    **dict.fromkeys(("solve", "solve_many"), "ttc.solve"),
    "Fleet": "ttc.models.fleet",
    "Pace": "ttc.pacing",
    "Policy": "ttc.adaptive.policy",
    "Recorded": "ttc.models.recorded",
    **dict.fromkeys(("Pool", "replay_model"), "ttc.pools"),
    **dict.fromkeys(("read_pool", "write_pool"), "ttc.pool_files"),
    "Ledger": "ttc.ledger",
    "Model": "ttc.models.base",
    "Population": "ttc.models.population",
    "Session": "ttc.session",
    "Simulated": "ttc.models.simulated",
    "Solution": "ttc.steps",
    "Strategy": "ttc.strategy",
    "plan": "ttc.strategies.plan",
    "plan_from": "ttc.evals.tournaments",
    "VLLMServer": "ttc.models.vllm_server",
    "wrap": "ttc.wrap",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ttc' has no attribute '{name}'")
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version("ttc-compute")
    else:
        value = getattr(import_module(_HOMES.get(name, "ttc.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps ``ttc.solve`` and ``ttc.wrap`` the functions: importing the modules of that name would put those there."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
