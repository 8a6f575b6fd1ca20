"""``ttc list``: everything that can be named, as a table and as data."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from ttc import registry
from ttc.cli import app
from ttc.cli.list import What, catalogue
from ttc.errors import UnknownName

RUN = CliRunner()
KINDS = {
    "strategies": "strategy",
    "suites": "suite",
    "verifiers": "verifier",
    "comparators": "comparator",
    "answers": "answer type",
    "tools": "tool",
}


def test_lists_everything_that_is_registered() -> None:
    listed = json.loads(RUN.invoke(app, ["list", "--json"]).stdout)
    assert {kind: [e["name"] for e in entries] for kind, entries in listed.items()} == {
        kind: registry.names(what) for kind, what in KINDS.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_lists_one_kind_alone(kind: str) -> None:
    assert list(json.loads(RUN.invoke(app, ["list", kind, "--json"]).stdout)) == [kind]


def test_a_strategy_comes_with_parameters_cost_and_paper() -> None:
    knockout = next(e for e in catalogue(What.STRATEGIES)["strategies"] if e["name"] == "knockout")
    parameters = {p["name"]: (p["type"], p["default"], p["range"]) for p in knockout["parameters"]}
    assert (parameters["n"], parameters["k"]) == (("int", 8, "1 to 1024"), ("int", 2, "1 to 64"))
    assert all(p["description"] for p in knockout["parameters"])
    assert "k(n-1)" in knockout["cost"]
    assert "2411.19477" in knockout["paper"]
    assert knockout["needs"] == ["comparator"]


def test_a_tree_search_needs_a_step_scorer_and_verifiers_say_whether_they_are_one() -> None:
    strategies = {entry["name"]: entry for entry in catalogue(What.STRATEGIES)["strategies"]}
    for name in ("beam", "best_first", "dvts", "lookahead", "mcts", "particle_filter"):
        assert (strategies[name]["needs"], strategies[name]["step_scorer"]) == (["verifier"], True)
    for name in ("best_of_n", "ab_mcts", "knockout", "majority", "adaptive", "revision"):
        assert not strategies[name]["step_scorer"]  # ab_mcts grows answers by default
    verifiers = {entry["name"]: entry["scores_steps"] for entry in catalogue(What.VERIFIERS)["verifiers"]}
    assert {name for name in ("judge", "self_certainty", "process_reward", "parses") if verifiers[name]} == {
        "judge",
        "self_certainty",
        "process_reward",
        "parses",
    }
    assert not verifiers["public_tests"]
    assert not verifiers["agreement"]


def test_people_see_which_strategies_need_a_step_scorer_and_which_verifiers_are_one() -> None:
    def sections(what: str) -> dict[str, str]:
        shown = RUN.invoke(app, ["list", what], env={"COLUMNS": "80"}).stdout
        return {part.splitlines()[0]: part for part in shown.split("\n\n")}

    strategies, verifiers = sections("strategies"), sections("verifiers")
    assert "needs: a step scorer" in strategies["beam"]
    assert "needs: a verifier" in strategies["best_of_n"]
    assert "needs: a comparator" in strategies["knockout"]
    assert "scores steps as well" in verifiers["judge"]
    assert "scores steps" not in verifiers["public_tests"]


def test_an_empty_default_is_no_none() -> None:
    shown = " ".join(RUN.invoke(app, ["list", "strategies"], env={"COLUMNS": "80"}).stdout.split())
    assert 'separator="" ' in shown
    assert "separator=none " not in shown
    assert 'models="" ' in shown
    assert "wave=none " in shown


def test_a_strategy_of_another_package_is_listed_whatever_it_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, verifier: Any) -> None:
        raise RuntimeError("it fails")

    monkeypatch.setattr(registry.load("strategy", "single"), "accepts", broken)
    single = next(e for e in catalogue(What.STRATEGIES)["strategies"] if e["name"] == "single")
    assert not single["step_scorer"]


def test_everything_of_ours_says_what_it_does() -> None:
    for kind, entries in catalogue().items():
        for entry in entries:
            assert entry["description"], f"{kind}: {entry['name']}"
            assert "error" not in entry


def suites() -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in catalogue(What.SUITES)["suites"]}


def test_a_suite_says_whether_it_can_run_now_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    without = suites()
    assert not without["gsm8k"]["ready"]
    assert "gsm8k:path=FILE" in without["gsm8k"]["missing"]
    assert "ttc-compute[suites]" in without["arithmetic"]["missing"]
    assert "ttc-compute[suites]" in without["rg"]["missing"]
    assert without["file"]["ready"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: SimpleNamespace(submodule_search_locations=[]))
    assert all(entry["ready"] for entry in suites().values())


def test_a_suite_says_licence_release_size_and_how_it_is_written() -> None:
    listed = suites()
    facts = {fact: listed["gsm8k"][fact] for fact in ("licence", "released", "size", "form")}
    assert facts == {"licence": "MIT", "released": "2021-10", "size": 1319, "form": "gsm8k"}
    assert listed["file"]["form"] == "file:PATH"
    assert listed["rg"]["form"] == "rg:NAME"
    assert [p["name"] for p in listed["rg"]["parameters"]] == ["name", "size", "seed"]


@pytest.mark.parametrize(("installed", "word"), [(True, "hub"), (False, "no")])
def test_people_see_a_line_of_facts_for_each_suite(monkeypatch: pytest.MonkeyPatch, installed: bool, word: str) -> None:
    found = SimpleNamespace(submodule_search_locations=[]) if installed else None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    shown = RUN.invoke(app, ["list", "suites"], env={"COLUMNS": "80"}).stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["gsm8k", word, "1,319", "2021-10", "MIT"] in lines
    assert ["file:PATH", "ready", "yours", "yours"] in lines
    assert max(map(len, shown.splitlines())) <= 80


def test_an_entry_point_that_cannot_be_imported_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = dict(registry._entries("strategy"))
    entries["broken"] = EntryPoint("broken", "no_such_package:Thing", "ttc.strategies")
    monkeypatch.setattr(registry, "_entries", lambda what: entries)
    listed = {e["name"]: e for e in catalogue(What.STRATEGIES)["strategies"]}
    assert "no_such_package" in listed["broken"]["error"]
    assert "error" not in listed["majority"]
    assert "no_such_package" in RUN.invoke(app, ["list", "strategies"]).stdout


def test_people_see_parameters_with_type_range_and_default_cost_and_paper() -> None:
    shown = RUN.invoke(app, ["list", "strategies"], env={"COLUMNS": "80"}).stdout
    assert max(map(len, shown.splitlines())) <= 80
    sections = {part.splitlines()[0]: part for part in shown.split("\n\n")}
    for entry in catalogue(What.STRATEGIES)["strategies"]:
        words = " ".join(sections[entry["name"]].split())
        assert entry["description"] in words
        assert f"cost: {entry['cost']}" in words
        assert entry["paper"] in words
        for p in entry["parameters"]:
            assert f" {p['name']}=" in words
            assert p["description"] in words
            assert p["range"] in words or p["type"] == "bool"
    assert "n=8 int, 1 to 1024: candidates" in " ".join(sections["knockout"].split())
    assert "weighted=true bool:" in " ".join(sections["best_of_n"].split())
    assert "wave=none int, at least 1:" in " ".join(sections["majority"].split())


def test_an_unknown_kind_is_refused() -> None:
    ran = RUN.invoke(app, ["list", "strategy"])
    assert isinstance(ran.exception, UnknownName)
    assert "Did you mean 'strategies'" in str(ran.exception)
    assert "Value error" not in ran.output + str(ran.exception)


def test_a_tool_is_listed_with_what_it_does() -> None:
    (python,) = (tool for tool in catalogue(What.TOOLS)["tools"] if tool["name"] == "python")
    assert python["description"] in " ".join(RUN.invoke(app, ["list", "tools"]).stdout.split())


def test_a_long_list_of_values_is_wrapped_between_them() -> None:
    for columns in (60, 80, 100):
        shown = RUN.invoke(app, ["list", "suites"], env={"COLUMNS": str(columns)}).stdout
        words = shown.replace("[", " ").replace("]", " ").replace(",", " ").split()
        families = next(p["default"] for p in suites()["arithmetic"]["parameters"] if p["name"] == "families")
        assert set(families.strip("[]").split(",")) <= set(words)


@pytest.mark.parametrize("level", ["[/b]", "[bold]"])
def test_what_another_package_says_of_its_suite_is_no_markup(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    suite = registry.load("suite", "gsm8k")
    monkeypatch.setattr(suite, "about", {**suite.about, "licence": level})
    shown = RUN.invoke(app, ["list", "suites"], env={"COLUMNS": "100"})
    assert shown.exception is None
    assert level in shown.stdout
