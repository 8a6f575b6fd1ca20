"""Nothing of the sandbox outlives what it was started for: a call, a pool, a process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from tests.verifiers.code.conftest import jailed_processes, sandbox_processes
from ttc.errors import SandboxUnavailable
from ttc.verifiers.code import Limits, Sandbox
from ttc.verifiers.code.bubblewrap import bubblewrapped

STALL = "def f():\n    while True: pass\n"
LONG = Limits(seconds=60, total_seconds=60)


@pytest.mark.anyio
async def test_a_hundred_cancelled_calls_leave_a_pool_that_works_and_no_process(sandbox: Sandbox):
    finished: list[int] = []

    async def stall(number: int) -> None:
        await sandbox.check(STALL, ["f()"], limits=LONG)
        finished.append(number)

    with anyio.fail_after(30):
        for _ in range(3):
            async with anyio.create_task_group() as group:
                for number in range(100):
                    group.start_soon(stall, number)
                await anyio.sleep(0.15)
                group.cancel_scope.cancel()
            assert jailed_processes() == []
        assert finished == []
        results = await sandbox.check("def f(): return 1", ["assert f() == 1"])
        assert results[0].passed


@pytest.mark.anyio
async def test_a_call_that_was_given_a_deadline_is_killed_with_it(sandbox: Sandbox):
    with anyio.move_on_after(0.2) as scope:
        await sandbox.execute("while True: pass", limits=LONG)
    assert scope.cancelled_caught
    assert jailed_processes() == []
    assert (await sandbox.execute("print(1)")).stdout == "1\n"


@pytest.mark.anyio
async def test_closing_ends_the_processes_and_the_calls_in_progress(sandbox: Sandbox):
    before = sandbox_processes()
    pool = Sandbox(2)
    raised: list[SandboxUnavailable] = []

    async def stall() -> None:
        try:
            await pool.execute("while True: pass", limits=LONG)
        except SandboxUnavailable as error:
            raised.append(error)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(stall)
            while len(sandbox_processes()) < len(before) + 4:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            pool.close()
    assert len(raised) == 3
    assert "closed" in str(raised[0])
    assert sorted(sandbox_processes()) == sorted(before)


OUTLIVED = """
import anyio, sys
from ttc.verifiers.code import Limits, Sandbox
async def main():
    pool = Sandbox(1)
    await pool.execute("print(1)")
    print("ready", flush=True)
    {then}
anyio.run(main)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None])
def test_nothing_outlives_the_process_that_started_it(sandbox: Sandbox, end: signal.Signals | None):
    then = "pass" if end is None else "await pool.execute('while True: pass', limits=Limits(seconds=60))"
    with subprocess.Popen(
        [sys.executable, "-c", OUTLIVED.format(then=then)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        if end is not None:
            while len(sandbox_processes(process.pid)) < 2:
                time.sleep(0.01)
            process.send_signal(end)
        process.wait(timeout=30)
        for _ in range(1000):
            if sandbox_processes(process.pid) == []:
                break
            time.sleep(0.01)
        assert sandbox_processes(process.pid) == []


def test_it_works_for_nobody_too(sandbox: Sandbox):
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody: run as another user, all the other tests show the same")
    try:
        subprocess.run(
            [sys.executable, "-c", "import ttc"], user=65534, group=65534, extra_groups=[], cwd="/", check=True
        )
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip(f"nobody may not run {sys.executable}")
    code = "import anyio\nfrom ttc.verifiers.code import shared_sandbox\n"
    code += "async def main(): print((await shared_sandbox().execute('print(1)')).stdout, shared_sandbox().isolation)\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "anyio.run(main)"],
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["1", "landlock+seccomp"], done.stderr


# -- bubblewrap ------------------------------------------------------------------------------------------------------


def test_the_outer_layer_shows_the_interpreter_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    command = bubblewrapped(["python", "-c", "pass"], readable=[str(tmp_path), "/no/such/folder"])
    assert command[0] == "/usr/bin/bwrap"
    assert command[-4:] == ["--", "python", "-c", "pass"]
    for option in ("--unshare-all", "--die-with-parent", "--clearenv", "--new-session"):
        assert option in command
    bound = [command[i + 1] for i, word in enumerate(command) if word == "--ro-bind"]
    assert {str(tmp_path), sys.base_prefix, sys.executable, "/usr"} <= set(bound)
    assert not {"/", "/etc", "/home", "/root", "/tmp", "/no/such/folder", "/proc"} & set(bound)
    assert not {"--bind", "--dev-bind", "--share-net", "--setenv"} & set(command)


def test_asking_for_an_outer_layer_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SandboxUnavailable, match="install the package 'bubblewrap'"):
        bubblewrapped(["python"])


@pytest.mark.anyio
async def test_the_jail_works_inside_bubblewrap(sandbox: Sandbox):
    if shutil.which("bwrap") is None:
        pytest.skip("bwrap is not installed")
    tried = await anyio.run_process(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], check=False)
    if tried.returncode:
        pytest.skip(f"this machine denies namespaces: {tried.stderr.decode().strip()}")
    pool = Sandbox(1, bubblewrap=True)
    try:
        assert pool.isolation == "bubblewrap+landlock+seccomp"
        assert (await pool.execute("import os\nprint(os.getpid() < 10)")).stdout == "True\n"
        assert (await pool.check("def f(): return 1", ["assert f() == 1"]))[0].passed
    finally:
        pool.close()
