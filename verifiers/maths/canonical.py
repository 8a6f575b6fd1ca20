"""The form in which answers are compared: exact rationals where they are plain numbers, else tidied LaTeX.

Only literals are read; no arithmetic that a text describes is done, so ``9^{9^{9^9}}`` stays text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["LONGEST_ANSWER", "LONGEST_NUMBER", "Number", "canonical", "parse_number", "split_list"]

LONGEST_ANSWER = 4096
"""Characters; what is longer is no answer."""

LONGEST_NUMBER = 400
"""Digits; what has more stays text. Below the limits that Python puts on converting digits, wherever they are set."""

_RELATIVE = Fraction(1, 10**9)
_NUMBER = re.compile(
    r"""(?P<sign>[-+]{0,2}+)
    (?:(?P<whole>\d++)(?:\ |(?=\\frac))(?=\\frac\{\d++\}|\d++/))?+  # of 2 1/2, 2\frac{1}{2}
    (?:\\frac\{(?P<ltop>[-+]?\d++)\}\{(?P<lbottom>\d++)\}
    |(?P<plain>(?:\d++\.?\d*+|\.\d++))(?:e(?P<exponent>[-+]?\d{1,3}))?+(?:/(?P<bottom>[-+]?\d++))?+)""",
    re.VERBOSE,
)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_LATEX_THOUSANDS = re.compile(r"(?<=\d)(?:,?\\[,!: ]|\{,\}|,\\!) ?(?=\d{3}(?!\d))")
_UNITS = re.compile(
    r"""(?P<number>[-+]?(?:\\frac\{\d++\}\{\d++\}\s++|[\d.,/\ ]++))(?<=\s)
    (?P<unit>[a-z]{3,}+|cm|mm|km|kg|mg|ml|ft|in|lb|oz|hr|mi|sq)\.?+(?:\s++[a-z.]++){0,3}+(?:\s?\^\{?[23]\}?)?+""",
    re.VERBOSE,
)
_NO_UNIT = frozenset({"sqrt", "and", "log", "sin", "cos", "tan", "mod", "xyz", "abc"})
_TIDY = str.maketrans(
    "\N{MINUS SIGN}\N{EN DASH}\u00a0\N{MULTIPLICATION SIGN}\N{MIDDLE DOT}", "-- **", "\N{DEGREE SIGN}€£¥"
)
_NAMES = {
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"\cfrac": r"\frac",
    r"\leq": r"\le",
    r"\geq": r"\ge",
    r"\neq": r"\ne",
    r"\cdot": "*",
    r"\times": "*",
    r"\displaystyle": "",
    r"\left": "",
    r"\right": "",
    r"\degree": "",
    r"\degrees": "",
    r"\quad": " ",
    r"\qquad": " ",
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\$": "",
    r"\%": "",
    r"\!": "",
    r"\,": " ",
    r"\;": " ",
    r"\:": " ",
    r"\ ": " ",
    r"\(": "",
    r"\)": "",
    r"\[": "",
    r"\]": "",
}
_COMMAND = re.compile(r"\\(?:[A-Za-z]++|.)", re.DOTALL)
_DEGREES = re.compile(r"\^\s*+(?:\\circ|\{\s*+\\circ\s*+\})")
_WRAPPED = re.compile(r"\\(?:text|mbox|textbf|mathrm|mathbf|mathit|textrm|operatorname)\s*+\{([^{}]*+)\}")
_SHORT_FRACTION = re.compile(r"\\frac\s*+(?:\{([^{}]*+)\}|(\d|[a-z]))\s*+(?:\{([^{}]*+)\}|(\d|[a-z]))", re.IGNORECASE)
_SHORT_ROOT = re.compile(r"\\sqrt\s*+(\d|[a-z])|\bsqrt\(([^()]*+)\)|√(\d++)", re.IGNORECASE)
_SMALL_BRACES = re.compile(r"([\^_])\{(\w)\}")
_QUOTIENT = re.compile(r"([-+]?)([\w\\{}]++)/([\w\\{}]++)")
_WORKING = re.compile(r"[-+*/().\d\s=]++")
_SPACES = re.compile(r"(?<!\d)\s++|\s++(?!\d)")
_ASSIGNMENT = re.compile(r"[A-Za-z](?:_\w)?\s*+=(?!=)\s*+")
_PAIRS = {"(": ")]", "[": ")]", "\\{": ("\\}",), "{": "}"}


@dataclass(frozen=True, slots=True)
class Number:
    """A plain number.

    Attributes:
        value: exact.
        rounded: it was written with decimal places that it needs, so that it may stand for a nearby number.
    """

    value: Fraction
    rounded: bool = False

    def near(self, other: Number) -> bool:
        """Whether they are the same number, or one is a decimal within 1e-9 of the other, relative to the larger."""
        if self.value == other.value:
            return True
        if not (self.rounded or other.rounded):
            return False
        return abs(self.value - other.value) <= _RELATIVE * max(abs(self.value), abs(other.value))


def parse_number(text: str) -> Number | None:
    r"""Read a plain number: signs, thousands separators, decimals, ``3/4``, ``2 1/2``, ``\frac{3}{4}``, ``1.5e3``.

    Currency and percent signs are left out (50% is 50). None for anything else, for a division by zero, and beyond
    :data:`LONGEST_NUMBER` digits.
    """
    if len(text) > LONGEST_ANSWER:
        return None
    return _number(_tidied(text))


def _number(text: str) -> Number | None:
    """Read a number of tidied text, a unit behind it left out."""
    text = text.casefold()
    if (units := _UNITS.fullmatch(text)) and units["unit"] not in _NO_UNIT:
        text = units["number"]
    text = _THOUSANDS.sub("", text).strip().rstrip(".").replace(" /", "/").replace("/ ", "/")
    match = _NUMBER.fullmatch(text) if len(text) <= LONGEST_NUMBER else None
    if match is None:
        return None
    sign = -1 if match["sign"].count("-") % 2 else 1
    whole = Fraction(match["whole"] or 0)
    if match["ltop"] is not None:
        top, bottom = Fraction(match["ltop"]), int(match["lbottom"])
    else:
        top, bottom = Fraction(match["plain"].removesuffix(".")), int(match["bottom"] or 1)
        if match["exponent"]:
            if abs(int(match["exponent"])) > LONGEST_NUMBER // 2:
                return None
            top *= Fraction(10) ** int(match["exponent"])
    if bottom == 0 or (match["whole"] and top >= bottom):
        return None
    value = sign * (whole + top / bottom)
    return Number(value, rounded=bool(match["plain"] and "." in match["plain"]) and value.denominator != 1)


def canonical(answer: str) -> str:
    """Return the canonical form of an answer in LaTeX or plain text; empty for what is no answer.

    Numbers become ``p/q`` in lowest terms. Lists are compared part by part; those in braces or in none, in any order.
    """
    if len(answer) > LONGEST_ANSWER:
        return ""
    text = _tidied(answer)
    if number := _number(text):
        return str(number.value)
    for opening, closing in _PAIRS.items():
        if text.startswith(opening) and text.endswith(tuple(closing)) and len(text) > 2:
            size = len(opening)
            parts = split_list(text[size:-size])
            if parts is not None and all(parts):
                forms = [_scalar(p) for p in parts]
                forms = sorted(forms) if "{" in opening else forms
                return opening + ",".join(forms) + text[-size:]
    parts = split_list(text)
    if parts is not None and len(parts) > 1 and all(parts):
        return ",".join(sorted(_scalar(p) for p in parts))
    return _scalar(text)


def _scalar(text: str) -> str:
    text = text.strip()
    if number := _number(text):
        return str(number.value)
    if (assignment := _ASSIGNMENT.match(text)) and text.count("=") == 1:
        return _scalar(text[assignment.end() :])
    working, equals, result = text.rpartition("=")
    if equals and _WORKING.fullmatch(working) and (number := _number(result)):
        return str(number.value)
    text = _SPACES.sub("", text)
    if text.isalpha() and len(text) > 1:
        return text.casefold()
    if quotient := _QUOTIENT.fullmatch(text):
        text = rf"{quotient[1]}\frac{{{quotient[2]}}}{{{quotient[3]}}}"
    return text.removeprefix("+")


def _renamed(text: str) -> str:
    return _COMMAND.sub(lambda m: _NAMES.get(m[0], m[0]), text) if "\\" in text else text


def _tidied(text: str) -> str:
    text = text.translate(_TIDY).strip()
    text = _DEGREES.sub("", text)
    text = _LATEX_THOUSANDS.sub("", text)
    text = _renamed(text).replace("$", "").replace("%", "").strip()
    text = _WRAPPED.sub(lambda m: " " + m[1].strip() + " ", text)
    text = _SHORT_FRACTION.sub(lambda m: rf"\frac{{{m[1] or m[2] or ''}}}{{{m[3] or m[4] or ''}}}", text)
    text = _SHORT_ROOT.sub(lambda m: rf"\sqrt{{{m[1] or m[2] or m[3] or ''}}}", text)
    text = _SMALL_BRACES.sub(r"\1\2", text)
    return " ".join(text.split()).rstrip(".,;: ")


def split_list(text: str) -> list[str] | None:
    """Split a list at the commas outside of all brackets; None where brackets do not balance."""
    parts, start, depth = list[str](), 0, 0
    for i, c in enumerate(text):
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth < 0:
                return None
        elif c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    parts.append(text[start:].strip())
    return parts if depth == 0 else None
