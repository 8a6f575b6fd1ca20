"""A published run holds what others need and nothing that is private, and is the same bytes whenever it is made."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import random
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from ttc import registry
from ttc.errors import ConfigurationError, RunError
from ttc.evals.config import EvalConfig
from ttc.evals.publication import publish
from ttc.evals.publication.redrawing import published_summary, redraw
from ttc.evals.reproduction import reproduce
from ttc.evals.runner import run_eval
from ttc.evals.suite import Problem, Suite
from ttc.models.scripted import Scripted
from ttc.pool_files import read_pool
from ttc.types import Query, Request, Sampling

pytestmark = pytest.mark.anyio

ARITHMETIC = "arithmetic:per_family=8"
NUMBER = registry.create("answer type", "number")


def reply(request: Request) -> str:
    """The sum of the numbers in the question, now and then."""
    rng = random.Random(request.seed)
    numbers = [int(n) for n in re.findall(r"\d+", str(request.messages[-1]["content"]))]
    right = rng.random() < 0.6
    return " ".join([*["so"] * rng.randrange(2, 9), "the answer is", str(sum(numbers) if right else rng.randrange(99))])


async def run(runs: Path, *, name: str = "shown", **fields: Any) -> Path:
    fields = {"suites": (ARITHMETIC,), "strategies": ("single", "majority:n=8,stop=never"), **fields}
    config = EvalConfig(runs=runs, run_id=name, sampling=Sampling(max_tokens=60), **fields)
    return (await run_eval(config, Scripted(reply))).directory


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, ``runs/shown``, and what was published of it: ``out`` and ``out.zip``."""
    folder = tmp_path_factory.mktemp("shown")

    async def make() -> None:
        directory = await run(folder / "runs")
        await reproduce(directory, Scripted(reply), k=3, concurrency=[1])
        before = contents(directory)
        found = await publish(directory, folder / "out", authors=["Ada Lovelace"])
        assert found.warnings == ()
        await publish(directory, folder / "out.zip", authors=["Ada Lovelace"])
        assert contents(directory) == before, "publishing changes nothing of the run"

    anyio.run(make)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def copied(shown: Path, tmp_path: Path) -> Path:
    """The run once more, to be changed."""
    return shutil.copytree(shown / "runs" / "shown", tmp_path / "runs" / "shown")


def test_everything_is_in_it_and_the_hashes_hold(shown: Path) -> None:
    out = shown / "out"
    files = contents(out)
    wanted = {"README.md", "CITATION.cff", "NOTICE.md", "run_card.json", "summary.json", "timings.json", "report.html"}
    wanted |= {"pool.jsonl.gz", "replay.py", "data/points.csv", "data/comparisons.csv", "figures/curves.png"}
    assert wanted | {"figures/curves.svg", "figures/cost.png", "figures/cost.svg", "SHA256SUMS"} <= set(files)
    sums = dict(line.split("  ")[::-1] for line in files["SHA256SUMS"].decode().splitlines())
    assert sums == {name: hashlib.sha256(files[name]).hexdigest() for name in files if name != "SHA256SUMS"}
    pool = read_pool(out / "pool.jsonl.gz")
    assert (len(pool), {len(p) for p in pool.problems}) == (48, {8})
    citation = files["CITATION.cff"].decode()
    assert 'name: "Ada Lovelace"' in citation
    assert citation.startswith("cff-version: 1.2.0\n")
    assert b"Apache-2.0 (generated)" in files["NOTICE.md"]
    assert json.loads(files["reproduction.json"])["samples"] == 3


def test_the_figures_data_are_the_points_of_the_summary(shown: Path) -> None:
    points = list(csv.DictReader(io.StringIO((shown / "out" / "data" / "points.csv").read_text())))
    summary = json.loads((shown / "out" / "summary.json").read_bytes())
    whole = [p for c in summary["curves"] for p in c["points"]]
    assert [float(row["accuracy"]) for row in points] == [p["accuracy"] for p in whole]
    assert [float(row["thinking"]) for row in points] == [p["cost"]["thinking"] for p in whole]
    assert {row["dollars"] for row in points} == {""}  # nobody gave a price


def test_folder_and_zip_hold_the_same_bytes_in_order_and_without_a_time(shown: Path) -> None:
    with zipfile.ZipFile(shown / "out.zip") as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {n.removeprefix("shown/"): archive.read(n) for n in names} == contents(shown / "out")


async def test_no_key_password_address_or_home_is_in_it(
    shown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAMPLE_API_KEY", "very-private-value")
    directory = copied(shown, tmp_path)
    card = orjson.loads((directory / "run.json").read_bytes())
    card["config"]["base_url"] = "https://me:hunter2hunter2@internal.example:8000"
    card["config"]["sampling"]["extra"] = {"api_key": "topsecret-in-extra", "note": "sk-abcdefghijklmnopqrstuv"}
    card["models"]["scripted"]["server"] = {
        "base_url": "http://internal.example",
        "root": "/home/somebody/models/x",
        "flags": ["--api-key", "flagsecret1", "--dtype", "auto"],
    }
    card["server"] = card["models"]["scripted"]["server"]
    card["caveats"] = {"x": f"made in {Path.home()}/private with very-private-value"}
    (directory / "run.json").write_bytes(orjson.dumps(card))
    await publish(directory, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        whole = {name: archive.read(name) for name in archive.namelist()}
    for name, content in whole.items():
        plain = gzip.decompress(content) if name.endswith(".gz") else content
        for secret in ("hunter2", "topsecret", "sk-abcdef", "flagsecret1", "very-private", "internal.example"):
            assert secret.encode() not in plain, f"{secret} in {name}"
        assert b"/home/somebody" not in plain, name
        assert f"{Path.home()}/".encode() not in plain, name
        assert str(tmp_path).encode() not in plain, name
    clean = json.loads(whole["shown/run_card.json"])
    assert clean["models"]["scripted"]["server"]["root"] == "~/models/x"
    assert clean["models"]["scripted"]["server"]["flags"] == ["--api-key", "***", "--dtype", "auto"]
    assert clean["config"]["sampling"]["max_tokens"] == 60
    assert clean["config"]["sampling"]["extra"]["api_key"] == "(removed)"


async def test_a_secret_that_a_model_repeats_is_not_published(
    shown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = shown / "runs" / "shown"
    monkeypatch.setenv("EXAMPLE_TOKEN", "so the answer")
    with pytest.raises(RunError, match="would hold a key or password"):
        await publish(directory, tmp_path / "out")
    assert not (tmp_path / "out").exists()


async def test_without_texts_there_is_neither_page_nor_prompt(shown: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = await publish(shown / "runs" / "shown", out, texts=False)
    assert not [name for name in found.files if name.endswith(".html")]
    pool = read_pool(out / "pool.jsonl.gz")
    assert all(not p.texts and not p.prompt for p in pool.problems)
    assert "What is" not in gzip.decompress((out / "pool.jsonl.gz").read_bytes()).decode()


async def test_gated_problems_are_not_published_in_plain_text(shown: Path, tmp_path: Path) -> None:
    directory = copied(shown, tmp_path)
    card = orjson.loads((directory / "run.json").read_bytes())
    card["suites"][0]["info"] = {"licence": "CC-BY-4.0 (gated)"}
    (directory / "run.json").write_bytes(orjson.dumps(card))
    with pytest.raises(RunError, match="may not be published in plain text: --without-texts"):
        await publish(directory, tmp_path / "out")


async def test_a_run_without_a_pool_says_why(tmp_path: Path) -> None:
    suite = Suite("toy", [Problem(Query.of(f"what is {i} and 1", answer_type=NUMBER), str(i + 1)) for i in range(3)])
    directory = await run(tmp_path / "runs", suites=(suite,), strategies=("single",))
    found = await publish(directory, tmp_path / "out")
    assert "pool.jsonl.gz" not in found.files
    assert "replay.py" not in found.files
    assert "there is no pool in it: the suite of run 'shown' cannot be loaded" in found.warnings[0]
    assert found.warnings[0] in (tmp_path / "out" / "README.md").read_text()


async def test_each_model_of_a_run_has_a_pool_of_its_own(tmp_path: Path) -> None:
    models = {"org/small": Scripted(reply), "large": Scripted(reply)}
    config = EvalConfig(suites=("arithmetic:per_family=1",), strategies=("single",), runs=tmp_path, run_id="two")
    found = await publish((await run_eval(config, models)).directory, tmp_path / "out")
    assert {name for name in found.files if "pool" in name} == {"pools/org-small.jsonl.gz", "pools/large.jsonl.gz"}
    assert read_pool(tmp_path / "out" / "pools" / "org-small.jsonl.gz").model == "org/small"
    assert 'read_pool("pools/org-small.jsonl.gz")' in (tmp_path / "out" / "replay.py").read_text()
    assert "ttc pool stats pools/org-small.jsonl.gz" in (tmp_path / "out" / "README.md").read_text()


async def test_where_something_is_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(ConfigurationError, match="there is something already"):
        await publish(tmp_path / "run", tmp_path / "full")
    with pytest.raises(ConfigurationError, match="there is no folder"):
        await publish(tmp_path / "run", tmp_path / "none" / "out.zip")
    with pytest.raises(RunError, match="there is no run"):
        await publish(tmp_path / "run", tmp_path / "out")


# -- redrawing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["folder", "zip", "summary"])
def test_the_figures_are_redrawn_to_the_byte(shown: Path, tmp_path: Path, form: str) -> None:
    made = redraw(
        shown / {"folder": "out", "zip": "out.zip", "summary": "out/summary.json"}[form], tmp_path / "redrawn"
    )
    drawn = {path.name: path.read_bytes() for path in made}
    assert {"curves.png", "curves.svg", "cost.png", "cost.svg"} <= set(drawn)
    there = contents(shown / "out" / "figures")
    assert {name: drawn[name] for name in there} == there


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"{}"])
def test_what_is_no_publication_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"--from .*(cannot be read|there is no summary.json)"):
        published_summary(tmp_path)


def test_a_zip_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        published_summary(tmp_path / "x.zip")


# -- what others do with it --------------------------------------------------------------------------------------------


def test_unpacked_into_an_empty_folder_it_does_what_its_readme_says(shown: Path, tmp_path: Path) -> None:
    """Every command of the README runs as it stands, without the run; only what installs is left out."""
    with zipfile.ZipFile(shown / "out.zip") as archive:
        archive.extractall(tmp_path)
    here = tmp_path / "shown"
    commands = [
        line
        for block in re.findall(r"```bash\n(.*?)```", (here / "README.md").read_text(), re.DOTALL)
        for line in block.strip().splitlines()
        if not line.startswith("pip install")
    ]
    assert [line.split()[:3] for line in commands] == [
        ["ttc", "report", "--from"],
        ["ttc", "pool", "stats"],
        ["ttc", "pool", "curves"],
        ["python", "replay.py"],
        ["ttc", "tune", "pool.jsonl.gz"],
    ]
    said: dict[str, str] = {}
    for line in commands:
        words = line.split()
        command = [sys.executable, "-m", "ttc", *words[1:]] if words[0] == "ttc" else [sys.executable, *words[1:]]
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        said[line] = done.stdout
    assert (here / "redrawn" / "curves.png").read_bytes() == (here / "figures" / "curves.png").read_bytes()
    assert (here / "replayed.png").is_file()
    assert (here / "policy.toml").is_file()
    assert "n=8:" in said["python replay.py"]


@pytest.mark.parametrize("damage", ["garbage", "truncated"])
async def test_a_damaged_store_is_refused_by_its_own_name(shown: Path, tmp_path: Path, damage: str) -> None:
    directory = copied(shown, tmp_path)
    store = directory / "store.sqlite"
    content = bytearray(store.read_bytes())
    if damage == "garbage":
        content[2 * 4096 : 3 * 4096] = random.Random(0).randbytes(4096)
    else:
        del content[len(content) // 2 :]
    store.write_bytes(content)
    with pytest.raises(RunError, match=re.escape(str(directory))):
        await publish(directory, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()
