"""Rows of data sets: whatever the form of the file, what is wrong with it is said with its line."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ttc.errors import ConfigurationError, MissingExtra
from ttc.evals.suites.rows import Hub, Row, file_rows, files, hub_rows

ROWS: list[dict[str, Any]] = [{"question": 'a, "b"\nc', "answer": "1"}, {"question": "d", "answer": "2"}]
FORMS = {
    "made.jsonl": "\n".join(json.dumps(row) for row in ROWS),
    "made.json": json.dumps(ROWS, indent=1),
    "lines.json": "\n\n".join(json.dumps(row) for row in ROWS),
    "made.csv": 'question,answer\n"a, ""b""\nc",1\nd,2\n',
    "made.tsv": 'question\tanswer\n"a, ""b""\nc"\t1\nd\t2\n',
}


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", FORMS)
def test_a_file_of_any_form_has_the_same_rows(tmp_path: Path, name: str, mark: str, packed: str) -> None:
    path = write(tmp_path / (name + packed), mark + FORMS[name])
    assert [dict(row.columns) for row in file_rows(path)] == ROWS


@pytest.mark.parametrize(
    ("name", "lines"),
    [("made.jsonl", [1, 2]), ("made.json", [2, 6]), ("lines.json", [1, 3]), ("made.csv", [2, 4]), ("made.tsv", [2, 4])],
)
def test_a_row_knows_the_line_on_which_it_begins(tmp_path: Path, name: str, lines: list[int]) -> None:
    path = write(tmp_path / name, FORMS[name])
    assert [row.where for row in file_rows(path)] == [f"{path}, line {line}" for line in lines]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("bad.jsonl", '{"a": 1}\n{"a": ', "line 2: not JSON"),
        ("bad.jsonl", '{"a": 1}\n[2]', "line 2: not an object with named columns"),
        ("bad.json", '[{"a": 1},\n\n{"a" 2}]', "line 3: not JSON"),
        ("bad.json", '[{"a": 1}\n{"a": 2}]', "line 1: not JSON .a comma is missing"),
        ("bad.json", '[{"a": 1},\n7]', "line 2: not an object"),
        ("bad.json", '[{"a": 1},', "the list is not closed"),
        ("pretty.json", '{\n "data": [\n {"a": 1}]}\n', "a .json file has to be a list of objects, or to hold one"),
        ("cut.json", '{\n "data": [', "line 1: not JSON"),
        ("bad.csv", "a,b\n1,2\n1,2,3\n", "line 3: more fields than the header"),
        ("bad.csv", 'a,b\n1,2\n"1,2\n', "line 3: not a table"),
        ("bad.csv", b"a,b\n\xff\xfe,2\n", "not a table"),
        ("bad.jsonl", b'{"a": "\xff"}', "line 1: not JSON"),
        ("bad.jsonl", b'{"a": ' + b"[" * 100_000, "line 1: not JSON"),
    ],
)
def test_a_file_that_is_not_of_its_form_names_the_line(tmp_path: Path, name: str, text: str | bytes, says: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(ConfigurationError, match=says) as caught:
        list(file_rows(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_gzip_or_ends_early_cannot_be_read(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"a": 1}\n' * 1000)
    for data in (b"plain", whole[: len(whole) // 2]):
        path = tmp_path / "bad.jsonl.gz"
        path.write_bytes(data)
        with pytest.raises(ConfigurationError, match="cannot be read"):
            list(file_rows(path))


def test_a_file_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read \(No such file or directory\): ask for it"):
        list(file_rows(tmp_path / "none.jsonl", how="ask for it"))


def test_empty_files_have_no_rows(tmp_path: Path) -> None:
    assert [list(file_rows(write(tmp_path / name, ""))) for name in FORMS] == [[]] * len(FORMS)
    assert list(file_rows(write(tmp_path / "list.json", " [ ] "))) == []
    assert list(file_rows(write(tmp_path / "head.csv", "a,b\n"))) == []


def test_several_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    first, second = write(tmp_path / "I.jsonl", '{"a": 1}'), write(tmp_path / "II.jsonl", '{"a": 2}')
    assert [row.columns["a"] for row in file_rows(f"{first}+{second}")] == [1, 2]
    odd = write(tmp_path / "c++.jsonl", '{"a": 3}')
    assert files(str(odd)) == [odd]


def test_rows_behind_the_last_one_wanted_are_not_read(tmp_path: Path) -> None:
    rows = file_rows(write(tmp_path / "made.jsonl", '{"a": 1}\nnot json'))
    assert next(rows).columns == {"a": 1}


def test_a_missing_column_is_named_with_those_that_there_are() -> None:
    row = Row("mine.jsonl, line 7", {"question": "x", "gold": None, "blank": " "})
    with pytest.raises(
        ConfigurationError, match=r"^mine.jsonl, line 7: 'answer' is missing; the columns are: question"
    ):
        row.text("answer")
    with pytest.raises(ConfigurationError, match=r"'a' or 'b' is missing; "):
        row.value("a", "b")
    with pytest.raises(ConfigurationError, match=r"'gold' is missing \(it is empty\)"):
        row.value("gold")
    with pytest.raises(ConfigurationError, match=r"'blank' is missing: the column is empty"):
        row.text("blank")
    assert row.get("answer", "question") == "x"
    assert row.get("answer") == ""


@pytest.mark.parametrize(("value", "text"), [(27.0, "27"), (2.5, "2.5"), (7, "7"), (True, "true"), (" x ", "x")])
def test_numbers_are_read_as_text(value: Any, text: str) -> None:
    assert Row("", {"answer": value}).value("answer") == text


def test_text_is_no_number_and_a_list_is_neither() -> None:
    row = Row("here", {"answer": 3, "list": [1]})
    with pytest.raises(ConfigurationError, match="no text"):
        row.text("answer")
    with pytest.raises(ConfigurationError, match="no text and no number"):
        row.value("list")


# -- the hub


def hub(monkeypatch: pytest.MonkeyPatch, load: Any) -> None:
    module = ModuleType("datasets")
    module.load_dataset = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_the_hub_is_asked_for_a_configuration_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    hub(monkeypatch, lambda *names, **options: asked.append((names, options)) or [{"a": 1}])
    assert [row.where for row in hub_rows(Hub("own/one"), how="")] == ["own/one (test), row 1"]
    list(hub_rows(Hub("own/two", "main", "train"), how=""))
    assert asked == [(("own/one",), {"split": "test"}), (("own/two", "main"), {"split": "train"})]


@pytest.mark.parametrize(
    ("data_set", "raised", "says"),
    [
        (
            Hub("a/b"),
            ConnectionError("no\nroute"),
            r"\(ConnectionError: no route\)\. Where there is no network, do this",
        ),
        (Hub("a/b", gated=True), OSError("401"), r"accept its terms on https://huggingface.co/datasets/a/b and log in"),
        (Hub("a/b"), OSError("a/b is a gated data set"), r"accept its terms .* Else, do this"),
    ],
)
def test_a_data_set_that_cannot_be_had_says_the_way_out(
    monkeypatch: pytest.MonkeyPatch, data_set: Hub, raised: Exception, says: str
) -> None:
    def load(*names: Any, **options: Any) -> Any:
        raise raised

    hub(monkeypatch, load)
    with pytest.raises(ConfigurationError, match=says):
        list(hub_rows(data_set, how="do this"))


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"ttc-compute\[suites\]"):
        list(hub_rows(Hub("a/b"), how="do this"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"'pyarrow': pip install 'ttc-compute\[suites\]'"):
        list(file_rows(write(tmp_path / "made.parquet", b"PAR1")))
