"""A disk that is full, for real: the run stops with a clear error, loses nothing, and goes on once there is room.

A small file system is mounted in a namespace of the test's own (``unshare``), which no other process sees.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Any

import orjson
import pytest

SCRIPT = """
import random, subprocess, sys
from collections import Counter
from pathlib import Path
import anyio, orjson
from ttc import registry
from ttc.errors import RunError
from ttc.evals.config import EvalConfig
from ttc.evals.exports import export_run
from ttc.evals.response_cache import ResponseCache
from ttc.evals.runner import run_eval
from ttc.evals.stored_records import read_units
from ttc.evals.suite import Problem, Suite
from ttc.models.scripted import Scripted
from ttc.types import Query

disk, size = Path(sys.argv[1]), sys.argv[2]

def mount(size, *how):
    subprocess.run(["mount", "-t", "tmpfs", *how, "-o", f"size={size}" + (",remount" if how else ""), "none", disk],
                   check=True)

number = registry.create("answer type", "number")
queries = [Query.of(f"problem {i}", id=f"p{i}", answer_type=number) for i in range(8)]
suite = Suite("toy", [Problem(q, str(i)) for i, q in enumerate(queries)])
came = Counter()

def reply(request):
    rng = random.Random(f"{request.seed} {request.kind}")
    came[request.kind, request.seed, request.content()] += 1
    return "so " * rng.randrange(200, 400) + f"the answer is {rng.randrange(9)}"

def config(runs):
    return EvalConfig(suites=(suite,), strategies=("single", "majority:n=4,stop=never", "knockout:n=2"),
                      comparator="judge", runs=runs, run_id="r", concurrency=2)

def run(runs):
    anyio.run(run_eval, config(runs), Scripted(reply))

said = {"errors": [], "units": [], "paid": []}
run(Path(sys.argv[3]))
said["calm"] = (Path(sys.argv[3]) / "r" / "summary.json").read_text()
asked = sum(came.values())
came.clear()
mount(size)
room = int(size)
while room < 64 << 20:
    try:
        run(disk)
        break
    except RunError as error:
        said["errors"].append(str(error))
        try:
            said["units"].append(len(read_units(disk / "r")))
        except RunError:
            said["units"].append(0)
        room += int(sys.argv[4])
        mount(room, "-o", "remount")
said["summary"] = (disk / "r" / "summary.json").read_text()
said["asked"], said["came"] = asked, sum(came.values())

filler = disk / "filler"
free = __import__("os").statvfs(disk)
filler.write_bytes(b"x" * (free.f_bavail * free.f_frsize - 8192))
for name, what in (("export", lambda: export_run(disk / "r", "jsonl")), ("cache", lambda: ResponseCache(disk / "c"))):
    try:
        what()
    except RunError as error:
        said[name] = str(error)
said["left"] = sorted(p.name for p in (disk / "r" / "exports" / "jsonl").iterdir())
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
said["readonly"] = len(read_units(disk / "r"))
print(orjson.dumps(said).decode())
"""


def namespaces() -> bool:
    """Whether a file system may be mounted in a namespace of one's own here."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened to a run on a disk of 160 kB that was given 120 kB more each time it was full."""
    if not namespaces():
        pytest.skip("no file system may be mounted here (unshare -rm), so no disk can be filled")
    disk, calm = tmp_path_factory.mktemp("disk"), tmp_path_factory.mktemp("calm")
    command = ["unshare", "-rm", sys.executable, "-c", SCRIPT, str(disk), "163840", str(calm), "122880"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return orjson.loads(done.stdout)


def test_a_full_disk_is_said_to_be_full_and_how_to_go_on(full: dict[str, Any]) -> None:
    assert len(full["errors"]) >= 2
    for error in full["errors"]:
        assert "No space left" in error or "full" in error
    stopped = [error for error in full["errors"] if "cannot be written (" in error]
    assert stopped
    assert all("what was acknowledged is safe" in error and "ttc eval --resume r" in error for error in stopped)


def test_nothing_that_was_kept_is_lost(full: dict[str, Any]) -> None:
    assert full["units"] == sorted(full["units"])
    assert full["units"][-1] > 0


def test_the_run_comes_to_the_same_end(full: dict[str, Any]) -> None:
    assert full["summary"] == full["calm"]


def test_only_what_was_under_way_is_asked_for_again(full: dict[str, Any]) -> None:
    in_flight = 2 * 4  # two queries at a time, four samples each
    assert full["came"] <= full["asked"] + in_flight * len(full["errors"])


def test_an_export_to_a_full_disk_leaves_nothing_half_done(full: dict[str, Any]) -> None:
    assert "nothing was exported" in full["export"]
    assert "No space left" in full["export"]
    assert full["left"] == []


def test_a_cache_on_a_full_disk_says_so(full: dict[str, Any]) -> None:
    assert "response cache" in full["cache"]


def test_a_run_on_a_disk_that_is_read_only_is_read(full: dict[str, Any]) -> None:
    assert full["readonly"] == 8 * 3
