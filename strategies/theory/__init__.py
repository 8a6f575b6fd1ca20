"""What strategies must achieve: closed forms and dynamic programs, exact up to rounding, without any sampling.

Samples are independent and right with the same p, and comparisons know only whether their candidates are correct; where
more than that is taken for granted the function says so. Tests hold strategies against these numbers.
"""

from ttc.strategies.theory.revision import chain_coverage, flip_chain_accuracy
from ttc.strategies.theory.selection import (
    best_of_n_accuracy,
    best_of_n_kl_bound,
    best_of_n_win_rate_bound,
    first_pass_accuracy,
    first_pass_ceiling,
)
from ttc.strategies.theory.stopping import Stopped, beta_stop, window_stop
from ttc.strategies.theory.tournaments import (
    SameClass,
    comparison_accuracy,
    knockout_bound,
    knockout_failure,
    knockout_sufficient,
    league_bound,
    league_failure,
)
from ttc.strategies.theory.trees import beam_accuracy
from ttc.strategies.theory.votes import (
    binomial,
    majority_accuracy,
    pass_at_k,
    pass_at_k_beta,
    vote_accuracy,
    weighted_vote_accuracy,
)

__all__ = [
    "SameClass",
    "Stopped",
    "beam_accuracy",
    "best_of_n_accuracy",
    "best_of_n_kl_bound",
    "best_of_n_win_rate_bound",
    "beta_stop",
    "binomial",
    "chain_coverage",
    "comparison_accuracy",
    "first_pass_accuracy",
    "first_pass_ceiling",
    "flip_chain_accuracy",
    "knockout_bound",
    "knockout_failure",
    "knockout_sufficient",
    "league_bound",
    "league_failure",
    "majority_accuracy",
    "pass_at_k",
    "pass_at_k_beta",
    "vote_accuracy",
    "weighted_vote_accuracy",
    "window_stop",
]
