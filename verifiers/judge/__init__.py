"""The served model as a judge: of a candidate or a step, between two, and of whether two answers mean the same.

``prompts`` makes text safe to show, ``stepwise`` asks about a step, ``verdicts`` reads what was said, ``waves`` asks
much at once; ``pointwise`` and ``pairwise`` are the registered verifier and comparator.
"""

from ttc.verifiers.judge.pairwise import JudgeComparator
from ttc.verifiers.judge.pointwise import Judge
from ttc.verifiers.judge.prompts import inert, shown
from ttc.verifiers.judge.same_meaning import same_meaning
from ttc.verifiers.judge.verdicts import mean_digit, p_yes

__all__ = ["Judge", "JudgeComparator", "inert", "mean_digit", "p_yes", "same_meaning", "shown"]
