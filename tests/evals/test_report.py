"""The page of a run: complete, one file, small, and deaf to whatever a model wrote."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from ttc.errors import MissingExtra, RunError
from ttc.evals.records import Meetings, UnitRecord
from ttc.evals.report import SIZE_LIMIT, render, write_report
from ttc.evals.report.charts import vega_bundle
from ttc.evals.report.problems import problem_pages
from ttc.evals.report.run_card import commands
from ttc.evals.report.tables import equal_cost_rows, headline, result_rows
from ttc.evals.scaling import summarise
from ttc.evals.store import Store
from ttc.evals.suite import Problem
from ttc.evals.summary import Summary
from ttc.types import Query

HOSTILE = (
    """</script><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>{{ 7 * 7 }}<!--"""
)

Make = Callable[..., list[UnitRecord]]


@pytest.fixture(scope="module")
def units(make_units: Make) -> list[UnitRecord]:
    """Every wrong answer, and every text, is an attack."""
    return make_units(6, wrong=HOSTILE, text=HOSTILE)


@pytest.fixture(scope="module")
def page(units: list[UnitRecord]) -> str:
    problems = {
        (u.suite, u.problem): Problem(Query.of(f"What is {u.problem}? {HOSTILE}", id=u.problem), f"42 {HOSTILE}")
        for u in units
    }
    card = {"run_id": "attack-1", "model": HOSTILE, "config": {"suites": ["made_up"], "strategies": ["single"]}}
    return render(summarise(units, {"model": HOSTILE}), units, problems, card=card, notices=[HOSTILE])


class Reader(HTMLParser):
    """Collects elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        (self.scripts if self._inside in ("script", "style") else self.words).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


# -- what it says ---------------------------------------------------------------------------------------------------


def test_the_page_names_every_strategy_every_level_and_how_to_go_on(page: str):
    text = Reader(page).text
    for word in ("single", "majority", "knockout", "n=2", "n=4", "n=8", "Easy", "Medium", "Hard", "Two digits"):
        assert word in text
    assert "ttc eval --resume attack-1" in text
    assert "ttc eval made_up --strategy single" in text
    figures = re.findall(r"<noscript><div class=\"panel[^>]*><svg viewBox=", page)
    assert len(figures) == 2  # the curves and the costs, for who runs no script


def test_every_accuracy_of_the_table_is_that_of_the_summary(make_units: Make):
    summary = summarise(make_units(20))
    points = {(p.strategy, p.setting): p for c in summary.curves if c.group == "all" for p in c.points}
    rows = result_rows(summary, every=True)
    assert [(r["strategy"], r["setting"]) for r in rows] == list(points)
    for row in rows:
        point = points[row["strategy"], row["setting"]]
        assert row["cells"][0]["value"] == f"{point.accuracy:.1%}"
        assert row["cells"][0]["interval"] == f"{100 * point.low:.0f} to {100 * point.high:.0f}"


def compared(summary: Summary, strategy: str, **changes: Any) -> Summary:
    """Give all comparisons of a strategy other numbers."""
    found = [replace(c, **changes) if c.strategy == strategy else c for c in summary.comparisons]
    return replace(summary, comparisons=tuple(found))


def test_the_headline_follows_from_the_comparisons(make_units: Make):
    summary = summarise(make_units(4))
    up: dict[str, Any] = {
        "difference": 0.12,
        "low": 0.05,
        "high": 0.19,
        "credible": True,
        "p_holm": 0.001,
        "cost_ratio": 8.0,
    }
    flat: dict[str, Any] = {"difference": 0.01, "low": -0.05, "high": 0.07, "credible": False, "p_holm": 1.0}
    down: dict[str, Any] = {"difference": -0.2, "low": -0.3, "high": -0.1, "credible": True, "p_holm": 0.06}
    lifted = compared(compared(summary, "majority", **up), "knockout", **down)
    assert headline(lifted) == (
        "On 12 problems majority (n=8) is credibly above a single sample: +12.0 points (95% interval +5.0 to +19.0, "
        "paired) for 8 times the thinking tokens. Credibly below it: knockout (n=4)."
    )
    marks = {(r["strategy"], r["mark"]) for r in result_rows(lifted)}
    assert marks == {("single", ""), ("majority", "▲"), ("knockout", "▽")}
    level = compared(compared(summary, "majority", **flat), "knockout", **{**flat, "difference": 0.0})
    assert headline(level).startswith(
        "On 12 problems no strategy is credibly above a single sample; the nearest: majority"
    )
    assert {r["mark"] for r in result_rows(level)} == {"", "○"}


def test_of_two_models_each_has_its_rows_its_column_and_its_part_of_the_charts(make_units: Make):
    ours = [replace(u, model="small", key=f"s {u.key}") for u in make_units(4)]
    theirs = [replace(u, model="large", key=f"l {u.key}", correct=True) for u in make_units(4) if u.spec == "single"]
    units = [*ours, *theirs]
    summary = summarise(units, {})
    rows = {(r["strategy"], r["setting"]): r["cells"][0]["value"] for r in result_rows(summary)}
    mine = [u.correct for u in ours if u.spec == "single"]
    assert rows["single", "large"] == "100.0%"
    assert rows["single", "small"] == f"{sum(mine) / len(mine):.1%}"
    page = Reader(render(summary, units))
    tokens = {m: sum(u.outcome.generated_tokens for u in units if u.model == m) for m in ("small", "large")}
    assert all(f"{n:,} over all queries of {m}" in " ".join(page.text.split()) for m, n in tokens.items())
    assert f"{sum(tokens.values()):,}" not in page.text  # tokens of two models have no sum
    assert "large, small on made_up" in page.text or "small, large on made_up" in page.text
    data = orjson.loads(next(s for s in page.scripts if s.startswith('{"charts"')))
    assert {s["model"] for s in data["charts"]["series"]} == {"small", "large"}
    assert {a["name"] for a in data["charts"]["axes"] if a["shared"]} <= {"flops", "dollars", "seconds"}
    assert [u["setting"] for u in data["problems"][0]["units"] if u["strategy"] == "single"] == ["small", "large"]


def test_without_a_baseline_the_page_says_that_nothing_can_be_compared(make_units: Make):
    units = [u for u in make_units(2) if u.strategy == "majority"]
    text = Reader(render(summarise(units), units)).text
    assert "nothing to compare" in text
    assert "'single' was not run" in text


def test_a_run_that_is_not_complete_and_failures_are_announced(make_units: Make):
    units = make_units(3)
    first = units[0]
    failed = replace(first, outcome=replace(first.outcome, answer=None, candidate=None, ended_by="all_calls_failed"))
    text = Reader(render(summarise([failed, *units[1:-2]]), [failed, *units[1:-2]])).text
    assert "1 of 34 queries failed" in text
    assert "2 queries are missing" in text


def test_the_command_to_repeat_a_run_is_left_out_where_options_cannot_say_its_settings():
    config = {"suites": ["arithmetic"], "strategies": ["single"], "sampling": {"max_tokens": 64, "top_p": 0.9}}
    lines = [c["line"] for c in commands({"run_id": "r", "config": config}, Path("elsewhere"))]
    assert lines == ["ttc eval --resume r --runs elsewhere", "ttc report r --runs elsewhere"]


# -- what it must not do --------------------------------------------------------------------------------------------


def test_no_element_and_no_attribute_comes_out_of_a_models_text(page: str):
    reader = Reader(page)
    tags = {tag for tag, _ in reader.elements}
    assert "img" not in tags
    assert [a for t, a in reader.elements if t == "script"] == [{"type": "application/json", "id": "data"}, {}, {}]
    names = {name for _, attributes in reader.elements for name in attributes}
    assert not {n for n in names if n.startswith("on") or n in ("style", "srcdoc", "action")}
    assert "owned" in reader.text  # it is shown, as text
    assert "{{ 7 * 7 }}" in reader.text


def test_the_data_in_the_page_is_what_was_stored_and_cannot_end_its_element(page: str, units: list[UnitRecord]):
    data = next(s for s in Reader(page).scripts if s.startswith('{"charts"'))
    assert not set("<>&") & set(data)
    problems = orjson.loads(data)["problems"]
    first = problems[0]["units"][0]
    assert first["answer"] == next(u for u in units if u.spec == "single").outcome.answer
    majority = next(u for u in problems[0]["units"] if u["strategy"] == "majority")
    assert [e["index"] for e in majority["trace"] if e["event"] == "sample"] == list(range(8))


def test_the_page_asks_nothing_of_any_network(page: str):
    for _, attributes in Reader(page).elements:
        for name, value in attributes.items():
            if name.endswith(("src", "href")):
                assert (value or "").startswith("#")
    ours = page.replace(vega_bundle(), "")  # which holds addresses, and may ask none: the policy sees to that
    assert len(ours) < len(page)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)|https?://(?!www.w3.org)(?!vega.github.io/schema)", ours)


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(page: str):
    policy = next(a["content"] or "" for _, a in Reader(page).elements if a.get("http-equiv"))
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert style is not None
    assert len(scripts) == 2
    assert rules["style-src"] == f"'{source_hash(style[1])}'"
    assert rules["script-src"].split() == [f"'{source_hash(script)}'" for script in scripts]
    assert "unsafe" not in policy


def source_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def test_what_happened_in_branches_and_matches_is_shown(make_units: Make):
    unit = next(u for u in make_units(per_family=1) if u.spec == "knockout:n=4")
    meeting = {"event": "compare", "tokens": 90, "a": 0, "b": 1, "answers": ["1", "2"], "first": "a", "won": 1.0}
    match = {"event": "match", "tokens": 90, "stage": 1, "events": [meeting]}
    branch = {
        "event": "branch",
        "tokens": 95,
        "name": "x",
        "events": [{"event": "stop", "tokens": 95, "why": "certain"}],
    }
    unit = replace(unit, outcome=replace(unit.outcome, trace=(*unit.outcome.trace[:2], match, branch)))
    pages = problem_pages([unit], {}, [unit.spec], levels=(), limit=1)
    (shown,) = (pages.details[0] or {})["units"]
    assert [e["event"] for e in shown["trace"]] == ["sample", "sample", "branch", "stop"]
    assert all("events" not in e for e in shown["trace"])
    assert [b["rounds"] for b in shown["brackets"]] == [[[1, [[0, "1", 1, "2", 1.0, 1, 0]], []]]]


def searched(make_units: Make, text: str) -> UnitRecord:
    """A unit with a tree of four steps, of which two are whole and one was pruned."""
    first = [{"node": n, "parent": 0, "score": n / 4, "tokens": 3, "step": f"{text} {n}"} for n in (1, 2)]
    over = {"over": True, "tokens": 4, "step": f"so {text}"}
    then = [{"node": 3, "parent": 2, "score": 0.9, "answer": text, **over}]
    then += [{"node": 4, "parent": 2, "score": 0.4, "answer": "other", "copies": 2, **over}]
    waves = [
        {"event": "score_steps", "tokens": 6, "scores": [[0.25], [0.5]], "by": "judge"},
        {"event": "grow", "tokens": 6, "nodes": first, "pruned": [1]},
        {"event": "grow", "tokens": 14, "nodes": then, "pruned": []},
    ]
    branch = {"event": "branch", "tokens": 20, "name": text, "events": waves}
    unit = next(u for u in make_units(per_family=1) if u.spec == "single")
    return replace(unit, outcome=replace(unit.outcome, answer=text, trace=(branch,)))


def test_a_search_is_laid_out_and_its_waves_are_sentences(make_units: Make):
    unit = searched(make_units, "42")
    (shown,) = (problem_pages([unit], {}, [unit.spec]).details[0] or {})["units"]
    (tree,) = shown["search"]["trees"]
    assert (tree["name"], tree["path"], len(tree["nodes"])) == ("42", [1, 2], 4)
    assert [e.get("said") for e in shown["trace"]] == [
        None,
        "2 new nodes, best 0.50: 1 kept, 1 pruned",
        "2 new nodes, best 0.90: 2 whole: 42, other",
    ]


def test_a_judge_of_steps_leaves_the_waves_on_the_page(make_units: Make):
    unit = searched(make_units, "42")
    (branch,) = unit.outcome.trace
    waves = [event for event in branch["events"] if event["event"] == "grow"]
    judge: dict[str, Any] = {"event": "judge", "tokens": 1, "score": 0.5, "events": []}
    scores: dict[str, Any] = {"event": "score_steps", "tokens": 1, "scores": [[0.5]], "by": "judge"}
    trace: list[Any] = [event for wave in waves for event in (*[judge] * 90, scores, wave)]
    unit = replace(unit, outcome=replace(unit.outcome, trace=tuple(trace)))
    (shown,) = (problem_pages([unit], {}, [unit.spec]).details[0] or {})["units"]
    assert [e["event"] for e in shown["trace"]] == ["grow", "grow"]
    assert shown["left_out"] == 0


def test_waves_stay_on_the_page_where_not_all_events_do(make_units: Make):
    unit = searched(make_units, "42")
    (branch,) = unit.outcome.trace
    notes: list[Any] = [
        {"event": "sample", "tokens": 1, "index": i, "answer": "42", "generated": 1} for i in range(200)
    ]
    trace: list[Any] = [*notes, *(event for event in branch["events"] if event["event"] == "grow")]
    unit = replace(unit, outcome=replace(unit.outcome, trace=tuple(trace)))
    (shown,) = (problem_pages([unit], {}, [unit.spec]).details[0] or {})["units"]
    assert [e["event"] for e in shown["trace"]] == ["sample"] * 94 + ["grow"] * 2
    assert shown["left_out"] == 106


def test_a_tournament_says_on_the_page_how_well_its_comparisons_judged(make_units: Make):
    units = make_units(per_family=10)
    met = Meetings(compared=3, decisive=2, right_points=1, first_points=1.5, swap_pairs=1, swap_consistent=1)
    units = [replace(u, meetings=met) if u.spec == "knockout:n=4" else u for u in units]
    html = render(summarise(units), units)
    assert "How well the comparisons judged" in html
    assert "q is not credibly above 1/2: a knockout does not beat voting there" in html
    assert "How well" not in render(summarise(make_units(per_family=10)), units)


def test_what_chooses_its_own_spending_stands_beside_fixed_strategies_that_cost_as_much(make_units: Make):
    units = make_units(per_family=10)
    assert "At equal cost" not in render(summarise(units), units)
    # It answers as a vote of eight does, at the cost of one sample.
    whole = {u.problem: u for u in units if u.spec == "majority:n=8"}
    mine = [
        replace(u, key=f"a {u.key}", strategy="adaptive", spec="adaptive", correct=whole[u.problem].correct)
        for u in units
        if u.spec == "single"
    ]
    summary = summarise([*units, *mine])
    text = Reader(render(summary, [*units, *mine])).text
    assert "At equal cost" in text
    rows = equal_cost_rows(summary)
    assert [(r["strategy"], r["against"], r["place"].partition(",")[0]) for r in rows] == [
        ("adaptive", "knockout", "n=2"),
        ("adaptive", "majority", "n=1"),
    ]
    assert rows[1]["verdict"] == "above"
    assert all(r["accuracy"] == f"{sum(u.correct for u in mine) / len(mine):.1%}" for r in rows)


def test_a_page_of_many_long_answers_stays_small_and_says_what_it_leaves_out(make_units: Make):
    units = make_units(150, wrong="<&> " * 900, text="“think” " * 900)
    html = render(summarise(units), units)
    assert len(html.encode()) < SIZE_LIMIT
    text = Reader(html).text
    shown = re.search(r"Details are kept for ([\d,]+) of them", text)
    assert shown is not None
    assert 0 < int(shown[1]) <= 300
    assert html.count("<tr data-row=") == 450


# -- in a run directory ---------------------------------------------------------------------------------------------


def stored(directory: Path, units: list[UnitRecord]) -> Path:
    async def keep() -> None:
        with Store(directory) as store:
            for unit in units:
                await store.add_unit(unit)

    anyio.run(keep)
    card: dict[str, Any] = {"run_id": directory.name, "config": {}, "model": "made-up", "price": None, "suites": []}
    (directory / "run.json").write_bytes(orjson.dumps(card))
    return directory


def test_a_run_gets_its_figures_and_its_page(make_units: Make, tmp_path: Path):
    paths = write_report(stored(tmp_path / "run-1", make_units(2)))
    assert [p.name for p in paths] == ["curves.png", "curves.svg", "cost.png", "cost.svg", "report.html"]
    assert all(p.stat().st_size for p in paths)
    text = Reader(paths[-1].read_text(encoding="utf-8")).text
    assert "made-up on made_up:seed=1" in text
    assert "The texts of suite 'made_up:seed=1' are not shown: unknown suite 'made_up'" in text


def test_what_the_page_has_no_room_for_is_in_files_beside_it(make_units: Make, tmp_path: Path):
    run = stored(tmp_path / "run-1", make_units(20, text="so " * 2000))
    paths = write_report(run)
    page = paths[4].read_text(encoding="utf-8")
    parts = [p for p in paths if p.parent.name == "problems"]
    assert [p.name for p in parts] == ["001.html", "002.html"]
    told = orjson.loads(next(s for s in Reader(page).scripts if s.startswith('{"charts"')))["problems"]
    assert told[59]["href"] == "problems/002.html#r9"
    assert "characters left out" in told[59]["units"][0]["text"]
    whole = Reader(parts[1].read_text(encoding="utf-8"))
    kept = orjson.loads(next(s for s in whole.scripts if s.startswith('{"problems"')))["problems"]
    assert len(kept) == 10
    assert kept[9]["units"][0]["text"].startswith("so so so")
    assert "left out" not in kept[9]["units"][0]["text"]
    assert [a["href"] for t, a in whole.elements if t == "a"] == ["../report.html", "001.html"]


def test_parts_of_an_earlier_page_go_and_strange_files_stay(make_units: Make, tmp_path: Path):
    run = stored(tmp_path / "run-1", make_units(1))
    (run / "problems").mkdir()
    for name in ("001.html", "notes.txt"):
        (run / "problems" / name).write_text("old")
    write_report(run)
    assert [p.name for p in (run / "problems").iterdir()] == ["notes.txt"]


def test_a_run_without_a_finished_query_has_no_page_and_says_how_to_get_one(tmp_path: Path):
    with pytest.raises(RunError, match="ttc eval --resume run-1"):
        write_report(stored(tmp_path / "run-1", []))
    with pytest.raises(RunError, match="there is no run"):
        write_report(tmp_path / "nothing")


def test_a_program_is_named_by_its_head(make_units: Make) -> None:
    (mine, *_) = make_units(1)
    asked = "Complete:\n\n```python\ndef double(x: int) -> int:\n    '''Twice x.\n\n    >>> double(2)\n    4\n    '''"
    problem = Problem(Query.of(asked, id=mine.problem), tests=("assert double(3) == 6",))
    (row,) = problem_pages([mine], {(mine.suite, mine.problem): problem}, [mine.spec]).rows
    assert row["title"] == "def double(x: int) -> int"


@pytest.mark.parametrize(("module", "package"), [("altair", "altair"), ("vl_convert", "vl-convert-python")])
def test_without_what_draws_charts_the_extra_is_named(
    make_units: Make, monkeypatch: pytest.MonkeyPatch, module: str, package: str
):
    units = make_units(1)
    vega_bundle.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"{package}.*report"):
        render(summarise(units), units)
