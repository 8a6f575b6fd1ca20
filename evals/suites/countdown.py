"""Numbers games with a few-shot prompt in steps: Countdown and the 24 game, drawn and graded by reasoning-gym.

``benchmarks/countdown.py`` measures what a model solves, without the puzzles on which the prompt was tuned.
"""

from __future__ import annotations

import importlib.util
import json
from abc import abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, ClassVar

from pydantic import Field

from ttc.errors import ConfigurationError, MissingExtra
from ttc.evals.problem import Problem
from ttc.evals.suite import Suite, SuiteConfig
from ttc.evals.suites.gym_grader import RGGrader, shared_process
from ttc.types import Message, Query
from ttc.verifiers.games import CountdownAnswer, Puzzle, read_puzzle

__all__ = ["Countdown", "Game24", "puzzle_key"]

_TIME = 900.0  # seconds in which the puzzles have to be drawn
_DRAWN = 3  # entries for each puzzle, since the same one may be asked in other words

_RULES = "Make the target of all the numbers, each used once. Each line is one step: two numbers become one.\n\n"
_ASK = "Numbers: {numbers}\nTarget: {target}"

_SHOWN_24 = (
    ("4, 6, 1, 1", 24, ("4 * 6 = 24 (left: 24, 1, 1)", "24 * 1 = 24 (left: 24, 1)", "24 * 1 = 24 (left: 24)")),
    ("2, 7, 5, 10", 24, ("2 + 7 = 9 (left: 9, 5, 10)", "9 + 5 = 14 (left: 14, 10)", "14 + 10 = 24 (left: 24)")),
    ("9, 3, 2, 1", 24, ("9 + 3 = 12 (left: 12, 2, 1)", "12 * 2 = 24 (left: 24, 1)", "24 / 1 = 24 (left: 24)")),
    ("8, 7, 4, 1", 24, ("7 - 4 = 3 (left: 3, 8, 1)", "3 * 8 = 24 (left: 24, 1)", "24 * 1 = 24 (left: 24)")),
)
_SHOWN: dict[int, tuple[tuple[str, int, tuple[str, ...]], ...]] = {
    2: (("3, 9", 27, ("3 * 9 = 27 (left: 27)",)), ("8, 5", 3, ("8 - 5 = 3 (left: 3)",))),
    3: (
        ("6, 2, 7", 19, ("6 * 2 = 12 (left: 12, 7)", "12 + 7 = 19 (left: 19)")),
        ("9, 4, 3", 15, ("9 - 4 = 5 (left: 5, 3)", "5 * 3 = 15 (left: 15)")),
        ("2, 8, 5", 11, ("8 + 5 = 13 (left: 13, 2)", "13 - 2 = 11 (left: 11)")),
        ("7, 8, 4", 14, ("8 / 4 = 2 (left: 2, 7)", "2 * 7 = 14 (left: 14)")),
    ),
    4: (
        ("6, 2, 7, 1", 20, ("6 * 2 = 12 (left: 12, 7, 1)", "12 + 7 = 19 (left: 19, 1)", "19 + 1 = 20 (left: 20)")),
        ("5, 9, 4, 3", 20, ("9 - 4 = 5 (left: 5, 5, 3)", "5 * 3 = 15 (left: 15, 5)", "15 + 5 = 20 (left: 20)")),
        ("2, 8, 5, 6", 17, ("8 + 5 = 13 (left: 13, 2, 6)", "13 - 2 = 11 (left: 11, 6)", "11 + 6 = 17 (left: 17)")),
        ("7, 8, 4, 3", 11, ("8 / 4 = 2 (left: 2, 7, 3)", "2 * 7 = 14 (left: 14, 3)", "14 - 3 = 11 (left: 11)")),
    ),
}
"""Worked examples, by how many numbers there are. None of them is a problem."""


class _NumbersGame(SuiteConfig):
    """What the games share: drawing, the prompt, the grader."""

    verifier: ClassVar[str] = "countdown"
    game: ClassVar[str]
    data_set: ClassVar[str]

    size: int = Field(default=100, ge=1, le=10_000, description="puzzles")
    seed: int = Field(default=0, ge=0, description="another seed, other puzzles")
    left: bool = Field(default=False, description="the worked examples say behind each move what is left")

    def load(self) -> Suite:
        """Draw the puzzles, in reasoning-gym's process.

        Raises:
            MissingExtra: reasoning-gym is not installed.
            ConfigurationError: an option that the generator refuses, or too few different puzzles.
        """
        if self.missing():
            raise MissingExtra("reasoning-gym", "suites", self.game)
        settings = {option: json.dumps(value) for option, value in self.settings().items()}
        data_set = {"name": self.data_set, "size": self.size, "seed": self.seed, "settings": settings}
        reply = shared_process().ask({"data_set": data_set, "draw": _DRAWN * self.size}, seconds=_TIME) or {}
        if "entries" not in reply:
            raise ConfigurationError(f"{self.game}: {reply.get('refused', 'the puzzles were not drawn')}")
        problems, places = list[Problem](), dict[str, int]()
        known = {puzzle_key(read) for shown in self.shown() if (read := read_puzzle(str(shown["content"])))}
        for entry in reply["entries"]:
            puzzle = read_puzzle(entry["question"])
            if puzzle is None or puzzle_key(puzzle) in known or len(problems) == self.size:
                continue
            known.add(puzzle_key(puzzle))
            problem = self._problem(puzzle, entry)
            problems.append(problem)
            places[problem.query.id] = entry["index"]
        if len(problems) < self.size:
            raise ConfigurationError(
                f"{self.game} has {len(problems)} different puzzles at these options, "
                f"and size={self.size} asks for more"
            )
        info = {
            **getattr(type(self), "about", {}),
            "source": f"reasoning-gym {version('reasoning-gym')}",
            **data_set,
            "problems": len(problems),
        }
        grader = RGGrader(data_set, places)
        return Suite(self.game, problems, info | {"grader": grader.name}, grader)

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The generator's options."""

    @abstractmethod
    def shown(self) -> Sequence[Message]:
        """The worked examples, as turns of the chat."""

    def missing(self) -> str:
        """Say whether reasoning-gym is missing."""
        return "" if importlib.util.find_spec("reasoning_gym") else "pip install 'ttc-compute[suites]'"

    def _problem(self, puzzle: Puzzle, entry: dict[str, Any]) -> Problem:
        ask = _ASK.format(numbers=", ".join(map(str, puzzle.numbers)), target=puzzle.target)
        query = Query(
            messages=(*self.shown(), {"role": "user", "content": ask}),
            id=f"{self.game}/{len(puzzle.numbers)}/{self.seed}/{entry['index']}",
            answer_type=CountdownAnswer(numbers=len(puzzle.numbers)),
            tags={"family": self.game},
        )
        return Problem(query, entry["gold"] or "")


class Countdown(_NumbersGame):
    """Make a target of a few numbers, each used once; with an exact checker of moves, for searches over steps.

    Drawn and graded by reasoning-gym's ``countdown``, asked in a few words of our own with worked examples as turns of
    the chat: one move a line, so that searches take ``separator=\\n``. The defaults are puzzles that the bundled model
    solves sometimes.
    """

    about: ClassVar[dict[str, Any]] = {
        "licence": "Apache-2.0 (generated)",
        "released": "generated",
        "home": "https://github.com/open-thought/reasoning-gym",
        "size": "any",
        "prompt": "4 worked examples as chat turns",
    }
    game: ClassVar[str] = "countdown"
    data_set: ClassVar[str] = "countdown"

    numbers: int = Field(default=3, ge=2, le=6, description="numbers of a puzzle")
    max_value: int = Field(default=6, ge=1, le=100, description="largest number")
    min_target: int = Field(default=1, ge=1, le=10_000, description="smallest target")
    max_target: int = Field(default=20, ge=1, le=10_000, description="largest target")

    def settings(self) -> dict[str, Any]:
        """The generator's options."""
        return {
            "min_numbers": self.numbers,
            "max_numbers": self.numbers,
            "max_value": self.max_value,
            "min_target": self.min_target,
            "max_target": self.max_target,
        }

    def shown(self) -> Sequence[Message]:
        """The worked examples for as many numbers, or for four."""
        return _turns(_SHOWN[min(self.numbers, 4)], left=self.left)


class Game24(_NumbersGame):
    """Make 24 of four numbers, each used once: reasoning-gym's ``puzzle24``, in the prompt of ``countdown``.

    Graded by the generator's own scorer, which would take other numbers from 1 to 10 as well; the checker does not.
    """

    about: ClassVar[dict[str, Any]] = Countdown.about
    game: ClassVar[str] = "game24"
    data_set: ClassVar[str] = "puzzle24"

    max_value: int = Field(default=10, ge=1, le=10, description="largest number")

    def settings(self) -> dict[str, Any]:
        """The generator's options."""
        return {"max_value": self.max_value}

    def shown(self) -> Sequence[Message]:
        """Four worked examples."""
        return _turns(_SHOWN_24, left=self.left)


def _turns(shown: Sequence[tuple[str, int, tuple[str, ...]]], *, left: bool) -> list[Message]:
    turns: list[Message] = []
    for numbers, target, moves in shown:
        ask = _ASK.format(numbers=numbers, target=target)
        turns.append({"role": "user", "content": ask if turns else _RULES + ask})
        turns.append({"role": "assistant", "content": "\n".join(m if left else m.partition(" (")[0] for m in moves)})
    return turns


def puzzle_key(puzzle: Puzzle) -> tuple[tuple[int, ...], int]:
    """Equal for puzzles that differ in the order of their numbers alone."""
    return tuple(sorted(puzzle.numbers)), puzzle.target
