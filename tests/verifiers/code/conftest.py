"""A sandbox that the tests share, and a fixture that looks for what an attack has left behind."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ttc.errors import SandboxUnavailable
from ttc.verifiers.code import Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Two workers, each one job at a time."""
    try:
        pool = Sandbox(2)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    yield pool
    pool.close()


@pytest.fixture
async def canary_tree(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Path]:
    """A folder that anybody may write to. After the test it is as before, no process is left, and the pool works."""
    tree = tmp_path / "canaries"
    (tree / "inner").mkdir(parents=True)
    (tree / "secret").write_text("the-canary-secret")
    (tree / "inner" / "file").write_text("another")
    for path in (tree, *tree.rglob("*")):
        path.chmod(0o777)
    before = digest(tree)
    yield tree
    assert digest(tree) == before
    honest = await sandbox.check("def double(x): return 2 * x", ["assert double(4) == 8", "assert double(1) == 3"])
    assert [result.status for result in honest] == ["passed", "failed"]
    assert jailed_processes() == []


def digest(tree: Path) -> str:
    """A hash over names, modes and contents."""
    parts: list[str] = []
    for path in sorted(tree.rglob("*")):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        parts.append(f"{path.relative_to(tree)} {path.stat().st_mode} {content}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def sandbox_processes(parent: int | None = None) -> list[int]:
    """The process ids of a parent's sandboxes, of this process's by default; zygotes and children alike."""
    mark = f"ttc sandbox of process {os.getpid() if parent is None else parent}\n".encode()
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if mark in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue  # it ended meanwhile
    return found


def jailed_processes() -> list[int]:
    """Those of this process's sandboxes that are no zygotes: children of zygotes, and whatever escaped from one."""
    found: list[int] = []
    for process in sandbox_processes():
        try:
            parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent != os.getpid():
            found.append(process)
    return found
