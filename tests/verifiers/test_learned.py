"""The learned verifier: what it sees, how it fits, and a file that holds data alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc.errors import ConfigurationError
from ttc.logistic import fit_logistic, sigmoid
from ttc.models.scripted import Scripted
from ttc.seeds import problem_hash
from ttc.solve import solve
from ttc.types import Candidate, Query, Request, Sample, Usage
from ttc.verifier import is_joint, make_verifier
from ttc.verifiers.learned import (
    Coefficient,
    HeldOut,
    LearnedModel,
    LearnedVerifier,
    Observed,
    Training,
    features,
    observe,
)
from ttc.verifiers.maths import NumberAnswer

NUMBER = NumberAnswer()


def model_of(**weights: float) -> LearnedModel:
    held_out = HeldOut(
        folds=5, samples=9, auc=0.5, auc_se=0.1, auc_within=None, brier=0.2, brier_base=0.2, calibration=()
    )
    training = Training(
        samples=9, right=4, sources=("r",), problems=frozenset({problem_hash("seen")}), ridge=1.0, held_out=held_out
    )
    coefficients = [Coefficient(name=n, mean=0.0, sd=1.0, weight=w, missing=-w) for n, w in weights.items()]
    return LearnedModel(intercept=0.0, coefficients=tuple(coefficients), training=training)


# -- features ---------------------------------------------------------------------------------------------------------


def of(answer_type: NumberAnswer, *samples: Observed) -> list[Mapping[str, float | None]]:
    return [f or {} for f in features(answer_type, samples)]


def test_votes_are_counted_by_equality_and_among_the_others() -> None:
    found = of(NUMBER, *(Observed(a) for a in ("4", "4.0", "5", None)))
    assert [f.get("agreeing") for f in found] == pytest.approx([1 / 3, 1 / 3, 0.0, None])
    assert [f.get("lead") for f in found] == pytest.approx([1 / 4, 1 / 4, -1 / 4, None])


def test_a_sample_without_an_answer_has_no_features_and_nothing_is_known_of_one_alone() -> None:
    (found,) = of(NUMBER, Observed("4", tokens=10))
    assert found["agreeing"] is found["lead"] is None
    assert found["relative_length"] == 0.0
    assert features(NUMBER, [Observed(None), Observed("no number")]) == [None, None]


def test_lengths_are_compared_in_tokens_where_all_have_them_else_in_characters() -> None:
    tokens = of(NUMBER, Observed("1", tokens=10, characters=5), Observed("2", tokens=40, characters=5))
    assert [f["relative_length"] for f in tokens] == pytest.approx([-log(2), log(2)])
    mixed = of(NUMBER, Observed("1", tokens=10, characters=5), Observed("2", characters=20))
    assert [f["relative_length"] for f in mixed] == pytest.approx([-log(2), log(2)])
    assert [f["log_tokens"] for f in mixed] == [pytest.approx(log(10)), None]
    neither = of(NUMBER, Observed("1"), Observed("2"))
    assert [f["relative_length"] for f in neither] == [None, None]


def test_what_a_candidate_shows() -> None:
    sample = Sample(text="4", reasoning="hm", usage=Usage(9, 0, 2, 1), logprobs=(-1.0, -3.0), finish="length")
    assert observe(Candidate("4", sample)) == Observed("4", tokens=3, characters=3, finished=False, logprob=-2.0)
    assert observe(Candidate("4", Sample(text="4"))) == Observed("4", None, 1, True, None)


@given(answers=st.lists(st.sampled_from(["1", "1.0", "2", "x", None]), max_size=9), seed=st.randoms())
def test_the_order_of_samples_makes_no_difference(answers: list[str | None], seed: Any) -> None:
    order = list(range(len(answers)))
    seed.shuffle(order)
    found = features(NUMBER, [Observed(a) for a in answers])
    again = features(NUMBER, [Observed(answers[i]) for i in order])
    assert again == [found[i] for i in order]


# -- fitting ----------------------------------------------------------------------------------------------------------


def test_the_fit_finds_the_coefficients_that_drew_the_labels() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(20_000, 3))
    truth = np.array([-0.5, 1.0, -2.0, 0.0])
    y = (rng.random(len(x)) < sigmoid(truth[0] + x @ truth[1:])).astype(float)
    assert fit_logistic(x, y, ridge=1e-6) == pytest.approx(truth, abs=0.1)  # 4 standard errors of the least sure one


def test_at_the_minimum_the_slope_is_zero() -> None:
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(50, 4)), (rng.random(50) < 0.3).astype(float)
    w = fit_logistic(x, y, ridge=2.0)
    residual = sigmoid(w[0] + x @ w[1:]) - y
    assert residual.sum() == pytest.approx(0, abs=1e-4)
    assert x.T @ residual + 2.0 * w[1:] == pytest.approx(np.zeros(4), abs=1e-4)


def test_classes_that_can_be_told_apart_have_finite_coefficients() -> None:
    x = np.array([[-1e3], [-1.0], [1.0], [1e3]])
    w = fit_logistic(x, np.array([0.0, 0.0, 1.0, 1.0]))
    assert np.isfinite(w).all()
    assert w[1] > 0


# -- the file and the verifier ----------------------------------------------------------------------------------------


def test_the_file_is_json_and_comes_back_as_it_was(tmp_path: Path) -> None:
    model = model_of(agreeing=1.0)
    model.write(tmp_path / "learned.json")
    assert LearnedModel.read(tmp_path / "learned.json") == model
    assert json.loads((tmp_path / "learned.json").read_text())["training"]["problems"] == [problem_hash("seen")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file.*ttc learn RUN"),
        ("cos\nsystem", "Invalid JSON"),
        ("{}", "Field required"),
        ('"unknown"', "unknown feature 'colour'. Known: log_tokens"),
        ('"nan"', "finite number"),
    ],
)
def test_a_file_that_is_none_is_said(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "learned.json"
    data = json.loads(model_of(agreeing=1.0).model_dump_json())
    if content == '"unknown"':
        data["coefficients"][0]["name"] = "colour"
        content = json.dumps(data)
    elif content == '"nan"':
        content = json.dumps(data | {"intercept": float("inf")})
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=said) as found:
        make_verifier(f"learned:path={path}")
    assert "Value error" not in str(found.value)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written: Is a directory"):
        model_of(agreeing=1.0).write(tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_without_a_path_it_says_so() -> None:
    with pytest.raises(ConfigurationError, match="path is missing"):
        make_verifier("learned")


def test_it_asks_for_logprobs_only_where_it_looks_at_them(tmp_path: Path) -> None:
    for weights, logprobs in (({"agreeing": 1.0}, 0), ({"mean_logprob": 1.0}, 1)):
        model_of(**weights).write(tmp_path / "learned.json")
        verifier = LearnedVerifier(path=tmp_path / "learned.json")
        assert verifier.logprobs == logprobs
        assert is_joint(verifier)


@pytest.mark.anyio
async def test_votes_win_where_votes_were_learned_to_count(tmp_path: Path) -> None:
    model_of(agreeing=4.0).write(tmp_path / "learned.json")
    replies = ["7", "4", "4.0", "none at all"]

    def reply(request: Request) -> str:
        return replies[request.index]

    for name, warned in (("new", False), ("seen", True)):
        outcome = await solve(
            Query.of("?", id=name, answer_type="number"),
            "best_of_n:n=4,weighted=false",
            Scripted(reply),
            verifier=f"learned:path={tmp_path / 'learned.json'}",
        )
        assert outcome.answer in ("4", "4.0")
        assert any("trained on this very problem" in w for w in outcome.warnings) is warned


def test_what_is_missing_has_a_weight_of_its_own() -> None:
    p = model_of(agreeing=2.0).probabilities([{"agreeing": 0.5}, {"agreeing": None}, {}])
    assert p == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(2)), 1 / (1 + np.exp(2))])
