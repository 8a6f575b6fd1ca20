"""Formulas compared by algebra: what is the same, what no text can do, and that every worker can be lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from benchmarks.maths import fuzzed, under_heartbeat
from ttc.answer_type import same_answer
from ttc.equality import Deciding, decide
from ttc.evals.grading import AnswerGrader
from ttc.evals.problem import Problem
from ttc.types import Query
from ttc.verifiers.maths import LONGEST_ANSWER, MathsAnswer, canonical, equal, equivalence, prewarm
from ttc.verifiers.maths.screening import screened
from ttc.verifiers.maths.worker_process import WorkerFailed, WorkerProcess

pytest.importorskip("math_verify", reason="math-verify is not installed (extra 'maths')")

MATHS = MathsAnswer()
FOREVER = r"\int_0^1 \sin(x^{x^x}) \cdot \log(x^2+\cos(x^3)) dx"  # math-verify works on it for minutes


@pytest.fixture
async def worker() -> AsyncIterator[WorkerProcess]:
    taken = equivalence._taken() or await WorkerProcess.start()
    yield taken
    equivalence._give_back(taken)


# -- what is the same -------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("x^2+2x+1", "(x+1)^2"),
        (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt 2}"),
        (r"\frac{\sqrt2}{2}", "1/sqrt(2)"),
        (r"\frac{\pi}{2}", "pi/2"),
        (r"\frac{\pi}{2}", "π/2"),
        (r"2\sqrt{3}+1", r"1+2\sqrt3"),
        (r"1\pm\sqrt{2}", r"1+\sqrt2, 1-\sqrt2"),
        (r"\pm 3", "3,-3"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}"),
        (r"\begin{pmatrix}x+1\\2\end{pmatrix}", r"\begin{pmatrix}1+x\\2\end{pmatrix}"),
        (r"(-\infty, 2) \cup (3, \infty)", r"(-\infty,2)\cup(3,\infty)"),
        (r"[0,\frac{1}{2})", "[0, 0.5)"),
        ("1<x<2", "(1,2)"),
        (r"x \leq 3", r"3 \geq x"),
        ("(1,2)", "1, 2"),
        ("5", "x = 5"),
        ("y = 2x+1", "2x - y + 1 = 0"),
        ("C", r"\text{(C)}"),
        ("C", "(C)"),
        ("xy", "yx"),
        (r"\log_2 8", "3"),
        (r"\binom{5}{2}", "10"),
        (r"\sin^2 x + \cos^2 x", "1"),
        ("1.41421356237", r"\sqrt{2}"),
        (r"7 \text{ and } -2", "-2, 7"),
        (r"36\text{ sq. units}", "36"),
        (r"\sqrt{34}+3\sqrt{10}", r"3\sqrt{10} + \sqrt{34}"),
    ],
)
async def test_the_same_in_other_words(gold: str, answer: str) -> None:
    assert await equal(gold, answer, timeout=20) == "equal"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("x+1", "x+2"),
        ("(1,2)", "2, 1"),
        ("(1,2)", "(2,1)"),
        ("(1,2)", "[1,2]"),
        ("(1,2)", r"\{1,2\}"),
        (r"\{1,2\}", "(1,2)"),
        (r"\sqrt{2}", "1.41"),
        (r"\frac{1}{3}", "0.333"),
        (r"\infty", r"-\infty"),
        ("east", "seat"),
        ("Even", "never"),
        ("A", "B"),
        ("", ""),
        ("x", ""),
        ("", "x"),
        ("Straße", "Gasse"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
        (r"\frac{1}", "1/0"),
    ],
)
async def test_not_the_same(gold: str, answer: str) -> None:
    assert await equal(gold, answer, timeout=20) == "different"


@pytest.mark.anyio
async def test_a_percent_sign_is_a_unit_so_that_no_chain_makes_50_a_half() -> None:
    halves = ["1/2", "0.5", r"\frac12", r"\frac{1}{2}", ".50"]
    for a in halves:
        for b in halves:
            assert await equal(a, b) == "equal"
        assert await equal(a, r"50\%") == await equal(r"50\%", a) == "different"
        assert await equal(a, "50") == "different"
    assert await equal("50", r"50\%") == "equal"
    assert await equal(r"(50+x)\%", "x+50", timeout=20) == "equal"


@pytest.mark.anyio
async def test_the_answer_type_decides_only_what_its_cheap_comparison_leaves_open() -> None:
    assert isinstance(MATHS, Deciding)
    assert not same_answer(MATHS, "(x+1)^2", "x^2+2x+1")
    assert await decide(MATHS, "(x+1)^2", "x^2+2x+1") == "equal"
    assert await decide(MATHS, "(x+1)^2", "x^2") == "different"


@pytest.mark.anyio
async def test_what_was_decided_is_remembered_and_what_was_not_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answers: list[bool | None] = [None, True]

    async def compare(self: WorkerProcess, gold: str, answer: str, *, timeout: float) -> bool | None:
        asked.append(answer)
        return answers[len(asked) - 1]

    monkeypatch.setattr(WorkerProcess, "compare", compare)
    monkeypatch.setattr(equivalence, "_decided", {})
    pair = ("x + 9001", "9001 + x")
    assert [await equal(*pair) for _ in range(4)] == ["undecided", "equal", "equal", "equal"]
    assert len(asked) == 2


@pytest.mark.anyio
async def test_memory_of_what_was_decided_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equivalence, "_decided", {})
    monkeypatch.setattr(equivalence, "_REMEMBERED", 3)
    for k in range(6):
        assert await equal("x + y", f"y + x + {k}", timeout=20) == ("different" if k else "equal")
    assert len(equivalence._decided) == 3


@pytest.fixture
def no_algebra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(equivalence, "_warned", set())
    monkeypatch.setattr(equivalence, "_decided", {})


@pytest.mark.anyio
@pytest.mark.usefixtures("no_algebra")
async def test_without_math_verify_what_only_algebra_could_tell_is_undecided_and_one_warning_says_what_to_install() -> (
    None
):
    with pytest.warns(RuntimeWarning, match=r"pip install 'ttc-compute\[maths\]'") as caught:
        found = [await equal("x+1", answer) for answer in ("1+x", "1+x", "2+x")]
    assert found == ["undecided"] * 3
    assert len(caught) == 1
    assert equivalence._decided == {}  # math-verify may be installed meanwhile


@pytest.mark.anyio
@pytest.mark.usefixtures("no_algebra")
async def test_without_math_verify_numbers_words_and_code_are_decided_all_the_same() -> None:
    assert await equal("1/2", "0.5") == "equal"
    assert await equal("5", "7") == "different"
    assert await equal("Monday", "Friday") == "different"
    assert await equal("x", "open('a','w')") == "different"
    assert await equal("x+1", "") == "different"


@pytest.mark.anyio
@pytest.mark.usefixtures("no_algebra")
async def test_without_math_verify_a_grade_that_takes_algebra_is_undecided_and_not_wrong() -> None:
    problem = Problem(Query.of("?", answer_type=MATHS), gold="x+1")
    with pytest.warns(RuntimeWarning, match="no algebra"):
        assert await AnswerGrader().grade(problem, "1+x") == "undecided"
    assert await AnswerGrader().grade(problem, "$x + 1$") == "right"
    assert await AnswerGrader().grade(problem, "eval(1)") == "wrong"


# -- what no text can do ----------------------------------------------------------------------------------------------

CALL = "__import__('os').system('touch CANARY')"
DRESSINGS = [
    "CALL",
    r"\boxed{CALL}",
    r"\text{CALL}",
    r"\text{CALL} + 1",
    r"\mathrm{CALL}",
    r"\operatorname{CALL}(x)",
    r"\frac{CALL}{2}",
    r"x = CALL",
    r"1 + CALL",
    r"$CALL$",
    r"\(CALL\)",
    r"\_\_import\_\_('os').system('touch CANARY')",
    r"\_\_import\_\_(\text{'os'}).system(\text{'touch CANARY'})",
    r"_{}_import_{}_('os').system('touch CANARY')",
    "__import__(chr(111)+chr(115)).system(chr(116)+'ouch CANARY')",
    "getattr(__import__('os'), 'system')('touch CANARY')",
    "getattr(getattr(x,'__class__'),'__base__').__subclasses__()",
    "(1).__class__.__base__.__subclasses__()[0]('touch CANARY')",
    "().__class__.__mro__[1].__subclasses__()",
    "''.__class__.__mro__[1].__subclasses__()",
    "open('CANARY','w')",
    'open("CANARY","w").write("1")',
    "eval(\"open('CANARY','w')\")",
    "exec('import os; os.system(`touch CANARY`)')",
    "import os; os.mkdir('CANARY')",
    "from os import system",
    "lambda: open('CANARY','w')",
    "(lambda f: f('CANARY','w'))(open)",
    "[c for c in ().__class__.__base__.__subclasses__()]",
    "{0.__class__.__init__.__globals__}",
    "f'{open(chr(47), chr(119))}'",
    "'%s' % open('CANARY','w')",
    "'{0.__class__}'.format(1)",
    "\\x5f\\x5fimport\\x5f\\x5f('os')",
    "\\u005f\\u005fimport\\u005f\\u005f('os')",
    "\N{FULLWIDTH LOW LINE}\N{FULLWIDTH LOW LINE}import\N{FULLWIDTH LOW LINE}_('os').system('touch CANARY')",
    "__\N{FULLWIDTH LATIN SMALL LETTER I}mport__('os').system('touch CANARY')",
    "__\N{MATHEMATICAL BOLD SMALL I}mport__('os').mkdir('CANARY')",
    "\N{CYRILLIC SMALL LETTER O}pen('CANARY','w')",
    "os.system('touch CANARY')",
    "sympy.sympify('open(1)')",
    "Symbol('x').func('CANARY')",
    "x if open('CANARY','w') else y",
    "`touch CANARY`",
    "$(touch CANARY)",
    "\\input{CANARY}",
    "\\write18{touch CANARY}",
    "print('CANARY', file=open('CANARY','w'))",
    "(x := open('CANARY','w'))",
    "Integer(1).__class__",
    "sqrt(open('CANARY','w'))",
    "factorial(breakpoint())",
]


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "canary"
    yield path
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
@pytest.mark.parametrize("dressing", DRESSINGS)
async def test_code_as_an_answer_is_never_executed(dressing: str, canary: Path) -> None:
    text = dressing.replace("CALL", CALL).replace("CANARY", str(canary))
    for gold, answer in (("x", text), (text, "x"), ("x+1", rf"\boxed{{{text}}}")):
        assert await equal(gold, answer, timeout=20) != "equal"


@pytest.mark.anyio
@pytest.mark.parametrize("dressing", DRESSINGS)
async def test_code_that_slips_past_the_screen_is_not_executed_in_a_worker_either(
    dressing: str, canary: Path, worker: WorkerProcess
) -> None:
    """Handed to the worker as it is, and in the forms that math-verify looks for."""
    text = dressing.replace("CALL", CALL).replace("CANARY", str(canary))
    for answer in (text, f"The answer is {text}", rf"$ \boxed{{{text}}} $ {text}"):
        assert await worker.compare("x", answer, timeout=20) in (False, None)
    assert await worker.compare("x+1", "1+x", timeout=20) is True


@pytest.mark.parametrize(
    "text",
    [
        r"f'(x) = 2x", r"f''(x)", r"\lambda^2 + 1", "4:30", r"12.5\text{ m.p.h.}", r"x_1 + x_2", r"\$36", r"36\%", "x!",
        r"\begin{pmatrix} 1.5 & 2 \\ 3 & 4.25 \end{pmatrix}", r"2^{2^{10}}", "x^2+y^2+z^2",
        r"e^{-x^2} + e^{-y^2} + e^{-z^2}", r"\sqrt{1+\sqrt{2+\sqrt{3+\sqrt{5}}}}", "π/2", r"(x+1)^{10}(x-1)^{10}",
    ],
)  # fmt: skip
def test_ordinary_maths_is_let_through(text: str) -> None:
    assert screened(text) is None


# -- what would take for ever -----------------------------------------------------------------------------------------

HOSTILE: dict[str, str] = {
    "a tower": "9^{9^{9^9}}",
    "a tower in parentheses": "9^(9^(9^9))",
    "a tower without braces": "2^3^4^5^6^7",
    "a mixed tower": "x^{y^{z^{w}}}",
    "50 nested fractions": r"\frac{1}{1+" * 50 + "1" + "}" * 50,
    "50 nested fractions below": r"\frac{1}{" * 50 + "2" + "}" * 50,
    "10^6 digits": "9" * 10**6,
    "2,000 digits": "9" * 2000,
    "digits behind a point": "0." + "3" * 3000,
    "50 nested roots": r"\sqrt{" * 50 + "2" + "}" * 50,
    "41 parentheses": "(" * 41 + "x" + ")" * 41,
    "4,000 parentheses": "(" * 2000 + ")" * 2000,
    "unclosed parentheses": "(" * 4000,
    "unclosed braces": "{" * 4000,
    "closing ones alone": "}" * 4000,
    "a huge exponent": "2^{99999999}",
    "a huge negative exponent": "2^{-99999999}",
    "a huge decimal exponent": "1e999999999",
    "a factorial": "99999!",
    "factorials of factorials": "((9!)!)!",
    "a long sum": "+".join(f"x_{i}" for i in range(600)),
    "a long product": "".join(f"(x+{i})" for i in range(500)),
    "a huge power of a sum": "(x+y+z+w)^{99999}",
    "an endless sum": r"\sum_{k=1}^{99999999} \frac{1}{k^2+\sin k}",
    "an endless product": r"\prod_{k=1}^{99999999} (1+\frac{1}{k^2+\sin k})",
    "a hard integral": FOREVER,
    "a hard limit": r"\lim_{x\to 0} \frac{\sin(x^x)-x^{\sin x}}{\cos(x^x)^{1/x}}",
    "sums of sums": r"\sum_{i=1}^{999}\sum_{j=1}^{999}\sum_{k=1}^{999} \frac{ijk}{i+j+k}",
    "a determinant": r"\det\begin{pmatrix}" + r"\\".join(["x&x^2&x^3&y&y^2&y^3&z&z^2"] * 8) + r"\end{pmatrix}",
    "a matrix to a power": r"\begin{pmatrix}x&y\\z&w\end{pmatrix}^{9999}",
    "an equation of high degree": "x^{97}+3x^{31}+x^{5}+x+1=0",
    "a long list": ",".join(rf"\sqrt{{{i}}}" for i in range(400)),
    "a modulus": r"7^{99999} \mod 10^{99999}",
    "a long binomial": r"\binom{99999}{49999}",
    "commands without arguments": r"\frac" * 800,
    "roots without arguments": r"\sqrt" * 800,
    "signs": "-" * 4000 + "1",
    "carets": "^" * 4000,
    "dollars": "$" * 4000,
    "boxes": r"\boxed{" * 500 + "1" + "}" * 500,
    "texts": r"\text{" * 600,
    "begins": r"\begin{pmatrix}" * 200,
    "spaces": "x" + " " * 4000 + "y",
    "a nul": "x\x00y",
    "a lone surrogate": "x+\ud800",
    "right to left": "\u202ex+1",
    "combining marks": "x" + "\u0301" * 3000,
}  # fmt: skip


@pytest.mark.anyio
async def test_hostile_formulas_end_and_the_next_comparison_is_fine() -> None:
    assert len(HOSTILE) >= 31
    started: list[str] = []
    for what, text in HOSTILE.items():
        started.append(what)
        for gold, answer in (("x+17", text), (text, "x+17")):
            assert await equal(gold, answer, timeout=0.5) in ("different", "undecided"), what
    assert await equal("x+1+z", "z+1+x", timeout=20) == "equal"


@pytest.mark.anyio
@pytest.mark.parametrize("what", ["a tower", "50 nested fractions", "2,000 digits", "a huge exponent", "a factorial"])
async def test_what_only_time_could_tell_is_undecided_without_a_worker(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WorkerProcess, "compare", None)
    assert await equal("x+17", HOSTILE[what]) == await equal(HOSTILE[what], "x+17") == "undecided"
    assert canonical(HOSTILE[what])


@pytest.mark.anyio
async def test_what_is_longer_than_an_answer_can_be_is_none() -> None:
    assert await equal("x", "x" * (LONGEST_ANSWER + 1)) == await equal("9" * 10**6, "9" * 10**6) == "different"


# -- workers that are lost --------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_comparison_that_runs_out_of_time_is_killed_and_its_worker_serves_on(worker: WorkerProcess) -> None:
    assert await worker.compare("x+1", "1+x", timeout=20) is True
    before = _children(worker)
    assert await worker.compare("x", FOREVER, timeout=0.2) is None
    assert await worker.compare("x+1", "1+x", timeout=20) is True
    assert len(before) == len(_children(worker)) == 1
    assert before != _children(worker)


@pytest.mark.anyio
async def test_a_comparison_whose_process_dies_is_undecided_and_its_worker_serves_on(worker: WorkerProcess) -> None:
    await worker.ready()
    found: list[bool | None] = []

    async def compare() -> None:
        found.append(await worker.compare("x", FOREVER, timeout=60))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(compare)
        await anyio.wait_all_tasks_blocked()
        for child in _children(worker):
            os.kill(child, signal.SIGKILL)
    assert found == [None]
    assert await worker.compare("x+1", "1+x", timeout=20) is True


@pytest.mark.anyio
async def test_a_comparison_that_takes_all_memory_is_undecided_or_different_and_contained(
    worker: WorkerProcess,
) -> None:
    assert await worker.compare("x", "10^{" + "9" * 9 + "}!", timeout=3) is not True
    assert await worker.compare("x+1", "1+x", timeout=20) is True


@pytest.mark.anyio
async def test_a_cancelled_comparison_is_killed_and_nothing_of_it_reaches_the_next(worker: WorkerProcess) -> None:
    await worker.ready()
    for _ in range(3):
        with anyio.move_on_after(0.05) as scope:
            await worker.compare("x", FOREVER, timeout=60)
        assert scope.cancelled_caught
        assert await worker.compare("x+1", "1+x", timeout=20) is True
        assert await worker.compare("x+1", "2+x", timeout=20) is False


@pytest.mark.anyio
async def test_a_worker_that_is_gone_is_replaced() -> None:
    assert await equal("x+1+41", "42+x", timeout=20) == "equal"
    for worker in equivalence._idle:
        worker._process.kill()
        _wait_for_end(worker._process.pid)
    assert await equal("x+1+45", "46+x", timeout=20) == "equal"


@pytest.mark.anyio
async def test_a_worker_that_cannot_start_leaves_answers_undecided_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def start() -> WorkerProcess:
        raise WorkerFailed("no processes left")

    monkeypatch.setattr(WorkerProcess, "start", start)
    monkeypatch.setattr(equivalence, "_idle", [])
    monkeypatch.setattr(equivalence, "_warned", set())
    with pytest.warns(RuntimeWarning, match="no processes left"):
        assert await equal("x+1+47", "48+x") == "undecided"
    assert await equal("0.5", "1/2") == "equal"


@pytest.mark.anyio
async def test_there_are_never_more_workers_than_places() -> None:
    await prewarm()

    async def one(k: int) -> None:
        assert await equal(f"x+{k}", f"{k}+x", timeout=60) == "equal"

    async with anyio.create_task_group() as tasks:
        for k in range(100, 100 + 4 * equivalence.POOL_SIZE):
            tasks.start_soon(one, k)
    assert 1 <= len(equivalence._idle) <= equivalence.POOL_SIZE


def test_event_loops_in_several_threads_share_the_workers() -> None:
    found: list[str] = []

    def loop(k: int) -> None:
        async def some() -> None:
            found.extend([await equal(f"y+{k}{i}", f"{k}{i}+y", timeout=60) for i in range(5)])

        anyio.run(some)

    threads = [threading.Thread(target=loop, args=(k,)) for k in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["equal"] * 15
    assert len(equivalence._idle) <= equivalence.POOL_SIZE


_LEAVES = """
import os, anyio
from ttc.verifiers.maths import equal, equivalence
async def main():
    assert await equal("x+1", "1+x", timeout=20) == "equal"
    print(*(worker._process.pid for worker in equivalence._idle), flush=True)
    {how}
anyio.run(main)
"""


@pytest.mark.parametrize("how", ["pass", "os.kill(os.getpid(), 9)"])
def test_no_worker_outlives_its_parent_however_that_ends(how: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", _LEAVES.format(how=how)], capture_output=True, text=True, timeout=120
    )
    assert ran.stderr == ""
    pids = [int(pid) for pid in ran.stdout.split()]
    assert len(pids) == 1
    _wait_for_end(*pids)


@pytest.mark.anyio
async def test_a_worker_has_nothing_of_its_parents_environment_and_cannot_open_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET", "of the parent")
    worker = await WorkerProcess.start()
    try:
        await worker.ready()
        (child,) = _children(worker)
        assert _proc(child, "environ") == _proc(worker._process.pid, "environ") == ""
        limits = {line[:25].strip(): line[26:].split()[0] for line in _proc(child, "limits").splitlines()}
        assert limits["Max open files"] == limits["Max file size"] == limits["Max core file size"] == "0"
        assert int(limits["Max address space"]) == 1 << 30
        assert int(limits["Max cpu time"]) <= 900
    finally:
        worker.close()


def _wait_for_end(*pids: int) -> None:
    """The test's own time limit ends it where they never do."""
    while any(_running(pid) for pid in pids):
        time.sleep(0.01)


def _proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def _children(worker: WorkerProcess) -> list[int]:
    pid = worker._process.pid
    return [int(child) for child in _proc(pid, f"task/{pid}/children").split()]


def _running(pid: int) -> bool:
    try:
        return _proc(pid, "stat").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# -- the event loop ---------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_thousand_random_formulas_never_hold_up_the_event_loop() -> None:
    """The longest gap itself is measured by benchmarks/maths.py; here a hang would show, not a busy machine."""
    await prewarm()
    found, heart = await under_heartbeat(fuzzed(1000), timeout=2)
    assert set(found) == {"equal", "different", "undecided"}
    assert len(heart.gaps) > 100
    assert sum(gap > 1 for gap in heart.gaps) == 0
    assert sum(held > 0.5 for held in heart.held) == 0


FORKED = """
import os, sys, warnings
import anyio
from ttc.verifiers.maths import equal

async def compare(): return await equal(f"x+{os.getpid()}", f"{os.getpid()}+x")

assert anyio.run(compare) == "equal"
warnings.simplefilter("ignore")  # of Python 3.12 about forking with threads: that is what is tried here
child = os.fork()
if child == 0:
    os._exit(0 if anyio.run(compare) == "equal" else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_has_workers_of_its_own() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=120)
