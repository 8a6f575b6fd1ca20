"""``ttc policy show`` in a narrow terminal, and what it says of the fixed strategy and of what recording cost."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from tests.adaptive.test_policy import MEASURED, policy
from ttc.adaptive.policy import Estimation, Policy, Provenance, Row
from ttc.cli.policy import show_policy


def shown(made: Policy, *, width: int = 200) -> str:
    out = StringIO()
    show_policy(made, Console(file=out, width=width, force_terminal=True, color_system=None))
    return out.getvalue()


def table(out: str) -> list[str]:
    return [line.rstrip() for line in out.split("\n\n")[1].splitlines()]


def with_spec(spec: str) -> Policy:
    rows = (
        Row(query_class="addition", strategy=spec, expected=MEASURED),
        Row(query_class="default", strategy="majority:stop=beta", expected=MEASURED),
    )
    return policy(rows=rows, estimator=None, difficulty=Estimation(estimator="none", probe=4))


def test_at_80_columns_a_spec_breaks_behind_a_comma_and_intervals_have_their_own_line() -> None:
    lines = table(shown(with_spec("majority:n=16,stop=confidence,wave=2,weights=log_odds,confidence=0.99"), width=80))
    assert max(map(len, lines)) <= 80
    assert [line[20:46].strip() for line in lines[1:5]] == [
        "majority:n=16,",
        "stop=confidence,wave=2,",
        "weights=log_odds,",
        "confidence=0.99",
    ]
    assert "majority:stop=beta" in "\n".join(lines)
    assert lines[1].split()[-3:] == ["61%", "812", "84"]
    assert lines[2].split()[-4:] == ["[52,", "70]", "[700,", "930]"]


def test_the_table_that_uses_every_field_fits_into_80_columns() -> None:
    lines = table(shown(policy(), width=80))
    assert max(map(len, lines)) <= 80
    assert any("verifier self_certainty" in line for line in lines)


def test_a_word_that_no_line_has_room_for_is_folded_and_nothing_is_lost() -> None:
    lines = table(shown(with_spec("majority:n=16,stop=confidence,weights=log_odds"), width=60))
    assert max(map(len, lines)) <= 60
    assert "majority:n=16,stop=confidence,weights=log_odds" in "".join(line[20:30].strip() for line in lines)


def test_in_a_wide_terminal_each_row_is_as_it_is() -> None:
    spec = "majority:n=16,stop=confidence,wave=2,weights=log_odds,confidence=0.99"
    assert f"{spec}  61% [52, 70]  812 [700, 930]" in shown(with_spec(spec), width=140)


@pytest.mark.parametrize(
    ("accuracy", "says"),
    [
        (0.55, "the most accurate fixed strategy, majority:n=7: accuracy 55%"),
        (0.61, "cheapest fixed strategy of that accuracy, majority:n=7: accuracy 61%"),
        (0.64, "cheapest fixed strategy of that accuracy, majority:n=7: accuracy 64%"),
    ],
)
def test_the_head_says_which_fixed_strategy_it_is_held_against(accuracy: float, says: str) -> None:
    fixed = MEASURED.model_copy(update={"accuracy": accuracy})
    came = Provenance(problems=84, expected=MEASURED, against="majority:n=7", expected_against=fixed)
    assert says in shown(policy(provenance=came))


@pytest.mark.parametrize(
    ("recording", "earned_back", "says"),
    [
        ({"generate": 51_000.0}, 310.4, {"earned back after 310 queries"}),
        ({"generate": 51_000.0}, None, {"recording is not earned back"}),
        ({}, None, {"what recording cost is not known"}),
    ],
)
def test_whether_recording_is_earned_back_is_said(recording: Any, earned_back: float | None, says: set[str]) -> None:
    out = shown(policy(provenance=Provenance(problems=84, recording=recording, earned_back=earned_back)))
    every = {"earned back after 310 queries", "recording is not earned back", "what recording cost is not known"}
    assert {line for line in map(str.strip, out.splitlines()) if line in every} == says


def test_no_control_sequence_of_a_verifiers_name_reaches_the_terminal() -> None:
    made = policy(difficulty=Estimation(estimator="verifier", verifier="judge\x1b[31m", probe=4))
    assert "what judge\ufffd[31m says of the probe" in shown(made)
