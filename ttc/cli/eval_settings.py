"""The settings of ``ttc eval``: of a file overridden by options, or of a run that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ttc.cli.eval_models import reached_at, without_models
from ttc.cli.limits import with_max_tokens
from ttc.cli.policy_option import with_policy
from ttc.cli.resuming import gone_on_with, refuse_other_settings
from ttc.errors import ConfigurationError, RunError

if TYPE_CHECKING:
    from ttc.evals.config import EvalConfig

__all__ = ["RUNS", "new_settings", "settings_of_run"]

RUNS = Path("runs")
RESUMABLE = frozenset(
    {"base_url", "model", "up", "concurrency", "total_tokens", "max_dollars", "fail_fast", "cache", "retry_failed"}
)


def new_settings(file: Path | None, given: dict[str, Any], runs: Path) -> EvalConfig:
    """Put the settings together: of the file, overridden by options, with what the strategies need filled in.

    Raises:
        ConfigurationError: a setting is unknown, out of its range, or does not go with the others.
    """
    from ttc.evals.config import EvalConfig, read_config, read_toml
    from ttc.strategy import make_strategy

    data = without_models(read_toml(file) if file is not None else {}, given)
    sampling = {**data.get("sampling", {}), **given.get("sampling", {})}
    if (max_tokens := given.pop("max_tokens", None)) is not None:
        given["budget"] = with_max_tokens(max_tokens, of_option=given.get("budget"), of_file=data.get("budget", ""))
    policy, force = given.pop("policy", None), given.pop("force_policy", False)
    data = {**data, **given, "sampling": sampling}
    if policy is not None or force:
        run = data.get("strategies", EvalConfig.model_fields["strategies"].default)
        data["strategies"] = with_policy(run, policy, force=force)
    if runs != RUNS or "runs" not in data:
        data["runs"] = runs
    if not data.get("suites"):
        raise ConfigurationError("name a suite, e.g. 'ttc eval arithmetic' (see 'ttc list'), or a run with --resume")
    needs = frozenset[str]().union(*(make_strategy(s).requires() for s in data.get("strategies", ())))
    for need, default in (("verifier", _verifier_for(cast("Sequence[str]", data["suites"]))), ("comparator", "judge")):
        if need in needs:
            data.setdefault(need, default)
    return read_config(data)


def _verifier_for(suites: Sequence[str]) -> str:
    """The verifier that all suites of a run come with, or the one that works on any."""
    from ttc import registry

    own = {registry.create("suite", suite).verifier for suite in suites}
    return own.pop() or "self_certainty" if len(own) == 1 else "self_certainty"


def settings_of_run(run: str, given: dict[str, Any], runs: Path, *, urls: Sequence[str]) -> EvalConfig:
    """Take the settings of a run; only how to reach the models, and how hard to work, may be others.

    Raises:
        ConfigurationError: a setting that would make it another run.
        RunError: there is no such run, or it is a recording.
    """
    from ttc.evals.recordings.recording import parameters_of
    from ttc.evals.run_card import config_of

    refuse_other_settings(given, RESUMABLE, of="run")
    given.pop("retry_failed", None)
    config = config_of(runs, run)
    if parameters_of(str(config.strategies[0])) is not None:
        where, run = "" if config.runs == RUNS else f" --runs {config.runs}", config.run_id
        raise RunError(
            f"run '{run}' is a recording: 'ttc record --resume {run}{where} --out FILE' goes on with it, and makes its "
            "pool"
        )
    if config.models:
        if "model" in given:
            raise ConfigurationError(
                f"run '{run}' asks {len(config.models)} models: leave --model out; --base-url says where they are now"
            )
        given.pop("base_url", None)
        return gone_on_with(reached_at(config, urls) if urls else config, given)
    if len(urls) > 1:
        raise ConfigurationError(f"{len(urls)} URLs for 1 model: give one --base-url")
    return gone_on_with(config, given)
