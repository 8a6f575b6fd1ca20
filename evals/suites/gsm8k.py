"""GSM8K: grade-school word problems of two to eight steps (Cobbe et al. 2021, arXiv 2110.14168)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

import orjson
from pydantic import Field

from ttc.errors import ConfigurationError, MissingExtra
from ttc.evals.suite import Problem, Suite, SuiteConfig
from ttc.types import Query
from ttc.verifiers.maths import NumberAnswer

__all__ = ["GSM8K"]

_HUB = "openai/gsm8k"
_SOURCE = "https://github.com/openai/grade-school-math"
_HOW = f"download {{split}}.jsonl from {_SOURCE} and pass its path: gsm8k:path=FILE"
_PROMPT = "{question}\n\nThink step by step, and end with 'The answer is' and the number."


class GSM8K(SuiteConfig):
    """Grade-school word problems, answered by a number after step-by-step reasoning (1,319 in the test split).

    Zero-shot. Read from a local JSONL file with the fields ``question`` and ``answer`` (the solution, its result behind
    ``####``), else from the Hugging Face hub. Levels count the calculations marked ``<<...>>`` in the reference
    solution: easy up to 2, medium 3 or 4, hard from 5.
    """

    path: str | None = Field(None, description="a JSONL file; without one, the hub")
    split: Literal["test", "train"] = Field("test", description="which part of the hub's data set")
    limit: int | None = Field(None, ge=1, description="only the first so many problems")

    def load(self) -> Suite:
        """Read the problems.

        Raises:
            ConfigurationError: no such file, a bad row (its line is named), or the hub cannot be reached.
            MissingExtra: there is no path, and the package ``datasets`` is not installed.
        """
        rows = _file_rows(Path(self.path).expanduser()) if self.path else _hub_rows(self.split)
        part = Path(self.path).stem if self.path else self.split
        problems: list[Problem] = []
        for number, (where, row) in enumerate(islice(rows, self.limit)):
            problems.append(_problem(row, where, f"gsm8k/{part}/{number}"))
        if not problems:
            raise ConfigurationError(f"gsm8k: {self.path or _HUB} holds no problems")
        info = {
            "licence": "MIT",
            "source": self.path or f"{_HUB} ({self.split})",
            "home": _SOURCE,
            "released": "2021-10",
            "prompt": "zero-shot",
            "problems": len(problems),
        }
        return Suite("gsm8k", problems, info)

    def missing(self) -> str:
        """Say what is missing: the file, or the package that reads the hub."""
        if self.path:
            return "" if Path(self.path).expanduser().is_file() else f"there is no file {self.path}"
        if importlib.util.find_spec("datasets") is None:
            return f"pip install 'ttc-compute[suites]', or {_HOW.format(split=self.split)}"
        return ""


def _problem(row: Any, where: str, name: str) -> Problem:
    if not isinstance(row, Mapping):
        raise ConfigurationError(f"{where}: not an object with 'question' and 'answer'")
    fields = cast("Mapping[str, Any]", row)
    for field in ("question", "answer"):
        value = fields.get(field)
        if not isinstance(value, str) or not value.strip():
            raise ConfigurationError(f"{where}: '{field}' is missing or no text")
    question, solution = str(fields["question"]).strip(), str(fields["answer"])
    _, marked, gold = solution.rpartition("####")
    answer_type = NumberAnswer()
    if not marked or not answer_type.key(gold.strip()):
        raise ConfigurationError(f"{where}: 'answer' does not end with '#### ' and a number")
    steps = solution.count("<<")
    query = Query(
        messages=({"role": "user", "content": _PROMPT.format(question=question)},),
        id=name,
        answer_type=answer_type,
        tags={"family": "gsm8k", "level": "easy" if steps <= 2 else "medium" if steps <= 4 else "hard"},
    )
    return Problem(query, gold.strip())


def _file_rows(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(
            f"gsm8k: {path} cannot be read ({error.strerror}): {_HOW.format(split='test')}"
        ) from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield f"{path}, line {number}", orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise ConfigurationError(f"{path}, line {number}: not JSON ({error})") from None


def _hub_rows(split: str) -> Iterator[tuple[str, Any]]:
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports, reportUnknownVariableType]
    except ImportError:
        raise MissingExtra("datasets", "suites", "gsm8k from the hub (gsm8k:path=FILE does without)") from None
    try:
        rows = cast("Iterable[Any]", load_dataset(_HUB, "main", split=split))
    except Exception as error:  # requests, httpx, the hub client and the file system each have their own
        raise ConfigurationError(
            f"gsm8k: {_HUB} cannot be had from the hub ({type(error).__name__}: {error}). Where there is no network, "
            + _HOW.format(split=split)
        ) from None
    for number, row in enumerate(rows, 1):
        yield f"{_HUB} ({split}), row {number}", row
