"""Pools as files: what is written comes back, what is broken is named by file, line and field, and imports."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data import recorded
from ttc.budget import Price
from ttc.errors import ConfigurationError, UnknownName
from ttc.pool_answers import equal_texts
from ttc.pool_files import import_pool, read_pool, write_pool
from ttc.pools import CutColumns, Pool, RecordedProblem
from ttc.types import TextAnswer

AMOUNT = st.floats(0, 1e9, allow_nan=False) | st.integers(0, 10**9).map(float)
SHARE = st.none() | st.floats(0, 1)
COUNT = st.integers(0, 10**12)
TEXT = st.text(max_size=8)


@st.composite
def problems(draw: st.DrawFn, name: str) -> RecordedProblem:
    n = draw(st.integers(0, 4))

    def column(of: st.SearchStrategy[Any]) -> tuple[Any, ...]:
        return tuple(draw(st.lists(of, min_size=n, max_size=n)))

    def perhaps(of: st.SearchStrategy[Any]) -> tuple[Any, ...]:
        return column(of) if draw(st.booleans()) else ()

    answers = st.none() | TEXT
    cuts = draw(st.lists(st.integers(1, 9999), max_size=2, unique=True))
    return RecordedProblem(
        id=name,
        group=draw(st.just("") | TEXT),
        prompt=draw(TEXT),
        tags=draw(st.dictionaries(TEXT, TEXT, max_size=2)),
        answers=column(answers),
        right=column(SHARE),
        generated=perhaps(AMOUNT),
        reasoning=perhaps(COUNT),
        answer_tokens=perhaps(COUNT),
        prompt_tokens=perhaps(COUNT),
        characters=perhaps(COUNT),
        seconds=perhaps(AMOUNT),
        logprobs=perhaps(st.none() | st.floats(-1e6, 0)),
        finish=perhaps(TEXT),
        texts=perhaps(TEXT),
        scores={v: column(SHARE) for v in draw(st.lists(TEXT, max_size=2, unique=True))},
        cuts={
            c: CutColumns(answers=column(answers), right=column(SHARE), generated=column(AMOUNT)) for c in sorted(cuts)
        },
    )


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    ids = draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3, unique=True))
    price = st.builds(Price, prompt=AMOUNT, generated=AMOUNT, cached=st.none() | AMOUNT)
    return Pool(
        name=draw(TEXT),
        model=draw(TEXT),
        problems=tuple(draw(problems(i)) for i in ids),
        unit=draw(st.sampled_from(["tokens", "characters", "samples"])),
        thinking=draw(TEXT),
        price=draw(st.none() | price),
        pass_fail=draw(st.frozensets(TEXT, max_size=2)),
        cost=draw(st.dictionaries(TEXT, AMOUNT, max_size=2)),
        info=draw(st.dictionaries(TEXT, TEXT | st.integers(-100, 100) | st.lists(TEXT, max_size=2), max_size=2)),
    )


@settings(deadline=None)
@given(pool=pools(), packed=st.booleans())
def test_what_is_written_comes_back(tmp_path_factory: pytest.TempPathFactory, pool: Pool, packed: bool):
    path = tmp_path_factory.mktemp("pools") / ("pool.jsonl.gz" if packed else "pool.jsonl")
    write_pool(pool, path)
    found = read_pool(path)
    assert found == pool
    assert found.digest() == pool.digest()


POOL = Pool(
    name="made",
    model="m",
    problems=tuple(
        RecordedProblem(
            id=name, answers=("7", None), right=(1.0, None), generated=(10.0, 20.5), scores={"judge": (0.5, None)}
        )
        for name in ("one", "two")
    ),
)


NO_CUT: dict[str, list[int]] = {"answers": [], "right": [], "generated": []}


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_a_file_is_a_header_and_a_line_a_problem(tmp_path: Path):
    write_pool(POOL, tmp_path / "pool.jsonl")
    header, one, two = map(json.loads, lines_of(tmp_path / "pool.jsonl"))
    assert (header["ttc_pool"], header["model"]) == (1, "m")
    assert one == {
        "id": "one",
        "answers": ["7", None],
        "right": [1, None],
        "generated": [10, 20.5],
        "scores": {"judge": [0.5, None]},
    }
    assert two["id"] == "two"
    assert "1.0" not in lines_of(tmp_path / "pool.jsonl")[1]


def test_equal_pools_become_equal_files(tmp_path: Path):
    write_pool(POOL, tmp_path / "a.jsonl.gz")
    write_pool(POOL, tmp_path / "b.jsonl.gz")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert len(gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()).splitlines()) == 3


def test_a_pool_that_cannot_be_written_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "pool.jsonl"
    write_pool(POOL, path)
    before = path.read_bytes()
    broken = replace(POOL.problems[0], id="three", generated=(float("nan"), 1.0))
    with pytest.raises(ConfigurationError, match=r"pool.jsonl: problem three, generated\.0: input should be"):
        write_pool(replace(POOL, problems=(*POOL.problems, broken)), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["pool.jsonl"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"pool\.jsonl: cannot be written"):
        write_pool(POOL, tmp_path / "nowhere" / "pool.jsonl")


def edited(path: Path, number: int, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change one line of a pool, counted from one."""
    written = lines_of(path)
    data = json.loads(written[number - 1])
    edit(data)
    path.write_text("\n".join([*written[: number - 1], json.dumps(data), *written[number:]]) + "\n")


@pytest.mark.parametrize(
    ("number", "edit", "says"),
    [
        (1, lambda d: d.update(ttc_pool=2), "a pool of version 2, and this ttc reads version 1"),
        (1, lambda d: d.pop("ttc_pool"), r"this is no pool: its first line has no \"ttc_pool\".*ttc pool import"),
        (1, lambda d: d.update(unit="dollars"), "line 1, unit: input should be 'tokens'"),
        (1, lambda d: d.pop("model"), "line 1, model: field required"),
        (1, lambda d: d.update(price={"prompt": -1, "generated": 1}), r"price\.prompt: input should be greater"),
        (2, lambda d: d.update(right=[1]), "line 2: right has 1 values, and answers has 2"),
        (2, lambda d: d.update(right=[]), "line 2: right has 0 values, and answers has 2"),
        (2, lambda d: d.update(right=[1, 2]), r"line 2, right\.1: input should be less than or equal to 1"),
        (2, lambda d: d.update(right=[1, True]), r"line 2, right\.1: input should be a valid number"),
        (3, lambda d: d.update(generated=[1, "2"]), r"line 3, generated\.1: input should be a valid number"),
        (3, lambda d: d.update(generated=[1, None]), r"line 3, generated\.1"),
        (3, lambda d: d.update(reasoning=[1, 2.5]), r"line 3, reasoning\.1"),
        (3, lambda d: d.update(scores={"judge": [0.5]}), r"line 3: scores\.judge has 1 values"),
        (3, lambda d: d.update(answers=[7, None]), r"line 3, answers\.0: input should be a valid string"),
        (3, lambda d: d.update(colour="red"), "line 3, colour: no such field"),
        (3, lambda d: d.update(id="one"), "line 3, id: 'one' is the id of line 2 already"),
        (3, lambda d: d.update(cuts={"x": NO_CUT}), "line 3, cuts: 'x' is no number of tokens"),
        (3, lambda d: d.update(cuts={"0": NO_CUT}), "line 3, cuts: '0' is no number of tokens to cut at, which is 1"),
        (3, lambda d: d.update(cuts={"5": {**NO_CUT, "right": [1]}}), r"line 3, cuts\.5: right has 1 values"),
        (3, lambda d: d.update(cuts={"5": NO_CUT}), r"cuts\.5\.answers has 0 values, and answers has 2"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, number: int, edit: Callable[[dict[str, Any]], object], says: str):
    path = tmp_path / "pool.jsonl"
    write_pool(POOL, path)
    edited(path, number, edit)
    with pytest.raises(ConfigurationError, match=says) as caught:
        read_pool(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_half_written_last_line_is_named(tmp_path: Path):
    path = tmp_path / "pool.jsonl"
    write_pool(POOL, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigurationError, match=r"line 3: the line is cut off: .* or delete the line"):
        read_pool(path)


def test_a_broken_line_is_named(tmp_path: Path):
    path = tmp_path / "pool.jsonl"
    write_pool(POOL, path)
    path.write_text(path.read_text().replace('"id":"one"', '"id":one'))
    with pytest.raises(ConfigurationError, match="line 2: the line is broken"):
        read_pool(path)


def test_a_gzip_file_that_is_cut_off_is_named(tmp_path: Path):
    path = tmp_path / "pool.jsonl.gz"
    write_pool(POOL, path)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ConfigurationError, match="the gzip file is cut off behind line"):
        read_pool(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"not json\n", "this is no pool"),
        (b"[1]\n", "this is no pool"),
        (b"\xff\xfe\n", "this is no pool"),
        (b'{"ttc_pool": 1, "name": "x", "model": "m"}\n', "the pool is empty: .*the least is one"),
    ],
)
def test_what_is_no_pool_says_so(tmp_path: Path, content: bytes, says: str):
    (tmp_path / "pool.jsonl").write_bytes(content)
    with pytest.raises(ConfigurationError, match=says):
        read_pool(tmp_path / "pool.jsonl")


def test_what_is_not_there_says_so(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="there is no such file"):
        read_pool(tmp_path / "nothing.jsonl")
    with pytest.raises(ConfigurationError, match="this is a folder"):
        read_pool(tmp_path)
    (tmp_path / "plain.gz").write_text("plain")
    with pytest.raises(ConfigurationError, match="this is no gzip file"):
        read_pool(tmp_path / "plain.gz")


# -- columns ----------------------------------------------------------------------------------------------------------


def rows(tmp_path: Path, *data: dict[str, Any]) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in data))
    return path


def row(**fields: Any) -> dict[str, Any]:
    return {
        "run": "r1", "problem": "p1", "model": "m", "answers": ["7", " 7", None], "correct": [1, 1, None],
        "tokens_out": [10, 20, 30], "tokens_reasoning": [5, 6, None], "tokens_in": [9, 9, 9],
        "time_s": [1.5, 2.0, 3.0], "chars": [40, 50, 60], "level": 5, **fields,
    }  # fmt: skip


def without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}


def test_columns_are_found_by_their_names(tmp_path: Path):
    pool = import_pool(rows(tmp_path, row()), tags=["level"])
    (problem,) = pool.problems
    assert (pool.model, pool.unit, pool.name) == ("m", "tokens", "rows")
    assert (problem.id, problem.group, problem.tags) == ("r1:p1", "p1", {"level": "5"})
    assert problem.answers == ("7", "7", None)
    assert problem.right == (1.0, 1.0, None)
    assert (problem.generated, problem.prompt_tokens) == ((10.0, 20.0, 30.0), (9, 9, 9))
    assert (problem.seconds, problem.characters) == ((1.5, 2.0, 3.0), (40, 50, 60))
    assert problem.reasoning == ()  # of one sample it was not recorded, and none is made up


def test_columns_can_have_any_name(tmp_path: Path):
    path = rows(tmp_path, {"name": "x", "said": [3, 4.5], "ok": [True, False], "cost": [1, 2]})
    columns = {"id": "name", "answers": "said", "right": "ok", "generated": "cost"}
    (problem,) = import_pool(path, columns=columns, model="m").problems
    assert (problem.id, problem.answers, problem.right) == ("x", ("3", "4.5"), (1.0, 0.0))


def test_a_row_without_a_name_is_named_by_its_line(tmp_path: Path):
    (problem,) = import_pool(rows(tmp_path, {"answers": ["a"], "tokens_out": [1]}), model="m").problems
    assert problem.id == "line 1"


def test_samples_without_tokens_are_left_out_and_counted(tmp_path: Path):
    path = rows(tmp_path, row(tokens_out=[10, None, 30]), without(row(problem="p2"), "tokens_out"))
    pool = import_pool(path)
    assert [p.id for p in pool.problems] == ["r1:p1"]
    assert pool.problems[0].answers == ("7", None)
    assert pool.problems[0].seconds == (1.5, 3.0)
    assert pool.info["left_out"] == {"samples without tokens": 1, "rows without tokens": 1}


def test_another_unit_takes_other_rows(tmp_path: Path):
    path = rows(tmp_path, row(), without(row(problem="p2"), "tokens_out"), without(row(problem="p3"), "chars"))
    characters = import_pool(path, unit="characters")
    assert [p.id for p in characters.problems] == ["r1:p1", "r1:p2"]
    assert characters.problems[0].generated == (40.0, 50.0, 60.0)
    assert characters.problems[0].prompt_tokens == ()  # tokens and characters are not mixed
    samples = import_pool(path, unit="samples")
    assert len(samples) == 3
    assert [s.usage.generated for s in samples.problems[0].samples()] == [1, 1, 1]


def test_a_unit_or_a_way_to_think_that_is_none_is_refused(tmp_path: Path):
    path = rows(tmp_path, row())
    with pytest.raises(
        ConfigurationError, match=r"unit: 'foo' is none\. Costs are counted in tokens, characters, samples"
    ):
        import_pool(path, unit="foo")  # pyright: ignore[reportArgumentType]
    for thinking in ("hard", "0", "-5", "512 tokens"):
        with pytest.raises(ConfigurationError, match="give off, low, medium, high, or tokens that a sample may think"):
            import_pool(path, thinking=thinking)
    assert [import_pool(path, thinking=t).thinking for t in ("", "off", "high", "512")] == ["", "off", "high", "512"]


def test_a_column_that_no_row_has_is_refused_and_those_that_are_there_are_named(tmp_path: Path):
    path = rows(tmp_path, row(), row(problem="p2", level="easy", empty=None))
    assert import_pool(path, tags=["level"]).problems[1].tags == {"level": "easy"}
    for asked in ({"tags": ["nosuch"]}, {"tags": ["empty"]}, {"scores": {"v": "nosuch"}}):
        with pytest.raises(
            ConfigurationError, match=r"no row has a column '(nosuch|empty)'; columns are run, .*level$"
        ):
            import_pool(path, **asked)


def test_rows_are_chosen_by_their_values(tmp_path: Path):
    path = rows(tmp_path, row(), row(problem="p2", model="n"), row(problem="p3"), row(problem="p4", run="r2"))
    found = import_pool(path, where={"model": ["m"], "problem": ["p1", "p4"]})
    assert [p.id for p in found.problems] == ["r1:p1", "r2:p4"]


def test_answers_are_told_apart_by_their_type(tmp_path: Path):
    (problem,) = import_pool(rows(tmp_path, row(answers=["1,000", "1000.0", "no"])), answer="number").problems
    assert problem.answers == ("1,000", "1,000", None)


class _Slow(TextAnswer):
    """Answers of the same length are equal, which takes time to say."""

    async def decide(self, a: str, b: str, session: object) -> str:
        return "undecided" if "?" in a + b else "equal" if len(a) == len(b) else "different"


def test_answers_are_told_apart_where_that_takes_time():
    found, undecided = equal_texts([("aa", "b", None, "cc", "d"), ("?", "a")], _Slow())
    assert found == [("aa", "b", None, "aa", "b"), ("?", "a")]
    assert undecided == 1


@pytest.mark.anyio
async def test_answers_are_told_apart_where_a_loop_runs():
    assert equal_texts([("aa", "cc")], _Slow())[0] == [("aa", "aa")]


def test_scores_outside_a_share_are_squashed(tmp_path: Path):
    path = rows(tmp_path, row(rm=[0.5, -3.0, None], judge=[0.5, 1, 0]), row(problem="p2", rm=[0.5, 0.1, 0.2]))
    pool = import_pool(path, scores={"reward": "rm", "judge": "judge"})
    reward = pool.problems[0].scores["reward"]
    assert reward == (pytest.approx(0.6225, abs=1e-4), pytest.approx(0.0474, abs=1e-4), None)
    assert pool.problems[1].scores["reward"][0] == reward[0]  # all of a verifier's are, or none
    assert pool.problems[0].scores["judge"] == (0.5, 1, 0)
    assert pool.info["squashed"] == {"reward": "1/(1+exp(-rm))"}
    assert pool.verifiers == ("reward",)


@pytest.mark.parametrize(
    ("data", "settings", "says"),
    [
        ([row(correct=[1, 0])], {}, "line 1, correct: 2 values, and answers has 3"),
        ([row(correct=3)], {}, "line 1, correct: is no list"),
        ([row(correct=[1, 2, 0])], {}, r"line 1, correct: 2\.0 is no verdict"),
        ([row(tokens_out=[1, "2", 3])], {}, "line 1, tokens_out: value 2 is no number: '2'"),
        ([row(tokens_out=[1, -2, 3])], {}, "line 1, tokens_out: value 2 is below zero"),
        ([row(), row(answers=[[1], 2, 3])], {}, "line 2, answers: value 1 is no answer"),
        ([without(row(), "answers")], {}, "line 1, answers: a list with the answer of each sample"),
        ([row(), row()], {}, "line 2, id: 'r1:p1' names line 1 already"),
        ([row(), row(problem="p2", model="n")], {}, r"2 models \(m, n\): .* --where model="),
        ([without(row(), "model")], {}, "no model at all"),
        ([without(row(), "tokens_out")], {}, "of 1 rows none has tokens .*--unit characters takes 1 rows; --unit sam"),
        ([row()], {"where": {"model": ["x"]}}, "no row with model=x; there are m"),
        ([row()], {"where": {"colour": ["x"]}}, "no row has a column 'colour'; columns are run, problem"),
        (
            [row(), row(problem="p2", run="r2")],
            {"where": {"problem": ["p1"], "run": ["r2"]}},
            "no row has all of these",
        ),
        ([row()], {"columns": {"colour": "x"}}, "columns: no field 'colour'. Known: id, group"),
        ([row()], {"columns": {"answers": "said"}}, "line 1, said: a list with the answer"),
        ([row(rm="high")], {"scores": {"rm": "rm"}}, "line 1, rm: is no list"),
        ([], {}, "the file is empty; one row is the least"),
    ],
)
def test_what_cannot_be_imported_is_named(
    tmp_path: Path, data: list[dict[str, Any]], settings: dict[str, Any], says: str
):
    with pytest.raises(ConfigurationError, match=says):
        import_pool(rows(tmp_path, *data), **settings)


def test_rows_that_are_no_json_are_named(tmp_path: Path):
    path = rows(tmp_path, row(), row(problem="p2"))
    path.write_text(path.read_text()[:-9])
    with pytest.raises(ConfigurationError, match=r"line 2: no JSON \(it is cut off"):
        import_pool(path)
    path.write_text("[1]\n")
    with pytest.raises(ConfigurationError, match="line 1: no JSON object"):
        import_pool(path)


def test_an_answer_type_that_is_not_there(tmp_path: Path):
    with pytest.raises(UnknownName):
        import_pool(rows(tmp_path, row()), answer="nubmer")


# -- the data ---------------------------------------------------------------------------------------------------------

GPT_5 = {"model": ["openai/gpt-5-2025-08-07"]}


def test_a_run_of_the_data_is_imported(tmp_path: Path):
    pool = import_pool(recorded("otis_aime.jsonl.gz"), where=GPT_5)
    assert (len(pool), pool.width, pool.model) == (45, 8, "openai/gpt-5-2025-08-07")
    assert pool.info["left_out"] == {}
    assert all(len(p.seconds) == len(p.generated) == len(p) for p in pool.problems)
    write_pool(pool, tmp_path / "pool.jsonl.gz")
    assert read_pool(tmp_path / "pool.jsonl.gz") == pool


def test_rows_of_the_data_without_tokens_are_counted():
    pool = import_pool(recorded("otis_aime.jsonl.gz"), model="all")
    assert pool.info["left_out"] == {"rows without tokens": 1127, "samples without tokens": 8}
    assert len(pool) == 628
