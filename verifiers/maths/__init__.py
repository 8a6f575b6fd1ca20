"""Maths answers: read out of a completion in linear time, and compared exactly. Nothing is ever evaluated.

``extraction`` reads the answer, ``canonical`` brings it into the form that is compared, ``answer_types`` makes the two
into the registered types ``number``, ``maths`` and ``choice``.
"""

from ttc.verifiers.maths.answer_types import ChoiceAnswer, MathsAnswer, NumberAnswer
from ttc.verifiers.maths.canonical import LONGEST_ANSWER, LONGEST_NUMBER, Number, canonical, parse_number
from ttc.verifiers.maths.extraction import last_boxed, last_number, without_thoughts

__all__ = [
    "LONGEST_ANSWER",
    "LONGEST_NUMBER",
    "ChoiceAnswer",
    "MathsAnswer",
    "Number",
    "NumberAnswer",
    "canonical",
    "last_boxed",
    "last_number",
    "parse_number",
    "without_thoughts",
]
