"""reasoning-gym's generators, imported so that one puzzle's dependency does not stand in the way of all others."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Iterable
from types import ModuleType
from typing import Any, cast

from ttc.errors import MissingExtra

__all__ = ["create_dataset", "spread"]

_APART = 1_000_003  # more than any suite looks at entries
_SEEDS = 2**31  # numpy, which some generators use, takes no seed of more than 32 bits


def spread(seed: int) -> int:
    """A generator's seed for a suite's: entry i is drawn with seed + i, so neighbours would draw nearly the same."""
    return seed * _APART % _SEEDS


def create_dataset(name: str, *, size: int, seed: int, **settings: Any) -> Iterable[dict[str, Any]]:
    """The ``size`` entries of the generator ``name``, the same for the same ``seed``.

    The package imports all its generators at once, and the zebra puzzles want pycosat, which has no wheel and needs a C
    compiler. Where it is missing an empty module takes its place during the import; only zebra puzzles then fail.

    Raises:
        MissingExtra: reasoning-gym is not installed.
    """
    if importlib.util.find_spec("reasoning_gym") is None:
        raise MissingExtra("reasoning-gym", "suites", "this suite")
    stand_in = None
    if "pycosat" not in sys.modules and importlib.util.find_spec("pycosat") is None:
        stand_in = sys.modules["pycosat"] = ModuleType("pycosat")
    try:
        with warnings.catch_warnings():
            # Python compiles it on the first import, and then finds `x is "text"` in cellpylib.
            warnings.simplefilter("ignore", SyntaxWarning)
            import reasoning_gym
    finally:
        if stand_in is not None:
            del sys.modules["pycosat"]
    library: Any = reasoning_gym
    return cast("Iterable[dict[str, Any]]", library.create_dataset(name, size=size, seed=seed, **settings))
