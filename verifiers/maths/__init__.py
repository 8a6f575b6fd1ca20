"""Maths answers: read out of a completion in linear time, and compared exactly. No text is ever evaluated as code.

``extraction`` reads the answer, ``canonical`` brings it into the form that is compared first, ``screening`` settles
what must not be parsed, ``equivalence`` does the algebra in processes that can be killed (``worker_process`` is our
side of one, ``worker`` the other), and ``answer_types`` makes it all into the types ``number``, ``maths`` and
``choice``.
"""

from ttc.verifiers.maths.answer_types import ChoiceAnswer, MathsAnswer, NumberAnswer
from ttc.verifiers.maths.canonical import LONGEST_ANSWER, LONGEST_NUMBER, Number, canonical, parse_number
from ttc.verifiers.maths.equivalence import equal, prewarm
from ttc.verifiers.maths.extraction import last_boxed, last_number

__all__ = [
    "LONGEST_ANSWER",
    "LONGEST_NUMBER",
    "ChoiceAnswer",
    "MathsAnswer",
    "Number",
    "NumberAnswer",
    "canonical",
    "equal",
    "last_boxed",
    "last_number",
    "parse_number",
    "prewarm",
]
