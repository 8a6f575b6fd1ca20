"""``--model``, ``--base-url``, ``--price`` and ``--parameters``: the models of a run, from options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from ttc.evals.config import EvalConfig

__all__ = ["models_of_options", "reached_at", "without_models"]

OF_ONE = ("model", "up", "price", "parameters")


def models_of_options(
    models: Sequence[str], urls: Sequence[str], prices: Sequence[str], parameters: Sequence[float]
) -> dict[str, Any]:
    """The settings that these options are: of one model its own, of several a table each.

    Raises:
        ConfigurationError: options that do not go with each other, one for each model.
    """
    for option, given in (("--price", prices), ("--parameters", parameters)):
        if len(given) > 1 and len(given) != len(models):
            raise ConfigurationError(
                f"{option} is given {len(given)} times for {max(1, len(models))} models: give it once for each, in the "
                "order of --model"
            )
        if len(models) > 1 and len(given) == 1:
            raise ConfigurationError(
                f"{option} is given once for {len(models)} models: give it once for each, in the order of --model"
            )
    if len(urls) > 1 and len(urls) != len(models):
        raise ConfigurationError(
            f"{len(urls)} URLs for {max(1, len(models))} models: give one --base-url that serves all of them, or one "
            "for each, in the order of --model"
        )
    if len(models) < 2:
        one = {"model": models, "base_url": urls, "price": prices, "parameters": parameters}
        return {name: values[0] for name, values in one.items() if values}
    tables: list[dict[str, Any]] = []
    for i, model in enumerate(models):
        table: dict[str, Any] = {"model": model}
        if len(urls) > 1:
            table["base_url"] = urls[i]
        if prices:
            table["price"] = prices[i]
        if parameters:
            table["parameters"] = parameters[i]
        tables.append(table)
    return {"models": tables, **({"base_url": urls[0]} if len(urls) == 1 else {})}


def without_models(settings: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The settings of a file, without the models that options name in their place."""
    if "models" in given:
        return {name: value for name, value in settings.items() if name not in OF_ONE}
    if "model" in given:
        return {name: value for name, value in settings.items() if name != "models"}
    return settings


def reached_at(config: EvalConfig, urls: Sequence[str]) -> EvalConfig:
    """The settings of a run of several models that are reached elsewhere now.

    Raises:
        ConfigurationError: neither one URL nor one for each.
    """
    if len(urls) not in (1, len(config.models)):
        raise ConfigurationError(
            f"{len(urls)} URLs for {len(config.models)} models: give one --base-url that serves all of them, or one "
            "for each, in the order of the run's models"
        )
    each = urls if len(urls) > 1 else list(urls) * len(config.models)
    models = [model.model_copy(update={"base_url": url}) for model, url in zip(config.models, each, strict=True)]
    return config.model_copy(update={"models": tuple(models)})
