"""``--resume``: a run or a recording goes on with its own settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from ttc.evals.config import EvalConfig

__all__ = ["gone_on_with", "refuse_other_settings"]

_OPTIONS = {
    "suites": "the suites",
    "strategies": "--strategy",
    "models": "--model",
    "sampling": "--sample-tokens and --temperature",
    "n": "-n",
}
"""Settings whose option has another name."""


def refuse_other_settings(given: Iterable[str], allowed: frozenset[str], *, of: str) -> None:
    """Make sure that nothing is given which would make it another one.

    Args:
        given: names of what is given.
        allowed: how to reach the model, and how hard to work.
        of: what is resumed: ``run`` or ``recording``.

    Raises:
        ConfigurationError: names what to leave out.
    """
    if other := sorted(set(given) - allowed):
        raise ConfigurationError(
            f"--resume takes the {of}'s own settings, so leave out: {', '.join(map(_option, other))}. "
            f"Only these may be given beside it: {', '.join(map(_option, sorted(allowed)))}."
        )


def _option(setting: str) -> str:
    """How a setting is given on the command line."""
    return _OPTIONS.get(setting, f"--{setting.replace('_', '-')}")


def gone_on_with(config: EvalConfig, given: Mapping[str, Any]) -> EvalConfig:
    """The settings of what is resumed, reached as it is said now: a URL stands for a server that was started."""
    return config.model_copy(update={"up": None, **given} if "base_url" in given else dict(given))
