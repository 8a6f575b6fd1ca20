"""The page in a real browser: charts follow what is chosen, rows sort and open, and no hostile text does anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chromium import Browser, needs_chromium
from tests.evals.test_report import searched
from ttc.evals.records import UnitRecord
from ttc.evals.report import render
from ttc.evals.report.parts import write_parts
from ttc.evals.report.problems import ProblemTable
from ttc.evals.scaling import summarise
from ttc.evals.suite import Problem
from ttc.types import Query

Make = Callable[..., list[UnitRecord]]

pytestmark = needs_chromium

HOSTILE = (
    """</script><img src=x onerror="alert('owned')"><script>alert('owned')</script>{{ 7 * 7 }}${alert(1)}<!--""",
    "\u202egnp.exe\u202c \u200b\u2066 \ufeff",
    "\x00\x07\x1b[31m\x7f\r\n\u2028\u2029",
    "__proto__",
    "constructor",
    "javascript:alert('owned')",
    "datum.x + window.alert(1)",
    "https://example.invalid/?leak",
    "long " * 4000,
    "x" * 20_000,
    "{% for x in ().__class__.__base__.__subclasses__() %}",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16") * 300,
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(autouse=True)
def no_complaints(browser: Browser) -> Iterator[None]:
    """Nothing that a test does makes the page complain, ask for anything, or open a dialog."""
    browser.complaints.clear()
    browser.requests.clear()
    browser.dialogs.clear()
    yield
    assert browser.complaints == []
    assert browser.requests == []
    assert browser.dialogs == []


def attacked(make_units: Make) -> list[UnitRecord]:
    """Units in which whatever a model, a suite or a third party's strategy names is an attack."""
    units: list[UnitRecord] = []
    for i, unit in enumerate(make_units(4, wrong=HOSTILE[0], text=HOSTILE[0])):
        evil = HOSTILE[i % len(HOSTILE)]
        outcome = unit.outcome
        trace = [{**e, "answer": evil} if e.get("answer") == HOSTILE[0] else e for e in outcome.trace]
        trace.append({"event": evil, "tokens": 1, evil: [evil, {evil: evil}]})
        answer = evil if outcome.answer == HOSTILE[0] else outcome.answer
        usage = {**outcome.usage, "__proto__": next(iter(outcome.usage.values()))}
        outcome = replace(outcome, answer=answer, trace=tuple(trace), usage=usage, warnings=(evil,))
        name = {"knockout": "datum.x", "majority": f"majority:{HOSTILE[0]}"}.get(unit.strategy, unit.strategy)
        tags = {
            **unit.tags,
            "family": HOSTILE[i // 4 % len(HOSTILE)][:200],
            "level": "__proto__" if i // 4 % 2 else "easy",
        }
        units.append(replace(unit, outcome=outcome, strategy=name, tags=tags))
    return units


@pytest.fixture(scope="module")
def page(make_units: Make, tmp_path_factory: pytest.TempPathFactory) -> str:
    units = attacked(make_units)
    problems = {
        (u.suite, u.problem): Problem(Query.of(f"What is {u.problem}? {HOSTILE[0]}", id=u.problem), f"42 {HOSTILE[0]}")
        for u in units
    }
    html = render(summarise(units, {"model": HOSTILE[0]}), units, problems, notices=HOSTILE)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser: Browser, page: str) -> Browser:
    browser.open("about:blank")
    browser.open(page)
    browser.wait("document.documentElement.dataset.charts === 'drawn'")
    return browser


def marks(browser: Browser, place: str = "#curves") -> list[str]:
    """Where the visible marks of a chart are."""
    found = "[...document.querySelectorAll({!r} + ' .mark-symbol path[opacity=\"1\"]')].map(e => e.outerHTML)"
    return browser.run(found.format(place))


def choose(browser: Browser, select: str, value: str) -> None:
    script = f"""(() => {{ const s = document.getElementById({select!r}); s.value = {value!r};
        s.dispatchEvent(new Event("change", {{bubbles: true}})); return s.value; }})()"""
    assert browser.run(script) == value


# -- charts ------------------------------------------------------------------------------------------------------------


def test_every_point_is_drawn_and_every_text_of_the_chart_is_readable(opened: Browser) -> None:
    assert len(marks(opened)) == 1 + 4 + 1 + 1  # single, the vote at four prefixes, two settings of datum.x
    sizes = opened.run("[...document.querySelectorAll('.chart text')].map(t => t.getBoundingClientRect().height)")
    assert min(sizes) > 10


def test_another_axis_moves_the_points_and_names_itself(opened: Browser) -> None:
    before = marks(opened)
    assert "thinking tokens" in opened.run("document.getElementById('curves').textContent")
    choose(opened, "axis", "total")
    opened.wait("document.getElementById('curves').textContent.includes('prompt and generated tokens')")
    opened.until(lambda: marks(opened) != before)
    assert len(marks(opened)) == len(before)


def test_another_group_shows_its_points_and_its_name(opened: Browser) -> None:
    before = marks(opened)
    choose(opened, "group", "level=easy")
    opened.wait("document.querySelector('.group-name').textContent === 'Easy'")
    opened.until(lambda: marks(opened) != before)
    assert opened.run("document.querySelector('.group-name').textContent") == "Easy"
    assert len(marks(opened)) == len(before)


def test_a_press_on_a_name_hides_its_curve_in_every_chart_and_a_second_one_shows_it(opened: Browser) -> None:
    before = {place: len(marks(opened, place)) for place in ("#curves", "#panels")}
    opened.click('.key button[data-series="1"]')
    opened.wait("document.querySelector('.key button[data-series=\"1\"]').getAttribute('aria-pressed') === 'false'")
    for place in before:
        opened.until(lambda place=place: len(marks(opened, place)) < before[place], place)
    opened.run("document.querySelector('.key button[data-series=\"1\"]').focus()")
    opened.press("Enter", code=13, text="\r")
    opened.until(lambda: {place: len(marks(opened, place)) for place in before} == before)
    assert opened.run("document.querySelector('.key button[data-series=\"1\"]').getAttribute('aria-pressed')") == "true"


def test_a_point_tells_its_numbers(opened: Browser) -> None:
    opened.hover("#curves .mark-symbol path[opacity='0']")
    opened.wait("!document.querySelector('.tip').hidden")
    told = opened.run("document.querySelector('.tip').innerText")
    for word in ("accuracy", "95% interval", "thinking tokens", "problems\n"):
        assert word in told


def test_panels_follow_another_tag(opened: Browser) -> None:
    assert opened.run("document.querySelectorAll('#panels .chart svg').length") == 2
    choose(opened, "panels-by", "family")
    opened.wait("document.querySelectorAll('#panels .chart svg').length > 4")


# -- the table ---------------------------------------------------------------------------------------------------------

VERDICTS = "[...document.querySelectorAll('#table tbody tr')].map(r => Number(r.cells[3].dataset.value))"
SORTED = "document.querySelector('#table th:nth-child(4)').getAttribute('aria-sort')"


def test_a_heading_sorts_the_table_by_mouse_and_by_keyboard(opened: Browser) -> None:
    before = opened.run(VERDICTS)
    assert set(before) == {0, 1}
    opened.click('thead button[data-column="3"]')
    assert (opened.run(SORTED), opened.run(VERDICTS)) == ("ascending", sorted(before))
    opened.press("Enter", code=13, text="\r")  # it has the focus
    assert (opened.run(SORTED), opened.run(VERDICTS)) == ("descending", sorted(before, reverse=True))


def test_every_problem_opens_and_shows_hostile_text_as_text(opened: Browser) -> None:
    opened.click("#table button.open")
    assert opened.run("document.querySelectorAll('tr.details').length") == 1
    opened.run("for (const b of document.querySelectorAll('#table button.open[aria-expanded=false]')) b.click()")
    assert opened.run("document.querySelectorAll('tr.details').length") == 12
    shown = opened.run("document.body.textContent")
    for text in (HOSTILE[0], "__proto__", "javascript:alert('owned')", HOSTILE[10], "\u202egnp.exe"):
        assert text in shown
    assert "#0 42" not in shown
    assert opened.run("document.querySelectorAll('img, iframe, object, embed, base, form[action]').length") == 0
    assert opened.run("document.scripts.length") == 3
    links = opened.run("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert links == ["#problems"]
    assert opened.run("Object.prototype.owned === undefined && ({}).x === undefined")
    assert opened.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_script_that_is_not_the_pages_own_does_not_run(browser: Browser, page: str, tmp_path: Path) -> None:
    html = Path(page.removeprefix("file://")).read_text(encoding="utf-8")
    copy = tmp_path / "copy.html"
    before, end, after = html.rpartition("</body>")
    copy.write_text(f"{before}<script>document.body.id = 'owned'</script>{end}{after}", encoding="utf-8")
    browser.open(copy.as_uri())
    assert browser.run("document.body.id") == ""
    said, browser.complaints[:] = set(browser.complaints), []
    assert len(said) == 1
    assert "Content Security Policy" in said.pop()


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_window(opened: Browser, page: str, width: int) -> None:
    opened.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    try:
        opened.open(page)
        opened.wait("document.documentElement.dataset.charts === 'drawn'")
        assert opened.run("document.documentElement.scrollWidth") <= width
    finally:
        opened.ask("Emulation.clearDeviceMetricsOverride")


# -- what is drawn of one problem --------------------------------------------------------------------------------------


def page_of(unit: UnitRecord, folder: Path) -> str:
    path = folder / "one.html"
    path.write_text(render(summarise([unit], {}), [unit]), encoding="utf-8")
    return path.as_uri()


def with_trace(make_units: Make, *more: dict[str, Any]) -> UnitRecord:
    unit = next(u for u in make_units(per_family=1) if u.spec == "knockout:n=4")
    return replace(unit, outcome=replace(unit.outcome, trace=(*unit.outcome.trace[:4], *more)))


def match(stage: int, number: int, a: int, b: int, won: float, answers: tuple[str, str]) -> dict[str, Any]:
    compare = {"event": "compare", "tokens": 9, "a": a, "b": b, "answers": list(answers), "first": "a", "won": won}
    return {"event": "match", "tokens": 9, "stage": stage, "number": number, "events": [compare]}


def test_a_knockout_is_a_bracket_of_rounds(browser: Browser, make_units: Make, tmp_path: Path) -> None:
    unit = with_trace(
        make_units,
        match(1, 0, 0, 1, 1.0, ("1", "2")),
        match(1, 1, 2, 3, 0.0, ("3", HOSTILE[0])),
        {"event": "stage", "tokens": 9, "stage": 1, "standing": ["1", HOSTILE[0]]},
        match(2, 0, 0, 3, 1.0, ("1", HOSTILE[0])),
        {"event": "stage", "tokens": 9, "stage": 2, "standing": ["1"]},
        {"event": "tournament", "tokens": 9, "meetings": 3, "swap_pairs": 0, "swap_consistent": 0},
    )
    browser.open(page_of(unit, tmp_path))
    browser.run("document.querySelector('.open').click()")
    rounds = browser.run(
        "[...document.querySelectorAll('.bracket .round')].map(r => r.querySelectorAll('.match').length)"
    )
    assert rounds == [2, 1]
    assert browser.run("[...document.querySelectorAll('.round:last-child .won')].map(e => e.textContent)") == ["#0 11"]
    assert "3 matches in 2 rounds, 3 comparisons." in browser.run("document.querySelector('.tournament').textContent")
    assert browser.run("document.querySelectorAll('.tournament img').length") == 0


def test_a_league_is_a_table_the_best_first(browser: Browser, make_units: Make, tmp_path: Path) -> None:
    unit = with_trace(
        make_units,
        *(match(1, i, a, b, won, ("x", "y")) for i, (a, b, won) in enumerate([(0, 1, 0.0), (0, 2, 0.0), (1, 2, 1.0)])),
    )
    browser.open(page_of(unit, tmp_path))
    browser.run("document.querySelector('.open').click()")
    rows = browser.run(
        "[...document.querySelectorAll('.standings tbody tr')].map(r => r.innerText.replace(/\\s+/g, ' '))"
    )
    assert [row.split(" ")[0] for row in rows] == ["#1", "#2", "#0"]
    assert rows[0].endswith("2 2 of 2 100%")


def test_parts_open_from_the_disk_at_the_problem_that_was_asked_for(
    browser: Browser, make_units: Make, tmp_path: Path
) -> None:
    units = attacked(make_units)
    table = ProblemTable(units, {}, list(dict.fromkeys(u.spec for u in units)))
    (part,) = write_parts(tmp_path, table, run="run-1")
    href = part.links()[table.order[5]]
    browser.open("about:blank")
    browser.open(f"{(tmp_path / 'problems' / '001.html').as_uri()}#{href.partition('#')[2]}")
    assert browser.run("document.querySelector('tr.details').previousElementSibling.id") == "r5"
    browser.click('thead button[data-column="0"]')
    assert browser.run("document.querySelectorAll('#table tbody > tr').length") == 12


def test_a_search_is_a_tree_that_keys_walk_through(browser: Browser, make_units: Make, tmp_path: Path) -> None:
    unit = searched(make_units, HOSTILE[0])
    browser.open(page_of(unit, tmp_path))
    browser.click(".open")
    browser.run("document.querySelector('[role=tree] [tabindex=\"0\"]').focus()")
    for key, code in (("Home", 36), ("ArrowUp", 38), ("ArrowRight", 39), ("ArrowDown", 40)):
        browser.press(key, code=code)
    script = """[...document.querySelectorAll('[role=treeitem]')].map(e => [e.getAttribute('class').split(' ').slice(1),
        e.getAttribute('aria-level'), e.getAttribute('aria-selected'), e.getAttribute('tabindex')])"""
    assert browser.run(script) == [
        [["pruned"], "1", "false", "-1"],
        [["grown", "on"], "1", "false", "-1"],
        [["behind", "on"], "2", "false", "-1"],
        [["whole"], "2", "true", "0"],  # from the first step up to the better one, to its best child, and down
    ]
    text = " ".join(browser.run("document.body.textContent").split())
    assert f"answer {HOSTILE[0][:47]}…" in text  # in the name of the step
    assert "Node 4 · depth 2 · score 0.4 · 4 tokens · whole, with an answer · drawn 2 times" in text
    assert "4 nodes in 2 waves: 1 gone on from, 1 pruned, 2 whole with an answer." in text
    assert "2 new nodes, best 0.90: 2 whole" in text
    assert browser.run("document.querySelectorAll('.search path.on').length") == 2
