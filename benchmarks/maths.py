"""What comparing maths answers costs, and how often it agrees with verdicts that others recorded.

Reads data sets and recorded samples from TTC_TEST_DATA, or from shared/data beside the checkout. Figures of the machine
at hand. ``python benchmarks/maths.py`` prints all; the tests use the same functions.
"""

from __future__ import annotations

import gzip
import os
import platform
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.lowlevel
import orjson

from ttc.answer_type import Equality
from ttc.verifiers.maths import MathsAnswer, canonical, equal, parse_number, prewarm
from ttc.verifiers.maths.equivalence import POOL_SIZE

DATA = Path(os.environ.get("TTC_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
MATHS = MathsAnswer()
EXCERPT = "~"  # before the end of a text of which no answer was recorded

EASY = [
    ("42", "42.0"), ("1,234", "1234"), (r"\frac{3}{4}", "0.75"), ("7", "8"), (r"\dfrac{1}{2}", "1/2"),
    (r"\text{Evelyn}", "evelyn"), ("(1, 2)", "(1,2)"), ("-3", "3"), (r"18 \text{ cm}", "18"), ("x = 5", "5"),
]  # fmt: skip
ALGEBRA = [
    ("x^2+2x+1", "(x+1)^2"), (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"), (r"1\pm\sqrt{2}", r"1+\sqrt2, 1-\sqrt2"),
    (r"\frac{\pi}{2}", r"\pi/3"), ("2x+1", "1+x+x"), (r"[0,\infty)", r"x \ge 0"),
]  # fmt: skip


# -- agreement with recorded verdicts ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A recorded answer that we judge otherwise than its record, how often, and what speaks for it."""

    problem: str
    target: str
    answer: str
    recorded: bool
    verdict: Equality
    times: int

    @property
    def reason(self) -> str:
        given, wanted = parse_number(read(self.answer)), parse_number(self.target)
        if given is not None and wanted is not None:
            if self.recorded and given != wanted:
                return "The record contradicts itself: a number that is not the target stands as right"
            if not self.recorded and given == wanted:
                return "The record contradicts itself: the target stands as wrong"
        if self.answer.startswith(EXCERPT):
            return "Only the end of the text was recorded, and it does not hold the answer"
        return "Ours to explain"

    def __str__(self) -> str:
        flag = "right" if self.recorded else "wrong"
        return (
            f"{self.times:3} x {self.problem}: target {self.target!r}, answer {self.answer!r}, recorded {flag}, "
            f"judged {self.verdict}. {self.reason}"
        )


@dataclass(frozen=True, slots=True)
class Agreement:
    """Samples whose verdict was recorded, and those that we judge otherwise."""

    samples: int
    undecided: int
    disagreements: tuple[Disagreement, ...]

    @property
    def rate(self) -> float:
        return 1 - sum(d.times for d in self.disagreements) / self.samples

    def __str__(self) -> str:
        differ = self.samples - round(self.rate * self.samples)
        lines = [f"{self.rate:.4%} of {self.samples:,} samples ({differ} differ, {self.undecided} undecided)"]
        return "\n".join([*lines, *map(str, self.disagreements)])


def read(answer: str) -> str:
    """The answer in a record: itself, or what can be read out of the end of a text."""
    return MATHS.extract(answer[1:]) or "" if answer.startswith(EXCERPT) else answer


def recorded_answers(file: Path, *, from_texts: bool = False) -> Iterator[tuple[str, str, str, bool]]:
    """Problem, target, answer (empty: none) and verdict of each sample whose verdict was recorded."""
    for line in gzip.decompress(file.read_bytes()).splitlines():
        row = orjson.loads(line)
        answers = [MATHS.extract(text) for text in row["texts"]] if from_texts else row["answers"]
        for answer, correct in zip(answers, row["correct"], strict=True):
            if correct is not None:
                yield row.get("problem") or row["id"], row["target"], answer or "", bool(correct)


async def agreement(samples: Iterator[tuple[str, str, str, bool]]) -> Agreement:
    """Judge each sample against its target, and list where the record says otherwise."""
    total, undecided, differ = 0, 0, Counter[tuple[str, str, str, bool, Equality]]()
    for problem, target, answer, correct in samples:
        verdict = await equal(target, read(answer), timeout=20)
        total, undecided = total + 1, undecided + (verdict == "undecided")
        if (verdict == "equal") != correct:
            differ[problem, target, answer, correct, verdict] += 1
    return Agreement(total, undecided, tuple(Disagreement(*key, times=n) for key, n in differ.most_common()))


# -- gold answers -----------------------------------------------------------------------------------------------------


def math500_golds(file: Path) -> list[str]:
    return [row["answer"] for row in orjson.loads(file.read_bytes())]


def gsm8k_golds(file: Path) -> list[str]:
    rows = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    return [row["answer"].rpartition("####")[2].strip() for row in rows]


def mismatched(golds: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Each gold answer beside another problem's: the next one's, and three seeded rotations of a shuffled order."""
    pairs = {"the next problem's": list(zip(golds, [*golds[1:], golds[0]], strict=True))}
    for seed in (1, 2, 3):
        order = list(range(len(golds)))
        random.Random(seed).shuffle(order)
        followers = dict(zip(order, [*order[1:], order[0]], strict=True))  # one cycle, so that none meets itself
        pairs[f"another's, seed {seed}"] = [(gold, golds[followers[i]]) for i, gold in enumerate(golds)]
    return pairs


def same_by_chance(golds: Sequence[str]) -> float:
    """The share of all pairs of two problems whose gold answers have the same canonical form."""
    counts = Counter(map(canonical, golds)).values()
    return sum(n * (n - 1) for n in counts) / (len(golds) * (len(golds) - 1))


async def verdicts(pairs: Sequence[tuple[str, str]], *, timeout: float = 20.0) -> list[Equality]:
    """Compare all pairs, as many at once as there are workers."""
    found: dict[int, Equality] = {}
    waiting = iter(enumerate(pairs))

    async def one_after_the_other() -> None:
        for i, (gold, answer) in waiting:
            found[i] = await equal(gold, answer, timeout=timeout)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(POOL_SIZE):
            tasks.start_soon(one_after_the_other)
    return [found[i] for i in range(len(pairs))]


# -- hostile and random LaTeX -----------------------------------------------------------------------------------------

_ATOMS = [
    "0",
    "1",
    "2",
    "7",
    "12",
    "0.5",
    "1{,}000",
    "x",
    "y",
    "n",
    r"\pi",
    "e",
    "i",
    r"\theta",
    r"\infty",
    "ab",
    "50\\%",
]
_FORMS = [
    r"\frac{%s}{%s}", "%s+%s", "%s-%s", "%s*%s", r"%s \cdot %s", "%s^{%s}", r"\sqrt[%s]{%s}", "%s=%s", r"%s \le %s",
    "(%s,%s)", "[%s,%s)", r"\{%s,%s\}", r"\left(%s\right)%s", r"\log_{%s} %s", r"%s \pm %s", r"\binom{%s}{%s}",
    r"\begin{pmatrix}%s\\%s\end{pmatrix}", r"%s \cup %s", r"%s\text{ and }%s", r"%s/%s", r"|%s|%s", r"%s!+%s",
    r"\sum_{k=1}^{%s} %s", r"\int_0^{%s} %s \,dx", r"\sin %s\cos %s", r"\boxed{%s}%s", r"\lim_{x\to %s} %s",
]  # fmt: skip
_NOISE = [
    "{", "}", "\\", "^", "_", "$", "&", r"\frac", r"\left(", r"\sqrt", "^{9^9}", "!", "!!", "9" * 50, "__import__", "'",
    '"', "`", r"\text{", r"\\", "=", "\x00", "\N{FULLWIDTH LATIN SMALL LETTER X}", "½", "{}", r"\circ", "%", ",", ";",
    r"^{10^{10}}", r"10^{99999}", "(" * 45, r"\frac{1}{" * 50, "9^{9^{9^9}}", r"\begin{matrix}", "lambda x: x",
    "\ud800",
]  # fmt: skip


def formula(rng: random.Random, depth: int) -> str:
    """A random formula that mostly parses."""
    if depth == 0 or rng.random() < 0.25:
        return rng.choice(_ATOMS)
    return rng.choice(_FORMS) % (formula(rng, depth - 1), formula(rng, depth - 1))


def mutated(rng: random.Random, text: str) -> str:
    """The formula with a few pieces dropped, doubled, swapped, or put in that do not belong there."""
    for _ in range(rng.randrange(4)):
        at, to = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        match rng.randrange(4):
            case 0:
                text = text[:at] + text[to:]
            case 1:
                text = text[:to] + text[at:to] + text[to:]
            case 2:
                text = text[:at] + text[at:to][::-1] + text[to:]
            case _:
                text = text[:at] + rng.choice(_NOISE) + text[at:]
    return text


def fuzzed(count: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Pairs of a formula and a mutation of it, or of another."""
    rng, pairs = random.Random(seed), list[tuple[str, str]]()
    for _ in range(count):
        gold = formula(rng, rng.randrange(1, 4))
        pairs.append((gold, mutated(rng, gold if rng.random() < 0.5 else formula(rng, rng.randrange(1, 5)))))
    return pairs


@dataclass(slots=True)
class Heartbeat:
    """A task that wants to run every millisecond, and notes how long it had to wait.

    Attributes:
        gaps: seconds between two beats, by the wall clock; all else that the machine does is in them.
        held: of those, seconds that this thread itself computed.
    """

    gaps: list[float] = field(default_factory=list[float])
    held: list[float] = field(default_factory=list[float])

    async def beat(self) -> None:
        while True:
            wall, cpu = time.perf_counter(), time.thread_time()
            await anyio.sleep(0.001)
            self.gaps.append(time.perf_counter() - wall - 0.001)
            self.held.append(time.thread_time() - cpu)


async def under_heartbeat(
    pairs: Sequence[tuple[str, str]], *, timeout: float = 2.0
) -> tuple[list[Equality], Heartbeat]:
    """Compare all pairs, and watch the event loop meanwhile."""
    heart, found = Heartbeat(), list[Equality]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(heart.beat)
        found = await verdicts(pairs, timeout=timeout)
        tasks.cancel_scope.cancel()
    return found, heart


# -- figures ----------------------------------------------------------------------------------------------------------


def _rate_of_cheap(rounds: int = 400) -> float:
    start = time.perf_counter()
    for _ in range(rounds):
        for gold, answer in EASY:
            MATHS.equivalent(gold, answer)
    return rounds * len(EASY) / (time.perf_counter() - start)


async def _rate(pairs: Sequence[tuple[str, str]], rounds: int) -> float:
    """Comparisons a second, each pair made new by a number in it so that none is remembered."""
    different = [(f"{gold}{'' if k == 0 else ' + ' + str(k)}", answer) for k in range(rounds) for gold, answer in pairs]
    start = time.perf_counter()
    await verdicts(different)
    return len(different) / (time.perf_counter() - start)


async def _easy_rate(rounds: int = 200) -> float:
    start = time.perf_counter()
    for _ in range(rounds):
        await verdicts(EASY)
    return rounds * len(EASY) / (time.perf_counter() - start)


async def main() -> None:
    print(f"Python {platform.python_version()}, {POOL_SIZE} workers")
    await prewarm()
    print(f"easy comparisons a second: {_rate_of_cheap():,.0f} by form, {await _easy_rate():,.0f} through equal()")
    print(f"comparisons a second that need algebra, by {POOL_SIZE} workers: {await _rate(ALGEBRA, 40):,.0f}")
    idle = Heartbeat()
    with anyio.move_on_after(10):
        await idle.beat()
    started = time.perf_counter()
    pairs = fuzzed(1000)
    found, heart = await under_heartbeat(pairs)
    took = time.perf_counter() - started
    print(
        f"1,000 fuzzed formulas, limit 2 s each: {dict(Counter(found))} in {took:.1f} s; longest "
        f"gap of the event loop {max(heart.gaps) * 1e3:.1f} ms, longest computing in it {max(heart.held) * 1e3:.1f} ms "
        f"(of an idle loop just before: {max(idle.gaps) * 1e3:.1f} and {max(idle.held) * 1e3:.1f} ms)"
    )
    recorded = DATA / "recorded"
    for name, from_texts in (("otis_aime", False), ("qwen_math_rm8", False), ("qwen_math_rm8", True)):
        how = "read from the texts" if from_texts else "as recorded"
        samples = recorded_answers(recorded / f"{name}.jsonl.gz", from_texts=from_texts)
        print(f"\n{name}, answers {how}: agree on {await agreement(samples)}")
    for name, golds in (
        ("MATH-500", math500_golds(DATA / "datasets" / "math500_test.json")),
        ("GSM8K", gsm8k_golds(DATA / "datasets" / "gsm8k_test.jsonl")),
    ):
        found = await verdicts([(gold, gold) for gold in golds])
        print(f"\n{name}: gold equals itself in {found.count('equal')} of {len(golds)}")
        print(f"  of all pairs of two problems {same_by_chance(golds):.2%} have literally the same gold answer")
        for against, others in mismatched(golds).items():
            found = await verdicts(others)
            same = [pair for pair, verdict in zip(others, found, strict=True) if verdict == "equal"]
            false = [pair for pair in same if canonical(pair[0]) != canonical(pair[1])]
            print(
                f"  against {against}: {len(same)} of {len(others)} equal ({len(same) / len(others):.2%}), "
                f"{found.count('undecided')} undecided, not literally the same: {false}"
            )


if __name__ == "__main__":
    anyio.run(main)
