"""Simulated pools: populations of problems like those of known suites, with lengths that have a long tail.

What they are made of, and where that comes from. Ranges and medians over runs were measured on the recorded samples of
otis_aime by `measured_parameters` of benchmarks/pools_of_data.py, on the 14 runs with tokens if nothing else is said.

- **Difficulty.** GSM8K-like: pass@1 of Beta(1.4, .4), mean .78, U-shaped: a model of 7 or 8 billion parameters.
  Short answers (yes or no, like StrategyQA): .62 Beta(9, 1) + .18 Beta(1, 9) + .20 Beta(3, 3), mean .68: most
  questions are answered alike every time, and a fifth of them alike and wrong, which no vote repairs. AIME-like: three
  in ten are hopeless (pass@1 below .03), the others of Beta(.9, .8), mean .38 like gpt-4.1 (.383). These shapes are
  chosen, not fitted.
- **Wrong answers.** Stick-breaking with theta: two wrong samples of a problem agree with 1 / (1 + theta). Recorded: .10
  to 1 (median .31), in the 25 runs without tokens .03 to .42 (.14): theta 4 (.20) on competition problems. On easier
  maths (qwen_math_rm8) .46: theta 1.2. Yes or no has one wrong answer.
- **Lengths.** Log-normal. Within a problem the log has a spread of .3 (.08 to .42, median .26), between problems of one
  difficulty .65 (.13 to 1.1, .60); together .72. It falls by 1.5 per unit of pass@1 (-2.4 to +.3, -1.4): hopeless
  problems take 4.5 times as long as certain ones. A wrong sample takes e^.1 of a right one of its problem (-.27 to
  +.30, .11). Short answers are like chats: .25 within (.15 to .77, .25), .3 between (.10 to .42, .20), a slope of -.3
  (-1.1 to +2.1, -.30).
- **Reward.** Where there is one, its log-odds are normal around the verdict, apart as far as its AUC says.

Prompts hold nothing: no estimator before the first token has anything to go by, and none is simulated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ttc.pools import Pool, RecordedProblem

__all__ = ["aime_like", "gsm8k_like", "short_answers", "truth"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """How problems are drawn.

    Attributes:
        name: the pool's.
        difficulty: draws pass@1 of so many problems.
        theta: of the stick-breaking of wrong answers; 0: there is one.
        tokens: of a right sample of a problem with pass@1 of one, in the median.
        slope: of the log of the length over pass@1.
        between: its spread between problems of one difficulty.
        within: its spread within a problem.
        wrong: how much longer, in the log, a wrong sample is.
        cap: tokens at which samples end.
    """

    name: str
    difficulty: Callable[[np.random.Generator, int], Floats]
    theta: float
    tokens: float
    slope: float
    between: float
    within: float
    wrong: float
    cap: float = 32_768

    def pool(self, problems: int, width: int, *, seed: int = 0, auc: float | None = None) -> Pool:
        """Draw a pool; with an AUC each sample has the score of a simulated reward model."""
        rng = np.random.default_rng(seed)
        p = self.difficulty(rng, problems)
        right = rng.random((problems, width)) < p[:, None]
        slip = self._slips(rng, problems, width)
        log = np.log(self.tokens) + self.slope * (p - 1)[:, None] + self.between * rng.standard_normal((problems, 1))
        log = log + self.wrong * ~right + self.within * rng.standard_normal((problems, width))
        tokens = np.clip(np.round(np.exp(log)), 16, self.cap)
        scores: Floats | None = None
        if auc is not None:
            apart = sqrt(2) * NormalDist().inv_cdf(auc)
            scores = 1 / (1 + np.exp(-apart * (right - 0.5) - rng.standard_normal((problems, width))))
        found = tuple(
            RecordedProblem(
                id=f"{i:05}",
                answers=tuple("right" if r else f"wrong {s}" for r, s in zip(right[i], slip[i], strict=True)),
                right=tuple(right[i].astype(float).tolist()),
                generated=tuple(tokens[i].tolist()),
                scores={} if scores is None else {"reward": tuple(scores[i].tolist())},
            )
            for i in range(problems)
        )
        name = self.name if auc is None else f"{self.name}, reward of AUC {auc:g}"
        info = {"truth": dict(zip((q.id for q in found), p.tolist(), strict=True)), "seed": seed}
        return Pool(name=name, model="simulated", problems=found, info=info)

    def _slips(self, rng: np.random.Generator, problems: int, width: int) -> NDArray[np.int64]:
        """Which wrong answer each sample would give."""
        if self.theta == 0:
            return np.zeros((problems, width), dtype=np.int64)
        sticks = rng.beta(1, self.theta, (problems, 60))
        left = np.cumprod(1 - sticks, axis=1)
        shares = sticks * np.concatenate([np.ones((problems, 1)), left[:, :-1]], axis=1)
        u = rng.random((problems, width, 1))
        return (u > np.cumsum(shares, axis=1)[:, None, :]).sum(axis=2)


def _mixture(*parts: tuple[float, float, float]) -> Callable[[np.random.Generator, int], Floats]:
    """Draws from Beta distributions: their share, and both parameters of each."""
    shares, a, b = (np.array(column) for column in zip(*parts, strict=True))

    def draw(rng: np.random.Generator, n: int) -> Floats:
        which = rng.choice(len(shares), size=n, p=shares)
        return rng.beta(a[which], b[which])

    return draw


def _hopeless(rng: np.random.Generator, n: int) -> Floats:
    return np.where(rng.random(n) < 0.3, 0.03 * rng.random(n), rng.beta(0.9, 0.8, n))


GSM8K = Population(
    name="gsm8k-like",
    difficulty=_mixture((1.0, 1.4, 0.4)),
    theta=1.2,
    tokens=250,
    slope=-1.5,
    between=0.65,
    within=0.3,
    wrong=0.1,
)
SHORT = Population(
    name="short answers",
    difficulty=_mixture((0.62, 9, 1), (0.18, 1, 9), (0.20, 3, 3)),
    theta=0,
    tokens=120,
    slope=-0.3,
    between=0.3,
    within=0.25,
    wrong=0.05,
)
AIME = Population(
    name="aime-like",
    difficulty=_hopeless,
    theta=4,
    tokens=3000,
    slope=-1.5,
    between=0.65,
    within=0.3,
    wrong=0.1,
)


def gsm8k_like(problems: int = 1000, width: int = 30, *, seed: int = 0) -> Pool:
    """Grade-school maths: mostly easy."""
    return GSM8K.pool(problems, width, seed=seed)


def short_answers(problems: int = 800, width: int = 40, *, seed: int = 0) -> Pool:
    """Yes or no: short, and often wrong every time."""
    return SHORT.pool(problems, width, seed=seed)


def aime_like(problems: int = 600, width: int = 16, *, seed: int = 0, auc: float | None = None) -> Pool:
    """Competition problems: long, many of them hopeless; with a reward model where its AUC is given."""
    return AIME.pool(problems, width, seed=seed, auc=auc)


def truth(pool: Pool) -> Floats:
    """Pass@1 of each problem as it was drawn; shape (problems,)."""
    return np.array([pool.info["truth"][p.id] for p in pool.problems])
