"""Particle filtering over steps: partial solutions are resampled by the odds of their scores instead of ranked."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ttc.strategies.choice import By, Choice
from ttc.strategies.particles import ParticleSearch, Resampling
from ttc.strategies.tree import Search, Tree
from ttc.strategies.tree_search import TreeSearch
from ttc.verifier import Verifier, refuse_joint

__all__ = ["ParticleFilter"]


class ParticleFilter(TreeSearch):
    """Grow n particles by one step a wave, and draw n of them anew, each in proportion to the odds of its score.

    Where a beam keeps what the scorer finds best, this keeps of everything its fair share, so that a scorer that errs
    on a step loses less by it. A partial solution that was drawn c times is grown c times. Whole ones hold their places
    and are drawn with the others by the score that they have, until all particles are whole. What could not be grown
    weighs nothing.

    With ``ess`` below 1 a wave is resampled only where its weights have become that uneven, and at the end; until then
    the odds of the steps multiply. The answer is the best of the particles that are left, or chosen among all of them,
    each as often as it is there.
    """

    paper: ClassVar[str] = "Puri et al. 2025, arXiv 2502.01618; resampling: Douc et al. 2005, arXiv cs/0507025"
    cost: ClassVar[str] = "n calls and n step scores a step, in one wave; latency 1 call and 1 score a step"

    choice: By = Field(default="best", description="how the answer is chosen among the particles")
    n: int = Field(default=16, ge=1, le=1024, description="particles")
    resampling: Resampling = Field(default="systematic", description="n even steps from a random start, or n draws")
    ess: float = Field(
        default=1.0, ge=0, le=1, description="resample below this share of n effective particles; 1: each step"
    )
    temperature: float = Field(default=1.0, gt=0, description="weights are odds^(1/temperature): below 1 greedier")

    def accepts(self, verifier: Verifier | None) -> None:
        """Refuse a verifier that does not score steps, and each solution by itself.

        Raises:
            ConfigurationError: it does not.
        """
        refuse_joint(verifier, by=self.name)
        super().accepts(verifier)

    def search(self, tree: Tree, choice: Choice) -> Search:
        """Place the particles at the root."""
        return ParticleSearch(tree, choice, n=self.n, how=self.resampling, ess=self.ess, temperature=self.temperature)
