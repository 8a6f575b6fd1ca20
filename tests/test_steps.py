"""Steps: what stands between them, in whatever form it is given, and what their scores come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ttc.errors import ConfigurationError
from ttc.registry import create, parse_spec
from ttc.steps import BLANK_LINE, Aggregate, Separator, Solution, aggregated, as_written, separator_of, split_steps
from ttc.strategies.beam import Beam
from ttc.strategy import make_strategy
from ttc.verifiers.code.parses import Parses
from ttc.verifiers.process_reward import ProcessReward

SEPARATORS = st.text(st.sampled_from("\n\r\t ,;()[]{}.\\nrtx2c=:none") | st.characters(exclude_categories=["Cs"]))


# -- separators ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "between"),
    [
        ("", BLANK_LINE),
        ("\\n", "\n"),
        ("\n", "\n"),
        ("\\r\\n", "\r\n"),
        ("\r\n", "\r\n"),
        ("\\t", "\t"),
        ("\t", "\t"),
        ("\n\n", BLANK_LINE),
        (";", ";"),
        (",", ","),
        ("\\x2c ", ", "),
        (".\n", ".\n"),
        ("none", None),
        (" none", " none"),
        ("\\(", "\\("),
        ("\\\\", "\\\\"),
        ("\\x5cn", "\\n"),
    ],
)
def test_a_separator_is_read_as_it_is_or_as_it_is_written(given: str, between: str | None) -> None:
    assert separator_of(given) == separator_of(as_written(given)) == between
    assert Beam(separator=given).stop == between


@given(separator=SEPARATORS)
def test_what_is_written_stays_and_says_the_same(separator: str) -> None:
    written = as_written(separator)
    assert as_written(written) == written
    assert separator_of(written) == separator_of(separator)
    assert not set(written) & set("\n\r\t,()[]{}")


@given(separator=SEPARATORS)
def test_the_spec_of_a_search_makes_the_same_search_again(separator: str) -> None:
    made = Beam(n=4, separator=separator, aggregate="min")
    again = make_strategy(made.spec)
    assert isinstance(again, Beam)
    assert again == made
    assert again.stop == separator_of(separator)
    assert again.spec == made.spec
    assert not {"\n", "\r", "\t"} & set(made.spec)


@given(separator=SEPARATORS.filter(lambda s: not set(s) & set(",()[]{}") and s == s.strip(" ")))
def test_a_separator_arrives_in_a_spec_newlines_and_all(separator: str) -> None:
    made = make_strategy(f"beam:n=4,separator={separator}")
    assert isinstance(made, Beam)
    assert made.stop == separator_of(separator)
    assert make_strategy(made.spec) == made
    inside = make_strategy(f"adaptive:hard=(beam:separator={separator},n=4),probe=3")
    assert make_strategy(inside.spec) == inside


def test_a_value_of_blanks_is_none_unless_it_stands_in_brackets() -> None:
    with pytest.raises(ConfigurationError, match="the value of 'separator' is blank; in brackets it counts"):
        make_strategy("beam:separator= ,n=4")
    made = make_strategy("beam:separator=( ),n=4")
    assert isinstance(made, Beam)
    assert made.stop == " "
    assert make_strategy("beam:separator=") == Beam()


def test_blanks_around_a_value_do_not_count_and_newlines_do() -> None:
    assert parse_spec("thing", "a: x = 1 ,\n  y =\n, z=2 \n") == ("a", {"x": "1", "y": "\n", "z": "2 \n"})


@pytest.mark.parametrize("made", [Parses, ProcessReward])
def test_verifiers_keep_a_separator_as_the_strategy_does(made: type[BaseModel]) -> None:
    assert made.model_fields["separator"].metadata == Beam.model_fields["separator"].metadata != []
    given = "process_reward:url=localhost:1,separator=\n" if made is ProcessReward else "parses:separator=\n"
    assert create("verifier", given).separator == "\\n"


def test_any_model_may_have_one() -> None:
    class Mine(BaseModel):
        separator: Separator = ""

    assert (Mine().separator, Mine(separator="a\n").separator) == ("", "a\\n")


def test_where_nothing_stands_between_steps_a_text_is_one() -> None:
    assert split_steps("a\n\nb none c", None) == ["a\n\nb none c"]
    assert Solution.of("a\n\nb", None).steps == ("a\n\nb",)


# -- scores --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "value"), [("last", 0.6), ("min", 0.3), ("product", 0.162), ("mean", 0.6)])
def test_a_solution_is_worth_what_is_made_of_its_steps(how: Aggregate, value: float) -> None:
    assert aggregated([0.9, 0.3, 0.6], how) == pytest.approx(value)
    assert aggregated([], how) == 0.0


def test_the_four_are_different() -> None:
    ways: list[Aggregate] = ["last", "min", "product", "mean"]
    assert [aggregated([0.8, 0.3, 0.7], how) for how in ways] == pytest.approx([0.7, 0.3, 0.168, 0.6])
