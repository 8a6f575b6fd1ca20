"""Programs as answers: where they stand in a text, when their layout is all that differs, and when they do the same."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data import dataset, lines
from ttc import Query, registry, solve
from ttc.equality import decide
from ttc.models.scripted import Scripted
from ttc.verifiers.code import extract_code, shared_sandbox
from ttc.verifiers.code.answer_type import CodeAnswer, same_behaviour
from ttc.verifiers.code.normal_form import normal_form

DOUBLE = CodeAnswer("double", ("double(2)", "double('ab')", "double(-1)"))
TIMES = "def double(x):\n    return x * 2"
PLUS = "def double(x):\n    return x + x"
WRONG = "def double(x):\n    return x * x"
BROKEN = "def double(x:\n    return x"


ONE = "def f():\n    return 1"


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("```python\nx = 1\n```", "x = 1"),
        ("Sure:\n\n```py\ndef f():\n    return 1\n```\nand so on", "def f():\n    return 1"),
        ("```\ndef f():\n    return 1\n```\n```python\nprint(f())\n```", "def f():\n    return 1"),
        ("```python\ndef f(): return 1\n```\nBetter:\n```python\ndef f(): return 2\n```", "def f(): return 2"),
        ("```python\ndef f():\n    return 1\n```\n```bash\npip install f\n```", "def f():\n    return 1"),
        ("```\ndef g(): ...\n```\n```\ndef f(): ...\n```\n```\ndef h(): ...\n```", "def f(): ..."),
        ("```python\ndef f():\n    return 1", "def f():\n    return 1"),
        ("```python\ndef f(\n```python\ndef f():\n    return 1\n```", "def f():\n    return 1"),
        ("1. Do it:\n   ```python\n   def f():\n       return 1\n   ```", "def f():\n    return 1"),
        ("~~~python\ndef f():\n    return '```'\n~~~", "def f():\n    return '```'"),
        ("Here it is.\ndef f():\n    return 1\n\nThis returns one.", "def f():\n    return 1"),
        (f"import math\nfrom os import path\n{ONE}\nExplanation: one.", f"import math\nfrom os import path\n{ONE}"),
        ("def f():\n    '''\nAt it\n    '''\n    return 1", "def f():\n    '''\nAt it\n    '''\n    return 1"),
        ("@cache\ndef f():\n    return 1\nprint(f())", "@cache\ndef f():\n    return 1\nprint(f())"),
        ("n = int(input())\nprint(n)\nThat is all.", "n = int(input())\nprint(n)"),
        ("<think>```python\ndef f(): return 0\n```</think>```python\ndef f(): return 1\n```", "def f(): return 1"),
        ("```python\r\ndef f():\r\n    return 1\r\n```", "def f():\n    return 1"),
    ],
)  # fmt: skip
def test_the_program_is_read_out_of_a_text(text: str, program: str) -> None:
    assert extract_code(text, "f") == program


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The answer is 12.",
        "import the data first, from what you have",
        "```bash\nls\n```",
        "```python\n\n```",
        "<think>def f(): return 1",
        "def f():\n" + "    x = 1\n" * 20_000,
    ],
)
def test_what_holds_no_program_holds_no_answer(text: str) -> None:
    assert CodeAnswer("f").extract(text) is None


def test_a_text_concludes_when_its_program_is_there_to_the_end() -> None:
    concludes = CodeAnswer("f").concludes
    assert concludes("```python\ndef f():\n    return 1\n```\nThis")
    assert concludes("def f():\n    return 1\n\nThis is how")
    assert not concludes("```python\ndef f():\n    return")
    assert not concludes("```python\ndef g():\n    return 1\n```\n")
    assert not concludes("def f():\n    return")
    assert not concludes("I would say that")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("x=1", "x = 1  # one"),
        ("def f(a,b):\n\n  if a:\n    return b", "# f\ndef f(a, b):\n        if a:\n            return b\n"),
        ("f(1,\n  2)", "f(1, 2)"),
        ("x = 1 + \\\n  2", "x = 1 + 2"),
        ("if x:\n\treturn '#'", "if x:\n    return '#'"),
    ],
)
def test_layout_does_not_matter(a: str, b: str) -> None:
    assert normal_form(a) == normal_form(b) != ""


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("x = 'a  b'", "x = 'a b'"),
        ("x = '#a'", "x = '#b'"),
        ("if a:\n    b\n    c", "if a:\n    b\nc"),
        ("if a:\n    if b:\n        c\n    d", "if a:\n    if b:\n        c\n        d"),
        ("x = '''a\n\nb'''", "x = '''a\nb'''"),
        ("x == 1", "x = = 1"),
        ("f'{x}'", "f '{x}'"),
        ("a ** b", "a * * b"),
        ("x = 1.5", "x = 1 .5"),
    ],
)
def test_what_python_reads_otherwise_has_another_form(a: str, b: str) -> None:
    assert normal_form(a) != normal_form(b)


def test_comments_and_blank_lines_alone_are_no_program() -> None:
    assert CodeAnswer().key("# nothing\n\n   # at all\n") == ""
    assert not CodeAnswer().equivalent("# a", "# b")


def test_equal_forms_are_equal_programs_and_layout_is_all_that_they_lose() -> None:
    """On real programs: taken apart and written anew by Python itself, those of one tree alone have one form."""
    programs = [row["prompt"] + row["canonical_solution"] for row in lines(dataset("HumanEval.jsonl.gz"))]
    rewritten = [ast.unparse(ast.parse(program)) for program in programs]
    assert len({normal_form(text) for text in rewritten}) == len(set(rewritten)) == 164
    for text in rewritten:
        spread = text.replace("\n", "  # and so on\n\n") if '"""' not in text and "'''" not in text else text
        assert normal_form(spread) == normal_form(text)


@given(st.text(alphabet="ab \n\t\\'\"#()[]{}`:=~fr<think>/import def print1", max_size=200))
def test_no_text_breaks_reading(text: str) -> None:
    answer_type = CodeAnswer("f")
    found = answer_type.extract(text)
    assert found is None or found.strip() in text.replace("\r\n", "\n") or "```" in text or "~~~" in text or "<" in text
    assert isinstance(answer_type.key(text), str)
    assert isinstance(answer_type.concludes(text), bool)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [
        '"""\\',
        "'''\"\"\"",
        "'",
        '"\\',
        "(",
        "\\\n",
        "```python\n",
        "def f(",
        "import a,",
        "aaa ",
        "<think>",
        "a = ",
        "\n",
    ],
)
def test_long_hostile_texts_are_read_in_linear_time(piece: str) -> None:
    text = piece * (500_000 // len(piece))
    normal_form(text)
    extract_code(text, "f")
    CodeAnswer("f").concludes(text)


def test_the_preamble_comes_first() -> None:
    answer_type = CodeAnswer("f", preamble="import math\n")
    assert answer_type.program("def f(): ...").startswith("import math\n\n\ndef f")
    assert CodeAnswer("f").program("def f(): ...") == "def f(): ..."
    assert isinstance(registry.create("answer type", "code"), CodeAnswer)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        (TIMES, PLUS, "equal"),
        (TIMES, TIMES + "  # the same", "equal"),
        (TIMES, WRONG, "different"),
        (TIMES, BROKEN, "different"),
        (BROKEN, "def double(x)", "different"),
        ("double = lambda x: 2 * x", TIMES, "equal"),
        ("def double(x):\n    return [x, x]", "def double(x):\n    return (x, x)", "different"),
    ],
)
async def test_programs_are_the_same_when_they_do_the_same(a: str, b: str, found: str) -> None:
    assert await decide(DOUBLE, a, b) == found
    assert await decide(DOUBLE, b, a) == found


@pytest.mark.anyio
async def test_without_probes_programs_that_differ_are_different() -> None:
    assert await decide(CodeAnswer("double"), TIMES, PLUS) == "different"


@pytest.mark.anyio
async def test_the_preamble_is_there_when_a_program_runs() -> None:
    answer_type = CodeAnswer("f", ("f(9)",), preamble="from math import isqrt\n\ndef three():\n    return 3\n")
    assert await decide(answer_type, "def f(x):\n    return isqrt(x)", "def f(x):\n    return three()") == "equal"


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        ([("passed", "1"), ("error", "ValueError: 1")], [("passed", "1"), ("error", "ValueError: 2")], "equal"),
        ([("passed", "1"), ("error", "ValueError: 1")], [("passed", "1"), ("error", "KeyError: 1")], "different"),
        ([("passed", "1"), ("error", "ValueError: 1")], [("passed", "1"), ("passed", "2")], "different"),
        ([("error", "ValueError")], [("error", "ValueError")], "different"),
        ([("error", "ValueError")], [("error", "KeyError")], "different"),
        ([("passed", "1"), ("timeout", "")], [("passed", "1"), ("passed", "2")], "undecided"),
        ([("passed", "1"), ("timeout", "")], [("passed", "3"), ("passed", "2")], "different"),
        ([], [], "different"),
    ],
)
def test_behaviour_is_compared_probe_by_probe(a: list[tuple[str, str]], b: list[tuple[str, str]], found: str) -> None:
    assert same_behaviour(a, b) == found


@pytest.mark.anyio
async def test_each_program_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    evaluate = shared_sandbox().evaluate

    async def counted(source: str, *args: object, **named: object) -> object:
        runs.append(source)
        return await evaluate(source, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(shared_sandbox(), "evaluate", counted)
    answer_type = CodeAnswer("double", ("double(17)",))
    for a in (TIMES, PLUS, WRONG):
        for b in (TIMES, PLUS, WRONG):
            await decide(answer_type, a, b)
    assert sorted(runs) == sorted([TIMES, PLUS, WRONG])


@pytest.mark.anyio
async def test_a_majority_of_programs_is_one_of_what_they_do() -> None:
    """Three programs that all differ by letter, two of which do the same, against one that was written twice."""
    said = [f"```python\n{p}\n```" for p in (WRONG, TIMES, PLUS, BROKEN, "def double(x):\n    return sum([x, x])")]
    model = Scripted(lambda request: said[request.index])
    query = Query.of("Double it.", answer_type=CodeAnswer("double", ("double(3)", "double(-5)")))
    outcome = await solve(query, "majority:n=5,stop=never", model)
    assert outcome.answer == TIMES
    vote = next(event for event in outcome.trace if event["event"] == "vote")
    assert [count for _, count, _ in vote["classes"]] == [3, 1, 1]


@pytest.mark.anyio
async def test_probes_are_calls_of_the_programs_own_function() -> None:
    """Even where a builtin, or the prompt's own stub, has its name."""
    for answer_type in (
        CodeAnswer("max", ("max([1, 2])",)),
        CodeAnswer("f", ("f([1, 2])",), preamble="def f(x):\n    return 5"),
    ):
        name = answer_type.entry_point
        one, two, same = (f"def {name}(x):\n    return {value}" for value in ("0", "77", "1 - 1"))
        assert await decide(answer_type, one, two) == "different"
        assert await decide(answer_type, one, same) == "equal"
