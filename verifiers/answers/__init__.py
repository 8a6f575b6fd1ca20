"""Answers of other kinds than numbers and formulas: JSON, what a pattern finds, and words.

Registered as ``json``, ``regex`` and ``free_text``.
"""

from ttc.verifiers.answers.free_text import FreeTextAnswer, plain_words
from ttc.verifiers.answers.json_answer import JsonAnswer
from ttc.verifiers.answers.json_documents import canonical_json, last_document, read_json
from ttc.verifiers.answers.regex_answer import RegexAnswer

__all__ = [
    "FreeTextAnswer",
    "JsonAnswer",
    "RegexAnswer",
    "canonical_json",
    "last_document",
    "plain_words",
    "read_json",
]
