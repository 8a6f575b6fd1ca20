"""What is settled about a formula before anything parses it: code is refused, and what would only run out of time.

Every test is linear in a text of at most :data:`~ttc.verifiers.maths.canonical.LONGEST_ANSWER` characters.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from ttc.verifiers.maths.canonical import LONGEST_NUMBER, split_list

__all__ = ["DEEPEST", "TALLEST", "prepared", "screened"]

DEEPEST = 40
"""Brackets within brackets; what is nested deeper is not compared."""

TALLEST = 2
"""Exponents upon exponents: 2^{2^{10}} is compared, 9^{9^{9^9}} is not."""

_CODE = re.compile(
    r"""__ | import | (?<!\\)lambda | [`"] | (?<![a-z)\]}'])'                  # dunders, a quote that is no prime
    | \b(?:eval|exec|compile|open|getattr|setattr|globals|locals|vars|builtins?|input|print|chr|system|popen)\s*\(
    | [a-z0-9_)\]}]\.[a-z_]{2} | \\x[0-9a-f]{2} | \\u[0-9a-f]{4} | \\N\{ | :=""",  # attributes, escapes of characters
    re.VERBOSE | re.IGNORECASE,
)
_HIDING = re.compile(r"\\_|\\(?:text\w*|mathrm|operatorname|mbox)\b|[{}\s]")
_HUGE = re.compile(rf"\d{{{LONGEST_NUMBER + 1}}}|\^\s*+[{{(]?\s*+-?\d{{6}}|\d{{5}}\s*+!")
_BRACKET = re.compile(r"\^\s*+[({]?|[(\[{]|[)\]}]")
_SIGNS = {
    **dict.fromkeys("\N{MINUS SIGN}\N{EN DASH}", "-"),
    "\N{MULTIPLICATION SIGN}": r"\times ",
    "÷": r"\div ",
    "·": r"\cdot ",
    "√": r"\sqrt ",
    "∞": r"\infty ",
    "±": r"\pm ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "\N{UNION}": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "∅": r"\emptyset ",
    "π": r"\pi ",
    "θ": r"\theta ",
    "\N{GREEK SMALL LETTER ALPHA}": r"\alpha ",
    "β": r"\beta ",
    "λ": r"\lambda ",
    "²": "^2",
    "³": "^3",
    "°": "",
    "\u00a0": " ",
    "\u2009": " ",
}
_TRANSLATION = str.maketrans(_SIGNS)
_DROPPED = re.compile(r"\^\s*+(?:\\circ(?![a-z])|\{\s*+\\circ\s*+\})|(?<!\\)\\[$%()\[\]]|[$%]")
_PLAIN = re.compile(r"(?<![\\A-Za-z])(?:(?P<root>sqrt)\s*+\((?P<under>[^()]*+)\)|(?P<pi>pi)(?![A-Za-z]))|\*\*")


def screened(text: str) -> Literal["different", "undecided"] | None:
    """Say what a formula amounts to that is not to be parsed; None where it may be.

    ``different``: it is code or prose in another script, and equals only what is written the same. ``undecided``: it is
    maths that would take for ever, too deep, too tall or with too many digits.
    """
    folded = unicodedata.normalize("NFKC", text)
    bare = _HIDING.sub(lambda m: "_" if m[0] == r"\_" else "", folded)
    if _CODE.search(folded) or _CODE.search(bare) or not text.translate(_TRANSLATION).isascii():
        return "different"
    if _HUGE.search(folded) or not _shallow(text):
        return "undecided"
    return None


def prepared(gold: str, answer: str) -> tuple[str, str]:
    r"""Return both formulas as they are parsed.

    Dollar, percent and degree signs are left out, so that 50% is 50 as it is in keys; sqrt(2), pi and ** are read as
    they are meant; a bare list gets the parentheses that the other has, so that 1,2 is (1,2) and is not (2,1).
    """
    wanted, given = (_latex(text) for text in (gold, answer))
    if _parenthesised(wanted) and _bare_list(given):
        given = f"({given})"
    elif _parenthesised(given) and _bare_list(wanted):
        wanted = f"({wanted})"
    return wanted, given


def _latex(text: str) -> str:
    text = _DROPPED.sub("", text.translate(_TRANSLATION))
    text = _PLAIN.sub(lambda m: rf"\sqrt{{{m['under']}}}" if m["root"] else r"\pi " if m["pi"] else "^", text)
    return " ".join(text.split()).rstrip(".,;: ")


def _parenthesised(text: str) -> bool:
    bare = text.removeprefix(r"\left")
    return bare.startswith("(") and text.endswith(")") and len(split_list(text) or ()) == 1


def _bare_list(text: str) -> bool:
    return len(split_list(text) or ()) > 1


def _shallow(text: str) -> bool:
    """Whether brackets and exponents stay within the limits."""
    raised: list[bool] = []  # for each open bracket whether it is an exponent
    height = 0
    for token in _BRACKET.finditer(text):
        mark = token[0]
        if mark[0] == "^" and mark[-1] not in "({":
            if height + 1 > TALLEST:
                return False
        elif mark[0] in ")]}":
            height -= raised.pop() if raised else False
        else:
            raised.append(mark[0] == "^")
            height += mark[0] == "^"
            if height > TALLEST or len(raised) > DEEPEST:
                return False
    return True
