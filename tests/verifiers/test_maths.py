"""Answers: what is read out of a text, what counts as the same, and that no text can make either slow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data import dataset
from ttc import registry
from ttc.types import AnswerType
from ttc.verifiers.maths import LONGEST_ANSWER, ChoiceAnswer, MathsAnswer, NumberAnswer, canonical, parse_number

NUMBER, MATHS, CHOICE = NumberAnswer(), MathsAnswer(), ChoiceAnswer()


@pytest.mark.parametrize(("name", "kind"), [("number", NUMBER), ("maths", MATHS), ("choice", CHOICE)])
def test_is_registered_under_its_name(name: str, kind: AnswerType) -> None:
    assert registry.create("answer type", name) == kind
    assert isinstance(kind, AnswerType)
    assert kind.name == name


@pytest.mark.parametrize(
    ("kind", "more", "answer"),
    [
        (NUMBER, " 7.", "7"),
        (MATHS, "x+1}.", "x+1"),
        (CHOICE, "B).", "B"),
    ],
)
def test_what_follows_the_cue_is_the_answer(kind: AnswerType, more: str, answer: str) -> None:
    assert kind.extract("First 12 + 30 is" + kind.cue + more) == answer


def test_a_thin_space_ends_no_sentence() -> None:
    assert MATHS.extract(r"The answer is 11,\! 111. That is all!") == r"11,\! 111"


# -- reading numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 5.", "5"),
        ("3 + 4 = 7 apples, in 2 bags", "7"),
        ("The answer is 3 + 4 = 7. That was 1 step.", "7"),
        ("First 10, then 12.", "12"),
        ("#### 1,234", "1234"),
        ("16 - 3 = 13\n#### 13\n", "13"),
        ("A: 42", "42"),
        ("20 +\nThe answer is22.", "22"),
        ("= 42", "42"),
        ("Answer: **42**", "42"),
        ("The final answer to this is:\n\n42", "42"),
        (r"So \boxed{1} or rather \boxed{\frac{1}{2}}. The answer is 9", "1/2"),
        (r"\boxed{18 \text{ dollars}}", "18"),
        (r"\boxed{x = 5}", "5"),
        (r"\boxed{5} and then \boxed{6 was cut", "5"),
        ("It costs $1,234.50.", "1234.5"),
        ("-$5", "-5"),
        ("x - 3 = −4", "-4"),
        ("5-3", "3"),
        ("- 3 apples", "3"),
        ("Half is .5", "1/2"),
        ("50% of it", "50"),
        ("It is 2 1/2 cups", "5/2"),
        ("1.5e3 metres", "1500"),
        (r"about $\frac{3}{4}$", "3/4"),
        ("version x2 has 3 parts", "3"),
        ("The answer is 7. Therefore the answer is correct.", "7"),
        ("<think>The answer is 5</think>It is 6", "6"),
        ("a thought whose start is in the prompt: 5</think>7", "7"),
        ("<think>1<think>2</think>3</think>4", "4"),
    ],
)
def test_reads_the_number_that_is_the_answer(text: str, answer: str) -> None:
    found = NUMBER.extract(text)
    assert found is not None
    assert Fraction(NUMBER.key(found)) == Fraction(answer)


@pytest.mark.parametrize(
    "text", ["", " \n", "none", "<think>5", "x2", "v1a", r"\boxed{}", "####", "The answer is", "-", "$"]
)
def test_reads_no_number_where_none_is(text: str) -> None:
    assert NUMBER.extract(text) is None


def test_a_number_of_a_million_digits_is_no_answer() -> None:
    assert NUMBER.extract("The answer is " + "9" * 10**6) is None
    assert NUMBER.extract("The answer is 5.\n" + "9" * 10**6) == "5"


@given(
    value=st.integers(-(10**12), 10**12),
    places=st.integers(0, 6),
    form=st.sampled_from(
        [
            "{}",
            "The answer is {}.",
            "Answer: {}",
            r"\boxed{{{}}}",
            "#### {}",
            "3 * 4 = {}",
            "<think>17</think> {}!",
            "**{}**",
        ]
    ),
    plus=st.booleans(),
    commas=st.booleans(),
)
def test_a_number_survives_every_way_of_writing_it(
    value: int, places: int, form: str, plus: bool, commas: bool
) -> None:
    number = Fraction(value, 10**places)
    digits = f"{abs(value):0{places + 1}d}"
    whole, part = (digits[:-places], digits[-places:]) if places else (digits, "")
    written = f"{int(whole):,}" if commas else whole
    written = ("-" if value < 0 else "+" if plus else "") + written + ("." + part if part else "")
    found = NUMBER.extract(form.format(written))
    assert found is not None
    assert NUMBER.key(found) == str(number)


@given(
    top=st.integers(-(10**6), 10**6),
    bottom=st.integers(1, 10**6),
    form=st.sampled_from(["{}/{}", r"\frac{{{}}}{{{}}}"]),
)
def test_a_fraction_survives_every_way_of_writing_it(top: int, bottom: int, form: str) -> None:
    text = form.format(top, bottom)
    assert NUMBER.key(text) == MATHS.key(text) == str(Fraction(top, bottom))
    found = NUMBER.extract(f"The answer is {text}.")
    assert found is not None
    assert NUMBER.key(found) == str(Fraction(top, bottom))


# -- comparing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("0.5", r"\frac12"),
        ("1,000", "1000.00"),
        ("$5", "5"),
        (r"\$36", r"36^\circ"),
        (r"36^{\circ}", "36"),
        (r"\dfrac{3}{4}", ".75"),
        (r"2\frac{1}{2}", "2.5"),
        (r"10,\!080", "10080"),
        (r"15\mbox{ cm}^2", "15"),
        ("18 dollars", "18"),
        (r"25\%", "25"),
        ("x = 5", "5"),
        ("3 + 4 = 7", "7"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\pi/2)"),
        (r"11\sqrt2", r"11 \sqrt{2}"),
        ("1,-2", "-2, 1"),
        (r"\{3,1\}", r"\left\{ 1, 3 \right\}"),
        (r"\text{Even}", "even"),
        (r"x^{2}", "x^2"),
        (r"x \leq 3", r"x \le 3"),
        (r"$\frac{a}{b}$.", "a/b"),
    ],
)
def test_maths_counts_as_the_same(a: str, b: str) -> None:
    assert MATHS.key(a) == MATHS.key(b) != ""
    assert MATHS.equivalent(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("1 2", "12"),
        ("1,2", "12"),
        ("(1,2)", "(2,1)"),
        ("(1,2)", "[1,2]"),
        ("(1,234)", "1234"),
        ("(2,12) \\cup (12,102)", "(2,12) \\cup (12102)"),
        ("5x", "5"),
        ("5 xy", "5"),
        ("2k", "2K"),
        ("5x + 4 = 0", "0"),
        (r"\sqrt{3}", "3"),
        ("9^{9^{9^9}}", "9"),
        ("1e999999999", "1"),
        ("-3", "3"),
        ("1/3", "0.333"),
    ],
)
def test_maths_counts_as_different(a: str, b: str) -> None:
    assert MATHS.key(a) != MATHS.key(b)
    assert not MATHS.equivalent(a, b)


def test_a_rounded_decimal_is_near_enough_within_a_billionth() -> None:
    assert NUMBER.equivalent("0.3333333333", "1/3")
    assert MATHS.equivalent(r"\frac{1}{3}", "0.3333333333")
    assert not NUMBER.equivalent("0.33333333", "1/3")


def test_integers_and_fractions_are_compared_exactly_however_large() -> None:
    assert not NUMBER.equivalent("1" + "0" * 30, "1" + "0" * 29 + "1")
    assert not NUMBER.equivalent("1000000000000/3000000000001", "1/3")


@pytest.mark.parametrize("nothing", ["", " ", ".", "$", "9" * (LONGEST_ANSWER + 1)])
@pytest.mark.parametrize("kind", [NUMBER, MATHS, CHOICE])
def test_what_is_no_answer_equals_nothing_not_even_itself(kind: AnswerType, nothing: str) -> None:
    assert kind.key(nothing) == ""
    assert not kind.equivalent(nothing, nothing)
    assert kind.extract(nothing) is None


@pytest.mark.parametrize(
    "text", ["9^{9^{9^9}}", "1e999", "1e-999", "10!", "2**99999", "__import__('os').getpid()", "1/0"]
)
def test_nothing_is_evaluated(text: str) -> None:
    assert parse_number(text) is None
    assert len(canonical(text)) <= len(text) + 10


ANSWERS = st.one_of(
    st.text(max_size=30),
    st.text(alphabet=r"0123456789.,-+/\{}()[]$%^_ fracsqtex=", max_size=30),
    st.integers().map(str),
    st.fractions().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from("ABCDJ"),
)


@pytest.mark.parametrize("kind", [NUMBER, MATHS, CHOICE], ids=lambda kind: kind.name)
@given(a=ANSWERS, b=ANSWERS)
def test_equivalence_is_reflexive_and_symmetric_and_follows_from_equal_keys(kind: AnswerType, a: str, b: str) -> None:
    assert kind.equivalent(a, a) == (kind.key(a) != "")
    assert kind.equivalent(a, b) == kind.equivalent(b, a)
    if kind.key(a) == kind.key(b) != "":
        assert kind.equivalent(a, b)


@pytest.mark.parametrize("kind", [NUMBER, MATHS, CHOICE], ids=lambda kind: kind.name)
@given(text=st.one_of(st.text(max_size=80), st.text(alphabet="answeri:= 0123.,$\\{}boxd#<>thk/-()AB\n", max_size=80)))
def test_what_is_extracted_can_always_be_compared(kind: AnswerType, text: str) -> None:
    answer = kind.extract(text)
    assert answer is None or kind.equivalent(answer, answer)


# -- formulas and letters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"Thus \boxed{\frac{1}{\sqrt{2}}}.", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{\left\{1, \{2\}\right\}}", r"\left\{1, \{2\}\right\}"),
        (r"The answer is $x^2 + 1$. I hope it is right.", "x^2 + 1"),
        (r"The answer is \(x = 5\), since 2 + 3 = 5.", "x = 5"),
        ("We get\n$a$ and so $b+c$.", "b+c"),
        ("It makes 12", "12"),
        (r"\boxed{1} and \boxed{2}", "1, 2"),
        (r"$\boxed{-1}$, $\boxed{x+1}$, and $\boxed{3}$.", "-1, x+1, 3"),
        (r"\boxed{(1,2)} \text{ and } \boxed{(3,4)}", "(1,2), (3,4)"),
        (r"\boxed{1} or rather \boxed{2}", "2"),
        (r"Case one: \boxed{7}. Case two, and last, \boxed{8}", "8"),
        (r"\boxed{\frac12} and \boxed{0.5}", "0.5"),
        (r"\boxed{\boxed{3}}", "3"),
        (r"\[ \text{ANSWER: } 434 \]", "434"),
        (r"The answer is $3 \pm \sqrt{2}$.", r"3 \pm \sqrt{2}"),
        (r"The answer is $(-\infty, 3]$.", r"(-\infty, 3]"),
        (r"The answer is \(25\%\).", r"25\%"),
        ("The answer is Evelyn.", "Evelyn"),
        (
            r"\boxed{\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}}",
            r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
        ),
        (r"<think>\boxed{1} and</think> \boxed{2}", "2"),
        ("#### 3/4", "3/4"),
    ],
)
def test_reads_the_formula_that_is_the_answer(text: str, answer: str) -> None:
    assert MATHS.extract(text) == answer


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is (B).", "B"),
        ("Answer: C", "C"),
        ("the answer is **D**", "D"),
        ("the answer is b.", "B"),
        (r"\boxed{\text{(E)}}", "E"),
        ("(A) is wrong, (B) is right", "B"),
        ("I thought A.\nC", "C"),
        ("The answer is a dog", None),
        ("The answer is I think so", None),
        ("I like it", None),
        ("(Z)", None),
        ("", None),
    ],
)
def test_reads_the_letter_that_was_chosen(text: str, letter: str | None) -> None:
    assert CHOICE.extract(text) == letter


def test_only_letters_on_offer_can_be_chosen() -> None:
    assert ChoiceAnswer(letters="AB").extract("The answer is (C)") is None


# -- hostile texts ----------------------------------------------------------------------------------------------------

_HOSTILE = r"""
from ttc.verifiers.maths import ChoiceAnswer, MathsAnswer, NumberAnswer, canonical

units = [
    "<think>", "</think>", r"\boxed{", r"\boxed{1}", r"\boxed{1} and ", r"\boxed{1},", "{", "}", r"\{",
    "answer is ", "answer ", "answer: \n", "\nA:", "1,", "1,234,", "1,2345", "9", "9.", "1 / ", "1 1/", "- 1", "-",
    "$1", "#### ", "=1", "1e", " ", " \n", "(", "(A)", "A ", "*", r"\frac{1}", r"\text{", "1. ", "\u2212", "a1",
    "x=", r"\$", ",", "1 a", "'",
]
kinds = [NumberAnswer(), MathsAnswer(), ChoiceAnswer()]
for unit in units:
    text = unit * (1_000_000 // len(unit))
    for text in (text, "The answer is 5\n" + text[:50_000], text[:50_000] + "\nThe answer is 5."):
        for kind in kinds:
            answer = kind.extract(text)
            assert answer is None or len(answer) <= 4096
            assert kind.key(text) == ""
    for size in (4096, 4000, 1024):
        for kind in kinds:
            answer = (unit * 4096)[:size]
            assert kind.equivalent(answer, answer) == (kind.key(answer) != "")
print("all", len(units))
"""


def test_no_text_of_a_megabyte_takes_more_than_linear_time() -> None:
    """Anything quadratic would take hours for these; the limit only turns a hang into a failure."""
    ran = subprocess.run([sys.executable, "-c", _HOSTILE], capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("all ")


# -- gold answers of public data sets ---------------------------------------------------------------------------------


def test_gsm8k_gold_answers_equal_themselves_and_rarely_another() -> None:
    rows = [json.loads(line) for line in dataset("gsm8k_test.jsonl").read_text().splitlines()]
    golds = [row["answer"].rpartition("####")[2].strip() for row in rows]
    assert len(golds) == 1319
    for row, gold in zip(rows, golds, strict=True):
        found = NUMBER.extract(row["answer"])
        assert found is not None
        assert NUMBER.key(found) == NUMBER.key(gold) != ""
        assert MATHS.key(gold) == NUMBER.key(gold)
    shared = Counter(map(NUMBER.key, golds))
    pairs = sum(n * (n - 1) for n in shared.values()) / (len(golds) * (len(golds) - 1))
    assert pairs < 0.011
    assert shared == Counter(str(int(gold.replace(",", ""))) for gold in golds), "only equal integers are the same"


def test_math500_gold_answers_are_found_in_their_solutions() -> None:
    rows = json.loads(dataset("math500_test.json").read_text())
    assert len(rows) == 500
    for row in rows:
        found = MATHS.extract(row["solution"])
        assert found is not None
        assert MATHS.key(found) == MATHS.key(row["answer"]) != ""
        assert MATHS.equivalent(found, row["answer"])


@pytest.mark.parametrize(
    ("answer_type", "text", "concludes"),
    [
        (NumberAnswer(), "8 + 5", False),
        (NumberAnswer(), "8 + 5 = 13. The answer is 13", True),
        (NumberAnswer(), "so we get #### 13", True),
        (NumberAnswer(), "The answer is", False),
        (NumberAnswer(), "<think>The answer is 4.</think> well, 3", False),
        (MathsAnswer(), "with $x^2$", False),
        (MathsAnswer(), r"so \boxed{x^2}", True),
        (ChoiceAnswer(), "maybe (B)", False),
        (ChoiceAnswer(), "The answer is (B)", True),
    ],
)
def test_an_unfinished_text_concludes_only_where_it_marks_its_answer(
    answer_type: NumberAnswer | MathsAnswer | ChoiceAnswer, text: str, concludes: bool
) -> None:
    assert answer_type.concludes(text) is concludes
