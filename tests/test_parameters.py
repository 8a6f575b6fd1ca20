"""Type checkers see which parameters may be left out: ``make check`` runs pyright, strict, over this file too.

What pydantic takes as a default by position, ``Field(8, ge=1)``, a type checker takes for a parameter that is needed.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pydantic import BaseModel

from ttc.evals.config import EvalConfig
from ttc.evals.suites.arithmetic import Arithmetic
from ttc.evals.suites.countdown import Countdown
from ttc.evals.suites.file import File
from ttc.strategies.ab_mcts import AbMCTS
from ttc.strategies.adaptive import Adaptive
from ttc.strategies.beam import Beam
from ttc.strategies.best_of_n import BestOfN
from ttc.strategies.deep_conf import DeepConf
from ttc.strategies.knockout import Knockout
from ttc.strategies.majority import Majority
from ttc.strategies.mcts import MCTS
from ttc.strategies.particle_filter import ParticleFilter
from ttc.strategies.revision import Revision
from ttc.strategy import Strategy, make_strategy
from ttc.verifiers.code.parses import Parses
from ttc.verifiers.judge.pointwise import Judge
from ttc.verifiers.mean_logprob import MeanLogprob
from ttc.verifiers.process_reward import ProcessReward
from ttc.verifiers.self_certainty import SelfCertainty

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [p for folder in ("ttc", "strategies", "verifiers", "evals") for p in (ROOT / folder).rglob("*.py")]


def by_position(source: str) -> list[int]:
    """The lines at which a field's default is given by position."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "Field" and c.args]


@pytest.mark.parametrize(
    ("made", "spec"),
    [
        (Majority(n=3), "majority:n=3"),
        (BestOfN(wave=2), "best_of_n:wave=2"),
        (Adaptive(probe=3), "adaptive:probe=3"),
        (Knockout(k=3), "knockout:k=3"),
        (Revision(shown=2), "revision:shown=2"),
        (DeepConf(warmup=8), "deep_conf:warmup=8"),
        (Beam(n=4), "beam:n=4"),
        (MCTS(explore=0.5), "mcts:explore=0.5"),
        (AbMCTS(nodes="steps"), "ab_mcts:nodes=steps"),
        (ParticleFilter(ess=0.5), "particle_filter:ess=0.5"),
    ],
)
def test_a_strategy_is_made_of_what_differs(made: Strategy, spec: str) -> None:
    assert made.spec == spec
    assert make_strategy(spec) == made


@pytest.mark.parametrize(
    ("made", "given"),
    [
        (Judge(scale="likert"), {"scale"}),
        (Parses(separator="x"), {"separator"}),
        (MeanLogprob(window=3), {"window"}),
        (SelfCertainty(half=6.0), {"half"}),
        (ProcessReward(url="localhost:1"), {"url"}),
        (Arithmetic(seed=1), {"seed"}),
        (Countdown(size=3), {"size"}),
        (File(path="mine.jsonl"), {"path"}),
        (EvalConfig(suites=("arithmetic",)), {"suites"}),
    ],
)
def test_verifiers_and_suites_have_the_other_defaults(made: BaseModel, given: set[str]) -> None:
    fields = type(made).model_fields
    assert made.model_fields_set >= given
    assert all(getattr(made, name) == field.default for name, field in fields.items() if name not in given)


def test_the_default_of_a_field_is_named() -> None:
    assert ROOT / "strategies" / "beam.py" in SOURCES
    assert {str(path.relative_to(ROOT)): lines for path in SOURCES if (lines := by_position(path.read_text()))} == {}


def test_one_by_position_would_be_seen() -> None:
    assert by_position("x = 1\nn: int = Field(8, ge=1)\nm: int = Field(default=8)\n") == [2]
