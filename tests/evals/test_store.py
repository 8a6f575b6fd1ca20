"""What was acknowledged is on the disk; one writer; whatever is wrong is said clearly."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc.errors import ConfigurationError, RunError
from ttc.evals.records import (
    Meetings,
    UnitRecord,
    outcome_from_json,
    outcome_to_json,
    sample_from_json,
    sample_to_json,
)
from ttc.evals.store import (
    FILE,
    Paid,
    Store,
    read_calls,
    read_paid,
    read_superseded,
    read_units,
    resolve,
    stream_units,
    write_file,
)
from ttc.types import Candidate, Checkpoint, Outcome, Request, Sample, Usage

pytestmark = pytest.mark.anyio

counts = st.integers(0, 10**6)
usages = st.builds(Usage, counts, counts, counts, counts, st.booleans(), st.sampled_from(["", "server", "mixed"]))
logprob = st.one_of(st.just(-math.inf), st.floats(-100, 0))
texts = st.text(st.characters(exclude_categories=["Cs"]))
samples = st.builds(
    Sample,
    text=texts,
    usage=usages,
    reasoning=texts,
    index=counts,
    seed=st.integers(0, 2**48),
    finish=st.sampled_from(["stop", "length", "cut", "failed"]),
    logprobs=st.lists(logprob, max_size=3).map(tuple),
    top_logprobs=st.lists(st.lists(logprob, max_size=3).map(tuple), max_size=2).map(tuple),
    first_choices=st.lists(st.tuples(texts, logprob), max_size=2).map(tuple),
    latency=st.floats(0, 1e6),
    attempts=st.integers(1, 5),
    forced=st.booleans(),
    error=texts,
)
outcomes = st.builds(
    Outcome,
    query_id=texts,
    answer=st.none() | texts,
    candidate=st.none() | st.builds(Candidate, st.none() | texts, samples, st.none() | st.floats(0, 1)),
    ended_by=st.sampled_from(["finished", "budget", "all_calls_failed"]),
    usage=st.dictionaries(st.sampled_from(["generate", "judge"]), usages),
    calls=st.dictionaries(st.sampled_from(["generate", "judge"]), counts),
    checkpoints=st.lists(st.builds(Checkpoint, st.none() | texts, counts, usages, usages, counts), max_size=3).map(
        tuple
    ),
    dollars=st.none() | st.floats(0, 9),
    warnings=st.lists(texts, max_size=2).map(tuple),
)


def request(i: int = 0, *, logprobs: int | None = None) -> Request:
    return Request(
        messages=({"role": "user", "content": "6 * 7?"},), max_tokens=9, index=i, seed=100 + i, logprobs=logprobs
    )


def unit(key: str) -> UnitRecord:
    outcome = Outcome(query_id="q", answer="42", candidate=None, ended_by="finished", usage={}, calls={})
    return UnitRecord(
        key=key, suite="toy", problem="q", strategy="single", spec="single", outcome=outcome, correct=True
    )


@settings(deadline=None)  # a busy machine is no failure
@given(samples)
def test_a_sample_comes_back_as_it_was(sample: Sample) -> None:
    assert sample_from_json(sample_to_json(sample)) == sample


@settings(deadline=None)  # a busy machine is no failure
@given(outcomes)
def test_an_outcome_comes_back_without_its_logprobs(outcome: Outcome) -> None:
    read = outcome_from_json(outcome_to_json(outcome))
    if outcome.candidate is not None:
        bare = replace(outcome.candidate.sample, logprobs=(), top_logprobs=(), first_choices=())
        outcome = replace(outcome, candidate=replace(outcome.candidate, sample=bare))
    assert read == outcome


async def test_what_was_acknowledged_is_there_for_the_next_process(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        await store.add_call("k", request(), Sample(text="42"))
        await store.add_unit(unit("u"))
        await store.set_meta("colour", "green")
    with Store(tmp_path) as store:
        assert store.call("k") == Sample(text="42")
        assert store.has_unit("u")
        assert not store.has_unit("v")
        assert store.meta("colour") == "green"
        assert [u.key for u in store.units()] == ["u"]
        assert store.call("other") is None


async def test_the_first_record_of_a_key_stays(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        await store.add_call("k", request(), Sample(text="first"))
        await store.add_call("k", request(), Sample(text="second"))
        assert store.call("k") == Sample(text="first")


async def test_a_call_without_logprobs_does_not_answer_one_that_asks_for_them(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        await store.add_call("k", request(), Sample(text="plain"))
        assert store.call("k", logprobs=5) is None
        await store.add_call("k", request(logprobs=5), Sample(text="rich", logprobs=(-0.1,)))
        assert store.call("k", logprobs=5) == Sample(text="rich", logprobs=(-0.1,))
        assert store.call("k") == Sample(text="plain")


async def test_a_logged_call_is_never_replayed(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for _ in range(2):
            await store.add_call("k", request(), Sample(finish="cut"), replay=False)
        assert store.call("k") is None
    with Store(tmp_path) as store:
        assert store.call("k") is None
    rows = sqlite3.connect(tmp_path / FILE)
    assert rows.execute("SELECT count(*) FROM calls WHERE finish = 'cut'").fetchone() == (2,)
    rows.close()


async def test_an_undecided_verdict_comes_back_as_one(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        await store.add_unit(replace(unit("u"), correct=False, undecided=True))
        await store.add_unit(replace(unit("v"), correct=False))
    assert [(u.key, u.correct, u.undecided) for u in read_units(tmp_path)] == [("u", False, True), ("v", False, False)]


async def test_of_a_call_that_was_made_twice_the_one_with_logprobs_is_not_forgotten(tmp_path: Path) -> None:
    rich, poor = Sample(text="rich", logprobs=(-0.5,)), Sample(text="poor")
    with Store(tmp_path) as store:
        await store.add_call("k", replace(request(), logprobs=1), rich, query="q")
        await store.add_call("k", request(), poor, query="q")
        await store.add_call("k", request(), Sample(text="cut", finish="cut"), query="q", replay=False)
        assert store.has_call("k", logprobs=1)
        assert store.call("k", logprobs=1) == rich
    assert [(call.key, call.sample) for call in read_calls(tmp_path, kind="generate")] == [("k", rich)]


async def test_many_writers_share_commits(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        commits = 0
        commit = store._commits.commit

        def counted(group: list) -> None:
            nonlocal commits
            commits += 1
            assert len(group) <= 512
            commit(group)

        store._commits.commit = counted
        async with anyio.create_task_group() as tasks:
            for i in range(2000):
                tasks.start_soon(store.add_call, f"k{i}", request(i), Sample(text=str(i)))
        assert all(store.call(f"k{i}") == Sample(text=str(i)) for i in range(2000))
        assert commits < 20


async def test_a_cancelled_writer_has_written(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.add_call("k", request(), Sample(text="42"))
        assert store.call("k") == Sample(text="42")


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from ttc.evals.store import Store\n"
        "with Store(Path(sys.argv[1])):\n    print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(RunError, match=rf"being written by process {other.pid}\b"):
            Store(tmp_path)
        assert read_units(tmp_path) == []  # reading is free
        other.kill()
    # The lock went with the process; it holds within this one as well.
    with Store(tmp_path), pytest.raises(RunError, match="being written"):
        Store(tmp_path)


async def test_a_torn_tail_keeps_the_prefix(tmp_path: Path) -> None:
    torn = tmp_path / "torn"
    with Store(tmp_path / "run") as store:
        for i in range(20):
            await store.add_unit(unit(f"{i:02}"))
        shutil.copytree(tmp_path / "run", torn)  # as the disk is found after a crash, the log not yet merged
    log = torn / f"{FILE}-wal"
    whole = log.stat().st_size
    kept: list[int] = []
    for size in range(whole, 0, -whole // 7):
        os.truncate(log, size)
        (torn / f"{FILE}-shm").unlink(missing_ok=True)
        shutil.copytree(torn, tmp_path / str(size))
        with Store(tmp_path / str(size)) as store:
            keys = [u.key for u in store.units()]
            assert keys == [f"{i:02}" for i in range(len(keys))]
            kept.append(len(keys))
            await store.add_unit(unit("99"))
    assert kept[0] == 20
    assert kept[-1] < 20
    assert kept == sorted(kept, reverse=True)


async def test_a_full_disk_stops_the_run_and_keeps_what_was_written(tmp_path: Path) -> None:
    with Store(tmp_path / "mine") as store:
        await store.add_unit(unit("u"))
        pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
        store._writer.execute(f"PRAGMA max_page_count={pages + 2}")
        big = Sample(text="x" * 100_000)
        for _ in range(2):  # and nothing is written after it
            with pytest.raises(RunError, match=r"full.*can be resumed: ttc eval --resume mine"):
                await store.add_call("k", request(), big)
        assert store.call("k") is None
    assert [u.key for u in read_units(tmp_path / "mine")] == ["u"]


async def test_another_version_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    other = sqlite3.connect(tmp_path / FILE)
    other.execute("PRAGMA user_version=77")
    other.close()
    with pytest.raises(RunError, match="has version 77"):
        Store(tmp_path)
    with pytest.raises(RunError, match="has version 77"):
        read_units(tmp_path)


OLDER = {  # what takes a store back to a version
    3: "DROP INDEX costs; ALTER TABLE calls DROP COLUMN prompt_tokens; ALTER TABLE calls DROP COLUMN generated_tokens;"
    "ALTER TABLE calls DROP COLUMN cached_tokens;"
    "ALTER TABLE calls DROP COLUMN latency; ALTER TABLE calls DROP COLUMN attempts;"
    "ALTER TABLE calls DROP COLUMN model; ALTER TABLE calls DROP COLUMN unit; ALTER TABLE calls DROP COLUMN source;"
    "DROP TABLE superseded;",
    2: "ALTER TABLE units DROP COLUMN model;",
    1: "ALTER TABLE units DROP COLUMN meetings;",
}


@pytest.mark.parametrize("version", [3, 2, 1])
async def test_a_store_of_an_older_version_is_read_and_written_on(tmp_path: Path, version: int) -> None:
    with Store(tmp_path) as store:
        await store.add_unit(
            replace(unit("u"), model="small", meetings=Meetings(compared=1, decisive=1, right_points=1, first_points=0))
        )
        paid = Sample(text="42", usage=Usage(9, 3, 5, 2), latency=1.5, attempts=2)
        await store.add_call("k", request(), paid, query="q", strategy="single")
        await store.add_call("k2", request(1), Sample(finish="failed"), query="q", strategy="single", replay=False)
    old = sqlite3.connect(tmp_path / FILE)
    for to in range(3, version - 1, -1):
        old.executescript(OLDER[to])
    old.executescript(f"PRAGMA user_version={version};")
    old.close()
    before = (tmp_path / FILE).read_bytes()
    (read,) = read_units(tmp_path)
    assert (read.model, read.meetings is None) == ("small" if version > 2 else "", version < 2)
    assert read_superseded(tmp_path) == []
    assert read_paid(tmp_path) == {"": Paid(2, 9, 3, 7)}
    assert (tmp_path / FILE).read_bytes() == before  # reading changes nothing
    with Store(tmp_path) as store:
        assert store.call("k") == paid
        assert read_paid(tmp_path) == {"": Paid(2, 9, 3, 7)}
        assert store.failed_units() == ["u"]
        await store.add_unit(replace(unit("v"), model="large", problem="other"))
        await store.add_call("k3", request(2), Sample(text="43"), model="large", unit="v")
        assert store.failed_units() == ["u"]
    assert [(u.key, u.model) for u in read_units(tmp_path)] == [("u", read.model), ("v", "large")]


async def test_a_unit_of_which_a_call_failed_is_taken_back_and_its_record_kept(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for key in ("right", "halfway", "failed"):
            await store.add_unit(unit(key))
        nothing = replace(unit("nothing").outcome, ended_by="all_calls_failed")
        await store.add_unit(replace(unit("nothing"), outcome=nothing))
        await store.add_call("a", request(), Sample(text="42"), unit="halfway")
        for key, finish in (("halfway", "failed"), ("failed", "failed"), ("right", "cancelled")):
            await store.add_call(f"{key}1", request(1), Sample(finish=finish), unit=key, replay=False)
        assert store.failed_units() == ["failed", "halfway", "nothing"]
        await store.forget_units(["failed", "halfway"])
        assert [store.has_unit(key) for key in ("right", "halfway", "failed", "nothing")] == [True, False, False, True]
        assert store.call("a") == Sample(text="42")  # it is not paid for again
        await store.add_unit(replace(unit("halfway"), correct=False))
        assert store.failed_units() == ["nothing"]  # what failed before it was taken back counts no more
        await store.add_call("halfway2", request(2), Sample(finish="failed"), unit="halfway", replay=False)
        assert store.failed_units() == ["halfway", "nothing"]
    assert [(u.key, u.correct) for u in read_units(tmp_path)] == [
        ("halfway", False),
        ("nothing", True),
        ("right", True),
    ]
    assert [(u.key, u.correct) for u in read_superseded(tmp_path)] == [("failed", True), ("halfway", True)]


async def test_every_call_is_kept_with_what_it_was_and_who_asked(tmp_path: Path) -> None:
    sample = Sample(text="42", usage=Usage(9, 3, 5, 2), latency=1.5, attempts=3, seed=100, kind="judge")
    with Store(tmp_path) as store:
        await store.add_call(
            "k",
            replace(request(), kind="judge"),
            sample,
            query="q",
            strategy="single",
            unit="u",
            model="small",
            source="cache",
        )
    rows = sqlite3.connect(tmp_path / FILE)
    found = rows.execute(
        "SELECT query, strategy, unit, model, source, kind, seed, position, prompt_tokens, cached_tokens, "
        "generated_tokens, latency, attempts FROM calls"
    ).fetchall()
    kept = sample_from_json(rows.execute("SELECT sample FROM calls").fetchone()[0])
    rows.close()
    assert found == [("q", "single", "u", "small", "cache", "judge", 100, 0, 9, 3, 7, 1.5, 3)]
    assert (kept.usage, kept.latency, kept.attempts, kept.seed) == (Usage(9, 3, 5, 2), 1.5, 3, 100)


async def test_what_was_paid_is_summed_up_by_model_and_what_the_cache_answered_apart(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        assert read_paid(tmp_path) == {}
        for i, (model, source) in enumerate([("a", ""), ("a", ""), ("a", "cache"), ("b", "cache")]):
            sample = Sample(text="42", usage=Usage(10, 3, 2, i))
            await store.add_call(f"k{i}", request(i), sample, model=model, source=source)
        failed = Sample(finish="failed", usage=Usage(5))
        await store.add_call("k9", request(9), failed, model="a", replay=False)
    assert read_paid(tmp_path) == {
        "a": Paid(3, 25, 6, 5, answered_by_cache=1),
        "b": Paid(0, 0, 0, 0, answered_by_cache=1),
    }


async def test_a_store_that_was_never_begun_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with pytest.raises(RunError, match="is empty"):
        read_units(tmp_path)
    Store(tmp_path).close()
    assert read_units(tmp_path) == []


async def test_units_are_read_as_they_stood_when_reading_began(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for key in ("a", "b"):
            await store.add_unit(unit(key))
        units = stream_units(tmp_path)
        assert next(units).key == "a"
        await store.forget_units(["b"])
        assert [u.key for u in units] == ["b"]
        assert [u.key for u in stream_units(tmp_path)] == ["a"]


async def test_a_damaged_store_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(RunError, match="cannot be read"):
        Store(tmp_path)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
async def test_a_half_written_store_is_read_as_far_as_it_goes_or_said_to_be_damaged(
    tmp_path: Path, share: float
) -> None:
    with Store(tmp_path) as store:
        for i in range(60):
            await store.add_unit(unit(f"{i:02}"))
            await store.add_call(f"k{i}", request(i), Sample(text="so " * 300))
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: int(len(whole) * share)])
    keys: list[str] = []
    try:
        keys += [u.key for u in stream_units(tmp_path)]
        with Store(tmp_path) as store:
            for i in range(60):
                store.call(f"k{i}")
            await store.add_unit(unit("new"))
    except RunError as error:
        assert "damaged" in str(error)  # noqa: PT017 -- it may also be whole
    assert keys == [f"{i:02}" for i in range(len(keys))]


async def test_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run"):
        read_units(tmp_path / "nothing")


@pytest.mark.parametrize("bad", ["../../x", "", ".hidden", "a/b", "a b", "-x", "x" * 129, "a\n", "é"])
def test_a_run_id_cannot_lead_elsewhere(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="run id"):
        resolve(Path("runs"), bad)


def test_a_plain_run_id_is_a_directory_below_the_root() -> None:
    assert resolve(Path("runs"), "a.b_c-1") == Path("runs/a.b_c-1")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "summary.json"
    write_file(target, b"old")
    write_file(target, b"new")
    assert target.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        write_file(tmp_path / "folder", b"no")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "summary.json"]
