"""What a figure or a table may put accuracy against: thinking tokens by default, or another cost.

An axis reads a place off a :class:`~ttc.evals.summary.Point`. All costs but seconds are in the summary; seconds depend
on the clock and come from ``timings.json`` (:func:`ttc.evals.scaling.timings`). Tokens and calls of different models
are never on one axis: FLOPs, dollars and seconds are.

FLOPs are 2 x active parameters x tokens, of the prompt tokens that no cache answered and the generated ones: the
forward pass of a decoder without its attention over the context (J. Kaplan et al. 2020, arXiv 2001.08361, section 2.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ttc.budget import Budget
from ttc.errors import ConfigurationError
from ttc.evals.summary import Point, Summary
from ttc.types import Usage

__all__ = [
    "AXES",
    "THINKING",
    "Axis",
    "Timings",
    "amount",
    "caps_of",
    "flops",
    "make_axis",
    "parameters_of",
    "timing_key",
]

Timings = Mapping[str, Mapping[str, float]]
"""By configuration (:func:`timing_key`) what depends on the clock, as :func:`ttc.evals.scaling.timings` makes it."""

AXES: Mapping[str, str] = {
    "thinking": "thinking tokens per query",
    "generated": "generated tokens per query",
    "total": "prompt and generated tokens per query",
    "calls": "calls per query",
    "flops": "FLOPs per query",
    "dollars": "dollars per query",
    "seconds": "seconds per query",
}
"""The axes there are, with what each counts and its unit."""

_SHARED = frozenset({"flops", "dollars", "seconds"})
_FLOORS = {"flops": 1.0, "dollars": 1e-9, "seconds": 1e-3}
_WANTED = {
    "calls": "those of a verifier within a prefix are not counted one by one; take thinking or generated tokens",
    "flops": "the run card says no active parameters of its models: give them with 'ttc eval ... --parameters 1.7e9'",
    "dollars": "the run card says no price of its models: give it with 'ttc eval ... --price 0.1/0.4', in dollars per "
    "million prompt and generated tokens",
    "seconds": "its timings.json is missing or older: 'ttc report' writes it anew",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A horizontal axis.

    Attributes:
        name: one of :data:`AXES`.
        label: for a figure: what is counted, whether it is the mean realised cost, and the caps per query if there are.
        unit: of a value, ``thinking tokens``.
        shared: whether several models may be on it together.
        read: the value of a point; None where it is not known.
    """

    name: str
    label: str
    unit: str
    shared: bool
    read: Callable[[Point], float | None]

    def at(self, point: Point) -> float | None:
        """Where a point lies; None where its cost is not known."""
        return self.read(point)

    def place(self, point: Point) -> float | None:
        """Where a point lies on a logarithmic axis: what costs nothing lies at the axis's floor, one token or call."""
        value = self.read(point)
        return None if value is None else max(self.floor, value)

    @property
    def floor(self) -> float:
        """The least place of a logarithmic axis."""
        return _FLOORS.get(self.name, 1.0)


def make_axis(name: str, summary: Summary, *, timings: Timings | None = None) -> Axis:
    """Make an axis for a run.

    Args:
        name: one of :data:`AXES`.
        summary: of the run; it knows what capped a query, and whether the cost is known.
        timings: of the run, for seconds.

    Raises:
        ConfigurationError: there is no such axis, or no point of the run knows its cost on it; says what to give.
    """
    if name not in AXES:
        raise ConfigurationError(f"there is no axis '{name}': choose from {', '.join(AXES)}")
    read = _seconds(summary, timings or {}) if name == "seconds" else _cost(name)
    points = [p for c in summary.curves for p in c.points]
    if points and all(read(p) is None for p in points):
        raise ConfigurationError(f"no point of this run knows its {name}: {_WANTED.get(name, 'it was not kept')}")
    return _axis(name, caps_of(summary.run), read)


def caps_of(run: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what capped each query of a run: ``cap 400 generated tokens``; empty where nothing did."""
    try:
        budget = Budget.parse(str(run.get("budget") or ""))
    except ConfigurationError:
        return ()  # of a later version
    limits = {
        "generated tokens": budget.generated_tokens,
        "tokens with prompts": budget.total_tokens,
        "calls": budget.calls,
        "seconds": budget.seconds,
        "dollars": budget.dollars,
    }
    return tuple(f"cap {limit:,g} {what}" for what, limit in limits.items() if limit is not None)


def parameters_of(run: Mapping[str, Any], model: str = "") -> float | None:
    """Return the active parameters of a model of a run, as its card says them; None where it does not.

    Args:
        run: what the card says of the run: ``parameters``, a number or a mapping of model names to numbers, or
            ``models`` by name, each with its own ``parameters``.
        model: its name (default: the run's only one).
    """
    name = model or str(run.get("model", ""))
    models: Any = run.get("models")
    entry = _entry(models, name)
    own = _entry(entry, "parameters")
    given: Any = run.get("parameters") if own is None else own
    found = _entry(given, name) if isinstance(given, Mapping) else given
    return float(found) if isinstance(found, int | float) and found > 0 else None


def _entry(mapping: Any, name: str) -> Any:
    """What a mapping holds under a name; None where it is no mapping, or holds nothing."""
    return cast("Mapping[str, Any]", mapping).get(name) if isinstance(mapping, Mapping) else None


def flops(usage: Usage, parameters: float | None) -> float | None:
    """Return the FLOPs of a usage: 2 per active parameter and token that was processed; None without parameters."""
    if parameters is None:
        return None
    return 2 * parameters * (usage.prompt_tokens - usage.cached_tokens + usage.generated)


def timing_key(spec: str, model: str = "") -> str:
    """Name a configuration in ``timings.json``: by its spec, and by its model too in a run of several."""
    return f"{spec} @ {model}" if model else spec


def _axis(name: str, caps: Sequence[str], read: Callable[[Point], float | None]) -> Axis:
    what = AXES[name]
    label = f"mean realised {what}" + (f" ({', '.join(caps)})" if caps else "")
    return Axis(name=name, label=label, unit=what.removesuffix(" per query"), shared=name in _SHARED, read=read)


def _cost(name: str) -> Callable[[Point], float | None]:
    def read(point: Point) -> float | None:
        return point.cost.get(name)

    return read


def _seconds(summary: Summary, timings: Timings) -> Callable[[Point], float | None]:
    """Seconds were measured of whole runs: of a curve by prefix the last point of each run alone knows them."""
    whole: set[tuple[str, str, str]] = set()
    for curve in summary.curves:
        last = {p.spec: p for p in curve.points} if curve.how == "prefix" else {}
        ends = last.values() if curve.how == "prefix" else curve.points
        whole |= {(p.model, p.spec, p.setting) for p in ends}

    def read(point: Point) -> float | None:
        if (point.model, point.spec, point.setting) not in whole:
            return None
        clock = timings.get(timing_key(point.spec, point.model), {})
        return clock.get("seconds" if point.group == "all" else f"seconds, {point.group}")

    return read


THINKING = _axis("thinking", (), _cost("thinking"))
"""The default: generated tokens outside the returned answer."""


def amount(cost: float) -> str:
    """Write a cost for people, to three digits: 12,345 or 1.5, and 0.0000157 in full, since dollars are so few."""
    if 100 <= cost < 1e9:
        return f"{cost:,.0f}"
    return (
        np.format_float_positional(cost, precision=3, fractional=False, trim="-") if 1e-9 < cost < 1 else f"{cost:.3g}"
    )
