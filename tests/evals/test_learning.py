"""Learning from graded samples: what is shown was predicted on other problems, and it helps where it is used."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, cast

import anyio
import numpy as np
import pytest

from tests.data import lines, recorded
from ttc.cli.learn import learn
from ttc.errors import ConfigurationError, RunError
from ttc.evals import learning
from ttc.evals.config import EvalConfig
from ttc.evals.learning import (
    Row,
    auc,
    held_out,
    refuse_trained_problems,
    rows_of_run,
    train_learned,
)
from ttc.evals.recordings.samples import rows_of_records
from ttc.evals.runner import run_eval
from ttc.evals.store import read_calls
from ttc.evals.suite import load_suite
from ttc.models.scripted import Scripted
from ttc.seeds import hashed
from ttc.types import Request, Sample
from ttc.verifiers.learned import LearnedVerifier
from ttc.verifiers.maths import NumberAnswer
from ttc.verifiers.self_certainty import SelfCertainty


def made_up(n_problems: int = 30, *, signal: float = 2.0, seed: int = 3) -> list[Row]:
    """Rows in which votes tell something of the right answer, and each problem has an accident of its own."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for k in range(n_problems):
        for _ in range(8):
            agreeing = rng.random()
            right = rng.random() < 1 / (1 + np.exp(-signal * (agreeing - 0.5)))
            found = {"agreeing": agreeing, "log_tokens": float(k)}
            rows.append(Row(f"p{k}", f"p{k}", found, bool(right)))
    return rows


# -- figures ----------------------------------------------------------------------------------------------------------


def test_auc_is_the_share_of_pairs_in_the_right_order_ties_counting_half() -> None:
    rng = np.random.default_rng(1)
    scores, right = rng.integers(0, 5, 60).astype(float), (rng.random(60) < 0.4).astype(float)
    pairs = [(a > b) + (a == b) / 2 for a in scores[right > 0] for b in scores[right == 0]]
    assert auc(scores, right) == pytest.approx(np.mean(pairs))
    assert auc(scores, np.ones(60)) == 0.5


def test_predictions_are_of_problems_that_the_fit_had_not_seen() -> None:
    """Labels that follow from the problem by lot, and features that name it: nobody else's problems tell anything."""
    rng = np.random.default_rng(4)
    rows: list[Row] = []
    for k in range(200):
        right = bool(rng.random() < 0.5)
        rows += [Row(f"p{k}", f"p{k}", {"log_tokens": float(rng.random())}, right)] * 4
    predictions = held_out(rows)
    right = np.array([row.right for row in rows], dtype=float)
    assert abs(auc(predictions, right) - 0.5) < 4 * 0.5 / np.sqrt(200)
    facts = train_learned(rows).training
    assert len(facts.problems) == 200
    assert abs(facts.held_out.auc - 0.5) < 4 * facts.held_out.auc_se


@pytest.mark.parametrize("n_problems", [12, 40])
def test_without_a_signal_what_was_held_out_is_told_apart_as_by_lot(n_problems: int) -> None:
    """Problems of very different difficulty: pooled over the folds their base rates make it .3 to .4."""
    worlds = [train_learned(unforeseeable(n_problems, seed=s)).training.held_out.auc for s in range(80)]
    se = float(np.std(worlds, ddof=1)) / np.sqrt(len(worlds))
    assert abs(float(np.mean(worlds)) - 0.5) < 4 * se
    assert se < 0.02


def unforeseeable(n_problems: int, *, seed: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for k in range(n_problems):
        right = rng.random(8) < rng.beta(0.5, 0.5)
        rows += [Row(f"p{k}", f"p{k}", {"agreeing": rng.random(), "log_tokens": rng.random()}, bool(r)) for r in right]
    return rows


def test_all_samples_of_a_problem_are_held_out_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, fitted = made_up(), list[set[str]]()
    fit = learning._fit

    def noted(rows: list[Row], ridge: float) -> Any:
        fitted.append({row.problem for row in rows})
        return fit(rows, ridge)

    monkeypatch.setattr(learning, "_fit", noted)
    held_out(rows)
    everything = {row.problem for row in rows}
    left_out = [everything - seen for seen in fitted]
    assert [len(part) for part in left_out] == [6] * 5
    assert set().union(*left_out) == everything


def test_the_standard_error_covers_the_spread_over_worlds() -> None:
    worlds = [train_learned(made_up(seed=s)).training.held_out for s in range(40)]
    spread = float(np.std([w.auc for w in worlds], ddof=1))
    told = float(np.mean([w.auc_se for w in worlds]))
    assert told == pytest.approx(spread, rel=4 / np.sqrt(2 * 39))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (made_up(9), "9 problems with graded answers"),
        ([Row(f"p{i}", "q", {"agreeing": i / 20}, True) for i in range(20)], "all 20 answers are right"),
        ([], "0 problems"),
    ],
)
def test_too_little_to_learn_from_is_said(rows: list[Row], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        train_learned(rows)


# -- recorded samples -------------------------------------------------------------------------------------------------


def test_on_recorded_runs_it_tells_right_from_wrong_and_its_weights_vote_no_worse(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = recorded("otis_aime.jsonl.gz")
    rows = rows_of_records(path, answer_type="number")
    figures = train_learned(rows, sources=["otis_aime"]).training.held_out
    predictions = iter(held_out(rows))
    gains: defaultdict[str, list[float]] = defaultdict(list)
    accuracy: list[tuple[float, float]] = []
    for record in lines(path):
        weights: Counter[str] = Counter()
        votes: Counter[str] = Counter()
        right: dict[str, float] = {}
        for answer, correct in zip(record["answers"], record["correct"], strict=True):
            key = NumberAnswer().key(str(answer)) if answer is not None else ""
            if not key or correct is None:
                continue
            weights[key] += float(next(predictions))
            votes[key] += 1
            right[key] = float(correct)
        if votes:
            weighted, majority = (_winner(v, right) for v in (weights, votes))
            gains[record["problem"]].append(weighted - majority)
            accuracy.append((weighted, majority))
    assert next(predictions, None) is None
    per_problem = np.array([np.mean(g) for g in gains.values()])
    gain, se = float(per_problem.mean()), float(per_problem.std(ddof=1) / np.sqrt(len(per_problem)))
    weighted, majority = np.mean(accuracy, axis=0)
    with capsys.disabled():
        print(
            f"\notis_aime, held out: AUC {figures.auc:.3f} (SE {figures.auc_se:.3f}), within a query "
            f"{figures.auc_within:.3f}, Brier {figures.brier:.4f} against {figures.brier_base:.4f}; weighted vote "
            f"{weighted:.4f}, majority {majority:.4f}, difference {gain:+.4f} (SE {se:.4f})"
        )
    assert figures.auc > 0.5 + 4 * figures.auc_se
    assert figures.auc_within is not None
    assert figures.auc_within > 0.5
    assert figures.brier < figures.brier_base
    assert gain > -se
    assert all(abs(p - r) < 0.15 for p, r, _ in figures.calibration)


def _winner(weights: Counter[str], right: dict[str, float]) -> float:
    """Whether the heaviest answer is right; of several the mean, as a lot would have it."""
    most = max(weights.values())
    return float(np.mean([right[a] for a, w in weights.items() if w >= most - 1e-12]))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ('{"answers": ["1"], "correct": [1]}', "'problem' is missing (there is 'answers', 'correct')"),
        ('{"problem": "p", "correct": [1]}', "'answers' is missing (there is 'problem', 'correct')"),
        ('{"problem": "p", "answers": ["1"], "correct": [1, 0]}', "'correct' holds 2 values for 1 answers"),
        ('{"problem": "p", "answers": ["1"], "correct": []}', "'correct' holds 0 values for 1 answers"),
        ('{"problem": "p", "answers": "1", "correct": [1]}', "'answers' is no list"),
        ('{"problem": "p", "answers": ["1"], "correct": ["yes"]}', "'correct' holds 'yes', which is no number"),
        ('{"problem": "p", "answers": ["1"], "correct": [1], "chars": [1, 2]}', "'chars' holds 2 values for 1 answers"),
        ('{"problem": "p", "answers": ["1"], "correct": [1], "chars": [-1]}', "'chars' holds -1, which is below 0"),
        ('{"problem": "p", "answers": ["1"], "correct": [1], "logprob": ["x"]}', "'logprob' holds 'x'"),
        ("[]", "it is no object"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "recorded.jsonl"
    path.write_text('{"problem": "p", "answers": ["1", null], "correct": [1, 0]}\n' + line + "\n")
    with pytest.raises(ConfigurationError, match=re.escape(said)) as found:
        rows_of_records(path)
    assert f"{path}, line 2: " in str(found.value)
    assert "Error" not in str(found.value)


def test_what_was_not_recorded_is_missing_and_what_was_not_graded_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    record: dict[str, Any] = {"problem": "p", "answers": ["1", "1", None, "2"], "correct": [1, None, 0, 0]}
    record["tokens_out"] = [5, 5, 9, None]
    path.write_text(json.dumps(record) + "\n\n")
    rows = rows_of_records(path, answer_type="number")
    assert [(row.right, row.features["agreeing"]) for row in rows] == [(True, pytest.approx(1 / 3)), (False, 0.0)]
    assert rows[1].features["log_tokens"] is None
    assert rows[0].features["mean_logprob"] is None


# -- runs -------------------------------------------------------------------------------------------------------------


SUITE = "arithmetic:per_family=4"


def solver() -> Scripted:
    """A model that is right three times in five, and surer of its words where it is."""
    golds = {p.query.prompt: p.gold for p in load_suite(SUITE).problems}

    def reply(request: Request) -> Sample:
        question = request.messages[-1]["content"]
        lot = hashed(question, request.seed, bits=16) / 2**16
        right = lot < 0.6
        sure = (-0.1 if right else -0.5) * (0.5 + hashed("sure", request.seed, bits=16) / 2**16)
        text = f"The answer is {golds[question] if right else 1000 + int(lot * 1000)}"
        return Sample(text=text, logprobs=(sure,) * 4)

    return Scripted(reply, name="m")


async def run(folder: Path, **more: Any) -> Path:
    config = EvalConfig(
        suites=(SUITE,), strategies=("best_of_n:n=6",), verifier="mean_logprob", runs=folder, run_id="r"
    )
    return (await run_eval(config.model_copy(update=more), solver())).directory


@pytest.mark.anyio
async def test_a_run_gives_a_row_for_each_of_its_samples_graded_by_its_suite(tmp_path: Path) -> None:
    rows = await rows_of_run(await run(tmp_path))
    per_query = Counter(row.query for row in rows)
    assert set(per_query.values()) == {6}
    assert len({row.problem for row in rows}) == len(per_query) == len(load_suite(SUITE).problems)
    surer = {row.right: [] for row in rows}
    for row in rows:
        surer[row.right].append(row.features["mean_logprob"])
    assert np.mean(surer[True]) > np.mean(surer[False])
    assert abs(len(surer[True]) / len(rows) - 0.6) < 4 * np.sqrt(0.24 / len(rows))


@pytest.mark.anyio
async def test_epochs_are_queries_of_their_own(tmp_path: Path) -> None:
    once = await rows_of_run(await run(tmp_path))
    twice = await rows_of_run(await run(tmp_path, epochs=2, run_id="twice"))
    assert len(twice) == 2 * len(once)
    assert set(Counter(row.query for row in twice).values()) == {6}


@pytest.mark.anyio
async def test_parts_of_solutions_are_no_samples(tmp_path: Path) -> None:
    whole = solver()._reply

    def in_steps(request: Request) -> Sample:
        if request.until and not request.continue_final:
            return Sample(text="First we add 1", finish="stop" if request.index % 2 else "step", logprobs=(-0.1,))
        return Sample(text=" 2", logprobs=(-0.1,)) if request.continue_final else cast(Sample, whole(request))

    config = EvalConfig(
        suites=(SUITE,),
        strategies=("best_of_n:n=6", "beam:n=4,m=2"),
        verifier="mean_logprob",
        runs=tmp_path,
        run_id="steps",
    )
    directory = (await run_eval(config, Scripted(in_steps, name="m"))).directory
    parts = [call for call in read_calls(directory, kind="generate") if call.part]
    assert {call.sample.text for call in parts} == {"First we add 1", " 2"}
    assert {call.sample.finish for call in parts} == {"step", "stop"}
    rows = await rows_of_run(directory)
    assert {(row.problem, row.right) for row in rows} == {
        (row.problem, row.right) for row in await rows_of_run(await run(tmp_path))
    }
    assert set(Counter(row.query for row in rows).values()) == {6}


@pytest.mark.anyio
async def test_a_run_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run"):
        await rows_of_run(tmp_path / "none")


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_verifier_and_says_how_good_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "recorded.jsonl", tmp_path / "learned.json"
    rng = np.random.default_rng(5)
    with path.open("w") as file:
        for k in range(40):
            answers = ["7" if rng.random() < 0.5 else str(rng.integers(100)) for _ in range(8)]
            correct = [a == "7" for a in answers]
            file.write(json.dumps({"problem": f"p{k}", "answers": answers, "correct": correct}) + "\n")
    learn([str(path)], out=out, answer="number")
    said = capsys.readouterr().out
    assert "320 answers to 40 problems" in said
    assert "on held-out problems (5 folds): AUC" in said
    assert f"learned:path={out}" in said
    verifier = LearnedVerifier(path=out)
    assert verifier.was_trained_on("p0")
    assert verifier.model.training.held_out.auc > 0.9
    with pytest.raises(ConfigurationError, match=r"trained on 1 of these 2 problems \(p0, \.\.\.\)"):
        refuse_trained_problems(verifier, ["new", "p0"])
    refuse_trained_problems(verifier, ["new"])
    refuse_trained_problems(SelfCertainty(), ["p0"])
    refuse_trained_problems(None, ["p0"])


def test_the_command_learns_from_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(run, tmp_path)
    learn(["r"], out=tmp_path / "learned.json", runs=tmp_path)
    assert "AUC" in capsys.readouterr().out
    verifier = LearnedVerifier(path=tmp_path / "learned.json")
    assert verifier.logprobs == 1
    assert verifier.model.training.held_out.auc > 0.9
    assert verifier.model.training.sources == ("r",)


def test_a_run_may_be_given_by_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    anyio.run(run, tmp_path / "there")
    monkeypatch.chdir(tmp_path)
    learn(["there/r"], out=tmp_path / "learned.json", json=True)
    figures = json.loads(capsys.readouterr().out)
    assert figures["held_out"]["auc"] > 0.9
    assert (figures["sources"], figures["out"]) == (["there/r"], str(tmp_path / "learned.json"))
    assert figures["problems"] == len(load_suite(SUITE).problems)
    monkeypatch.chdir(tmp_path / "there")
    learn(["r"], out=tmp_path / "learned.json")
    with pytest.raises(RunError, match="there is no run 'q'"):
        learn(["../there/q"], out=tmp_path / "learned.json")


@pytest.mark.parametrize(("out", "said"), [(".", "this is a folder"), ("gone/l.json", "there is no folder")])
def test_where_it_is_written_is_looked_at_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=f"--out {re.escape(out)}: {said}"):
        learn(["not_looked_at.jsonl"], out=Path(out))
