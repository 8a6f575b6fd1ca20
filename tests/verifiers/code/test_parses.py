"""Parses: what can still become a program scores 1, and what cannot scores 0, whatever the text; nothing is run."""

from __future__ import annotations

import ast
import inspect
import keyword
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc.errors import ConfigurationError
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve
from ttc.steps import Solution
from ttc.types import Candidate, Query, Request, Sample
from ttc.verifier import StepScorer
from ttc.verifiers.code import parser_process, parses
from ttc.verifiers.code.answer_type import CodeAnswer
from ttc.verifiers.code.extraction import LONGEST_PROGRAM, programs_so_far
from ttc.verifiers.code.parses import Parses, parse

QUERY = Query.of("Write f.", answer_type=CodeAnswer(entry_point="f"))
ANY = Query.of("Write a program.", answer_type="code")
SESSION = Session(QUERY, Scripted(lambda _: ""), Ledger(), verifier=Parses())


async def scored(*solutions: Solution, query: Query = QUERY) -> Sequence[Sequence[float]]:
    return await Parses().score_steps(query, solutions, SESSION)


def open_block(*steps: str) -> Solution:
    return Solution(("```python\n" + steps[0], *steps[1:]), over=False)


def by_lines(source: str) -> list[bool]:
    """Of the lines of a source whether it may go on after each of them."""
    lines = source.splitlines(keepends=True)
    return [parser_process.parses("".join(lines[: i + 1]), goes_on=True) for i in range(len(lines))]


# -- what may go on ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "",
        "# a comment\n",
        "def f():\n",
        "@decorated\n",
        "class A:\n    # nothing yet\n",
        "try:\n    x\n",
        "if x:\n    y\nelse:\n",
        "match x:\n",
        "x = (1,\n",
        "x = {1: 2,\n",
        "from x import (\n",
        "x = \\\n",
        "x = 'abc\\\n",
        '"""A docstring\n',
        'f"""{x} and\n',
        'x = 1\ny = f"""{x\n} and\n',
        "print('\\d')\n",
    ],
)
def test_what_lacks_its_end_may_go_on(source: str) -> None:
    assert parser_process.parses(source, goes_on=True)


@pytest.mark.parametrize(
    "source",
    [
        "x = = 1\n",
        "foo bar\n",
        "print 'x'\n",
        "x = (1, 2]\n",
        "return )\n",
        "x = 1 +\n",
        "if x\n",
        "else:\n",
        "    indented\n",
        "def f():\nx\n",
        "try:\n    x\ny\n",
        "@decorated\nx\n",
        "if x:\n        y\n    z\n",
        "if x:\n\ty\n        z\n",
        "x = 'abc\n",
        "x = 'abc\ny = 1\n",
        "x = = 1\ny = '''abc\n",
        "f(a b\n",
        "1 = x\n",
        "x = 08\n",
        "x = “a”\n",
        "x = 1 ? 2\n",
        "Here is the program:\n",
        "\x00\n",
        "x = '\x00'\n",
        "x = '\ud800'\n",
    ],
)
def test_what_no_continuation_can_mend_may_not(source: str) -> None:
    assert not parser_process.parses(source, goes_on=True)


@pytest.mark.parametrize("source", ["def f():\n", "x = (1,\n", "try:\n    x\n", '"""abc\n', "@d\n"])
def test_what_is_whole_lacks_nothing(source: str) -> None:
    assert not parser_process.parses(source, goes_on=False)


NAMES = st.text("abcxyz_", min_size=1, max_size=5).filter(lambda name: not keyword.iskeyword(name))
EXPRESSIONS = st.recursive(
    st.one_of(NAMES, st.integers(0, 99).map(str), st.sampled_from(["'a b'", '"""two\nlines"""', "None", "f'{x}'"])),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" + ", " if x else ", ", ", " and\\\n ", " == "]), inner).map(
            lambda t: f"({t[0]}{t[1]}{t[2]}{' else 1' if t[1] == ' if x else ' else ''})".replace(" else 1)", ")")
        ),
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ",\n".join(items) + "\n]"),
        st.tuples(NAMES, inner).map(lambda t: f"{t[0]}({t[1]},\n  key={t[1]})"),
        inner.map(lambda e: f"{{k: {e}\n  for k in x}}"),
    ),
    max_leaves=4,
)


def indented(source: str) -> str:
    """Indent what is no part of a longer token; a line inside brackets or quotes may stand anywhere."""
    return "".join("    " + line for line in source.splitlines(keepends=True))


STATEMENTS = st.recursive(
    st.one_of(
        EXPRESSIONS.map(lambda e: f"{e}\n"),
        st.tuples(NAMES, EXPRESSIONS).map(lambda t: f"{t[0]} = {t[1]}\n"),
        st.sampled_from(["import os\n", "# said\n", "\n", "x: int = 1  # one\n", "assert x, 'no'\n"]),
    ),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        .map(lambda body: indented("".join(body)) + "    pass\n")
        .flatmap(
            lambda body: st.sampled_from(
                [
                    f"def f(a, *b):\n{body}",
                    f"class A:\n{body}",
                    f"if x:\n{body}elif y:\n{body}else:\n{body}",
                    f"for i in x:\n{body}",
                    f"try:\n{body}except OSError:\n{body}",
                    f"with x as y:\n{body}",
                    f"match x:\n    case [1, *_]:\n{indented(body)}",
                    f"@decorated\nasync def f():\n{body}",
                ]
            )
        )
    ),
    max_leaves=5,
)
PROGRAMS = st.lists(STATEMENTS, min_size=1, max_size=4).map("".join)


@given(PROGRAMS)
@settings(deadline=None, max_examples=50)
def test_every_beginning_of_a_program_may_go_on(program: str) -> None:
    ast.parse(program)
    assert all(by_lines(program)), program


@given(PROGRAMS, st.sampled_from(["x = = 1\n", "def f(:\n", "foo bar\n", ")\n", "x = 'a\n", "if x = 1:\n"]), PROGRAMS)
@settings(deadline=None, max_examples=50)
def test_an_error_counts_from_the_end_of_its_line_on(before: str, wrong: str, behind: str) -> None:
    right = len(before.splitlines())
    assert by_lines(before + wrong + behind) == [True] * right + [False] * (len(by_lines(wrong + behind)))


def test_the_beginnings_of_our_own_modules_may_go_on() -> None:
    for module in (parses, parser_process):
        source = Path(str(module.__file__)).read_text()
        assert all(by_lines(source))


# -- where the program stands -----------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_each_new_step_is_scored_by_the_program_so_far() -> None:
    good = open_block("def f(x):", "    y = x + 1", "    return y\n```\nThat is it.")
    bad = open_block("def f(x):", "    y = = x + 1", "    return y\n```\nThat is it.")
    assert isinstance(Parses(), StepScorer)
    assert await scored(good, bad) == [[1, 1, 1], [1, 0, 0]]
    assert await scored(Solution(bad.steps, (), (1.0,), over=False), Solution(good.steps, (), (1.0,) * 3)) == [
        [0, 0],
        [],
    ]


@pytest.mark.anyio
async def test_a_text_without_a_program_may_come_to_one_and_is_none_at_its_end() -> None:
    prose = ("Let me think (about it.", "So it's easy")
    assert await scored(Solution(prose, over=False), Solution(prose, over=True)) == [[1, 1], [1, 0]]
    assert await scored(Solution(())) == [[]]


@pytest.mark.anyio
async def test_bare_code_is_read_up_to_the_prose_behind_it() -> None:
    assert await scored(Solution(("def f(x):", "    return (x"), over=False)) == [[1, 1]]
    assert await scored(Solution(("def f(x):", "    return (x", "This is wrong"), over=False)) == [[1, 1, 0]]
    assert await scored(Solution(("def f(x):", "    return x", "This is right"), over=False)) == [[1, 1, 1]]


@pytest.mark.anyio
async def test_a_closed_block_has_to_parse_until_a_new_one_is_open() -> None:
    first = ("```python\ndef f(x):\n```", "That lacks its body:", "```python", "def f(x):\n    return", "    x y")
    assert await scored(Solution(first, over=False)) == [[0, 0, 1, 1, 0]]


@pytest.mark.anyio
async def test_a_whole_solution_is_worth_its_answer() -> None:
    right = "```python\ndef f(x):\n    return x\n```\nFor example:\n```python\nf(1\n```"
    wrong = "```python\ndef f(x):\n    return (x\n```"
    candidates = [Candidate(None, Sample(text=text)) for text in (right, wrong, "no program", "")]
    assert await Parses().score(QUERY, candidates, SESSION) == [1, 0, 0, 0]
    assert await scored(Solution.of(right), Solution.of(wrong)) == [[1], [0]]


@pytest.mark.anyio
async def test_a_step_that_its_tokens_ended_goes_on_in_the_middle_of_a_line() -> None:
    def drawn(*texts: str, finish: Any) -> Solution:
        samples = tuple(Sample(text=text, reasoning="if (", finish=finish) for text in texts)
        return Solution(tuple(f"if ({text}" for text in texts), samples, over=False)

    halves = ("```python\ndef f(x): ret", "urn x\ny =", " 1\nz = 1 +\n")
    assert await scored(drawn(*halves, finish="length")) == [[1, 1, 0]]  # what is thought is no part of it
    assert await scored(drawn(*halves, finish="step")) == [[1, 0, 0]]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("separator", "scores"),
    [("\\n", [1, 1, 0]), ("\n", [1, 1, 0]), ("\\r\\n", [1, 1, 0]), ("\r\n", [1, 1, 0]), ("none", [1, 1, 1])],
)
async def test_what_stands_between_steps_is_written_as_in_the_strategy(separator: str, scores: list[int]) -> None:
    solution = Solution(("```python", "x = 1", "y = 1 +", ""), over=False)
    verifier = Parses(separator=separator)
    assert (await verifier.score_steps(QUERY, [solution], SESSION))[0][:3] == scores


def test_the_block_that_is_open_stands_beside_the_one_that_would_be_taken() -> None:
    text = "```python\ndef f(x: pass\n```\nNo:\n```python\ndef g"
    assert programs_so_far(text, "f") == [("def f(x: pass", False), ("def g", True)]
    assert programs_so_far(text + "\n```\n", "f") == [("def f(x: pass", False)]
    assert programs_so_far(text) == [("def g", True)]
    assert programs_so_far("```text\ndef (") == []
    assert programs_so_far("Hm.") == []


# -- hostile texts ----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    "source",
    [
        "(" * 60_000,
        "x = " + "-" * 60_000 + "1",
        "x = " + "a[" * 20_000,
        "x = " + "1+" * 30_000 + "1",
        "f" + "()" * 30_000,
        "".join(" " * i + "if x:\n" for i in range(300)),
        "x = " + "lambda: " * 8_000 + "1",
        "x = " + "(a for a in " * 90 + "b c" + ")" * 90,
        "x = " + "{1:" * 90 + "a b" + "}" * 90,
        "\x00" * 1_000,
        "\ud800",
    ],
    ids=lambda source: source[:12].encode("ascii", "replace").decode(),
)
async def test_a_hostile_source_is_wrong_and_harms_no_other(source: str) -> None:
    programs = [("x = 1\n", True), (source + "\n", False), ("x = 2\n", True), (source + "\n)\n", True), ("x\n", False)]
    assert await parse(programs) == [True, False, True, False, True]


@pytest.mark.anyio
async def test_what_is_longer_than_any_program_is_wrong() -> None:
    assert await parse([("x = 1\n" * LONGEST_PROGRAM, True), ("x\n", True)]) == [False, True]
    assert await scored(open_block("(" * 100_000 + "\n", "x"), open_block("x = 1")) == [[0, 0], [1]]


@pytest.mark.anyio
async def test_a_source_that_ends_the_process_is_wrong_and_those_behind_it_go_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No such source is known; a process that dies of the word ``die`` stands for the one that will be found."""
    script = inspect.getsource(parser_process)
    dying = script.replace(
        "def parses(source: str, *, goes_on: bool) -> bool:\n",
        "def parses(source: str, *, goes_on: bool) -> bool:\n"
        "    while 'spin' in source: pass\n"
        "    if 'die' in source: signal.raise_signal(signal.SIGSEGV)\n",
    ).replace('"""Whether a source', '"""')
    assert dying != script
    (tmp_path / "dying.py").write_text(dying)
    monkeypatch.setattr(parses, "_SCRIPT", tmp_path / "dying.py")
    programs = [("x\n", False), ("die\n", False), ("y\n", False), ("spin\n", False), ("die\n", False), ("z\n", False)]
    assert await parse(programs) == [True, False, True, False, False, True]


@pytest.mark.anyio
async def test_a_machine_on_which_nothing_can_be_parsed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parses, "_SCRIPT", tmp_path / "missing.py")
    with pytest.raises(ConfigurationError, match=r"programs cannot be parsed: .*missing\.py"):
        await parse([("x\n", True)])
    monkeypatch.setattr("sys.executable", str(tmp_path / "no_python"))
    with pytest.raises(ConfigurationError, match="no process can be started"):
        await parse([("x\n", True)])


@pytest.mark.anyio
async def test_a_deadline_ends_the_parsing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sleeping.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(parses, "_SCRIPT", tmp_path / "sleeping.py")
    with anyio.move_on_after(0.2) as deadline:
        await parse([("x\n", True)])
    assert deadline.cancelled_caught


@pytest.mark.anyio
async def test_nothing_is_run_and_no_warning_leaves(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    touched = tmp_path / "touched"
    source = f"open({str(touched)!r}, 'w')\nprint('\\d')\nassert (1, 'x')\n1 is 1\n"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert await parse([(source, True), (source, False)]) == [True, True]
    assert not caught
    assert capfd.readouterr() == ("", "")
    assert not touched.exists()


@given(st.text(alphabet="abdefx0= ():[]{}'\"\\\n#,.`python\x00é", max_size=80))
@settings(deadline=None)
def test_any_text_is_scored(text: str) -> None:
    for source, goes_on in programs_so_far("```python\n" + text):
        whole = parser_process.parses(source, goes_on=False)
        assert not whole or parser_process.parses(source + "\n", goes_on=True) or not goes_on


# -- in use -----------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_beam_goes_on_from_what_still_parses() -> None:
    lines = ["```python\ndef f(x):", "    x = x + 1", "    return x\n```"]

    def reply(request: Request) -> Sample:
        said = request.messages[-1]["content"] if request.continue_final else ""
        depth = min(said.count("\n\n"), 2)
        line = lines[depth] if request.index % 2 or "= =" in said else lines[depth].replace("x", "x = = 1", 1)
        return Sample(text=line, finish="step" if depth < 2 else "stop")

    model = Scripted(reply)
    outcome = await solve(QUERY, "beam:n=4,m=2", model, verifier="parses")
    assert outcome.answer == "def f(x):\n\n    x = x + 1\n\n    return x"
    assert set(outcome.calls) == {"generate"}
    scores = [node["score"] for event in outcome.trace if event["event"] == "grow" for node in event["nodes"]]
    assert 0.0 in scores
    assert 1.0 in scores
