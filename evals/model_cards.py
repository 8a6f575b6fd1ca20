"""What a run card says of each model that answers, and whether a resumed run is still asked of the same ones.

Weights, tokenizer and chat template determine what a model says: with another of them, samples of two models would mix
under one name, so such a run is refused. Another version or other flags of the server, another number format and other
hardware change roundings and so single samples, not the model: that is noted and said. Only what both sides know is
compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol, cast, runtime_checkable

from ttc.errors import RunError
from ttc.models.base import LiveModel
from ttc.models.server_facts import ServerFacts

__all__ = ["DECISIVE", "TellingModel", "differing", "model_cards", "models_of", "still_the_same"]

DECISIVE = ("weights", "tokenizer", "template")
"""Facts that make a model another one."""
_LESSER = ("version", "dtype", "flags", "settings", "hardware", "packages", "context")
_NAMES = {
    "weights": "other weights",
    "tokenizer": "another tokenizer",
    "template": "another chat template",
    "version": "another version of the server",
    "dtype": "another number format",
    "flags": "other flags of the server",
    "settings": "other settings of the server",
    "hardware": "other hardware of the server",
    "packages": "other packages of the server",
    "context": "another context length",
}


@runtime_checkable
class TellingModel(Protocol):
    """A model that says what serves it."""

    async def facts(self) -> ServerFacts:
        """Ask its server."""
        ...


async def model_cards(models: Mapping[str, LiveModel]) -> dict[str, dict[str, Any]]:
    """Ask every model of a run what it is.

    Args:
        models: by the run's names for them.

    Returns:
        By name: ``served`` (the server's name for it), ``price`` and ``server``, the facts of
        :class:`~ttc.models.server_facts.ServerFacts`; an empty one of what is no server.

    Raises:
        ConfigurationError: the servers of one model differ.
    """
    cards: dict[str, dict[str, Any]] = {}
    for name, model in models.items():
        facts = (await model.facts()).to_json() if isinstance(model, TellingModel) else {}
        price = asdict(model.price) if model.price else None
        cards[name] = {"served": model.name, "price": price, "server": facts}
    return cards


def models_of(card: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a card says of its models by name; a card of before they were kept so tells little of one."""
    if models := card.get("models"):
        return dict(models)
    return {card["model"]: {"served": card["model"], "price": card.get("price"), "server": card.get("server") or {}}}


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the facts of a server that both sides know and that are not the same, the decisive ones first."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in (*DECISIVE, *_LESSER):
        mine, its = _plain(before.get(name)), _plain(now.get(name))
        if name == "template" and (before.get("dated") or now.get("dated")):
            continue  # it holds the day's date, and so is another one every day
        if name == "weights":
            mine, its = _same_kind(mine, its)
        if mine is not None and its is not None and mine != its:
            found[name] = (mine, its)
    return found


def still_the_same(
    run: str, before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Make sure that a run goes on with the models that it was begun with.

    Args:
        run: its name.
        before: its card's models, see :func:`models_of`.
        now: those that answer now, see :func:`model_cards`.

    Returns:
        What differs and does not make it another model, a line each.

    Raises:
        RunError: weights, tokenizer or chat template are others.
    """
    lines: list[str] = []
    for name, card in now.items():
        server: Mapping[str, Any] = before[name].get("server") or {} if name in before else {}
        found = differing(server, card["server"])
        for fact in DECISIVE:
            if fact in found:
                raise RunError(
                    f"run '{run}' was made with {_NAMES[fact]} of model '{name}' ({_said(found[fact][0])}, now "
                    f"{_said(found[fact][1])}): its samples and new ones would be of two models under one name. Serve "
                    "what it was made with (its run.json says what), or start a new run with another --run-id"
                )
        lines += [
            f"model '{name}': {_NAMES[fact]} than at the start of the run ({_said(was)}, now {_said(value)}): "
            "samples of both are in it"
            for fact, (was, value) in found.items()
        ]
    return lines


def _same_kind(mine: Any, its: Any) -> tuple[Any, Any]:
    """What two notes of weights say in the same way; a revision and a hash, or two ways to hash, cannot be compared."""
    if isinstance(mine, Mapping) and isinstance(its, Mapping):
        one, other = cast("Mapping[str, Any]", mine), cast("Mapping[str, Any]", its)
        if "revision" in one and "revision" in other:
            return one["revision"], other["revision"]
        if "digest" in one and "digest" in other and one.get("how") == other.get("how"):
            return one["digest"], other["digest"]
    return None, None


def _plain(value: Any) -> Any:
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value


def _said(value: Any) -> str:
    text = " ".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else str(value)
    return text if len(text) <= 120 else text[:117] + "..."
