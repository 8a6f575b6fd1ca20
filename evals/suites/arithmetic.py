"""Graded arithmetic for small models: short answers, three levels, as many problems as wanted, no data set needed.

SmolLM2-135M-Instruct (``smollm2``, float32, vLLM 0.32 on a CPU) on 100 problems of each family, 8 samples a problem at
T = .7 and max_tokens = 40, as ``benchmarks/families.py`` prints it; p is the share of right samples of a problem:

====================  ======  ======  ============  ===========  ====================  =========  ======
family                level   mean p  p in (.2,.8)  majority@8   gain over one sample  any right  tokens
====================  ======  ======  ============  ===========  ====================  =========  ======
addition              easy    .843    .11           .880         +.037 [+.013, +.062]  .97        16.2
multiplication        easy    .869    .22           .940         +.071 [+.040, +.102]  .96        17.1
story                 medium  .339    .81           .600         +.261 [+.185, +.337]  .91        25.0
counting              medium  .432    .84           .460         +.028 [-.045, +.100]  .98         7.0
two_digit_addition    hard    .284    .23           .330         +.046 [+.006, +.086]  .51        20.6
smallest              hard    .244    .36           .240         -.004 [-.053, +.045]  .55         8.0
====================  ======  ======  ============  ===========  ====================  =========  ======

Voting pays most on stories, where mistakes scatter, and nothing where most samples make the same one (counting).
"""

from __future__ import annotations

import hashlib
import importlib.util
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from ttc.errors import ConfigurationError, UnknownName
from ttc.evals.suite import Problem, Suite, SuiteConfig
from ttc.evals.suites.gym import create_dataset
from ttc.types import Message, Query
from ttc.verifiers.maths import NumberAnswer

__all__ = ["FAMILIES", "Arithmetic", "Family"]

Level = Literal["easy", "medium", "hard"]

SHOTS = 3
"""Worked examples in front of each problem."""

TRIES = 100_000
"""Entries looked at before a family is said to have no more problems."""


@dataclass(frozen=True, slots=True)
class Item:
    """A question, the words in which a worked example answers it, and the gold answer."""

    question: str
    worked: str
    gold: str


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of problem.

    Attributes:
        level: how hard it is for the bundled model, as measured.
        dataset: the reasoning-gym generator that draws the numbers and words; empty where none has the family.
        settings: its parameters.
        read: turns one of its entries into an item, or into None where the entry does not belong.
        draw: makes an item of a random generator, where there is no ``dataset``.
        own_examples: the worked examples are of the family itself. The general ones leave more to chance, and so more
            to a vote; a family whose question the model would not understand without needs its own.
    """

    level: Level
    dataset: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    read: Callable[[dict[str, Any]], Item | None] = lambda _: None
    draw: Callable[[random.Random], Item] | None = None
    own_examples: bool = False


def _calculation(entry: dict[str, Any]) -> Item:
    expression, gold = entry["metadata"]["expression"], entry["answer"]
    return Item(f"What is {expression}?", f"{expression} = {gold}. The answer is {gold}.", gold)


def _sum(entry: dict[str, Any]) -> Item | None:
    return _calculation(entry) if "+" in entry["metadata"]["expression"] else None


def _counting(entry: dict[str, Any]) -> Item | None:
    letter, (word,) = entry["metadata"]["target_letter"], entry["metadata"]["span"]
    word, gold = word.lower(), entry["answer"]
    if not (word.isalpha() and word.isascii() and 4 <= len(word) <= 10):
        return None
    if gold == "1" and entry["metadata"]["source_index"] % 6:
        return None  # a letter drawn of a word mostly occurs once, and "1" would be right without counting
    return Item(
        f'How many times does the letter "{letter}" appear in the word "{word}"?', f"The answer is {gold}.", gold
    )


def _smallest(entry: dict[str, Any]) -> Item | None:
    numbers = [int(float(x)) for x in entry["metadata"]["original_numbers"]]
    if len(set(numbers)) < len(numbers):
        return None
    gold = str(min(numbers))
    return Item(f"What is the smallest of {', '.join(map(str, numbers))}?", f"The answer is {gold}.", gold)


GENERAL = (
    Item("What is 12 - 5?", "12 - 5 = 7. The answer is 7.", "7"),
    Item("Ann has 3 bags with 10 pens each. How many pens does she have?", "3 * 10 = 30. The answer is 30.", "30"),
    Item("What is 20 + 14?", "20 + 14 = 34. The answer is 34.", "34"),
)
"""Worked examples for families that need none of their own."""

_PEOPLE = ("Tom", "Ann", "Sam", "Lucy", "Ben", "Mia", "Leo", "Zoe", "Max", "Eva", "Dan", "Ivy")
_THINGS = ("apples", "pens", "books", "coins", "stickers", "marbles", "cards", "eggs", "shells", "stamps")


def _story(rng: random.Random) -> Item:
    who, what, a, b = rng.choice(_PEOPLE), rng.choice(_THINGS), rng.randint(2, 9), rng.randint(2, 9)
    return Item(
        f"{who} has {a} {what} and gets {b} more. How many {what} does {who} have now?",
        f"{who} has {a} + {b} = {a + b} {what}. The answer is {a + b}.",
        str(a + b),
    )


def _two_terms(digits: int) -> dict[str, Any]:
    return {"min_terms": 2, "max_terms": 2, "min_digits": digits, "max_digits": digits, "allow_negation": False}


def _small_terms(operator: str) -> dict[str, Any]:
    return {**_two_terms(1), "operators": [operator], "allow_parentheses": False}


FAMILIES: dict[str, Family] = {
    "addition": Family("easy", "basic_arithmetic", _small_terms("+"), _calculation),
    "multiplication": Family("easy", "basic_arithmetic", _small_terms("*"), _calculation),
    "story": Family("medium", draw=_story),
    "counting": Family("medium", "letter_counting", {"min_words": 1, "max_words": 1}, _counting, own_examples=True),
    "two_digit_addition": Family("hard", "chain_sum", _two_terms(2), _sum),
    "smallest": Family(
        "hard",
        "number_sorting",
        {"min_numbers": 4, "max_numbers": 4, "min_decimals": 0, "max_decimals": 0, "min_value": 10, "max_value": 99},
        _smallest,
        own_examples=True,
    ),
}
"""By name, from easy to hard."""


class Arithmetic(SuiteConfig):
    """Short graded problems that a 135M model solves sometimes: sums, products, one-step stories, counting letters.

    Drawn by reasoning-gym from fixed seeds (stories by seeded code: it has none so short). Worked examples come first
    as turns of the chat; they never are problems. No two problems are the same.
    """

    about: ClassVar[dict[str, Any]] = {
        "licence": "Apache-2.0 (generated)",
        "released": "generated",
        "size": "any",
        "prompt": f"{SHOTS} worked examples as chat turns",
    }

    per_family: int = Field(default=50, ge=1, le=2000, description="problems of each family")
    seed: int = Field(default=0, ge=0, description="another seed, other problems")
    families: tuple[str, ...] = Field(default=tuple(FAMILIES), description="which: [addition,story]")

    @field_validator("families", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Read the form that a command line can carry: ``[addition,story]``."""
        return [x.strip() for x in value.strip("[]() ").split(",") if x.strip()] if isinstance(value, str) else value

    @field_validator("families")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in FAMILIES:
                raise UnknownName("family of arithmetic", name, FAMILIES)
        if not value or len(set(value)) < len(value):
            raise ValueError("name at least one family, each of them once")
        return value

    def load(self) -> Suite:
        """Draw the problems.

        Raises:
            MissingExtra: reasoning-gym is not installed.
            ConfigurationError: a family has fewer different problems than asked for.
        """
        problems = [problem for name in self.families for problem in self._family(name)]
        info = {
            **self.about,
            "source": f"reasoning-gym {version('reasoning-gym')}, seed {self.seed}",
            "problems": len(problems),
            "levels": {name: FAMILIES[name].level for name in self.families},
        }
        return Suite("arithmetic", problems, info)

    def missing(self) -> str:
        """Say whether reasoning-gym is missing."""
        return "" if importlib.util.find_spec("reasoning_gym") else "pip install 'ttc-compute[suites]'"

    def _family(self, name: str) -> Iterator[Problem]:
        family = FAMILIES[name]
        # What was shown is never asked: own examples are the first ones drawn, general ones are left out.
        shown = () if family.own_examples else GENERAL
        items = _different(_items(family, name, self.seed), {item.question for item in shown})
        shots = list(islice(items, SHOTS)) if family.own_examples else shown
        drawn = list(islice(items, self.per_family))
        if len(drawn) < self.per_family:
            raise ConfigurationError(
                f"arithmetic: the family '{name}' has {len(drawn)} different problems, "
                f"and per_family={self.per_family} asks for more"
            )
        turns: list[Message] = []
        for shot in shots:
            turns += [{"role": "user", "content": shot.question}, {"role": "assistant", "content": shot.worked}]
        for item in drawn:
            yield Problem(
                Query(
                    messages=(*turns, {"role": "user", "content": item.question}),
                    answer_type=NumberAnswer(),
                    tags={"family": name, "level": family.level},
                ),
                item.gold,
            )


def _items(family: Family, name: str, seed: int) -> Iterator[Item]:
    """Draw candidates without end in sight: enough that a family which has the problems will show them."""
    # Entry i of reasoning-gym's seed s is entry i-1 of seed s+1, so neighbouring seeds have to be moved apart.
    base = int.from_bytes(hashlib.blake2b(f"{name}/{seed}".encode(), digest_size=4).digest()) >> 1
    if family.draw is not None:
        for i in range(TRIES):
            yield family.draw(random.Random(base + i))
        return
    entries = create_dataset(family.dataset, size=TRIES, seed=base, **family.settings)
    yield from filter(None, map(family.read, entries))


def _different(items: Iterator[Item], seen: set[str]) -> Iterator[Item]:
    for item in items:
        if item.question not in seen:
            seen.add(item.question)
            yield item
