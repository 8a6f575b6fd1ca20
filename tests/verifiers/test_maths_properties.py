"""Code dressed as an answer, by chance: nothing of it is executed. Hostile case 15."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ttc.verifiers.maths import equal, equivalence
from ttc.verifiers.maths.worker_process import WorkerProcess

pytest.importorskip("math_verify", reason="math-verify is not installed (extra 'maths')")

FILE = "\ue000"
"""Stands for the canary file's path while a text is dressed: no dressing changes it."""

CALLS = [
    f"open('{FILE}','w')",
    f"__import__('os').system('touch {FILE}')",
    f"__import__('pathlib').Path('{FILE}').touch()",
    f"__import__('os').mkdir('{FILE}')",
    f"eval(\"open('{FILE}','w')\")",
    f"exec('open(`{FILE}`,`w`)')".replace("`", '"'),
    f"getattr(__import__('os'),'system')('touch {FILE}')",
    f"(lambda f: f('{FILE}','w'))(open)",
    f"().__class__.__base__.__subclasses__()[0]('{FILE}')",
    f"print(1,file=open('{FILE}','w'))",
    f"import os; os.mkdir('{FILE}')",
    f'sympify(\'open("{FILE}","w")\')',
    f"$(touch {FILE})",
    rf"\write18{{touch {FILE}}}",
    rf"\immediate\openout\f={FILE}",
]
WRAPPERS = [
    "{}", r"\boxed{{{}}}", r"\text{{{}}}", r"\mathrm{{{}}}", r"\operatorname{{{}}}", r"\frac{{{}}}{{2}}",
    r"\sqrt{{{}}}", "${}$", r"\({}\)", r"\[{}\]", "({})", "[{}]", r"\left({}\right)", r"\{{{}\}}", "x={}", "1+{}",
    "{}^2", "2^{{{}}}",
    "f'{{{}}}'", "'{}'", "`{}`", "x_{{{}}}", "{},1", r"\begin{{pmatrix}}{}&1\end{{pmatrix}}", "The answer is {}.",
    r"\sum_{{k=1}}^{{3}}{}", "({})!", "{}\\%", "\\${}", "Symbol({})", "Integer({})", "{}.doit()", "x if {} else y",
]  # fmt: skip
CYRILLIC = str.maketrans("aceopxyi", "асеорхуі")


def fullwidth(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def bold(text: str) -> str:
    return "".join(chr(ord(c) - ord("a") + 0x1D41A) if "a" <= c <= "z" else c for c in text)


def apart(text: str) -> str:
    """The first word that is a text, put together by the program itself: 'o'+'s'."""
    before, quote, rest = text.partition("'")
    return f"{before}'{rest[:1]}'+'{rest[1:]}" if quote and rest[:1] not in {FILE, "'"} else text


DRESSINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "title": str.title,
    "swapped case": str.swapcase,
    "spaces before brackets": lambda text: text.replace("(", " ("),
    "spaces around points": lambda text: text.replace(".", " . "),
    "line breaks": lambda text: text.replace("(", "(\n").replace(",", ",\t"),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0").replace("(", "\u2009("),
    "zero width": lambda text: text.replace("_", "_\u200b"),
    "escaped underscores": lambda text: text.replace("_", r"\_"),
    "braces": lambda text: text.replace("_", "_{}"),
    "braced letters": lambda text: text.replace("m", "{m}"),
    "quotes": lambda text: text.replace("'", '"'),
    "primes": lambda text: text.replace("'", "′"),
    "typographic quotes": lambda text: text.replace("'", "’"),
    "fullwidth": fullwidth,
    "fullwidth underscores": lambda text: text.replace("_", "\uff3f"),
    "fullwidth brackets": lambda text: text.replace("(", "\uff08").replace(")", "\uff09"),
    "bold": bold,
    "homoglyphs": lambda text: text.translate(CYRILLIC),
    "put together": apart,
    "decomposed": lambda text: unicodedata.normalize("NFKD", text),
    "escapes": lambda text: text.replace("_", r"\x5f"),
    "left to right": lambda text: f"\u202d{text}\u202c",
}  # fmt: skip
GOLDS = ["x", "x+1", "5", r"\frac{1}{2}", "(1,2)", r"\sqrt{2}", "x=5", r"\{1,2\}"]


@st.composite
def dressed(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(CALLS))
    for how in draw(st.lists(st.sampled_from(sorted(DRESSINGS)), max_size=3)):
        text = DRESSINGS[how](text)
    for wrapper in draw(st.lists(st.sampled_from(WRAPPERS), max_size=3)):
        text = wrapper.format(text)
    before, behind = (
        draw(st.sampled_from(["", "1", "x+", "x ", "2\\cdot "])),
        draw(st.sampled_from(["", "+1", "^2", "!"])),
    )
    return before + text + behind


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A path in an empty folder, which stays empty."""
    path = tmp_path_factory.mktemp("maths") / "canary"
    yield path
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("call", CALLS[:7])
def test_where_code_is_executed_the_canary_is_made(tmp_path: Path, call: str) -> None:
    """Without this the properties might hold because nothing could ever be seen."""
    subprocess.run([sys.executable, "-c", call.replace(FILE, str(tmp_path / "canary"))], check=True)
    assert (tmp_path / "canary").exists()


def test_dressed_code_is_never_executed_and_equals_nothing(canary: Path) -> None:
    # Too slow: what gets past the screen is parsed by a worker, which may have to be killed.
    @settings(deadline=None, max_examples=80, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(text=dressed(), gold=st.sampled_from(GOLDS))
    def holds(text: str, gold: str) -> None:
        code = text.replace(FILE, str(canary))

        async def compared() -> None:
            assert await equal(gold, code, timeout=0.5) != "equal"
            assert await equal(code, gold, timeout=0.5) != "equal"

        anyio.run(compared)
        assert list(canary.parent.iterdir()) == []

    holds()


def test_dressed_code_that_nobody_screened_is_not_executed_by_a_worker(canary: Path) -> None:
    @settings(deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(text=dressed(), gold=st.sampled_from(GOLDS))
    def holds(text: str, gold: str) -> None:
        code = text.replace(FILE, str(canary))

        async def compared() -> None:
            worker = equivalence._taken() or await WorkerProcess.start()
            try:
                await worker.compare(gold, code, timeout=0.5)
            finally:
                equivalence._give_back(worker)

        anyio.run(compared)
        assert list(canary.parent.iterdir()) == []

    holds()


@pytest.mark.anyio
async def test_after_all_that_formulas_are_compared_as_ever() -> None:
    assert await equal("x+1+z", "z+1+x", timeout=20) == "equal"
