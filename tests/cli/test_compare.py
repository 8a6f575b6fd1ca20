"""``ttc compare``: the table, the page and the JSON of two runs, and what is refused."""

from __future__ import annotations

import random
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from ttc.cli.compare import compare_command
from ttc.errors import ConfigurationError, RunError
from ttc.evals.records import UnitRecord
from ttc.evals.store import Store
from ttc.types import Outcome, Usage

HOSTILE = "<script>alert(1)</script>\x1b[31m$x$"


def unit(problem: int, strategy: str, right: bool, tokens: int, setting: int | None = None) -> UnitRecord:
    spec = f"{strategy}:n={setting}" if setting else strategy
    outcome = Outcome(
        query_id=f"q{problem}",
        answer="4",
        candidate=None,
        ended_by="finished",
        usage={"generate": Usage(9, 0, 0, tokens)},
        calls={"generate": 1},
    )
    return UnitRecord(
        key=f"{problem} {spec}",
        suite="toy",
        problem=f"q{problem}",
        strategy=strategy,
        spec=spec,
        setting=setting,
        outcome=outcome,
        correct=right,
        model="m",
    )


def make(runs: Path, name: str, right: float, *, seed: int, strategy: str = "single", **card: Any) -> Path:
    """A run of 80 problems that is right so often."""
    rng = random.Random(seed)

    async def keep() -> None:
        with Store(runs / name) as store:
            for i in range(80):
                await store.add_unit(unit(i, strategy, rng.random() < right, 20))
                await store.add_unit(unit(i, "knockout", rng.random() < right, 60, 4))

    anyio.run(keep)
    suite = {"spec": "toy", "digest": "d", "problems": 80}
    whole: dict[str, Any] = {"run_id": name, "config": {"seed": seed, "epochs": 1}, "model": "m", "price": None}
    whole |= {"suites": [suite]} | card
    (runs / name / "run.json").write_bytes(orjson.dumps(whole))
    return runs / name


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    make(tmp_path, "good", 0.8, seed=1)
    make(tmp_path, "bad", 0.3, seed=2)
    return tmp_path


def test_the_table_says_what_differs_first_and_what_is_resolved(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare_command("good", "bad", runs=runs, no_page=True)
    out = capsys.readouterr().out
    assert out.startswith("seed: 1 | 2\n")
    row = next(line for line in out.splitlines() if line.startswith("single"))
    assert re.search(r"single +\d\d\.\d +\d\d\.\d +\+\d\d\.\d +\+\d\d\.\d to \+\d\d\.\d +<0\.001 +1\.00 +above", row)
    assert out.splitlines()[-1].startswith("On 80 problems 2 of 2 differences hold after Holm's correction")
    assert not list(runs.glob("*/*.html"))


def test_where_nothing_is_resolved_it_says_what_it_would_take(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(runs, "also", 0.8, seed=5)
    compare_command("good", "also", runs=runs, no_page=True)
    out = capsys.readouterr().out
    assert "no difference is resolved among 2 differences" in out
    assert re.search(r"80 problems show differences of \d+\.\d points and more with a power of 0\.8", out)


def test_the_page_is_written_opened_and_needs_no_script(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def note(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr("webbrowser.open", note)
    compare_command("good", "bad", runs=runs, open_page=True)
    page = runs / "good" / "compare-bad.html"
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    assert opened == [page.resolve().as_uri()]
    html = page.read_text()
    assert "<script" not in html
    assert "default-src 'none'; style-src 'sha256-" in html
    assert "unsafe-inline" not in html
    assert "<svg" in html
    assert not re.search(r' style="', html)
    assert html.count('<tr class="above">') == 2


def test_hostile_names_are_text_on_the_page_and_in_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        make(tmp_path, name, 0.5, seed=seed, strategy=HOSTILE, ttc=f"{HOSTILE} {name}")
    compare_command("a", "b", runs=tmp_path)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "<script>alert(1)" in out
    tags: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            tags.append(tag)

    Tags().feed((tmp_path / "a" / "compare-b.html").read_text())
    assert "script" not in tags
    assert "table" in tags


def test_everything_as_json(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare_command("good", "bad", runs=runs, json=True, out=runs / "x.html")
    said = capsys.readouterr()
    found = orjson.loads(said.out)
    assert (found["a"], found["b"], found["problems"]) == ("good", "bad", 80)
    assert [row["verdict"] for row in found["differences"]] == ["above", "above"]
    assert said.err.strip() == str(runs / "x.html")


def test_one_strategy_against_another(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare_command("good", "bad", strategy="knockout", against="single", runs=runs, no_page=True)
    assert "knockout n=4 against single" in capsys.readouterr().out


def test_unknown_runs_and_other_suites_are_refused(runs: Path) -> None:
    with pytest.raises(RunError, match=r"there is no run 'goood' .*Did you mean 'good'\?"):
        compare_command("goood", "bad", runs=runs)
    card = orjson.loads((runs / "bad" / "run.json").read_bytes())
    card["suites"] = [{"spec": "other", "digest": "e", "problems": 80}]
    (runs / "bad" / "run.json").write_bytes(orjson.dumps(card))
    with pytest.raises(RunError, match="the runs are of different suites: 'good' alone has toy"):
        compare_command("good", "bad", runs=runs)
    with pytest.raises(ConfigurationError, match="there is no folder"):
        compare_command("good", "bad", runs=runs, out=runs / "none" / "x.html")
