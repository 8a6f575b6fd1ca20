"""Tiny Python functions for small models: one to five lines each, with public and hidden tests.

SmolLM2-135M-Instruct (``smollm2``, float32, vLLM 0.32 on a CPU), 8 samples a problem at T = .7 and max_tokens = 160,
as ``benchmarks/tiny_code.py --seed 1`` prints it; p is the share of a problem's samples that pass its hidden tests:

======  ========  ======  ============  ======  =====================  ====================  ======
level   problems  mean p  p in (.2,.8)  pass@8  passing public tests:  one that passes them  tokens
                                                of all / right         (gain over one)
======  ========  ======  ============  ======  =====================  ====================  ======
easy    34        .790    .50           1.00    .798 / .991            .992 (+.201)          31.3
medium  33        .424    .82           .97     .470 / .887            .876 (+.452)          40.1
hard    33        .049    .06           .33     .110 / .448            .242 (+.193)          57.1
all     100       .425    .46           .77     .463 / .914            .706 (+.281)          42.7
======  ========  ======  ============  ======  =====================  ====================  ======

The gain over all problems has a 95% interval of [+.225, +.337] over problems. Which problems are in, and their levels,
was decided by 8 other samples of each; the figures are of samples drawn afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import orjson
from pydantic import Field

from ttc.evals.grading import TestsGrader
from ttc.evals.problem import Problem
from ttc.evals.suite import Suite, SuiteConfig
from ttc.types import Message, Query
from ttc.verifiers.code.answer_type import CodeAnswer
from ttc.verifiers.code.safety import missing_jail

__all__ = ["TinyCode"]

_DATA = Path(__file__).with_suffix(".jsonl")

_ASK = """\
Complete this Python function. Answer with the whole function in a ```python block only.

```python
{signature}
    \"\"\"{description}

{examples}
    \"\"\"
```"""

_SHOWN: tuple[Message, ...] = (
    {
        "role": "user",
        "content": _ASK.format(
            signature="def half(n: int) -> int:",
            description="Return half of the number n, rounded down.",
            examples="    >>> half(8)\n    4\n    >>> half(7)\n    3",
        ),
    },
    {"role": "assistant", "content": "```python\ndef half(n: int) -> int:\n    return n // 2\n```"},
)
"""The one worked example: with it the model stops after the function instead of explaining it."""


class TinyCode(SuiteConfig):
    """Python functions of one to five lines, written for this project: 100 of them, public and hidden tests for each.

    One worked example in front. The public tests are the examples of the docstring; the hidden ones look at the edges
    as well (empty, zero, negative, repeated), so passing the first does not imply passing the second. The levels take
    turns: the first problems are as mixed as all of them.
    """

    about: ClassVar[dict[str, Any]] = {
        "licence": "Apache-2.0",
        "released": "2026-11",
        "size": 100,
        "prompt": "1 worked example",
    }
    verifier: ClassVar[str] = "public_tests"

    limit: int | None = Field(default=None, ge=1, description="only the first so many problems")
    skip: int = Field(default=0, ge=0, lt=100, description="leave out so many first: others than with limit")

    def load(self) -> Suite:
        """Make the suite; the problems come with the package."""
        rows = [orjson.loads(line) for line in _DATA.read_bytes().splitlines()][self.skip :][: self.limit]
        info = {**self.about, "source": "written for this project", "problems": len(rows)}
        return Suite("tiny_code", [_problem(row) for row in rows], info, grader=TestsGrader())

    def missing(self) -> str:
        """Say what a jail would take where there can be none; the problems are here."""
        return missing_jail()


def _problem(row: Mapping[str, Any]) -> Problem:
    """A problem of a row; its tests are pairs: a call, and its value as Python writes it."""
    public, hidden = row["public"], row["hidden"]
    ask = _ASK.format(
        signature=row["signature"],
        description=row["description"],
        examples="\n".join(f"    >>> {call}\n    {value}" for call, value in public),
    )
    query = Query(
        messages=(*_SHOWN, {"role": "user", "content": ask}),
        id=f"tiny_code/{row['name']}",
        answer_type=CodeAnswer(entry_point=row["name"], probes=tuple(call for call, _ in public)),
        tags={"family": "tiny_code", "level": row["level"], "topic": row["topic"]},
        public_tests=tuple(f"assert {call} == {value}" for call, value in public),
    )
    tests = tuple(f"assert {call} == {value}" for call, value in hidden)
    return Problem(query, tests=tests, reference=row["reference"])
