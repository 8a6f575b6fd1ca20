"""Recorded samples as pools: otis_aime over runs and by run, and codet with its verifiers.

The files lie outside the project (``--data FOLDER``). What was not recorded is not made up: pools say what they count,
and rows without it are left out and counted.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from ttc.pools import Pool, RecordedProblem, Unit
from ttc.seeds import hashed

__all__ = [
    "codet",
    "halves",
    "has_tokens",
    "measured_parameters",
    "of_row",
    "otis",
    "otis_run",
    "rows_of",
]

Rows = Sequence[Mapping[str, Any]]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file, gzipped or not."""
    raw = path.read_bytes()
    return [orjson.loads(line) for line in (gzip.decompress(raw) if path.suffix == ".gz" else raw).splitlines()]


# -- otis_aime -----------------------------------------------------------------------------------------------------


def otis(rows: Rows, *, width: int, unit: Unit = "samples") -> Pool:
    """All runs with so many samples a problem in one pool: a problem is (run, problem), its group is the problem.

    Tokens and characters of different models are not added up. A sample costs its share of the mean sample of its own
    run, in thousandths: 1000 is a mean sample, and every run weighs the same.

    Args:
        rows: of the file.
        width: 8 or 16.
        unit: tokens: rows that have them, of samples all; characters: runs whose texts hold all that was generated;
            samples: all rows.
    """
    chosen = [row for row in rows if len(row["answers"]) == width]
    if unit == "characters":
        whole = _texts_are_whole(chosen)
        chosen = [row for row in chosen if row["run"] in whole and "chars" in row]
    if unit == "tokens":
        chosen = [row for row in chosen if has_tokens(row)]
    field = {"tokens": "tokens_out", "characters": "chars"}.get(unit)
    of_run: dict[str, list[float]] = {}
    for row in chosen if field else ():
        of_run.setdefault(row["run"], []).extend(row[field])
    mean = {run: sum(values) / len(values) for run, values in of_run.items()}

    def cost(row: Mapping[str, Any]) -> tuple[float, ...]:
        return tuple(float(round(1000 * x / mean[row["run"]])) for x in row[field]) if field else ()

    runs = len({row["run"] for row in chosen})
    told = {
        "samples": "samples",
        "tokens": "‰ of a run's mean, tokens",
        "characters": "‰ of a run's mean, characters",
    }
    return Pool(
        name=f"otis_aime, {runs} runs, N={width}",
        model=f"{runs} runs of otis_aime",
        problems=tuple(of_row(row, f"{row['run']}/{row['problem']}", cost(row)) for row in chosen),
        unit=unit,
        info={"counts": told[unit], "rows": len(chosen)},
    )


def otis_run(rows: Rows, run: str) -> Pool:
    """One run: tokens where all of its rows have them, else characters where texts hold all, else samples."""
    mine = [row for row in rows if row["run"] == run]
    unit: Unit = "samples"
    if all(has_tokens(row) for row in mine):
        unit = "tokens"
    elif run in _texts_are_whole(mine) and all("chars" in row for row in mine):
        unit = "characters"
    field = {"tokens": "tokens_out", "characters": "chars", "samples": ""}[unit]
    problems = tuple(of_row(row, row["problem"], tuple(map(float, row.get(field, ())))) for row in mine)
    return Pool(name=f"otis_aime {mine[0]['model']}", model=mine[0]["model"], problems=problems, unit=unit)


def of_row(row: Mapping[str, Any], name: str, generated: tuple[float, ...]) -> RecordedProblem:
    """One problem of one run; what its samples count is given."""
    reasoning = row.get("tokens_reasoning") or ()
    whole = generated == tuple(map(float, row.get("tokens_out", ()))) if has_tokens(row) else False
    return RecordedProblem(
        id=name,
        group=row["problem"],
        tags={"model": row["model"], "run": row["run"]},
        answers=tuple(map(_answer, row["answers"])),
        right=tuple(None if c is None else float(c) for c in row["correct"]),
        generated=generated,
        reasoning=tuple(reasoning) if whole and reasoning and None not in reasoning else (),
        prompt_tokens=tuple(row["tokens_in"]) if whole and None not in row["tokens_in"] else (),
        characters=tuple(row.get("chars", ())),
        seconds=tuple(map(float, row["time_s"])) if whole and None not in row["time_s"] else (),
    )


def _answer(text: str | None) -> str | None:
    """AIME answers are whole numbers below 1000: 025 is 25."""
    return str(int(text)) if text is not None and text.isascii() and text.isdigit() else text


def has_tokens(row: Mapping[str, Any]) -> bool:
    """Whether the tokens of each of its samples were recorded."""
    tokens = row.get("tokens_out")
    return bool(tokens) and None not in tokens


def _texts_are_whole(rows: Rows) -> frozenset[str]:
    """Runs of models that did not think out of sight: what was recorded of o3-mini and the like is a summary."""
    hidden = ("/o3", "/o4", "/gpt-5", "gemini-2.5", "gemini-3", "opus-4-5")
    return frozenset(row["run"] for row in rows if not any(name in row["model"] for name in hidden))


def measured_parameters(rows: Rows) -> dict[str, float]:
    """What lengths and wrong answers of one run are like: where the numbers of benchmarks/populations.py come from.

    Lengths are tokens where they were recorded, else characters.

    Returns:
        within: spread of the log of the length within a problem.
        between: between problems of the same pass@1.
        slope: of the log over pass@1.
        wrong: by how much, in the log, wrong samples are longer than right ones of their problem.
        collisions: how often two wrong samples of a problem agree.
    """
    within, level, p, wrong, collisions = (list[float]() for _ in range(5))
    for row in rows:
        lengths = row["tokens_out"] if has_tokens(row) else row.get("chars")
        if not lengths or None in row["correct"]:
            continue
        log, right = np.log(np.array(lengths, dtype=float)), np.array(row["correct"], dtype=bool)
        within.append(float(log.var(ddof=1)))
        level.append(float(log.mean()))
        p.append(float(right.mean()))
        if 0 < right.sum() < len(right):
            wrong.append(float(log[~right].mean() - log[right].mean()))
        slips = [a for a, r in zip(row["answers"], right, strict=True) if not r and a is not None]
        if (n := len(slips)) > 1:
            sizes = np.unique(slips, return_counts=True)[1]
            collisions.append(float((sizes * (sizes - 1)).sum() / (n * (n - 1))))
    x, y = np.array(p), np.array(level)
    slope = float(np.cov(x, y)[0, 1] / x.var(ddof=1)) if x.std() > 0 else 0.0
    rest = y - slope * x
    means = {"wrong": wrong, "collisions": collisions}
    return {
        "within": float(np.sqrt(np.mean(within))),
        "between": float(rest.std()),
        "slope": slope,
        **{name: float(np.mean(values)) if values else float("nan") for name, values in means.items()},
    }


# -- codet ---------------------------------------------------------------------------------------------------------


def codet(rows: Rows, *, unit: Unit = "characters") -> Pool:
    """Programs of CodeGen-16B. Two are the same answer if they pass the same of the model's own tests.

    A program that passes none is an answer of its own, apart from copies of its text. The verifier ``gen_pass_rate`` is
    the share of those tests that it passes. Weighted best-of-N then sums group size x tests passed: CodeT's agreement.
    """

    def problem(row: Mapping[str, Any]) -> RecordedProblem:
        answers = tuple(
            f"program {code}" if bits is None else f"passes {bits}"
            for bits, code in zip(row["answers"], row["code_idx"], strict=True)
        )
        return RecordedProblem(
            id=row["id"],
            answers=answers,
            right=tuple(map(float, row["correct"])),
            generated=tuple(max(1.0, float(c)) for c in row["chars"]) if unit == "characters" else (),
            characters=tuple(row["chars"]),
            scores={"gen_pass_rate": tuple(row["gen_test_pass_rate"])},
        )

    return Pool(name="codet", model="CodeGen-16B", problems=tuple(map(problem, rows)), unit=unit)


# -- an oracle's other samples -------------------------------------------------------------------------------------


def halves(pool: Pool, *, seed: int = 0) -> tuple[Pool, NDArray[np.float64]]:
    """Split the samples of each problem by seed: a pool of one half, and pass@1 from the other, which no path sees."""
    kept: list[RecordedProblem] = []
    known: list[float] = []
    for p in pool.problems:
        order = np.random.default_rng(hashed(seed, "halves", p.id)).permutation(len(p)).tolist()
        here, there = order[: len(p) // 2], order[len(p) // 2 :]
        verdicts = [r for i in there if (r := p.right[i]) is not None]
        kept.append(_part(p, here))
        known.append(sum(verdicts) / len(verdicts) if verdicts else 0.0)
    return replace(pool, name=f"{pool.name}, half of the samples", problems=tuple(kept)), np.array(known)


def _part(p: RecordedProblem, places: Sequence[int]) -> RecordedProblem:
    columns = ("answers", "right", "generated", "reasoning", "answer_tokens", "prompt_tokens", "characters", "seconds")
    columns += ("logprobs", "finish", "texts")
    changes: dict[str, Any] = {c: tuple(v[i] for i in places) for c in columns if (v := getattr(p, c))}
    scores = {name: tuple(values[i] for i in places) for name, values in p.scores.items()}
    return replace(p, **changes, scores=scores, cuts={})
