"""A verifier that is learned from graded samples: logistic regression on what is cheap to see of a sample.

``features`` are what it sees, :mod:`ttc.logistic` fits it, ``model_file`` is what is kept, ``verifier`` is what is
registered as ``learned``. Training from runs and recorded samples is :mod:`ttc.evals.learning`.
"""

from ttc.verifiers.learned.features import FEATURES, Observed, features, observe
from ttc.verifiers.learned.model_file import Coefficient, HeldOut, LearnedModel, Training
from ttc.verifiers.learned.verifier import LearnedVerifier

__all__ = [
    "FEATURES",
    "Coefficient",
    "HeldOut",
    "LearnedModel",
    "LearnedVerifier",
    "Observed",
    "Training",
    "features",
    "observe",
]
