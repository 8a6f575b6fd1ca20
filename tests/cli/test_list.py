"""``ttc list``: everything that can be named, as a table and as data."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from ttc import registry
from ttc.cli import app
from ttc.cli.list import What, catalogue

RUN = CliRunner()
KINDS = {
    "strategies": "strategy",
    "suites": "suite",
    "verifiers": "verifier",
    "comparators": "comparator",
    "answers": "answer type",
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


def test_everything_of_ours_says_what_it_does() -> None:
    for kind, entries in catalogue().items():
        for entry in entries:
            assert entry["description"], f"{kind}: {entry['name']}"
            assert "error" not in entry


def test_a_suite_says_whether_it_can_run_now_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    suites = {e["name"]: e for e in catalogue(What.SUITES)["suites"]}
    assert not suites["gsm8k"]["ready"]
    assert "gsm8k:path=FILE" in suites["gsm8k"]["missing"]
    assert "ttc-compute[suites]" in suites["arithmetic"]["missing"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert all(e["ready"] for e in catalogue(What.SUITES)["suites"])


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
    assert ran.exit_code == 2
    assert "strategies" in ran.output
