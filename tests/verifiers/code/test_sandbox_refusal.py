"""A machine without a jail, or with one that leaks, runs nothing unless that was permitted. Hostile case 13."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ttc.errors import SandboxUnavailable
from ttc.verifiers.code import Sandbox
from ttc.verifiers.code.canaries import PROGRAM, installed_file


def test_8_9_10_the_attacks_do_succeed_without_a_jail(tmp_path: Path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o755)
    (tmp_path / "victim").write_text("")
    with subprocess.Popen(["sleep", "60"]) as victim:
        goal = json.dumps({"folder": str(tmp_path), "parent": victim.pid, "package": installed_file()})
        command = [sys.executable, "-c", PROGRAM]
        run = subprocess.run(command, input=goal, capture_output=True, text=True, check=True, start_new_session=True)
        victim.kill()
    _, succeeded = json.loads(run.stdout.splitlines()[-1])
    needed = {"write_a_file", "read_a_secret_file", "list_a_folder", "find_an_environment", "bind_an_abstract_socket"}
    needed |= {"open_a_tcp_socket", "fork", "execute_a_program", "signal_the_parent", "limit_the_parent"}
    needed |= {"delete_a_file", "make_a_file_in_memory", "raise_its_limits", "read_its_own_memory_map"}
    needed |= {"open_the_parent", "replace_itself", "change_a_file", "make_a_folder", "link_a_file", "read_passwd"}
    needed |= {"read_an_installed_package"}
    assert needed - set(succeeded) == set()


WITHOUT_LANDLOCK = """
import errno, pyseccomp
rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
for call in (444, 445, 446):  # as on a kernel that has no Landlock
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), call)
for call in ("unshare", "setns"):
    rules.add_rule(pyseccomp.ERRNO(errno.EPERM), call)
rules.load()
"""
WITHOUT_SECCOMP = "import sys\nsys.modules['pyseccomp'] = None\n"
RUN = """
import anyio
from ttc.verifiers.code import shared_sandbox, allow_unsafe
{permission}
async def main():
    pool = shared_sandbox()
    print(pool.isolation, (await pool.execute("print(40 + 2)")).stdout.strip())
    print(*[r.status for r in await pool.check("import os\\ndef f(): os._exit(0)", ["f()", "assert True"])])
anyio.run(main)
"""


def run_without(what: str, permission: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k != "TTC_UNSAFE_LOCAL_EXEC"} | environment
    code = what + RUN.format(permission=permission)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)


@pytest.mark.parametrize(
    ("what", "named"),
    [(WITHOUT_LANDLOCK, "Linux 5.13"), (WITHOUT_SECCOMP, "ttc-compute[code]"), (WITHOUT_SECCOMP, "libseccomp2")],
)
def test_13_without_a_jail_nothing_runs_and_the_flag_is_named(what: str, named: str):
    done = run_without(what)
    assert done.returncode != 0
    assert done.stdout == ""
    message = done.stderr.splitlines()[-1]
    assert "SandboxUnavailable" in message
    assert "--unsafe-local-exec" in message
    assert named in message


@pytest.mark.parametrize("what", [WITHOUT_LANDLOCK, WITHOUT_SECCOMP])
def test_13_permitted_it_runs_and_says_that_there_is_no_isolation(what: str):
    for done in (run_without(what, TTC_UNSAFE_LOCAL_EXEC="1"), run_without(what, permission="allow_unsafe()")):
        assert done.stdout.split() == ["none", "42", "crashed", "passed"], done.stderr


@pytest.mark.anyio
async def test_13_an_attack_that_succeeds_closes_the_sandbox(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    weak = Sandbox(1)
    monkeypatch.setattr("ttc.verifiers.code.canaries.PROGRAM", "print('[1, [\"read_passwd\"]]')")
    with pytest.raises(SandboxUnavailable, match=r"read_passwd.*Nothing was run.*--unsafe-local-exec"):
        await weak.execute("print(1)")
    monkeypatch.setattr("ttc.verifiers.code.canaries.PROGRAM", "raise ValueError('no attack')")
    with pytest.raises(SandboxUnavailable, match="did not run"):
        await weak.execute("print(1)")
    monkeypatch.undo()
    assert (await weak.execute("print(1)")).stdout == "1\n"
    weak.close()
    with pytest.raises(SandboxUnavailable, match="closed"):
        await weak.execute("print(1)")


@pytest.mark.anyio
async def test_13_permitted_a_jail_that_does_not_hold_is_called_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TTC_UNSAFE_LOCAL_EXEC", "1")
    monkeypatch.setattr("ttc.verifiers.code.canaries.PROGRAM", "print('[1, [\"read_passwd\"]]')")
    weak = Sandbox(1)
    assert weak.isolation == "landlock+seccomp"
    assert (await weak.execute("print(1)")).stdout == "1\n"
    assert weak.isolation == "none"
    weak.close()
