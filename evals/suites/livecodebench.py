"""LiveCodeBench: contest problems with their dates, from its release files (Jain et al. 2024, arXiv 2403.07974)."""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import zlib
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, ClassVar, cast

from pydantic import Field

from ttc.evals.grading import Grader, TestsGrader
from ttc.evals.problem import Problem
from ttc.evals.suites.published import PublishedPrograms
from ttc.evals.suites.rows import Hub, Row
from ttc.types import ProgramTest, Query
from ttc.verifiers.code import Limits
from ttc.verifiers.code.answer_type import CodeAnswer

__all__ = ["LiveCodeBench"]

_PROGRAM = """{question}

Write a Python program that reads from standard input and writes to standard output. Answer with the whole program in \
one ```python block."""
_FUNCTION = """{question}

Complete this code:

```python
{starter}
```

Answer with the whole class in one ```python block."""

_PREAMBLE = """\
import bisect, collections, functools, heapq, itertools, math, operator, random, re, string, sys
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from math import *
from typing import *
"""
"""What the sites import for their users, and the starter code counts on."""

_LONGEST_TESTS = 1 << 28  # bytes of one problem's tests: what is longer was made to fill a memory
_TEXT_OF_A_PICKLE = frozenset(
    {"PROTO", "FRAME", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "MEMOIZE", "BINPUT", "PUT", "STOP"}
)


class LiveCodeBench(PublishedPrograms):
    """Contest problems of LeetCode, AtCoder and Codeforces, graded by running hidden tests in the sandbox.

    A file of the release (``test.jsonl``, ``test2.jsonl``, ...; several joined by ``+``) by path, else the hub. Hidden
    tests are ``private_test_cases``, as JSON or in the release's packed form, which is read without unpickling. 6
    seconds a test. ``since`` keeps the problems that a model cannot have seen. Output is compared line by line as text.
    """

    suite: ClassVar[str] = "livecodebench"
    about: ClassVar[dict[str, Any]] = {
        "licence": "CC (problems © LeetCode, AtCoder, Codeforces)",
        "released": "2024-03",
        "home": "https://huggingface.co/datasets/livecodebench/code_generation_lite",
        "paper": "Jain et al. 2024, arXiv 2403.07974",
        "prompt": "zero-shot",
    }
    file: ClassVar[str] = "test.jsonl"

    since: date | None = Field(default=None, description="only problems of contests from this day on, e.g. 2024-08-01")

    @property
    def hub(self) -> Hub:
        """Its only split; releases of the package datasets that run no loading scripts (from 4) cannot read it."""
        return Hub("livecodebench/code_generation_lite")

    def grader(self) -> Grader:
        """The hidden tests, 6 seconds each."""
        return TestsGrader(Limits(seconds=6.0, total_seconds=60.0))

    def _rows(self) -> Iterator[Row]:
        for row in super()._rows():
            if self.since is None or row.value("contest_date")[:10] >= self.since.isoformat():
                yield row

    def problem(self, row: Row, name: str) -> Problem:
        """Ask for a program, or for the class of the starter code where the tests call a function."""
        starter, question = row.get("starter_code"), row.text("question_content").strip()
        public, hidden = _cases(row, "public_test_cases"), _cases(row, "private_test_cases")
        if not hidden:
            raise row.wrong("'private_test_cases' is empty: nothing can be graded")
        function = _function(row) if starter else ""
        shown = tuple(_test(row, case, function) for case in public)
        answer_type = CodeAnswer(preamble=_PREAMBLE)
        if function:
            probes = tuple(_call(row, str(case["input"]), function) for case in public)
            answer_type = CodeAnswer("Solution", probes, _PREAMBLE)
        asked = _FUNCTION.format(question=question, starter=starter) if starter else _PROGRAM.format(question=question)
        tags = {"family": "livecodebench", "level": row.get("difficulty").lower() or "unknown"}
        query = Query(
            messages=({"role": "user", "content": asked},),
            id=f"livecodebench/{row.value('question_id')}",
            answer_type=answer_type,
            tags=tags | ({"platform": row.get("platform").lower()} if row.get("platform") else {}),
            public_tests=shown,
        )
        return Problem(query, tests=(*shown, *(_test(row, case, function) for case in hidden)))


def _test(row: Row, case: Mapping[str, Any], function: str) -> ProgramTest:
    given, right = case.get("input"), case.get("output")
    if not isinstance(given, str) or not isinstance(right, str):
        raise row.wrong("a test has no 'input' and 'output' that are texts")
    if not function:
        return {"stdin": given, "stdout": right}
    value = _json(row, right, "the output of a test")
    # Through JSON, where a tuple is as good as a list.
    return f"import json\nassert json.loads(json.dumps({_call(row, given, function)})) == {value!r}"


def _call(row: Row, given: str, function: str) -> str:
    arguments = [_json(row, line, "the input of a test") for line in given.splitlines() if line.strip()]
    return f"Solution().{function}({', '.join(map(repr, arguments))})"


def _json(row: Row, text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise row.wrong(f"{what} is not JSON ({error})") from None


def _function(row: Row) -> str:
    metadata = _json(row, row.get("metadata") or "{}", "'metadata'")
    name = cast("Mapping[str, Any]", metadata).get("func_name") if isinstance(metadata, Mapping) else None
    if not isinstance(name, str) or not name.isidentifier():
        raise row.wrong("'metadata' names no 'func_name', and there is 'starter_code'")
    return name


def _cases(row: Row, column: str) -> list[Mapping[str, Any]]:
    """The tests of a column: JSON, or base64 of zlib of a pickle of a text that is JSON."""
    text = row.get(column)
    if not text.lstrip().startswith("[") and text:
        text = _unpacked(row, text, column)
    cases = _json(row, text or "[]", f"'{column}'")
    if not isinstance(cases, list) or not all(isinstance(case, Mapping) for case in cast("list[Any]", cases)):
        raise row.wrong(f"'{column}' is no list of tests")
    return cast("list[Mapping[str, Any]]", cases)


def _unpacked(row: Row, packed: str, column: str) -> str:
    """Read the one text in a pickle by its opcodes. It is not unpickled: that would run whatever the file says."""
    try:
        inflate = zlib.decompressobj()
        raw = inflate.decompress(base64.b64decode(packed, validate=True), _LONGEST_TESTS)
        if inflate.unconsumed_tail:
            raise ValueError(f"more than {_LONGEST_TESTS} bytes")
        codes = [(code.name, argument) for code, argument, _ in pickletools.genops(raw)]
        texts = [argument for _, argument in codes if isinstance(argument, str)]
        if len(texts) != 1 or not {name for name, _ in codes} <= _TEXT_OF_A_PICKLE:
            raise ValueError("the pickle holds more than a text")
    except (ValueError, binascii.Error, zlib.error) as error:
        raise row.wrong(
            f"'{column}' is neither JSON nor the release's packed form ({error}). Pickles are not loaded here: "
            "where you trust the file, put pickle.loads(zlib.decompress(base64.b64decode(column))) in its place"
        ) from None
    return texts[0]
