"""``--policy FILE`` and ``--force-policy``: the policy of the strategy ``adaptive``, without writing it into a spec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from ttc import registry
from ttc.errors import ConfigurationError

__all__ = ["ForcePolicy", "PolicyFile", "with_policy"]

PolicyFile: TypeAlias = Annotated[
    Path | None, typer.Option("--policy", help="Run 'adaptive' by this policy.toml, which 'ttc tune' wrote.")
]
ForcePolicy: TypeAlias = Annotated[
    bool, typer.Option("--force-policy", help="Use it for another model or version than it was tuned for.")
]


def with_policy(strategies: Sequence[str], policy: Path | None, *, force: bool = False) -> list[str]:
    """Give a policy to the strategies called ``adaptive`` that name none; add one where there is none of these.

    Args:
        strategies: specs.
        policy: the file; None leaves the specs as they are.
        force: use it for another model or version.

    Raises:
        ConfigurationError: force without a policy, or a path that no spec can hold.
    """
    if policy is None:
        if force:
            raise ConfigurationError("--force-policy says how to use a policy: name one with --policy FILE")
        return list(strategies)
    given = f"policy={_held(policy)}" + (",force=true" if force else "")
    taken = [_takes(spec) for spec in strategies]
    found = [
        f"{spec}{',' if ':' in spec else ':'}{given}" if t else spec for spec, t in zip(strategies, taken, strict=True)
    ]
    return found if any(taken) else [*found, f"adaptive:{given}"]


def _takes(spec: str) -> bool:
    name, parameters = registry.parse_spec("strategy", spec)
    return name == "adaptive" and "policy" not in parameters


def _held(path: Path) -> str:
    """The path as a value of a spec, in brackets where it has commas, blanks or brackets of its own."""
    text = str(path)
    value = f"({text})" if set(text) & set(",()[]{} ") else text
    try:
        _, read = registry.parse_spec("strategy", f"adaptive:policy={value}")
    except ConfigurationError:
        read = {}
    if read != {"policy": text}:
        raise ConfigurationError(f"--policy {text}: a spec cannot hold this path; give the file a plainer name")
    return value
